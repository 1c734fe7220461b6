"""Checks of theory.river_decay: what the exact engine leaves on the hills under the decays, and under other ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simlab import methods, schedules
from simlab.conformance._sgd import draw_lr
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.conformance.river import draw_hills
from simlab.engines.exact import exact
from simlab.engines.exact_valley import exact_valley
from simlab.problems import NoisyQuadratic
from simlab.river.straight import StraightValley
from simlab.theory import river_decay as t

__all__ = ["CHECKS", "final_losses"]

FloatArray = npt.NDArray[np.float64]


def _draw_hill(rng: np.random.Generator) -> Arguments:
    curvature = 10.0 ** rng.uniform(-2.0, 2.0)
    noise, steps = 10.0 ** rng.uniform(-3.0, 3.0), int(rng.integers(1, 200))
    lr = rng.uniform(0.01, 1.9) / curvature
    variance = lr * noise / (curvature * (2.0 - lr * curvature)) * float(rng.choice([1.0, rng.uniform(0.1, 10.0)]))
    return {"curvature": curvature, "noise": noise, "variance": variance, "steps": steps}


def _outside_hill(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_hill(rng)
    changes: list[Arguments] = [{"curvature": 0.0}, {"noise": 0.0}, {"variance": 0.0}, {"steps": -1}]
    return [{**given, **change} for change in changes]


def _variances(given: Arguments, lr: FloatArray) -> FloatArray:
    """v_t after every step of the schedule, (T + 1,): the start as bias, the rest as variance."""
    problem = NoisyQuadratic([given["curvature"]], np.sqrt(given["variance"]), given["noise"])
    method = methods.sgd(schedules.from_array(lr))
    trace = exact(problem, method, record="all", threads=1, progress=False)
    out: FloatArray = 2.0 * trace.total().values / given["curvature"]
    return out


def _compare_optimal(given: Arguments) -> Comparison:
    decay = t.river_optimal_decay(**given)
    true = _variances(given, decay.lr)
    # The rule that was solved: each learning rate is the best one for the variance that there is.
    v, g = true[:-1], given["curvature"]
    greedy = g * v / (g**2 * v + given["noise"])
    return Comparison({"variance": decay.variance, "lr": decay.lr}, {"variance": true, "lr": greedy})


def _compare_lower(given: Arguments) -> Comparison:
    """Random schedules up to 2 / g, and the optimal one shaken by 1 % and by 50 %."""
    rng = np.random.default_rng(given["steps"])
    best = t.river_optimal_decay(**given).lr
    rates = [draw_lr(rng, given["steps"], 2.0 / given["curvature"]) for _ in range(5)]
    rates += [best * (1.0 + size * rng.uniform(-1.0, 1.0, best.size)) for size in (0.01, 0.5)]
    true = np.array([_variances(given, lr)[-1] for lr in rates])
    stated = np.full(true.shape, float(t.river_variance_lower(**given)))
    return Comparison({"variance": stated}, {"variance": true})


def _draw_spread(rng: np.random.Generator) -> Arguments:
    given = draw_hills(rng)
    lam, c = given["hills"], given["noise"]
    lr = rng.uniform(0.1, 0.9) / lam[0]
    return {
        **given,
        "variance": lr * c / (lam * (2.0 - lr * lam)),
        "steps": int(rng.integers(1, 60)),
        "fall": float(rng.choice([0.0, rng.uniform(0.0, 0.5) * c.sum()])),
        "cap": float(rng.choice([lr, 1.9 / lam[0]])),
    }


def final_losses(given: Arguments, rates: list[FloatArray]) -> FloatArray:
    """Loss at the end of each schedule by the exact engine, hills minus fall times the sum of learning rates."""
    lam = given["hills"]
    start = np.sqrt(np.broadcast_to(given["variance"], lam.shape))
    valley = StraightValley(lam, slope=float(np.sqrt(given["fall"])), noise=given["noise"], hill_start=start)
    named = {str(k): methods.sgd(schedules.from_array(lr)) for k, lr in enumerate(rates)}
    trace = exact_valley(valley, named, record=2, threads=1, progress=False)
    out: FloatArray = trace["total"].values[:, -1]
    return out


def _compare_spread(given: Arguments) -> Comparison:
    """Against random schedules and shaken ones, measured from the furthest that the river goes (so above 0)."""
    rng = np.random.default_rng(given["steps"])
    best = t.river_spread_decay(**given)
    cap = given["cap"]
    rates = [best.lr, *(draw_lr(rng, given["steps"], cap) for _ in range(6))]
    for size in (1e-3, 0.03, 0.3):
        rates += [np.clip(best.lr * (1.0 + size * rng.uniform(-1.0, 1.0, best.lr.size)), 0.0, cap) for _ in range(3)]
    ahead = given["fall"] * given["cap"] * given["steps"]
    true = final_losses(given, rates) + ahead
    return Comparison({"loss": np.full(true.shape, best.loss + ahead)}, {"loss": true})


def _outside_spread(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_spread(rng)
    changes: list[dict[str, Any]] = [
        {"hills": -given["hills"]},
        {"noise": 0.0},
        {"variance": -1.0},
        {"fall": -1e-9},
        {"cap": 0.0},
        {"steps": 0},
    ]
    return [{**given, **change} for change in changes]


def _draw_wsd_s(rng: np.random.Generator) -> Arguments:
    peak = 10.0 ** rng.uniform(-3.0, 0.0)
    return {"peak": peak, "lowest": peak * rng.uniform(0.001, 1.0), "steps": int(rng.integers(1, 500))}


def _compare_wsd_s(given: Arguments) -> Comparison:
    peak, n = given["peak"], given["steps"]
    schedule = schedules.wsd_s(n, peak, budgets=[], cooldown=n, floor=given["lowest"] / peak)
    return Comparison({"lr": t.river_wsd_s_decay(**given)}, {"lr": schedule.values()})


CHECKS: list[Check] = [
    Check("river_optimal_decay", _draw_hill, _compare_optimal, _outside_hill, rtol=1e-12),
    Check("river_variance_lower", _draw_hill, _compare_lower, _outside_hill, rtol=1e-12, cost=0.05),
    Check("river_spread_decay", _draw_spread, _compare_spread, _outside_spread, rtol=1e-10, cost=0.1),
    Check(
        "river_wsd_s_decay",
        _draw_wsd_s,
        _compare_wsd_s,
        lambda rng: [
            {"peak": 0.1, "lowest": 0.0, "steps": 5},
            {"peak": 0.1, "lowest": 0.11, "steps": 5},
            {"peak": 0.1, "lowest": 0.01, "steps": 0},
        ],
        rtol=1e-13,
    ),
]
