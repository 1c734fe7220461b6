"""What the exact engine leaves on the hills under the decays, and under other ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab import methods, schedules
from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import draw_lr
from simlab.conformance.draws.valleys import draw_hills
from simlab.engines.exact import exact
from simlab.engines.exact_valley import exact_valley
from simlab.landscapes.straight import StraightValley
from simlab.problems import NoisyQuadratic
from simlab.theory.wen2024_decay import river_optimal_decay, river_spread_decay


def _draw_hill(rng: np.random.Generator) -> Arguments:
    curvature = 10.0 ** rng.uniform(-2.0, 2.0)
    noise, steps = 10.0 ** rng.uniform(-3.0, 3.0), int(rng.integers(1, 200))
    lr = rng.uniform(0.01, 1.9) / curvature
    variance = lr * noise / (curvature * (2.0 - lr * curvature)) * float(rng.choice([1.0, rng.uniform(0.1, 10.0)]))
    return {"curvature": curvature, "noise": noise, "variance": variance, "steps": steps}


def _variances(given: Arguments, lr: FloatArray) -> FloatArray:
    """v_t after every step of the schedule, (T + 1,): the start as bias, the rest as variance."""
    problem = NoisyQuadratic([given["curvature"]], np.sqrt(given["variance"]), given["noise"])
    trace = exact(problem, methods.sgd(schedules.from_array(lr)), record="all", threads=1, progress=False)
    out: FloatArray = 2.0 * trace.total().values / given["curvature"]
    return out


def _optimal(given: Arguments) -> Any:
    """The rule that was solved: each learning rate is the best one for the variance that there is."""
    true = _variances(given, river_optimal_decay(**given).lr)
    v, g = true[:-1], given["curvature"]
    return {"variance": true, "lr": g * v / (g**2 * v + given["noise"])}


def _others(given: Arguments) -> Any:
    """Random schedules up to 2 / g, and the optimal one shaken by 1 % and by 50 %."""
    rng = np.random.default_rng(given["steps"])
    best = river_optimal_decay(**given).lr
    rates = [draw_lr(rng, given["steps"], 2.0 / given["curvature"]) for _ in range(5)]
    rates += [best * (1.0 + size * rng.uniform(-1.0, 1.0, best.size)) for size in (0.01, 0.5)]
    return {"variance": [_variances(given, lr)[-1] for lr in rates]}


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


def _others_spread(given: Arguments) -> Any:
    """Against random schedules and shaken ones."""
    rng = np.random.default_rng(given["steps"])
    best, cap = river_spread_decay(**given).lr, given["cap"]
    rates = [best, *(draw_lr(rng, given["steps"], cap) for _ in range(6))]
    for size in (1e-3, 0.03, 0.3):
        rates += [np.clip(best * (1.0 + size * rng.uniform(-1.0, 1.0, best.size)), 0.0, cap) for _ in range(3)]
    return {"loss": final_losses(given, rates)}


def _ahead(found: Any, given: Arguments, true: Any) -> Any:
    """Measured from the furthest that the river goes, so above 0."""
    loss = found["loss"] if isinstance(found, dict) else found.loss
    return {"loss": loss + given["fall"] * given["cap"] * given["steps"]}


def _draw_wsd_s(rng: np.random.Generator) -> Arguments:
    peak = 10.0 ** rng.uniform(-3.0, 0.0)
    return {"peak": peak, "lowest": peak * rng.uniform(0.001, 1.0), "steps": int(rng.integers(1, 500))}


def _wsd_s(given: Arguments) -> Any:
    peak, n = given["peak"], given["steps"]
    return {"lr": schedules.wsd_s(n, peak, budgets=[], cooldown=n, floor=given["lowest"] / peak).values()}


OUTSIDE: list[Arguments] = [{"curvature": 0.0}, {"noise": 0.0}, {"variance": 0.0}, {"steps": -1}]
CHECKS = [
    Check("river_optimal_decay", _draw_hill, _optimal, OUTSIDE, rtol=1e-12),
    Check("river_variance_lower", _draw_hill, _others, OUTSIDE, rtol=1e-12, cost=0.05),
    Check(
        "river_spread_decay",
        _draw_spread,
        _others_spread,
        lambda given: [
            {"hills": -given["hills"]},
            {"noise": 0.0},
            {"variance": -1.0},
            {"fall": -1e-9},
            {"cap": 0.0},
            {"steps": 0},
        ],
        parts=_ahead,
        rtol=1e-10,
        cost=0.1,
    ),
    Check(
        "river_wsd_s_decay",
        _draw_wsd_s,
        _wsd_s,
        lambda given: [{"lowest": 0.0}, {"lowest": 1.1 * given["peak"]}, {"steps": 0}],
        rtol=1e-13,
    ),
]
