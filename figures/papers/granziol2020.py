"""Granziol, Zohren and Roberts 2020 (arXiv 2006.09092): the largest learning rates as a function of the batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.peaks import best_peaks, critical
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.methods import Method

__all__ = ["FIGURES", "spike"]

PAPER = "Granziol, Zohren, Roberts 2020, arXiv 2006.09092, JMLR 2022"
CAPACITIES = (0.5, 1.1, 1.5, 2.0)
BATCHES = tuple(4**k for k in range(7))
MODES = 2_000
ADAM_BATCHES = (8, 32)
BETA2 = 0.99
REGRESSION = "a Gaussian regression, whose batch Hessians are Wishart matrices, in place of the networks"
CHOSEN = "lam_i = i^-a, a in {0.5, 1.1, 1.5, 2}, 2,000 modes"
ADAMS = "64 modes (capacity 1.1, source 2.5, sigma^2 = 1), linear decay, beta2 = 0.99, equal samples"


def spectrum(capacity: float, modes: int = MODES) -> FloatArray:
    return np.arange(1.0, modes + 1.0) ** -capacity


def spike(eigenvalues: FloatArray, batch: int) -> float:
    """Largest eigenvalue of the Hessian of a batch, to first order in 1/B.

    lam_1 (1 + (1/B) sum_(j > 1) lam_j / (lam_1 - lam_j)): an outlier of a Wishart matrix (Baik and Silverstein 2006).
    """
    rest = eigenvalues[1:]
    return float(eigenvalues[0] * (1.0 + np.sum(rest / (eigenvalues[0] - rest)) / batch))


def compute(scale: Scale) -> Data:
    """rates: threshold and random-matrix rule; hessians: sampled top eigenvalues; runs: at the edge; best: tuned."""
    draws = {"tiny": 2, "quick": 8, "full": 40}[scale]
    steps = {"tiny": 200, "quick": 2_000, "full": 8_000}[scale]
    samples = {"tiny": 512, "quick": 2_048, "full": 4_096}[scale]
    rates, hessians, runs = [], [], []
    for capacity in CAPACITIES:
        lam = spectrum(capacity)
        problem = sl.LinearRegression(lam, np.ones_like(lam), 1.0).compress(1e-6)
        edge = np.array([critical(problem, batch) for batch in BATCHES])
        rule = np.array([2.0 / spike(lam, batch) for batch in BATCHES])
        rates.append({"capacity": capacity, "batch": BATCHES, "edge": edge, "rule": rule})
        runs.append({"capacity": capacity, **_about(lam, edge, steps)})
        for batch in BATCHES[:4]:
            tops = _sampled(lam, batch, draws)
            row = {"capacity": capacity, "batch": batch, "top": tops.mean(), "spread": tops.std()}
            hessians.append({**row, "spike": spike(lam, batch)})
    return {
        "rates": stack(rates),
        "hessians": stack(hessians),
        "runs": stack(runs),
        "best": _best(samples, 3 if scale == "tiny" else 6),
    }


def _about(lam: FloatArray, edge: FloatArray, steps: int) -> dict[str, Any]:
    """Noiseless risk at T over that at T/2 in runs 3 % below and above the threshold, by batch."""
    problem = sl.LinearRegression(lam, np.ones_like(lam), 0.0).compress(1e-6)
    runs = [
        sl.methods.sgd(sl.schedules.constant(steps, factor * rate), batch=batch)
        for factor in (0.97, 1.03)
        for batch, rate in zip(BATCHES, edge, strict=True)
    ]
    risk = sl.exact(problem, runs, record=[steps // 2, steps], progress=False).total().values[:, -2:]
    grown = np.nan_to_num(risk[:, 1] / risk[:, 0], nan=np.inf).reshape(2, -1)
    return {"batch": BATCHES, "below": grown[0], "above": grown[1]}


def _sampled(lam: FloatArray, batch: int, draws: int) -> FloatArray:
    """Largest eigenvalue of X^T X / B for B Gaussian rows, by its Gram matrix, less what lam_1 alone fluctuates by."""
    random = np.random.default_rng(batch)
    tops = []
    for _ in range(draws):
        features = random.standard_normal((batch, lam.size))
        rows = features * np.sqrt(lam)
        tops.append(np.linalg.eigvalsh(rows @ rows.T / batch)[-1] - lam[0] * (np.mean(features[:, 0] ** 2) - 1.0))
    return np.array(tops)


def _best(samples: int, points: int) -> dict[str, Any]:
    """Best peaks of SGD, in an easy and a hard task, and of Adam, in the easy one, at equal samples."""
    easy, hard = (sl.LinearRegression.power_law(64, 1.1, source, noise_variance=1.0) for source in (2.5, 1.5))
    rows = []
    for batch in ADAM_BATCHES:
        steps = samples // batch

        def sgd(peak: float, steps: int = steps, batch: int = batch) -> Method:
            return sl.methods.sgd(sl.schedules.linear(steps, peak), batch=batch)

        peaks = [best_peaks(task, [sgd], 2.0 * critical(task, batch))[0][0] for task in (easy, hard)]
        adam = _adam_peak(easy, steps, batch, points)
        rows.append({"batch": batch, "SGD": peaks[0], "SGD, hard task": peaks[1], "Adam": adam})
    return stack(rows)


def _adam_peak(problem: sl.LinearRegression, steps: int, batch: int, points: int) -> float:
    """The lowest of a grid, of a finer one about it, and of a parabola of log risk over log peak."""
    grid = np.log(np.geomspace(0.008, 0.12, points))
    for _ in range(2):
        adams = [sl.methods.adam(sl.schedules.linear(steps, np.exp(x)), beta2=BETA2, batch=batch) for x in grid]
        risk = sl.limit(problem, adams, record=2, progress=False).total().values[:, -1]
        i = int(np.clip(np.nanargmin(risk), 1, grid.size - 2))
        bend, slope, _ = np.polyfit(np.arange(-1.0, 2.0), np.log(risk[i - 1 : i + 2]), 2)
        step = grid[1] - grid[0]
        grid = grid[i] + step * np.clip(-0.5 * slope / bend, -1.0, 1.0) + 0.3 * step * np.arange(-1.0, 2.0)
    return float(np.exp(grid[1]))


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        for i, capacity in enumerate(CAPACITIES):
            look: dict[str, Any] = {"color": PALETTE[i], "label": f"a = {capacity:g}"}
            batch, edge, rule = (column(data["rates"], key, capacity=capacity) for key in ("batch", "edge", "rule"))
            panels[0].plot(batch, edge, marker="os^D"[i], ms=3, **look)
            panels[0].plot(batch, rule, color=PALETTE[i], ls=":")
            panels[1].plot(batch, rule / edge, marker="os^D"[i], ms=3, ls=DASHES[i], color=PALETTE[i])
        panels[0].set(xscale="log", yscale="log", xlabel="batch size", ylabel="largest learning rate")
        panels[0].set_title("(a) threshold (dotted: rule)")
        panels[1].set(xscale="log", xlabel="batch size", ylabel="random-matrix rule / threshold")
        panels[1].set_title("(b) rule 2/spike")
        _tuned(panels[2], data)
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower left", ncols=4)
    return figure


def _tuned(axes: Axes, data: Data) -> None:
    batch = column(data["best"], "batch")
    for i, (name, power) in enumerate((("SGD", 1.0), ("Adam", 0.5))):
        peak = column(data["best"], name)
        axes.plot(batch, peak, "os"[i], ms=4, color=PALETTE[4 + i], label=name)
        axes.plot(batch, peak[0] * (batch / batch[0]) ** power, color=PALETTE[4 + i], ls="--", lw=0.8)
    axes.set(xscale="log", yscale="log", xlabel="batch size", ylabel="best peak, equal samples")
    axes.set_xticks(batch, [f"{b:.0f}" for b in batch])
    axes.set_xticks([], minor=True)
    axes.set_title("(c) dashed: slopes 1 and 1/2")
    axes.legend()


def _growth(data: Data, capacity: float) -> FloatArray:
    """Slope of log threshold in log batch between neighbouring batches."""
    batch, edge = (np.log(column(data["rates"], key, capacity=capacity)) for key in ("batch", "edge"))
    return np.diff(edge) / np.diff(batch)


def claims(data: Data) -> list[Claim]:
    return [_hessian(data), *_sgd(data), _adam(data), _edge(data)]


def _hessian(data: Data) -> Claim:
    at = data["hessians"]
    batch, top, formula = (column(at, key) for key in ("batch", "top", "spike"))
    off = top / formula - 1.0
    lifted = bool(np.all(top > 1.0))
    falls = all(np.all(np.diff(column(at, "top", capacity=a)) < 0.0) for a in CAPACITIES)
    return Claim(
        "the largest eigenvalue of a batch's Hessian exceeds that of the full one, the more the smaller the batch",
        "abstract",
        "mean of sampled largest eigenvalues above lam_1 and falling with B, every spectrum",
        "; ".join(f"a = {a:g}: " + ", ".join(f"{x:.2f}" for x in column(at, "top", capacity=a)) for a in CAPACITIES),
        lifted and falls,
        "too few draws",
        chosen=CHOSEN,
        substituted=REGRESSION,
        turns=f"first order in 1/B is within {np.abs(off[batch == 64]).max():.0%} at B = 64",
    )


def _sgd(data: Data) -> list[Claim]:
    given: dict[str, Any] = {"chosen": CHOSEN, "substituted": REGRESSION}
    slopes = {a: _growth(data, a) for a in CAPACITIES}
    rule, edge = ({a: column(data["rates"], key, capacity=a) for a in CAPACITIES} for key in ("rule", "edge"))
    ratio = {a: rule[a] / edge[a] for a in CAPACITIES}
    close = {a: [b for b, x in zip(BATCHES, np.abs(ratio[a] - 1.0), strict=True) if x > 0.1] for a in CAPACITIES}
    trace = {a: float(spectrum(a).sum()) for a in CAPACITIES}
    last = {a: float(column(data["rates"], "edge", capacity=a)[-1]) for a in CAPACITIES}
    return [
        Claim(
            "the largest rate of SGD grows linearly with the batch while that is small",
            "abstract",
            "slope of log threshold in log B at least 0.9 between batches up to a fifth of tr H/lam_1",
            f"{slopes[0.5][:2].min():.2f} (a = 0.5, tr H/lam_1 = {trace[0.5]:.0f}, B to 16)",
            bool(slopes[0.5][:2].min() >= 0.9),
            "the leading mode limits the rate already at batch 1",
            paper="linear",
            turns="slope from B = 1 to 4: "
            + ", ".join(f"{slopes[a][0]:.2f} (a = {a:g}, tr H/lam_1 = {trace[a]:.1f})" for a in CAPACITIES),
            **given,
        ),
        Claim(
            "and saturates at 2/lam_1",
            "the outlier of the full Hessian, which is left for large batches",
            f"within 5 % of 2/lam_1 at B = {BATCHES[-1]:,}, every spectrum",
            ", ".join(f"{value:.3f} (a = {a:g})" for a, value in last.items()),
            all(abs(value / 2.0 - 1.0) <= 0.05 for value in last.values()),
            "the batch is not large yet",
            paper="2 over the largest eigenvalue",
            **given,
        ),
        Claim(
            "twice the inverse of the batch Hessian's largest eigenvalue is the largest rate",
            "random matrix theory of the batch Hessian: 2/spike",
            "within 10 % of the threshold in mean square at every batch and spectrum",
            "; ".join(f"a = {a:g}: x {r.min():.2f} .. {r.max():.2f}" for a, r in ratio.items()),
            not any(close.values()),
            "the mean square also grows through rare batches and through noise that all modes pass to one another",
            paper="2/lambda' of the batch",
            turns="off by more than 10 % at "
            + "; ".join(f"B = {', '.join(map(str, b)) or 'none'} (a = {a:g})" for a, b in close.items()),
            **given,
        ),
    ]


def _adam(data: Data) -> Claim:
    batch = np.log(column(data["best"], "batch"))
    names = ("SGD", "SGD, hard task", "Adam")
    sgd, hard, adam = (np.diff(np.log(column(data["best"], name)))[0] / np.diff(batch)[0] for name in names)
    return Claim(
        "learning rates of Adam go with the root of the batch, where those of SGD are linear in it",
        "abstract",
        "slopes of log best peak in log B at equal samples: Adam 0.5 +- 0.1, SGD 1 +- 0.1",
        f"Adam {adam:.3f}, SGD {sgd:.3f}",
        abs(adam - 0.5) <= 0.1 and abs(sgd - 1.0) <= 0.1,
        "the gradients are not all noise, as the rule takes them to be",
        paper="square root against linear",
        chosen=ADAMS,
        substituted="best rates for largest ones, on " + REGRESSION,
        turns=f"SGD {hard:.2f} in a hard task (source 1.5), where the largest stable rate holds the best peak",
    )


def _edge(data: Data) -> Claim:
    below, above = column(data["runs"], "below"), column(data["runs"], "above")
    return Claim(
        "runs 3 % below the threshold converge, and 3 % above it diverge",
        "(1/B) sum lr lam/(2 - lr lam (1 + 1/B)) = 1; noiseless risk at T over that at T/2, exact engine",
        "below 1 and above 1, every batch and spectrum",
        f"at most {below.max():.3g}, at least {above.min():.3g}, of {below.size}",
        bool(below.max() < 1.0 < above.min()),
        "so few steps do not tell",
        own=True,
    )


FIGURES = [
    Reproduction(
        "granziol2020-batches",
        "The largest learning rates of SGD and Adam by batch size",
        PAPER,
        2020,
        "Gaussian regression with lam_i = i^-a, 2,000 modes: threshold of SGD in mean square, and 2 over the largest"
        " eigenvalue of a batch's Hessian to first order in 1/B (which 8 draws confirm; full: 40). Best peaks at equal"
        " samples: 2,048 (full: 4,096), 64 modes, linear decay, SGD by the exact engine and Adam (beta2 = 0.99) by its"
        " limit.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN, ADAMS),
        substituted=(REGRESSION,),
        seconds=2.0,
    )
]
