"""Zhang et al. 2019 (arXiv 1907.04164): steps to a target loss over the batch size, on the noisy quadratic model.

Under additive noise bias(t) + variance(t) / B is the risk at batch size B, with the bias and the variance of one run at
B = 1: every learning rate is run once, for all batch sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, Table, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, shades, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.methods import Method

__all__ = ["FIGURES", "PAPER", "TARGET", "first_below", "model", "runs"]

PAPER = "Zhang, Li, Nado, Martens, Sachdeva, Dahl, Shallue, Grosse 2019, arXiv 1907.04164, NeurIPS 2019"
TARGET = 0.01
METHODS = ("SGD", "momentum", "EMA")
POWERS = (0.0, 0.25, 0.5, 0.75)
"""Of the curvature in the preconditioner, as in the paper."""
CRITICAL = "the critical batch size is read as where twice the fewest samples are needed"
AUTHORS = {
    "SGD": {2: 20.5, 8: 14.6, 10: 13.3, 20: 12.8},
    "momentum": {2: 20.3, 8: 14.4, 10: 12.3, 20: 7.5},
    "EMA": {2: 17.7, 8: 13.2, 10: 12.9, 20: 12.8},
}
"""log2 of the steps at d = 10,000 by log2 of the batch size, read off the pictures that the authors' notebook keeps."""
READING = 0.2
"""How far, in log2, a number may be from one that was read off a picture."""
NEAR: dict[str, tuple[tuple[float, float, float], ...]] = {
    "SGD": ((1.0, 0.01, 0.018), (1.0, 0.5, 2.0)),
    "momentum": ((5e-3, 0.6, 5.0), (0.03, 80.0, 130.0)),
    "EMA": ((2e-5, 0.11, 0.16), (1e-3, 1.5, 2.0), (0.1, 1.5, 2.0)),
}
"""Method -> (1 - momentum or 1 - decay, lowest and highest effective rate): where the best of the full grid are."""
TOLERANCE = 1e-6
"""Of the quadrature that stands for the spectrum."""


def model(dim: int, method: Method, power: float = 0.0) -> sl.NoisyQuadratic:
    """h_i = 1/i, c_i = h_i, w_0 ~ N(0, I), on few nodes right for `method`, preconditioned by H^-power.

    The preconditioner changes coordinates to H^(power/2) w, in which curvature and noise are h^(1 - power) and the
    signal of a mode stays h.
    Modes do not interact, so that a node of multiplicity m is a mode with m times its signal and noise.
    """
    problem = sl.LinearRegression.power_law(dim, capacity=1.0 - power, source=1.0)
    modes = problem.compress(TOLERANCE, method=method).modes()
    lam = modes.eigenvalues
    return sl.NoisyQuadratic(lam, np.sqrt(modes.signal / lam), modes.multiplicity * lam)


def _family(name: str, steps: int, effective: float, rest: float) -> Method:
    """SGD; heavy ball of effective rate lr / (1 - m), m = 1 - rest; EMA of SGD of decay 1 - rest."""
    if name == "momentum":
        return sl.methods.heavy_ball(sl.schedules.constant(steps, effective * rest), 1.0 - rest)
    run = sl.methods.sgd(sl.schedules.constant(steps, effective))
    return sl.methods.ema(run, 1.0 - rest) if name == "EMA" else run


def runs(
    name: str, dim: int, lowest: float, ratio: float, rest: float, highest: float = np.inf
) -> Iterator[tuple[float, FloatArray]]:
    """(effective learning rate, (3, records) of step, bias and variance at B = 1), at most to the edge of stability."""
    edge = 2.0 * (2.0 - rest) / rest if name == "momentum" else 2.0
    most = min(0.98 * edge, highest)
    rates = np.geomspace(lowest, most, 1 + round(np.log(most / lowest) / np.log(ratio)))
    # By then the bias of the slowest modes is a small part of the target, or noise alone exceeds it.
    lengths = np.ceil(3.0 * dim / rates + (0.0 if name == "SGD" else 12.0 / rest)).astype(int)
    methods = [_family(name, int(n), float(rate), rest) for n, rate in zip(lengths, rates, strict=True)]
    # The fastest run oscillates most, and sets the nodes.
    trace = sl.exact(model(dim, methods[-1]), methods, record=400, progress=False)
    yield from zip(rates.tolist(), _curves(trace), strict=True)


def _curves(trace: sl.Trace) -> Iterator[FloatArray]:
    """Of every run (3, records): step, bias and variance at B = 1."""
    parts = trace.by_component()
    step = parts["step"].values.astype(np.float64)
    for values in parts.transpose("run", "component", "step").sel(component=["bias", "variance"]).values:
        there = np.isfinite(values[0])
        yield np.stack([step[there], *values[:, there]])


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


def tuned(rates: FloatArray, steps: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fewest steps over the rates (rows), and their rate, by batch size: a parabola in the logarithms between rates.

    Without it the curves have the steps of the grid. At its ends, and where a neighbour needs far more, the best of
    the grid counts.
    """
    at = steps.argmin(axis=0)
    each = np.arange(steps.shape[1])
    inside = np.clip(at, 1, max(1, rates.size - 2))
    if rates.size < 3:
        return steps[at, each], rates[at]
    with np.errstate(divide="ignore", invalid="ignore"):
        before, after = (np.log(steps[inside + k, each] / steps[inside, each]) for k in (-1, 1))
        smooth = (at == inside) & (np.maximum(before, after) < 0.3) & (before + after > 0.0)
        shift = np.where(smooth, 0.5 * (before - after) / (before + after), 0.0)
        gain = np.where(smooth, (before - after) ** 2 / (8.0 * (before + after)), 0.0)
    spacing = np.log(rates[1] / rates[0])
    return steps[at, each] * np.exp(-gain), rates[at] * np.exp(shift * spacing)


def compute(scale: Scale) -> Data:
    """best: fewest steps, and the rate and 1 - momentum (or 1 - decay) that need them, by method and batch size.

    authors: log2 of the steps at d = 10,000 beside those of the authors' pictures.
    """
    few = (0.3, 0.1, 0.03, 0.01, 0.003)
    dim, ratio, momenta, decays = {
        "tiny": (30, 2.0, (0.1,), (0.1,)),
        "quick": (400, 1.3, few[:4], (*few, 0.001, 0.0003)),
        "full": (10_000, 1.3, (*few, 0.05), (*few, 1e-3, 3e-4, 1e-4, 2e-5, 1e-5)),
    }[scale]
    lowest = 0.02 if scale == "tiny" else 0.01
    batches: FloatArray = 2.0 ** np.arange(2.0, 22.0)
    rows: list[dict[str, Any]] = []
    for name, rests in zip(METHODS, ((1.0,), momenta, decays), strict=True):
        best = np.full((3, batches.size), np.inf)
        # Without memory both are SGD, which has been run.
        if name != "SGD":
            best = np.stack([column(stack(rows), key, method="SGD") for key in ("steps", "rate", "rest")])
        for rest in rests:
            found = [
                (rate, first_below(curve, batches, TARGET)) for rate, curve in runs(name, dim, lowest, ratio, rest)
            ]
            steps, rate = tuned(np.array([rate for rate, _ in found]), np.stack([steps for _, steps in found]))
            best = np.where(steps < best[0], np.stack([steps, rate, np.full(batches.size, rest)]), best)
        rows.append({"method": name, "B": batches, "steps": best[0], "rate": best[1], "rest": best[2]})
    data = {
        "best": stack(rows),
        "preconditioned": stack(_preconditioned(dim, power, lowest, ratio, batches) for power in POWERS),
        "limits": stack([{"dim": dim, "target": TARGET, "bound": dim / (2.0 * TARGET)}]),
    }
    return data if scale == "tiny" else {**data, "authors": _beside_authors(data["best"], scale)}


def _preconditioned(dim: int, power: float, lowest: float, ratio: float, batches: FloatArray) -> dict[str, Any]:
    """Fewest steps of SGD preconditioned by H^-power."""
    h = 1.0 / np.arange(1.0, dim + 1.0)
    # Noise is that much larger, and the best rates of small batches that much smaller.
    low = lowest * h.sum() / np.sum(h ** (1.0 - power))
    rates = np.geomspace(low, 1.96, 1 + round(np.log(1.96 / low) / np.log(ratio)))
    lengths = np.ceil(6.0 * dim ** (1.0 - power) / rates).astype(int)
    methods = [sl.methods.sgd(sl.schedules.constant(int(n), float(r))) for n, r in zip(lengths, rates, strict=True)]
    trace = sl.exact(model(dim, methods[-1], power), methods, record=400, progress=False)
    found = np.stack([first_below(curve, batches, TARGET) for curve in _curves(trace)])
    steps, rate = tuned(rates, found)
    return {"power": power, "B": batches, "steps": steps, "rate": rate}


def _beside_authors(best: Table, scale: Scale) -> Table:
    """Steps at the authors' dimension: those of the full grid, or of its best rates alone."""
    rows: list[dict[str, Any]] = []
    for name, theirs in AUTHORS.items():
        batches = 2.0 ** np.array(list(theirs), dtype=np.float64)
        if scale == "full":
            steps = np.array([column(best, "steps", method=name, B=batch)[0] for batch in batches])
        else:
            # Without memory both are SGD.
            steps = np.full(batches.size, np.inf) if name == "SGD" else 2.0 ** rows[0]["log2_steps"]
            for rest, low, high in NEAR[name]:
                for _, curve in runs(name, 10_000, low, 1.3, rest, high):
                    steps = np.minimum(steps, first_below(curve, batches, TARGET))
        rows.append({"method": name, "B": batches, "log2_steps": np.log2(steps), "authors": list(theirs.values())})
    return stack(rows)


def _critical(table: Table, **where: object) -> float:
    """Batch size at which twice the fewest samples are needed."""
    batches, steps = (column(table, key, **where) for key in ("B", "steps"))
    samples = batches * steps
    least = int(samples.argmin())
    excess = samples[least:] / (2.0 * samples[least])
    return float(np.exp(np.interp(0.0, np.log(excess), np.log(batches[least:]))))


def draw(data: Data) -> Figure:
    best = data["best"]
    batches = column(best, "B", method="SGD")
    with style():
        figure = new_figure(WIDTH, 4.9)
        (left, middle), (right, last) = figure.subplots(2, 2)
        base = column(best, "steps", method="SGD")
        for j, name in enumerate(METHODS):
            steps, rate = (column(best, key, method=name) for key in ("steps", "rate"))
            look: dict[str, Any] = {"color": PALETTE[j], "ls": DASHES[j]}
            left.plot(batches, steps, label=name, **look)
            at = _critical(best, method=name)
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
        for colour, power in zip(shades(len(POWERS)), POWERS, strict=True):
            steps = column(data["preconditioned"], "steps", power=power)
            at = _critical(data["preconditioned"], power=power)
            last.plot(batches, steps, color=colour, label=f"$H^{{-{power:g}}}$" if power else "none (SGD)")
            last.plot(at, np.exp(np.interp(np.log(at), np.log(batches), np.log(steps))), "o", ms=4, color=colour)
        last.set(yscale="log", ylabel=f"steps to risk {TARGET:g}", title="(d) SGD by preconditioner")
        last.legend(loc="upper right")
        for axes in (left, middle, right, last):
            axes.set(xlabel="batch size $B$")
            axes.set_xscale("log", base=2)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def claims(data: Data) -> list[Claim]:
    best = data["best"]
    batches = column(best, "B", method="SGD")
    steps = {name: column(best, "steps", method=name) for name in METHODS}
    critical = {name: _critical(best, method=name) for name in METHODS}
    gain = {name: steps[name] / steps["SGD"] for name in METHODS[1:]}
    small = batches <= 16.0
    halving = (steps["SGD"][1:] / steps["SGD"][:-1])[small[1:]]
    flat = float(steps["SGD"][-1] / steps["SGD"][-2])
    slope = float(np.polyfit(np.log(batches[small]), np.log(column(best, "rate", method="SGD")[small]), 1)[0])
    bound = float(np.asarray(data["limits"]["bound"])[0])
    bends = [_critical(data["preconditioned"], power=power) for power in POWERS]
    floors = [column(data["preconditioned"], "steps", power=power)[-1] for power in POWERS]
    dim = int(np.asarray(data["limits"]["dim"])[0])
    least = min(float((batches * steps[name]).min()) for name in METHODS) / bound
    smaller = f"d = {dim:,} in the place of 10,000" if dim < 10_000 else ""
    reading = f"{CRITICAL}; {smaller}".rstrip("; ")
    return [
        *(_beside_claim(data["authors"], name, smaller) for name in METHODS if "authors" in data),
        Claim(
            "doubling the batch halves the steps while it is small, and gains nothing when it is large",
            "section 3.2, figure 2",
            "SGD: ratio 0.5 +- 0.05 for B <= 16, > 0.95 at the largest B",
            f"{halving.min():.3f} .. {halving.max():.3f}; {flat:.3f}",
            bool(np.abs(halving - 0.5).max() <= 0.05 and flat > 0.95),
            paper="perfect scaling, then maximal data parallelism",
            chosen=smaller,
            reason="the largest or the smallest batches lie within the bend",
        ),
        Claim(
            "momentum gains nothing at small batches, and speeds up large ones",
            "section 3.3",
            "momentum / SGD > 0.95 at B = 4, < 0.5 at the largest B",
            f"{', '.join(f'{g:.3f}' for g in gain['momentum'][small])} at B = 4, 8, 16; {gain['momentum'][-1]:.3f}",
            bool(gain["momentum"][0] > 0.95 and gain["momentum"][-1] < 0.5),
            paper="2^-0.2 at B = 4, 2^-5.3 at B = 2^20 (the authors' picture)",
            chosen=smaller,
            reason="momentum and SGD need other numbers of steps at the ends",
        ),
        Claim(
            "momentum extends perfect scaling: its critical batch size is larger",
            "section 3.3",
            "critical batch size, momentum / SGD > 2",
            f"{critical['momentum']:,.0f} against {critical['SGD']:,.0f}",
            critical["momentum"] > 2.0 * critical["SGD"],
            paper="larger",
            chosen=reading,
            reason="the bends of the two curves lie together",
        ),
        Claim(
            "EMA needs a fraction of the steps at small batches, and as many at large ones",
            "section 3.5, and the authors' picture",
            "EMA / SGD at B = 4 at most 0.3; > 0.95 at the largest B",
            f"{', '.join(f'{g:.3f}' for g in gain['EMA'][small])} at B = 4, 8, 16; {gain['EMA'][-1]:.3f}",
            bool(gain["EMA"][0] <= 0.3 and gain["EMA"][-1] > 0.95),
            paper="2^-2.8 = 0.14 at B = 4, 1 at B = 2^20 (the authors' picture, d = 10,000)",
            chosen=smaller,
            reason="the longest memory on the grid is too short for the smallest batches",
        ),
        Claim(
            "EMA reaches the speed of SGD at a smaller critical batch size",
            "section 3.5",
            "critical batch size, EMA / SGD < 1",
            f"{critical['EMA']:,.0f} against {critical['SGD']:,.0f}",
            critical["EMA"] < critical["SGD"],
            paper="smaller",
            chosen=reading,
            reason="the bends of the two curves lie together",
        ),
        Claim(
            "preconditioning extends perfect scaling, the more the higher its power",
            "section 3.4; powers 0, 0.25, 0.5, 0.75 of the curvature",
            "critical batch size grows, and the steps at the largest B fall, with every power",
            f"critical batch sizes {', '.join(f'{value:,.0f}' for value in bends)}; steps "
            f"{', '.join(f'{value:,.0f}' for value in floors)}",
            bool(np.all(np.diff(bends) > 0.0) and np.all(np.diff(floors) < 0.0)),
            paper="larger critical batch sizes",
            chosen=reading,
            reason="a higher power makes the noise of the slow modes larger as well",
        ),
        Claim(
            "the best learning rate grows in proportion to the batch size below the critical one",
            "section 3.2",
            "log-log slope for B <= 16 of SGD 1 +- 0.1",
            f"{slope:.3f}",
            abs(slope - 1.0) <= 0.1,
            paper="2^-6.1 at B = 4, 2^0.9 from B = 2^12 on (the authors' picture)",
            chosen=smaller,
            reason="the smallest batches lie within the bend already",
        ),
        Claim(
            "no method needs fewer than d / (2 C) samples",
            "the authors' code (information-theoretic bound, drawn in the figures)",
            "samples / bound >= 1 for every method and batch size",
            f"at least {least:.3f}",
            least >= 1.0,
            paper="steps at B = 4 above 2^16.9 (d = 10,000)",
            chosen=smaller,
            reason="a run beats the bound, which is an error of the computation",
        ),
    ]


def _beside_claim(authors: Table, name: str, smaller: str) -> Claim:
    """The steps of one method against the authors' picture."""
    found, theirs = (column(authors, key, method=name) for key in ("log2_steps", "authors"))
    there = ", ".join(f"2^{power}" for power in AUTHORS[name])
    off = dict(zip(AUTHORS[name], np.abs(found - theirs).tolist(), strict=True))
    worst = max(off, key=off.__getitem__)
    return Claim(
        f"steps of {name} at d = 10,000, as in the authors' picture",
        "pictures kept in the authors' notebook",
        f"log2 of the steps at B = {there} within {READING:g} of the reading",
        ", ".join(f"{value:.2f}" for value in found),
        bool(np.abs(found - theirs).max() <= READING),
        paper=", ".join(f"{value:.1f}" for value in theirs) + " (read by eye, +- 0.2)",
        chosen="rates, momenta and decays tried only near the best ones of the full grid" if smaller else "",
        reason="no rate and momentum of a fine search comes nearer: the picture is read by eye, and the authors' grid"
        " is another one",
        turns=f"furthest off at B = 2^{worst}: by {off[worst]:.2f}",
    )


FIGURES = [
    Reproduction(
        "zhang2019-steps",
        "Steps to a target against the batch size, for SGD, momentum and EMA",
        PAPER,
        2019,
        "Noisy quadratic, h_i = 1/i, gradient noise of covariance H / B, w_0 ~ N(0, I), d = 10,000 (quick: 400), target"
        " risk 0.01, B = 4 .. 2^21; the best constant learning rate, momentum and EMA decay for every B from exact"
        " curves: rates of ratio 1.3 with a parabola between them, momenta to 0.997, decays to 0.99999"
        " (quick: 0.9997); and SGD preconditioned by powers of H.",
        compute,
        draw,
        claims,
        chosen=(
            CRITICAL,
            "the EMA starts at w_0 and is not bias-corrected",
            "preconditioners with SGD alone: not with momentum or EMA",
        ),
        seconds=7.0,
    )
]
