"""Porian et al. 2024 (arXiv 2406.19146): the best model size for a compute budget, under practices that distort it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.arrays import FloatArray

__all__ = ["FIGURES"]

PAPER = "Porian, Wortsman, Jitsev, Schmidt, Carmon 2024, arXiv 2406.19146, NeurIPS 2024"
SHORTEST = 3
"""Steps of the shortest run that is looked at."""
NOISELESS, NOISY = (1.5, 1.6, 0.0), (1.5, 2.5, 0.1)
"""Capacity, source, noise variance: for warmups and decay at a fixed rate, and for rates that have to be tuned."""
WARMUPS = (0, 20, 200, 2_000)
RATE, RATES = 0.1, (0.4, 0.16, 0.064, 0.0256, 0.01, 0.004)
WAYS = ("constant", "linear decay")
Schedules = Mapping[str, Callable[[int], sl.schedules.Schedule]]


def tail(width: int, source: float) -> float:
    """sum of i^-source over i > width, by Euler and Maclaurin."""
    n = float(width)
    return float(n ** (1.0 - source) / (source - 1.0) - 0.5 * n**-source + source * n ** (-source - 1.0) / 12.0)


def model(width: int, capacity: float, source: float, noise: float) -> sl.LinearRegression:
    """The first `width` features of a power law without end; what the others say is noise to it."""
    index = np.arange(1.0, width + 1.0)
    return sl.LinearRegression(index**-capacity, index ** (0.5 * (capacity - source)), noise + tail(width, source))


def losses(
    case: tuple[float, float, float], runs: Schedules, compute: FloatArray, ratio: float
) -> list[dict[str, Any]]:
    """Excess loss of every width, run and budget C = width x steps; widths by `ratio` about C^(1 / (1 + capacity))."""
    capacity, source, _ = case
    guess = compute ** (1.0 / (1.0 + capacity))
    widths = np.unique(
        np.round(3.0 * ratio ** np.arange(0.0, np.log(4.0 * guess[-1] / 3.0) / np.log(ratio))).astype(int)
    )
    rows = []
    for width in widths.tolist():
        near = [
            c for c, g in zip(compute, guess, strict=True) if 0.05 * g <= width <= 4.0 * g and c / width >= SHORTEST
        ]
        made = [(name, c, make(round(c / width))) for name, make in runs.items() for c in near]
        if not made:
            continue
        methods = [sl.methods.sgd(schedule) for *_, schedule in made]
        total = sl.exact(model(width, *case), methods, record=2, progress=False).total().values
        for (name, c, _), risk in zip(made, total, strict=True):
            last = risk[np.isfinite(risk)][-1] if np.isfinite(risk).any() else np.inf
            rows.append({"run": [name], "compute": c, "width": width, "loss": float(last) + 0.5 * tail(width, source)})
    return rows


def _warm(warmup: int) -> Callable[[int], sl.schedules.Schedule]:
    """A constant rate after a warmup of so many steps; a run that is shorter ends within it."""

    def made(steps: int) -> sl.schedules.Schedule:
        if not warmup:
            return sl.schedules.constant(steps, RATE)
        return sl.schedules.from_array(RATE * np.minimum(1.0, (np.arange(steps) + 1.0) / warmup))

    return made


def compute(scale: Scale) -> Data:
    """fixed: losses at one rate by warmup and decay; tuned: by rate."""
    top, points, ratio = {"tiny": (4.5, 3, 1.6), "quick": (6.5, 5, 1.35), "full": (7.5, 7, 1.25)}[scale]
    budgets = np.geomspace(3e3, 10.0**top, points)
    fixed: Schedules = {
        **{f"warmup {warmup}": _warm(warmup) for warmup in WARMUPS},
        WAYS[1]: lambda steps: sl.schedules.linear(steps, RATE),
    }
    tuned: dict[str, Callable[[int], sl.schedules.Schedule]] = {}
    for rate in RATES:
        tuned[f"{WAYS[0]} {rate:g}"] = partial(sl.schedules.constant, peak=rate)
        tuned[f"{WAYS[1]} {rate:g}"] = partial(sl.schedules.linear, peak=rate)
    return {
        "fixed": stack(losses(NOISELESS, fixed, budgets, ratio)),
        "tuned": stack(losses(NOISY, tuned, budgets, ratio)),
    }


def _least(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Where a parabola through the least value and its neighbours has its minimum, and that; NaN at an end."""
    k = int(np.argmin(y))
    if not 0 < k < x.size - 1:
        return float("nan"), float(y[k])
    a, b, c = np.polyfit(x[k - 1 : k + 2] - x[k], y[k - 1 : k + 2], 2)
    return float(x[k] - b / (2.0 * a)), float(c - b**2 / (4.0 * a))


def best(data: Data, table: str, runs: list[str]) -> tuple[FloatArray, FloatArray]:
    """Budgets, and the width with the least loss, of several runs at the best rate of each width; NaN at an end."""
    rows = data[table]
    budgets = np.sort(np.array(first(rows["compute"]), dtype=float))
    widths = []
    for c in budgets:
        each = [{key: column(rows, key, run=run, compute=c) for key in ("width", "loss")} for run in runs]
        y = np.log([one["loss"] for one in each])
        if len(runs) > 1:
            y = np.array([[_least(np.log(RATES), line)[1] for line in y.T]])
        widths.append(np.exp(_least(np.log(each[0]["width"]), y[0])[0]))
    return budgets, np.array(widths)


def flow(
    case: tuple[float, float, float], compute: FloatArray, total: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """The best width where the first N features follow gradient flow over the sum of the rates, total(steps)."""
    capacity, source, _ = case
    out = []
    for c in compute:
        widths = np.unique(np.geomspace(2, 8.0 * c ** (1.0 / (1.0 + capacity)), 60).round())
        excess = []
        for width in widths:
            index = np.arange(1.0, width + 1.0)
            left = index**-source * np.exp(-2.0 * total(np.array(c / width)) * index**-capacity)
            excess.append(np.log(left.sum() + tail(int(width), source)))
        out.append(np.exp(_least(np.log(widths), np.array(excess))[0]))
    return np.array(out)


def _off_flow(data: Data, run: str, total: Callable[[FloatArray], FloatArray]) -> float:
    """Largest distance of the best width of a run from that of gradient flow."""
    budgets, widths = best(data, "fixed", [run])
    return float(np.max(np.abs(widths / flow(NOISELESS, budgets, total) - 1.0)))


def _exponent(data: Data, table: str, runs: list[str]) -> float:
    budgets, widths = best(data, table, runs)
    return float(np.polyfit(np.log(budgets), np.log(widths), 1)[0])


def _rates(way: str) -> list[str]:
    return [f"{way} {rate:g}" for rate in RATES]


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        budgets = sorted(first(data["fixed"]["compute"]))
        for j, c in enumerate(budgets):
            for k, run in enumerate(("warmup 0", "warmup 2000")):
                width, loss = (column(data["fixed"], key, run=run, compute=c) for key in ("width", "loss"))
                label = f"{run}, by budget" if j == 0 else None
                panels[0].plot(width, loss, color=PALETTE[k], ls=DASHES[k], lw=1.0, label=label)
        panels[0].set(xscale="log", yscale="log", xlabel="width $N$", ylabel="excess loss", title="(a) equal $C = NT$")
        for j, run in enumerate([f"warmup {warmup}" for warmup in WARMUPS] + [WAYS[1]]):
            c, width = best(data, "fixed", [run])
            panels[1].plot(c, width, "os^Dv"[j], ls="-", color=PALETTE[j], ms=4, label=run)
        for j, way in enumerate(WAYS):
            c, width = best(data, "tuned", _rates(way))
            panels[2].plot(c, width, "os"[j], ls="-", color=PALETTE[j + 5], ms=4, label=f"{way}, tuned")
            c, width = best(data, "tuned", [_rates(way)[0]])
            panels[2].plot(c, width, "os"[j], ls=":", color=PALETTE[j + 5], ms=4, mfc="none", label=f"{way}, lr 0.4")
        for axes, title in zip(panels[1:], ("(b) no label noise, lr 0.1", "(c) label noise 0.1"), strict=True):
            axes.set(xscale="log", yscale="log", xlabel="compute $C$", ylabel="best width", title=title)
        legend(figure, panels, 4)
    return figure


def claims(data: Data) -> list[Claim]:
    warm = [_exponent(data, "fixed", [f"warmup {warmup}"]) for warmup in WARMUPS]
    longest = WARMUPS[-1]
    off = [
        _off_flow(data, "warmup 0", lambda steps: RATE * steps),
        _off_flow(
            data,
            f"warmup {longest}",
            lambda steps: RATE * (np.maximum(steps - longest, 0.0) + np.minimum(steps, longest) ** 2 / (2.0 * longest)),
        ),
        _off_flow(data, WAYS[1], lambda steps: 0.5 * RATE * steps),
    ]
    decay = _exponent(data, "fixed", [WAYS[1]])
    tuned = {way: _exponent(data, "tuned", _rates(way)) for way in WAYS}
    same = {way: [_exponent(data, "tuned", [run]) for run in _rates(way)] for way in WAYS}
    capacity, source, _ = NOISY
    s = (source - 1.0) / capacity
    limits = [1.0 / (1.0 + (source - 1.0) / power) for power in (s / (1.0 + s), s * capacity / (1.0 + s * capacity))]
    given: dict[str, Any] = {"chosen": "spectra, rates, budgets", "substituted": SUBSTITUTED}

    def spoken(exponents: list[float]) -> str:
        return ", ".join("none" if np.isnan(each) else f"{each:.3f}" for each in exponents)

    theory = 1.0 / (1.0 + NOISELESS[0])
    return [
        Claim(
            "a warmup that is too long for small models raises the exponent of the best size",
            "abstract (warmup duration)",
            "exponent with a warmup of 2,000 steps at least 0.05 above that without; sizes within 15 % of flow's",
            f"warmup {', '.join(f'{w:,}: {e:.3f}' for w, e in zip(WARMUPS, warm, strict=True))}; flow {off[1]:.0%}",
            warm[-1] >= warm[0] + 0.05 and off[1] <= 0.15,
            paper="one of three reasons for 0.88 against 0.5",
            turns=f"by warmup: {', '.join(f'{w:,}: +{e - warm[0]:.3f}' for w, e in zip(WARMUPS, warm, strict=True))}",
            **given,
        ),
        Claim(
            "decay of the rate is not essential for the exponent",
            "abstract",
            "linear decay within 0.02 of a constant rate, sizes within 15 % of those of gradient flow, no label noise",
            f"constant {warm[0]:.3f}, linear decay {decay:.3f}; off flow by {off[2]:.0%}",
            abs(decay - warm[0]) <= 0.02 and off[2] <= 0.15,
            turns=f"with label noise, rates tuned: constant {tuned[WAYS[0]]:.3f}, linear decay {tuned[WAYS[1]]:.3f}",
            **given,
        ),
        Claim(
            "a rate that is not tuned to the scale distorts the exponent",
            "abstract (scale-dependent optimizer tuning)",
            "some fixed rate at least 0.05 off the exponent of tuned rates, for either schedule, with label noise",
            f"{WAYS[0]}: tuned {tuned[WAYS[0]]:.3f}, fixed {spoken(same[WAYS[0]])}; {WAYS[1]}: "
            f"tuned {tuned[WAYS[1]]:.3f}, fixed {spoken(same[WAYS[1]])} at "
            f"{', '.join(f'{rate:g}' for rate in RATES)}",
            all(np.nanmax(np.abs(np.subtract(same[way], tuned[way]))) >= 0.05 for way in WAYS),
            **given,
        ),
        Claim(
            "done right, the best size grows as theory says",
            "1 / (1 + capacity): steps^-((source - 1) / capacity) against width^(1 - source) that the model lacks",
            f"exponent within 0.02 of {theory:g}, sizes within 15 % of those of gradient flow, no label noise",
            f"{warm[0]:.3f}; off flow by {off[0]:.0%}",
            abs(warm[0] - theory) <= 0.02 and off[0] <= 0.15,
            own=True,
        ),
        Claim(
            "with label noise a decay of the rate moves the exponent up",
            "risk n^(-s/(1+s)) of a tuned constant rate, n^(-s a/(1+s a)) of a decay, against width^(1 - source)",
            f"linear decay above a constant rate, both within 0.03 of the limits {limits[0]:.3f}, {limits[1]:.3f}",
            f"constant {tuned[WAYS[0]]:.3f}, linear decay {tuned[WAYS[1]]:.3f}",
            tuned[WAYS[1]] > tuned[WAYS[0]] and bool(np.all(np.abs(np.subtract(list(tuned.values()), limits)) <= 0.03)),
            "budgets this small are not at the limit",
            own=True,
        ),
    ]


SUBSTITUTED = "a regression on the first N features for a language model of N parameters"
FIGURES = [
    Reproduction(
        "porian2024-sizes",
        "The best size for a compute budget under three practices",
        PAPER,
        2024,
        "Regression on the first N features of a power law, the rest of which is noise to it; C = N T at batch 1, C "
        "from 3 10^3 to 3 10^6 (full: 3 10^7). Capacity 1.5: source 1.6 without label noise at lr 0.1, warmups of 0 to "
        "2,000 steps or a linear decay; source 2.5, label noise 0.1, lr 0.004 to 0.4, constant or decayed. The cost of "
        "last layers is not in it.",
        compute,
        draw,
        claims,
        chosen=("spectra, rates, budgets",),
        substituted=(SUBSTITUTED,),
        seconds=3.0,
    )
]
