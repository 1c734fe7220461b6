"""Functional scaling laws: the risk of SGD on power-law spectra for any schedule, and exponents at the best tuning.

Intrinsic time tau = sum of learning rates, gamma = lr/B. With e(tau) = sum lam delta_0^2 e^(-2 lam tau) and K(tau) =
sum lam^2 e^(-2 lam tau) the functional scaling law (Li, Chen, Huang, Wang and Wu 2025) is

    risk ~ e(t) + int_0^t K(t - z) [e(z) + sigma^2] gamma(z) dz      (+ M^(-s beta) of a model of width M)

on lam_j ~ j^-beta, lam_j theta_j^2 ~ j^-(1 + s beta). With factors 1/2 it is the first Neumann iterate of the Volterra
equation of `theory.bordelon2022`, whose kernel is positive: as such it is a lower bound on the risk, exactly.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from simlab.theory.bordelon2022 import flow_weights, recur, volterra_inputs
from simlab.theory.statement import Risk, require, theorem
from simlab.theory.two_state import TwoState, two_state_mass

__all__ = [
    "LawExponents",
    "bordelon_exponents",
    "dana_exponent",
    "fsl_exponents",
    "fsl_first_order",
    "fsl_lower",
    "fsl_variance_upper",
]

FloatArray = npt.NDArray[np.float64]
Schedule = Literal["constant", "exponential", "wsd"]
Budget = Literal["data", "compute"]


class LawExponents(NamedTuple):
    """Risk ~ N^-power (log N)^log of the budget N."""

    power: float
    log: float


class Exponents(NamedTuple):
    """Loss ~ (training time)^-time, (width)^-width, (compute)^-compute."""

    time: float
    width: float
    compute: float


@theorem(
    kind="asymptotic",
    about="risk of every mode of SGD in the limit lr -> 0 at fixed intrinsic time",
    source="li2025fsl",
    number="Theorem 4.4, with the prefactors of Gaussian data",
    assumptions=("lr >= 0", "batch >= 1", "noise_variance >= 0"),
    provenance="corrected",
)
def fsl_first_order(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: npt.ArrayLike,
    batch: npt.ArrayLike = 1.0,
) -> Risk:
    """1/2 {e(t) + int_0^t K(t - z) [e(z) + sigma^2] gamma(z) dz} by mode; lr (T,), batch a number or (T,).

    Shape (T + 1, d). The printed law hides constants; 1/2 and the exponent 2 are those of Gaussian data, and the ratio
    to the exact risk tends to 1 as lr -> 0. lr is constant within a step and e linear, exponentials are integrated
    exactly; O(T log T d). Raises OutsideAssumptions.
    """
    lam, error, rate, share = volterra_inputs(eigenvalues, initial_error, lr, batch, limit=None)
    require(noise_variance >= 0.0, "noise_variance >= 0", noise_variance=noise_variance)
    decay, early, late = flow_weights(lam, rate, share)
    free = recur(decay, np.zeros_like(decay), lam * error**2)
    e = free.sum(axis=1, keepdims=True)
    bias = free + recur(decay, early * e[:-1] + late * e[1:], np.zeros_like(lam))
    return Risk(0.5 * bias, 0.5 * noise_variance * recur(decay, early + late, np.zeros_like(lam)))


@theorem(
    kind="lower",
    about="risk of every mode of SGD at every step, for any schedule",
    source="li2025fsl",
    number="discrete form of Theorem 4.4",
    assumptions=("lr >= 0", "batch >= 1", "noise_variance >= 0", "kurtosis >= 2"),
    provenance="derived",
)
def fsl_lower(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: npt.ArrayLike,
    batch: npt.ArrayLike = 1.0,
    kurtosis: float = 3.0,
) -> Risk:
    """The first iterate R >= F + k * (F + sigma^2) of the exact Volterra equation, by mode, shape (T + 1, d).

    F and k as in `theory.bordelon2022`, for any learning rates, also unstable ones: k >= 0 as kurtosis >= 2.
    O(T log T d), no system to solve. Raises OutsideAssumptions.
    """
    lam, error, rate, share = volterra_inputs(eigenvalues, initial_error, lr, batch, limit=None)
    require(noise_variance >= 0.0, "noise_variance >= 0", noise_variance=noise_variance)
    require(kurtosis >= 2.0, "kurtosis >= 2", kurtosis=kurtosis)
    decay, gain = _discrete(lam, rate, share, kurtosis)
    free = recur(decay, np.zeros_like(decay), lam * error**2)
    bias = free + recur(decay, gain * free[:-1].sum(axis=1, keepdims=True), np.zeros_like(lam))
    return Risk(0.5 * bias, 0.5 * noise_variance * recur(decay, gain, np.zeros_like(lam)))


@theorem(
    kind="upper",
    about="variance of every mode of SGD at every step, for any schedule",
    source="li2025fsl",
    number="noise term of Theorem 4.4, with the resolvent bounded",
    assumptions=("lr >= 0", "batch >= 1", "noise_variance >= 0", "kurtosis >= 2", "mass K < 1 at the peak lr"),
    provenance="derived",
)
def fsl_variance_upper(
    eigenvalues: npt.ArrayLike,
    noise_variance: float,
    lr: npt.ArrayLike,
    batch: float = 1.0,
    kurtosis: float = 3.0,
) -> FloatArray:
    """1/2 sigma^2 (k * 1)/(1 - K), K the mass at the largest learning rate; shape (T + 1, d).

    Proof. A step moves lam_i E delta_i^2 to a convex combination of itself and s_i(lr_t)(R_t + sigma^2), K = sum_i s_i,
    s_i rising with lr; so R_t <= K sup (R + sigma^2), sup R <= sigma^2 K/(1 - K), and the source R + sigma^2 is at most
    sigma^2/(1 - K). Raises OutsideAssumptions.
    """
    lam, _, rate, share = volterra_inputs(eigenvalues, 0.0, lr, batch, limit=None)
    require(noise_variance >= 0.0, "noise_variance >= 0", noise_variance=noise_variance)
    require(kurtosis >= 2.0, "kurtosis >= 2", kurtosis=kurtosis)
    peak = float(rate.max())
    mass = two_state_mass(lam, *TwoState.sgd(peak), batch=batch, kurtosis=kurtosis) if peak > 0.0 else 0.0
    require(mass < 1.0, "mass K < 1 at the peak lr", mass=mass)
    decay, gain = _discrete(lam, rate, share, kurtosis)
    return 0.5 * noise_variance / (1.0 - mass) * recur(decay, gain, np.zeros_like(lam))


@theorem(
    kind="scaling",
    about="exponents of the risk at the best peak learning rate (and width) for a budget",
    source="li2025fsl",
    number="Table 1",
    assumptions=(
        "schedule is constant, exponential or wsd",
        "budget is data or compute",
        "capacity > 1",
        "source > 0",
    ),
    provenance="printed",
)
def fsl_exponents(schedule: Schedule, budget: Budget, capacity: float, source: float) -> LawExponents:
    """Risk ~ D^-power (log D)^log (data) or C^-power (log C)^log (compute C = M D); beta = `capacity`, s = `source`.

    Easy s >= 1 - 1/beta, hard below. constant: s/(s+1); s beta/(1 + s beta + beta). exponential: (D/log D) to the power
    s beta/(1 + s beta), hard s; (C/log C) to s beta/(2 + s beta), hard s beta/(1 + beta). wsd: the same powers with
    (log D)^((s beta - s)/(1 + s beta)), (log C)^((s beta - s)/(2 + s beta)), hard without a logarithm.
    """
    require(
        schedule in ("constant", "exponential", "wsd"), "schedule is constant, exponential or wsd", schedule=schedule
    )
    require(budget in ("data", "compute"), "budget is data or compute", budget=budget)
    require(capacity > 1.0, "capacity > 1", capacity=capacity)
    require(source > 0.0, "source > 0", source=source)
    beta, s = capacity, source
    data = budget == "data"
    if schedule == "constant":
        return LawExponents(s / (s + 1.0) if data else s * beta / (1.0 + s * beta + beta), 0.0)
    if s < 1.0 - 1.0 / beta:
        power = s if data else s * beta / (1.0 + beta)
        return LawExponents(power, power if schedule == "exponential" else 0.0)
    below = (1.0 if data else 2.0) + s * beta
    return LawExponents(s * beta / below, (s * beta if schedule == "exponential" else s * beta - s) / below)


@theorem(
    kind="scaling",
    about="exponents of the loss of random features in time, width and compute",
    source="bordelon2024",
    number="section on bottleneck scalings",
    assumptions=("b > 1", "a > 1"),
    provenance="derived",
)
def bordelon_exponents(a: float, b: float) -> Exponents:
    """time (a - 1)/b, width r = min(a - 1, b), compute (a - 1) r/(a - 1 + b r); lam_k ~ k^-b, lam_k w_k^2 ~ k^-a.

    Compute is width times time. The notes remember the cap on the width's exponent as 2 b; the irreducible risk of N
    Gaussian features, sum_k k^-a kappa/(lam_k + kappa) with kappa ~ N^-b, has b (as F_0 of Paquette et al. 2024 does),
    and so do exact sketches. The paper's text was not at hand. Raises OutsideAssumptions.
    """
    require(b > 1.0, "b > 1", b=b)
    require(a > 1.0, "a > 1", a=a)
    width = min(a - 1.0, b)
    return Exponents((a - 1.0) / b, width, (a - 1.0) * width / (a - 1.0 + b * width))


@theorem(
    kind="scaling",
    about="exponent of the bias in the number of steps under dimension-adapted momentum",
    source="ferbach2025",
    number="loss exponents of F_pp",
    assumptions=("2 alpha > 1", "2 alpha + 2 beta > 1", "method is sgd, dana_constant or dana_decaying"),
    provenance="reconstructed",
)
def dana_exponent(method: Literal["sgd", "dana_constant", "dana_decaying"], alpha: float, beta: float) -> float:
    """p = (2 alpha + 2 beta - 1)/(2 alpha) for SGD, 2 p for DANA-constant at t >> d, p (2 - 1/(2 alpha)) for decaying.

    lam_j = j^(-2 alpha), lam_j w_j^2 = j^(-2 alpha - 2 beta). Effective time 1 + 2 g2 B t + (int_0^t sqrt(g3 B))^2 in
    place of 2 g B t, g3 ~ 1/d (constant) or (1 + t)^(-1/(2 alpha)) (decaying). Raises OutsideAssumptions.
    """
    known = ("sgd", "dana_constant", "dana_decaying")
    require(method in known, "method is sgd, dana_constant or dana_decaying", method=method)
    require(2.0 * alpha > 1.0, "2 alpha > 1", alpha=alpha)
    require(2.0 * (alpha + beta) > 1.0, "2 alpha + 2 beta > 1", alpha=alpha, beta=beta)
    p = (2.0 * alpha + 2.0 * beta - 1.0) / (2.0 * alpha)
    return p * dict(zip(known, (1.0, 2.0, 2.0 - 1.0 / (2.0 * alpha)), strict=True))[method]


def _discrete(lam: FloatArray, rate: FloatArray, share: FloatArray, kurtosis: float) -> tuple[FloatArray, FloatArray]:
    """q and (lr lam)^2/B of every step and mode, (T, d)."""
    x = rate[:, None] * lam
    return (1.0 - x) ** 2 + (kurtosis - 2.0) * share[:, None] * x**2, share[:, None] * x**2
