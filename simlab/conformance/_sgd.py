"""Random problems, schedules and averages for the checks of SGD's theorems, and what the exact engine says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab import methods, schedules
from simlab.engines.exact import exact
from simlab.methods import Method
from simlab.problems import LinearRegression, NoisyQuadratic

__all__ = ["averaged", "draw_lr", "draw_problem", "draw_spectrum", "draw_weights", "mode_risk", "sgd"]

FloatArray = npt.NDArray[np.float64]


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


def mode_risk(
    arguments: dict[str, Any],
    method: Method,
    *,
    at: Sequence[int] | None = None,
    kurtosis: Any = 3.0,
    additive: bool = False,
    components: tuple[str, ...] = ("bias", "variance"),
) -> tuple[FloatArray, ...]:
    """Exact risk of every mode by component, (d,) at the end of the run or (snapshots, d) at those steps.

    `additive`: gradient noise of covariance sigma^2 H and no other, in place of least squares.
    """
    lam, error = arguments["eigenvalues"], arguments["initial_error"]
    noise = float(arguments["noise_variance"])
    problem = NoisyQuadratic(lam, error, noise * lam) if additive else LinearRegression(lam, error, noise, kurtosis)
    shots = [method.length] if at is None else list(at)
    trace = exact(
        problem,
        method,
        snapshots=shots,
        record=[method.length],
        threads=1,
        progress=False,
        deterministic="deterministic" in components,
    )
    if trace.status.item() != "done":
        raise FloatingPointError(f"the exact run ended early: {trace.status.item()}")
    order = np.searchsorted(np.unique(shots), shots)
    values = [trace.dataset["mode_risk"].sel(component=name).values[order] for name in components]
    return tuple(value[0] if at is None else value for value in values)
