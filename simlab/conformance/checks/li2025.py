"""SGD with EMA: closed forms and bounds against the exact engine."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

from simlab import methods
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import (
    below_critical,
    draw_problem,
    head_and_tail,
    mode_risk,
    sgd,
    split,
    unstable,
)
from simlab.engines.stability import stability
from simlab.methods import Method
from simlab.problems import LinearRegression
from simlab.theory import Risk
from simlab.theory.li2025 import critical_lr_scaling


def _draw(rng: np.random.Generator) -> Arguments:
    problem = draw_problem(rng)
    batch, kurtosis = float(rng.choice([1, 2, 8, 64])), float(rng.choice([3.0, 3.0, 6.0, 1.8]))
    lr = below_critical(problem["eigenvalues"], batch, kurtosis) * 10.0 ** rng.uniform(-2.0, -0.01)
    steps = int(10.0 ** rng.uniform(0.7, 3.3))
    decay = 1.0 - 10.0 ** rng.uniform(0.01 - np.log10(steps), -0.1)
    if rng.random() < 0.3:  # resonance with a mode
        decay = float(np.clip(1.0 - lr * rng.choice(problem["eigenvalues"]), 1e-3, 1.0 - 1.01 / steps))
    return {**problem, "lr": lr, "decay": decay, "steps": steps, "batch": batch, "kurtosis": kurtosis}


def _method(given: Arguments) -> Method:
    return methods.ema(sgd(given["lr"], given["steps"], given["batch"]), decay=given["decay"], form="old")


def _additive(given: Arguments) -> Risk:
    return Risk(*mode_risk(given, _method(given), additive=True))


def _risk(given: Arguments) -> Any:
    return split(*mode_risk(given, _method(given)))


def _variance(given: Arguments) -> Any:
    return mode_risk(given, _method(given))[1]


def _cutoff(variance: Any, given: Arguments, true: Any) -> Any:
    head = given["lr"] * given["eigenvalues"] >= 1.0 - given["decay"]
    return {"variance": variance, **head_and_tail(variance, head)}


def _mean(given: Arguments) -> Any:
    """Bias of gradient descent."""
    return {"bias": mode_risk({**given, "kurtosis": 3.0}, _method({**given, "batch": np.inf}))[0]}


def _fluctuation(given: Arguments) -> Any:
    bias, mean = mode_risk(given, _method(given), components=("bias", "deterministic"))
    return {"bias": max(float(bias.sum() - mean.sum()), 0.0)}


def _draw_batch(rng: np.random.Generator) -> Arguments:
    return {"eigenvalues": draw_problem(rng)["eigenvalues"], "kurtosis": float(rng.choice([1.8, 3.0, 6.0]))}


def _batch(given: Arguments) -> float:
    lam, kurtosis = given["eigenvalues"], given["kurtosis"]
    # R^2 from the fourth moments: E |x|^2 x x^T <= R^2 H, entry by entry on the diagonal that it is.
    radius = float(np.max(lam.sum() + (kurtosis - 1.0) * lam))

    def half(batch: float) -> float:
        return float(2.0 * batch / (radius + (batch - 1.0) * lam[0]) - batch / radius)

    return float(brentq(half, 1.0, 1e9, xtol=1e-9))


def _draw_scaling(rng: np.random.Generator) -> Arguments:
    return {**_draw_batch(rng), "batch": float(rng.choice([1, 2, 8, 64, 1000]))}


def _critical(given: Arguments) -> float:
    method = methods.ema(sgd(critical_lr_scaling(**given), 1, given["batch"]), decay=0.9, form="old")
    return stability(LinearRegression(given["eigenvalues"], 1.0, 1.0, given["kurtosis"]), method).critical_lr


def _outside(given: Arguments, largest: float = 2.0) -> list[Arguments]:
    lam = given["eigenvalues"]
    zero = {"eigenvalues": np.append(lam, 0.0), "initial_error": np.ones(lam.size + 1)}
    bad: list[Arguments] = [{"lr": 1.001 * largest / lam[0]}, zero, {"decay": 1.0}, {"decay": -0.01}, {"steps": 0}]
    return bad


def _outside_batch(given: Arguments) -> list[Arguments]:
    return [*_outside(given), {"batch": 0.5}]


def _outside_lower(given: Arguments) -> list[Arguments]:
    return [*_outside_batch(given), {"kurtosis": 0.9}]


def _outside_upper(given: Arguments) -> list[Arguments]:
    return [*_outside_lower(given), *unstable(given)]


def _outside_cutoff(given: Arguments) -> list[Arguments]:
    return [*_outside(given, 1.0), {"batch": 0.5}, {"kurtosis": 0.9}, *unstable(given)]


def _outside_short(given: Arguments) -> list[Arguments]:
    return [*_outside(given, 1.0), {"batch": 0.5}, {"kurtosis": 0.9}, {"decay": 1.0 - 0.99 / given["steps"]}]


CHECKS = [
    Check("ema_additive_noise_risk", _draw, _additive, _outside_batch, rtol=1e-8),
    Check("ema_lower", _draw, _risk, _outside_lower),
    Check("ema_upper", _draw, _risk, _outside_upper),
    Check("ema_cutoff_upper", _draw, _variance, _outside_cutoff, parts=_cutoff),
    Check("ema_cutoff_lower", _draw, _variance, _outside_short, parts=_cutoff),
    Check("ema_mean_bias_upper", _draw, _mean, _outside),
    Check("ema_fluctuation_upper", _draw, _fluctuation, _outside_cutoff),
    Check(
        "critical_batch", _draw_batch, _batch, [{"eigenvalues": np.array([1.0, 0.0])}, {"kurtosis": 0.9}], cost=0.001
    ),
    Check(
        "critical_lr_scaling",
        _draw_scaling,
        _critical,
        [{"eigenvalues": np.array([1.0, 0.0])}, {"kurtosis": 0.9}, {"batch": 0.9}],
    ),
]
