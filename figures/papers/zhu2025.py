"""Zhu et al. 2025 (arXiv 2507.06542): workers that are merged once, at the end, against mini-batches of all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.peaks import final_risks
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.methods import Method

__all__ = ["FIGURES"]

PAPER = "Zhu et al. 2025, arXiv 2507.06542, ICLR 2026"
WORKERS, DOMAINS = 8, 4
RATES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.9)
"""Peaks, times the trace of H."""
SHAPES = ("constant", "linear")
PLANS = ("once", "early", "even", "late")
SKEWS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""How far the optima of workers lie from their mean, over how far the start does, mode by mode."""
REGRESSION = "SGD on a regression (capacity 1.5, source 1.3, sigma^2 = 1) in place of networks on image classes"
CHOSEN = "8 workers of batch 1 that share one distribution; peaks 0.05 .. 0.9 / tr H, constant or linear decay"
SKEWED = "4 workers of batch 1, each with an optimum of its own, linear decay"


def compute(scale: Scale) -> Data:
    """rates: risks at the end by plan; skew: of workers that disagree; path: along one run; noise: additive."""
    dim, steps = {"tiny": (40, 100), "quick": (300, 1_000), "full": (600, 2_000)}[scale]
    problem = sl.LinearRegression.power_law(dim, 1.5, 1.3, noise_variance=1.0)
    trace = float(problem.eigenvalues.sum())
    rates = []
    for shape in SHAPES:
        for rate in RATES:
            schedule = sl.schedules.make(shape, steps, peak=rate / trace)
            mini, risks = _plans(problem, schedule)
            rates.append({"shape": shape, "rate": rate, "plan": PLANS, "risk": risks / mini})
    quadratic = sl.NoisyQuadratic(problem.eigenvalues, problem.initial_error, problem.eigenvalues)
    mini, risks = _plans(quadratic, sl.schedules.constant(steps, 0.6 / trace))
    return {
        "rates": stack(rates),
        "noise": {"plan": PLANS, "risk": risks / mini},
        "path": _path(problem, sl.schedules.linear(steps, 0.6 / trace)),
        "skew": _skewed(*{"tiny": (10, 40), "quick": (20, 200), "full": (60, 600)}[scale]),
    }


def _plans(problem: Any, schedule: sl.schedules.Schedule) -> tuple[float, FloatArray]:
    """Risk of mini-batches of all workers, and of ten merges early, evenly or late, or a single one."""
    steps = schedule.length
    tenth = np.arange(1, 11) * steps // 100
    merges: dict[str, list[int] | None] = {
        "once": None,
        "early": tenth.tolist(),
        "even": (10 * tenth).tolist(),
        "late": (steps - steps // 10 + tenth).tolist(),
    }
    base = sl.methods.sgd(schedule)
    runs: list[Method] = [sl.methods.local(base, workers=WORKERS, merge=merges[plan]) for plan in PLANS]
    risks = final_risks(problem, [sl.methods.sgd(schedule, batch=WORKERS), *runs])
    return float(risks[0]), risks[1:]


def _path(problem: sl.LinearRegression, schedule: sl.schedules.Schedule) -> dict[str, Any]:
    """Risk of one worker, of the mean of all, and of mini-batches, along a run."""
    marks = np.unique(np.geomspace(1, schedule.length, 60).astype(int))
    team = sl.methods.local(sl.methods.sgd(schedule), workers=WORKERS)
    found = sl.exact(problem, team, record=marks, progress=False)
    alone = found.dataset["worker_risk"].sel(step=marks)
    others = [name for name in alone.dims if name != "step"]
    mini = sl.exact(problem, sl.methods.sgd(schedule, batch=WORKERS), record=marks, progress=False)
    return {
        "step": marks,
        "one": alone.sum(others).values,
        "merged": found.total().sel(step=marks).values,
        "mini": mini.total().sel(step=marks).values,
    }


def _skewed(dim: int, steps: int) -> dict[str, Any]:
    """Excess of the mean risk over domains above its least: merged once over mini-batches with one sample of each
    worker, and one worker over merged once.
    """
    base = sl.LinearRegression.power_law(dim, 1.5, 1.3, noise_variance=1.0)
    lam = base.eigenvalues
    away = np.random.default_rng(0).standard_normal((DOMAINS, dim)) * np.abs(base.initial_error)
    away -= away.mean(axis=0)
    rows = []
    for skew in SKEWS:
        errors = [base.initial_error + skew * each for each in away]
        mixture = sl.Mixture([sl.LinearRegression(lam, error, 1.0) for error in errors])
        floor = 0.5 * skew**2 * float(np.mean(np.sum(lam * away**2, axis=1)))
        for rate in (0.1, 0.6):
            sgd = sl.methods.sgd(sl.schedules.linear(steps, rate / lam.sum()))
            team = sl.methods.local(sgd, workers=DOMAINS, own_domains=True)
            found = sl.exact(mixture, {"once": team, "mini": replace(team, every=1)}, record=2, progress=False)
            once, mini = found.total().isel(step=-1).mean("domain").values - floor
            alone = found.dataset["worker_risk"].sel(run="once").isel(step=-1).sum(["component", "subspace"]).mean()
            rows.append({"skew": skew, "rate": rate, "risk": once / mini, "one": (float(alone) - floor) / once})
    return stack(rows)


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        names = {"one": "one worker", "merged": "merged, once", "mini": "mini-batches"}
        for i, (key, label) in enumerate(names.items()):
            panels[0].plot(data["path"]["step"], data["path"][key], color=PALETTE[i], ls=DASHES[i], label=label)
        panels[0].set(xscale="log", yscale="log", xlabel="step", ylabel="risk", title="(a) linear decay, 0.6 / tr H")
        panels[0].legend()
        _by_plan(panels[1], data)
        for i, rate in enumerate(first(data["skew"]["rate"])):
            skew, risk = (column(data["skew"], key, rate=rate) for key in ("skew", "risk"))
            panels[2].plot(
                np.arange(skew.size), risk, color=PALETTE[4 + i], marker="os^"[i], ms=3, label=f"peak {rate:g} / tr H"
            )
        panels[2].axhline(1.0, color="0.4", lw=0.8)
        panels[2].set_xticks(np.arange(len(SKEWS)), [f"{skew:g}" for skew in SKEWS])
        panels[2].set(xlabel="skew", ylabel="risk over that of mini-batches", title="(c) workers that disagree")
        panels[2].legend()
    return figure


def _by_plan(axes: Axes, data: Data) -> None:
    for i, plan in enumerate(PLANS):
        for shape, dash in zip(SHAPES, ("-", ":"), strict=True):
            rate, risk = (column(data["rates"], key, shape=shape, plan=plan) for key in ("rate", "risk"))
            word = {"once": "once, at the end"}.get(plan, f"10 times, {plan}")
            label = word if shape == SHAPES[0] else None
            axes.plot(rate, 100 * (risk - 1.0), color=PALETTE[i], ls=dash, marker="os^D"[i], ms=3, label=label)
    axes.set(xscale="log", yscale="log", xlabel="peak x tr H", ylabel="risk above mini-batches [%]")
    axes.set_title("(b) dotted: linear decay")
    axes.legend(fontsize=6)


def _over(data: Data, shape: str, plan: str) -> FloatArray:
    return column(data["rates"], "risk", shape=shape, plan=plan)


def claims(data: Data) -> list[Claim]:
    given: dict[str, Any] = {"chosen": CHOSEN, "substituted": REGRESSION}
    return [*_once(data, given), _late(data, given), *_own(data)]


def _once(data: Data, given: dict[str, Any]) -> list[Claim]:
    linear, constant = _over(data, "linear", "once"), _over(data, "constant", "once")
    above = constant > 1.05
    turn = float(np.exp(np.interp(1.05, constant, np.log(RATES)))) if above.any() else np.nan
    one, merged = (float(np.asarray(data["path"][key])[-1]) for key in ("one", "merged"))
    skew, rate, risk = (column(data["skew"], key) for key in ("skew", "rate", "risk"))
    far, alone = (column(data["skew"], key, rate=0.6) for key in ("skew", "one"))
    at = {r: (skew[rate == r], risk[rate == r]) for r in first(data["skew"]["rate"])}
    turns = [float(np.interp(-1.0, -values, skews)) for skews, values in at.values() if values.min() < 1.0]
    skewed: dict[str, Any] = {"chosen": f"{CHOSEN}; {SKEWED}", "substituted": REGRESSION}
    return [
        Claim(
            "one merge at the end recovers what mini-batches of all workers reach",
            "abstract",
            "risk at most 5 % above, linear decay, every peak",
            f"{100 * (linear.max() - 1.0):.2f} % above at most",
            bool(linear.max() <= 1.05),
            "a worker's noise is driven by its own, larger risk",
            paper="matches server-based training",
            turns=f"constant rates leave 5 % at a peak of {turn:.2f} / tr H; at {RATES[-1]} / tr H they are at"
            f" {constant[-1] - 1.0:+.0%}",
            **given,
        ),
        Claim(
            "the merged model is far better than any of the models that are merged",
            "abstract",
            "excess of one worker at least twice that of the mean, skew 1 and above, linear decay, 0.6 / tr H",
            ", ".join(f"{x:.3g} x (skew {k:g})" for k, x in zip(far, alone, strict=True)),
            bool(np.all(alone[far >= 1.0] >= 2.0)),
            "what remains is bias, which no merge removes",
            paper="poor local models, a good merged one",
            turns=f"{WORKERS} workers with the same data, in the longer run of (a): {one / merged:.2f} x",
            **skewed,
        ),
        Claim(
            "with data that differ from worker to worker one merge can beat mini-batches of all",
            "abstract, first version",
            "excess risk below that of mini-batches with one sample of each worker at skew 4, above it without skew,"
            " every peak",
            "; ".join(f"{values[0]:.4f} to {values[-1]:.3f} of it ({r:g} / tr H)" for r, (_, values) in at.items()),
            all(values[-1] < 1.0 < values[0] for _, values in at.values()),
            "the noise of a worker is that of its own risk, which is the larger one",
            paper="can be faster than mini-batch SGD",
            turns=f"from a skew of {min(turns):.2f} .. {max(turns):.2f} on, by peak"
            if turns
            else "no skew of the grid",
            **skewed,
        ),
    ]


def _late(data: Data, given: dict[str, Any]) -> Claim:
    late, early, even = ({s: _over(data, s, plan) - 1.0 for s in SHAPES} for plan in ("late", "early", "even"))
    best = {s: sum(np.minimum(early[s], even[s]) > late[s]) for s in SHAPES}
    return Claim(
        "ten merges late in the run do more than ten early, or evenly",
        "abstract",
        "excess over mini-batches smaller, both schedules, every peak",
        ", ".join(f"{best[s]} of {len(RATES)} peaks ({s})" for s in SHAPES),
        all(best[s] == len(RATES) for s in SHAPES),
        "where the rate decays workers no longer part at the end, and there is nothing to merge",
        paper="communication is best spent late",
        turns=f"excess at {RATES[-1]} / tr H, early, even, late: "
        + "; ".join(f"{early[s][-1]:.2%}, {even[s][-1]:.2%}, {late[s][-1]:.2%} ({s})" for s in SHAPES),
        **given,
    )


def _own(data: Data) -> list[Claim]:
    same = np.concatenate([_over(data, s, plan) for s in SHAPES for plan in PLANS])
    additive = float(np.abs(column(data["noise"], "risk") - 1.0).max())
    return [
        Claim(
            "of workers with the same data no plan of merges beats mini-batches; under additive noise all equal them",
            "a worker's gradient noise goes with its own risk, which is above that of the mean; noisy quadratic with"
            " covariance H, constant rate 0.6 / tr H",
            "risk at least that of mini-batches, every plan, schedule and peak, and above it by a tenth somewhere;"
            " within 1e-9 of it on the quadratic",
            f"ratio {same.min():.7f} .. {same.max():.3f} of {same.size}; {additive:.1e}",
            bool(same.min() >= 1.0 - 1e-9 and same.max() >= 1.1 and additive <= 1e-9),
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "zhu2025-merging",
        "A single merge of local workers against mini-batches of all",
        PAPER,
        2025,
        "SGD on a power law of 300 modes (capacity 1.5, source 1.3, sigma^2 = 1), 1,000 steps (full: 600, 2,000), 8"
        " workers of batch 1 and four plans of merges, by the exact engine. (c) Four workers whose optima differ, 20"
        " modes, 200 steps (full: 60, 600): excess of the mean risk over domains.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN, SKEWED),
        substituted=(REGRESSION,),
        seconds=3.0,
    )
]
