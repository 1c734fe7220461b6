"""Effective dimensions: where the papers cut the spectrum, and how many modes a run of so many steps has to pay for.

Every cutoff is a count of eigenvalues at or above a threshold (of a descending spectrum, the index of the last of
them). Arguments other than `eigenvalues` broadcast against each other, so that a whole run of horizons is one call.
k* and k-dagger are those of Zou et al. 2023 and Wu et al. 2022 (with the length K of a stage in place of N); k-hat
and k-double-dagger belong to accelerated SGD (Li et al. 2024), which uses the name k-dagger for another edge:
`complex_band_end` here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import require, theorem

__all__ = [
    "complex_band_end",
    "count_at_least",
    "effective_dimension",
    "k_dagger",
    "k_double_dagger",
    "k_hat",
    "k_star",
    "power_law_effective_dimension",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_RUN = ("eigenvalues > 0", "lr > 0", "steps >= 1, hold >= 0")
_METHOD = ("eigenvalues > 0", "0 < c < 1", "0 < delta <= q, and q > c delta")


def count_at_least(eigenvalues: npt.ArrayLike, threshold: npt.ArrayLike) -> IntArray:
    """#{i : lam_i >= threshold}, shape of `threshold`; eigenvalues (d,) in any order."""
    lam = np.sort(np.asarray(eigenvalues, dtype=np.float64))
    out: IntArray = lam.size - np.searchsorted(lam, threshold, side="left")
    return out


@theorem(
    kind="exact",
    about="effective dimension k*: modes that N steps resolve",
    source="zou2023",
    number="Theorem 2.1",
    assumptions=("eigenvalues > 0", "lr > 0", "steps >= 1"),
    provenance="printed",
)
def k_star(eigenvalues: npt.ArrayLike, lr: npt.ArrayLike, steps: npt.ArrayLike) -> IntArray:
    """k* = max{k : lam_k >= 1 / (lr N)}; for Wu et al. 2022, N is the length K of a stage. Shape of lr and steps."""
    rate, n, _ = _run(eigenvalues, lr, steps, 0)
    return count_at_least(eigenvalues, 1.0 / (rate * n))


@theorem(
    kind="exact",
    about="effective dimension k-dagger: modes that hold and averaging together resolve",
    source="zou2023",
    number="Theorem 5.1",
    assumptions=_RUN,
    provenance="printed",
)
def k_dagger(eigenvalues: npt.ArrayLike, lr: npt.ArrayLike, steps: npt.ArrayLike, hold: npt.ArrayLike) -> IntArray:
    """k-dagger = max{k : lam_k >= 1 / (lr (s + N))} with s = `hold` steps before the N that are averaged, or decay."""
    rate, n, s = _run(eigenvalues, lr, steps, hold)
    return count_at_least(eigenvalues, 1.0 / (rate * (s + n)))


@theorem(
    kind="exact",
    about="effective dimension over effective steps: the shape of the variance of tail averages and of decays",
    source="zou2023",
    number="Theorem 5.1",
    assumptions=_RUN,
    provenance="printed",
)
def effective_dimension(
    eigenvalues: npt.ArrayLike, lr: npt.ArrayLike, steps: npt.ArrayLike, hold: npt.ArrayLike = 0
) -> FloatArray:
    """D = k* + lr N sum_{k*<i<=k-dagger} lam_i + lr^2 N (s+N) sum_{i>k-dagger} lam_i^2, shape of lr, steps and hold.

    Evaluated as sum_i min{1, lr N lam_i, lr^2 N (s+N) lam_i^2}, which is the same: each term is the least of the
    three just where its sum runs. With s = 0, k* + lr^2 N^2 sum_{i>k*} lam_i^2 of Theorem 2.1; variances are about
    sigma^2 D/N.
    """
    rate, n, s = _run(eigenvalues, lr, steps, hold)
    lam = np.asarray(eigenvalues, dtype=np.float64)
    x = rate[..., None] * lam
    first, last = n[..., None] * x, n[..., None] * (s + n)[..., None] * x**2
    out: FloatArray = np.sum(np.minimum(1.0, np.minimum(first, last)), axis=-1)
    return out


@theorem(
    kind="asymptotic",
    about="effective dimension of a power-law spectrum lam_i = i^-a",
    source="simlab",
    number="power law",
    assumptions=("capacity > 1/2", "lr > 0", "steps >= 1"),
    provenance="derived",
)
def power_law_effective_dimension(capacity: float, lr: npt.ArrayLike, steps: npt.ArrayLike) -> FloatArray:
    """D ~ (lr N)^(1/a) (1 + 1/(2a-1)): k* ~ (lr N)^(1/a) modes and a tail that weighs 1/(2a-1) of them; d infinite.

    For lam_i = i^-a exactly; the relative error is about (lr N)^(-1/a).
    """
    require(capacity > 0.5, "a capacity exponent a > 1/2, for sum lam_i^2 to converge", capacity=capacity)
    rate, n, _ = _run(1.0, lr, steps, 0)
    out: FloatArray = (rate * n) ** (1.0 / capacity) * (1.0 + 1.0 / (2.0 * capacity - 1.0))
    return out


@theorem(
    kind="exact",
    about="cutoff k-hat of accelerated SGD: up to it the bias decays slower than that of SGD with step delta",
    source="simlab",
    number="k-hat, Section 1.3 of the notes on Li et al. 2024",
    assumptions=("eigenvalues > 0", "0 < c < 1", "delta > 0"),
    provenance="reconstructed",
)
def k_hat(eigenvalues: npt.ArrayLike, c: npt.ArrayLike, delta: npt.ArrayLike) -> IntArray:
    """k-hat = #{i : lam_i >= (1 - c) / delta}.

    Modes of the matrix [[0, 1 - delta lam], [-c, 1 + c - q lam]] with complex roots have modulus sqrt(c (1 - delta
    lam)), above SGD's 1 - delta lam where delta lam > 1 - c. For ASGD c = alpha (1 - beta), q = alpha delta + (1 -
    alpha) gamma. That this is the paper's k-hat is from memory; what it separates is checked.
    """
    mix, step = np.asarray(c, dtype=np.float64), np.asarray(delta, dtype=np.float64)
    require(np.asarray(eigenvalues) > 0.0, "positive eigenvalues", eigenvalues=eigenvalues)
    require((mix > 0.0) & (mix < 1.0), "0 < c < 1", c=c)
    require(step > 0.0, "delta > 0", delta=delta)
    return count_at_least(eigenvalues, (1.0 - mix) / step)


@theorem(
    kind="exact",
    about="cutoff k-double-dagger of accelerated SGD: modes above its complex band",
    source="simlab",
    number="k-double-dagger, Section 1.3 of the notes on Li et al. 2024",
    assumptions=_METHOD,
    provenance="reconstructed",
)
def k_double_dagger(eigenvalues: npt.ArrayLike, c: npt.ArrayLike, delta: npt.ArrayLike, q: npt.ArrayLike) -> IntArray:
    """#{i : lam_i >= (sqrt(q - c delta) + sqrt(c (q - delta)))^2 / q^2}: real roots above the complex band.

    c, delta, q as in `k_hat`: the discriminant (1 + c - q lam)^2 - 4 c (1 - delta lam) vanishes at both edges.
    """
    return count_at_least(eigenvalues, _edge(eigenvalues, c, delta, q, 1.0))


@theorem(
    kind="exact",
    about="cutoff k-dagger of accelerated SGD: modes above the lower edge of its complex band",
    source="simlab",
    number="k-dagger, Section 1.3 of the notes on Li et al. 2024",
    assumptions=_METHOD,
    provenance="reconstructed",
)
def complex_band_end(eigenvalues: npt.ArrayLike, c: npt.ArrayLike, delta: npt.ArrayLike, q: npt.ArrayLike) -> IntArray:
    """#{i : lam_i >= (sqrt(q - c delta) - sqrt(c (q - delta)))^2 / q^2}; the modes beyond have real roots again."""
    return count_at_least(eigenvalues, _edge(eigenvalues, c, delta, q, -1.0))


def _edge(eigenvalues: npt.ArrayLike, c: npt.ArrayLike, delta: npt.ArrayLike, q: npt.ArrayLike, sign: float) -> Any:
    mix, step, long = (np.asarray(value, dtype=np.float64) for value in (c, delta, q))
    require(np.asarray(eigenvalues) > 0.0, "positive eigenvalues", eigenvalues=eigenvalues)
    require((mix > 0.0) & (mix < 1.0), "0 < c < 1", c=c)
    slow, fast = long - mix * step, mix * (long - step)
    require((step > 0.0) & (fast >= 0.0) & (slow > 0.0), "0 < delta <= q, and q > c delta", delta=delta, q=q)
    wide = np.sqrt(slow) + np.sqrt(fast)
    if sign > 0.0:
        return (wide / long) ** 2
    # The difference of the roots as a quotient: (slow - fast) = (1 - c) q, without cancellation.
    return ((1.0 - mix) / wide) ** 2


def _run(
    eigenvalues: npt.ArrayLike, lr: npt.ArrayLike, steps: npt.ArrayLike, hold: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    rate, n, s = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (lr, steps, hold)))
    require(np.asarray(eigenvalues) > 0.0, "positive eigenvalues", eigenvalues=eigenvalues)
    require(rate > 0.0, "a positive learning rate", lr=lr)
    require((n >= 1.0) & (s >= 0.0), "steps >= 1 and hold >= 0", steps=steps, hold=hold)
    return rate, n, s
