"""What rates lose that are best for the next step, or for the next stage, to the best schedule of the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.papers.jin2021 import stage_greedy, stages_of
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend, power_law, tuned

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

CAPACITY, NOISE = 1.5, 1.0
WAYS = ("next step", "next quarter", "constant", "linear")
LABELS = {
    "next step": "best for the next step",
    "next quarter": "best for the next quarter of the run",
    "constant": "constant, best peak",
    "linear": "linear decay, best peak",
}


def compute(scale: Scale) -> Data:
    """ratios: risk over that of the certified optimum, by source, horizon and way; rates: greedy and best ones."""
    sources, horizons = {
        "tiny": ((1.3, 2.0), (32, 64)),
        "quick": ((1.15, 1.3, 1.6, 2.5), (128, 512, 2_048)),
        "full": ((1.15, 1.3, 1.6, 2.5), (128, 512, 2_048, 4_096)),
    }[scale]
    ratios, rates = [], []
    for source in sources:
        problem = power_law(CAPACITY, source, NOISE, 10**6)
        longest = sl.methods.sgd(sl.schedules.constant(horizons[-1], 1.0))
        greedy = sl.methods.closed_loop(longest, sl.feedback.line_search())
        at = np.unique(np.round(np.append(np.geomspace(1, horizons[-1], 60), horizons)).astype(int))
        trace = sl.limit(problem, greedy, record=at, progress=False)
        step, risk = trace.dataset["step"].values, trace.total().values
        for steps in horizons:
            best = sl.optimize(problem, steps)
            risks = {"next step": float(risk[np.searchsorted(step, steps)])}
            risks["next quarter"] = stage_greedy(problem, stages_of("T / 4", steps))[1]
            risks |= {family: tuned(problem, family, steps).risk for family in WAYS[2:]}
            ratios.append(
                {"source": source, "T": steps, "way": WAYS, "ratio": [risks[way] / best.risk for way in WAYS]}
            )
        own = best.method.learning_rate.values()
        rates.append(
            {"source": source, "way": "next step", "step": step[:-1], "rate": trace.dataset["rate"].values[:-1]}
        )
        rates.append({"source": source, "way": "optimum", "step": step[:-1], "rate": own[step[:-1]]})
    return {"ratios": stack(ratios), "rates": stack(rates)}


def draw(data: Data) -> Figure:
    table = data["ratios"]
    sources, horizons = first(table["source"]), first(table["T"])
    with style():
        figure = new_figure(WIDTH, 2.7)
        rates, lengths, problems = figure.subplots(1, 3)
        for colour, source in zip(PALETTE, (sources[1], sources[-1]), strict=False):
            for dashes, way in zip(DASHES, ("next step", "optimum"), strict=False):
                step, rate = (column(data["rates"], name, source=source, way=way) for name in ("step", "rate"))
                words = f"{'greedy' if way == 'next step' else 'optimum'}, b = {source:g}"
                rates.plot(step + 1, rate, color=colour, ls=dashes, label=words)
        rates.set(xscale="log", yscale="log", xlabel="step", ylabel="learning rate", title="(a)")
        source = sources[1]
        for colour, dashes, way in zip(PALETTE[2:], DASHES, WAYS, strict=False):
            ratio = column(table, "ratio", source=source, way=way)
            lengths.plot(horizons, 100 * (ratio - 1), "o", ls=dashes, ms=3, color=colour)
            ratio = column(table, "ratio", T=horizons[-1], way=way)
            problems.plot(sources, 100 * (ratio - 1), "o", ls=dashes, ms=3, color=colour, label=LABELS[way])
        lengths.set(xscale="log", yscale="log", xlabel="steps $T$", ylabel="risk above the optimum [%]")
        lengths.set_xticks(horizons, [f"{steps:,}" for steps in horizons])
        lengths.set_xticks([], minor=True)
        lengths.set_title(f"(b) source b = {source:g}")
        problems.set(yscale="log", xlabel="source exponent b", title=f"(c) T = {horizons[-1]:,}")
        legend(figure, (rates, problems), 4)
    return figure


def claims(data: Data) -> list[Claim]:
    table = data["ratios"]
    sources, horizons = first(table["source"]), first(table["T"])

    def ratio(way: str, steps: int | None = None) -> np.ndarray:
        """(sources, horizons), or of one horizon."""
        out = column(table, "ratio", way=way).reshape(len(sources), len(horizons))
        return out if steps is None else out[:, horizons.index(steps)]

    step, quarter, constant = ratio("next step"), ratio("next quarter"), ratio("constant")
    growth, middle = step[:, -1] / step[:, 0], min(horizons[-1], 2_048)
    shown = ", ".join(f"{source:g}" for source in sources)
    share = [_share(data, source) for source in sources]
    return [
        Claim(
            "the rate that is best for the next step loses to the best constant rate",
            "exact line search, closed over exact moments; constant rate at its best peak, by the exact engine",
            "a higher risk at every source and horizon",
            f"risk over the optimum's at T = {horizons[-1]:,}, b = {shown}: greedy {_list(step[:, -1])}; constant "
            f"{_list(constant[:, -1])}",
            bool(np.all(step > constant)),
            "in a run too short to have left the first modes, one step ahead is far enough",
            turns="does not lose at "
            + (
                ", ".join(f"b = {sources[j]:g}, T = {horizons[k]:,}" for j, k in np.argwhere(step <= constant))
                or "none"
            ),
            own=True,
        ),
        Claim(
            "and the more the longer the run",
            "both over the certified optimum of each horizon",
            f"the ratio grows from T = {horizons[0]:,} on at every source, to 1.3 to 2.1 at {middle:,}",
            f"b = {shown}: from {_list(step[:, 0])} to {_list(ratio('next step', middle))} (T = {middle:,}); its rate "
            f"is {_list(np.array(share))} of the best one at half of the longest run",
            bool(np.all(growth > 1.0) and np.all(np.abs(ratio("next step", middle) - 1.7) <= 0.4)),
            "the ratio falls at a source",
            own=True,
        ),
        Claim(
            "looking ahead a quarter of the run leaves a third to a half of that loss",
            "stages of T / 4, each at the constant rate that is best at its end, exactly",
            f"0.25 to 0.6 of the loss of the next step is left at every source, T = {horizons[-1]:,}",
            f"b = {shown}: " + _list((quarter[:, -1] - 1) / (step[:, -1] - 1)),
            bool(np.all(np.abs((quarter[:, -1] - 1) / (step[:, -1] - 1) - 0.425) <= 0.175)),
            "it leaves another share",
            own=True,
        ),
    ]


def _share(data: Data, source: float) -> float:
    """Greedy rate over the best one, at half of the run."""
    step, greedy = (column(data["rates"], name, source=source, way="next step") for name in ("step", "rate"))
    best = column(data["rates"], "rate", source=source, way="optimum")
    half = int(np.argmin(np.abs(step - 0.5 * step[-1])))
    return float(greedy[half] / best[half])


def _list(values: np.ndarray) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


FIGURES = [
    Reproduction(
        "results-greedy",
        "Greedy rates against the best schedule",
        "This project",
        2026,
        "SGD of batch 1 on power laws of 10^6 modes, capacity 1.5, noise 1, sources 1.15 to 2.5, 128 to 2,048 steps "
        "(full: to 4,096): the rate that leaves the least risk one step ahead, the constant rate that is best at the "
        "end of each quarter, the best constant and linear ones, all over the certified optimum of the whole run.",
        compute,
        draw,
        claims,
        seconds=5.0,
    )
]
