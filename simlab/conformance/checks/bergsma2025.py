"""AdamW itself, step by step on random gradients, and the variance of averaged noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import draw_lr

_MARK = 100.0
"""Added to each coordinate, so that no sum of updates comes near zero, where a relative error says nothing."""


def _draw(rng: np.random.Generator) -> Arguments:
    weight_decay = float(10.0 ** rng.uniform(-3.0, 0.0))
    lr = draw_lr(rng, int(rng.integers(1, 500)), rng.uniform(0.01, 1.0) / weight_decay)
    return {"lr": lr, "weight_decay": weight_decay}


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


def _number(given: Arguments) -> Any:
    """One over the variance of the average of independent inputs of unit variance, by its recursion."""
    variance = 1.0
    for alpha in (given["lr"] * given["weight_decay"]).tolist():
        variance = (1.0 - alpha) ** 2 * variance + alpha**2
    return {"number": 1.0 / variance}


def _outside(given: Arguments) -> list[Arguments]:
    return [{"weight_decay": 1.01 / float(np.max(given["lr"]))}, {"weight_decay": -given["weight_decay"]}]


CHECKS = [
    Check(
        "adamw_coefficients",
        _draw,
        lambda given: {"weights": _adamw(**given)[0], "sum": 1.0},
        _outside,
        says=lambda c, given: {"weights": c @ _adamw(**given)[1], "sum": np.sum(c)},
        rtol=1e-11,
    ),
    Check("adamw_effective_updates", _draw, _number, _outside, rtol=1e-11),
]
