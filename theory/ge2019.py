"""Ge et al. 2019: the last iterate under step decay, L stages of equal length whose learning rates halve.

Stage l = 0 .. L-1 runs at lr / 2^l from step ceil(l T / L) on; by default L = floor(log2 T). The abstract says: the
last iterate of step decay is off the minimax rate by log factors only, where any polynomial decay is off by a factor
of the condition number. The theorems' constants are not to hand. Here are the Gaussian sandwich in closed form and
the minimax form that follows from it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from simlab.theory.sandwich import Response, sandwich_bounds, stage_response, worst_mass
from simlab.theory.statement import Risk, require, theorem

__all__ = [
    "step_decay_lower",
    "step_decay_lr",
    "step_decay_minimax_upper",
    "step_decay_response",
    "step_decay_upper",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_FORM = ("0 < lr lam_i < 1", "steps >= stages >= 1")
_SATURATED = 0.4
"""(T/L) V_i is at most 0.352 for L = floor(log2 T), T >= 64, lr lam_i <= 2/3, on a grid up to T = 10^9 (largest at T =
127), and tends to between 0.18 and 0.21 in the head: a variance that truly grows as log2(T) / T.
"""


def _stages(steps: int, stages: int | None) -> tuple[int, IntArray]:
    count = max(1, int(steps).bit_length() - 1) if stages is None else stages
    require(steps >= count >= 1, "steps >= stages >= 1", steps=steps, stages=count)
    places = -(-np.arange(count + 1) * steps // count)
    return count, np.diff(places)


def step_decay_lr(lr: float, steps: int, stages: int | None = None) -> FloatArray:
    """The schedule of the module, shape (steps,)."""
    count, lengths = _stages(steps, stages)
    return np.repeat(np.ldexp(lr, -np.arange(count)), lengths)


def step_decay_response(lam: FloatArray, lr: float, steps: int, stages: int | None = None) -> Response:
    """b_i and V_i (B = 1) in closed form, shape (d,): a sum over stages."""
    require((lr * lam > 0.0) & (lr * lam < 1.0), "0 < lr lam_i < 1", lr_lam=lr * lam)
    count, lengths = _stages(steps, stages)
    return stage_response(lam, np.ldexp(lr, -np.arange(count)), lengths)


@theorem(
    kind="lower",
    about="excess risk of the last iterate under step decay",
    source="ge2019",
    number="step decay, Gaussian form",
    assumptions=_FORM,
    provenance="derived",
)
def step_decay_lower(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: int,
    stages: int | None = None,
) -> Risk:
    """bias_i >= 1/2 lam_i d_i^2 b_i^2, variance_i >= 1/2 sigma^2 V_i; b_i and V_i as in `step_decay_upper`, (d,)."""
    lam = np.asarray(eigenvalues, dtype=np.float64)
    b, noise = step_decay_response(lam, lr, steps, stages)
    return Risk(0.5 * lam * np.asarray(initial_error) ** 2 * b**2, 0.5 * noise_variance * noise)


@theorem(
    kind="upper",
    about="excess risk of the last iterate under step decay",
    source="ge2019",
    number="step decay, Gaussian form",
    assumptions=(*_FORM, "stability mass S < 1"),
    provenance="derived",
)
def step_decay_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: int,
    stages: int | None = None,
) -> Risk:
    """The upper side of the universal sandwich, Gaussian data, with x_l = lr lam_i / 2^l, p_l = 1 - x_l,

    V_i = sum_l [x_l (1 - p_l^(2 n_l)) / (2 - x_l)] prod_{m>l} p_m^(2 n_m),      b_i = prod_l p_l^(n_l); shape (d,).
    """
    lam = np.asarray(eigenvalues, dtype=np.float64)
    response = step_decay_response(lam, lr, steps, stages)
    return sandwich_bounds(lam, initial_error, noise_variance, response, lr)


@theorem(
    kind="upper",
    about="excess risk of the last iterate under step decay: minimax up to log T",
    source="ge2019",
    number="step decay, minimax form",
    assumptions=("0 < lr lam_i <= 2/3", "steps >= 64", "stability mass S < 1"),
    provenance="reconstructed",
)
def step_decay_minimax_upper(
    eigenvalues: npt.ArrayLike, initial_error: npt.ArrayLike, noise_variance: float, lr: float, steps: int
) -> Risk:
    """With L = floor(log2 T) stages, S and f_i of `theory.stationary` and D = |d|_H^2, shape (d,):

        variance_i <= (1/5) (L/T) sigma^2 (1 + f_i) / (1 - S)          [summed, about d sigma^2 log2(T) / (5 T)]
        bias_i     <= 1/2 lam_i d_i^2 exp(-2 lr lam_i T/L) + (1/5) (L/T) [lam_i d_i^2 + D (1 + f_i) / (1 - S)].

    The form is that of the paper, the constant that of (T/L) V_i <= 2/5, found on a grid (see _SATURATED); the
    exponential is the first stage alone. The minimax variance is about d sigma^2 / (2 T).
    """
    lam = np.asarray(eigenvalues, dtype=np.float64)
    require((lr * lam > 0.0) & (lr * lam <= 2.0 / 3.0), "0 < lr lam_i <= 2/3", lr_lam=lr * lam)
    require(steps >= 64, "at least 64 steps", steps=steps)
    mass = worst_mass(lam, lr, 1.0, np.asarray(3.0))
    require(mass.sum() < 1.0, "a stability mass S < 1", S=mass.sum(), lr=lr)
    count = int(steps).bit_length() - 1
    noise = _SATURATED * count / steps
    spread = (1.0 + mass) / (1.0 - mass.sum())
    signal = lam * np.asarray(initial_error, dtype=np.float64) ** 2
    kept = np.exp(-2.0 * lr * lam * steps / count)
    return Risk(
        0.5 * signal * kept + 0.5 * noise * (signal + signal.sum() * spread), 0.5 * noise_variance * noise * spread
    )
