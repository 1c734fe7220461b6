"""Wen et al. 2024 (arXiv 2410.05192): several budgets in one run (WSD-S)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.papers.wen2024 import CAP, CHOSEN, FALL, PAPER, SUBSTITUTED, VALLEY, valley
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

from simlab import methods, schedules
from simlab.arrays import FloatArray
from simlab.engines.exact_valley import exact_valley
from simlab.plot import WIDTH, new_figure, style
from simlab.plot.terrain import line_of
from simlab.showcase.valley import PEAK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.schedules import Schedule

__all__ = ["BUDGETS", "DECAYS", "FIGURES", "SETTING", "wsd_s"]

BUDGETS = (500, 1000, 2000)
DECAYS = (50, 50, 100)
"""A tenth of each period."""
AT_BUDGETS = {"WSD-S": (-0.88, -2.04, -4.44), "roll-back": (-0.88, -2.13, -4.62)}
"""At a fall of 0.05, by an independent recursion, to two digits."""
STEEP = 0.05
TUNED = 25
"""Peaks up to the cap, of which the best is taken."""
SETTING = (
    f"{VALLEY} Budgets 500, 1,000 and 2,000 steps, decays linear in 1/lr to a tenth of the peak over 50, 50 and 100"
    " steps."
)


def wsd_s() -> Schedule:
    """One branch, which decays at every budget and goes back to the peak."""
    return schedules.wsd_s(BUDGETS[-1], PEAK, budgets=BUDGETS[:-1], cooldown=0.1, floor=0.1)


def branch(steps: int, decay: int) -> Schedule:
    """A run that was rolled back to the stable phase before it decayed."""
    return schedules.wsd(steps, PEAK, cooldown=decay, shape="inverse-proportional", floor=0.1)


# -- WSD-S against WSD that rolls back ---------------------------------------------------------------------------------


def compute_budgets(scale: Scale) -> Data:
    periods = np.diff((0, *BUDGETS)).tolist()
    runs = {
        "WSD-S": wsd_s(),
        "cyclic cosine": schedules.join(*(schedules.cosine(period, PEAK) for period in periods)),
        "stable phase": schedules.constant(BUDGETS[-1], PEAK),
    }
    wasted = np.concatenate([[0], np.cumsum(DECAYS)[:-1]]).tolist()
    for budget, decay, waste in zip(BUDGETS, DECAYS, wasted, strict=True):
        runs[f"branch {budget}"] = branch(budget, decay)
        # The same compute: what earlier branches spent is missing from the trunk.
        runs[f"paid {budget}"] = branch(budget - waste, decay)
    named = {name: methods.sgd(schedule) for name, schedule in runs.items()}
    trace = exact_valley(valley(), named, record="all", progress=False)
    curves, ends = [], []
    for name, schedule in runs.items():
        own = trace.sel(run=name)
        parts = {
            "loss": own["total"].values,
            "river": own["river_loss"].values,
            "hills": own["hill_loss"].sum("subspace").values,
        }
        sums = np.concatenate([[0.0], np.cumsum(schedule.values())])
        way, _, number = name.partition(" ")
        row: dict[str, Any]
        if way in ("branch", "paid"):
            at = [schedule.length]
            label = {"branch": "WSD, the same steps", "paid": "WSD, the same compute"}[way]
            row = {"way": label, "budget": int(number)}
        else:
            at, row = list(BUDGETS), {"way": name, "budget": np.array(BUDGETS)}
        ends.append({**row, **{key: values[at] for key, values in parts.items()}, "sum_lr": sums[at]})
        if way != "paid":
            begin = schedule.length - dict(zip(BUDGETS, DECAYS, strict=True))[int(number)] if way == "branch" else 0
            kept = np.unique([*range(begin, schedule.length + 1, 5), *at])
            lr = np.append(schedule.values(), np.nan)
            curves.append({"run": name, "step": kept, "loss": parts["loss"][kept], "lr": lr[kept]})
    return {"curves": stack(curves), "ends": stack(ends), "peaks": _by_peak(5 if scale == "tiny" else TUNED)}


def _by_peak(count: int) -> dict[str, Any]:
    """Losses at every budget over peaks up to the cap: one WSD-S for all, a cosine run of its own for each."""
    peaks = CAP * np.geomspace(0.2, 1.0, count)
    parts = []
    for budget in BUDGETS:
        # Runs of one length together.
        rows = []
        runs = []
        for peak in peaks.tolist():
            one = schedules.wsd_s(BUDGETS[-1], peak, budgets=BUDGETS[:-1], cooldown=0.1, floor=0.1)
            for way, lr in (("WSD-S", one.slice(0, budget)), ("cosine", schedules.cosine(budget, peak))):
                runs.append(methods.sgd(lr))
                rows.append({"way": way, "budget": budget, "peak": peak, "sum_lr": float(lr.values().sum())})
        with warnings.catch_warnings():
            # The last peak sits on the cap on purpose.
            warnings.filterwarnings("ignore", message="the peak learning rate")
            end = exact_valley(valley(), runs, record=2, progress=False).isel(step=-1)
        parts.append({**stack(rows), "hills": end["hill_loss"].sum("subspace").values})
    return stack(parts)


def _tuned(data: Data, way: str, budget: int, fall: float = FALL) -> float:
    """The least loss over peaks up to the cap."""
    sums, hills = (column(data["peaks"], key, way=way, budget=budget) for key in ("sum_lr", "hills"))
    return float(np.min(hills - fall * sums))


def draw_budgets(data: Data) -> Figure:
    curves, ends = data["curves"], data["ends"]
    looks: dict[str, dict[str, Any]] = {
        "stable phase": {"color": "0.55", "ls": "-", "lw": 1.0},
        "cyclic cosine": line_of(0),
        "WSD-S": {**line_of(1), "zorder": 4},
        "branch": {"color": "black", "ls": "-", "lw": 1.2},
    }
    with style():
        figure = new_figure(WIDTH, 2.9)
        left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1.45, 1.0])[0]
        a, b = left.subplots(2, 1, sharex=True, height_ratios=[2.6, 1.0])
        for run in ("stable phase", "cyclic cosine", "WSD-S", *(f"branch {budget}" for budget in BUDGETS)):
            kind = run.partition(" ")[0] if run.startswith("branch") else run
            label = "WSD, rolled back" if run == "branch 500" else (run if kind != "branch" else None)
            step, loss, lr = (column(curves, key, run=run) for key in ("step", "loss", "lr"))
            a.plot(step, loss, label=label, **looks[kind])
            b.plot(step, lr, **looks[kind])
            if kind == "branch":
                a.plot(step[-1], loss[-1], "o", color="black", ms=3.5)
        a.set(title=f"(a) one run, three budgets; peak {PEAK:g}, cap {CAP:g}", ylabel="expected loss")
        b.set(xlabel="step", ylabel="learning rate", ylim=(0.0, 0.056), xlim=(0, BUDGETS[-1]))
        a.legend(loc="lower left", fontsize=6.5)
        c = right.subplots()
        ways = [way for way in first(ends["way"]) if way not in ("stable phase", "WSD-S", "cyclic cosine")]
        base = column(ends, "loss", way="WSD-S")
        place = np.arange(len(BUDGETS))
        for j, way in enumerate(ways):
            gap = column(ends, "loss", way=way) - base
            bars = c.bar(place + 0.38 * (j - 0.5), gap, 0.36, color=("black", "#56B4E9")[j], label=way)
            c.bar_label(
                bars, ["0" if abs(v) < 1e-9 else f"{v:+.3f}".replace("-", "−") for v in gap], fontsize=6, padding=2
            )
        c.axhline(0.0, color=line_of(1)["color"], lw=1.3)
        c.set_xticks(place, [f"{budget:,}" for budget in BUDGETS])
        c.set(title="(b) WSD rolled back, against WSD-S", xlabel="budget, steps", ylabel="loss minus that of WSD-S")
        c.margins(y=0.16)
        c.legend(loc="lower left", fontsize=6.5)
        c.grid(axis="x", visible=False)
    return figure


def claims_budgets(data: Data) -> list[Claim]:
    ends = data["ends"]
    loss = {way: column(ends, "loss", way=way) for way in first(ends["way"])}
    rolled, paid = loss["WSD, the same steps"], loss["WSD, the same compute"]
    tuned = {way: np.array([_tuned(data, way, budget) for budget in BUDGETS]) for way in ("WSD-S", "cosine")}
    apart = tuned["WSD-S"] - tuned["cosine"]
    one_peak = loss["WSD-S"] - tuned["cosine"]
    return [
        Claim(
            "several budgets in one run: WSD-S is below WSD that pays for its branches",
            "abstract; section 5",
            "second and third budget lower, steps of abandoned branches counted; the first the same",
            f"{_words(loss['WSD-S'])} against {_words(paid)}",
            bool(abs(loss["WSD-S"][0] - paid[0]) < 1e-12 and np.all(loss["WSD-S"][1:] < paid[1:])),
            "the river that the earlier decays did not travel outweighs the steps saved",
            paper="WSD-S outperforms WSD at equal compute, 0.1B to 1.2B parameters",
            chosen=PEAKS,
            substituted=SUBSTITUTED,
        ),
        Claim(
            "WSD-S is below cyclic cosine, and no worse than cosine runs that are each tuned for one budget",
            "abstract; section 5",
            "lower at all three budgets; against the runs, both at their best peak up to the cap, not above by 0.05",
            f"{_words(loss['WSD-S'])} against {_words(loss['cyclic cosine'])}; {_words(tuned['WSD-S'])} against "
            f"{_words(tuned['cosine'])}",
            bool(np.all(loss["WSD-S"] < loss["cyclic cosine"]) and np.all(apart <= 0.05)),
            "hills left by the decay outweigh the longer way along the river",
            paper="WSD-S outperforms cyclic cosine for several budgets in one run, and is comparable with "
            "independently tuned cosine runs",
            chosen=f"{PEAKS}; one cap on every peak, {CAP:g}",
            substituted=SUBSTITUTED,
            turns=f"held at a peak of {PEAK:g} WSD-S is apart from the tuned runs by {_words(one_peak, sign='+')}",
        ),
        *_own_budgets(data, loss, rolled),
    ]


PEAKS = f"one peak {PEAK:g} for every schedule, below the cap {CAP:g}"


def _own_budgets(data: Data, loss: dict[str, FloatArray], rolled: FloatArray) -> list[Claim]:
    ends = data["ends"]
    steep = {
        way: column(ends, "hills", way=name) + column(ends, "river", way=name) * (STEEP / FALL)
        for way, name in (("WSD-S", "WSD-S"), ("roll-back", "WSD, the same steps"))
    }
    off = max(float(np.max(np.abs(steep[way] - np.array(values)))) for way, values in AT_BUDGETS.items())
    missing = column(ends, "sum_lr", way="WSD, the same steps") - column(ends, "sum_lr", way="WSD-S")
    river_gap = column(ends, "river", way="WSD-S") - column(ends, "river", way="WSD, the same steps")
    hills = column(ends, "hills", way="WSD-S") / column(ends, "hills", way="WSD, the same steps")
    exact = float(np.max(np.abs(river_gap - FALL * missing)))
    return [
        Claim(
            f"losses at the three budgets at a fall of {STEEP:g} are those of an independent recursion",
            "h <- (1 - eta lam)^2 h + eta^2 lam c / 2 for every hill",
            "; ".join(f"{way} {_words(np.array(values))}" for way, values in AT_BUDGETS.items()),
            f"largest difference {off:.4f}",
            off <= 0.005,
            "another valley",
            own=True,
        ),
        Claim(
            "WSD-S is as good as WSD with the same number of steps behind the checkpoint",
            "panel (b), black: the branches for nothing",
            "not above at any budget",
            f"{_words(loss['WSD-S'])} against {_words(rolled)}",
            bool(np.all(loss["WSD-S"] <= rolled + 1e-12)),
            "the river that its earlier decays did not travel is missing",
            own=True,
        ),
        Claim(
            "what the earlier decays cost is river alone: the hills forget them",
            "river loss -fall x sum(eta)",
            "river loss apart by fall x the missing sum of learning rates to 1e-12; hills the same to 1e-6",
            f"{exact:.1e}; {float(np.max(np.abs(hills - 1.0))):.1e}",
            exact <= 1e-12 and bool(np.all(np.abs(hills - 1.0) <= 1e-6)),
            "the hills remember",
            own=True,
        ),
    ]


def _words(values: FloatArray, sign: str = "") -> str:
    return ", ".join(f"{value:{sign}.2f}" for value in values)


FIGURES = [
    Reproduction(
        "wen2024-wsds",
        "WSD-S against WSD that rolls back, at three budgets",
        PAPER,
        2024,
        f"{SETTING} WSD-S goes on from its decayed checkpoint, WSD goes back to the stable phase. Exact expected"
        " losses, the same at every scale.",
        compute_budgets,
        draw_budgets,
        claims_budgets,
        chosen=(*CHOSEN[:2], PEAKS),
        substituted=(SUBSTITUTED, "500, 1,000 and 2,000 steps for 12,500, 25,000 and 50,000"),
        seconds=2.0,
    ),
]
