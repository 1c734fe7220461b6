"""Checks of theory.two_state: Lyapunov equations, the spectral radius of all second moments, and long exact runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

import simlab as sl
from simlab.conformance._two_state import (
    arguments,
    draw_method,
    draw_spectrum,
    engine_method,
    lyapunov_response,
    matrices,
    mode_risks,
    radius,
)
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.theory import two_state as t
from simlab.theory.two_state import TwoState

LONG = 60_000


def _draw(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng)
    return arguments(lam, draw_method(rng, lam)[0])


def _outside(rng: np.random.Generator, **more: Any) -> list[Arguments]:
    """One violation of each condition of `theory.two_state.INSIDE`."""
    lam = draw_spectrum(rng)
    edge = 2.0 * 1.5 / lam[0]
    bad = (
        TwoState(1.0, 0.0, 0.1 / lam[0]),
        TwoState(0.5, -1e-9, 0.1 / lam[0]),
        TwoState(0.5, 0.2 / lam[0], 0.1 / lam[0]),
        TwoState(0.5, 0.0, edge * (1.0 + 1e-9)),
    )
    return [arguments(lam, method, **more) for method in bad]


def _single_mode_unstable(rng: np.random.Generator, **more: Any) -> Arguments:
    """lr lam_1 (B + kurtosis - 2) > 2 B for SGD: the first mode diverges by its own noise."""
    lam = draw_spectrum(rng)
    return arguments(lam, TwoState.sgd(1.01 / lam[0]), **more)


def _compare_canonical(given: Arguments) -> Comparison:
    """The numbers of matrices in a random basis, against those the matrices were made from."""
    made = given["M"], given["b"], given["c"]
    lam = np.linspace(0.01, 0.5, 5) / abs(made[1] @ made[2])
    found = t.two_state_canonical(*made)
    response = t.impulse_response(*made[:2], made[2], made[2], lam, 40)
    m, delta, q = found
    x, y = 1.0 + m - q * lam, m * (1.0 - delta * lam)
    stated = np.zeros((40, 5))
    stated[0], stated[1] = q, x * q - m * delta
    for n in range(2, 40):
        stated[n] = x * stated[n - 1] - y * stated[n - 2]
    scale = np.abs(response).max(axis=0)
    return Comparison({"risk": stated / scale + 1.0}, {"risk": response / scale + 1.0})


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


def _outside_canonical(rng: np.random.Generator) -> list[Arguments]:
    inside = _draw_canonical(rng)
    return [{**inside, "M": inside["M"] + 1e-6 * np.eye(2)}, {**inside, "M": np.eye(3)}]


def _method(given: Arguments) -> TwoState:
    return TwoState(given["momentum"], given["delta"], given["q"])


def _compare_response(given: Arguments) -> Comparison:
    return Comparison(
        {"risk": t.two_state_response(**given)}, {"risk": lyapunov_response(_method(given), given["eigenvalues"])}
    )


def _draw_loaded(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng)
    method, batch, kurtosis = draw_method(rng, lam)
    return arguments(lam, method, batch=batch, kurtosis=kurtosis)


def _compare_mass(given: Arguments) -> Comparison:
    """K as the sum of the Volterra kernel: what a unit of risk, put in once, causes later."""
    lam, batch, own = given["eigenvalues"], given["batch"], given["kurtosis"] - 2.0
    load = lam**2 * lyapunov_response(_method(given), lam) / batch
    true = sum(f / (1.0 - own * f) for f in load)
    return Comparison({"risk": np.array([t.two_state_mass(**given)])}, {"risk": np.array([true])})


def _outside_mass(rng: np.random.Generator) -> list[Arguments]:
    return [*_outside(rng), _single_mode_unstable(rng, kurtosis=3.0)]


def _draw_floor(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng, 1, 16, condition=20.0)
    method, batch, kurtosis = draw_method(rng, lam, most=0.8)
    return arguments(lam, method, batch=batch, kurtosis=kurtosis, noise_variance=rng.uniform(0.1, 2.0))


def _compare_floor(given: Arguments) -> Comparison:
    """The variance of a run of 60,000 steps; the draws have settled by then."""
    problem = sl.LinearRegression(given["eigenvalues"], 1.0, given["noise_variance"], given["kurtosis"])
    _, variance = mode_risks(problem, engine_method(_method(given), LONG, given["batch"]), [LONG])
    return Comparison({"variance": t.two_state_noise_floor(**given).variance}, {"variance": variance[0]})


def _outside_floor(rng: np.random.Generator) -> list[Arguments]:
    noise = {"noise_variance": 1.0}
    lam = np.ones(8)
    over = arguments(lam, TwoState.sgd(0.2 * (1.0 + 1e-9)), **noise)  # 1 / (d + 2) = 0.1 is critical for B = 1
    negative = arguments(lam, TwoState.sgd(0.05), noise_variance=-1e-9)
    return [*_outside(rng, **noise), _single_mode_unstable(rng, **noise), over, negative]


def _draw_critical(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng, 1, 8)
    unit, batch, kurtosis = draw_method(rng, lam)
    return arguments(lam, unit, batch=batch, kurtosis=kurtosis)


def _compare_critical(given: Arguments) -> Comparison:
    """Where the spectral radius of the second-moment operator crosses 1, by bisection in the learning rate."""
    unit = _method(given)
    problem = sl.LinearRegression(given["eigenvalues"], 1.0, 0.0, given["kurtosis"])
    stated = t.two_state_critical_lr(**given)

    def excess(factor: float) -> float:
        return (
            radius(problem, engine_method(TwoState(unit[0], factor * unit[1], factor * unit[2]), 1, given["batch"]))
            - 1.0
        )

    true = brentq(excess, 0.7 * stated, 1.3 * stated, rtol=1e-11)
    return Comparison({"risk": np.array([stated])}, {"risk": np.array([true])})


def _outside_critical(rng: np.random.Generator) -> list[Arguments]:
    inside = {**_draw_critical(rng), "batch": 1.0}
    return [*_outside(rng)[:3], {**inside, "batch": 0.5}, {**inside, "kurtosis": 0.99}]


def _compare_rate(given: Arguments) -> Comparison:
    M, b, c = matrices(_method(given))
    A = M[None] - given["eigenvalues"][:, None, None] * np.outer(b, c)[None]
    return Comparison({"bias": t.two_state_rate(**given)}, {"bias": np.abs(np.linalg.eigvals(A)).max(axis=1)})


CHECKS: list[Check] = [
    Check("two_state_canonical", _draw_canonical, _compare_canonical, _outside_canonical, rtol=1e-10),
    Check("two_state_response", _draw, _compare_response, _outside, rtol=1e-8),
    Check("two_state_mass", _draw_loaded, _compare_mass, _outside_mass, rtol=1e-8),
    Check("two_state_noise_floor", _draw_floor, _compare_floor, _outside_floor, rtol=1e-9, cost=0.05),
    Check("two_state_critical_lr", _draw_critical, _compare_critical, _outside_critical, rtol=1e-8, cost=0.05),
    Check("two_state_rate", _draw, _compare_rate, lambda rng: _outside(rng)[:1], rtol=1e-6),
]
