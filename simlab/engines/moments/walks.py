"""Moments of methods that are not linear, in the limit of many modes: one step of every mode at a time.

What couples a rule to its history or its batch is a sum over many terms, and concentrates: v_i over 1 / (1 - beta2)
squares, the residual over all modes. At its expected value each mode is a linear recursion with a rate of its own, or a
sign of a Gaussian. All arrays are by node, moments those of one mode.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.errors import InputError, brief
from simlab.kernels import dials as names
from simlab.methods.base import Method
from simlab.problems.base import Modes

__all__ = ["Drive", "Measured", "Rated", "Signed", "Walk", "walk_of"]


class Drive:
    """How the gradients of a problem are drawn.

    eigenvalues, multiplicity, error (n,) : lam, modes of a node, w_0 - w* of one of them.  The variance of a gradient
    of one sample is self_i m_i + drive_i (coupling R + noise), R = sum lam m.
    """

    def __init__(self, modes: Modes, error: FloatArray) -> None:
        lam, unit = modes.eigenvalues, modes.unit
        self.eigenvalues, self.multiplicity, self.error = lam, modes.multiplicity, error
        self.self_noise, self.coupling, self.noise = modes.self_noise * unit**2, modes.coupling, modes.noise
        self.drive = modes.drive * unit**2 / (lam * modes.multiplicity)

    def total(self, values: FloatArray) -> float:
        """Sum over all modes."""
        return float(self.multiplicity @ values)

    def residual(self, second: FloatArray) -> float:
        """coupling R + noise: E (x . (w - w*) - eps)^2 of a regression."""
        return self.coupling * self.total(self.eigenvalues * second) + self.noise

    def variance(self, second: FloatArray) -> FloatArray:
        """Of one sample's gradient, at w with second moments m."""
        return self.self_noise * second + self.drive * self.residual(second)


class Measured(Protocol):
    """Moments of w - w*: mean and second, (n,)."""

    drive: Drive

    @property
    def mean(self) -> FloatArray: ...
    @property
    def second(self) -> FloatArray: ...


class Walk(Measured, Protocol):
    """A run, one step at a time."""

    def step(self, p: FloatArray, share: float, factors: tuple[float, float]) -> None:
        """Take a step of the dials p (DIALS,) with 1 / B = `share`; factors : see `Rated.step`."""
        ...

    def copy(self) -> Walk: ...


class Rated:
    """SGD and what divides by a mean of squares, v replaced by its expectation V.

    V_i <- B2 V_i + A2 E g_i^2 + FRESH, and the state z = (w - w*, momentum, origin), as far as the rule has such,
    takes the linear step that it would if V were given. corrected : with the first-order effect of the fluctuations of
    v and of their correlation with g: with q = A2 / (sum of the weights of v) and the kurtosis K = 3 + 6 / B of a
    gradient's coordinate, the drift is multiplied by 1 - 5/16 (K - 1) q, the power of the noise by 1 - (K - 1) q / 2.
    """

    def __init__(self, drive: Drive, method: Any, corrected: bool = False) -> None:
        self.drive, self.rule, self.corrected = drive, method.rule, corrected
        self.momentum = self.rule in (names.RMS_HEAVY, names.ADAM, names.BOUND, names.MOD)
        size = 1 + self.momentum + method.pulled
        n = drive.error.size
        self.z = np.zeros((size, n))
        self.z[0] = drive.error
        if method.pulled:
            self.z[-1] = -drive.error
        self.P = self.z[:, None] * self.z[None]
        self.V, self.weight, self.held = np.zeros(n), 0.0, np.zeros(n)
        self.pulled: bool = method.pulled
        self.edges: IntArray = method.edges(n)

    @property
    def mean(self) -> FloatArray:
        """E (w - w*)."""
        out: FloatArray = self.z[0]
        return out

    @property
    def second(self) -> FloatArray:
        """E (w - w*)^2."""
        out: FloatArray = self.P[0, 0]
        return out

    def copy(self) -> Rated:
        """The same, to go on by itself."""
        made = object.__new__(Rated)
        made.__dict__.update({key: x.copy() if isinstance(x, np.ndarray) else x for key, x in self.__dict__.items()})
        return made

    def step(self, p: FloatArray, share: float, factors: tuple[float, float] = (1.0, 1.0)) -> None:
        """One step; of a rate that differs from batch to batch, `factors` are E rate s and E rate^2 s over that of p,
        s the batch's mean of squared residuals over its expectation.
        """
        lam, m = self.drive.eigenvalues, self.second
        noise = share * self.drive.variance(m)
        square = lam**2 * m + noise
        if self.edges.size:
            sums = np.add.reduceat(square, self.edges[:-1]) / np.diff(self.edges)
            square = np.repeat(sums, np.diff(self.edges))
        self.V = p[names.B2] * self.V + p[names.A2] * square + p[names.FRESH]
        self.weight = p[names.B2] * self.weight + p[names.A2]
        drift, power = factors
        q = (2.0 + 6.0 * share) * p[names.A2] / self.weight if self.corrected and self.weight > 0.0 else 0.0
        own, kept = self._rates(p, q)
        if q > 0.0:
            drift, power = drift * max(1.0 - 0.3125 * q, 0.0), power * max(1.0 - 0.5 * q, 0.0)
        self._move(p, own, kept, drift, power, noise)

    def _rates(self, p: FloatArray, q: float) -> tuple[FloatArray, FloatArray]:
        """What multiplies the gradient, and the momentum after it has taken it in, in the step of w.

        The mean rate of MOD is one of 1 / sqrt(v), of expectation (1 + 3/16 (K - 1) q) / sqrt(V) to first order.
        """
        rate, zero = p[names.RATE], np.zeros(self.V.size)
        if self.rule == names.PLAIN:
            return zero + rate, zero
        with np.errstate(divide="ignore"):
            over = 1.0 / (p[names.CV] * np.sqrt(self.V) + p[names.EPS])
        if self.rule == names.RMS:
            return rate * over, zero
        if self.rule == names.RMS_HEAVY:
            return over, zero + rate
        if self.rule == names.ADAM:
            return rate * p[names.CG] * over, rate * p[names.CM] * over
        whole = p[names.CM] * over
        if self.rule == names.BOUND:
            return zero, rate * np.clip(whole, p[names.LOW], p[names.HIGH])
        self.held = p[names.LOW] * self.held + (1.0 - p[names.LOW]) * rate * whole * (1.0 + 0.1875 * q)
        return zero, np.minimum(rate * whole, self.held)

    def _move(
        self, p: FloatArray, own: FloatArray, kept: FloatArray, drift: float, power: float, noise: FloatArray
    ) -> None:
        """z <- A z - b (g - mean of g), mean and second moments, with the drift of g and the power of its noise."""
        size, n = self.z.shape
        if size == 1:
            stay = 1.0 - drift * self.drive.eigenvalues * own
            self.z, self.P = stay * self.z, stay * stay * self.P + power * noise * own * own
            return
        A, b = np.zeros((size, size, n)), np.zeros((size, n))
        A[0, 0], b[0] = 1.0, own
        if self.momentum:
            # m <- B1 m + fresh g, w <- w - own g - kept m.
            fresh = own if self.rule == names.RMS_HEAVY else np.full(n, p[names.A1])
            own = np.zeros(n) if self.rule == names.RMS_HEAVY else own
            A[0, 1], A[1, 1] = -kept * p[names.B1], p[names.B1]
            b[0], b[1] = own + kept * fresh, -fresh
        if self.pulled:
            pull = p[names.RATE] * p[names.DECAY]
            A[0, 0], A[0, -1], A[-1, -1] = 1.0 - pull, -pull, 1.0
        A[:, 0] -= drift * self.drive.eigenvalues * b
        self.z = np.einsum("ijn,jn->in", A, self.z)
        self.P = np.einsum("ijn,jkn,lkn->iln", A, self.P, A, optimize=["einsum_path", (0, 1), (0, 1)])
        self.P += power * noise * b[:, None] * b[None]


class Signed:
    """signSGD on a regression with Gaussian features and noise (Xiao, Marshall, Agarwala and Paquette 2024, arXiv
    2411.12135, derive the limit for one sample; for a batch: notes of this project).

    E sign(g_i) = erf(a_i e_i), a_i = c_B sqrt(pi) / 2 sqrt(lam_i / (R + s2 - lam_i m_i)), c_B = 2 Gamma((B + 1) / 2) /
    (sqrt(pi) Gamma(B / 2)), e_i taken as Gaussian: exact where a coordinate's share of the residual is small, and for
    large batches. linear : the form for small shares alone, c_B sqrt(lam_i) e_i / sqrt(R + s2).
    """

    def __init__(self, drive: Drive, method: Any, linear: bool = False) -> None:
        self.drive, self.linear, self.pulled = drive, linear, bool(method.pulled)
        self.mean, self.second = drive.error.copy(), drive.error**2

    def copy(self) -> Signed:
        """The same, to go on by itself."""
        made = object.__new__(Signed)
        made.__dict__.update({key: x.copy() if isinstance(x, np.ndarray) else x for key, x in self.__dict__.items()})
        return made

    def step(self, p: FloatArray, share: float, factors: tuple[float, float] = (1.0, 1.0)) -> None:
        """One step."""
        from scipy.special import erf

        rate, lam, mu, m = p[names.RATE], self.drive.eigenvalues, self.mean, self.second
        total = self.drive.residual(m)
        if self.linear:
            slope = _mean_sign(share) * np.sqrt(lam / total)
            sign, product = slope * mu, slope * m
        else:
            a = 0.5 * np.sqrt(np.pi) * _mean_sign(share) * np.sqrt(lam / np.maximum(total - lam * m, 1e-300))
            spread = np.maximum(m - mu * mu, 0.0)
            wide = np.sqrt(1.0 + 2.0 * a * a * spread)
            sign = erf(a * mu / wide)
            product = mu * sign + 2.0 / np.sqrt(np.pi) * spread * (a / wide) * np.exp(
                -np.minimum((a * mu / wide) ** 2, 700.0)
            )
        # u = w - w* shrinks towards the origin, -error from w*: u <- (1 - pull) u + pull error - rate sign.
        pull = rate * p[names.DECAY] if self.pulled else 0.0
        stay, push = 1.0 - pull, pull * self.drive.error
        self.second = (
            stay**2 * m + push**2 + rate**2 + 2.0 * (stay * push * mu - stay * rate * product - push * rate * sign)
        )
        self.mean = stay * mu + push - rate * sign


def _mean_sign(share: float) -> float:
    """c_B: 2 / pi at B = 1, 1 at B = 2, sqrt(2 B / pi) for large B."""
    from scipy.special import gammaln

    if share == 0.0:
        return np.inf
    B = 1.0 / share
    return float(2.0 / np.sqrt(np.pi) * np.exp(gammaln(0.5 * (B + 1.0)) - gammaln(0.5 * B)))


def walk_of(method: Method, drive: Drive, second_form: bool = False) -> Walk:
    """The walk of a method, or that of its other form, whose difference tells how sure it is; or an InputError."""
    core: Any = method.core
    if core.rule == names.SIGN:
        return Signed(drive, core, second_form)
    known = core.rule in (names.PLAIN, names.RMS, names.RMS_HEAVY, names.ADAM, names.BOUND, names.MOD)
    if known and core.levels().size == 0:
        return Rated(drive, core, second_form)
    raise InputError(
        f" = {brief(method)} has no limit here; take simlab.sample(.., basis='eigen'), or one of sign_sgd, rmsprop, "
        f"adagrad, adam (without amsgrad), adamw, nadam, radam, adabound, adamod, adam_mini.",
        "method",
    )
