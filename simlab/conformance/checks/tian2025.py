"""Merging as decay: two runs on given gradients, one averaged; the exact engine on noisy quadratics."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import averaged, draw_lr, draw_problem, draw_weights, mode_risk, sgd
from simlab.methods import Method
from simlab.theory import Risk


def along_gradients(weights: FloatArray) -> FloatArray:
    """The sum of weights times positive gradients, which are given by the number of steps."""
    gradients = np.random.default_rng(weights.size).uniform(0.5, 1.5, size=(weights.size, 3))
    w = np.zeros(3)
    for weight, gradient in zip(weights, gradients, strict=True):
        w = w - weight * gradient
    return w


def average_along_gradients(averaging: FloatArray, lr: FloatArray) -> FloatArray:
    """The average of the iterates w_0 .. w_T of SGD along the same gradients."""
    gradients = np.random.default_rng(lr.size).uniform(0.5, 1.5, size=(lr.size, 3))
    w = np.zeros(3)
    mean: FloatArray = averaging[0] * w
    for t in range(lr.size):
        w = w - lr[t] * gradients[t]
        mean = mean + averaging[t + 1] * w
    return mean


def _average(c: FloatArray) -> FloatArray:
    return average_along_gradients(c, np.ones(c.size - 1))


def _draw_decay(rng: np.random.Generator) -> Arguments:
    w = np.sort(rng.random(int(rng.integers(1, 400))))[::-1]
    if rng.random() < 0.3:
        w = np.round(w, 1)  # ties, ones and zeros
    return {"decay": w}


def _draw_quadratic(rng: np.random.Generator) -> tuple[Arguments, float]:
    drawn = draw_problem(rng, 32)
    lam = drawn["eigenvalues"]
    return {**drawn, "noise_variances": drawn["noise_variance"] * lam}, float(rng.uniform(0.05, 1.9)) / float(lam[0])


def _draw_decayed(rng: np.random.Generator) -> Arguments:
    problem, peak = _draw_quadratic(rng)
    return {**problem, "lr": draw_lr(rng, int(rng.integers(1, 600)), peak)}


def _draw_merged(rng: np.random.Generator) -> Arguments:
    problem, peak = _draw_quadratic(rng)
    return {**problem, "lr": peak, "merge_weights": draw_weights(rng, int(rng.integers(1, 300)), signed=False)}


def _risk(given: Arguments, method: Method) -> Risk:
    sigma2 = given["noise_variances"][0] / given["eigenvalues"][0]
    return Risk(*mode_risk({**given, "noise_variance": sigma2}, method, additive=True))


def _merged(given: Arguments) -> Risk:
    c = given["merge_weights"]
    return _risk(given, averaged(sgd(given["lr"], c.size - 1), c))


def _lifted(risk: Risk, given: Arguments, true: Risk) -> Any:
    """Bias of a sum with alternating signs (eta lam > 1) cancels down to rounding; add what it cancels from."""
    floor = 0.5 * given["eigenvalues"] * np.square(given["initial_error"]) * 1e-12
    return {"bias": risk.bias + floor, "variance": risk.variance}


def _outside(given: Arguments) -> list[Arguments]:
    return [
        {"eigenvalues": given["eigenvalues"] * 0.0},
        {"noise_variances": given["noise_variances"] - 1e9},
        {"lr": given["lr"] * 0.0 - 1.0},
    ]


CHECKS = [
    Check(
        "merge_to_decay",
        lambda rng: {"merge_weights": draw_weights(rng, int(rng.integers(1, 400)), signed=False)},
        lambda given: {"iterate": _average(given["merge_weights"])},
        [{"merge_weights": [1.0]}, {"merge_weights": [0.5, np.inf]}],
        says=lambda decay, given: {"iterate": along_gradients(decay)},
        rtol=1e-11,
    ),
    Check(
        "decay_to_merge",
        _draw_decay,
        lambda given: {"iterate": along_gradients(given["decay"]), "sum and sign": np.ones(2)},
        [{"decay": [1.0, 0.2, 0.3]}, {"decay": [1.1, 0.2]}, {"decay": [0.5, -0.1]}, {"decay": [np.nan]}],
        says=lambda c, given: {"iterate": _average(c), "sum and sign": [np.sum(c), 1.0 + min(0.0, float(np.min(c)))]},
        rtol=1e-11,
    ),
    Check("decayed_risk", _draw_decayed, lambda given: _risk(given, sgd(given["lr"])), _outside),
    Check(
        "merged_risk",
        _draw_merged,
        _merged,
        lambda given: [*_outside(given), {"merge_weights": np.array([1.0])}],
        parts=_lifted,
    ),
]
