"""The universal sandwich against the exact engine: any schedule, average, batch and kurtosis."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import (
    averaged,
    below_critical,
    draw_lr,
    draw_problem,
    draw_weights,
    mode_risk,
    sgd,
    split,
    unstable,
)
from simlab.methods import Method
from simlab.theory import Risk
from simlab.theory.stationary import critical_lr


def _draw(rng: np.random.Generator, longest: int = 1000) -> Arguments:
    problem = draw_problem(rng)
    kurtosis = float(rng.choice([1.0, 1.8, 3.0, 6.0]))
    steps = int(rng.integers(1, longest))
    batch = float(rng.choice([1, 2, 8, 64]))
    # Where only the sum of all modes bounds it, lr may lie above 1 / lam_1.
    peak = (critical_lr if kurtosis >= 2.0 else below_critical)(problem["eigenvalues"], batch, kurtosis)
    lr = draw_lr(rng, steps, float(peak) * 10.0 ** rng.uniform(-3.0, -0.02))
    size: Any = batch
    if rng.random() < 0.3:  # a batch that grows on the way
        size = np.round(np.linspace(batch, batch * rng.uniform(1.0, 20.0), steps))
    return {**problem, "lr": lr, "weights": draw_weights(rng, steps), "batch": size, "kurtosis": kurtosis}


def _draw_history(rng: np.random.Generator) -> Arguments:
    given = _draw(rng, 200)
    inner = sgd(given["lr"], batch=given["batch"])
    return {**given, "history": Risk(*mode_risk(given, inner, at=range(inner.length)))}


def _method(given: Arguments) -> Method:
    return averaged(sgd(given["lr"], batch=given["batch"]), given["weights"])


def _risk(given: Arguments) -> Risk:
    return Risk(*mode_risk(given, _method(given)))


def _modes(given: Arguments) -> Any:
    return split(*_risk(given))


def _additive(given: Arguments) -> Risk:
    return Risk(*mode_risk(given, _method(given), additive=True))


def _lifted(risk: Risk, given: Arguments, true: Risk) -> Any:
    """Every entry raised by 1e-6 of the largest: the average of a mode that has decayed or cancels is rounding."""
    pairs = zip(Risk._fields, risk, true, strict=True)
    return {name: value + 1e-6 * float(np.abs(largest).max()) for name, value, largest in pairs}


def _outside(given: Arguments) -> list[Arguments]:
    lam, lr, weights = given["eigenvalues"], given["lr"], given["weights"]
    return [
        {"weights": 1.001 * weights},
        {"weights": weights[:-1]},
        {"lr": lr - 1.001 * lr.max(), "batch": 1.0},
        {"eigenvalues": lam - 1.001 * lam.min()},
        {"batch": 0.99},
    ]


def _outside_lower(given: Arguments) -> list[Arguments]:
    return [*_outside(given), {"kurtosis": 0.9}]


def _outside_upper(given: Arguments) -> list[Arguments]:
    shape = given["lr"] / given["lr"].max()
    return [*_outside_lower(given), *({**bad, "lr": bad["lr"] * shape} for bad in unstable(given))]


CHECKS = [
    Check("additive_noise_risk", _draw, _additive, _outside, parts=_lifted, rtol=1e-7),
    Check("risk_from_history", _draw_history, _risk, _outside, parts=_lifted, rtol=1e-7),
    Check("sandwich_lower", _draw, _modes, _outside_lower),
    Check("sandwich_upper", _draw, _modes, _outside_upper),
]
