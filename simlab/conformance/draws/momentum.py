"""Random momentum methods, and what Lyapunov equations and the engines say of one given by (m, delta, q)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import solve_discrete_lyapunov

import simlab as sl
from simlab.arrays import FloatArray
from simlab.engines.stability import second_moment_radius
from simlab.methods.base import Method
from simlab.problems.base import DiagonalProblem
from simlab.theory.two_state import TwoState, two_state_critical_lr

BATCHES = (1.0, 1.0, 2.0, 8.0, 64.0)
KURTOSES = (1.0, 1.8, 3.0, 3.0, 6.0)


def draw_spectrum(rng: np.random.Generator, low: int = 1, high: int = 64, condition: float = 1e4) -> FloatArray:
    """A power law, exponential, two-level or isotropic spectrum of low .. high modes, lam_1 in 0.3 .. 3."""
    d = int(np.exp(rng.uniform(np.log(low), np.log(high + 0.999))))
    i = np.arange(1.0, d + 1.0)
    family = rng.integers(4)
    if family == 0:
        lam = i ** -rng.uniform(0.5, 3.0)
    elif family == 1:
        lam = np.exp(-rng.uniform(0.01, 1.0) * (i - 1.0))
    elif family == 2:
        lam = np.where(i <= rng.integers(1, d + 1), 1.0, 10.0 ** -rng.uniform(0.0, 3.0))
    else:
        lam = np.ones(d)
    spread: FloatArray = np.maximum(lam, lam[0] / condition) * rng.uniform(0.3, 3.0)
    return spread


def draw_method(rng: np.random.Generator, lam: FloatArray, most: float = 0.95) -> tuple[TwoState, float, float]:
    """(method, batch, kurtosis) with mass K < 1: a learning rate of 0.02 .. `most` of the critical one."""
    c = rng.choice([0.0, 0.5, 0.9, 0.99]) * rng.uniform(0.9, 1.0)
    units = (
        TwoState.sgd(1.0),
        TwoState.polyak(1.0, c),
        TwoState.nesterov(1.0, c),
        TwoState.qhm(1.0, c, rng.uniform()),
        TwoState.asgd(1.0, rng.uniform(1.0, 20.0), 0.5 * (1.0 - c)),
        TwoState.acc_sgd(1.0, 20.0, rng.uniform(1.5, 4.0)),
        TwoState.dana(1.0, rng.uniform(0.0, 0.5), max(1.0 - c, 0.01)),
        TwoState.schedule_free(1.0, rng.uniform(), max(1.0 - c, 0.01)),
    )
    unit = units[rng.integers(len(units))]
    batch, kurtosis = float(rng.choice(BATCHES)), float(rng.choice(KURTOSES))
    critical = two_state_critical_lr(lam, *unit, batch=batch, kurtosis=kurtosis)
    lr = critical * rng.uniform(0.02, most)
    return TwoState(unit.momentum, lr * unit.delta, lr * unit.q), batch, kurtosis


def arguments(lam: FloatArray, method: TwoState, **more: Any) -> dict[str, Any]:
    """The keyword arguments of a theorem on two-state methods."""
    return {"eigenvalues": lam, **method._asdict(), **more}


def matrices(method: TwoState) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(M, b, c) of y <- m y + g; w <- w - delta g - (q - delta) y: one realisation of (m, delta, q)."""
    momentum, delta, q = method
    long = q - delta
    M = np.array([[1.0, -long * momentum], [0.0, momentum]])
    return M, np.array([q, -1.0]), np.array([1.0, 0.0])


def engine_method(method: TwoState, steps: int, batch: float = 1.0) -> Method:
    """The same as a simlab method of `steps` steps, from a buffer of 0."""
    M, b, c = matrices(method)
    return sl.methods.generic(M, b, c, steps=steps, start=[1.0, 0.0], batch=batch)


def lyapunov_response(method: TwoState, lam: FloatArray) -> FloatArray:
    """G by one discrete Lyapunov equation per mode."""
    M, b, c = matrices(method)
    out = [c @ solve_discrete_lyapunov(M - l * np.outer(b, c), np.outer(b, b), method="direct") @ c for l in lam]
    return np.array(out)


def radius(problem: DiagonalProblem, method: Method) -> float:
    """Spectral radius of the second-moment operator of one step, by the compiled kernel."""
    return second_moment_radius(method, problem.modes(), 0, 1)


def draw_regression(rng: np.random.Generator, high: int = 24) -> dict[str, Any]:
    """Eigenvalues, initial error and noise."""
    lam = draw_spectrum(rng, 1, high)
    error = rng.normal(size=lam.size) * lam ** -rng.uniform(0.0, 0.5)
    return {"eigenvalues": lam, "initial_error": error, "noise_variance": rng.uniform(0.01, 2.0)}


def draw_schedule(rng: np.random.Generator, steps: int, peak: float) -> FloatArray:
    """Constant, cosine, warmup-stable-decay or jagged, with that peak."""
    u = np.arange(steps) / steps
    shapes = (
        np.ones(steps),
        0.5 * (1.0 + np.cos(np.pi * u)),
        np.minimum(1.0, 5.0 * (1.0 - u)),
        rng.uniform(size=steps),
    )
    return peak * shapes[rng.integers(4)]


def draw_fine(rng: np.random.Generator) -> dict[str, Any]:
    """A regression and a schedule of 128 steps far from critical, of which finer ones are made."""
    given = {**draw_regression(rng), "batch": float(rng.choice(BATCHES))}
    critical = two_state_critical_lr(given["eigenvalues"], batch=given["batch"], kurtosis=3.0)
    # Not so long that the last mode has vanished: exp(-c T lr) has no limit ratio to (1 - c lr)^T where both are 0.
    peak = min(rng.uniform(0.05, 0.2) * critical, 2.0 / (128.0 * given["eigenvalues"][-1]))
    return {**given, "lr": draw_schedule(rng, 128, peak)}


def along_finer(given: dict[str, Any], schedules: list[FloatArray], risk: Callable[..., Any]) -> dict[str, FloatArray]:
    """Bias and variance at the end of each of those schedules, by `risk`."""
    found = [risk(**{**given, "lr": lr}) for lr in schedules]
    return {
        "bias": np.array([float(each.bias[-1].sum()) for each in found]),
        "variance": np.array([float(each.variance[-1].sum()) for each in found]),
    }
