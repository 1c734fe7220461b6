"""Checks of theory.random_features: exact gradient descent on long power laws, exact sketches, a search over widths."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

import simlab as sl
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.theory import random_features as t

FloatArray = npt.NDArray[np.float64]
MODES = 10**8


def gradient_risk(capacity: float, source: float, lr: float, steps: list[int]) -> FloatArray:
    """Risk of gradient descent on lam_j = j^-capacity, lam_j delta_j^2 = j^-source at `steps`, 10^8 modes."""
    method = sl.methods.sgd(sl.schedules.constant(steps[-1], lr), float("inf"))
    problem = sl.LinearRegression.power_law(MODES, capacity, source).compress(1e-6, method=method)
    trace = sl.exact(problem, method, record=steps, threads=1, progress=False)
    out: FloatArray = trace.dataset["risk"].sel(component="bias", step=steps).sum("subspace").to_numpy()
    return out


def _draw_pp(rng: np.random.Generator) -> Arguments:
    alpha = rng.uniform(0.6, 1.5)
    return {"alpha": alpha, "beta": rng.uniform(0.2, 1.0), "lr": rng.uniform(0.1, 0.5), "steps": 4 ** np.arange(2, 8)}


def _compare_pp(given: Arguments) -> Comparison:
    alpha = given["alpha"]
    true = gradient_risk(2.0 * alpha, 2.0 * alpha + 2.0 * given["beta"], given["lr"], list(given["steps"]))
    return Comparison({"bias": t.f_pp(**given)}, {"bias": true})


def _draw_ac(rng: np.random.Generator) -> Arguments:
    # p = 1 - 1/(2 alpha) must leave the truncated tail beyond 10^8 modes negligible.
    return {**_draw_pp(rng), "alpha": rng.uniform(0.9, 1.5), "beta": rng.uniform(0.6, 2.0), "features": 100}


def _compare_ac(given: Arguments) -> Comparison:
    """Weights zeta(2 beta)/d on every mode: source = capacity."""
    alpha, j = given["alpha"], np.arange(1.0, 10**5 + 1.0)
    tail = (1e5 + 0.5) ** (1.0 - 2.0 * given["beta"]) / (2.0 * given["beta"] - 1.0)
    weight = (np.sum(j ** (-2.0 * given["beta"])) + tail) / given["features"]
    true = weight * gradient_risk(2.0 * alpha, 2.0 * alpha, given["lr"], list(given["steps"]))
    return Comparison({"bias": t.f_ac(**given)}, {"bias": true})


def _draw_kernel(rng: np.random.Generator) -> Arguments:
    return {"alpha": rng.uniform(0.6, 1.5), "lr": rng.uniform(0.1, 0.5), "steps": 4 ** np.arange(2, 8)}


def _compare_kernel(given: Arguments) -> Comparison:
    true = 2.0 * gradient_risk(2.0 * given["alpha"], 4.0 * given["alpha"], given["lr"], list(given["steps"]))
    return Comparison({"variance": t.k_pp(**given)}, {"variance": true})


def _outside_steps(draw: Callable[[np.random.Generator], Arguments], *bad: Arguments) -> Callable[..., list[Arguments]]:
    changes: list[Arguments] = [{"lr": 0.0}, {"steps": 0}, *bad]

    def outside(rng: np.random.Generator) -> list[Arguments]:
        given = draw(rng)
        return [{**given, **change} for change in changes]

    return outside


class _Sketch:
    """Sketches are drawn for the widths 4, 12, 36; alpha so large that at 4 the error exceeds the sampling error."""

    widths = (4, 12, 36)
    seeds = (64, 64, 48)

    @staticmethod
    def draw(rng: np.random.Generator) -> Arguments:
        return {"alpha": rng.uniform(0.9, 1.3), "beta": rng.uniform(0.2, 1.2), "features": 36, "ambient_dim": 360}

    @classmethod
    def compare(cls, given: Arguments) -> Comparison:
        """Mean irreducible risk of exact Gaussian sketches, ambient dimension 10 d, against the stated one."""
        alpha, beta = given["alpha"], given["beta"]
        stated = [t.sketch_risk(alpha, beta, d, 10 * d) for d in cls.widths]
        true = [
            np.mean([sl.RandomFeatures(alpha, beta, 10 * d, d, seed).irreducible_risk for seed in range(count)])
            for d, count in zip(cls.widths, cls.seeds, strict=True)
        ]
        return Comparison({"risk": np.array(stated)}, {"risk": np.array(true)})

    @staticmethod
    def outside(rng: np.random.Generator) -> list[Arguments]:
        given = _Sketch.draw(rng)
        return [{**given, "alpha": 0.0}, {**given, "features": 0}, {**given, "features": 360}]


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


def _compare_phase(given: Arguments) -> Comparison:
    """The smallest of the largest exponent over widths, by a scalar search on a convex function."""
    alpha, beta = given["alpha"], given["beta"]
    # Beyond time = 0 the width grows so fast that nothing is learned.
    edge = 1.0 / (1.0 + max(0.0, 1.0 - 2.0 * alpha))
    found = minimize_scalar(
        lambda w: loss_exponents(alpha, beta, w).max(), bounds=(0.0, edge), method="bounded", options={"xatol": 1e-12}
    )
    stated = t.compute_optimal(**given)
    return Comparison(
        {"risk": np.array([stated.loss]), "bias": np.array([stated.width])},
        {"risk": np.array([-found.fun]), "bias": np.array([found.x])},
    )


def _outside_phase(rng: np.random.Generator) -> list[Arguments]:
    pairs = [(0.0, 1.0), (0.2, 0.3), (0.5, 0.3), (0.8, 0.5), (0.25, 0.8), (0.8, 0.8)]
    return [{"alpha": alpha, "beta": beta} for alpha, beta in pairs]


CHECKS: list[Check] = [
    Check(
        "f_pp",
        _draw_pp,
        _compare_pp,
        _outside_steps(_draw_pp, {"alpha": 0.0}, {"alpha": 0.2, "beta": 0.3}),
        rtol=1e-3,
        cost=0.2,
    ),
    Check(
        "f_ac",
        _draw_ac,
        _compare_ac,
        _outside_steps(_draw_ac, {"alpha": 0.5}, {"beta": 0.5}, {"features": 0}),
        rtol=1e-3,
        cost=0.2,
    ),
    Check("k_pp", _draw_kernel, _compare_kernel, _outside_steps(_draw_kernel, {"alpha": 0.25}), rtol=1e-3, cost=0.2),
    Check("sketch_risk", _Sketch.draw, _Sketch.compare, _Sketch.outside, rtol=0.15, cost=0.5),
    Check("compute_optimal", _draw_phase, _compare_phase, _outside_phase, rtol=1e-6),
]
