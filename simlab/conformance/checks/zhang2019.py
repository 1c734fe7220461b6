"""simlab's noisy quadratic model, mode by mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import simlab as sl
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.momentum import draw_spectrum
from simlab.conformance.draws.regression import constant, risks, sgd
from simlab.methods.base import Method
from simlab.theory import Risk

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


def _heavy_ball(given: Arguments, steps: int) -> Method:
    return sl.methods.heavy_ball(constant(steps, given["lr"]), given["momentum"], given["batch"])


def _ema(given: Arguments, steps: int) -> Method:
    return sl.methods.ema(sgd(given["lr"], steps, given["batch"]), given["decay"])


def _run(make: Callable[[Arguments, int], Method]) -> Callable[[Arguments], Risk]:
    def true(given: Arguments) -> Risk:
        """Deterministic part at the given steps; variance after 40,000 steps."""
        problem = sl.NoisyQuadratic(given["eigenvalues"], given["initial_error"], given["gradient_covariance"])
        steps = list(given["steps"])
        bias = risks(problem, make(given, steps[-1]), steps)[0]
        return Risk(bias, risks(problem, make(given, LONG), [LONG])[1])

    return true


def _scaled(risk: Risk, given: Arguments, true: Any) -> Any:
    """Bias on the scale of the initial risk."""
    scale = 0.5 * given["eigenvalues"] * given["initial_error"] ** 2
    return {"bias": risk.bias / scale + 1.0, "variance": risk.variance[-1]}


def _outside(name: str, top: Callable[[float], float]) -> Callable[[Arguments], list[Arguments]]:
    def outside(given: Arguments) -> list[Arguments]:
        edge = top(given[name]) / given["eigenvalues"][0] * (1.0 + 1e-9)
        return [{name: 1.0}, {name: -1e-9}, {"lr": edge}, {"lr": 0.0}, {"gradient_covariance": -1e-9}]

    return outside


CHECKS = [
    Check(
        "nqm_momentum",
        _draw_momentum,
        _run(_heavy_ball),
        _outside("momentum", lambda m: 2.0 * (1.0 + m)),
        parts=_scaled,
        cost=0.05,
    ),
    Check("nqm_ema", _draw_ema, _run(_ema), _outside("decay", lambda _: 2.0), parts=_scaled, cost=0.05),
]
