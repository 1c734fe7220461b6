"""Portes et al. 2022 (arXiv 2206.00832): a whole curve of final losses by length, from one run of growing cycles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.peaks import final_risks
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.methods import Method
    from simlab.schedules import Schedule

__all__ = ["FIGURES"]

PAPER = "Portes, Blalock, Stephenson, Frankle 2022, arXiv 2206.00832"
CAPACITY = 1.5
SOURCES = (1.1, 1.2, 1.5, 2.0, 2.5)
PEAKS = (0.03, 0.1, 0.3)
SHOWN = ((1.2, 0.1), (2.0, 0.1))
METHODS: dict[str, Callable[[Schedule], Method]] = {
    "SGD, batch 1": sl.methods.sgd,
    "SGD, batch 4": lambda rates: sl.methods.sgd(rates, batch=4),
    "SGD, rate / 4": lambda rates: sl.methods.sgd(0.25 * rates),
    "heavy ball 0.9": lambda rates: sl.methods.heavy_ball(0.1 * rates, momentum=0.9),
    "heavy ball 0.9, batch 4": lambda rates: sl.methods.heavy_ball(0.1 * rates, momentum=0.9, batch=4),
}
REGRESSION = "SGD on a regression (power law of capacity 1.5, sigma^2 = 1) in place of ResNets and their accuracy"
CHOSEN = "cosine in every cycle, each twice the last; source 1.1 .. 2.5, peak 0.03 .. 0.3"


def compute(scale: Scale) -> Data:
    """curves: risk at the ends of cycles by kind of run; ranks: the same of several methods, for one task."""
    period, cycles = {"tiny": (20, 3), "quick": (125, 5), "full": (500, 6)}[scale]
    curves = []
    for source in SOURCES:
        problem = _problem(source)
        for peak in PEAKS:
            rows = _curves(problem, sl.methods.sgd, peak, period, cycles)
            curves.append({"source": source, "peak": peak, **rows})
    ranks = []
    for source in (1.2, 2.0):
        for name, method in METHODS.items():
            rows = _curves(_problem(source), method, 0.1, period, cycles)
            ranks.append({"source": source, "method": name, **rows})
    return {"curves": stack(curves), "ranks": stack(ranks)}


def _problem(source: float) -> sl.LinearRegression:
    return sl.LinearRegression.power_law(3_000, CAPACITY, source, noise_variance=1.0).compress(1e-6)


def _curves(
    problem: sl.LinearRegression, method: Callable[[Schedule], Method], peak: float, period: int, cycles: int
) -> dict[str, Any]:
    """At the ends period (2^k - 1): of one run of doubling cycles, of cycles of one length, and of runs by themselves.

    Cycles of one length are as long as the last end allows for as many as there are ends.
    """
    ends = period * (2 ** np.arange(1, cycles + 1) - 1)
    total = int(ends[-1])
    even = total // cycles
    growing = method(sl.schedules.sgdr(total, peak, period=period, multiplier=2))
    equal = method(sl.schedules.sgdr(total, peak, period=even))
    at = np.unique(np.concatenate([ends, even * np.arange(1, cycles + 1), [total]]))
    trace = sl.exact(problem, {"growing": growing, "equal": equal}, record=at, progress=False).total()
    final = even * cycles
    alone = [final_risks(problem, [method(sl.schedules.cosine(int(end), peak))])[0] for end in ends]
    last = final_risks(problem, [method(sl.schedules.cosine(final, peak))])[0]
    return {
        "end": ends,
        "growing": trace.sel(run="growing", step=ends).values,
        "equal_end": even * np.arange(1, cycles + 1),
        "equal": trace.sel(run="equal", step=even * np.arange(1, cycles + 1)).values,
        "alone": alone,
        "equal_last": trace.sel(run="equal", step=final).item() / last,
    }


def _ratio(data: Data, source: float, peak: float) -> FloatArray:
    growing, alone = (column(data["curves"], key, source=source, peak=peak) for key in ("growing", "alone"))
    return np.asarray(growing / alone)


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        for axes, (source, peak), tag in zip(panels, SHOWN, "ab", strict=False):
            names = {"alone": "run by itself", "growing": "growing cycles", "equal": "cycles of one length"}
            for i, (name, label) in enumerate(names.items()):
                end, risk = (
                    column(data["curves"], key, source=source, peak=peak)
                    for key in ("equal_end" if name == "equal" else "end", name)
                )
                axes.plot(end, risk, color=PALETTE[i], ls=DASHES[i], marker="os^"[i], ms=4, mfc="none", label=label)
            axes.set(xscale="log", yscale="log", xlabel="steps", ylabel="risk", title=f"({tag}) source {source:g}")
            end = column(data["curves"], "end", source=source, peak=peak)
            axes.set_xticks(end, [f"{step:.0f}" if k % 2 == 0 else "" for k, step in enumerate(end)])
            axes.set_xticks([], minor=True)
        for i, peak in enumerate(PEAKS):
            worst = [100.0 * (_ratio(data, source, peak).max() - 1.0) for source in SOURCES]
            strength = [(source - 1.0) / CAPACITY for source in SOURCES]
            panels[2].plot(strength, worst, color=PALETTE[3 + i], ls=DASHES[i], marker="Dvx"[i], label=f"peak {peak:g}")
        panels[2].axhline(5.0, color="0.5", lw=0.8)
        panels[2].set(
            xlabel="s = (source - 1) / capacity", ylabel="worst of growing over alone [%]", title="(c) all ends"
        )
        panels[2].legend()
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=3)
    return figure


def claims(data: Data) -> list[Claim]:
    worst = {(b, p): float(_ratio(data, b, p).max() - 1.0) for b in SOURCES for p in PEAKS}
    by_source = {b: max(worst[b, p] for p in PEAKS) for b in SOURCES}
    good = [(b - 1.0) / CAPACITY for b in SOURCES if by_source[b] <= 0.05]
    equal = {b: float(column(data["curves"], "equal_last", source=b, peak=0.1)[0] - 1.0) for b in (1.2, 2.0)}
    growing = {b: float(_ratio(data, b, 0.1)[-1] - 1.0) for b in (1.2, 2.0)}
    given: dict[str, Any] = {"chosen": CHOSEN, "substituted": REGRESSION}
    least = min(float(_ratio(data, b, p).min() - 1.0) for b in SOURCES for p in PEAKS)
    return [
        Claim(
            "the ends of growing cycles give what runs of these lengths by themselves end at",
            "abstract",
            "risk within 5 % at every end, every task and peak",
            ", ".join(f"{value:.1%} (source {b:g})" for b, value in by_source.items()) + " at worst",
            max(by_source.values()) <= 0.05,
            "in easy tasks noise of the high rates of earlier cycles is not yet forgotten",
            paper="equivalent to the standard curve",
            turns=f"within 5 % up to s = {max(good, default=0.0):.2f}; at peak {PEAKS[0]:g} within "
            f"{max(worst[b, PEAKS[0]] for b in SOURCES):.1%}",
            **given,
        ),
        _order(data, given),
        Claim(
            "cycles of one length do not",
            "abstract",
            "above a run by itself by more than growing cycles, at the last end, sources 1.2 and 2, peak 0.1",
            "; ".join(f"source {b:g}: {equal[b]:+.1%} against {growing[b]:+.1%}" for b in equal),
            all(equal[b] > growing[b] for b in equal),
            "the last cycle is long enough to forget the others",
            paper="multiplicative cycles work, cycles of constant period do not",
            **given,
        ),
        Claim(
            "one run of growing cycles never looks better than runs by themselves",
            "half of its steps are spent on cycles that are over",
            "risk at least that of the run by itself, every end, task and peak",
            f"lowest {least:+.2%}",
            least >= -1e-9,
            "warm restarts found a better schedule",
            own=True,
        ),
    ]


def _order(data: Data, given: dict[str, Any]) -> Claim:
    gaps, kept = [], []
    for source in (1.2, 2.0):
        for end in first(data["ranks"]["end"]):
            growing, alone = (
                np.log([column(data["ranks"], kind, source=source, method=name, end=end)[0] for name in METHODS])
                for kind in ("growing", "alone")
            )
            i, j = np.triu_indices(len(METHODS), 1)
            gaps.append(np.abs(alone[i] - alone[j]))
            kept.append((alone[i] - alone[j]) * (growing[i] - growing[j]) > 0.0)
    gap, same = np.concatenate(gaps), np.concatenate(kept)
    apart = gap > np.log(1.05)
    swapped = gap[~same]
    return Claim(
        "growing cycles rank training methods as runs by themselves do",
        "abstract; SGD and heavy ball at batches 1 and 4, and a lower rate",
        "pairs of methods that end more than 5 % apart keep their order at every end, sources 1.2 and 2, peak 0.1",
        f"{(same & apart).sum()} of {apart.sum()}",
        bool(apart.any() and np.all(same[apart])),
        "a restart costs a high rate more than a low one",
        paper="relative speed-ups are kept",
        turns=f"the largest gap that is turned round: {np.expm1(swapped.max(initial=0.0)):.1%}, of {swapped.size}"
        f" among {gap.size} pairs",
        **given,
    )


FIGURES = [
    Reproduction(
        "portes2022-cycles",
        "Growing cycles against runs by themselves",
        PAPER,
        2022,
        "SGD at batch 1 on power laws of 3,000 modes (capacity 1.5, source 1.1 .. 2.5, sigma^2 = 1), peaks 0.03 .. 0.3:"
        " one run of cosine cycles of 125, 250, .. 2,000 steps (full: 500 .. 16,000), one of five of equal length, and"
        " cosine runs that end where the cycles do.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN,),
        substituted=(REGRESSION,),
        seconds=2.0,
    )
]
