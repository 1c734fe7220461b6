"""Checks of theory.adamw_ema: AdamW itself, step by step on random gradients, and the variance of averaged noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import simlab.theory.adamw_ema as own
from simlab.conformance._sgd import draw_lr
from simlab.conformance.check import Arguments, Check, Comparison

__all__ = ["CHECKS"]

FloatArray = npt.NDArray[np.float64]
_MARK = 100.0
"""Added to each coordinate, so that no sum of updates comes near zero, where a relative error says nothing."""


def _draw(rng: np.random.Generator) -> Arguments:
    weight_decay = float(10.0 ** rng.uniform(-3.0, 0.0))
    return {
        "lr": draw_lr(rng, int(rng.integers(1, 500)), rng.uniform(0.01, 1.0) / weight_decay),
        "weight_decay": weight_decay,
    }


def _adamw(lr: FloatArray, weight_decay: float) -> tuple[FloatArray, FloatArray]:
    """Final weights of AdamW on given gradients, and the inputs: initial weights, then -update / weight_decay."""
    rng = np.random.default_rng(lr.size)
    theta = rng.standard_normal(4) + _MARK
    inputs = [theta]
    m, v = np.zeros(4), np.zeros(4)
    for t, rate in enumerate(lr, start=1):
        gradient = rng.standard_normal(4) + 0.3
        m, v = 0.9 * m + 0.1 * gradient, 0.95 * v + 0.05 * gradient**2
        update = (m / (1.0 - 0.9**t)) / (np.sqrt(v / (1.0 - 0.95**t)) + 1e-8) - weight_decay * _MARK
        theta = theta - rate * update - rate * weight_decay * theta
        inputs.append(-update / weight_decay)
    return theta, np.array(inputs)


def _compare(arguments: Arguments) -> Comparison:
    c = own.adamw_coefficients(**arguments)
    theta, inputs = _adamw(**arguments)
    return Comparison({"weights": c @ inputs, "sum": np.array([np.sum(c)])}, {"weights": theta, "sum": np.ones(1)})


def _compare_number(arguments: Arguments) -> Comparison:
    """Variance of the average of independent inputs of unit variance, by its recursion."""
    variance = 1.0
    for alpha in (arguments["lr"] * arguments["weight_decay"]).tolist():
        variance = (1.0 - alpha) ** 2 * variance + alpha**2
    return Comparison(
        {"number": np.array([own.adamw_effective_updates(**arguments)])}, {"number": np.array([1.0 / variance])}
    )


def _outside(rng: np.random.Generator) -> list[Arguments]:
    good = _draw(rng)
    return [{**good, "weight_decay": 1.01 / float(np.max(good["lr"]))}, {**good, "weight_decay": -good["weight_decay"]}]


CHECKS: list[Check] = [
    Check("adamw_coefficients", _draw, _compare, _outside, rtol=1e-11),
    Check("adamw_effective_updates", _draw, _compare_number, _outside, rtol=1e-11),
]
