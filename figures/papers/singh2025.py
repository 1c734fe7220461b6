"""Singh et al. 2025 (arXiv 2503.02844): one infinite schedule through a sequence of tasks against repeated cosines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.papers.continual import REGRESSION, method
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAPER = "Singh, Janson, Mehrbod, Ibrahim, Rish, Belilovsky, Thérien 2025, arXiv 2503.02844, CoLLAs 2025"
TASKS = 4
SHIFTS = (0.05, 0.1, 0.2, 0.5)
REPLAY = (0.0, 0.05)
RATES = (0.125, 0.25, 0.5)
"""Peaks of the cosine and of the infinite schedule, each of which is judged at its best."""
PLATEAU, ANNEAL, LOWEST = 0.55, 0.2, 0.1
"""Constant rate as a share of the peak; the part of a task annealed on a branch; lowest rate as a share of the peak."""
WAYS = ("repeated cosine", "infinite")
STOPS = (0.25, 0.5, 0.75, 1.0)
"""Shares of the last task after which it might have been stopped."""
CHOSEN = (
    "tasks: capacity 1.3, source 1.6, noise variance 0.3; of the tasks 2, 3, 4 eigenvalues times 1.5 and 0.6 and optima"
    " moved by c times their size, up and down in patterns of 1, 2 and 4 modes",
    "batch 8; peaks 0.125, 0.25, 0.5, the best of each; plateau at 0.55 of the peak from a quarter of task 1 on;"
    " annealed to a tenth of the peak in the last fifth, on a branch that the next task does not go on from",
)


def tasks(dim: int, shift: float) -> dict[str, sl.LinearRegression]:
    """Four regressions in one eigenbasis, whose optima lie apart by `shift`."""
    base = sl.LinearRegression.power_law(dim, 1.3, 1.6, noise_variance=0.3)
    size, found = np.abs(base.initial_error), {"1": base}
    for k in range(TASKS - 1):
        up = (np.arange(dim) >> k) % 2 == 0
        found[str(k + 2)] = base.shifted(np.where(up, 1.5, 0.6), shift * np.where(up, size, -size))
    return found


def _shares(task: int, replay: float) -> list[float]:
    """Of task `task`, all but what is replayed of those before it."""
    old = [replay / task] * task if task else []
    return [*old, 1.0 - sum(old), *[0.0] * (TASKS - 1 - task)]


def _go(problem: sl.Mixture, schedule: sl.schedules.Schedule, start: Any) -> Any:
    return sl.exact(problem, method(schedule), start=start, record=2, progress=False)


def _cosines(mixes: list[sl.Mixture], steps: int, peak: float) -> tuple[Any, Any]:
    """Risks on all tasks at the end of each (TASKS, TASKS), and at the stops of the last one."""
    state: Any = None
    ends = []
    whole = sl.schedules.cosine(steps, peak, warmup=steps // 100, floor=LOWEST)
    for mix in mixes[:-1]:
        trace = _go(mix, whole, state)
        state = trace.state
        ends.append(trace.total().values[-1])
    at = state.step + np.array([round(share * steps) for share in STOPS])
    last = sl.exact(mixes[-1], method(whole), start=state, record=at, progress=False).total().sel(step=at).values
    return np.array([*ends, last[-1]]), last


def _infinite(mixes: list[sl.Mixture], steps: int, peak: float) -> tuple[Any, Any]:
    """The same; every risk is that of a branch annealed up to there."""
    plateau, cool = PLATEAU * peak, round(ANNEAL * steps)
    state: Any = None
    annealed = sl.schedules.linear(cool, plateau, floor=LOWEST / PLATEAU)
    down = sl.schedules.cosine(steps // 4, peak, warmup=steps // 100, floor_value=plateau)
    first = sl.schedules.join(down, sl.schedules.constant(steps - down.length, plateau))
    ends: list[Any] = []
    for j, mix in enumerate(mixes):
        begin = 0 if state is None else state.step
        trunk = first if j == 0 else sl.schedules.constant(steps, plateau)
        at = [begin + round(share * steps) - cool for share in (STOPS if j == TASKS - 1 else STOPS[-1:])]
        run = sl.exact(mix, method(trunk), start=state, record=2, keep=[*at, begin + steps], progress=False)
        last = np.array([_go(mix, annealed, run.state_at(step)).total().values[-1] for step in at])
        ends.append(last[-1])
        state = run.state
    return np.array(ends), last


def compute(scale: Scale) -> Data:
    """ends: mean risk over all tasks after the last, forgetting, risk of each just learned; stops: of the last task."""
    dim, steps = {"tiny": (60, 200), "quick": (300, 2_000), "full": (1_000, 6_000)}[scale]
    shifts, rates = ((0.05, 0.5), RATES[1:]) if scale == "tiny" else (SHIFTS, RATES)
    ends, stops = [], []
    for shift in shifts:
        pieces = tasks(dim, shift)
        for replay in REPLAY:
            mixes = [sl.Mixture(pieces, _shares(j, replay)) for j in range(TASKS)]
            for way, run in zip(WAYS, (_cosines, _infinite), strict=True):
                for peak in rates:
                    risks, last = run(mixes, steps, peak)
                    where = {"shift": shift, "replay": replay, "way": way, "peak": [peak]}
                    fresh = np.diag(risks)
                    lost = (risks[-1] - fresh)[:-1].mean()
                    found = {"mean": risks[-1].mean(), "fresh": fresh.mean(), "forgotten": lost}
                    ends.append({**where, **found})
                    stops.append({**where, "peak": peak, "share": STOPS, "last": last[:, -1]})
    return {"ends": stack(ends), "stops": stack(stops)}


def _shifts(data: Data) -> Any:
    return np.unique(column(data["ends"], "shift"))


def _best(data: Data, way: str, name: str, replay: float) -> Any:
    """A column at the peak with the least mean risk, by shift."""
    out = []
    for shift in _shifts(data):
        where: dict[str, Any] = {"shift": shift, "replay": replay, "way": way}
        at = int(np.argmin(column(data["ends"], "mean", **where)))
        out.append(column(data["ends"], name, **where)[at])
    return np.array(out)


def _stopped(data: Data, way: str, shift: float) -> Any:
    """Risk on the last task by share of it, at the best peak for all of it, without replay."""
    peak = _best(data, way, "peak", 0.0)[list(_shifts(data)).index(shift)]
    return column(data["stops"], "last", shift=shift, replay=0.0, way=way, peak=peak)


def draw(data: Data) -> Figure:
    shifts = _shifts(data)
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        for j, way in enumerate(WAYS):
            for k, shift in enumerate((0.05, 0.5)):
                where: dict[str, Any] = {"shift": shift, "replay": 0.0, "way": way}
                peak, mean = (column(data["ends"], key, **where) for key in ("peak", "mean"))
                label = f"{way}, $c = {shift:g}$"
                panels[0].plot(
                    peak, mean, "os"[k], ls=DASHES[k], color=PALETTE[j], ms=6 - 3 * j, lw=2.4 - 1.4 * j, label=label
                )
            panels[2].plot(STOPS, _stopped(data, way, 0.05), "o-", color=PALETTE[j], ms=4)
        for k, replay in enumerate(REPLAY):
            for i, (name, mark) in enumerate({"mean": "mean risk", "fresh": "of each just learned"}.items()):
                ratio = _best(data, WAYS[1], name, replay) / _best(data, WAYS[0], name, replay)
                label = f"{mark}, {100 * replay:g} % replay"
                panels[1].plot(shifts, ratio, "^D"[i], ls=DASHES[k], color=PALETTE[2 + i], ms=4, label=label)
        panels[1].axhline(1.0, color="0.5", lw=0.8)
        panels[0].set(xscale="log", yscale="log", xlabel="peak learning rate", ylabel="mean risk on all tasks")
        panels[0].set_xticks(RATES, [f"{rate:g}" for rate in RATES])
        panels[1].set(xscale="log", xlabel="shift $c$ of the optima", ylabel="infinite / cosine, each at its best")
        panels[1].set_xticks(shifts, [f"{shift:g}" for shift in shifts])
        panels[2].set(yscale="log", xlabel="share of the last task", ylabel="risk on the last task, $c = 0.05$")
        for axes in panels[:2]:
            axes.set_xticks([], minor=True)
        legend(figure, panels[:2], 3)
    return figure


def claims(data: Data) -> list[Claim]:
    shifts = _shifts(data)

    def said(values: Any) -> str:
        return ", ".join(f"{shift:g}: {value:.3f}" for shift, value in zip(shifts, values, strict=True))

    def small(values: Any) -> str:
        return ", ".join(f"{shift:g}: {value:.1e}" for shift, value in zip(shifts, values, strict=True))

    ratio = {
        (name, replay): _best(data, WAYS[1], name, replay) / _best(data, WAYS[0], name, replay)
        for name in ("mean", "fresh")
        for replay in REPLAY
    }
    lost = {way: _best(data, way, "forgotten", 0.0) for way in WAYS}
    mean, replayed = (ratio["mean", replay] for replay in REPLAY)
    early = [_stopped(data, WAYS[1], shift)[:-1] / _stopped(data, WAYS[0], shift)[:-1] for shift in shifts]
    given: dict[str, Any] = {"chosen": "the tasks, their shift, peaks, plateau and lengths", "substituted": REGRESSION}
    return [
        Claim(
            "the infinite schedule ends with a lower mean risk on all tasks than repeated cosines",
            "abstract (consistently better)",
            "infinite / cosine < 1 at every shift, each at its best peak, with and without replay",
            f"without replay, by c: {said(mean)}; 5 %: {said(replayed)}",
            bool(np.all(mean < 1.0) and np.all(replayed < 1.0)),
            "at the best peaks both do nearly the same, for a quadratic has no memory of how the rate came to be low",
            paper="better for masked autoencoders and language models",
            turns=f"lower without replay at c = {', '.join(f'{each:g}' for each in shifts[mean < 1.0]) or 'none'}",
            **given,
        ),
        Claim(
            "it forgets less of the earlier tasks",
            "abstract (re-warming causes forgetting)",
            "mean rise of the risks on tasks 1, 2, 3 since they were learned lower by 1 % of the mean risk, every "
            "shift, best peaks",
            f"infinite - cosine, by c: {small(lost[WAYS[1]] - lost[WAYS[0]])}; of cosine {small(lost[WAYS[0]])}",
            bool(np.all(lost[WAYS[1]] < lost[WAYS[0]] - 0.01 * _best(data, WAYS[0], "mean", 0.0))),
            "what moves the optimum of old tasks out of reach is the sum of the rates on new data, and that is nearly "
            "the same for both",
            **given,
        ),
        Claim(
            "it may be stopped at any time: annealed there it beats a cosine that was planned for longer",
            "abstract (no fixed iteration budget)",
            "risk on the last task after 25, 50 and 75 % of it at most 0.9 x that under the cosine, every shift",
            f"infinite / cosine, largest by c: {said([float(each.max()) for each in early])}",
            all(np.all(each <= 0.9) for each in early),
            "where the tasks disagree the peak with the best mean risk is so low that stopping early is no loss",
            turns=f"holds at c = {', '.join(f'{each:g}' for each in shifts[np.max(early, axis=1) <= 0.9])}",
            **given,
        ),
        Claim(
            "the farther the tasks lie apart, the better the infinite schedule stands against cosines",
            "both at their best peak, mean risk on all tasks after the last",
            "infinite / cosine falls with the shift, above 1 at the weakest and below at the strongest",
            f"{said(mean)}",
            bool(np.all(np.diff(mean) < 0.0) and mean[0] > 1.0 > mean[-1]),
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "singh2025-infinite",
        "An infinite schedule through four tasks against repeated cosines",
        PAPER,
        2025,
        "Four regressions in one eigenbasis, d = 300 (full: 1,000), batch 8, 2,000 steps each (6,000), one after "
        "another, with no or 5 % replay. Cosine: warmup and decay to a tenth in every task. Infinite: warmup, "
        "cosine to a plateau at 0.55 of the peak, kept through all tasks; its risks are of branches annealed in the "
        "last fifth.",
        compute,
        draw,
        claims,
        chosen=CHOSEN,
        substituted=(REGRESSION,),
        seconds=4.0,
    )
]
