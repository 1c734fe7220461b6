"""Functions on which a schedule does as badly as the bound of theory.sharper_last_iterate says.

A convex function f = max(0, max_t F_t + <g_t, x - x_t>) is given by the Gram matrix of g_1 .. g_T, the values F_t =
f(x_t) and x* = x_1 - sum_t w_t g_t. All inequalities in the proof of the upper bound are equalities if <g_s, g_t> =
p_s for s < t and

    W u_{t+1} p_t - (W u_t - w_{t-1}) p_{t-1} = w_{t-1} G_{t-1}^2 - w_t G_t^2,   t = 2 .. T,

which fixes p. What is left to be seen for a given schedule is that the Gram matrix has no negative eigenvalue, that
piece t is the largest at x_t, and that F_t >= 0. For norms that are all equal this is always so (proof there); for
others it is looked at, and where it holds the bound is the worst case.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_banded
from scipy.optimize import brentq
from simlab.theory.schaipp2025 import RUN, check_run
from simlab.theory.sharper_last_iterate import iterate_squares, minimise_last_square
from simlab.theory.statement import require, theorem

__all__ = ["HardInstance", "hard_instance", "sharper_attained"]

FloatArray = npt.NDArray[np.float64]
_ATTAINED = "a function with these norms attains the bound (hard_instance(...).valid)"
_TOLERANCE = 1e-8


class HardInstance(NamedTuple):
    """f = max(0, max_t values_t + <g_t, x - x_t>): gram (T, T) of the g_t, values (T,), x* = x_1 - sum_t weights_t g_t.

    margin : how far from violation the conditions are, relative to max G^2 or to the value; valid : all of them hold.
    """

    gram: FloatArray
    values: FloatArray
    weights: FloatArray
    bound: float
    margin: float

    @property
    def valid(self) -> bool:
        """Whether this is a convex function with minimum 0 at x* on which f(x_T) equals the bound."""
        return self.margin >= -_TOLERANCE


def hard_instance(lr: npt.ArrayLike, gradient_norms: npt.ArrayLike = 1.0, distance: float = 1.0) -> HardInstance:
    """The candidate for the worst function of a schedule; dense, so for T up to a few hundred.

    lr, shape (T,), the last entry unused; gradient_norms, shape (T,) or one number; distance |x_1 - x*|.
    """
    rate, norms = check_run(lr, gradient_norms, distance)
    steps = rate[:-1]
    equal = bool(np.all(norms == norms[0]))
    inner, weights = _equal_norms(steps, norms, distance) if equal else _any_norms(steps, norms, distance)
    return _assemble(steps, norms, distance, inner, weights)


def _equal_norms(steps: FloatArray, norms: FloatArray, distance: float) -> tuple[FloatArray, FloatArray]:
    """p and w in closed form: see (i) of the proof in theory.sharper_last_iterate."""
    norm, n = float(norms[0]), steps.size
    free = iterate_squares(steps, np.zeros(()), free=True)
    if n == 0 or distance >= norm * free[0]:
        return np.full(n, norm**2), np.append(steps, distance / norm - np.sum(steps))
    last = int(np.argmax(free[1:] <= steps * (1.0 + 1e-12)))
    r = np.sqrt(np.append(free[: last + 1], steps[last]))
    weights = np.zeros(n + 1)
    weights[: last + 1] = r[0] * (r[:-1] - r[1:])
    weights[last + 1] = r[0] * r[-1]
    q = np.zeros(n)
    ratio = r[2:] / (r[1:-1] - steps[:last] / r[1:-1])
    q[: last + 1] = np.append(np.cumprod(ratio[::-1])[::-1], 1.0)
    q *= (1.0 - (distance / (norm * free[0])) ** 2) * r[0] / (r[1] * q[0])
    return norm**2 * (1.0 - q), weights


def _any_norms(steps: FloatArray, norms: FloatArray, distance: float) -> tuple[FloatArray, FloatArray]:
    """p and w from the recursion, at the rho that makes |x_1 - x*| = D (there B is stationary)."""

    def solve(log_square: float) -> tuple[FloatArray, FloatArray]:
        r = np.sqrt(iterate_squares(steps, np.exp(log_square), free=False))
        u = np.append(r, 0.0)
        w = r[0] * (u[:-1] - u[1:])
        a = r[0] * u
        band = np.zeros((2, steps.size))
        band[1] = w[:-1] - a[1:-1]
        band[0, 1:] = a[2:-1]
        right = w[:-1] * norms[:-1] ** 2 - w[1:] * norms[1:] ** 2
        if np.any(band[1] == 0.0):
            return np.full(steps.size, np.inf), w
        return np.asarray(solve_banded((0, 1), band, right)), w

    def miss(log_square: float) -> float:
        p, w = solve(log_square)
        if not np.all(np.isfinite(p)):
            return np.nan
        later = np.cumsum(w[::-1])[::-1][1:]
        return float(np.sum((w * norms) ** 2) + 2.0 * np.sum(w[:-1] * later * p)) / distance**2 - 1.0

    found = float(np.log(minimise_last_square(steps, norms, distance)[1]))
    for width in (1e-8, 1e-7, 1e-6, 1e-5, 1e-4):
        if miss(found - width) * miss(found + width) < 0.0:
            found = float(brentq(miss, found - width, found + width, xtol=1e-15))
            break
    return solve(found)


def _assemble(
    steps: FloatArray, norms: FloatArray, distance: float, inner: FloatArray, weights: FloatArray
) -> HardInstance:
    n = norms.size
    if not np.all(np.isfinite(inner)):
        return HardInstance(np.diag(norms**2), np.zeros(n), weights, np.inf, -np.inf)
    index = np.minimum.outer(np.arange(n), np.arange(n))
    gram = np.append(inner, norms[-1] ** 2)[index]
    np.fill_diagonal(gram, norms**2)
    passed = np.tril(np.ones((n, n)), -1) * np.append(steps, 0.0)
    # x_t - x* = sum_j (w_j - eta_j [j < t]) g_j
    # Entry (t, s): piece s at x_t. All pieces vanish at x*.
    pieces = (weights - passed) @ gram
    values = np.diagonal(pieces).copy()
    square = float(weights @ gram @ weights)
    value = float(values[-1])
    margin = min(
        float(np.linalg.eigvalsh(gram)[0]) / float(np.max(norms)) ** 2,
        float(np.min(values[:, None] - pieces)) / value,
        float(np.min(values)) / value,
        -abs(square / distance**2 - 1.0),
    )
    return HardInstance(gram, values, weights, value, margin)


@theorem(
    kind="tight",
    about="the largest f(x_T) - f* over convex f with |g_t| <= G_t along the run and |x_1 - x*| <= D",
    source="simlab",
    number="theory.hard_instance",
    assumptions=(*RUN, _ATTAINED),
    provenance="derived",
)
def sharper_attained(lr: npt.ArrayLike, gradient_norms: npt.ArrayLike = 1.0, distance: float = 1.0) -> float:
    """The bound of sharper_last_iterate where a function attains it; refused where none of this form does.

    lr, shape (T,), the last entry unused; gradient_norms, shape (T,) or one number; distance. The function is that of
    hard_instance(...): its values, Gram matrix and minimiser are a certificate that anyone can check.
    """
    instance = hard_instance(lr, gradient_norms, distance)
    require(instance.valid, _ATTAINED, margin=instance.margin)
    return instance.bound
