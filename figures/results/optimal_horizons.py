"""The price of not knowing how long a run will be, for the last iterate, and without decay for an average."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend, power_law, problem_name

import simlab as sl
from simlab.plot import PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

CASES = ((1.5, 2.5, 1.0), (2.0, 1.5, 0.01))
"""(capacity, source, noise variance): easy, and hard at low noise."""
POWERS = (0.0, 1.0, 3.0, 8.0, 20.0)
"""Of the polynomial average; 0 is the plain one."""


def compute(scale: Scale) -> Data:
    """ratios: risk at every horizon over its optimum, of the best schedule of each kind; rates: those of free ones."""
    steps, counts = {"tiny": (60, (2, 3)), "quick": (800, (3, 13)), "full": (5_000, (3, 7, 25))}[scale]
    rates, ratios, prices = [], [], []
    for case in CASES:
        problem, name = power_law(*case), problem_name(*case)
        every = _horizons(steps, counts[-1])
        least = np.array([sl.optimize(problem, each).risk for each in every])
        for count in counts:
            asked = _horizons(steps, count)
            best = sl.optimize(problem, steps, horizons=asked)
            assert best.horizons is not None
            at, there = _least_worst(
                problem, [sl.methods.sgd(best.schedule)], asked, least[np.searchsorted(every, asked)]
            )
            kind = f"{count} known"
            prices.append({"problem": name, "kind": kind, "said": best.horizons.worst, "bound": best.horizons.bound})
            ratios.append({"problem": name, "kind": kind, "horizon": asked, "ratio": there})
            rates.append({"problem": name, "kind": kind, "at": np.arange(1, steps + 1), "lr": best.schedule.values()})
        peak = best.schedule.peak()
        for kind, runs in _without_end(steps, peak).items():
            at, there = _least_worst(problem, runs, every, least)
            ratios.append({"problem": name, "kind": kind, "horizon": every, "ratio": there})
            if kind == "power of the step":
                lr = runs[at].lr.values()
                rates.append({"problem": name, "kind": kind, "at": np.arange(1, steps + 1), "lr": lr})
    return {"ratios": stack(ratios), "prices": stack(prices), "rates": stack(rates)}


def _horizons(steps: int, count: int) -> list[int]:
    """Horizons from a sixteenth of the run to all of it, by equal factors: those of 3 are among those of 13."""
    return [round(each) for each in np.geomspace(steps / 16, steps, count).tolist()]


def _without_end(steps: int, peak: float) -> dict[str, list[Any]]:
    """Runs that know no end: rates c t^-q, and a constant rate with an average, each over a grid of two numbers."""
    t = np.arange(1.0, steps + 1.0)
    scales = peak * np.geomspace(0.04, 4.0, 33)
    powers = [
        sl.methods.sgd(sl.schedules.from_array(scale * (t / t[-1] * 16) ** -q))
        for q in np.arange(0.1, 1.01, 0.1)
        for scale in scales
    ]
    constant = [sl.methods.sgd(sl.schedules.constant(steps, scale)) for scale in scales]
    averages = [sl.methods.polynomial_average(run, power) for run in constant for power in POWERS]
    return {"power of the step": powers, "constant + average": averages}


def _least_worst(
    problem: sl.LinearRegression, runs: list[Any], horizons: list[int], least: npt.NDArray[np.float64]
) -> tuple[int, npt.NDArray[np.float64]]:
    """The run whose largest ratio is least, and its ratios, by the exact engine."""
    risks = sl.exact(problem, runs, record=horizons, progress=False).total().sel(step=horizons).values
    ratios = np.nan_to_num(risks, nan=np.inf) / least
    at = int(np.argmin(ratios.max(axis=1)))
    return at, ratios[at]


def draw(data: Data) -> Figure:
    kinds = first(data["ratios"]["kind"])
    colours = dict(zip(kinds, PALETTE, strict=False))
    with style():
        figure = new_figure(WIDTH, 3.2)
        panels = figure.subplots(1, 4, width_ratios=(1.0, 1.0, 1.0, 1.0))
        for j, problem in enumerate(first(data["ratios"]["problem"])):
            for kind in first(data["rates"]["kind"]):
                at, lr = (column(data["rates"], key, problem=problem, kind=kind) for key in ("at", "lr"))
                panels[j].plot(at, lr, color=colours[kind], lw=1.0)
            panels[j].set(xscale="log", yscale="log", xlabel="step", title=f"({'ab'[j]}) {problem}")
            panels[j].set_xlim(left=3)
            for kind in kinds:
                at, ratio = (column(data["ratios"], key, problem=problem, kind=kind) for key in ("horizon", "ratio"))
                panels[2 + j].plot(
                    at, 100.0 * (ratio - 1.0), "o-", color=colours[kind], ms=3, lw=1.0, label=kind if j == 0 else None
                )
            panels[2 + j].axhline(0.0, color="0.3", lw=0.8)
            panels[2 + j].set(xscale="log", xlabel="horizon", title=f"({'cd'[j]}) {problem}")
            ends = at[[0, at.size // 2, -1]]
            panels[2 + j].set_xticks(ends, [f"{end:.0f}" for end in ends])
            panels[2 + j].set_xticks([], minor=True)
        panels[0].set_ylabel("learning rate")
        panels[2].set_ylabel("risk above the optimum's [%]")
        legend(figure, panels[2:3], 4)
    return figure


def claims(data: Data) -> list[Claim]:
    problems = first(data["ratios"]["problem"])
    kinds = first(data["prices"]["kind"])
    worst = {
        kind: np.array([column(data["ratios"], "ratio", problem=name, kind=kind).max() - 1.0 for name in problems])
        for kind in first(data["ratios"]["kind"])
    }
    said, bound = column(data["prices"], "said"), column(data["prices"], "bound")
    ours = np.array([1.0 + worst[kind][j] for j in range(len(problems)) for kind in kinds])
    off, gap = np.max(np.abs(ours / said - 1.0)), np.max(said / bound - 1.0)
    few, many, power, average = (
        worst[kinds[0]],
        worst[kinds[-1]],
        worst["power of the step"],
        worst["constant + average"],
    )

    def spoken(values: Any) -> str:
        return ", ".join(f"{100 * value:.1f} %" for value in values)

    return [
        Claim(
            "the least worst ratio is known to 0.1 %, from above and from below",
            "multipliers of the horizons raise a dual bound, Krotov's sweeps each (derived here); global if sweeps are",
            "primal over dual at most 1.001; the exact engine's ratios are those said within 10^-6",
            f"{1 + gap:.5f}; {off:.0e}",
            bool(gap <= 1e-3 and off <= 1e-6),
            own=True,
        ),
        Claim(
            "three known horizons cost one schedule little, thirteen cost it several times that",
            "the largest ratio to each horizon's own optimum, horizons from a sixteenth of the run on by equal factors",
            "at most 4 % for three, three times that and more for thirteen",
            f"{kinds[0]}: {spoken(few)}; {kinds[-1]}: {spoken(many)}",
            bool(np.all(few <= 0.04) and np.all(many >= 3.0 * few) and np.all(few > 0.0)),
            own=True,
        ),
        Claim(
            "a power of the step, the best of all, pays at least twice the price of the best schedule",
            "c t^-q, c and q on a grid; the price is that of the last iterate",
            "largest ratio - 1 at least twice that of the schedule made for all horizons",
            f"{spoken(power)} against {spoken(many)}",
            bool(np.all(power >= 2.0 * many) and np.all(power < 2.0)),
            own=True,
        ),
        Claim(
            "a constant rate with an average pays less than any schedule's last iterate",
            "polynomial average (Shamir and Zhang 2013, arXiv 1212.1824), rate and power on a grid; consistent with "
            "Meterez et al. 2026 (2602.03702)",
            "largest ratio - 1 below that of the best schedule made for all horizons",
            f"{spoken(average)} against {spoken(many)}",
            bool(np.all(average < many)),
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "results-horizons",
        "The price of not knowing the length of the run",
        "This project",
        2026,
        "SGD on two power laws of 10^8 modes (capacity, source, noise above each panel), batch 1, that may be asked "
        "to stop at any of 3 or 13 horizons, 50 to 800 steps (full: 312 to 5,000, up to 25 horizons): the schedule of "
        "free rates with the least worst ratio to the optima of the horizons, c t^-q at its best, and a constant rate "
        "read through a polynomial average. Not shown: every horizon at once, which costs more than thirteen, and "
        "wider ranges of horizons.",
        compute,
        draw,
        claims,
        seconds=6.0,
    )
]
