"""Checks of theory.merging: two runs on given gradients, one averaged; the exact engine on noisy quadratics."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import simlab.theory.merging as own
from simlab.conformance._sgd import averaged, draw_lr, draw_problem, draw_weights, mode_risk, sgd
from simlab.conformance.check import Arguments, Check, Comparison

__all__ = ["CHECKS", "end_points"]

FloatArray = npt.NDArray[np.float64]


def end_points(lr: FloatArray, averaging: FloatArray, other: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The average of the iterates under lr and the last iterate under `other`, both along the same positive
    gradients."""
    gradients = np.random.default_rng(lr.size).uniform(0.5, 1.5, size=(lr.size, 3))
    w, last = np.zeros(3), np.zeros(3)
    mean = averaging[0] * w
    for t in range(lr.size):
        w = w - lr[t] * gradients[t]
        last = last - other[t] * gradients[t]
        mean = mean + averaging[t + 1] * w
    return mean, last


def _compare_forward(arguments: Arguments) -> Comparison:
    c = arguments["merge_weights"]
    mean, last = end_points(np.ones(c.size - 1), c, own.merge_to_decay(c))
    return Comparison({"iterate": last}, {"iterate": mean})


def _draw_decay(rng: np.random.Generator) -> Arguments:
    w = np.sort(rng.random(int(rng.integers(1, 400))))[::-1]
    if rng.random() < 0.3:
        w = np.round(w, 1)  # ties, ones and zeros
    return {"decay": w}


def _compare_inverse(arguments: Arguments) -> Comparison:
    w = arguments["decay"]
    c = own.decay_to_merge(w)
    mean, last = end_points(np.ones(w.size), c, w)
    ones = np.ones(2)
    return Comparison(
        {"iterate": mean, "sum and sign": np.array([np.sum(c), 1.0 + min(0.0, float(np.min(c)))])},
        {"iterate": last, "sum and sign": ones},
    )


def _draw_quadratic(rng: np.random.Generator) -> tuple[dict[str, Any], float]:
    drawn = draw_problem(rng, 32)
    top = float(drawn["eigenvalues"][0])
    problem = {
        "eigenvalues": drawn["eigenvalues"],
        "initial_error": drawn["initial_error"],
        "noise_variances": drawn["noise_variance"] * drawn["eigenvalues"],
    }
    return problem, float(rng.uniform(0.05, 1.9)) / top


def _engine(arguments: Arguments, method: Any) -> dict[str, FloatArray]:
    sigma2 = arguments["noise_variances"][0] / arguments["eigenvalues"][0]
    bias, variance = mode_risk({**arguments, "noise_variance": sigma2}, method, additive=True)
    return {"bias": bias, "variance": variance}


def _compare_decayed(arguments: Arguments) -> Comparison:
    risk = own.decayed_risk(**arguments)
    return Comparison({"bias": risk.bias, "variance": risk.variance}, _engine(arguments, sgd(arguments["lr"])))


def _draw_decayed(rng: np.random.Generator) -> Arguments:
    problem, peak = _draw_quadratic(rng)
    return {**problem, "lr": draw_lr(rng, int(rng.integers(1, 600)), peak)}


def _draw_merged(rng: np.random.Generator) -> Arguments:
    problem, peak = _draw_quadratic(rng)
    return {**problem, "lr": peak, "merge_weights": draw_weights(rng, int(rng.integers(1, 300)), signed=False)}


def _compare_merged(arguments: Arguments) -> Comparison:
    risk = own.merged_risk(**arguments)
    c = arguments["merge_weights"]
    true = _engine(arguments, averaged(sgd(arguments["lr"], c.size - 1), c))
    # Bias of a sum with alternating signs (eta lam > 1) cancels down to rounding; add what it cancels from.
    floor = 0.5 * arguments["eigenvalues"] * np.square(arguments["initial_error"]) * 1e-12
    return Comparison(
        {"bias": risk.bias + floor, "variance": risk.variance},
        {"bias": true["bias"] + floor, "variance": true["variance"]},
    )


def _bad_quadratics(good: Arguments) -> list[Arguments]:
    return [
        {**good, "eigenvalues": good["eigenvalues"] * 0.0},
        {**good, "noise_variances": good["noise_variances"] - 1e9},
        {**good, "lr": good["lr"] * 0.0 - 1.0},
    ]


CHECKS: list[Check] = [
    Check(
        "merge_to_decay",
        lambda rng: {"merge_weights": draw_weights(rng, int(rng.integers(1, 400)), signed=False)},
        _compare_forward,
        lambda rng: [{"merge_weights": [1.0]}, {"merge_weights": [0.5, np.inf]}],
        rtol=1e-11,
    ),
    Check(
        "decay_to_merge",
        _draw_decay,
        _compare_inverse,
        lambda rng: [{"decay": [1.0, 0.2, 0.3]}, {"decay": [1.1, 0.2]}, {"decay": [0.5, -0.1]}, {"decay": [np.nan]}],
        rtol=1e-11,
    ),
    Check("decayed_risk", _draw_decayed, _compare_decayed, lambda rng: _bad_quadratics(_draw_decayed(rng)), rtol=1e-9),
    Check(
        "merged_risk",
        _draw_merged,
        _compare_merged,
        lambda rng: [*_bad_quadratics(_draw_merged(rng)), {**_draw_merged(rng), "merge_weights": np.array([1.0])}],
        rtol=1e-9,
    ),
]
