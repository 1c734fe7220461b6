"""Smith 2015 (arXiv 1506.01186) and Smith and Topin 2017 (1708.07120): cycles, range tests and super-convergence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.peaks import best_peaks, critical
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.methods import Method
    from simlab.schedules import Schedule

__all__ = ["FIGURES", "WAYS"]

PAPER = "Smith, Topin 2017, arXiv 1708.07120; Smith 2015, arXiv 1506.01186"
TASKS = {"much in the tail": 1.2, "little in the tail": 2.0}
"""Task -> source exponent."""
WAYS: dict[str, Callable[[int, float], Schedule]] = {
    "constant": sl.schedules.constant,
    "step": lambda steps, peak: sl.schedules.multi_step(steps, peak, drops=(0.625, 0.875), factor=0.1),
    "cycles": lambda steps, peak: sl.schedules.triangular(steps, peak, half_cycle=0.125, floor=0.05),
    "one triangle": lambda steps, peak: sl.schedules.triangular(steps, peak, half_cycle=0.5, floor=1 / 30),
    "1cycle": sl.schedules.one_cycle,
    "linear": sl.schedules.linear,
}
"""Step and triangle have the proportions of the authors' files: drops at 50,000 and 70,000 of 80,000; 0.1 .. 3.0."""
SHORTER = 8
"""80,000 steps against 10,000."""
REGRESSION = "SGD on a regression (power law of capacity 1.5, sigma^2 = 1, batch 1), without momentum and weight decay"
CHOSEN = "every peak tuned; four cycles from 5 % of the peak; source 1.2 or 2.0"


def compute(scale: Scale) -> Data:
    """risks: by task, way and steps at the best peak; ramps: where the risk turns in a range test."""
    longest = {"tiny": 256, "quick": 2_048, "full": 16_384}[scale]
    budgets = [longest // 2**k for k in range(4 if scale == "tiny" else 6)][::-1]
    risks = []
    for task, source in TASKS.items():
        problem = sl.LinearRegression.power_law(10**4, 1.5, source, noise_variance=1.0).compress(1e-6)
        cap = critical(problem)
        for steps in budgets:
            peak, risk = best_peaks(problem, [_run(way, steps) for way in WAYS], 4.0 * cap, decades=3.0)
            risks.append({"task": task, "way": list(WAYS), "steps": steps, "peak": peak, "risk": risk, "cap": cap})
    return {"risks": stack(risks), "ramps": _ramps(longest)}


def _run(way: str, steps: int) -> Callable[[float], Method]:
    return lambda peak: sl.methods.sgd(WAYS[way](steps, peak))


def _ramps(longest: int) -> dict[str, Any]:
    """Rates at which the risk is least, and back at its start, in linear ramps to four times the threshold."""
    rows = []
    for task, source in TASKS.items():
        problem = sl.LinearRegression.power_law(10**4, 1.5, source, noise_variance=1.0).compress(1e-6)
        for batch in (1, 16, 256):
            edge = critical(problem, batch)
            for steps in (longest // 8, longest):
                ramp = sl.schedules.range_test(steps, 4.0 * edge, curve="linear")
                risk = sl.exact(problem, sl.methods.sgd(ramp, batch=batch), record="all", progress=False).total().values
                known = np.nan_to_num(risk, nan=np.inf)
                low = int(np.argmin(known))
                back = low + int(np.argmax(known[low:] > known[0]))
                rates = ramp.values()[np.minimum([low, back], steps - 1)] / edge
                rows.append({"task": task, "batch": batch, "steps": steps, "least": rates[0], "back": rates[1]})
    return stack(rows)


def _risk(data: Data, task: str, way: str, key: str = "risk") -> FloatArray:
    return column(data["risks"], key, task=task, way=way)


def faster(data: Data, task: str, way: str, other: str) -> float:
    """How many times fewer steps `way` takes to the risk that `other` ends at in the longest run; 1 if never."""
    steps, risk = _risk(data, task, way, "steps"), _risk(data, task, way)
    target = np.log(_risk(data, task, other)[-1])
    order = np.argsort(risk)
    return float(steps[-1] / np.exp(np.interp(target, np.log(risk[order]), np.log(steps[order]))))


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 3.1)
        panels = figure.subplots(1, 3)
        for axes, task, tag in zip(panels, TASKS, "ab", strict=False):
            for i, way in enumerate(WAYS):
                look: dict[str, Any] = {"color": PALETTE[i], "ls": DASHES[i], "marker": "os^Dvx"[i], "ms": 3}
                axes.plot(_risk(data, task, way, "steps"), _risk(data, task, way), label=way, **look)
            axes.set(xscale="log", yscale="log", xlabel="steps of the run", ylabel="final risk, peak tuned")
            axes.set_title(f"({tag}) {task}")
        _tests(panels[2], data)
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower left", ncols=6)
    return figure


def _tests(axes: Axes, data: Data) -> None:
    longest = max(first(data["ramps"]["steps"]))
    for i, task in enumerate(TASKS):
        for key, marker, word in (("least", "o", "least"), ("back", "x", "back at its start")):
            batch, rate = (column(data["ramps"], k, task=task, steps=longest) for k in ("batch", key))
            axes.plot(batch, rate, marker=marker, ms=4, color=PALETTE[i], ls=DASHES[i], label=f"{word}, {task}")
    axes.axhline(1.0, color="0.4", lw=0.8)
    axes.set(xscale="log", yscale="log", xlabel="batch", ylabel="rate / threshold", title="(c) range test: risk is")
    axes.legend(fontsize=6, loc="lower left", bbox_to_anchor=(-0.1, 1.1))


def claims(data: Data) -> list[Claim]:
    return [*_cycles(data), *_super(data), *_range(data)]


GIVEN: dict[str, Any] = {"chosen": CHOSEN, "substituted": REGRESSION}


def _spoken(values: dict[str, float], sign: str = ".2f") -> str:
    return ", ".join(f"{value:{sign}} ({task})" for task, value in values.items())


def _cycles(data: Data) -> list[Claim]:
    constant = {task: faster(data, task, "cycles", "constant") for task in TASKS}
    step = {task: faster(data, task, "cycles", "step") for task in TASKS}
    short = {task: float(_risk(data, task, "cycles")[0] / _risk(data, task, "step")[0]) for task in TASKS}
    return [
        Claim(
            "cycles reach the risk of a tuned constant rate in fewer steps",
            "Smith 2015, abstract",
            "more than 1.1 times fewer, both tasks",
            _spoken(constant),
            min(constant.values()) > 1.1,
            "every cycle rises again",
            paper="often in fewer iterations",
            **GIVEN,
        ),
        Claim(
            "and that of a tuned step schedule",
            "Smith 2015, abstract",
            "more than 1.1 times fewer, both tasks",
            _spoken(step),
            min(step.values()) > 1.1,
            "all but the last descent of the cycles are undone by the rise that follows",
            paper="often in fewer iterations",
            turns=f"risk of cycles over step in the shortest run: {_spoken(short)}",
            **GIVEN,
        ),
    ]


def _super(data: Data) -> list[Claim]:
    speed = {way: {t: faster(data, t, way, "step") for t in TASKS} for way in ("one triangle", "1cycle", "linear")}
    best = {way: min(values.values()) for way, values in speed.items()}
    one = [float(_risk(data, t, "one triangle", "peak")[-1] / _risk(data, t, "constant", "peak")[-1]) for t in TASKS]
    peaks = dict(zip(TASKS, one, strict=True))
    lost = {task: float((_risk(data, task, "1cycle") / _risk(data, task, "linear")).min() - 1.0) for task in TASKS}
    return [
        Claim(
            "one triangle reaches what the step schedule ends at in an eighth of the steps",
            "abstract (an order of magnitude); the authors' files: 10,000 steps against 80,000",
            f"{SHORTER} times fewer, some task",
            f"one triangle {_spoken(speed['one triangle'])}; 1cycle {_spoken(speed['1cycle'])}",
            max(speed["one triangle"].values()) >= SHORTER,
            "the noise has to be averaged over as many samples whatever the schedule, and a triangle's end is not low",
            paper="8 times",
            turns=f"linear decay {_spoken(speed['linear'])}",
            **GIVEN,
        ),
        Claim(
            "with one triangle the best largest rate is several times that of a constant rate",
            "abstract: very large learning rates",
            "best peak at least twice that of a constant rate, both tasks",
            _spoken(peaks),
            min(peaks.values()) >= 2.0,
            "the largest stable rate holds both",
            paper="3.0 against 0.35",
            **GIVEN,
        ),
        Claim(
            "a cycle and a low end beat the step schedule, and a straight decay both",
            "fewer steps to the step schedule's end, and risk over that of linear decay at every length",
            "1cycle more than 1.05 times fewer, linear more than that, both tasks",
            f"1cycle at least {best['1cycle']:.2f}, linear at least {best['linear']:.2f}; 1cycle above linear by at"
            f" least {_spoken(lost, '.1%')}",
            1.05 < best["1cycle"] < best["linear"] and min(lost.values()) > 0.0,
            "so short runs do not tell them apart",
            own=True,
        ),
    ]


def _range(data: Data) -> list[Claim]:
    ramps = data["ramps"]
    longest = max(first(ramps["steps"]))
    least, back = (column(ramps, key, steps=longest) for key in ("least", "back"))
    least_short, back_short = (column(ramps, key, steps=min(first(ramps["steps"]))) for key in ("least", "back"))
    one = column(ramps, "least", steps=longest, batch=1)
    return [
        Claim(
            "a range test finds the largest stable rate: where the loss begins to rise",
            "Smith 2015, section 3.3",
            f"risk least at a rate between half and twice the threshold, ramps of {longest:,} steps, every batch",
            f"{least.min():.2f} .. {least.max():.2f} of the threshold",
            bool(least.min() >= 0.5 and least.max() <= 2.0),
            "where noise is what is left, the risk follows its floor, which rises long before anything is unstable",
            paper="the rate at which accuracy slows or falls",
            turns=f"{one.min():.2f} .. {one.max():.2f} at batch 1; in ramps of an eighth the steps"
            f" {least_short.min():.2f} .. {least_short.max():.2f}",
            **GIVEN,
        ),
        Claim(
            "a range test finds the largest stable rate: where the loss is back at its start",
            "risk at the ramp's rate against the threshold in mean square",
            f"between half and twice the threshold, ramps of {longest:,} steps, every batch",
            f"{back.min():.2f} .. {back.max():.2f} of the threshold",
            bool(back.min() >= 0.5 and back.max() <= 2.0),
            "the ramp outruns the instability",
            turns=f"ramps of an eighth the steps {back_short.min():.2f} .. {back_short.max():.2f}",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "smith2017-cycles",
        "Cycles, range tests and super-convergence on regression",
        PAPER,
        2017,
        "SGD at batch 1 on power laws (capacity 1.5, source 1.2 or 2, sigma^2 = 1, 10^4 modes), 64 .. 2,048 steps"
        " (full: to 16,384): constant, the authors' steps, four triangular cycles, one triangle, 1cycle, linear decay,"
        " each at its best peak. Range tests are linear ramps to four times the threshold at batches 1, 16, 256.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN,),
        substituted=(REGRESSION,),
        seconds=2.0,
    )
]
