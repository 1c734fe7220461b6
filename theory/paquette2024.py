"""Power-law random features: the terms of the loss and the 4 + 3 phases of compute-optimal scaling.

Paquette, Paquette, Xiao and Pennington 2024: x_j = j^-alpha z_j, target coefficients j^-beta, j = 1 .. v; d Gaussian
features W^T x, W_ij ~ N(0, 1/d); one-pass SGD from 0. Loss terms in units of the excess risk (factor 1/2); the learning
rate lr multiplies the mean gradient of the batch, which is gamma B of the authors.

    F_pp, F_ac : what the signal leaves after t steps, in the head and in the part that the features distort
    K_pp : kernel by which gradient noise returns      F_0 : what d features can not express
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import gamma as gamma_function
from scipy.special import zeta
from simlab.theory.statement import require, theorem

__all__ = ["Phase", "compute_optimal", "f_ac", "f_pp", "k_pp", "sketch_risk"]

FloatArray = npt.NDArray[np.float64]


class Phase(NamedTuple):
    """Name of the phase; loss ~ flops^-loss at width flops^width."""

    name: str
    loss: float
    width: float


@theorem(
    kind="asymptotic",
    about="risk that gradient flow leaves on a power-law spectrum",
    source="paquette2024",
    number="F_pp",
    assumptions=("alpha > 0", "2 alpha + 2 beta > 1", "lr > 0", "steps > 0"),
    provenance="printed",
)
def f_pp(alpha: float, beta: float, lr: float, steps: npt.ArrayLike) -> FloatArray:
    """1/2 Gamma(p) (2 lr t)^-p / (2 alpha), p = (2 alpha + 2 beta - 1)/(2 alpha); shape of `steps`.

    The limit t -> infinity of 1/2 sum_j j^(-2 alpha - 2 beta) e^(-2 lr j^(-2 alpha) t) over all j >= 1. Risk units.
    """
    require(alpha > 0.0, "alpha > 0", alpha=alpha)
    require(2.0 * (alpha + beta) > 1.0, "2 alpha + 2 beta > 1", alpha=alpha, beta=beta)
    return 0.5 * _power(alpha, (2.0 * alpha + 2.0 * beta - 1.0) / (2.0 * alpha), lr, steps)


@theorem(
    kind="asymptotic",
    about="risk that gradient flow leaves in the directions distorted by the features",
    source="paquette2024",
    number="F_ac",
    assumptions=("2 alpha > 1", "2 beta > 1", "features >= 1", "lr > 0", "steps > 0"),
    provenance="printed",
)
def f_ac(alpha: float, beta: float, features: int, lr: float, steps: npt.ArrayLike) -> FloatArray:
    """1/2 (zeta(2 beta)/d) Gamma(p) (2 lr t)^-p / (2 alpha), p = 1 - 1/(2 alpha); shape of `steps`, risk units.

    zeta(2 beta) = sum_j j^(-2 beta), d = `features`: weights (sum j^(-2 beta))/d on every j^(-2 alpha).
    """
    require(2.0 * alpha > 1.0, "2 alpha > 1", alpha=alpha)
    require(2.0 * beta > 1.0, "2 beta > 1", beta=beta)
    require(features >= 1, "features >= 1", features=features)
    out: FloatArray = 0.5 * zeta(2.0 * beta) / features * _power(alpha, 1.0 - 1.0 / (2.0 * alpha), lr, steps)
    return out


@theorem(
    kind="asymptotic",
    about="kernel sum_j lam_j^2 e^(-2 lr lam_j t) by which gradient noise of one step returns t steps later",
    source="paquette2024",
    number="K_pp",
    assumptions=("2 alpha > 1/2", "lr > 0", "steps > 0"),
    provenance="printed",
)
def k_pp(alpha: float, lr: float, steps: npt.ArrayLike) -> FloatArray:
    """Gamma(2 - 1/(2 alpha)) (2 lr t)^(-2 + 1/(2 alpha)) / (2 alpha), lam_j = j^(-2 alpha); shape of `steps`."""
    require(2.0 * alpha > 0.5, "2 alpha > 1/2", alpha=alpha)
    return _power(alpha, 2.0 - 1.0 / (2.0 * alpha), lr, steps)


@theorem(
    kind="asymptotic",
    about="irreducible risk of d random features",
    source="paquette2024",
    number="F_0",
    assumptions=("alpha > 0", "1 <= features < ambient_dim"),
    provenance="corrected",
)
def sketch_risk(alpha: float, beta: float, features: int, ambient_dim: int) -> float:
    """1/2 sum_{j<=v} j^(-2(alpha+beta)) / (1 + j^(-2 alpha)/z), z from sum_j 1/(1 + z j^(2 alpha)) = d. Risk units.

    The deterministic equivalent of the random sketch, ratio 1 as d grows; ~ d^(-2 alpha + max(0, 1 - 2 beta)) at v ~ d.
    The authors write z = d^(-2 alpha)/kappa with 1/kappa = int_0^(v/d) du/(kappa + u^(2 alpha)), for 2 alpha > 1; the
    sum in place of the integral is closer at small d and needs no condition. Raises OutsideAssumptions.
    """
    require(alpha > 0.0, "alpha > 0", alpha=alpha)
    require(1 <= features < ambient_dim, "1 <= features < ambient_dim", features=features, ambient_dim=ambient_dim)
    j = np.arange(1.0, ambient_dim + 1.0)
    lam = j ** (-2.0 * alpha)

    def excess(log_z: float) -> float:
        return float(np.sum(lam / (lam + np.exp(log_z)))) - features

    low, high = float(np.log(lam[-1])) - 40.0, float(np.log(lam.sum() / features)) + 1.0
    z = float(np.exp(brentq(excess, low, high, xtol=1e-13)))
    return float(0.5 * np.sum(j ** (-2.0 * (alpha + beta)) * z / (lam + z)))


@theorem(
    kind="scaling",
    about="exponents of the loss and of the width in compute at the best width",
    source="paquette2024",
    number="Table of phases (4 + 3)",
    assumptions=("alpha, beta > 0", "2 alpha + 2 beta > 1", "alpha != 1/2, beta != 1/2 and no boundary of phases"),
    provenance="reconstructed",
)
def compute_optimal(alpha: float, beta: float) -> Phase:
    """Loss ~ f^-eta at width f^xi, f = steps x batch x width; lr constant for 2 alpha > 1, ~ d^(2 alpha - 1) below.

    The formulas are reconstructed; each is the minimum over xi of the largest of F_pp, F_0, F_ac and K_pp. Raises
    OutsideAssumptions on the boundaries between phases, where logarithms appear.
    """
    a, b = alpha, beta
    require(a > 0.0 and b > 0.0, "alpha, beta > 0", alpha=a, beta=b)
    require(2.0 * (a + b) > 1.0, "2 alpha + 2 beta > 1", alpha=a, beta=b)
    turn = 1.0 - 1.0 / np.sqrt(2.0)
    edges = {"alpha": a - 0.5, "beta": b - 0.5}
    if b > 0.5:
        edges |= {"1/4": a - 0.25, "1 - 1/sqrt 2": a - turn} if a < 0.5 else {"alpha = beta": a - b}
    require(min(abs(e) for e in edges.values()) > 0.0, _BOUNDARY, alpha=a, beta=b)
    if b < 0.5:
        if a > 0.5:
            width = 1.0 / (2.0 * a + 1.0)
            return Phase("Ia", (1.0 - width) * (1.0 + b / a - 1.0 / (2.0 * a)), width)
        return Phase("Ib", a + b - 0.5, 0.5)
    if a > 0.5:
        if b < a:
            return Phase("II", (2.0 * a + 2.0 * b - 1.0) / (2.0 * (a + b)), b / (a + b))
        return Phase("III", 1.0 - 1.0 / (4.0 * a), 0.5)
    if a > turn:
        return Phase("IVa", a, 0.5)
    if a > 0.25:
        below = 2.0 * b - a - 2.0 * a * b
        return Phase("IVb", (1.0 - 2.0 * a) * (2.0 * a + 2.0 * b - 1.0) / (2.0 * below), (b - a) / below)
    below = 2.0 * b - 1.0 - a * (2.0 * b - 3.0)
    return Phase("Ic", a * (2.0 * a + 2.0 * b - 1.0) / below, (2.0 * (a + b) - 1.0) / (2.0 * below))


_BOUNDARY = "alpha != 1/2, beta != 1/2 and no boundary of phases"


def _power(alpha: float, p: float, lr: float, steps: npt.ArrayLike) -> FloatArray:
    t = np.asarray(steps, dtype=np.float64)
    require(lr > 0.0, "lr > 0", lr=lr)
    require(t > 0.0, "steps > 0", steps=t)
    out: FloatArray = gamma_function(p) * (2.0 * lr * t) ** -p / (2.0 * alpha)
    return out
