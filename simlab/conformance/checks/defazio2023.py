"""Subgradient runs on random and worst functions, numerical minimisation over weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize

from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.convex import bad_runs, draw_run, hard_run, random_run, worst_case
from simlab.theory.defazio2023 import defazio_refined_lr, weights_to_lr


def _draw(rng: np.random.Generator) -> Arguments:
    return draw_run(rng, 60, 0.5)


def _last(given: Arguments) -> Any:
    """The last iterate on a random function with the smallest of the norms, and on the worst one."""
    lr, norm = given["lr"], float(np.min(given["gradient_norms"]))
    return {"gap": random_run(given, lr)[-1:], "worst case": worst_case(lr, norm, given["distance"])}


def _draw_weights(rng: np.random.Generator) -> Arguments:
    drawn = _draw(rng)
    weights = drawn.pop("lr") * 10.0 ** rng.uniform(-1.0, 1.0)
    return {"weights": weights, **drawn}


def _last_weighted(given: Arguments) -> Any:
    lr = weights_to_lr(given["weights"])
    lr[-1] = 1.0  # not used: no step follows the last iterate
    norm = float(np.min(given["gradient_norms"]))
    return {"gap": random_run(given, lr)[-1:], "worst case": worst_case(lr, norm, given["distance"])}


def _draw_linear(rng: np.random.Generator) -> Arguments:
    steps = int(rng.integers(1, 60))
    return {"steps": steps, "gradient_norm": rng.uniform(0.1, 5.0), "distance": rng.uniform(0.1, 5.0)}


def _linear(given: Arguments) -> Any:
    """The worst function of linear decay is orthogonal gradients; the run on it ends at the bound."""
    steps, norm, distance = given.values()
    lr = distance / (norm * np.sqrt(steps)) * np.append(1.0 - np.arange(1, steps) / steps, 1.0)
    return {"gap": hard_run(lr, norm, distance)[1][-1:]}


def _draw_norms(rng: np.random.Generator) -> Arguments:
    norms = np.exp(0.5 * rng.standard_normal(int(rng.integers(1, 9))))
    return {"gradient_norms": norms, "distance": float(rng.uniform(0.1, 10.0))}


def _refined(given: Arguments) -> Any:
    """The least bound over the logarithms of the weights, by a numerical search, and that of the stated schedule."""
    norms, distance = given["gradient_norms"], given["distance"]

    def value(logs: FloatArray) -> tuple[float, FloatArray]:
        w = np.exp(logs)
        total, top = float(np.sum(w)), float(distance**2 + np.sum(np.square(w * norms)))
        slope = w * (2.0 * w * norms**2 / total - top / total**2) / 2.0
        return top / (2.0 * total), slope

    best = minimize(value, np.zeros(norms.size), jac=True, method="BFGS", options={"gtol": 1e-10})
    w = lr_to_weights(defazio_refined_lr(norms, distance), distance, norms)
    return {"bound": best.fun, "bound of the schedule": value(np.log(w))[0]}


def lr_to_weights(lr: FloatArray, distance: float, norms: FloatArray) -> FloatArray:
    """The weights behind a refined schedule, from its last step backwards; the last weight is distance / (G^2
    |1/G|)."""
    last = distance / (norms[-1] ** 2 * np.linalg.norm(1.0 / norms))
    total = distance * np.linalg.norm(1.0 / norms)
    weights, tail = [last], last
    for rate in lr[-2::-1]:
        weights.append(rate * total / tail)
        tail += weights[-1]
    return np.array(weights[::-1])


CHECKS = [
    Check("defazio_last_iterate", _draw, _last, bad_runs, rtol=1e-7),
    Check("defazio_weighted", _draw_weights, _last_weighted, lambda given: bad_runs(given, rate="weights"), rtol=1e-7),
    Check("linear_decay", _draw_linear, _linear, [{"steps": 0}, {"distance": 0.0}, {"gradient_norm": -1.0}], rtol=1e-7),
    Check(
        "defazio_refined",
        _draw_norms,
        _refined,
        lambda given: [{"distance": 0.0}, {"gradient_norms": -given["gradient_norms"]}],
        rtol=1e-8,
    ),
]
