"""Accelerated SGD: parameter rules, the cutoffs between its bands of modes, rates, and what its noise amounts to.

    u = alpha w + (1 - alpha) v;   w <- u - delta g(u);   v <- beta u + (1 - beta) v - gamma g(u)

(Jain et al. 2018; Li et al. 2024), alpha = 1 / (1 + beta). Its three numbers (theory.two_state) are c = (1 - beta) /
(1 + beta), delta, and q = (delta + beta gamma) / (1 + beta); a flat direction moves as under SGD of learning rate
(gamma + delta) / 2. The mean of mode i obeys p(x) = x^2 - (1 + c - q lam) x + c (1 - delta lam).

The text of Li et al. 2024 was not at hand: forms known from reviews are marked reconstructed, the rest is proved in the
docstrings here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import require, theorem
from simlab.theory.two_state import TwoState, spectrum, two_state_mass

__all__ = [
    "AsgdParameters",
    "Cutoffs",
    "HeadTail",
    "asgd_cutoffs",
    "asgd_noise_amplification",
    "asgd_noise_load_upper",
    "asgd_rate_upper",
    "heavy_ball_rate_lower",
    "heavy_ball_rate_upper",
    "jain_2018_rule",
    "li_2024_rule",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

RULE = ("0 < beta < 1", "0 < delta <= gamma")
SLOW = "q lam_1 <= 1 + c, with c = (1 - beta)/(1 + beta), q = (delta + beta gamma)/(1 + beta)"


class AsgdParameters(NamedTuple):
    """Short step delta, long step gamma, mixing beta and alpha."""

    delta: float
    gamma: float
    beta: float
    alpha: float


class Cutoffs(NamedTuple):
    """Numbers of leading eigen-indices. k_star has the shape of `steps`.

    k_ddagger : real roots, overdamped by the short step.  k_dagger : all up to the end of the complex band.
    k_hat : contract more slowly than SGD of step delta.  k_star : lam_i (gamma + delta) steps >= 1.
    """

    k_ddagger: int
    k_dagger: int
    k_hat: int
    k_star: IntArray


class HeadTail(NamedTuple):
    """A sum over the eigen-indices up to, and beyond, an effective dimension."""

    head: float
    tail: float


def li_2024_rule(
    eigenvalues: npt.ArrayLike, effective_dim: int, delta: float | None = None, psi: float = 3.0
) -> AsgdParameters:
    """Parameters of Li et al. 2024: alpha = 1/(1 + beta), beta = delta / (psi k~ gamma), k~ = `effective_dim` < d.

    delta defaults to 1/(2 psi tr H), gamma is max(delta, 1/(2 psi sum_{i > k~} lam_i)). psi: E[x x^T A x x^T] <= psi
    tr(H A) H, 3 for Gaussian data. beta is known from a review of the paper, the constants 1/2 are reconstructed.
    """
    lam = spectrum(eigenvalues)
    require(1 <= effective_dim < lam.size, "1 <= effective_dim < d", effective_dim=effective_dim, d=lam.size)
    short = 1.0 / (2.0 * psi * float(lam.sum())) if delta is None else delta
    tail = float(lam[effective_dim:][::-1].sum())
    gamma = max(short, 1.0 / (2.0 * psi * tail))
    beta = short / (psi * effective_dim * gamma)
    return AsgdParameters(short, gamma, beta, 1.0 / (1.0 + beta))


def jain_2018_rule(eigenvalues: npt.ArrayLike, c1: float = 0.25) -> AsgdParameters:
    """Parameters of Jain et al. 2018 for Gaussian data, 0 < c1 < 1/2; constants reconstructed.

    R^2 = tr H + 2 lam_1, kappa = R^2/lam_d, kappa~ = d + 2, s = sqrt(kappa kappa~), c2^2 = 1/(6 (2 - c1)), r = sqrt(2
    c1 - c1^2): delta = c1/R^2, gamma = c2 r/(lam_d s), beta = c2 r^2/(c1 s), alpha = s/(c2 r + s).
    """
    lam = spectrum(eigenvalues)
    require(0.0 < c1 < 0.5, "0 < c1 < 1/2", c1=c1)
    r_square = float(lam.sum()) + 2.0 * float(lam[0])
    root = float(np.sqrt(r_square / lam[-1] * (lam.size + 2.0)))
    c2, r = float(np.sqrt(1.0 / 6.0 / (2.0 - c1))), float(np.sqrt(2.0 * c1 - c1**2))
    return AsgdParameters(
        c1 / r_square, c2 * r / (float(lam[-1]) * root), c2 * r * r / (c1 * root), root / (c2 * r + root)
    )


@theorem(
    kind="exact",
    about="the cutoffs k-ddagger, k-dagger, k-hat and k* between the bands of modes",
    source="li2024",
    number="section 4 (reconstructed)",
    assumptions=(*RULE, SLOW, "delta lam_1 < 1", "steps >= 1"),
    provenance="reconstructed",
)
def asgd_cutoffs(
    eigenvalues: npt.ArrayLike, delta: float, gamma: float, beta: float, steps: npt.ArrayLike = 1
) -> Cutoffs:
    """Complex roots in (lo, hi) = [sqrt(q - c delta) -+ sqrt(c (q - delta))]^2/q^2; slow if delta lam > 1 - c.

    k_ddagger = #{lam >= hi}, k_dagger = #{lam > lo}, k_hat = #{delta lam > 1 - c}, k_star = #{lam (gamma + delta) steps
    >= 1}. The first three are what they say, exactly: the discriminant of p vanishes at lo and hi; and p(1 - delta lam)
    = (1 - delta lam)(q - delta) lam >= 0, so real roots, which are positive here, lie both below 1 - delta lam or both
    above, and by their product c (1 - delta lam) above if and only if delta lam > 1 - c; complex roots have the modulus
    sqrt(c (1 - delta lam)), with the same result. The constant in k_star is a choice. Raises OutsideAssumptions.
    Source: Li et al. 2024; the roles are known from a review, the formulas derived.
    """
    lam = spectrum(eigenvalues)
    c, q = _two(lam, delta, gamma, beta)
    require(delta * lam[0] < 1.0, "delta lam_1 < 1", value=delta * lam[0])
    count = np.asarray(steps)
    require(count >= 1, "steps >= 1", steps=count)
    slow, spread = np.sqrt(q - c * delta), np.sqrt(max(c * (q - delta), 0.0))
    # lo as (1 - c)^2 / (q^2 hi): the difference of the roots cancels.
    high = ((slow + spread) / q) ** 2
    low = ((1.0 - c) / q) ** 2 / high
    reached = np.searchsorted(-lam, -1.0 / ((gamma + delta) * count), side="right")
    return Cutoffs(
        int(np.sum(lam >= high)),
        int(np.sum(lam > low)),
        int(np.sum(delta * lam > 1.0 - c)),
        np.asarray(reached, dtype=np.int64),
    )


@theorem(
    kind="upper",
    about="contraction of the mean of every mode in one step, by band",
    source="li2024",
    number="section 4 (bias), in the form proved here",
    assumptions=(*RULE, SLOW, "delta lam_1 < 1"),
    provenance="derived",
)
def asgd_rate_upper(eigenvalues: npt.ArrayLike, delta: float, gamma: float, beta: float) -> FloatArray:
    """c for i <= k_ddagger, sqrt(c (1 - delta lam)) (equal) up to k_dagger, 1 - lam (gamma + delta)/2 beyond; (d,).

    Proof. p(x) = (x - 1)(x - c) + lam (q x - c delta), so p(c) = c lam (q - delta) >= 0 and real roots lie on one side
    of c: below for delta lam > 1 - c, as beyond hi. A root r > c has 1 - r = lam g(r), g(r) = (q r - c delta)/(r - c),
    which falls in r, so that 1 - r >= lam g(1) = lam (gamma + delta)/2. Raises OutsideAssumptions.
    """
    lam = spectrum(eigenvalues)
    cut = asgd_cutoffs(lam, delta, gamma, beta)
    c = (1.0 - beta) / (1.0 + beta)
    i = np.arange(lam.size)
    out = np.where(i < cut.k_ddagger, c, np.sqrt(c * (1.0 - delta * lam)))
    return np.where(i < cut.k_dagger, out, 1.0 - 0.5 * (gamma + delta) * lam)


@theorem(
    kind="upper",
    about="noise load sum_i lam_i^2 G_i / B of the leading k modes and of the rest",
    source="li2024",
    number="why the rule beta = delta / (psi k gamma) works",
    assumptions=(*RULE, "1 <= effective_dim <= d", "a lam_1 < 4, a = 2 delta + beta (gamma - delta)"),
    provenance="derived",
)
def asgd_noise_load_upper(
    eigenvalues: npt.ArrayLike, effective_dim: int, delta: float, gamma: float, beta: float, batch: float = 1.0
) -> HeadTail:
    """head: [2 k beta (gamma + delta)/((1 - beta) delta) + a sum_{i<=k} lam_i]/((4 - a lam_1) B); tail: (gamma + delta)
    sum_{i>k} lam_i/((4 - a lam_1) B).

    Proof. With w = 2 beta/(2 beta + (1 - beta) delta lam), lam^2 G = lam [w (gamma + delta) + (1 - w) a]/(4 - a lam);
    then lam w <= 2 beta/((1 - beta) delta), and a <= gamma + delta. Under the rule of Li et al. 2024 the head is about
    1/(2 psi) and the tail at most about 1/(4 psi) + ..: k is the number of modes that momentum noise may saturate.
    The sum of both bounds the mass K up to its self-noise. Dimensionless. Raises OutsideAssumptions.
    """
    lam = spectrum(eigenvalues)
    require(0.0 < beta < 1.0, "0 < beta < 1", beta=beta)
    require(0.0 < delta <= gamma, "0 < delta <= gamma", delta=delta, gamma=gamma)
    require(1 <= effective_dim <= lam.size, "1 <= effective_dim <= d", effective_dim=effective_dim, d=lam.size)
    a = 2.0 * delta + beta * (gamma - delta)
    require(a * lam[0] < 4.0, "a lam_1 < 4, a = 2 delta + beta (gamma - delta)", value=a * lam[0])
    scale = 1.0 / ((4.0 - a * lam[0]) * batch)
    saturated = 2.0 * effective_dim * beta * (gamma + delta) / ((1.0 - beta) * delta)
    head = saturated + a * float(lam[:effective_dim].sum())
    tail = (gamma + delta) * float(lam[effective_dim:][::-1].sum())
    return HeadTail(scale * head, scale * tail)


@theorem(
    kind="exact",
    about="stationary (R + sigma^2) / sigma^2 where the gradient is taken, the factor r of the variance",
    source="li2024",
    number="exact counterpart of r = 1/(1 - psi l)",
    assumptions=(*RULE, "mass K < 1"),
    provenance="derived",
)
def asgd_noise_amplification(
    eigenvalues: npt.ArrayLike, delta: float, gamma: float, beta: float, batch: float = 1.0, kurtosis: float = 3.0
) -> float:
    """r = 1/(1 - K), K the mass of (c, delta, q): label noise acts r times as strongly as without multiplicative noise.

    Dimensionless. Raises OutsideAssumptions. For SGD (gamma = delta) at B = 1, K <= delta tr H/(2 - 2 delta lam_1).
    """
    lam = spectrum(eigenvalues)
    require(0.0 < beta < 1.0, "0 < beta < 1", beta=beta)
    require(0.0 < delta <= gamma, "0 < delta <= gamma", delta=delta, gamma=gamma)
    mass = two_state_mass(lam, *TwoState.asgd(delta, gamma, beta), batch=batch, kurtosis=kurtosis)
    require(mass < 1.0, "mass K < 1 (second moments contract)", mass=mass)
    return 1.0 / (1.0 - mass)


@theorem(
    kind="lower",
    about="contraction of the mean of every mode in one step of heavy ball",
    source="li2024",
    number="appendix H, in the form proved here",
    assumptions=("0 <= momentum < 1", "lr > 0"),
    provenance="derived",
)
def heavy_ball_rate_lower(eigenvalues: npt.ArrayLike, lr: float, momentum: float) -> FloatArray:
    """max(sqrt(c), 1 - (1 + sqrt c) lam lr/(1 - c)), shape (d,): at most twice as fast as SGD of that effective step.

    Proof. The roots of x^2 - (1 + c - lr lam) x + c have the product c. A real root r in (sqrt c, 1) has 1 - r = lr lam
    r/(r - c) <= lr lam/(1 - sqrt c). Elsewhere lr lam >= (1 - sqrt c)^2, where the second term is at most sqrt c.
    """
    lam, c = _heavy_ball(eigenvalues, lr, momentum)
    out: FloatArray = np.maximum(np.sqrt(c), 1.0 - lr * lam / (1.0 - np.sqrt(c)))
    return out


@theorem(
    kind="upper",
    about="contraction of the mean of every mode in one step of heavy ball",
    source="li2024",
    number="appendix H, in the form proved here",
    assumptions=("0 <= momentum < 1", "lr > 0", "lr lam_1 <= (1 + sqrt(momentum))^2"),
    provenance="derived",
)
def heavy_ball_rate_upper(eigenvalues: npt.ArrayLike, lr: float, momentum: float) -> FloatArray:
    """max(sqrt(c), 1 - lam lr/(1 - c)), shape (d,). As in `heavy_ball_rate_lower`, with r/(r - c) >= 1/(1 - c)."""
    lam, c = _heavy_ball(eigenvalues, lr, momentum)
    limit = (1.0 + np.sqrt(c)) ** 2
    require(lr * lam[0] <= limit, "lr lam_1 <= (1 + sqrt(momentum))^2", value=lr * lam[0], limit=limit)
    return np.maximum(np.sqrt(c), 1.0 - lr * lam / (1.0 - c))


def _heavy_ball(eigenvalues: npt.ArrayLike, lr: float, momentum: float) -> tuple[FloatArray, float]:
    require(0.0 <= momentum < 1.0, "0 <= momentum < 1", momentum=momentum)
    require(lr > 0.0, "lr > 0", lr=lr)
    return spectrum(eigenvalues), momentum


def _two(lam: FloatArray, delta: float, gamma: float, beta: float) -> tuple[float, float]:
    """(c, q), with the conditions of the bands."""
    require(0.0 < beta < 1.0, "0 < beta < 1", beta=beta)
    require(0.0 < delta <= gamma, "0 < delta <= gamma", delta=delta, gamma=gamma)
    c, _, q = TwoState.asgd(delta, gamma, beta)
    require(q * lam[0] <= 1.0 + c, "q lam_1 <= 1 + c", left=q * lam[0], right=1.0 + c)
    return c, q
