"""Every one-buffer momentum method, by three numbers: response to noise, stability, noise floor, rate.

A method with two states per eigen-coordinate that leaves a constant unchanged (M has the eigenvalue 1) moves the point
e where its gradient is taken by

    e_t = (1 + c - q lam) e_(t-1) - c (1 - delta lam) e_(t-2) - q xi_t + c delta xi_(t-1),

xi the gradient noise: c is the `momentum` (det M), q the weight of the newest gradient, delta the short step. SGD,
heavy ball, Nesterov, ASGD, AccSGD, QHM, DANA and Schedule-Free with frozen hyper-parameters differ in (c, delta, q)
alone. The data are x = sum_i sqrt(lam_i) z_i v_i with z_i independent, E z^2 = 1, E z^4 = kurtosis, B fresh samples a
step. With G_i = sum_n h_n(lam_i)^2, h the response of e to a unit of noise, and f_i = lam_i^2 G_i / B, the second
moments contract if and only if (kurtosis - 2) f_i < 1 for every i and K = sum_i f_i / (1 - (kurtosis - 2) f_i) < 1.
Derived for this project (notes on momentum, 3.4); K agrees with theorems B.2, B.4 and B.6 of Wang
et al. 2026 for SGD, heavy ball and Nesterov.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from simlab.theory.statement import Risk, require, theorem

__all__ = [
    "TwoState",
    "impulse_response",
    "two_state_canonical",
    "two_state_critical_lr",
    "two_state_mass",
    "two_state_noise_floor",
    "two_state_rate",
    "two_state_response",
]

FloatArray = npt.NDArray[np.float64]

INSIDE = (
    "0 <= momentum < 1",
    "delta >= 0",
    "q > momentum delta",
    "(q + momentum delta) lam_1 < 2 (1 + momentum)",
)


class TwoState(NamedTuple):
    """(c, delta, q) of a method with frozen hyper-parameters; `effective_lr` is its long-run step."""

    momentum: float
    delta: float
    q: float

    @property
    def effective_lr(self) -> float:
        """(q - c delta) / (1 - c), the learning rate of SGD that moves a flat direction as fast."""
        return (self.q - self.momentum * self.delta) / (1.0 - self.momentum)

    @classmethod
    def sgd(cls, lr: float) -> TwoState:
        """w <- w - lr g."""
        return cls(0.0, 0.0, lr)

    @classmethod
    def polyak(cls, lr: float, momentum: float) -> TwoState:
        """w <- w - lr g + momentum (w - w_old)."""
        return cls(momentum, 0.0, lr)

    @classmethod
    def nesterov(cls, lr: float, momentum: float) -> TwoState:
        """The same with the gradient at y = w + momentum (w - w_old), which is the point e."""
        return cls(momentum, lr, (1.0 + momentum) * lr)

    @classmethod
    def asgd(cls, delta: float, gamma: float, beta: float, alpha: float | None = None) -> TwoState:
        """y = alpha x + (1 - alpha) v; x <- y - delta g; v <- beta y + (1 - beta) v - gamma g; alpha = 1/(1 + beta)."""
        a = 1.0 / (1.0 + beta) if alpha is None else alpha
        return cls(a * (1.0 - beta), delta, a * delta + (1.0 - a) * gamma)

    @classmethod
    def qhm(cls, lr: float, momentum: float, nu: float) -> TwoState:
        """v <- momentum v + (1 - momentum) g; w <- w - lr ((1 - nu) g + nu v)."""
        return cls(momentum, lr * (1.0 - nu), lr * (1.0 - nu * momentum))

    @classmethod
    def acc_sgd(cls, lr: float, kappa: float, xi: float, small_const: float = 0.7) -> TwoState:
        """AccSGD as published in code (Kidambi et al. 2018), short step lr, advantage xi."""
        s = small_const
        momentum = (kappa - s * s * xi) / (kappa + s * xi)
        long = lr * s * (1.0 + xi) / (1.0 + s)
        nu = (s * xi - 1.0) / (s * (1.0 + xi))
        return cls.qhm(long, momentum, nu)

    @classmethod
    def dana(cls, g2: float, g3: float, forget: float, g1: float = 1.0) -> TwoState:
        """y <- (1 - forget) y + g1 g; w <- w - g2 g - g3 y."""
        return cls(1.0 - forget, g2, g2 + g1 * g3)

    @classmethod
    def schedule_free(cls, lr: float, beta: float, share: float) -> TwoState:
        """y = (1 - beta) z + beta x; z <- z - lr g; x <- (1 - share) x + share z, share frozen."""
        return cls(1.0 - share, (1.0 - beta) * lr, (1.0 - beta) * lr + beta * share * lr)


@theorem(
    kind="exact",
    about="the three numbers (momentum, delta, q) of a method given by its matrices",
    source="simlab",
    number="notes 3.4",
    assumptions=("M is 2 x 2 and has the eigenvalue 1",),
    provenance="derived",
)
def two_state_canonical(M: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> TwoState:
    """c_mom = det M, q = c.b, c_mom delta = c.(tr(M) I - M) b, for z <- M z - b g(c.z).

    Parameters: M (2, 2), b (2,), c (2,), frozen. The transfer function of (M, b, c) has the poles of M, of which one is
    1, and these coefficients. Raises OutsideAssumptions. Derived for this project (notes 3.4).
    """
    M, b, c = (np.asarray(part, dtype=np.float64) for part in (M, b, c))
    shape = "x".join(str(n) for n in M.shape)
    require(M.shape == (2, 2), "M of shape (2, 2)", shape=shape)
    trace, det = float(np.trace(M)), float(M[0, 0] * M[1, 1] - M[0, 1] * M[1, 0])
    gap = 1.0 - trace + det
    require(abs(gap) <= 1e-12 * (1.0 + abs(trace)), "that M has the eigenvalue 1 (1 - tr M + det M = 0)", gap=gap)
    short = float(c @ (trace * b - M @ b))
    return TwoState(det, short / det if det != 0.0 else 0.0, float(c @ b))


@theorem(
    kind="exact",
    about="G, the summed squares of the response of the gradient point to unit gradient noise",
    source="simlab",
    number="notes 3.4",
    assumptions=INSIDE,
    provenance="derived",
)
def two_state_response(eigenvalues: npt.ArrayLike, momentum: float, delta: float, q: float) -> FloatArray:
    """G = [(1+c)(q - c delta) + c delta lam (q + c delta)] / [lam (1-c + c delta lam) (2(1+c) - (q + c delta) lam)].

    Shape (d,), units of (step)^2: additive noise of variance v in the gradient gives a stationary E e^2 = v G. Raises
    OutsideAssumptions where a mode does not contract. Derived from the residues of the two poles (notes 3.4).
    """
    lam = spectrum(eigenvalues)
    check_two_state(lam, momentum, delta, q)
    return _response(lam, momentum, momentum * delta, q)


@theorem(
    kind="exact",
    about="mass K: the second moments contract if and only if K < 1",
    source="simlab",
    number="notes 3.4",
    assumptions=(*INSIDE, "(kurtosis - 2) lam^2 G / batch < 1 for every mode"),
    provenance="derived",
)
def two_state_mass(
    eigenvalues: npt.ArrayLike, momentum: float, delta: float, q: float, batch: float = 1.0, kurtosis: float = 3.0
) -> float:
    """K = sum_i f_i / (1 - (kurtosis - 2) f_i), f_i = lam_i^2 G_i / B. Dimensionless.

    K is the sum of the Volterra kernel of the risk: each unit of risk at the gradient point causes K units of risk
    later. Raises OutsideAssumptions where a single mode is unstable already. Derived (notes 3.4); for SGD it is
    sum lr lam / (2 B - (B + kurtosis - 2) lr lam).
    """
    lam = spectrum(eigenvalues)
    check_two_state(lam, momentum, delta, q)
    return float(_shares(lam, TwoState(momentum, delta, q), batch, kurtosis).sum())


@theorem(
    kind="exact",
    about="stationary risk of every mode where the gradient is taken",
    source="simlab",
    number="notes 3.4",
    assumptions=(*INSIDE, "(kurtosis - 2) lam^2 G / batch < 1 for every mode", "mass K < 1", "noise_variance >= 0"),
    provenance="derived",
)
def two_state_noise_floor(
    eigenvalues: npt.ArrayLike,
    noise_variance: float,
    momentum: float,
    delta: float,
    q: float,
    batch: float = 1.0,
    kurtosis: float = 3.0,
) -> Risk:
    """1/2 lam_i E e_i^2 = 1/2 sigma^2 s_i / (1 - K), s_i = f_i / (1 - (kurtosis - 2) f_i), K = sum s_i.

    Risk with bias 0 and variance (d,); its sum is 1/2 sigma^2 K / (1 - K). At the gradient point: the look-ahead point
    of Nesterov, ASGD and Schedule-Free, the iterate of heavy ball and SGD. Raises OutsideAssumptions. Derived (notes
    3.4).
    """
    lam = spectrum(eigenvalues)
    check_two_state(lam, momentum, delta, q)
    require(noise_variance >= 0.0, "noise_variance >= 0", noise_variance=noise_variance)
    share = _shares(lam, TwoState(momentum, delta, q), batch, kurtosis)
    mass = float(share.sum())
    require(mass < 1.0, "mass K < 1 (second moments contract)", mass=mass)
    return Risk(np.zeros_like(lam), 0.5 * noise_variance * share / (1.0 - mass))


@theorem(
    kind="exact",
    about="critical learning rate: second moments contract below it and not above",
    source="simlab",
    number="notes 3.4",
    assumptions=("0 <= momentum < 1", "delta >= 0", "q > momentum delta", "batch >= 1", "kurtosis >= 1"),
    provenance="derived",
)
def two_state_critical_lr(
    eigenvalues: npt.ArrayLike,
    momentum: float = 0.0,
    delta: float = 0.0,
    q: float = 1.0,
    batch: float = 1.0,
    kurtosis: float = 3.0,
) -> float:
    """The factor s at which K = 1 for (momentum, s delta, s q), by bracketing to rounding.

    Give delta and q of learning rate 1 (`TwoState.nesterov(1.0, 0.9)`); the result is then the critical lr. With
    q > c delta >= 0 each f_i rises with s: d log f / d log s = 1 + x b e / ((1+c) a + x b e) - x b / (1 - c + x b)
    + x e / (2 (1 + c) - x e) > 0, where x = s lam, a = q - c delta, b = c delta, e = q + c delta, and for kurtosis < 2
    K rises with each f_i as well; so the stable factors are the interval (0, s). Derived (notes 3.4).
    """
    lam = spectrum(eigenvalues)
    check_shape(momentum, delta, q)
    require(batch >= 1.0, "batch >= 1", batch=batch)
    require(kurtosis >= 1.0, "kurtosis >= 1", kurtosis=kurtosis)
    limit = 2.0 * (1.0 + momentum) / ((q + momentum * delta) * lam[0])

    def excess(fraction: float) -> float:
        scaled = TwoState(momentum, delta * limit * fraction, q * limit * fraction)
        return _bounded_mass(lam, scaled, batch, kurtosis) - 0.5

    return float(_root(excess) * limit)


@theorem(
    kind="exact",
    about="contraction of the mean of every mode in one step",
    source="simlab",
    number="notes 1.3",
    assumptions=("0 <= momentum < 1",),
    provenance="derived",
)
def two_state_rate(eigenvalues: npt.ArrayLike, momentum: float, delta: float, q: float) -> FloatArray:
    """rho_i, the largest modulus of the roots of x^2 - (1 + c - q lam) x + c (1 - delta lam), shape (d,).

    The mean error of mode i falls as rho_i^t and its deterministic risk as rho_i^(2t). For small lam,
    rho = 1 - lam effective_lr + O(lam^2). The roots are 1 - u with u^2 - (1 - c + q lam) u + (q - c delta) lam = 0, the
    smaller u taken from the product of both, without cancellation.
    """
    lam = spectrum(eigenvalues)
    require(0.0 <= momentum < 1.0, "0 <= momentum < 1", momentum=momentum)
    half = 0.5 * (1.0 - momentum + q * lam)
    product = (q - momentum * delta) * lam
    square = half**2 - product
    root = np.sqrt(np.maximum(square, 0.0))
    far = half + np.where(half >= 0.0, root, -root)
    near = np.divide(product, far, out=np.zeros_like(lam), where=far != 0.0)
    real = np.maximum(np.abs(1.0 - far), np.abs(1.0 - near))
    return np.where(square >= 0.0, real, np.sqrt(np.abs(momentum * (1.0 - delta * lam))))


def impulse_response(
    M: FloatArray, b: FloatArray, row: FloatArray, c: FloatArray, lam: FloatArray, steps: int
) -> FloatArray:
    """row . A^n b for n = 0 .. steps - 1 and every lam, A = M - lam b c^T; shape (steps, d). Doubling, no loop."""
    A = M[None] - lam[:, None, None] * np.outer(b, c)[None]
    rows = np.broadcast_to(row, (1, lam.size, row.size)).copy()
    while rows.shape[0] < steps:
        rows = np.concatenate([rows, np.einsum("tdi,dij->tdj", rows, A)])
        A = A @ A
    out: FloatArray = rows[:steps] @ b
    return out


def spectrum(eigenvalues: npt.ArrayLike) -> FloatArray:
    """Eigenvalues as a (d,) array, positive and descending; ValueError otherwise."""
    lam = np.atleast_1d(np.asarray(eigenvalues, dtype=np.float64))
    if lam.ndim != 1 or lam.size == 0 or not np.all(np.isfinite(lam) & (lam > 0.0)) or np.any(np.diff(lam) > 0.0):
        raise ValueError("eigenvalues must be a (d,) array of positive, finite numbers in descending order.")
    return lam


def check_shape(momentum: float, delta: float, q: float) -> None:
    """The conditions on (momentum, delta, q) that do not depend on the spectrum."""
    require(0.0 <= momentum < 1.0, "0 <= momentum < 1", momentum=momentum)
    require(delta >= 0.0, "delta >= 0", delta=delta)
    require(q > momentum * delta, "q > momentum delta", q=q, momentum_delta=momentum * delta)


def check_two_state(lam: FloatArray, momentum: float, delta: float, q: float) -> None:
    """All conditions of `INSIDE`: every mode contracts in the mean."""
    check_shape(momentum, delta, q)
    reach, limit = (q + momentum * delta) * lam[0], 2.0 * (1.0 + momentum)
    require(reach < limit, "(q + momentum delta) lam_1 < 2 (1 + momentum)", left=reach, right=limit)


def _response(lam: FloatArray, m: float, m_delta: float, q: float) -> FloatArray:
    top = (1.0 + m) * (q - m_delta) + m_delta * lam * (q + m_delta)
    out: FloatArray = top / (lam * (1.0 - m + m_delta * lam) * (2.0 * (1.0 + m) - (q + m_delta) * lam))
    return out


def _shares(lam: FloatArray, method: TwoState, batch: float, kurtosis: float) -> FloatArray:
    """s_i = f_i / (1 - (kurtosis - 2) f_i), the risk of mode i per unit of R + sigma^2; refused if a mode diverges."""
    momentum, delta, q = method
    load = lam**2 * _response(lam, momentum, momentum * delta, q) / batch
    own = (kurtosis - 2.0) * load
    require(own < 1.0, "(kurtosis - 2) lam^2 G / batch < 1 for every mode", value=own)
    out: FloatArray = load / (1.0 - own)
    return out


def _bounded_mass(lam: FloatArray, method: TwoState, batch: float, kurtosis: float) -> float:
    """K / (1 + K), 1 where a mode is unstable: continuous, and monotone in the learning rate."""
    momentum, delta, q = method
    if (q + momentum * delta) * lam[0] >= 2.0 * (1.0 + momentum):
        return 1.0
    load = lam**2 * _response(lam, momentum, momentum * delta, q) / batch
    left = 1.0 - (kurtosis - 2.0) * load
    if np.any(left <= 1e-300):
        return 1.0
    # sum of load / left without overflow: the largest term is bounded by 1 / left.
    mass = float(np.sum(load / left))
    return mass / (1.0 + mass) if np.isfinite(mass) else 1.0


def _root(excess: Callable[[float], float]) -> float:
    """The zero of a function that rises from -1/2 at 0, in (0, 1], by brentq on a bracket found by halving."""
    low = 1.0
    while excess(low) > 0.0:
        low *= 0.5
    high = min(1.0, 2.0 * low)
    if excess(high) <= 0.0:
        return high
    options: dict[str, Any] = {"xtol": 1e-16 * high, "rtol": 8.9e-16, "maxiter": 200}
    return float(brentq(excess, low, high, **options))
