"""Lyapunov equations, the spectral radius of all second moments, and long exact runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

import simlab as sl
from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.momentum import (
    arguments,
    draw_method,
    draw_spectrum,
    engine_method,
    lyapunov_response,
    matrices,
    radius,
)
from simlab.conformance.draws.regression import mode_risk
from simlab.theory.two_state import TwoState, impulse_response, two_state_critical_lr

LONG = 60_000


def _draw(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng)
    return arguments(lam, draw_method(rng, lam)[0])


def _outside_rate(given: Arguments) -> list[Arguments]:
    return [{"momentum": 1.0, "delta": 0.0, "q": 0.1 / given["eigenvalues"][0]}]


def _outside(given: Arguments) -> list[Arguments]:
    """One violation of each condition of `theory.two_state.INSIDE`."""
    top = given["eigenvalues"][0]
    bad = [(-1e-9, 0.1 / top), (0.2 / top, 0.1 / top), (0.0, 2.0 * 1.5 / top * (1.0 + 1e-9))]
    return [*_outside_rate(given), *({"momentum": 0.5, "delta": delta, "q": q} for delta, q in bad)]


def _sgd(lr: float) -> Arguments:
    return TwoState.sgd(lr)._asdict()


def _outside_mass(given: Arguments) -> list[Arguments]:
    """And lr lam_1 (B + kurtosis - 2) > 2 B for SGD: the first mode diverges by its own noise."""
    return [*_outside(given), {**_sgd(1.01 / given["eigenvalues"][0]), "batch": 1.0, "kurtosis": 3.0}]


def _outside_floor(given: Arguments) -> list[Arguments]:
    over = {
        "eigenvalues": np.ones(8),
        **_sgd(0.2 * (1.0 + 1e-9)),
        "batch": 1.0,
        "kurtosis": 3.0,
    }  # 2 / (d + 2) for B = 1
    return [*_outside_mass(given), over, {"noise_variance": -1e-9}]


def _outside_critical(given: Arguments) -> list[Arguments]:
    return [*_outside(given)[:3], {"batch": 0.5}, {"kurtosis": 0.99, "batch": 1.0}]


def _draw_canonical(rng: np.random.Generator) -> Arguments:
    method = draw_method(rng, draw_spectrum(rng))[0]
    M, b, c = matrices(method)
    # The buffer in units of what it moves, so that no digits are lost to the choice of units.
    unit = np.diag([1.0, max(abs(method.q - method.delta), 0.1 * method.q)])
    M, b, c = unit @ M @ np.linalg.inv(unit), unit @ b, c @ np.linalg.inv(unit)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    basis = turn @ np.diag(rng.uniform(0.5, 2.0, size=2))
    inverse = np.linalg.inv(basis)
    return {"M": basis @ M @ inverse, "b": basis @ b, "c": c @ inverse}


def _curvatures(given: Arguments) -> FloatArray:
    out: FloatArray = np.linspace(0.01, 0.5, 5) / abs(given["b"] @ given["c"])
    return out


def _response(given: Arguments) -> FloatArray:
    """Of matrices in a random basis, against that of the three numbers found in them."""
    return impulse_response(given["M"], given["b"], given["c"], given["c"], _curvatures(given), 40)


def _recursion(found: TwoState, given: Arguments) -> FloatArray:
    m, delta, q = found
    lam = _curvatures(given)
    x, y = 1.0 + m - q * lam, m * (1.0 - delta * lam)
    stated = np.zeros((40, 5))
    stated[0], stated[1] = q, x * q - m * delta
    for n in range(2, 40):
        stated[n] = x * stated[n - 1] - y * stated[n - 2]
    return stated


def _scaled(response: FloatArray, given: Arguments, true: FloatArray) -> Any:
    return {"risk": response / np.abs(true).max(axis=0) + 1.0}


def _method(given: Arguments) -> TwoState:
    return TwoState(given["momentum"], given["delta"], given["q"])


def _draw_loaded(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng)
    method, batch, kurtosis = draw_method(rng, lam)
    return arguments(lam, method, batch=batch, kurtosis=kurtosis)


def _mass(given: Arguments) -> float:
    """K as the sum of the Volterra kernel: what a unit of risk, put in once, causes later."""
    lam, own = given["eigenvalues"], given["kurtosis"] - 2.0
    load = lam**2 * lyapunov_response(_method(given), lam) / given["batch"]
    return float(sum(f / (1.0 - own * f) for f in load))


def _draw_floor(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng, 1, 16, condition=20.0)
    method, batch, kurtosis = draw_method(rng, lam, most=0.8)
    return arguments(lam, method, batch=batch, kurtosis=kurtosis, noise_variance=rng.uniform(0.1, 2.0))


def _floor(given: Arguments) -> Any:
    """The variance of a run of 60,000 steps; the draws have settled by then."""
    return {"variance": mode_risk(given, engine_method(_method(given), LONG, given["batch"]))[1]}


def _draw_critical(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng, 1, 8)
    unit, batch, kurtosis = draw_method(rng, lam)
    return arguments(lam, unit, batch=batch, kurtosis=kurtosis)


def _critical(given: Arguments) -> float:
    """Where the spectral radius of the second-moment operator crosses 1, by bisection in the learning rate."""
    unit = _method(given)
    problem = sl.LinearRegression(given["eigenvalues"], 1.0, 0.0, given["kurtosis"])
    stated = two_state_critical_lr(**given)

    def excess(factor: float) -> float:
        method = TwoState(unit[0], factor * unit[1], factor * unit[2])
        return radius(problem, engine_method(method, 1, given["batch"])) - 1.0

    return float(brentq(excess, 0.7 * stated, 1.3 * stated, rtol=1e-11))


def _rate(given: Arguments) -> Any:
    M, b, c = matrices(_method(given))
    A = M[None] - given["eigenvalues"][:, None, None] * np.outer(b, c)[None]
    return {"bias": np.abs(np.linalg.eigvals(A)).max(axis=1)}


CHECKS = [
    Check(
        "two_state_canonical",
        _draw_canonical,
        _response,
        lambda given: [{"M": given["M"] + 1e-6 * np.eye(2)}, {"M": np.eye(3)}],
        says=_recursion,
        parts=_scaled,
        rtol=1e-10,
    ),
    Check(
        "two_state_response",
        _draw,
        lambda given: lyapunov_response(_method(given), given["eigenvalues"]),
        _outside,
        rtol=1e-8,
    ),
    Check("two_state_mass", _draw_loaded, _mass, _outside_mass, rtol=1e-8),
    Check("two_state_noise_floor", _draw_floor, _floor, _outside_floor, cost=0.05),
    Check("two_state_critical_lr", _draw_critical, _critical, _outside_critical, rtol=1e-8, cost=0.05),
    Check("two_state_rate", _draw, _rate, _outside_rate, rtol=1e-6),
]
