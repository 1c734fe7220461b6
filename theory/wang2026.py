"""Critical learning rates and batch sizes of SGD, heavy ball (Polyak) and Nesterov's momentum.

Wang, Huang, Li and Wu 2026: Gaussian data, lam_j ~ j^-beta, lam_j theta*_j^2 ~ j^-(1 + s beta), one pass of D samples
in batches of B, eta the learning rate, rho the momentum, eta_rho = eta/(1 - rho). The masses are exact and special
cases of `theory.two_state`; the two-sided bounds on Polyak's critical rate are this project's.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import require, theorem
from simlab.theory.two_state import spectrum

__all__ = [
    "CriticalExponents",
    "critical_lr_exponents",
    "data_exponents",
    "floor_exponent",
    "momentum_horizon_exponent",
    "nesterov_mass",
    "polyak_critical_lr_lower",
    "polyak_critical_lr_upper",
    "polyak_mass",
    "sgd_critical_lr_lower",
    "sgd_critical_lr_upper",
    "sgd_mass",
]

FloatArray = npt.NDArray[np.float64]
Name = Literal["sgd", "polyak", "nesterov"]
NAMES = ("sgd", "polyak", "nesterov")


class CriticalExponents(NamedTuple):
    """Critical lr ~ B^batch (1 - rho)^damping."""

    batch: float
    damping: float


def _positive(terms: FloatArray, condition: str) -> None:
    require(terms > 0.0, condition, value=terms)


@theorem(
    kind="exact",
    about="mass K of SGD on Gaussian data: mean-square stable if and only if K < 1",
    source="wang2026",
    number="Theorem B.2",
    assumptions=("batch >= 1", "0 < lr lam_1 (batch + 1) < 2 batch"),
    provenance="printed",
)
def sgd_mass(eigenvalues: npt.ArrayLike, lr: float, batch: float = 1.0) -> float:
    """sum_i eta lam_i / (2 B - (B + 1) eta lam_i). Dimensionless; raises OutsideAssumptions."""
    lam = spectrum(eigenvalues)
    require(batch >= 1.0, "batch >= 1", batch=batch)
    x = lr * lam
    _positive(np.minimum(x, 2.0 * batch - (batch + 1.0) * x), "0 < lr lam_1 (batch + 1) < 2 batch")
    return float(np.sum(x / (2.0 * batch - (batch + 1.0) * x)))


@theorem(
    kind="exact",
    about="mass K of heavy ball on Gaussian data: mean-square stable if and only if K < 1",
    source="wang2026",
    number="Theorem B.4",
    assumptions=("batch >= 1", "0 <= momentum < 1", "every denominator > 0 and lr > 0"),
    provenance="printed",
)
def polyak_mass(eigenvalues: npt.ArrayLike, lr: float, momentum: float, batch: float = 1.0) -> float:
    """sum_i eta lam_i (1 + rho) / (2 B (1 - rho^2) - eta lam_i [B (1 - rho) + 1 + rho]). Raises OutsideAssumptions."""
    lam = spectrum(eigenvalues)
    r = _momentum(momentum, batch)
    x = lr * lam
    below = 2.0 * batch * (1.0 - r) * (1.0 + r) - x * (batch * (1.0 - r) + 1.0 + r)
    _positive(np.minimum(x, below), "every denominator > 0 and lr > 0")
    return float(np.sum(x * (1.0 + r) / below))


@theorem(
    kind="exact",
    about="mass K of Nesterov's momentum on Gaussian data: mean-square stable if and only if K < 1",
    source="wang2026",
    number="Theorem B.6",
    assumptions=("batch >= 1", "0 <= momentum < 1", "every denominator > 0 and lr > 0"),
    provenance="printed",
)
def nesterov_mass(eigenvalues: npt.ArrayLike, lr: float, momentum: float, batch: float = 1.0) -> float:
    """sum_i x [1 + rho + rho (1 + 2 rho) x] / D(x), x = eta lam_i, the gradient taken at w + rho (w - w_old).

    D(x) = 2 B (1 - rho^2) + [4 B rho^2 + (B - 1) rho - (B + 1)] x - (B + 1) rho (1 + 2 rho) x^2. Raises
    OutsideAssumptions.
    """
    lam = spectrum(eigenvalues)
    r = _momentum(momentum, batch)
    x = lr * lam
    linear = 4.0 * batch * r * r + (batch - 1.0) * r - (batch + 1.0)
    below = 2.0 * batch * (1.0 - r) * (1.0 + r) + linear * x - (batch + 1.0) * r * (1.0 + 2.0 * r) * x * x
    _positive(np.minimum(x, below), "every denominator > 0 and lr > 0")
    return float(np.sum(x * (1.0 + r + r * (1.0 + 2.0 * r) * x) / below))


@theorem(
    kind="lower",
    about="critical learning rate of SGD on Gaussian data",
    source="wang2026",
    number="section 4 (two-sided bound)",
    assumptions=("batch >= 1",),
    provenance="printed",
)
def sgd_critical_lr_lower(eigenvalues: npt.ArrayLike, batch: float = 1.0) -> float:
    """2 B / ((B + 1) lam_1 + tr H): every denominator of the mass replaced by its smallest."""
    return _polyak_lower(spectrum(eigenvalues), 0.0, batch)


@theorem(
    kind="upper",
    about="critical learning rate of SGD on Gaussian data",
    source="wang2026",
    number="section 4 (two-sided bound)",
    assumptions=("batch >= 1",),
    provenance="printed",
)
def sgd_critical_lr_upper(eigenvalues: npt.ArrayLike, batch: float = 1.0) -> float:
    """min{2 B / ((B + 1) lam_1), 2 B / tr H}: the first denominator, and every denominator replaced by its largest."""
    return _polyak_upper(spectrum(eigenvalues), 0.0, batch)


@theorem(
    kind="lower",
    about="critical learning rate of heavy ball on Gaussian data",
    source="wang2026",
    number="Theorem 4.3, with constants",
    assumptions=("batch >= 1", "0 <= momentum < 1"),
    provenance="derived",
)
def polyak_critical_lr_lower(eigenvalues: npt.ArrayLike, momentum: float, batch: float = 1.0) -> float:
    """2 B (1 - rho^2) / ((1 + rho) tr H + lam_1 [B (1 - rho) + 1 + rho]): the smallest denominator of Theorem B.4."""
    return _polyak_lower(spectrum(eigenvalues), _momentum(momentum, batch), batch)


@theorem(
    kind="upper",
    about="critical learning rate of heavy ball on Gaussian data",
    source="wang2026",
    number="Theorem 4.3, with constants",
    assumptions=("batch >= 1", "0 <= momentum < 1"),
    provenance="derived",
)
def polyak_critical_lr_upper(eigenvalues: npt.ArrayLike, momentum: float, batch: float = 1.0) -> float:
    """min{2 B (1 - rho^2) / (lam_1 [B (1 - rho) + 1 + rho]), 2 B (1 - rho) / tr H}."""
    return _polyak_upper(spectrum(eigenvalues), _momentum(momentum, batch), batch)


def _polyak_lower(lam: FloatArray, r: float, batch: float) -> float:
    require(batch >= 1.0, "batch >= 1", batch=batch)
    top = 2.0 * batch * (1.0 - r) * (1.0 + r)
    return float(top / ((1.0 + r) * lam[::-1].sum() + lam[0] * (batch * (1.0 - r) + 1.0 + r)))


def _polyak_upper(lam: FloatArray, r: float, batch: float) -> float:
    require(batch >= 1.0, "batch >= 1", batch=batch)
    first = 2.0 * batch * (1.0 - r) * (1.0 + r) / (lam[0] * (batch * (1.0 - r) + 1.0 + r))
    return float(min(first, 2.0 * batch * (1.0 - r) / lam[::-1].sum()))


@theorem(
    kind="scaling",
    about="exponents of the critical learning rate in the batch and in 1 - rho, where noise sets it",
    source="wang2026",
    number="Theorem 4.3",
    assumptions=("capacity > 1", "method is sgd, polyak or nesterov"),
    provenance="printed",
)
def critical_lr_exponents(method: Name, capacity: float) -> CriticalExponents:
    """eta_crit ~ 1 (SGD), min{1, B (1 - rho)} (Polyak), min{1, B^beta (1 - rho)} (Nesterov); beta = `capacity`.

    The exponents are those of the second entry, at B (1 - rho) << 1 (Nesterov: B^beta (1 - rho) << 1) and B >> 1.
    """
    _known(method)
    require(capacity > 1.0, "capacity > 1", capacity=capacity)
    return {
        "sgd": CriticalExponents(0.0, 0.0),
        "polyak": CriticalExponents(1.0, 1.0),
        "nesterov": CriticalExponents(capacity, 1.0),
    }[method]


@theorem(
    kind="scaling",
    about="exponent of the noise floor in the effective learning rate eta/(1 - rho)",
    source="wang2026",
    number="Theorems 5.1, 5.2",
    assumptions=("capacity > 1", "method is sgd, polyak or nesterov", "effective_lr > 0"),
    provenance="printed",
)
def floor_exponent(method: Name, capacity: float, effective_lr: float) -> float:
    """Floor ~ (sigma^2 / B) eta_rho (SGD, Polyak), (sigma^2 / B) min{eta_rho, eta_rho^(1/beta)} (Nesterov).

    For Nesterov's momentum 1/beta at eta_rho > 1 (lam_1 about 1), else 1.
    """
    _known(method)
    require(capacity > 1.0, "capacity > 1", capacity=capacity)
    require(effective_lr > 0.0, "effective_lr > 0", effective_lr=effective_lr)
    return 1.0 / capacity if method == "nesterov" and effective_lr > 1.0 else 1.0


@theorem(
    kind="scaling",
    about="exponent in B of the step at which 1 - rho_k = 1/(k + 1) makes the second moments unstable",
    source="wang2026",
    number="section on momentum schedules",
    assumptions=("capacity > 1", "method is polyak or nesterov"),
    provenance="printed",
)
def momentum_horizon_exponent(method: Name, capacity: float) -> float:
    """k* ~ B / eta (Polyak), B^beta / eta (Nesterov): keep 1 - rho_k above eta/B, or eta/B^beta. The exponent of B."""
    require(method in NAMES[1:], "method is polyak or nesterov", method=method)
    require(capacity > 1.0, "capacity > 1", capacity=capacity)
    return 1.0 if method == "polyak" else capacity


@theorem(
    kind="scaling",
    about="exponent of the best risk in the number of samples D, at batch D^b",
    source="wang2026",
    number="Theorem 6.3",
    assumptions=("capacity > 1", "source > 0", "0 <= batch_exponent < 1", "method is sgd, polyak or nesterov"),
    provenance="printed",
)
def data_exponents(method: Name, capacity: float, source: float, batch_exponent: npt.ArrayLike) -> FloatArray:
    """r with risk ~ D^-r (logarithms left out), shape of `batch_exponent` b; beta = `capacity`, s = `source`.

    b1 = s/(s+1), b2 = (2s + 1/beta)/(2s + 1 + 1/beta), b3 = (2s+1)/(2s+2). All: r = s/(s+1) up to b1 (Polyak: b3);
    SGD then s (1-b); Polyak then 2 s (1-b); Nesterov s (1 + (beta-1) b)/(s beta + 1) on [b1, b2), then 2 s (1-b).
    lam_j theta*_j^2 ~ j^-(1 + s beta). Raises OutsideAssumptions.
    """
    _known(method)
    require(capacity > 1.0, "capacity > 1", capacity=capacity)
    require(source > 0.0, "source > 0", source=source)
    b = np.asarray(batch_exponent, dtype=np.float64)
    require((b >= 0.0) & (b < 1.0), "0 <= batch_exponent < 1", batch_exponent=b)
    s = source
    best = np.full(b.shape, s / (s + 1.0))
    if method == "sgd":
        return np.where(b < s / (s + 1.0), best, s * (1.0 - b))
    late = 2.0 * s * (1.0 - b)
    if method == "polyak":
        return np.where(b < (2.0 * s + 1.0) / (2.0 * s + 2.0), best, late)
    turn = 2.0 * s + 1.0 / capacity
    middle = s * (1.0 + (capacity - 1.0) * b) / (s * capacity + 1.0)
    return np.where(b < s / (s + 1.0), best, np.where(b < turn / (turn + 1.0), middle, late))


def _momentum(momentum: float, batch: float) -> float:
    require(batch >= 1.0, "batch >= 1", batch=batch)
    require(0.0 <= momentum < 1.0, "0 <= momentum < 1", momentum=momentum)
    return momentum


def _known(method: str) -> None:
    require(method in NAMES, "method is sgd, polyak or nesterov", method=method)
