"""Zhang et al. 2024: why transformers need Adam (arXiv 2402.16788), and Adam-mini (2406.16793): blocks of a Hessian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAPER = "Zhang, Chen, Ding, Li, Sun and Luo 2024, arXiv 2402.16788; Zhang et al. 2024 (Adam-mini), arXiv 2406.16793"
FAMILIES: Mapping[str, tuple[tuple[int, int, int], ...]] = {
    "blocks differ": ((1, 2, 3), (99, 100, 101), (4998, 4999, 5000)),
    "blocks alike": ((1, 99, 4998), (2, 100, 4999), (3, 101, 5000)),
}
"""Eigenvalues of three dense blocks (Adam-mini, its quadratics)."""
WAYS = ("GD", "Adam, v of the start", "Adam-mini, v of the start", "best rate of each block", "Adam, beta2 = 0.999")
RATES = (0.01, 0.03, 0.1, 0.3)
BASES = "20 random bases of each block and starts"


def compute(scale: Scale) -> Data:
    """runs: by family, basis and way, condition number and share of the loss that is left."""
    bases, steps = {"tiny": (2, 60), "quick": (20, 500), "full": (100, 500)}[scale]
    rng = np.random.default_rng(11)
    table = []
    for family, sets in FAMILIES.items():
        for basis in range(bases):
            matrices = [_dense(rng, values) for values in sets]
            start = rng.standard_normal(9)
            gradient = np.concatenate([H @ e for H, e in zip(matrices, start.reshape(3, 3), strict=True)])
            for way, scales in _scales(matrices, gradient).items():
                left, condition = _descent(matrices, start, scales, steps)
                table.append({"family": family, "basis": basis, "way": way, "left": left, "condition": condition})
            left = _adaptive(matrices, start, steps)
            table.append({"family": family, "basis": basis, "way": WAYS[-1], "left": left, "condition": np.nan})
    return {"runs": stack(table)}


def _dense(rng: np.random.Generator, values: tuple[int, int, int]) -> FloatArray:
    Q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    out: FloatArray = Q @ np.diag(values) @ Q.T
    return 0.5 * (out + out.T)


def _scales(matrices: list[FloatArray], gradient: FloatArray) -> dict[str, FloatArray]:
    """What every weight's gradient is divided by."""
    per_block = np.sqrt(np.mean(gradient.reshape(3, 3) ** 2, axis=1))
    middle = [0.5 * float(np.linalg.eigvalsh(H)[[0, -1]].sum()) for H in matrices]
    return dict(zip(WAYS, (np.ones(9), np.abs(gradient), np.repeat(per_block, 3), np.repeat(middle, 3)), strict=False))


def _descent(matrices: list[FloatArray], start: FloatArray, scales: FloatArray, steps: int) -> tuple[float, float]:
    """Share of the loss that is left by gradients over `scales` at the best constant rate, and the condition number.

    In the coordinates sqrt(scale) w this is gradient descent.
    """
    root = np.sqrt(scales).reshape(3, 3)
    scaled = [H / np.outer(r, r) for H, r in zip(matrices, root, strict=True)]
    problem = sl.problems.blocks([0.5 * (H + H.T) for H in scaled], start * root.ravel())
    low, high = problem.eigenvalues[[-1, 0]]
    method = sl.methods.sgd(sl.schedules.constant(steps, 2.0 / (low + high)), batch=np.inf)
    risk = sl.exact(problem, method, record=2, progress=False).total().values
    return float(risk[-1] / risk[0]), float(high / low)


def _adaptive(matrices: list[FloatArray], start: FloatArray, steps: int) -> float:
    """The same of Adam without momentum, whose v follows; cosine, the best of four peaks."""
    problem = sl.problems.blocks(matrices, start)
    runs = {
        f"{rate:g}": sl.methods.adam(sl.schedules.cosine(steps, rate), beta1=0.0, beta2=0.999, batch=np.inf)
        for rate in RATES
    }
    risk = sl.sample(problem, runs, replicas=1, record=2, split=False, progress=False).total().values
    return float(risk[:, -1].min() / risk[0, 0])


def draw(data: Data) -> Figure:
    table = data["runs"]
    with style():
        figure = new_figure(WIDTH, 2.8)
        conditions, losses = figure.subplots(1, 2, sharey=True)
        for k, (family, colour) in enumerate(zip(FAMILIES, PALETTE, strict=False)):
            for j, way in enumerate(WAYS):
                here = {"family": family, "way": way}
                y = j + 0.3 * (k - 0.5)
                for axes, name in ((conditions, "condition"), (losses, "left")):
                    values = np.maximum(column(table, name, **here), 1e-18)
                    label = family if j == 0 else None
                    axes.plot(values, np.full(values.size, y), "|", color=colour, ms=7, alpha=0.7)
                    axes.plot(np.median(values), y, "o", color=colour, ms=5, label=label)
        conditions.set_yticks(np.arange(len(WAYS)), WAYS)
        conditions.set(xscale="log", xlabel="condition number after scaling", title="(a)")
        losses.set(xscale="log", xlabel="share of the loss that is left", title="(b)")
        conditions.invert_yaxis()
        legend(figure, (conditions,), 2, "dots: medians over random bases")
    return figure


def _median(data: Data, name: str, family: str, way: str) -> float:
    return float(np.median(column(data["runs"], name, family=family, way=way)))


def claims(data: Data) -> list[Claim]:
    differ, alike = FAMILIES
    left = {way: {family: _median(data, "left", family, way) for family in FAMILIES} for way in WAYS}
    condition = {way: {family: _median(data, "condition", family, way) for family in FAMILIES} for way in WAYS[:4]}
    gd, adam, mini, block, moving = WAYS

    def both(values: Mapping[str, float]) -> str:
        return f"{values[differ]:.3g} where blocks differ, {values[alike]:.3g} where they are alike"

    return [
        Claim(
            "gradient descent is as slow on both, whose spectra are the same",
            "quadratics of three blocks",
            "medians of what is left within a factor of 3 of one another, more than 0.1",
            both(left[gd]),
            min(left[gd].values()) > 0.1 and max(left[gd].values()) <= 3.0 * min(left[gd].values()),
            "the starts differ",
            paper="GD performs alike",
            chosen=BASES,
        ),
        Claim(
            "Adam is far ahead of gradient descent where blocks differ, and not where they are alike",
            "analysis of Adam with v of the first gradient",
            "median condition number: at most a fiftieth of GD's, and at least GD's",
            both({family: condition[adam][family] / condition[gd][family] for family in FAMILIES}) + " (times GD's)",
            condition[adam][differ] <= 0.02 * condition[gd][differ] and condition[adam][alike] >= condition[gd][alike],
            "v of the start scales weights otherwise",
            paper="Adam outperforms GD on heterogeneous blocks and is alike on homogeneous ones",
            chosen=BASES,
        ),
        Claim(
            "one rate for each block does better than Adam's rate for each weight, where blocks are dense",
            "Adam-mini: quadratics, condition numbers",
            "median condition number, blocks that differ: block rates below Adam-mini's, below Adam's",
            f"{condition[block][differ]:.1f}, {condition[mini][differ]:.1f}, {condition[adam][differ]:.1f}; alike: "
            f"{condition[block][alike]:.0f}, {condition[mini][alike]:.0f}, {condition[adam][alike]:.0f}",
            condition[block][differ] < condition[mini][differ] < condition[adam][differ]
            and left[mini][differ] < left[adam][differ],
            "rates by weight do as well",
            paper="fewer rates, chosen well, do better than Adam",
            chosen=BASES,
        ),
        Claim(
            "before the worst direction decides, Adam is far ahead on both",
            "500 steps: losses, and not rates in the end",
            "at most a tenth of what GD leaves, in both families; less still with a v that follows",
            f"v of the start: {both({f: left[adam][f] / left[gd][f] for f in FAMILIES})} (times GD's); beta2 = 0.999, "
            f"cosine: {both({f: left[moving][f] / left[gd][f] for f in FAMILIES})}",
            all(10.0 * left[adam][f] <= left[gd][f] and left[moving][f] < left[adam][f] for f in FAMILIES),
            "it is not",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "zhang2024-blocks",
        "Blocks of a Hessian: gradient descent, Adam and Adam-mini",
        PAPER,
        2024,
        "Noiseless quadratics of three dense 3 x 3 blocks in random bases, of the same spectrum, 1 to 5,000: each "
        "block of one scale, or of all scales. 500 steps at the best constant rate of gradients divided by |g| of the "
        "start (Adam with beta2 = 1), by its root mean square over a block (Adam-mini), or block by block.",
        compute,
        draw,
        claims,
        chosen=(BASES,),
        seconds=2.0,
    )
]
