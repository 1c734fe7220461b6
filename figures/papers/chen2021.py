"""Chen, Wolfe and Kyrillidis 2021 (arXiv 2107.04197): REX, and schedules as a profile times a sampling rate.

Only the abstract and the caption of figure 1 were to hand. Networks are replaced by regression.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.papers.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.stationary import critical_lr

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.schedules import Schedule

__all__ = ["ASSUMED", "FIGURES", "FLOOR", "PAPER", "SCHEDULES", "Maker", "best_of_grid", "race"]

Maker = Callable[[int, float], "Schedule"]
"""(steps, peak) -> schedule."""
PAPER = "Chen, Wolfe, Kyrillidis 2021, arXiv 2107.04197, MLSys 2022"
PROBLEMS: dict[str, tuple[float, float]] = {"flat": (1.2, 1.4), "slow tail": (1.5, 1.1), "steep": (2.0, 2.5)}
"""Spectrum -> (exponent a of lam_i = i^-a, exponent b of lam_i error_i^2 = i^-b)."""
FLOOR = 1e-3
"""What the exponential profile decays to: sampled at 30-60-90 it is nearly the step schedule 1, 0.1, 0.01, 0.001."""
SCHEDULES: dict[str, Maker] = {
    "REX": lambda steps, peak: sl.schedules.rex(steps, peak),
    "linear": lambda steps, peak: sl.schedules.linear(steps, peak),
    "cosine": lambda steps, peak: sl.schedules.cosine(steps, peak),
    "exponential": lambda steps, peak: sl.schedules.sampled(steps, peak, "exponential", floor=FLOOR),
    "step": lambda steps, peak: sl.schedules.step(steps, peak),
    "OneCycle": lambda steps, peak: sl.schedules.one_cycle(steps, peak),
}
RATIO = 1.7
"""Of the coarse grid of peaks."""
LONGEST = {"tiny": 400, "quick": 10_000, "full": 100_000}
SHARES = {"tiny": (0.1, 1.0), "quick": (0.01, 0.05, 0.25, 1.0), "full": (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)}
ASSUMED = (
    "one-pass SGD on power laws, noise variance 1, in the place of networks; no momentum",
    "the peak tuned for every cell up to 0.95 of the stability limit of a constant rate",
    "the exponential profile 0.001^u; sampling rates as reconstructed",
)


def best_of_grid(peaks: npt.NDArray[np.floating], risks: npt.NDArray[np.floating]) -> tuple[float, float]:
    """(peak, risk) at the minimum of a parabola in the logarithms through the best point and its neighbours.

    Schedules differ by less than the steps of a grid of peaks do.
    """
    at = int(np.argmin(risks))
    inside = 0 < at < risks.size - 1 and peaks[at - 1] < peaks[at] < peaks[at + 1]
    if not (inside and np.isfinite(risks[at - 1 : at + 2]).all()):
        return float(peaks[at]), float(risks[at])
    x, y = np.log(peaks[at - 1 : at + 2]), np.log(risks[at - 1 : at + 2])
    curve = np.polyfit(x - x[1], y - y[1], 2)
    shift = -curve[1] / (2.0 * curve[0])
    return float(peaks[at] * np.exp(shift)), float(risks[at] * np.exp(np.polyval(curve, shift)))


def race(makers: dict[str, Maker], scale: Scale) -> list[dict[str, Any]]:
    """Risk of every schedule at its best peak, by problem and budget."""
    dim, points = (50, 3) if scale == "tiny" else (10_000, 10)
    rows = []
    for name, (capacity, source) in PROBLEMS.items():
        whole = sl.LinearRegression.power_law(dim, capacity, source, noise_variance=1.0)
        problem = whole.compress(1e-6)
        top = 0.95 * float(critical_lr(whole.eigenvalues))
        for share in SHARES[scale]:
            steps = round(share * LONGEST[scale])
            coarse = np.tile(top * RATIO ** np.arange(1.0 - points, 1.0), (len(makers), 1))
            centres = coarse[np.arange(len(makers)), _risks(problem, makers, steps, coarse).argmin(axis=1)]
            # The finer grid reaches to both neighbours on the coarse one, and not beyond the top.
            fine = np.minimum(centres[:, None] * RATIO ** np.linspace(-1.0, 1.0, 9), top)
            for label, peaks, risks in zip(makers, fine, _risks(problem, makers, steps, fine), strict=True):
                peak, risk = best_of_grid(peaks, risks)
                where = {"problem": name, "share": share, "schedule": label}
                rows.append({**where, "risk": risk, "peak": peak, "at_edge": peak == top})
    return rows


def _risks(problem: sl.LinearRegression, makers: dict[str, Maker], steps: int, peaks: FloatArray) -> FloatArray:
    """Final risks, shape of `peaks` (makers, points); inf where a run diverges."""
    pairs = zip(makers.values(), peaks, strict=True)
    methods = [sl.methods.sgd(make(steps, float(peak))) for make, row in pairs for peak in row]
    trace = sl.exact(problem, methods, record=2, progress=False)
    final = trace.final().sum(("component", "subspace")).values
    return np.where(trace.status.values == "done", final, np.inf).reshape(peaks.shape)


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def _ranks(values: FloatArray) -> FloatArray:
    """1 for the smallest."""
    return 1.0 + np.argsort(np.argsort(values)).astype(np.float64)


def compute_ranks(scale: Scale) -> Data:
    """ends: tuned risk, peak and rank by problem, budget and schedule."""
    table = stack(race(SCHEDULES, scale))
    # Rows come by problem and budget, schedules within.
    ranks = np.concatenate([_ranks(row) for row in table["risk"].reshape(-1, len(SCHEDULES))])
    return {"ends": {**table, "rank": ranks}}


def draw_ranks(data: Data) -> Figure:
    from matplotlib.ticker import NullLocator

    ends = data["ends"]
    problems = first(ends["problem"])
    with style():
        figure = new_figure(WIDTH, 4.2)
        panels = figure.subplots(2, len(problems) + 1, sharex=True, sharey="row")
        panels[0, 0].set_yscale("log")
        for j, name in enumerate([*problems, None]):
            top, bottom = panels[:, j]
            where: dict[str, Any] = {} if name is None else {"problem": name}
            for k, schedule in enumerate(SCHEDULES):
                look: dict[str, Any] = {"color": PALETTE[k], "ls": DASHES[k], "marker": ".", "label": schedule}
                top.plot(*_mean(ends, "risk", schedule, where), **look)
                bottom.plot(*_mean(ends, "rank", schedule, where), **look)
                if name is not None:
                    _mark_edges(top, ends, schedule, name, PALETTE[k])
            title = "mean of all" if name is None else _title(name)
            top.set_title(title)
            top.set_xscale("log")
            top.set_yticks([0.8, 1.0, 1.2, 1.5], ["0.8", "1", "1.2", "1.5"])
            top.yaxis.set_minor_locator(NullLocator())
            bottom.set(xlabel="budget / longest", ylim=(6.3, 0.7))
        panels[0, 0].set_ylabel("risk / that of REX")
        panels[1, 0].set_ylabel("rank")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        (edge,) = panels[0, -1].plot([], [], "o", ms=5.5, mfc="none", color="0.4")
        labels.append("peak at the stability limit")
        figure.legend([*handles, edge], labels, loc="outside lower center", ncols=7, columnspacing=1.0)
    return figure


def _mark_edges(axes: Axes, ends: Any, schedule: str, problem: str, colour: str) -> None:
    where = {"problem": problem, "schedule": schedule}
    shares, ratio = _mean(ends, "risk", schedule, {"problem": problem})
    edge = column(ends, "at_edge", **where) > 0.5
    axes.plot(np.array(shares)[edge], np.array(ratio)[edge], "o", ms=5.5, mfc="none", color=colour)


def _title(name: str) -> str:
    a, b = PROBLEMS[name]
    return f"{name}: $a$ = {a:g}, $b$ = {b:g}"


def _mean(ends: Any, key: str, schedule: str, where: dict[str, Any]) -> tuple[list[float], list[float]]:
    """By budget: mean rank, or geometric mean of the risk over that of REX."""
    shares = first(ends["share"])
    out = []
    for share in shares:
        values = column(ends, key, share=share, schedule=schedule, **where)
        if key == "risk":
            base = column(ends, key, share=share, schedule="REX", **where)
            out.append(float(np.exp(np.mean(np.log(values / base)))))
        else:
            out.append(float(values.mean()))
    return shares, out


def _against_linear(ends: Any, problem: str) -> list[float]:
    """Risk of REX over that of linear, by budget."""
    pair = [column(ends, "risk", problem=problem, schedule=name) for name in ("REX", "linear")]
    return [float(value) for value in pair[0] / pair[1]]


def claims_ranks(data: Data) -> list[Claim]:
    ends = data["ends"]
    shares, problems = first(ends["share"]), first(ends["problem"])
    low = shares[: len(shares) // 2]
    rank = {name: _mean(ends, "rank", name, {})[1] for name in SCHEDULES}
    old = [name for name in SCHEDULES if name != "REX"]
    leaders = [min(old, key=lambda name: rank[name][i]) for i in range(len(low))]
    ratio = {name: _against_linear(ends, name) for name in problems}
    worst = {name: max(ratio[name][: len(low)]) for name in problems}
    firsts = [min(SCHEDULES, key=lambda name: rank[name][i]) for i in range(len(shares))]
    words = ", ".join(
        f"{s:.0%}: {name} {rank[name][i]:.1f}" for i, (s, name) in enumerate(zip(shares, firsts, strict=True))
    )
    return [
        Claim(
            "the linear schedule is the best of the older ones at low budgets",
            "abstract; fig. 1",
            f"best mean rank without REX at {', '.join(f'{s:.0%}' for s in low)} of the longest budget",
            ", ".join(f"{s:.0%}: {name}" for s, name in zip(low, leaders, strict=True)),
            all(name == "linear" for name in leaders),
            chosen=ASSUMED[0],
            reason=f"{', '.join(dict.fromkeys(leaders))} before linear (mean ranks of linear {_list(rank['linear'])})",
        ),
        Claim(
            "the step schedule does better at high budgets than at low ones",
            "abstract; fig. 1",
            "mean rank at the highest budget below that at the lowest",
            _list(rank["step"]),
            rank["step"][-1] < rank["step"][0],
            chosen=ASSUMED[0],
            reason=f"mean ranks {_list(rank['step'])}, lowest budget first",
        ),
        Claim(
            "REX outperforms the linear schedule at low budgets",
            "abstract",
            f"risk ratio < 1 on every spectrum at {', '.join(f'{s:.0%}' for s in low)}",
            ", ".join(f"{name}: at most {value:.3f}" for name, value in worst.items()),
            max(worst.values()) < 1.0,
            chosen=ASSUMED[0],
            reason=f"ratios up to {max(worst.values()):.3f}",
        ),
        Claim(
            "REX matches or exceeds all others at low and at high budgets",
            "abstract; fig. 1",
            "first in mean rank at every budget",
            f"first: {words}; REX: {_list(rank['REX'])}",
            all(name == "REX" for name in firsts),
            chosen=ASSUMED[0],
            reason=f"first are {words}",
        ),
    ]


FIGURES = [
    Reproduction(
        "chen2021-ranks",
        "REX against five schedules, budget by budget",
        PAPER,
        2021,
        "One-pass SGD on power laws lam_i = i^-a, lam_i error_i^2 = i^-b, d = 10,000, noise variance 1; budgets of 1 %"
        " to all of 100,000 steps (quick: 10,000); REX, linear, cosine, exponential, step (x 0.1 at 30, 60, 90 %) and"
        " OneCycle, the peak tuned for every cell. Exact risk of the last iterate.",
        compute_ranks,
        draw_ranks,
        claims_ranks,
        chosen=ASSUMED,
        seconds=3.0,
    ),
]
