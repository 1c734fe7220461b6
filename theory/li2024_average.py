"""Risk of the tail average of ASGD: two-sided Gaussian bounds by eigen-index, and the bound of Jain et al. 2018.

The iterates w_(s+1) .. w_(s+N) of `theory.li2024` are averaged, w_0 = v_0. With A_i = M - lam_i b c^T per mode, h_n =
o^T A^n b and a_t = (1/N) sum over the averaged iterates of h, the weight of the gradient noise of step t,

    V_i = (lam_i^2 / B) sum_t a_(t,i)^2,        b_i = (1/N) sum_{s<t<=s+N} o^T A_i^t start,

f_i and K as in `theory.two_state`. Unrolling the recursion of w gives exactly

    risk_i = 1/2 lam_i delta_i^2 b_i^2
             + (lam_i / 2 B) sum_t a_(t,i)^2 [lam_i (R_t + sigma^2) + (kurtosis - 2) lam_i^2 p_(t,i)],

p the mean squared error where the gradient is taken, R = sum lam p. Both bounds below bound the bracket. They are the
Gaussian form, with constants, of the theorem of Li et al. 2024, whose text was not at hand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import Risk, require, theorem
from simlab.theory.two_state import TwoState, check_two_state, spectrum, two_state_response

__all__ = ["asgd_average_lower", "asgd_average_upper", "jain_asgd_upper"]

FloatArray = npt.NDArray[np.float64]

INSIDE = (
    "0 < beta < 1",
    "0 < delta <= gamma",
    "noise_variance >= 0",
    "kurtosis >= 2",
    "burn_in >= 0 and average >= 1",
    "mass K < 1",
)


class _Average(NamedTuple):
    """Per mode: b, V, max_t a_t^2, f, and 1 - (kurtosis - 2) f; K."""

    mean: FloatArray
    spread: FloatArray
    largest: FloatArray
    load: FloatArray
    left: FloatArray
    mass: float


@theorem(
    kind="lower",
    about="risk of every mode of the tail average of ASGD",
    source="li2024",
    number="main theorem, in the Gaussian form proved here",
    assumptions=INSIDE,
    provenance="derived",
)
def asgd_average_lower(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    delta: float,
    gamma: float,
    beta: float,
    burn_in: int,
    average: int,
    batch: float = 1.0,
    kurtosis: float = 3.0,
) -> Risk:
    """bias >= 1/2 lam_i delta_i^2 b_i^2, variance >= 1/2 sigma^2 V_i: the multiplicative noise left out. Shapes (d,).

    burn_in = s, average = N iterates after it. Since R, p >= 0 and kurtosis >= 2. Cost O(d (s + N)), no loop over
    steps. Raises OutsideAssumptions.
    """
    lam = spectrum(eigenvalues)
    error = np.broadcast_to(np.asarray(initial_error, dtype=np.float64), lam.shape)
    parts = _average(lam, noise_variance, delta, gamma, beta, burn_in, average, batch, kurtosis)
    return Risk(0.5 * lam * error**2 * parts.mean**2, 0.5 * noise_variance * parts.spread)


@theorem(
    kind="upper",
    about="risk of every mode of the tail average of ASGD",
    source="li2024",
    number="main theorem, in the Gaussian form proved here",
    assumptions=INSIDE,
    provenance="derived",
)
def asgd_average_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    delta: float,
    gamma: float,
    beta: float,
    burn_in: int,
    average: int,
    batch: float = 1.0,
    kurtosis: float = 3.0,
) -> Risk:
    """variance <= 1/2 sigma^2 r V_i/(1 - (kurtosis-2) f_i), r = 1/(1 - K); bias <= 1/2 lam delta^2 b^2 + noise term.

    Noise term: 1/2 lam_i max_t a_t^2 (1/B) [lam_i S + (kurtosis-2) lam_i Y_i], Y_i = (D_i + f_i S)/(1 - (kurtosis-2)
    f_i), S = (sum_j D_j/(1 - (kurtosis-2) f_j))/(1 - K), D_i = lam_i delta_i^2 sum_t (c^T A_i^t start)^2. Shapes (d,).

    Proof. From zero the second moments rise to the stationary ones (the map preserves PSD matrices), which bounds the
    bracket by lam_i sigma^2 r/(1 - (kurtosis-2) f_i). Without label noise the sums over all time Y_i = sum_t lam_i p_t
    and S = sum_t R_t obey Y_i = D_i + f_i (S + (kurtosis-2) Y_i) exactly. Raises OutsideAssumptions.
    """
    lam = spectrum(eigenvalues)
    error = np.broadcast_to(np.asarray(initial_error, dtype=np.float64), lam.shape)
    parts = _average(lam, noise_variance, delta, gamma, beta, burn_in, average, batch, kurtosis)
    variance = 0.5 * noise_variance * parts.spread / (parts.left * (1.0 - parts.mass))
    own = lam * error**2 * _visits(lam, delta, gamma, beta)
    total = float(np.sum(own / parts.left)) / (1.0 - parts.mass)
    each = (own + parts.load * total) / parts.left
    noise = 0.5 * lam**2 / batch * parts.largest * (total + (kurtosis - 2.0) * each)
    return Risk(0.5 * lam * error**2 * parts.mean**2 + noise, variance)


@theorem(
    kind="upper",
    about="excess risk of the tail average of ASGD with the parameters of Jain et al. 2018",
    source="jain2018asgd",
    number="Theorem 1",
    assumptions=("0.2 <= c1 < 1/2", "burn_in >= 0 and average >= 1", "noise_variance >= 0"),
    provenance="fitted",
)
def jain_asgd_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    burn_in: int,
    average: int,
    c1: float = 0.25,
    constant: float = 1.0,
) -> Risk:
    """C (k k~)^(9/4) d k/N^2 e^(-(s+1)/(9 r)) P + C (k k~)^(5/4) d k e^(-n/(9 r)) P, and 11 sigma^2 d/N.

    r = sqrt(k k~). For Gaussian data, one sample a step and the parameters of
    `theory.li2024.jain_2018_rule(eigenvalues, c1)`: k = (tr H + 2 lam_1)/lam_d, k~ = d + 2, s = burn_in, N = average, n
    = s + N, P the initial risk. Bias and variance of shape (1,). The universal constant C is hidden in the paper; 1 is
    a choice with room on random problems. The variance leaves out terms exponentially small in s and n. Reconstructed,
    but for the power of N in the leading bias term. With these parameters the second moments contract at least as
    e^(-1/(9 r)) a step only from c1 of about 0.19 on (at about 5 c1/(9 r) below, by the exact operator), whence the
    condition on c1, for which the paper has c1 > 0. Raises OutsideAssumptions.
    """
    lam = spectrum(eigenvalues)
    require(0.2 <= c1 < 0.5, "0.2 <= c1 < 1/2", c1=c1)
    require(burn_in >= 0 and average >= 1, "burn_in >= 0 and average >= 1", burn_in=burn_in, average=average)
    require(noise_variance >= 0.0, "noise_variance >= 0", noise_variance=noise_variance)
    error = np.broadcast_to(np.asarray(initial_error, dtype=np.float64), lam.shape)
    start = 0.5 * float(np.sum(lam * error**2))
    kappa = (float(lam.sum()) + 2.0 * float(lam[0])) / float(lam[-1])
    both = kappa * (lam.size + 2.0)
    rate = 1.0 / (9.0 * np.sqrt(both))
    first = both**2.25 * lam.size * kappa / average**2 * np.exp(-(burn_in + 1.0) * rate)
    second = both**1.25 * lam.size * kappa * np.exp(-(burn_in + average) * rate)
    return Risk(np.array([constant * (first + second) * start]), np.array([11.0 * noise_variance * lam.size / average]))


def _average(
    lam: FloatArray,
    noise_variance: float,
    delta: float,
    gamma: float,
    beta: float,
    burn_in: int,
    average: int,
    batch: float,
    kurtosis: float,
) -> _Average:
    require(0.0 < beta < 1.0, "0 < beta < 1", beta=beta)
    require(0.0 < delta <= gamma, "0 < delta <= gamma", delta=delta, gamma=gamma)
    require(noise_variance >= 0.0, "noise_variance >= 0", noise_variance=noise_variance)
    require(kurtosis >= 2.0, "kurtosis >= 2", kurtosis=kurtosis)
    require(burn_in >= 0 and average >= 1, "burn_in >= 0 and average >= 1", burn_in=burn_in, average=average)
    numbers = TwoState.asgd(delta, gamma, beta)
    check_two_state(lam, *numbers)
    load = lam**2 * two_state_response(lam, *numbers) / batch
    left = 1.0 - (kurtosis - 2.0) * load
    mass = float(np.sum(load / left)) if np.all(left > 0.0) else np.inf
    require(mass < 1.0, "mass K < 1 (second moments contract)", mass=mass)
    M, b, c = _matrices(delta, gamma, beta)
    A = M[None] - lam[:, None, None] * np.outer(b, c)[None]
    first = np.broadcast_to(np.array([1.0, 0.0]), (lam.size, 2))
    # A step within the window is felt by the rest of it; a step before by all of it, o^T (1 + .. + A^(N-1)) A^n b / N.
    within = np.cumsum(_rows(A, first, average) @ b, axis=0) / average
    whole = _geometric(A, average)[1][:, 0, :] / average
    before = _rows(A, np.einsum("di,dij->dj", whole, A), burn_in) @ b
    mean = np.einsum("di,dij->d", whole, _geometric(A, burn_in + 1)[0])
    squares = np.concatenate([before, within]) ** 2
    return _Average(mean, lam**2 / batch * squares.sum(axis=0), squares.max(axis=0), load, left, mass)


def _matrices(delta: float, gamma: float, beta: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(M, b, c) of ASGD in the state (w, v)."""
    a = 1.0 / (1.0 + beta)
    M = np.array([[a, 1.0 - a], [beta * a, beta * (1.0 - a) + 1.0 - beta]])
    return M, np.array([delta, gamma]), np.array([a, 1.0 - a])


def _geometric(A: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    """A^n and I + A + .. + A^(n-1) per mode, (d, 2, 2), by binary doubling."""
    eye = np.broadcast_to(np.eye(2), A.shape)
    power, total = eye, np.zeros_like(A)
    for bit in bin(n)[2:]:
        power, total = power @ power, total + power @ total
        if bit == "1":
            power, total = A @ power, eye + A @ total
    return power, total


def _rows(A: FloatArray, first: FloatArray, count: int) -> FloatArray:
    """first_i A_i^n for n = 0 .. count - 1, shape (count, d, 2), by doubling."""
    out = first[None]
    while out.shape[0] < count:
        out = np.concatenate([out, np.einsum("tdi,dij->tdj", out, A)])
        A = A @ A
    return out[:count]


def _visits(lam: FloatArray, delta: float, gamma: float, beta: float) -> FloatArray:
    """sum_t (c^T A^t start)^2 per mode, start = (1, 1), by doubling X <- X + A X A^T."""
    M, b, c = _matrices(delta, gamma, beta)
    A = M[None] - lam[:, None, None] * np.outer(b, c)[None]
    X = np.ones((lam.size, 2, 2))
    while np.abs(A).max() > 1e-100:
        X = X + A @ X @ A.transpose(0, 2, 1)
        A = A @ A
    out: FloatArray = np.einsum("i,dij,j->d", c, X, c)
    return out
