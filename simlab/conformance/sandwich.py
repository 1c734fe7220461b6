"""The universal sandwich against the exact engine: any schedule, average, batch and kurtosis."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.conformance._sgd import averaged, draw_lr, draw_problem, draw_weights, mode_risk, sgd
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.theory.sandwich import additive_noise_risk, risk_from_history, sandwich_lower, sandwich_upper
from simlab.theory.statement import Risk
from simlab.theory.stationary import critical_lr

__all__ = ["CHECKS"]

_LAWS = (1.0, 1.8, 3.0, 6.0)


def _draw(rng: np.random.Generator, longest: int = 1000) -> Arguments:
    problem = draw_problem(rng)
    kurtosis = float(rng.choice(_LAWS))
    steps = int(rng.integers(1, longest))
    batch = float(rng.choice([1, 2, 8, 64]))
    top = float(problem["eigenvalues"][0])
    peak = float(critical_lr(problem["eigenvalues"], batch, kurtosis))
    if kurtosis < 2.0:
        peak = min(peak, 1.0 / (top * (1.0 + np.sqrt((2.0 - kurtosis) / batch))))
    lr = draw_lr(rng, steps, peak * 10.0 ** rng.uniform(-3.0, -0.02))
    size: Any = batch
    if rng.random() < 0.3:  # a batch that grows on the way
        size = np.round(np.linspace(batch, batch * rng.uniform(1.0, 20.0), steps))
    return {**problem, "lr": lr, "weights": draw_weights(rng, steps), "batch": size, "kurtosis": kurtosis}


def _draw_additive(rng: np.random.Generator) -> Arguments:
    return {name: value for name, value in _draw(rng).items() if name != "kurtosis"}


def _compare_upper(arguments: Arguments) -> Comparison:
    return _by_mode(sandwich_upper(**arguments), arguments)


def _compare_lower(arguments: Arguments) -> Comparison:
    return _by_mode(sandwich_lower(**arguments), arguments)


def _by_mode(stated: Risk, arguments: Arguments) -> Comparison:
    method = averaged(sgd(arguments["lr"], batch=arguments["batch"]), arguments["weights"])
    bias, variance = mode_risk(arguments, method, kurtosis=arguments["kurtosis"])
    return Comparison(
        {"risk": stated.modes, "bias": stated.bias, "variance": stated.variance},
        {"risk": bias + variance, "bias": bias, "variance": variance},
    )


def _compare_additive(arguments: Arguments) -> Comparison:
    stated = additive_noise_risk(**arguments)
    method = averaged(sgd(arguments["lr"], batch=arguments["batch"]), arguments["weights"])
    bias, variance = mode_risk(arguments, method, additive=True)
    return _scaled({"bias": stated.bias, "variance": stated.variance}, {"bias": bias, "variance": variance})


def _draw_history(rng: np.random.Generator) -> Arguments:
    arguments = _draw(rng, 200)
    inner = sgd(arguments["lr"], batch=arguments["batch"])
    past = mode_risk(arguments, inner, at=range(inner.length), kurtosis=arguments["kurtosis"])
    return {**arguments, "history": Risk(*past)}


def _compare_history(arguments: Arguments) -> Comparison:
    stated = risk_from_history(**arguments)
    method = averaged(sgd(arguments["lr"], batch=arguments["batch"]), arguments["weights"])
    bias, variance = mode_risk(arguments, method, kurtosis=arguments["kurtosis"])
    return _scaled({"bias": stated.bias, "variance": stated.variance}, {"bias": bias, "variance": variance})


def _scaled(stated: dict[str, np.ndarray], true: dict[str, np.ndarray]) -> Comparison:
    """Every entry raised by 1e-6 of the largest: the average of a mode that has decayed or cancels is rounding."""
    lift = {name: 1e-6 * float(np.abs(value).max()) for name, value in true.items()}
    return Comparison(
        {name: value + lift[name] for name, value in stated.items()},
        {name: value + lift[name] for name, value in true.items()},
    )


def _outside(arguments: Arguments) -> list[Arguments]:
    arguments = {**arguments, "batch": 1.0}
    lam, lr, weights = arguments["eigenvalues"], arguments["lr"], arguments["weights"]
    return [
        {**arguments, "weights": 1.001 * weights},
        {**arguments, "weights": weights[:-1]},
        {**arguments, "lr": lr - 1.001 * lr.max()},
        {**arguments, "eigenvalues": lam - 1.001 * lam.min()},
        {**arguments, "batch": 0.99},
    ]


def _outside_lower(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw(rng)
    return [*_outside(arguments), {**arguments, "kurtosis": 0.9}]


def _outside_history(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw(rng, 5)
    blank = np.zeros((arguments["lr"].size, arguments["eigenvalues"].size))
    return [{**one, "history": Risk(blank, blank)} for one in _outside(arguments)]


def _outside_upper(rng: np.random.Generator) -> list[Arguments]:
    arguments = {**_draw(rng), "batch": 1.0}
    lam, lr = arguments["eigenvalues"], arguments["lr"] / arguments["lr"].max()
    limit = float(critical_lr(lam, 1.0, 3.0))
    narrow = 0.501 / lam[0]
    return [
        *_outside(arguments),
        {**arguments, "kurtosis": 0.9},
        {**arguments, "kurtosis": 3.0, "lr": 1.001 * limit * lr},
        {**arguments, "kurtosis": 1.0, "lr": narrow * lr},
    ]


CHECKS: list[Check] = [
    Check(
        "additive_noise_risk", _draw_additive, _compare_additive, lambda rng: _outside(_draw_additive(rng)), rtol=1e-7
    ),
    Check("risk_from_history", _draw_history, _compare_history, _outside_history, rtol=1e-7),
    Check("sandwich_lower", _draw, _compare_lower, _outside_lower, rtol=1e-9),
    Check("sandwich_upper", _draw, _compare_upper, _outside_upper, rtol=1e-9),
]
