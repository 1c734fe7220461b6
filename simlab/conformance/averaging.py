"""EMA, tail averages and schedules against one another, in the exact engine with additive noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab import methods
from simlab.conformance._sgd import averaged, draw_lr, draw_weights, mode_risk, sgd
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.theory.averaging import dual_schedule, ema_matching_tail, tail_by_ema_lower, tail_by_ema_upper

__all__ = ["CHECKS"]

FloatArray = npt.NDArray[np.float64]


def _draw(rng: np.random.Generator, longest: int = 300) -> Arguments:
    # Modes fast enough to have forgotten the start after `_HOLD` steps.
    lam = np.sort(rng.uniform(0.05, 0.95, int(rng.integers(1, 8))))[::-1]
    window = int(np.exp(rng.uniform(0.0, np.log(longest))))
    batch = float(rng.choice([1, 4]))
    lr = rng.uniform(0.3, 1.0)
    return {"eigenvalues": lam, "noise_variance": rng.uniform(0.1, 3.0), "lr": lr, "window": window, "batch": batch}


_HOLD = 1500


def _tail(arguments: Arguments, window: int) -> FloatArray:
    problem = {**arguments, "initial_error": np.zeros(arguments["eigenvalues"].size)}
    inner = sgd(arguments["lr"], _HOLD + window, arguments["batch"])
    return mode_risk(problem, methods.average(inner, start=_HOLD, form="old"), additive=True)[1]


def _compare_bound(bound: Callable[..., Any]) -> Callable[[Arguments], Comparison]:
    def compare(arguments: Arguments) -> Comparison:
        return Comparison({"variance": bound(**arguments)}, {"variance": _tail(arguments, arguments["window"])})

    return compare


def _compare_matching(arguments: Arguments) -> Comparison:
    windows = [2**k for k in (7, 9, 11, 13)]
    stated = np.stack([ema_matching_tail(**{**arguments, "window": n}) for n in windows], axis=-1)
    return Comparison({"variance": stated}, {"variance": np.stack([_tail(arguments, n) for n in windows], axis=-1)})


def _draw_dual(rng: np.random.Generator) -> Arguments:
    steps = int(rng.integers(2, 300))
    return {"lr": draw_lr(rng, steps, rng.uniform(0.1, 1.0)), "weights": draw_weights(rng, steps, signed=False)}


def _compare_dual(arguments: Arguments) -> Comparison:
    lr, weights = arguments["lr"], arguments["weights"]
    dual = dual_schedule(lr, weights)
    spectrum = np.array([0.5, 0.1, 0.01])
    bias, variance = [], []
    for flat in (1.0, 1e-2, 1e-4, 1e-6):
        problem = {
            "eigenvalues": flat * spectrum,
            "initial_error": np.ones(spectrum.size),
            "noise_variance": 1.0,
        }
        pair = (sgd(dual), averaged(sgd(lr), weights))
        runs = [mode_risk(problem, method, additive=True) for method in pair]
        bias.append([run[0] for run in runs])
        variance.append([run[1] for run in runs])
    stated, true = ({"bias": bias, "variance": variance} for _ in range(2))
    return Comparison(
        {name: np.stack([pair[0] for pair in pairs], axis=-1) for name, pairs in stated.items()},
        {name: np.stack([pair[1] for pair in pairs], axis=-1) for name, pairs in true.items()},
    )


def _outside(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw(rng)
    bad: list[Arguments] = [{"lr": 1.001 / arguments["eigenvalues"][0]}, {"lr": 0.0}, {"window": 0}, {"batch": 0.5}]
    return [{**arguments, **one} for one in bad]


def _outside_dual(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw_dual(rng)
    lr, weights = arguments["lr"], arguments["weights"]
    past = np.zeros_like(weights)
    past[0], past[-1] = 2.0, -1.0
    return [
        {"lr": -1.0 - lr, "weights": weights},
        {"lr": lr, "weights": 1.01 * weights},
        {"lr": lr, "weights": weights[1:]},
        {"lr": lr, "weights": past},
    ]


CHECKS: list[Check] = [
    Check("ema_matching_tail", lambda rng: _draw(rng, 2), _compare_matching, _outside, rtol=2e-2, cost=0.03),
    Check("tail_by_ema_lower", _draw, _compare_bound(tail_by_ema_lower), _outside),
    Check("tail_by_ema_upper", _draw, _compare_bound(tail_by_ema_upper), _outside),
    Check("dual_schedule", _draw_dual, _compare_dual, _outside_dual, rtol=1e-3, cost=0.02),
]
