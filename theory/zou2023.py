"""Zou et al. 2021 / 2023: constant-stepsize SGD with iterate and tail averaging, upper and lower bounds of one shape.

One sample a step (B = 1). psi: E[x x^T A x x^T] <= psi tr(H A) H for every PSD A (the paper's alpha; Gaussian 3, and
max(3, kurtosis) for independent coordinates). beta: E[x x^T A x x^T] - H A H >= beta tr(H A) H (Gaussian 1). In the
notation of the paper k* = max{k : lam_k >= 1/(lr N)}, k-dagger = max{k : lam_k >= 1/(lr (s+N))}, and |v|^2_A,head
sums over i <= k*.

The printed bounds speak of the total risk. They are returned by eigen-index, each sum term by term, as the paper builds
them; on Gaussian data bias and variance are instances of their own (noise 0, error 0), and head and tail have held
in every check, which is no statement of the paper.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import Risk, require, theorem
from simlab.theory.sums import one_minus_power, power

__all__ = [
    "zou_average_lower",
    "zou_average_upper",
    "zou_iterate_variance_upper",
    "zou_power_law_exponent",
    "zou_summed_bias_upper",
    "zou_tail_lower",
    "zou_tail_upper",
]

FloatArray = npt.NDArray[np.float64]

_UPPER = ("eigenvalues, lr > 0", "lr trace(H) < 1/psi", "steps >= 1, hold >= 0")
_LOWER = ("eigenvalues, lr > 0", "lr < 1/lam_1", "steps >= 500, hold >= 0")


class _Terms(NamedTuple):
    """Per eigen-index, (..., d): what the displays sum over."""

    bias: FloatArray  # lam d^2 / (lr N lam)^2 in the head, lam d^2 in the tail
    average: FloatArray  # 1/N and N lr^2 lam^2
    spread: FloatArray  # 1/N, lr lam and (s+N) lr^2 lam^2, cut at k* and k-dagger
    stay: FloatArray  # (...): |d|^2_{I_{0:k}} + (s+N) lr |d|^2_{H_{k:inf}} at k-dagger
    signal_tail: FloatArray  # (...): |d|^2_{H_{k:inf}} at k-dagger
    steps: FloatArray  # N, (..., 1)


@theorem(
    kind="upper",
    about="excess risk of the average of SGD's iterates w_0 .. w_(N-1)",
    source="zou2023",
    number="Theorem 2.1",
    assumptions=_UPPER,
    provenance="printed",
)
def zou_average_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: npt.ArrayLike,
    psi: float = 3.0,
) -> Risk:
    """Risk <= 2 EffBias + 2 EffVar, with d = w_0 - w*,

        EffBias = |d|^2_{H^-1_{0:k*}} / (lr N)^2 + |d|^2_{H_{k*:inf}},
        EffVar  = [2 psi (|d|^2_{I_{0:k*}} + N lr |d|^2_{H_{k*:inf}}) / (N lr (1 - psi lr tr H)) + sigma^2 / (1 - psi lr
                  tr H)] (k*/N + N lr^2 sum_{i>k*} lam_i^2).

    eigenvalues, initial_error : (d,).  steps : N, shape (...).  Returns (..., d), the part of sigma^2 as variance and
    the rest as bias. Raises OutsideAssumptions for lr >= 1 / (psi tr H).
    """
    lam, terms = _terms(eigenvalues, initial_error, lr, steps, 0)
    room = _room(lam, lr, psi)
    coupled = 2.0 * psi * terms.stay[..., None] / (terms.steps * lr * room) * terms.average
    return Risk(2.0 * (terms.bias + coupled), 2.0 * noise_variance / room * terms.average)


@theorem(
    kind="lower",
    about="excess risk of the average of SGD's iterates w_0 .. w_(N-1)",
    source="zou2023",
    number="Theorem 2.2",
    assumptions=_LOWER,
    provenance="printed",
)
def zou_average_lower(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: npt.ArrayLike,
    beta: float = 1.0,
) -> Risk:
    """Risk >= EffBias / 100 + [beta (|d|^2_{I_{0:k*}} + N lr |d|^2_{H_{k*:inf}}) / (1000 N lr) + sigma^2 / 50] (k*/N
    + N lr^2 sum_{i>k*} lam_i^2), well-specified noise, N >= 500.

    Arguments and result as in `zou_average_upper`.
    """
    lam, terms = _terms(eigenvalues, initial_error, lr, steps, 0)
    _lower(lam, lr, steps)
    coupled = beta * terms.stay[..., None] / (1000.0 * terms.steps * lr) * terms.average
    return Risk(terms.bias / 100.0 + coupled, noise_variance / 50.0 * terms.average)


@theorem(
    kind="upper",
    about="excess risk of the tail average of SGD's iterates w_s .. w_(s+N-1)",
    source="zou2023",
    number="Theorem 5.1",
    assumptions=_UPPER,
    provenance="printed",
)
def zou_tail_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: npt.ArrayLike,
    hold: npt.ArrayLike,
    psi: float = 3.0,
) -> Risk:
    """Risk <= 2 EffBias + 2 EffVar, with d_s = (I - lr H)^s d in EffBias of Theorem 2.1, and

        EffVar = [4 psi (|d|^2_{I_{0:k-dagger}} + (s+N) lr |d|^2_{H_{k-dagger:inf}}) / (N lr (1 - psi lr tr H))]
                 (k*/N + N lr^2 sum_{i>k*} lam_i^2) + [sigma^2 / (1 - psi lr tr H)]
                 (k*/N + lr sum_{k*<i<=k-dagger} lam_i + (s+N) lr^2 sum_{i>k-dagger} lam_i^2).

    steps N and hold s broadcast to (...); returns (..., d) as `zou_average_upper`.
    """
    lam, terms = _terms(eigenvalues, initial_error, lr, steps, hold)
    room = _room(lam, lr, psi)
    coupled = 4.0 * psi * terms.stay[..., None] / (terms.steps * lr * room) * terms.average
    return Risk(2.0 * (terms.bias + coupled), 2.0 * noise_variance / room * terms.spread)


@theorem(
    kind="lower",
    about="excess risk of the tail average of SGD's iterates w_s .. w_(s+N-1)",
    source="zou2023",
    number="Theorem 5.2",
    assumptions=_LOWER,
    provenance="printed",
)
def zou_tail_lower(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: npt.ArrayLike,
    hold: npt.ArrayLike,
    beta: float = 1.0,
) -> Risk:
    """Risk >= EffBias / 100 + (beta |d|^2_{H_{k-dagger:inf}} / 16000) (k*/N + N lr^2 sum_{i>k*} lam_i^2) + (sigma^2 /
    600) (k*/N + lr sum_{k*<i<=k-dagger} lam_i + (s+N) lr^2 sum_{i>k-dagger} lam_i^2), EffBias as in Theorem 5.1, N >=
    500.
    """
    lam, terms = _terms(eigenvalues, initial_error, lr, steps, hold)
    _lower(lam, lr, steps)
    coupled = beta * terms.signal_tail[..., None] / 16000.0 * terms.average
    return Risk(terms.bias / 100.0 + coupled, noise_variance / 600.0 * terms.spread)


@theorem(
    kind="scaling",
    about="exponent of N in the variance of the average of SGD's iterates, eigenvalues i^-(1+r)",
    source="zou2023",
    number="Corollary 2.3",
    assumptions=("decay > 0",),
    provenance="printed",
)
def zou_power_law_exponent(decay: float) -> FloatArray:
    """-r / (1 + r) for lam_i = i^-(1+r), r = `decay`: O(N^(-r/(1+r))) at a constant lr = 1 / (2 psi tr H), any
    bounded w*.

    The variance has that exponent exactly (its lower bound has the same D/N ~ N^(1/(1+r)) / N); the bias is at most
    that.
    """
    require(decay > 0.0, "a decay r > 0, for tr H to be finite", decay=decay)
    return np.asarray(-decay / (1.0 + decay))


@theorem(
    kind="upper",
    about="variance of the iterate w_t of constant-step SGD, mode by mode",
    source="zou2023",
    number="bound on C_t in the proof of Theorem 2.1",
    assumptions=_UPPER,
    provenance="printed",
)
def zou_iterate_variance_upper(
    eigenvalues: npt.ArrayLike, noise_variance: float, lr: float, steps: npt.ArrayLike, psi: float = 3.0
) -> FloatArray:
    """C_t <= [lr sigma^2 / (1 - psi lr tr H)] (I - (I - lr H)^t) as risk: 1/2 lam_i C_t,ii, shape (..., d); steps :
    t.
    """
    lam = _positive(eigenvalues, lr, steps, 0, least=0)
    room = _room(lam, lr, psi)
    gone = one_minus_power(lr * lam, np.asarray(steps)[..., None])
    out: FloatArray = 0.5 * lr * noise_variance / room * lam * gone
    return out


@theorem(
    kind="upper",
    about="bias of SGD summed over the iterates w_0 .. w_(N-1), mode by mode",
    source="zou2023",
    number="bound on S_N in the proof of Theorem 2.1",
    assumptions=_UPPER,
    provenance="printed",
)
def zou_summed_bias_upper(
    eigenvalues: npt.ArrayLike, initial_error: npt.ArrayLike, lr: float, steps: npt.ArrayLike, psi: float = 3.0
) -> FloatArray:
    """S_N = sum_{t<N} B_t <= sum_k (I - lr H)^k B_0 (I - lr H)^k + [psi lr tr((I - (I - lr H)^2N) B_0) / (1 - psi lr tr
    H)] sum_k (I - lr H)^2k H, sums over k < N, B_0 = d d^T; as risk, 1/2 lam_i S_N,ii, shape (..., d).

    The printed prefactor gamma alpha / (1 - gamma alpha tr H) is taken as it stands: it multiplies the trace after the
    sum over time has turned lam_i d_i^2 sum_k (1 - lr lam_i)^2k into at most (1 - (1 - lr lam_i)^2N) d_i^2 / lr.
    """
    lam = _positive(eigenvalues, lr, steps, 0, least=0)
    room = _room(lam, lr, psi)
    x = lr * lam
    gone = one_minus_power(x, 2 * np.asarray(steps)[..., None])
    error = np.asarray(initial_error, dtype=np.float64) ** 2
    summed = gone / (x * (2.0 - x))
    trace = np.sum(gone * error, axis=-1, keepdims=True)
    out: FloatArray = 0.5 * lam * summed * (error + psi * lr * trace / room * lam)
    return out


def _positive(eigenvalues: npt.ArrayLike, lr: Any, steps: npt.ArrayLike, hold: npt.ArrayLike, least: int) -> FloatArray:
    lam = np.asarray(eigenvalues, dtype=np.float64)
    require(lam > 0.0, "positive eigenvalues", eigenvalues=lam)
    require(lr > 0.0, "a positive learning rate", lr=lr)
    require((np.asarray(steps) >= least) & (np.asarray(hold) >= 0), "steps >= 1 and hold >= 0", steps=steps, hold=hold)
    return lam


def _room(lam: FloatArray, lr: float, psi: float) -> float:
    """1 - psi lr tr H, which must be positive."""
    mass = psi * lr * float(lam.sum())
    require(mass < 1.0, "lr trace(H) < 1/psi", lr=lr, trace=lam.sum(), psi=psi)
    return 1.0 - mass


def _lower(lam: FloatArray, lr: float, steps: npt.ArrayLike) -> None:
    require(lr * lam.max() < 1.0, "lr < 1/lam_1", lr=lr, lam_1=lam.max())
    require(np.asarray(steps) >= 500, "N >= 500", steps=steps)


def _terms(
    eigenvalues: npt.ArrayLike, initial_error: npt.ArrayLike, lr: float, steps: npt.ArrayLike, hold: npt.ArrayLike
) -> tuple[FloatArray, _Terms]:
    lam = _positive(eigenvalues, lr, steps, hold, least=1)
    require(lr * lam.max() <= 2.0, "lr <= 2/lam_1", lr=lr, lam_1=lam.max())
    error = np.asarray(initial_error, dtype=np.float64) ** 2
    n, s = np.broadcast_arrays(np.asarray(steps, dtype=np.float64), np.asarray(hold, dtype=np.float64))
    n, s = n[..., None], s[..., None]
    x = lr * lam
    head, reached = n * x >= 1.0, (s + n) * x >= 1.0
    held = power(x, s) ** 2 * error
    bias = lam * held * np.where(head, 1.0 / (n * x) ** 2, 1.0)
    average = np.where(head, 1.0 / n, n * x**2)
    spread = np.where(head, 1.0 / n, np.where(reached, x, (s + n) * x**2))
    tail = np.sum(np.where(reached, 0.0, lam * error), axis=-1)
    stay = np.sum(np.where(reached, error, 0.0), axis=-1) + (s + n)[..., 0] * lr * tail
    return lam, _Terms(bias, average, spread, stay, tail, n)
