"""Wen et al. 2024 (arXiv 2410.05192): several budgets in one run (WSD-S), and the segment test, on the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from simlab.figures.papers.columns import first, stack
from simlab.figures.papers.wen2024 import ASSUMED, CAP, PAPER, VALLEY
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.wen2024 import river_segment_dip

from simlab import methods, river, schedules, subspaces
from simlab.arrays import FloatArray
from simlab.engines.descend import descend
from simlab.engines.exact_valley import exact_valley
from simlab.plot import WIDTH, new_figure, style
from simlab.plot.terrain import line_of
from simlab.showcase.valley import FALL, PEAK, canonical_valley

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.schedules import Schedule

BUDGETS = (500, 1000, 2000)
DECAYS = (50, 50, 100)
"""A tenth of each period."""
AT_BUDGETS = {"WSD-S": (-0.88, -2.04, -4.44), "roll-back": (-0.88, -2.13, -4.62)}
"""Reference numbers of the project's tests (tests/landscapes/test_river_canonical.py), to two digits."""
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
    trace = exact_valley(canonical_valley(), named, record="all", progress=False)
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
    return {"curves": stack(curves), "ends": stack(ends)}


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
    found = {"WSD-S": loss["WSD-S"], "roll-back": rolled}
    off = max(float(np.max(np.abs(found[way] - np.array(values)))) for way, values in AT_BUDGETS.items())
    missing = column(ends, "sum_lr", way="WSD, the same steps") - column(ends, "sum_lr", way="WSD-S")
    river_gap = column(ends, "river", way="WSD-S") - column(ends, "river", way="WSD, the same steps")
    hills = column(ends, "hills", way="WSD-S") / column(ends, "hills", way="WSD, the same steps")
    exact = float(np.max(np.abs(river_gap - FALL * missing)))

    def words(values: FloatArray) -> str:
        return ", ".join(f"{value:.2f}" for value in values)

    return [
        Claim(
            "WSD-S and WSD rolled back at 500, 1,000, 2,000 steps: -0.88 -0.88, -2.04 -2.13, -4.44 -4.62",
            "reference of this project's tests",
            "to the printed digits",
            f"largest difference {off:.4f}",
            off <= 0.005,
        ),
        Claim(
            "several budgets in one run: WSD-S is below WSD that pays for its branches",
            "section 5",
            "second and third budget lower, steps of abandoned branches counted; the first the same",
            f"{words(loss['WSD-S'])} against {words(paid)}",
            bool(abs(loss["WSD-S"][0] - paid[0]) < 1e-12 and np.all(loss["WSD-S"][1:] < paid[1:])),
            chosen=f"{ASSUMED}; compute counts the branches; one peak, below the cap {CAP:g}",
        ),
        Claim(
            "and below cyclic cosine",
            "section 5",
            "lower at all three budgets",
            f"{words(loss['WSD-S'])} against {words(loss['cyclic cosine'])}",
            bool(np.all(loss["WSD-S"] < loss["cyclic cosine"])),
            chosen=f"{ASSUMED}; one peak, below the cap {CAP:g}",
        ),
        Claim(
            "WSD-S is as good as WSD with the same number of steps behind the checkpoint",
            "asked here",
            "not above at any budget",
            f"{words(loss['WSD-S'])} against {words(rolled)}",
            bool(np.all(loss["WSD-S"] <= rolled + 1e-12)),
            chosen=ASSUMED,
            reason=f"above by {words(loss['WSD-S'] - rolled)}: the river that its earlier decays did not travel",
        ),
        Claim(
            "what the earlier decays cost is river alone: the hills forget them",
            "asked here: Theorem 2.4",
            "river loss apart by 0.05 times the missing sum of learning rates to 1e-12; hills the same to 1e-6",
            f"{exact:.1e}; {float(np.max(np.abs(hills - 1.0))):.1e}",
            exact <= 1e-12 and bool(np.all(np.abs(hills - 1.0) <= 1e-6)),
            chosen="a linear river",
        ),
    ]


# -- the segment test --------------------------------------------------------------------------------------------------

PAIRS = {"stable": (BUDGETS[0] - DECAYS[0], BUDGETS[1] - DECAYS[1]), "decayed": BUDGETS[:2]}
DRAWN = 12


def compute_segments(scale: Scale) -> Data:
    valley = canonical_valley()
    replicas = {"tiny": 24, "quick": 512, "full": 8192}[scale]
    # The last period is of no use here.
    lr = wsd_s().slice(0, BUDGETS[1])
    times = sorted({step for pair in PAIRS.values() for step in pair})
    landscape = valley.landscape()
    noise = river.noise.diagonal(np.append(0.0, np.sqrt(valley.noise)))
    trace = descend(
        landscape, methods.sgd(lr), replicas=replicas, noise=noise, record=times, paths=True, progress=False
    )
    modes = subspaces.modes(*range(1, valley.hills.size + 1))
    exact = exact_valley(valley, methods.sgd(lr), record=times, subspaces=modes, progress=False)
    curves, drawn, facts = [], [], []
    for name, (before, after) in PAIRS.items():
        a, b = (trace["iterate"].sel(step=step).values for step in (before, after))
        found = river.segments(landscape, a, b)
        chord, dip = _expected(exact, valley.hills, before, after, found.share)
        mean = found.loss.mean(axis=0)
        curves.append({"pair": name, "share": found.share, "mean": mean, "chord": chord, "expected": chord - dip})
        for j in range(min(DRAWN, replicas)):
            drawn.append({"pair": name, "replica": j, "share": found.share, "loss": found.loss[j]})
        middle = float(np.interp(0.5, found.share, dip))
        facts.append(
            {
                "pair": name,
                "replicas": replicas,
                "convex": float(found.convex.mean()),
                "crosses": float(found.crosses.mean()),
                "monotone": float(found.monotone.mean()),
                "dip": float(found.dip.mean()),
                "error": float(found.dip.std(ddof=1) / np.sqrt(replicas)),
                "expected": middle,
                "quadratic": float(np.max(np.abs(found.dip - found.predicted_dip))),
            }
        )
    return {"curves": stack(curves), "drawn": stack(drawn), "facts": stack(facts)}


def _expected(
    exact: xr.Dataset, hills: FloatArray, before: int, after: int, share: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Expected chord and dip below it, for hill states that have forgotten one another."""
    ends = [float(exact["total"].sel(step=step)) for step in (before, after)]
    names = [str(i) for i in range(1, hills.size + 1)]
    kept = exact["hill_loss"].sel(subspace=names)
    variance = kept.sel(step=[before, after]).mean("step").values * 2.0 / hills
    chord: FloatArray = (1.0 - share) * ends[0] + share * ends[1]
    return chord, river_segment_dip(hills, variance, share)


def draw_segments(data: Data) -> Figure:
    curves, drawn, facts = data["curves"], data["drawn"], data["facts"]
    with style():
        figure = new_figure(WIDTH, 2.6)
        panels = figure.subplots(1, 2)
        for j, (axes, name) in enumerate(zip(panels, PAIRS, strict=True)):
            colour = line_of(j)["color"]
            for replica in first(column(drawn, "replica", pair=name)):
                where = {"pair": name, "replica": int(replica)}
                axes.plot(
                    column(drawn, "share", **where), column(drawn, "loss", **where), color=colour, lw=0.5, alpha=0.35
                )
            share, mean, chord, expected = (
                column(curves, k, pair=name) for k in ("share", "mean", "chord", "expected")
            )
            axes.plot(share, expected, color="black", label="expected, exact")
            axes.plot(share, chord, color="black", lw=0.8, ls=":", label="its chord")
            axes.plot(share[::4], mean[::4], "o", color=colour, ms=3.5, mec="white", mew=0.4, label="sampled mean")
            axes.plot([], [], color=colour, lw=0.7, label="single pairs")
            before, after = PAIRS[name]
            held = {key: float(column(facts, key, pair=name)[0]) for key in ("crosses", "monotone")}
            axes.set_title(
                f"({'ab'[j]}) {name} iterates, steps {before} and {after:,}:\n"
                f"{held['crosses']:.0%} dip below both ends, {held['monotone']:.0%} fall all the way"
            )
            axes.set(xlabel=f"position between step {before} (0) and step {after:,} (1)", ylabel="loss")
            axes.legend(loc="upper right" if name == "decayed" else "upper center", fontsize=6.5)
        panels[0].set_ylim(top=1.32 * panels[0].get_ylim()[1])
    return figure


def claims_segments(data: Data) -> list[Claim]:
    facts = data["facts"]

    def fact(key: str, pair: str) -> float:
        return float(column(facts, key, pair=pair)[0])

    replicas = int(fact("replicas", "stable"))
    score = (fact("dip", "stable") - fact("expected", "stable")) / fact("error", "stable")
    sampled = f"{ASSUMED}; {replicas} sampled pairs"
    return [
        Claim(
            "between two iterates of the stable phase the loss is convex and dips: the line crosses the valley",
            "segment test (networks)",
            "all pairs convex, 95 % with their least loss strictly inside",
            f"{fact('convex', 'stable'):.1%} convex, {fact('crosses', 'stable'):.1%} dip below both ends",
            fact("convex", "stable") == 1.0 and fact("crosses", "stable") >= 0.95,
            chosen=sampled,
        ),
        Claim(
            "the dip in the middle is a quarter of sum lam v, half the hill loss",
            "notes 1.5",
            "mean within 5 standard errors of the exact value",
            f"{fact('dip', 'stable'):.4f} +- {fact('error', 'stable'):.4f} against {fact('expected', 'stable'):.4f}"
            f" ({score:+.1f} s.e.)",
            abs(score) <= 5.0,
        ),
        Claim(
            "between two decayed iterates the loss falls monotonically",
            "segment test (networks)",
            "95 % of the pairs",
            f"{fact('monotone', 'decayed'):.1%}",
            fact("monotone", "decayed") >= 0.95,
            chosen=sampled,
        ),
    ]


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
        chosen=(ASSUMED, "the paper's budgets and decay lengths are not known to the letter"),
        seconds=0.1,
    ),
    Reproduction(
        "wen2024-segments",
        "The loss between two checkpoints: stable ones across the valley, decayed ones down the river",
        PAPER,
        2024,
        f"{SETTING} Pairs of iterates of sampled WSD-S runs (quick: 512, full: 8,192), before the first two decays and"
        " after them, over the exact expectation.",
        compute_segments,
        draw_segments,
        claims_segments,
        chosen=(ASSUMED,),
        seconds=0.4,
    ),
]
