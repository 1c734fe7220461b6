"""SGD with EMA: closed forms and bounds against the exact engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import brentq

from simlab import methods
from simlab.conformance._sgd import draw_problem, mode_risk, sgd
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.engines.stability import stability
from simlab.methods import Method
from simlab.problems import LinearRegression
from simlab.theory.ema import (
    critical_batch,
    critical_lr_scaling,
    ema_additive_noise_risk,
    ema_cutoff_lower,
    ema_cutoff_upper,
    ema_fluctuation_upper,
    ema_lower,
    ema_mean_bias_upper,
    ema_upper,
)
from simlab.theory.stationary import critical_lr

__all__ = ["CHECKS"]


def _draw(rng: np.random.Generator) -> Arguments:
    problem = draw_problem(rng)
    batch, kurtosis = float(rng.choice([1, 2, 8, 64])), float(rng.choice([3.0, 3.0, 6.0, 1.8]))
    top = float(problem["eigenvalues"][0])
    peak = float(critical_lr(problem["eigenvalues"], batch, kurtosis))
    peak = min(peak, 1.0 / (top * (1.0 + np.sqrt(max(2.0 - kurtosis, 0.0) / batch))))
    lr = peak * 10.0 ** rng.uniform(-2.0, -0.01)
    steps = int(10.0 ** rng.uniform(0.7, 3.3))
    decay = 1.0 - 10.0 ** rng.uniform(0.01 - np.log10(steps), -0.1)
    if rng.random() < 0.3:  # resonance with a mode
        decay = float(np.clip(1.0 - lr * rng.choice(problem["eigenvalues"]), 1e-3, 1.0 - 1.01 / steps))
    return {**problem, "lr": lr, "decay": decay, "steps": steps, "batch": batch, "kurtosis": kurtosis}


def _only(arguments: Arguments, *names: str) -> Arguments:
    return {name: value for name, value in arguments.items() if name not in names}


def _draw_only(*names: str) -> Callable[[np.random.Generator], Arguments]:
    """`_draw` without those arguments."""
    return lambda rng: _only(_draw(rng), *names)


def _method(arguments: Arguments) -> Method:
    inner = sgd(arguments["lr"], arguments["steps"], arguments.get("batch", np.inf))
    return methods.ema(inner, decay=arguments["decay"], form="old")


def _exact(arguments: Arguments, **options: Any) -> tuple[Any, ...]:
    size = arguments["eigenvalues"].size
    problem = {"initial_error": np.ones(size), "noise_variance": 1.0, **arguments}
    return mode_risk(problem, _method(arguments), kurtosis=arguments.get("kurtosis", 3.0), **options)


def _compare_additive(arguments: Arguments) -> Comparison:
    stated = ema_additive_noise_risk(**arguments)
    bias, variance = mode_risk(arguments, _method(arguments), additive=True)
    return Comparison({"bias": stated.bias, "variance": stated.variance}, {"bias": bias, "variance": variance})


def _compare_bound(which: str) -> Any:
    def compare(arguments: Arguments) -> Comparison:
        stated = ema_upper(**arguments) if which == "upper" else ema_lower(**arguments)
        bias, variance = _exact(arguments)
        return Comparison(
            {"risk": stated.modes, "bias": stated.bias, "variance": stated.variance},
            {"risk": bias + variance, "bias": bias, "variance": variance},
        )

    return compare


def _compare_cutoff(which: str) -> Any:
    def compare(arguments: Arguments) -> Comparison:
        stated = ema_cutoff_upper(**arguments) if which == "upper" else ema_cutoff_lower(**arguments)
        variance = _exact(arguments)[1]
        head = arguments["lr"] * arguments["eigenvalues"] >= 1.0 - arguments["decay"]
        parts = {"variance": np.full(head.shape, True), "head": head, "tail": ~head}
        parts = {name: part for name, part in parts.items() if part.any()}
        return Comparison(
            {name: stated[part] for name, part in parts.items()},
            {name: variance[part] for name, part in parts.items()},
        )

    return compare


def _compare_mean(arguments: Arguments) -> Comparison:
    stated = ema_mean_bias_upper(**arguments)
    mean = _exact(arguments)[0]  # without a batch in the arguments, of gradient descent
    return Comparison({"bias": stated}, {"bias": mean})


def _compare_fluctuation(arguments: Arguments) -> Comparison:
    stated = ema_fluctuation_upper(**arguments)
    bias, mean = _exact(arguments, components=("bias", "deterministic"))
    true = max(float(bias.sum() - mean.sum()), 0.0)
    return Comparison({"bias": stated}, {"bias": np.asarray(true)})


def _draw_batch(rng: np.random.Generator) -> Arguments:
    return {"eigenvalues": draw_problem(rng)["eigenvalues"], "kurtosis": float(rng.choice([1.8, 3.0, 6.0]))}


def _compare_batch(arguments: Arguments) -> Comparison:
    lam, kurtosis = arguments["eigenvalues"], arguments["kurtosis"]
    # R^2 from the fourth moments: E |x|^2 x x^T <= R^2 H, entry by entry on the diagonal that it is.
    radius = float(np.max(lam.sum() + (kurtosis - 1.0) * lam))

    def half(batch: float) -> float:
        return float(2.0 * batch / (radius + (batch - 1.0) * lam[0]) - batch / radius)

    return Comparison({"risk": critical_batch(**arguments)}, {"risk": np.asarray(brentq(half, 1.0, 1e9, xtol=1e-9))})


def _draw_scaling(rng: np.random.Generator) -> Arguments:
    return {**_draw_batch(rng), "batch": float(rng.choice([1, 2, 8, 64, 1000]))}


def _compare_scaling(arguments: Arguments) -> Comparison:
    lr = critical_lr_scaling(**arguments)
    problem = LinearRegression(arguments["eigenvalues"], 1.0, 1.0, arguments["kurtosis"])
    method = methods.ema(sgd(lr, 1, arguments["batch"]), decay=0.9, form="old")
    return Comparison({"risk": lr}, {"risk": np.asarray(stability(problem, method).critical_lr)})


def _outside(arguments: Arguments, largest: float, stable: bool) -> list[Arguments]:
    top = float(arguments["eigenvalues"][0])
    bad: list[Arguments] = [
        {"lr": 1.001 * largest / top},
        {"eigenvalues": np.append(arguments["eigenvalues"], 0.0)},
        {"decay": 1.0},
        {"decay": -0.01},
        {"steps": 0},
    ]
    if "batch" in arguments:
        bad.append({"batch": 0.5})
    if "kurtosis" in arguments:
        bad.append({"kurtosis": 0.9})
    if stable:
        limit = float(critical_lr(arguments["eigenvalues"], 1.0, 3.0))
        bad.append({"lr": 1.001 * limit, "batch": 1.0, "kurtosis": 3.0})
        bad.append({"lr": 0.501 / top, "batch": 1.0, "kurtosis": 1.0})
    return [{**arguments, **one} for one in bad]


def _outside_short(rng: np.random.Generator) -> list[Arguments]:
    arguments = _only(_draw(rng), "initial_error")
    return [*_outside(arguments, 1.0, False), {**arguments, "decay": 1.0 - 0.99 / arguments["steps"]}]


def _outside_batch(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw_batch(rng)
    return [{**arguments, "eigenvalues": np.array([1.0, 0.0])}, {**arguments, "kurtosis": 0.9}]


def _outside_scaling(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw_scaling(rng)
    bad: list[Arguments] = [{"eigenvalues": np.array([1.0, 0.0])}, {"kurtosis": 0.9}, {"batch": 0.9}]
    return [{**arguments, **one} for one in bad]


_draw_additive = _draw_only("kurtosis")
_draw_variance = _draw_only("initial_error")
_draw_bias = _draw_only("noise_variance")
_draw_mean = _draw_only("noise_variance", "batch", "kurtosis")

CHECKS: list[Check] = [
    Check(
        "ema_additive_noise_risk",
        _draw_additive,
        _compare_additive,
        lambda rng: _outside(_draw_additive(rng), 2.0, False),
        rtol=1e-8,
    ),
    Check("ema_lower", _draw, _compare_bound("lower"), lambda rng: _outside(_draw(rng), 2.0, False)),
    Check("ema_upper", _draw, _compare_bound("upper"), lambda rng: _outside(_draw(rng), 2.0, True)),
    Check(
        "ema_cutoff_upper",
        _draw_variance,
        _compare_cutoff("upper"),
        lambda rng: _outside(_draw_variance(rng), 1.0, True),
    ),
    Check("ema_cutoff_lower", _draw_variance, _compare_cutoff("lower"), _outside_short),
    Check("ema_mean_bias_upper", _draw_mean, _compare_mean, lambda rng: _outside(_draw_mean(rng), 2.0, False)),
    Check("ema_fluctuation_upper", _draw_bias, _compare_fluctuation, lambda rng: _outside(_draw_bias(rng), 1.0, True)),
    Check("critical_batch", _draw_batch, _compare_batch, _outside_batch, cost=0.001),
    Check("critical_lr_scaling", _draw_scaling, _compare_scaling, _outside_scaling),
]
