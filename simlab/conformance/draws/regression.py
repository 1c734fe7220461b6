"""Random regressions, schedules and averages, and what the exact engine says of their risk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from simlab import methods, schedules
from simlab.arrays import FloatArray
from simlab.engines.exact import exact
from simlab.methods import Method
from simlab.problems import LinearRegression, NoisyQuadratic
from simlab.problems.base import DiagonalProblem
from simlab.schedules import Schedule
from simlab.theory import Risk
from simlab.theory.stationary import critical_lr

__all__ = [
    "averaged", "below_critical", "constant", "draw_lr", "draw_problem", "draw_spectrum", "draw_weights",
    "gradient_risk", "head_and_tail", "head_and_tail_risk", "mode_risk", "risks", "sgd", "split", "totals", "unstable",
]  # fmt: skip


def draw_spectrum(rng: np.random.Generator, largest_dim: int = 64) -> FloatArray:
    """Eigenvalues, descending: power laws, exponential, logarithmic, two-level, isotropic, lognormal; any scale."""
    d = int(rng.integers(1, largest_dim + 1))
    i = np.arange(1.0, d + 1.0)
    kind = int(rng.integers(6))
    if kind == 0:
        lam = i ** -rng.uniform(0.3, 3.0)
    elif kind == 1:
        lam = np.exp(-rng.uniform(0.05, 1.0) * (i - 1.0))
    elif kind == 2:
        lam = 1.0 / (i * np.log1p(i) ** 2)
    elif kind == 3:
        lam = np.where(i <= rng.integers(1, d + 1), 1.0, 1.0 / rng.uniform(1.0, 1e3))
    elif kind == 4:
        lam = np.ones(d)
    else:
        lam = np.sort(np.exp(rng.normal(0.0, 2.0, d)))[::-1]
    scaled: FloatArray = lam * 10.0 ** rng.uniform(-1.0, 1.0)
    return scaled


def draw_problem(rng: np.random.Generator, largest_dim: int = 64) -> dict[str, Any]:
    """eigenvalues, initial_error and noise_variance; errors dense, decaying, in the head or in the tail alone."""
    lam = draw_spectrum(rng, largest_dim)
    i = np.arange(1.0, lam.size + 1.0)
    kind = int(rng.integers(5))
    error = [
        np.ones(lam.size),
        rng.normal(size=lam.size),
        i ** -rng.uniform(0.5, 3.0),
        np.where(i <= (lam.size + 1) // 2, 1.0, 0.0),
        np.where(i >= (lam.size + 1) // 2, 1.0, 0.0),
    ][kind]
    scale = 10.0 ** rng.uniform(-1.0, 1.0) / np.sqrt(np.sum(lam * error**2))
    return {"eigenvalues": lam, "initial_error": error * scale, "noise_variance": 10.0 ** rng.uniform(-2.0, 1.0)}


def draw_lr(rng: np.random.Generator, steps: int, peak: float) -> FloatArray:
    """A schedule of that many steps with values in [0, peak]: constant, decays, warmups, cycles, stairs, noise."""
    u = np.arange(steps) / steps
    kind = int(rng.integers(8))
    shapes = [
        np.ones(steps),
        1.0 - u,
        0.5 * (1.0 + np.cos(np.pi * u)),
        np.minimum(1.0, np.minimum((u + 1.0 / steps) / 0.1, (1.0 - u) / 0.3)),
        rng.uniform(size=steps),
        0.5 + 0.5 * np.sin(40.0 * u) ** 2,
        0.5 ** np.floor(u * rng.integers(1, 12)),
        1.0 / np.sqrt(1.0 + 20.0 * u),
    ]
    shape: FloatArray = peak * shapes[kind] / shapes[kind].max()
    return shape


def draw_weights(rng: np.random.Generator, steps: int, signed: bool = True) -> FloatArray:
    """Weights of w_0 .. w_T that sum to 1: last, uniform, tail, EMA, random, and (if `signed`) an extrapolation."""
    beta = np.zeros(steps + 1)
    kind = int(rng.integers(6 if signed else 5))
    if kind == 0:
        beta[-1] = 1.0
    elif kind == 1:
        beta[:-1] = 1.0 / steps
    elif kind == 2:
        first = int(rng.integers(1, steps + 1))
        beta[first:] = 1.0 / (steps + 1 - first)
    elif kind == 3:
        alpha = 1.0 - 1.0 / rng.uniform(1.5, steps + 2.0)
        beta[0] = alpha**steps
        beta[:-1] += (1.0 - alpha) * alpha ** np.arange(steps - 1.0, -1.0, -1.0)
    elif kind == 4:
        beta = rng.dirichlet(np.full(steps + 1, 0.3))
    else:
        # Richardson's 2 w_T - average, in the order of time: partial sums stay below 0 until the last.
        beta[:-1] = -1.0 / steps
        beta[-1] = 2.0
    # `merge` keeps its weights normalised, and so asks that no partial sum vanishes.
    beta[np.abs(np.cumsum(beta)) <= 1e-9] = 0.0
    out: FloatArray = beta / beta.sum()
    return out


def sgd(lr: Any, steps: int | None = None, batch: Any = 1) -> Method:
    """SGD of a schedule (T,), or of a number and steps; batch a number or (T,)."""
    rate = np.asarray(lr, dtype=np.float64)
    if rate.ndim == 0:
        assert steps is not None
        schedule = schedules.constant(steps, float(rate))
    else:
        schedule = schedules.from_array(rate)
    size = np.asarray(batch, dtype=np.float64)
    return methods.sgd(schedule, batch=float(size) if size.ndim == 0 else schedules.from_array(size))


def averaged(inner: Method, weights: FloatArray | None) -> Method:
    """The average of the iterates w_0 .. w_T with those weights."""
    if weights is None:
        return inner
    taken = np.flatnonzero(weights)
    return methods.merge(inner, [int(t) for t in taken], [float(a) for a in weights[taken]])


def risks(
    problem: DiagonalProblem, method: Method, at: Sequence[int], components: Sequence[str] = ("bias", "variance")
) -> tuple[FloatArray, ...]:
    """Exact risk of every mode by component, each (len(at), d) at those steps of the run."""
    trace = exact(
        problem,
        method,
        snapshots=list(at),
        record=[method.length],
        threads=1,
        progress=False,
        deterministic="deterministic" in components,
    )
    if trace.status.item() != "done":
        raise FloatingPointError(f"the exact run ended early: {trace.status.item()}")
    values = trace.dataset["mode_risk"].sel(snapshot=list(at))
    return tuple(np.asarray(values.sel(component=name), dtype=np.float64) for name in components)


def mode_risk(
    given: dict[str, Any],
    method: Method,
    at: Sequence[int] | None = None,
    *,
    additive: bool = False,
    components: tuple[str, ...] = ("bias", "variance"),
) -> tuple[FloatArray, ...]:
    """Exact risk of every mode by component, (d,) at the end of the run or (len(at), d) at those steps.

    An initial error or noise that is not given is 1, the kurtosis 3. `additive`: gradient noise of covariance
    sigma^2 H and no other, in place of least squares.
    """
    lam, error, noise = given["eigenvalues"], given.get("initial_error", 1.0), float(given.get("noise_variance", 1.0))
    if additive:
        problem: DiagonalProblem = NoisyQuadratic(lam, error, noise * lam)
    else:
        problem = LinearRegression(lam, error, noise, given.get("kurtosis", 3.0))
    values = risks(problem, method, [method.length] if at is None else at, components)
    return tuple(value[0] for value in values) if at is None else values


def gradient_risk(capacity: float, source: float, lr: float, steps: list[int]) -> FloatArray:
    """Risk of gradient descent on lam_j = j^-capacity, lam_j delta_j^2 = j^-source at `steps`, 10^8 modes."""
    method = sgd(lr, steps[-1], np.inf)
    problem = LinearRegression.power_law(10**8, capacity, source).compress(1e-6, method=method)
    trace = exact(problem, method, record=steps, threads=1, progress=False)
    out: FloatArray = trace.dataset["risk"].sel(component="bias", step=steps).sum("subspace").to_numpy()
    return out


def split(bias: FloatArray, variance: FloatArray) -> dict[str, FloatArray]:
    """Both and their sum, by mode or not."""
    return {"risk": bias + variance, "bias": bias, "variance": variance}


def totals(risk: Risk, given: Any = None) -> dict[str, FloatArray]:
    """What a theorem says of the sums over all modes."""
    return {"risk": risk.total, "bias": risk.bias.sum(axis=-1), "variance": risk.variance.sum(axis=-1)}


def head_and_tail(values: FloatArray, head: Any) -> dict[str, FloatArray]:
    """Values of the modes of the head, a number of modes or a mask, and of the others, where there are any."""
    within = np.arange(values.size) < head if np.ndim(head) == 0 else np.asarray(head)
    return {name: values[part] for name, part in (("head", within), ("tail", ~within)) if part.any()}


def head_and_tail_risk(risk: Risk, k: int) -> dict[str, Any]:
    """Sums over all modes in total, of bias and of variance, and over the first k modes and the others."""
    sums = {"risk": risk.total, "bias": risk.bias.sum(), "variance": risk.variance.sum()}
    return sums | {name: values.sum() for name, values in head_and_tail(risk.modes, k).items()}


def below_critical(eigenvalues: FloatArray, batch: float, kurtosis: float) -> float:
    """The critical learning rate, and for kurtosis below 2 no more than keeps the noise of a mode from its own risk."""
    peak = float(critical_lr(eigenvalues, batch, kurtosis))
    return min(peak, 1.0 / (float(eigenvalues[0]) * (1.0 + math.sqrt(max(2.0 - kurtosis, 0.0) / batch))))


def unstable(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Just above the critical learning rate, and above what kurtosis 1 allows in the first mode."""
    lam = given["eigenvalues"]
    limit = float(critical_lr(lam, 1.0, 3.0))
    return [
        {"lr": 1.001 * limit, "batch": 1.0, "kurtosis": 3.0},
        {"lr": 0.501 / float(lam[0]), "batch": 1.0, "kurtosis": 1.0},
    ]


def constant(steps: int, lr: float) -> Schedule:
    """A constant learning rate."""
    return schedules.constant(steps, lr)
