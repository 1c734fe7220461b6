"""Schedule-Free SGD (Defazio et al. 2024): its bound, the schedule hidden in its average, its edge of stability.

    y_t = (1 - beta) z_t + beta x_t,   z_{t+1} = z_t - gamma_t g_t,   x_{t+1} = (1 - c_{t+1}) x_t + c_{t+1} z_{t+1},

g_t a subgradient at y_t, x_1 = z_1, c_t = w_t / (w_1 + ... + w_t); uniform weights give c_t = 1/t. x is evaluated.
beta = 0 is Polyak's average, beta = 1 primal averaging.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from simlab.theory.schaipp2025 import RUN, check_run
from simlab.theory.statement import require, theorem
from simlab.theory.sums import suffix_sums

__all__ = ["schedule_free_dual_lr", "schedule_free_edge", "schedule_free_last_iterate"]

FloatArray = npt.NDArray[np.float64]


@theorem(
    kind="upper",
    about="E f(x_T) - f* of Schedule-Free SGD with weights w_t = gamma_t, for any beta in [0, 1]",
    source="defazio2024",
    number="Theorems 1 and 2",
    assumptions=RUN,
    provenance="derived",
)
def schedule_free_last_iterate(lr: npt.ArrayLike, gradient_norms: npt.ArrayLike = 1.0, distance: float = 1.0) -> float:
    """[D^2 + sum_t gamma_t^2 G_t^2] / (2 sum_t gamma_t); D G / sqrt(T) at constant gamma = D / (G sqrt T), without a
    horizon in x.

    lr gamma_1 .. gamma_T (the last belongs to the step that would follow x_T, and is the weight of z_T) and
    gradient_norms G with E |g_t|^2 <= G_t^2 at y_t, shape (T,), or one norm; distance D = |x_1 - x*|; units of f.

    Proof: w_{1:t-1} (x_t - x_{t-1}) = w_t (z_t - x_t), so with h a subgradient at x_t, w_{1:t} F_t - w_{1:t-1}
    F_{t-1} <= w_t [<h, z_t - x_t> + f(x_t) - f*], F = f - f*. By f(x_t) <= f(y_t) + <h, x_t - y_t> and f(y_t) - f* <=
    <g_t, y_t - x*> the bracket is <= <g_t, z_t - x*> + <h - g_t, z_t - y_t>, and the last term is <= 0 as z_t - y_t
    is a multiple >= 0 of y_t - x_t (at beta = 1, h = g_t). Sum over t: w_{1:T} F_T <= sum_t w_t <g_t, z_t - x*> <=
    [D^2 + sum_t gamma_t^2 G_t^2] / 2.  []
    """
    rate, norms = check_run(lr, gradient_norms, distance)
    return float((distance**2 + np.sum(np.square(rate * norms))) / (2.0 * suffix_sums(rate)[0]))


@theorem(
    kind="exact",
    about="the schedule whose last iterate is Schedule-Free SGD's x_T, gradients fixed",
    source="defazio2024",
    number="section 2 (averaging in place of a schedule)",
    assumptions=("lr of shape (T - 1,) for T weights", "weights >= 0, w_1 > 0"),
    provenance="derived",
)
def schedule_free_dual_lr(lr: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> FloatArray:
    """gamma_t w_{t+1:T} / w_{1:T}, t = 1 .. T-1: x_T = x_1 - sum_t gamma_t (w_{t+1:T} / w_{1:T}) g_t, shape (T - 1,).

    lr gamma_1 .. gamma_{T-1}; weights w_1 .. w_T of the averaged z (default equal). With equal weights and a constant
    rate it is linear decay gamma (1 - t/T), for whatever T is stopped at: what makes the method free of a schedule.
    """
    rate = np.asarray(lr, dtype=np.float64)
    w = np.ones(rate.size + 1) if weights is None else np.asarray(weights, dtype=np.float64)
    require(rate.ndim == 1 and w.shape == (rate.size + 1,), "lr of shape (T - 1,) for T weights", lr=rate, weights=w)
    require(np.all(w >= 0.0) and w[0] > 0.0, "weights >= 0, w_1 > 0", weights=w)
    tail = suffix_sums(w)
    return np.asarray(rate * tail[1:] / tail[0])


@theorem(
    kind="exact",
    about="the largest curvature at which Schedule-Free gradient descent with frozen c is stable",
    source="song2025",
    number="lambda_1 <= 2 / ((1 - beta) gamma) for c = 0",
    assumptions=("lr > 0", "0 <= beta <= 1", "0 <= c <= 1, and c > 0 where beta = 1"),
    provenance="derived",
)
def schedule_free_edge(lr: npt.ArrayLike, beta: npt.ArrayLike, averaging: npt.ArrayLike = 0.0) -> FloatArray:
    """lambda = 2 / (gamma [(1 - beta) + beta c / (2 - c)]); c = averaging -> 0 is Song et al.'s edge 2 / ((1 - beta)
    gamma).

    lr gamma, beta and averaging c (1/t after t steps), broadcast. Derived from the step's matrix on (z, x), whose
    determinant is (1 - c)(1 - s) and trace 2 - c - s - c gamma lambda beta, s = gamma lambda (1 - beta): the
    eigenvalue that leaves the unit circle first does so at -1. c = 1 (x = z) is gradient descent, 2 / gamma.
    """
    g, b, c = (np.asarray(value, dtype=np.float64) for value in (lr, beta, averaging))
    require(g > 0.0, "lr > 0", lr=g)
    require((b >= 0.0) & (b <= 1.0), "0 <= beta <= 1", beta=b)
    require((c >= 0.0) & (c <= 1.0) & ((c > 0.0) | (b < 1.0)), "0 <= c <= 1, and c > 0 where beta = 1", c=c, beta=b)
    return np.asarray(2.0 / (g * ((1.0 - b) + b * c / (2.0 - c))))
