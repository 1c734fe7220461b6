"""Jin, Zhou, Zhao, Zhu, Guo, Canini, Krishnamurthy 2021 (arXiv 2105.10762): AutoLRS, a constant rate stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.peaks import final_risks
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import power_law, problem_name, tuned

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "stage_greedy", "stages_of"]

PAPER = "Jin, Zhou, Zhao, Zhu, Guo, Canini and Krishnamurthy 2021, arXiv 2105.10762"
TRIALS, ROUNDS = 17, 2
"""Rates that are tried of a stage at a time, and how often the two beside the best one are looked between."""
LOW, HIGH = 1e-4, 4.0
STAGES = ("T / 16", "doubling", "T / 4", "T / 2")
CASES = ((1.5, 1.3, 1.0), (1.5, 2.0, 1.0))
"""(capacity, source, noise variance)."""
MODEL = "SGD on a regression in the place of ResNet-50, a Transformer and BERT; a perfect forecast of the loss"


def stages_of(name: str, steps: int) -> list[int]:
    """Lengths of the stages, the last of which ends with the run."""
    if name == "doubling":  # T / 64 and twice as long each time, as theirs go from 1,000 to 8,000
        lengths = [max(steps // 64, 1)]
        while sum(lengths) + 2 * lengths[-1] <= steps:
            lengths.append(2 * lengths[-1])
        lengths[-1] += steps - sum(lengths)
        return lengths
    count = int(name.removeprefix("T / "))
    return [steps // count] * (count - 1) + [steps - steps // count * (count - 1)]


def stage_greedy(problem: sl.LinearRegression, stages: Sequence[int]) -> tuple[FloatArray, float]:
    """Rate of every stage, each the constant one of least risk at the stage's end; the final risk. Exact."""
    rates, state, risk, at = [], None, np.inf, 0
    for length in stages:
        low, high = np.log(LOW), np.log(HIGH)
        for _ in range(ROUNDS):
            tried = np.exp(np.linspace(low, high, TRIALS))
            runs = {f"{k}": sl.methods.sgd(sl.schedules.constant(length, rate)) for k, rate in enumerate(tried)}
            trace = sl.exact(problem, runs, record=2, keep=[at + length], start=state, progress=False)
            found = np.nan_to_num(trace.total().values[:, -1], nan=np.inf)
            best = int(np.argmin(found))
            low, high = (np.log(tried[min(max(best + side, 0), TRIALS - 1)]) for side in (-1, 1))
        at += length
        risk, rate, state = float(found[best]), tried[best], trace.state_at(at, f"{best}")
        rates.append(rate)
    return np.array(rates), risk


FACTORS = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Peaks of the baseline over its best one."""


def compute(scale: Scale) -> Data:
    """stages: rates; ends: final risk over that of tuned linear decay; speed: T over steps to a baseline's end."""
    steps = {"tiny": 64, "quick": 1_024, "full": 8_192}[scale]
    lists = STAGES[1:] if scale == "tiny" else STAGES
    stages, finals, speed = [], [], []
    for case in CASES:
        problem = power_law(*case, 10**6)
        best = {family: tuned(problem, family, steps) for family in ("constant", "cosine", "linear")}
        rivals = {family: found.risk for family, found in best.items()}
        peak = best["cosine"].parameters["peak"]
        cosines = [sl.methods.sgd(sl.schedules.cosine(steps, factor * peak)) for factor in FACTORS]
        baselines = final_risks(problem, cosines)
        for name in lists:
            lengths = stages_of(name, steps)
            rates, risk = stage_greedy(problem, lengths)
            pieces = [sl.schedules.constant(length, rate) for length, rate in zip(lengths, rates, strict=True)]
            trace = sl.exact(problem, sl.methods.sgd(sl.schedules.join(*pieces)), record="all", progress=False)
            curve = trace.total().values
            starts = np.cumsum([0, *lengths[:-1]])
            stages.append({"case": problem_name(*case), "stages": name, "start": starts, "rate": rates})
            finals.append({"case": problem_name(*case), "stages": name, "ratio": risk / rivals["linear"]})
            for factor, end in zip(FACTORS, baselines, strict=True):
                below = np.flatnonzero(curve <= end)
                gain = np.inf if np.isinf(end) else steps / below[0] if below.size else 0.0
                speed.append({"case": problem_name(*case), "stages": name, "factor": factor, "gain": gain})
        for family in ("constant", "cosine"):
            ratio = rivals[family] / rivals["linear"]
            finals.append({"case": problem_name(*case), "stages": f"{family}, tuned", "ratio": ratio})
    return {"stages": stack(stages), "ends": stack(finals), "speed": stack(speed)}


def draw(data: Data) -> Figure:
    cases = first(data["ends"]["case"])
    lists = first(data["stages"]["stages"])
    steps = 2 * int(column(data["stages"], "start", case=cases[0], stages="T / 2")[-1])
    with style():
        figure = new_figure(WIDTH, 2.7)
        rates, risks, gains = figure.subplots(1, 3)
        for colour, dashes, name in zip(PALETTE, DASHES, lists, strict=False):
            start, rate = (column(data["stages"], n, case=cases[0], stages=name) for n in ("start", "rate"))
            x, y = np.append(start, steps), np.append(rate, rate[-1])
            rates.step(x, y, where="post", color=colour, ls=dashes, label=f"stages: {name}")
            for case, marker in zip(cases, "os", strict=True):
                factor, gain = (column(data["speed"], n, case=case, stages=name) for n in ("factor", "gain"))
                seen = (gain > 0.0) & np.isfinite(gain)
                gains.plot(factor[seen], gain[seen], marker, ls=dashes, ms=4, color=colour)
        rates.set(yscale="log", xlabel="step", ylabel="learning rate", title=f"(a) {cases[0]}")
        names = first(data["ends"]["stages"])
        for case, marker, colour in zip(cases, "os", PALETTE[4:], strict=False):
            ratio = [column(data["ends"], "ratio", case=case, stages=name)[0] for name in names]
            risks.plot(ratio, np.arange(len(names)), marker, ms=5, color=colour, label=f"problem {case}")
        risks.axvline(1.0, color="0.3", lw=0.8, ls=":")
        risks.set_yticks(np.arange(len(names)), names)
        risks.set(xlabel="final risk / tuned linear decay", title="(b)")
        gains.axhline(1.22, color="0.3", lw=0.8, ls=":", label="1.22")
        gains.set(xscale="log", yscale="log", xlabel="peak of cosine / best peak", ylabel="speed-up", title="(c)")
        gains.set_xticks(FACTORS, [f"{factor:g}" for factor in FACTORS])
        gains.set_xticks([], minor=True)
        gains.set_yticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        gains.set_yticks([], minor=True)
        handles = [axes.get_legend_handles_labels() for axes in (rates, risks, gains)]
        lines, words = ([x for pair in handles for x in pair[j]] for j in (0, 1))
        figure.legend(lines, words, loc="outside lower center", ncols=4)
    return figure


def claims(data: Data) -> list[Claim]:
    cases = first(data["ends"]["case"])
    lists = first(data["stages"]["stages"])
    gain = {case: column(data["speed"], "gain", case=case, stages="doubling") for case in cases}
    ends_of = {case: np.array([column(data["ends"], "ratio", case=case, stages=n)[0] for n in lists]) for case in cases}
    equal = [j for j, name in enumerate(lists) if name != "doubling"]
    tuned_at = FACTORS.index(1.0)
    return [
        Claim(
            "stage by stage it is at least 1.22 times as fast as a schedule that was tuned",
            "abstract: ResNet-50, Transformer, BERT against their schedules",
            "T over steps to the end of a cosine at its best peak, stages that double: at least 1.22",
            ", ".join(f"{case}: {_gain(gain[case][tuned_at])}" for case in cases),
            all(bool(each[tuned_at] >= 1.22) for each in gain.values()),
            "each stage takes the constant rate that is best at its own end, and no stage cools down for the next",
            paper="1.22, 1.43 and 1.5 times",
            substituted=MODEL,
            turns="over a cosine whose peak is off by "
            + "; ".join(
                f"{factor:g}: {', '.join(_gain(gain[case][j]) for case in cases)}"
                for j, factor in enumerate(FACTORS)
                if factor != 1.0
            ),
        ),
        Claim(
            "the longer the stages the better the end",
            "stages of T / 16, T / 4 and T / 2, a perfect forecast",
            "final risk falls with the length of the stages, in both problems",
            "; ".join(f"{case}: " + ", ".join(f"{ends_of[case][j]:.3f} ({lists[j]})" for j in equal) for case in cases),
            all(bool(np.all(np.diff(each[equal]) < 0.0)) for each in ends_of.values()),
            "longer stages end higher",
            own=True,
        ),
        Claim(
            "even with a perfect forecast every list of stages ends well above a tuned linear decay",
            "final risks over that of linear decay at its best peak",
            "at least 1.15 for every list, in both problems",
            "; ".join(f"{case}: {each.min():.3f} to {each.max():.3f}" for case, each in ends_of.items()),
            all(bool(np.all(each >= 1.15)) for each in ends_of.values()),
            "a list ends nearer",
            own=True,
        ),
    ]


def _gain(value: float) -> str:
    return "it diverges" if np.isinf(value) else f"{value:.2f}" if value > 0.0 else "never"


FIGURES = [
    Reproduction(
        "jin2021-stages",
        "A constant rate, stage by stage",
        PAPER,
        2021,
        "SGD of batch 1 on power laws of 10^6 modes (capacity, source, noise), 1,024 steps (full: 8,192). Each stage "
        "takes the constant rate that leaves the least risk at its end, found exactly: AutoLRS of perfect forecast, "
        "whose trials cost nothing. Stages of one length, or from T / 64 on twice as long each time.",
        compute,
        draw,
        claims,
        chosen=("the lengths of the stages over that of the run",),
        substituted=(MODEL,),
        seconds=4.0,
    )
]
