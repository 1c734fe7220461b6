"""The last iterate of the subgradient method under any schedule: Schaipp et al. 2025 and their closed limits.

Setting of all functions: f convex, x_{t+1} = x_t - eta_t g_t with E[g_t | x_t] a subgradient of f at x_t and
E |g_t|^2 <= G_t^2, |x_1 - x*| <= D. Steps are counted as in the paper: the bound on x_t, which t - 1 steps have led to,
contains eta_t, the step that would follow. Entry j (from 0) of an answer therefore belongs to step j of a simlab trace,
whose coordinate lr is that of the following step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import digamma
from simlab.theory.statement import require, theorem
from simlab.theory.sums import memory_sums, prefix_sums, suffix_sums

__all__ = [
    "BaseLr",
    "check_run",
    "polynomial_limit",
    "schaipp_last_iterate",
    "schaipp_optimal_base_lr",
    "schaipp_wsd",
    "wsd_limit",
    "wsd_lr_transfer",
]

FloatArray = npt.NDArray[np.float64]
RUN = ("lr > 0", "gradient norms > 0 and finite", "0 < distance < inf")
HORIZONS = ("horizons are whole numbers within 1 .. T",)


class BaseLr(NamedTuple):
    """The factor of a profile that minimises a bound, and the bound there; arrays of the shape of the horizons."""

    lr: FloatArray
    bound: FloatArray


def check_run(lr: npt.ArrayLike, gradient_norms: npt.ArrayLike, distance: float) -> tuple[FloatArray, FloatArray]:
    """lr and gradient norms as float64 arrays of shape (T,), inside the assumptions RUN."""
    rate = np.atleast_1d(np.asarray(lr, dtype=np.float64))
    require(rate.ndim == 1 and rate.size > 0, "lr of shape (T,), T >= 1", shape=rate.shape)
    norms = np.asarray(gradient_norms, dtype=np.float64)
    require(norms.ndim == 0 or norms.shape == rate.shape, "one gradient norm, or one for each lr", shape=norms.shape)
    require((rate > 0.0) & np.isfinite(rate), RUN[0], lr=rate)
    require((norms > 0.0) & np.isfinite(norms), RUN[1], gradient_norms=norms)
    require(0.0 < distance < np.inf, RUN[2], distance=distance)
    return rate, np.broadcast_to(norms, rate.shape).astype(np.float64)


def _two_terms(rate: FloatArray, norms: FloatArray, horizons: npt.ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    """1 / (2 S_t) and half the noise sum of notes 7.2 at each horizon t."""
    charges = np.square(rate * norms)
    if horizons is None:
        noise = memory_sums(rate, charges, 1.0) + charges / rate
        return 0.5 / prefix_sums(rate), 0.5 * noise
    at = np.asarray(horizons)
    whole = at.dtype.kind in "iu"
    require(whole and np.all((at >= 1) & (at <= rate.size)), HORIZONS[0], horizons=at, T=rate.size)
    distance_term, noise_term = np.empty(at.shape), np.empty(at.shape)
    for index in np.ndindex(at.shape):
        t = int(at[index])
        left = suffix_sums(rate[:t])
        distance_term[index] = 0.5 / left[0]
        noise_term[index] = 0.5 * (np.sum(charges[: t - 1] / left[1:]) + charges[t - 1] / rate[t - 1])
    return distance_term, noise_term


@theorem(
    kind="upper",
    about="E f(x_t) - f* of the subgradient method at every horizon t",
    source="schaipp2025",
    number="section 3, Omega_t; after Defazio et al. 2023, Theorem 10",
    assumptions=RUN + HORIZONS,
    provenance="corrected",
)
def schaipp_last_iterate(
    lr: npt.ArrayLike,
    gradient_norms: npt.ArrayLike = 1.0,
    distance: float = 1.0,
    horizons: npt.ArrayLike | None = None,
) -> FloatArray:
    """Omega_t >= E f(x_t) - f* for any schedule, at every horizon t = 1 .. T or at the given ones.

        Omega_t = D^2 / (2 S_t) + 1/2 sum_{k<t} eta_k^2 G_k^2 / (S_t - S_k) + 1/2 eta_t G_t^2,   S_t = eta_1 + ... +
        eta_t

    The paper prints the double sum

        D^2 / (2 S_t) + sum_{s<=t} eta_s^2 G_s^2 / (2 S_t)
          + 1/2 sum_{k<t} [eta_k / sum_{s=k+1}^t eta_s] [sum_{s=k}^t eta_s^2 G_s^2 / sum_{s=k}^t eta_s],

    which summation by parts turns into the form above: eta_k / ((S_t - S_k)(S_t - S_{k-1})) is the difference of the
    reciprocals of S_t - S_k and S_t - S_{k-1}. Equal to 10^-12, and no difference of sums is taken.

    lr eta and gradient_norms G (or one number), shape (T,); distance D = |x_1 - x*|; horizons: integers in 1 .. T of
    any shape, default all. Returns Omega in units of f, shape (T,) or that of the horizons. All horizons at once cost
    O(T log T), a single one O(T). Raises OutsideAssumptions for lr, norms or distance that are not positive.
    """
    rate, norms = check_run(lr, gradient_norms, distance)
    initial, noise = _two_terms(rate, norms, horizons)
    return distance**2 * initial + noise


@theorem(
    kind="exact",
    about="the base learning rate that minimises Omega_t, and the minimum",
    source="schaipp2025",
    number="section 3, gamma* and Omega*",
    assumptions=RUN + HORIZONS,
    provenance="printed",
)
def schaipp_optimal_base_lr(
    profile: npt.ArrayLike,
    gradient_norms: npt.ArrayLike = 1.0,
    distance: float = 1.0,
    horizons: npt.ArrayLike | None = None,
) -> BaseLr:
    """With eta_s = gamma h_s, Omega_t = T_1 / gamma + gamma T_2 is least at gamma* = sqrt(T_1 / T_2), Omega* = 2
    sqrt(T_1 T_2).

    profile h, shape (T,), and the rest as in schaipp_last_iterate. Returns BaseLr(gamma*, Omega*) at every horizon, or
    at the given ones. Constant h: T_1 = D^2 / (2 t), T_2 = G^2 (1 + H_{t-1}) / 2 with H_n the harmonic numbers.
    """
    shape, norms = check_run(profile, gradient_norms, distance)
    initial, noise = _two_terms(shape, norms, horizons)
    return BaseLr(distance * np.sqrt(initial / noise), 2.0 * distance * np.sqrt(initial * noise))


def _harmonic(n: float) -> float:
    return float(digamma(n + 1.0) + np.euler_gamma)


def _wsd_bracket(T: int, T0: int) -> float:
    """sqrt(a) of schaipp_wsd."""
    bracket = 2.0 / 3.0 + (T + 2 * T0) / (3.0 * (T + T0)) + _harmonic(T + T0 - 2) - _harmonic(T - T0 + 1)
    bracket -= (T - T0) * (T0 - 1) / (3.0 * (T - T0 + 2) * (T + T0))
    bracket += 1.0 / (T - T0) ** 2 + _harmonic(T - T0 - 1) / (T - T0 + 1)
    return float(np.sqrt(4.0 * bracket / (T + T0)))


@theorem(
    kind="upper",
    about="Omega_T at its optimal base learning rate for a constant phase and linear cooldown",
    source="schaipp2025",
    number="Theorem 9 (as in the authors' tests)",
    assumptions=("2 <= T0 < T", "gradient norm > 0 and distance > 0"),
    provenance="corrected",
)
def schaipp_wsd(steps: int, cooldown_start: int, gradient_norm: float = 1.0, distance: float = 1.0) -> float:
    """Omega_T <= D G sqrt(a) for eta_t ~ 1 up to t = T0, then (T + 1 - t) / (T + 1 - T0), at the best base rate:

        a = 4 / (T + T0) [2/3 + (T + 2 T0) / (3 (T + T0)) + H_{T+T0-2} - H_{T-T0+1}
            - (T - T0)(T0 - 1) / (3 (T - T0 + 2)(T + T0)) + 1 / (T - T0)^2 + H_{T-T0-1} / (T - T0 + 1)]

    steps T, cooldown_start T0, gradient_norm G, distance D; H_n = 1 + 1/2 + ... + 1/n. Loose by 23 % at T0 = 0.8 T
    against the Omega* that it bounds (schaipp_optimal_base_lr gives that one). Corrected in its range: at T0 = 1,
    linear decay from the start, the expression falls short of Omega* by up to 1.2 % (T = 4 .. 80, worst at T = 5) and
    is refused; for 2 <= T0 < T <= 80 no exception was found.
    """
    T, T0 = int(steps), int(cooldown_start)
    require(2 <= T0 < T, "2 <= T0 < T", T0=T0, T=T)
    require(gradient_norm > 0.0 and distance > 0.0, "gradient norm > 0 and distance > 0", G=gradient_norm, D=distance)
    return distance * gradient_norm * _wsd_bracket(T, T0)


_COOLDOWN = "0 < cooldown <= 1"


def _wsd_integrals(cooldown: FloatArray, shape: str) -> tuple[FloatArray, FloatArray]:
    """int h and int h^2 / Hbar of a constant phase and a cooldown over the fraction c, Hbar(s) = int_s^1 h."""
    require((cooldown > 0.0) & (cooldown <= 1.0), _COOLDOWN, cooldown=cooldown)
    require(shape in ("linear", "1-sqrt"), "shape 'linear' or '1-sqrt'", shape=shape)
    if shape == "linear":
        return 1.0 - cooldown / 2.0, 2.0 + np.log((2.0 - cooldown) / cooldown)
    return 1.0 - 2.0 * cooldown / 3.0, 3.0 - 1.5 * np.log(3.0) + np.log((3.0 - 2.0 * cooldown) / cooldown)


@theorem(
    kind="asymptotic",
    about="sqrt(T) Omega*_T / (D G) and sqrt(T) gamma* G / D of warmup-free WSD as T grows",
    source="simlab",
    number="notes 7.3",
    assumptions=(_COOLDOWN, "shape 'linear' or '1-sqrt'"),
    provenance="derived",
)
def wsd_limit(cooldown: npt.ArrayLike, shape: str = "linear") -> BaseLr:
    """Limits for T -> inf of the optimal base rate and bound of Schaipp et al. 2025 under WSD with cooldown fraction c.

    For a profile h on [0, 1] with Hbar(s) = int_s^1 h and constant norms,

        sqrt(T) Omega* / (D G) -> sqrt(int h^2 / Hbar / int h),   sqrt(T) gamma* G / D -> 1 / sqrt(int h int h^2 /
        Hbar),

        linear:  int h = 1 - c/2,   int h^2 / Hbar = 2 + ln((2 - c) / c)
        1-sqrt:  int h = 1 - 2c/3,  int h^2 / Hbar = 3 (1 - ln(3)/2) + ln((3 - 2c) / c)

    Returns BaseLr(sqrt(T) gamma* G / D, sqrt(T) Omega* / (D G)), of the shape of cooldown. The error at finite T is
    O(ln T / T) for linear and O(T^-1/2) for 1-sqrt.
    """
    c = np.asarray(cooldown, dtype=np.float64)
    total, noise = _wsd_integrals(c, shape)
    return BaseLr(np.asarray(1.0 / np.sqrt(total * noise)), np.asarray(np.sqrt(noise / total)))


@theorem(
    kind="asymptotic",
    about="sqrt(T) Omega*_T / (D G) and sqrt(T) gamma* G / D of polynomial decay (1 - s)^p as T grows",
    source="simlab",
    number="notes 7.3",
    assumptions=("power > 0",),
    provenance="derived",
)
def polynomial_limit(power: npt.ArrayLike) -> BaseLr:
    """As wsd_limit for h = (1 - s)^p: int h = 1/(p+1), int h^2/Hbar = (p+1)/p, Omega* -> (p+1)/sqrt(p), gamma* ->
    sqrt(p).

    Least at p = 1: linear decay is the best polynomial, with limit 2. Returns BaseLr of the shape of power.
    """
    p = np.asarray(power, dtype=np.float64)
    require(p > 0.0, "power > 0", power=p)
    return BaseLr(np.asarray(np.sqrt(p)), np.asarray((p + 1.0) / np.sqrt(p)))


@theorem(
    kind="asymptotic",
    about="the ratio of the optimal base learning rates of two cooldown fractions as T grows",
    source="simlab",
    number="notes 7.3",
    assumptions=(_COOLDOWN,),
    provenance="derived",
)
def wsd_lr_transfer(cooldown: npt.ArrayLike, tuned_at: npt.ArrayLike = 1.0) -> FloatArray:
    """By what to multiply a base rate tuned at a linear cooldown of one fraction to use it at another.

        gamma*(c) / gamma*(c') = sqrt[(1 - c'/2)(2 + ln((2 - c')/c')) / ((1 - c/2)(2 + ln((2 - c)/c)))]

    cooldown c and tuned_at c' in (0, 1], broadcast. c' = 1 is linear decay: gamma*(0.2) / gamma*(1) = 0.51.
    """
    c, other = np.asarray(cooldown, dtype=np.float64), np.asarray(tuned_at, dtype=np.float64)
    total, noise = _wsd_integrals(c, "linear")
    base_total, base_noise = _wsd_integrals(other, "linear")
    return np.asarray(np.sqrt(base_total * base_noise / (total * noise)))
