"""Exact gradient descent on long power laws, exact sketches, a search over widths."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

import simlab as sl
from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import gradient_risk
from simlab.theory.paquette2024 import sketch_risk

SKETCHES = {4: 64, 12: 64, 36: 48}
"""Width -> number of sketches; ambient dimension 10 times the width."""


def _draw_pp(rng: np.random.Generator) -> Arguments:
    alpha = rng.uniform(0.6, 1.5)
    return {"alpha": alpha, "beta": rng.uniform(0.2, 1.0), "lr": rng.uniform(0.1, 0.5), "steps": 4 ** np.arange(2, 8)}


def _pp(given: Arguments) -> Any:
    alpha = given["alpha"]
    return {"bias": gradient_risk(2.0 * alpha, 2.0 * alpha + 2.0 * given["beta"], given["lr"], list(given["steps"]))}


def _draw_ac(rng: np.random.Generator) -> Arguments:
    # p = 1 - 1/(2 alpha) must leave the truncated tail beyond 10^8 modes negligible.
    return {**_draw_pp(rng), "alpha": rng.uniform(0.9, 1.5), "beta": rng.uniform(0.6, 2.0), "features": 100}


def _ac(given: Arguments) -> Any:
    """Weights zeta(2 beta)/d on every mode: source = capacity."""
    alpha, j = given["alpha"], np.arange(1.0, 10**5 + 1.0)
    tail = (1e5 + 0.5) ** (1.0 - 2.0 * given["beta"]) / (2.0 * given["beta"] - 1.0)
    weight = (np.sum(j ** (-2.0 * given["beta"])) + tail) / given["features"]
    return {"bias": weight * gradient_risk(2.0 * alpha, 2.0 * alpha, given["lr"], list(given["steps"]))}


def _draw_kernel(rng: np.random.Generator) -> Arguments:
    return {"alpha": rng.uniform(0.6, 1.5), "lr": rng.uniform(0.1, 0.5), "steps": 4 ** np.arange(2, 8)}


def _kernel(given: Arguments) -> Any:
    alpha = given["alpha"]
    return {"variance": 2.0 * gradient_risk(2.0 * alpha, 4.0 * alpha, given["lr"], list(given["steps"]))}


def _draw_sketch(rng: np.random.Generator) -> Arguments:
    # alpha so large that at width 4 the error exceeds the sampling error.
    return {"alpha": rng.uniform(0.9, 1.3), "beta": rng.uniform(0.2, 1.2), "features": 36, "ambient_dim": 360}


def _sketch(given: Arguments) -> list[float]:
    """Mean irreducible risk of exact Gaussian sketches."""
    alpha, beta = given["alpha"], given["beta"]
    return [
        float(np.mean([sl.RandomFeatures(alpha, beta, 10 * d, d, seed).irreducible_risk for seed in range(count)]))
        for d, count in SKETCHES.items()
    ]


def _sketch_limits(stated: float, given: Arguments) -> Any:
    return {"risk": [sketch_risk(given["alpha"], given["beta"], d, 10 * d) for d in SKETCHES]}


def _draw_phase(rng: np.random.Generator) -> Arguments:
    while True:
        alpha, beta = rng.uniform(0.05, 1.5), rng.uniform(0.05, 1.5)
        if alpha + beta > 0.5:
            return {"alpha": alpha, "beta": beta}


def loss_exponents(alpha: float, beta: float, width: float) -> FloatArray:
    """Exponents in the compute f of F_pp, F_0, K_pp (and F_ac) at d = f^width, steps f^(1 - width)."""
    slow = max(0.0, 1.0 - 2.0 * alpha)
    time = (1.0 - width) - slow * width
    terms = [
        -(2.0 * alpha + 2.0 * beta - 1.0) / (2.0 * alpha) * time,
        (-2.0 * alpha + max(0.0, 1.0 - 2.0 * beta)) * width,
        -slow * width + (-2.0 + 1.0 / (2.0 * alpha)) * time,
    ]
    if 2.0 * alpha > 1.0 and 2.0 * beta > 1.0:
        terms.append(-width + (-1.0 + 1.0 / (2.0 * alpha)) * (1.0 - width))
    return np.array(terms)


def _phase(given: Arguments) -> Any:
    """The smallest of the largest exponent over widths, by a scalar search on a convex function."""
    alpha, beta = given["alpha"], given["beta"]
    # Beyond time = 0 the width grows so fast that nothing is learned.
    edge = 1.0 / (1.0 + max(0.0, 1.0 - 2.0 * alpha))
    found = minimize_scalar(
        lambda w: loss_exponents(alpha, beta, w).max(), bounds=(0.0, edge), method="bounded", options={"xatol": 1e-12}
    )
    return {"risk": -found.fun, "bias": found.x}


STILL: list[Arguments] = [{"lr": 0.0}, {"steps": 0}]
CHECKS = [
    Check("f_pp", _draw_pp, _pp, [*STILL, {"alpha": 0.0}, {"alpha": 0.2, "beta": 0.3}], rtol=1e-3, cost=0.2),
    Check("f_ac", _draw_ac, _ac, [*STILL, {"alpha": 0.5}, {"beta": 0.5}, {"features": 0}], rtol=1e-3, cost=0.2),
    Check("k_pp", _draw_kernel, _kernel, [*STILL, {"alpha": 0.25}], rtol=1e-3, cost=0.2),
    Check(
        "sketch_risk",
        _draw_sketch,
        _sketch,
        [{"alpha": 0.0}, {"features": 0}, {"features": 360}],
        says=_sketch_limits,
        rtol=0.15,
        cost=0.5,
    ),
    Check(
        "compute_optimal",
        _draw_phase,
        _phase,
        [
            {"alpha": alpha, "beta": beta}
            for alpha, beta in [(0.0, 1.0), (0.2, 0.3), (0.5, 0.3), (0.8, 0.5), (0.25, 0.8), (0.8, 0.8)]
        ],
        says=lambda phase, given: {"risk": phase.loss, "bias": phase.width},
        rtol=1e-6,
    ),
]
