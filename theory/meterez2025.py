"""Averages of the iterates of constant-step SGD: closed forms for tail averages (Meterez et al. 2025) and their
sandwich.

The output is the mean of w_s .. w_(s+N-1); s = 0 averages all iterates, N = 1 is the iterate w_s itself. Write x = lr
lam_i, p = 1 - x. Then exactly

    b_i = p^s (1 - p^N) / (N x),
    B V_i = sum_{J=1}^{N-1} ((1 - p^J) / N)^2 + ((1 - p^N) / N)^2 (1 - p^(2s)) / (1 - p^2).

Meterez et al. obtain the bias and variance bounds of Zou et al. 2023 from elementwise inequalities between the
diagonals of second moments in the eigenbasis of H. Their constants are not to hand: here are the exact responses and
the bounds that follow from them with constants that are proved.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from simlab.theory.sandwich import Response, check_kurtosis, sandwich_bounds, worst_mass
from simlab.theory.statement import Risk, require, theorem
from simlab.theory.sums import one_minus_power, power, two_rates

__all__ = [
    "tail_average_additive_noise_risk",
    "tail_average_cutoff_upper",
    "tail_average_lower",
    "tail_average_upper",
    "tail_response",
]

FloatArray = npt.NDArray[np.float64]

_RUN = ("0 < lr lam_i <= 2", "steps >= 1, hold >= 0", "batch >= 1")
_STABLE = ("stability mass S < 1", "kurtosis >= 2, or lr lam_1 (1 + sqrt((2 - kurtosis) / batch)) <= 1")


def tail_response(
    eigenvalues: npt.ArrayLike, lr: float, steps: npt.ArrayLike, hold: npt.ArrayLike = 0, batch: float = 1.0
) -> Response:
    """b_i and V_i of the module; steps N and hold s broadcast to (...), results (..., d)."""
    x, n, s = _arrays(eigenvalues, lr, steps, hold, batch)
    n, s = n[..., None], s[..., None]
    gone = one_minus_power(x, n)
    inside = (x / n) ** 2 * two_rates(x, np.zeros(()), n).squares
    # (1 - p^2s) / (1 - p^2) -> s as x -> 0 or 2; at x = 2 the quotient itself is 0 / 0.
    room = x * (2.0 - x)
    before = np.where(room > 0.0, one_minus_power(np.minimum(room, 1.0), s) / np.where(room > 0.0, room, 1.0), s)
    return Response(power(x, s) * gone / (n * x), (inside + (gone / n) ** 2 * before) / batch)


@theorem(
    kind="exact",
    about="excess risk of the tail average of SGD under additive gradient noise of covariance sigma^2 H",
    source="meterez2025",
    number="exact response",
    assumptions=_RUN,
    provenance="derived",
)
def tail_average_additive_noise_risk(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: npt.ArrayLike,
    hold: npt.ArrayLike = 0,
    batch: float = 1.0,
) -> Risk:
    """1/2 lam_i d_i^2 b_i^2 and 1/2 sigma^2 V_i of the module, by eigen-index: the risk but for multiplicative noise.

    eigenvalues, initial_error : (d,).  steps : N, the iterates averaged; hold : s, those before; broadcast to (...).
    Returns (..., d).
    """
    lam = np.asarray(eigenvalues, dtype=np.float64)
    b, noise = tail_response(lam, lr, steps, hold, batch)
    return Risk(0.5 * lam * np.asarray(initial_error) ** 2 * b**2, 0.5 * noise_variance * noise)


@theorem(
    kind="lower",
    about="excess risk of the tail average of constant-step SGD",
    source="meterez2025",
    number="tail averaging, lower bound in Gaussian form",
    assumptions=(*_RUN, "kurtosis >= 1"),
    provenance="derived",
)
def tail_average_lower(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: npt.ArrayLike,
    hold: npt.ArrayLike = 0,
    batch: float = 1.0,
    kurtosis: npt.ArrayLike = 3.0,
) -> Risk:
    """bias_i >= 1/2 lam_i d_i^2 b_i^2, variance_i >= 1/2 sigma^2 V_i, at any N and kurtosis; (..., d)."""
    check_kurtosis(kurtosis)
    return tail_average_additive_noise_risk(eigenvalues, initial_error, noise_variance, lr, steps, hold, batch)


@theorem(
    kind="upper",
    about="excess risk of the tail average of constant-step SGD",
    source="meterez2025",
    number="tail averaging, upper bound in Gaussian form",
    assumptions=_RUN + _STABLE,
    provenance="derived",
)
def tail_average_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: npt.ArrayLike,
    hold: npt.ArrayLike = 0,
    batch: float = 1.0,
    kurtosis: npt.ArrayLike = 3.0,
) -> Risk:
    """The upper side of the universal sandwich with the V_i and b_i of the module, O(d log N) for any horizon:

        variance_i <= 1/2 sigma^2 V_i (1 + e_i f_i) / (1 - S),    e_i = max(kurtosis_i - 2, 0),
        bias_i     <= 1/2 lam_i d_i^2 b_i^2 + 1/2 V_i [e_i lam_i d_i^2 + |d|_H^2 (1 + e_i f_i) / (1 - S)].

    Shapes as in `tail_average_additive_noise_risk`; S and f_i of `theory.stationary`. Returns (..., d).
    """
    lam = np.asarray(eigenvalues, dtype=np.float64)
    response = tail_response(lam, lr, steps, hold, batch)
    return sandwich_bounds(lam, initial_error, noise_variance, response, lr, batch, kurtosis)


@theorem(
    kind="upper",
    about="variance of the tail average of constant-step SGD by two effective dimensions",
    source="meterez2025",
    number="tail averaging, variance in Gaussian form",
    assumptions=("0 < lr lam_i <= 1", *_RUN[1:], *_STABLE),
    provenance="derived",
)
def tail_average_cutoff_upper(
    eigenvalues: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: npt.ArrayLike,
    hold: npt.ArrayLike = 0,
    batch: float = 1.0,
    kurtosis: npt.ArrayLike = 3.0,
) -> FloatArray:
    """variance_i <= 1/2 [sigma^2 / (1 - S)] (1 + e_i f_i) (1/B) min{1/N, x, (s + N) x^2}, shape (..., d).

    Summed this is D/N of `theory.effective_dimension`, k*/N + lr sum_{k*<i<=k-dagger} lam_i + (s+N) lr^2
    sum_{i>k-dagger} lam_i^2: the shape of Zou et al. 2023, theorem 5.1. Proof of B V_i <= min, for p in [0, 1]. 1/N:
    with m = (1 - p^N)/N and sum_{J<N} (1-p^J)^2 = N - 1 - 2 (p - p^N)/x + (p^2 - p^2N)/(1 - p^2), N^2 B V_i <= N - 1
    - 2 (p - p^N)/x + (1 + p^2 - 2 p^N)/(1 - p^2) <= N - 1 + (1 - p)/(1 + p) <= N. x: an average varies no more than
    w_t, whose V is at most x/(1+p). (s+N) x^2: (1 - p^J)/N <= x J/N <= x in each of the N - 1 + s terms.
    """
    lam = np.asarray(eigenvalues, dtype=np.float64)
    x, n, s = _arrays(lam, lr, steps, hold, batch, largest=1.0)
    kurt = np.asarray(kurtosis, dtype=np.float64)
    mass = worst_mass(lam, lr, batch, kurt)
    require(mass.sum() < 1.0, "a stability mass S < 1", S=mass.sum(), lr=lr)
    n, s = n[..., None], s[..., None]
    shape = np.minimum(np.minimum(1.0 / n, x), (s + n) * x**2)
    own = 1.0 + np.maximum(kurt - 2.0, 0.0) * mass
    out: FloatArray = 0.5 * noise_variance / (1.0 - mass.sum()) * own / batch * shape
    return out


def _arrays(
    eigenvalues: npt.ArrayLike,
    lr: float,
    steps: npt.ArrayLike,
    hold: npt.ArrayLike,
    batch: float,
    largest: float = 2.0,
) -> tuple[FloatArray, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    x = lr * np.asarray(eigenvalues, dtype=np.float64)
    require((x > 0.0) & (x <= largest), f"0 < lr lam_i <= {largest:g}", lr_lam=x)
    n, s = np.broadcast_arrays(np.asarray(steps, dtype=np.int64), np.asarray(hold, dtype=np.int64))
    require((n >= 1) & (s >= 0), "steps >= 1 and hold >= 0", steps=steps, hold=hold)
    require(batch >= 1.0, "a batch of at least 1", batch=batch)
    return x, n, s
