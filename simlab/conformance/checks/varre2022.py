"""The weighted average of AcSGD as a third state of the exact engine."""

from __future__ import annotations

from typing import Any

import numpy as np

import simlab as sl
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.momentum import draw_spectrum
from simlab.methods.base import Method
from simlab.theory.varre2022 import varre_steps


def acsgd_average(beta: float, alpha: float, steps: int) -> Method:
    """AcSGD in the state (x, z, average of y_0 .. y_n with weights n + 1), evaluated at the average."""
    n = np.arange(steps, dtype=np.float64)
    share, weight = n / (n + 1.0), 2.0 / (n + 2.0)
    M, b, c = np.zeros((steps, 3, 3)), np.zeros((steps, 3)), np.zeros((steps, 3))
    c[:, 0], c[:, 1] = share, 1.0 - share
    M[:, 0, :2] = c[:, :2]
    M[:, 1, 1] = 1.0
    M[:, 2, :2] = weight[:, None] * c[:, :2]
    M[:, 2, 2] = 1.0 - weight
    b[:, 0], b[:, 1] = beta, alpha * (n + 1.0)
    return sl.methods.generic(M, b, c, o=[0.0, 0.0, 1.0], steps=steps)


def _draw(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng, 1, 40)
    beta, alpha = varre_steps(lam, rng.uniform(0.1, 1.0))
    return {
        "eigenvalues": lam,
        "initial_error": rng.normal(size=lam.size) * lam ** -rng.uniform(0.0, 0.5),
        "noise_variance": rng.uniform(0.01, 1.0),
        "beta": beta,
        "alpha": alpha * rng.uniform(0.1, 1.0),
        "steps": np.unique(np.geomspace(1, 2000, 12).astype(int)),
    }


def _totals(given: Arguments) -> Any:
    problem = sl.LinearRegression(given["eigenvalues"], given["initial_error"], given["noise_variance"])
    steps = list(given["steps"])
    method = acsgd_average(given["beta"], given["alpha"], int(steps[-1]))
    risk = sl.exact(problem, method, record=steps, threads=1, progress=False).dataset["risk"].sum("subspace")
    return {name: risk.sel(component=name, step=steps).to_numpy() for name in ("bias", "variance")}


def _outside(given: Arguments) -> list[Arguments]:
    beta, alpha = varre_steps(given["eigenvalues"])
    return [
        {"alpha": 0.0},
        {"alpha": alpha, "beta": beta * (1.0 + 1e-9)},
        {"alpha": given["beta"] / (2.0 * (given["eigenvalues"].size + 2.0)) * (1.0 + 1e-9)},
        {"noise_variance": -1e-9},
        {"steps": 0},
    ]


CHECKS = [
    Check(
        "varre_average_upper",
        _draw,
        _totals,
        _outside,
        says=lambda risk, given: {"bias": risk.bias[:, 0], "variance": risk.variance[:, 0]},
    )
]
