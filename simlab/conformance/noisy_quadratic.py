"""Checks of theory.noisy_quadratic: simlab's noisy quadratic model, mode by mode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import simlab as sl
from simlab.conformance._two_state import constant, draw_spectrum, mode_risks
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.methods.base import Method
from simlab.theory import noisy_quadratic as t
from simlab.theory.statement import Risk, Theorem

LONG = 40_000


def _draw(rng: np.random.Generator, edge: float) -> Arguments:
    lam = draw_spectrum(rng, 1, 24, condition=50.0)
    return {
        "eigenvalues": lam,
        "initial_error": rng.normal(size=lam.size),
        "gradient_covariance": lam ** rng.choice([0.0, 1.0, 2.0]),
        "lr": rng.uniform(0.05, 0.95) * edge / lam[0],
        "steps": np.array([0, 1, 2, 7, 100, 900]),
        "batch": float(rng.choice([1.0, 16.0])),
    }


def _draw_momentum(rng: np.random.Generator) -> Arguments:
    momentum = float(rng.choice([0.0, rng.uniform(0.0, 0.99)]))
    return {**_draw(rng, 2.0 * (1.0 + momentum)), "momentum": momentum}


def _draw_ema(rng: np.random.Generator) -> Arguments:
    return {**_draw(rng, 2.0), "decay": float(rng.choice([0.0, rng.uniform(0.0, 0.999)]))}


def _compare(
    theorem: Theorem[..., Risk], make: Callable[[Arguments, int], Method]
) -> Callable[[Arguments], Comparison]:
    def compare(given: Arguments) -> Comparison:
        """Deterministic part at the given steps, on the scale of the initial risk; variance after 40,000 steps."""
        lam, error = given["eigenvalues"], given["initial_error"]
        problem = sl.NoisyQuadratic(lam, error, given["gradient_covariance"])
        steps = list(given["steps"])
        bias = mode_risks(problem, make(given, steps[-1]), steps)[0]
        variance = mode_risks(problem, make(given, LONG), [LONG])[1][0]
        stated = theorem(**given)
        scale = 0.5 * lam * error**2
        return Comparison(
            {"bias": stated.bias / scale + 1.0, "variance": stated.variance[-1]},
            {"bias": bias / scale + 1.0, "variance": variance},
        )

    return compare


def _outside(
    draw: Callable[[np.random.Generator], Arguments], name: str, top: Callable[[float], float]
) -> Callable[[np.random.Generator], list[Arguments]]:
    def outside(rng: np.random.Generator) -> list[Arguments]:
        given = draw(rng)
        edge = top(given[name]) / given["eigenvalues"][0] * (1.0 + 1e-9)
        changes: list[Arguments] = [
            {name: 1.0},
            {name: -1e-9},
            {"lr": edge},
            {"lr": 0.0},
            {"gradient_covariance": -1e-9},
        ]
        return [{**given, **change} for change in changes]

    return outside


CHECKS: list[Check] = [
    Check(
        "nqm_momentum",
        _draw_momentum,
        _compare(
            t.nqm_momentum,
            lambda given, steps: sl.methods.heavy_ball(constant(steps, given["lr"]), given["momentum"], given["batch"]),
        ),
        _outside(_draw_momentum, "momentum", lambda m: 2.0 * (1.0 + m)),
        rtol=1e-9,
        cost=0.05,
    ),
    Check(
        "nqm_ema",
        _draw_ema,
        _compare(
            t.nqm_ema,
            lambda given, steps: sl.methods.ema(
                sl.methods.sgd(constant(steps, given["lr"]), given["batch"]), given["decay"]
            ),
        ),
        _outside(_draw_ema, "decay", lambda _: 2.0),
        rtol=1e-9,
        cost=0.05,
    ),
]
