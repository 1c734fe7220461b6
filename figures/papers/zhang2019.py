"""Zhang et al. 2019 (arXiv 1907.04164): steps to a target loss over the batch size, on the noisy quadratic model.

Under additive noise bias(t) + variance(t) / B is the risk at batch size B, with the bias and the variance of one run at
B = 1: every learning rate is run once, for all batch sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.papers.columns import stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.methods import Method

__all__ = ["FIGURES", "PAPER", "TARGET", "first_below", "model", "runs"]

PAPER = "Zhang, Li, Nado, Martens, Sachdeva, Dahl, Shallue, Grosse 2019, arXiv 1907.04164, NeurIPS 2019"
TARGET = 0.01
METHODS = ("SGD", "momentum", "EMA")
ASSUMED = "the critical batch size is where twice the fewest samples are needed"
TOLERANCE = 1e-6
"""Of the quadrature that stands for the spectrum."""


def model(dim: int, method: Method) -> sl.NoisyQuadratic:
    """h_i = 1/i, c_i = h_i, w_0 ~ N(0, I), on few nodes right for `method`.

    Modes do not interact, so that a node of multiplicity m is a mode with m times its signal and noise.
    """
    power = sl.LinearRegression.power_law(dim, capacity=1.0, source=1.0)
    modes = power.compress(TOLERANCE, method=method).modes()
    lam = modes.eigenvalues
    return sl.NoisyQuadratic(lam, np.sqrt(modes.signal / lam), modes.multiplicity * lam)


def _family(name: str, steps: int, effective: float, rest: float) -> Method:
    """SGD; heavy ball of effective rate lr / (1 - m), m = 1 - rest; EMA of SGD of decay 1 - rest."""
    if name == "momentum":
        return sl.methods.heavy_ball(sl.schedules.constant(steps, effective * rest), 1.0 - rest)
    run = sl.methods.sgd(sl.schedules.constant(steps, effective))
    return sl.methods.ema(run, 1.0 - rest) if name == "EMA" else run


def runs(name: str, dim: int, lowest: float, ratio: float, rest: float) -> Iterator[tuple[float, FloatArray]]:
    """(effective learning rate, (3, records) of step, bias and variance at B = 1) up to the edge of stability."""
    edge = 2.0 * (2.0 - rest) / rest if name == "momentum" else 2.0
    count = 1 + round(np.log(0.98 * edge / lowest) / np.log(ratio))
    rates = np.geomspace(lowest, 0.98 * edge, count)
    # By then the bias of the slowest modes is a small part of the target, or noise alone exceeds it.
    lengths = np.ceil(3.0 * dim / rates + (0.0 if name == "SGD" else 12.0 / rest)).astype(int)
    methods = [_family(name, int(n), float(rate), rest) for n, rate in zip(lengths, rates, strict=True)]
    # The fastest run oscillates most, and sets the nodes.
    parts = sl.exact(model(dim, methods[-1]), methods, record=400, progress=False).by_component()
    step = parts["step"].values.astype(np.float64)
    both = parts.transpose("run", "component", "step").sel(component=["bias", "variance"]).values
    for rate, values in zip(rates, both, strict=True):
        there = np.isfinite(values[0])
        yield float(rate), np.stack([step[there], *values[:, there]])


def first_below(curve: FloatArray, batches: FloatArray, target: float) -> FloatArray:
    """Steps until the risk is at the target, by batch size; inf where it never is. Interpolated in the logarithms."""
    step, bias, variance = curve[:, 1:]
    risk = bias + variance / batches[:, None]
    below = risk <= target
    at = np.maximum(below.argmax(axis=1), 1)
    rows = np.arange(batches.size)
    before, after = np.log(risk[rows, at - 1] / target), np.log(risk[rows, at] / target)
    share = np.clip(before / np.maximum(before - after, 1e-300), 0.0, 1.0)
    found = np.exp(np.log(step[at - 1]) + share * np.log(step[at] / step[at - 1]))
    return np.where(below.any(axis=1), found, np.inf)


def compute(scale: Scale) -> Data:
    """best: fewest steps, and the rate and 1 - momentum (or 1 - decay) that need them, by method and batch size."""
    dim, lowest, ratio, rests = {
        "tiny": (30, 0.02, 2.0, (0.1,)),
        "quick": (400, 0.01, 1.3, (0.3, 0.1, 0.03, 0.01, 0.003)),
        "full": (10_000, 0.01, 1.15, tuple(np.geomspace(0.5, 1e-4, 9).tolist())),
    }[scale]
    batches: FloatArray = 2.0 ** np.arange(2.0, 22.0)
    rows: list[dict[str, Any]] = []
    for name in METHODS:
        best = np.full((3, batches.size), np.inf)
        # Without memory both are SGD, which has been run.
        if name != "SGD":
            best = np.stack([column(stack(rows), key, method="SGD") for key in ("steps", "rate", "rest")])
        for rest in rests if name != "SGD" else (1.0,):
            for rate, curve in runs(name, dim, lowest, ratio, rest):
                steps = first_below(curve, batches, TARGET)
                found = np.stack([steps, np.full(batches.size, rate), np.full(batches.size, rest)])
                best = np.where(steps < best[0], found, best)
        rows.append({"method": name, "B": batches, "steps": best[0], "rate": best[1], "rest": best[2]})
    return {"best": stack(rows), "limits": stack([{"dim": dim, "target": TARGET, "bound": dim / (2.0 * TARGET)}])}


def _critical(data: Data, name: str) -> float:
    """Batch size at which twice the fewest samples are needed."""
    batches, steps = (column(data["best"], key, method=name) for key in ("B", "steps"))
    samples = batches * steps
    least = int(samples.argmin())
    excess = samples[least:] / (2.0 * samples[least])
    return float(np.exp(np.interp(0.0, np.log(excess), np.log(batches[least:]))))


def draw(data: Data) -> Figure:
    best = data["best"]
    batches = column(best, "B", method="SGD")
    with style():
        figure = new_figure(WIDTH, 2.8)
        left, middle, right = figure.subplots(1, 3)
        base = column(best, "steps", method="SGD")
        for j, name in enumerate(METHODS):
            steps, rate = (column(best, key, method=name) for key in ("steps", "rate"))
            look: dict[str, Any] = {"color": PALETTE[j], "ls": DASHES[j]}
            left.plot(batches, steps, label=name, **look)
            at = _critical(data, name)
            left.plot(at, np.exp(np.interp(np.log(at), np.log(batches), np.log(steps))), "o", ms=4, color=PALETTE[j])
            middle.plot(batches, steps / base, **look)
            right.plot(batches, rate, **look)
        bound = float(np.asarray(data["limits"]["bound"])[0])
        seen = batches[bound / batches >= 0.5 * np.nanmin(column(best, "steps"))]
        left.plot(seen, bound / seen, color="0.5", lw=0.8, ls=":", label="$d\\,/\\,2CB$")
        left.plot([], [], "o", ms=4, color="0.4", ls="", label="critical batch size")
        left.set(yscale="log", ylabel=f"steps to risk {TARGET:g}", title="(a) steps to the target")
        middle.set(ylabel="steps / those of SGD", ylim=(0.0, 1.05), title="(b) gain over SGD")
        right.set(yscale="log", ylabel=r"rate; momentum: rate$\,/\,(1 - m)$", title="(c) best learning rate")
        few = batches[: max(2, batches.size // 3)]
        right.plot(few, 0.5 * column(best, "rate", method="SGD")[0] * few / few[0], color="0.5", lw=0.8, ls=":")
        right.text(few[-1], 0.25 * column(best, "rate", method="SGD")[0] * few[-1] / few[0], r"$\propto B$", fontsize=7)
        for axes in (left, middle, right):
            axes.set(xlabel="batch size $B$")
            axes.set_xscale("log", base=2)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def claims(data: Data) -> list[Claim]:
    best = data["best"]
    batches = column(best, "B", method="SGD")
    steps = {name: column(best, "steps", method=name) for name in METHODS}
    critical = {name: _critical(data, name) for name in METHODS}
    gain = {name: steps[name] / steps["SGD"] for name in METHODS[1:]}
    small = batches <= 16.0
    halving = (steps["SGD"][1:] / steps["SGD"][:-1])[small[1:]]
    flat = float(steps["SGD"][-1] / steps["SGD"][-2])
    slope = float(np.polyfit(np.log(batches[small]), np.log(column(best, "rate", method="SGD")[small]), 1)[0])
    bound = float(np.asarray(data["limits"]["bound"])[0])
    least = min(float((batches * steps[name]).min()) for name in METHODS) / bound
    return [
        Claim(
            "doubling the batch halves the steps while it is small, and gains nothing when it is large",
            "section 3.2, fig. 2",
            "SGD: ratio 0.5 +- 0.05 for B <= 16, > 0.95 at the largest B",
            f"{halving.min():.3f} .. {halving.max():.3f}; {flat:.3f}",
            bool(np.abs(halving - 0.5).max() <= 0.05 and flat > 0.95),
        ),
        Claim(
            "momentum gains nothing at small batches, and speeds up large ones",
            "section 3.3",
            "momentum / SGD > 0.95 at B = 4, < 0.5 at the largest B",
            f"{', '.join(f'{g:.3f}' for g in gain['momentum'][small])} at B = 4, 8, 16; {gain['momentum'][-1]:.3f}",
            bool(gain["momentum"][0] > 0.95 and gain["momentum"][-1] < 0.5),
        ),
        Claim(
            "momentum extends perfect scaling: its critical batch size is larger",
            "section 3.3",
            "critical batch size, momentum / SGD > 2",
            f"{critical['momentum']:,.0f} against {critical['SGD']:,.0f}",
            critical["momentum"] > 2.0 * critical["SGD"],
            chosen=ASSUMED,
        ),
        Claim(
            "EMA needs fewer steps at small batches, as many at large ones",
            "section 3.5",
            "EMA / SGD < 0.9 at B = 4, > 0.95 at the largest B",
            f"{', '.join(f'{g:.3f}' for g in gain['EMA'][small])} at B = 4, 8, 16; {gain['EMA'][-1]:.3f}",
            bool(gain["EMA"][0] < 0.9 and gain["EMA"][-1] > 0.95),
        ),
        Claim(
            "EMA reaches the speed of SGD at a smaller critical batch size",
            "section 3.5",
            "critical batch size, EMA / SGD < 1",
            f"{critical['EMA']:,.0f} against {critical['SGD']:,.0f}",
            critical["EMA"] < critical["SGD"],
            chosen=ASSUMED,
        ),
        Claim(
            "the best learning rate grows in proportion to the batch size below the critical one",
            "section 3.2",
            "log-log slope for B <= 16 of SGD 1 +- 0.1",
            f"{slope:.3f}",
            abs(slope - 1.0) <= 0.1,
        ),
        Claim(
            "no method needs fewer than d / (2 C) samples",
            "figures (information-theoretic bound, in the authors' code)",
            "samples / bound >= 1 for every method and batch size",
            f"at least {least:.3f}",
            least >= 1.0,
        ),
    ]


FIGURES = [
    Reproduction(
        "zhang2019-steps",
        "Steps to a target against the batch size, for SGD, momentum and EMA",
        PAPER,
        2019,
        "Noisy quadratic, h_i = 1/i, gradient noise of covariance H / B, w_0 ~ N(0, I), d = 10,000 (quick: 400), target"
        " risk 0.01, B = 4 .. 2^21; the best constant learning rate, momentum and EMA decay for every B on grids of"
        " ratio 1.15 (quick: 1.3) and of 9 (quick: 5) values, from exact curves.",
        compute,
        draw,
        claims,
        chosen=(ASSUMED, "the EMA starts at w_0 and is not bias-corrected"),
        seconds=4.0,
    )
]
