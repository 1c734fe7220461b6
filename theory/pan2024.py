"""Heavy ball with step decay under gradient noise that is no larger than the curvature: Pan, Liu, Wang and Zhang 2024.

On a quadratic with noise covariance <= sigma^2 H, constant momentum and a learning rate that falls by stages, the bias
is forgotten at the accelerated rate while the variance keeps the order sigma^2 d/(B T). The paper's constants were not
at hand; those below were fitted on exact runs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import Risk, require, theorem
from simlab.theory.two_state import spectrum

__all__ = ["HeavyBallStages", "pan_heavy_ball_upper", "pan_stages"]

FloatArray = npt.NDArray[np.float64]


class HeavyBallStages(NamedTuple):
    """lr (T,), the constant momentum, and the length of a stage in steps."""

    lr: FloatArray
    momentum: float
    stage: int


def pan_stages(eigenvalues: npt.ArrayLike, steps: int) -> HeavyBallStages:
    """n = ceil(log2(T sqrt(kappa))) stages of floor(T/n) steps (the last takes the rest) at 1/lam_1, 1/(2 lam_1), ..

    momentum = (1 - 1/sqrt(kappa))^2, which damps the last mode critically in the first stage; kappa = lam_1/lam_d.
    """
    lam = spectrum(eigenvalues)
    root = float(np.sqrt(lam[0] / lam[-1]))
    require(steps >= 1, "steps >= 1", steps=steps)
    count = max(1, int(np.ceil(np.log2(steps * root))))
    stage = max(1, steps // count)
    index = np.minimum(np.arange(steps) // stage, count - 1)
    return HeavyBallStages(2.0**-index / lam[0], (1.0 - 1.0 / root) ** 2, stage)


@theorem(
    kind="upper",
    about="risk of heavy ball with the stages of `pan_stages` under additive noise",
    source="pan2024",
    number="main theorem (rate), constants fitted",
    assumptions=("noise_variance >= 0", "batch >= 1", "stage >= sqrt(lam_1/lam_d)"),
    provenance="fitted",
)
def pan_heavy_ball_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    steps: int,
    batch: float = 1.0,
) -> Risk:
    """bias <= P e^(-2 K/sqrt(kappa)); variance <= (1/4) log2(T sqrt(kappa)) sigma^2 d/(B T); shapes (1,).

    P the initial risk, K the stage in steps, about T/log2(T sqrt(kappa)): the paper's exp(-Omega~(T/sqrt kappa)) and
    O~(d sigma^2/(B T)). For gradient noise of covariance sigma^2 H/B that does not depend on w (smaller noise lowers
    the variance). Largest exact/bound over 300 random problems: 0.33 (bias), 0.56 (variance). Raises
    OutsideAssumptions.
    """
    lam = spectrum(eigenvalues)
    error = np.broadcast_to(np.asarray(initial_error, dtype=np.float64), lam.shape)
    require(noise_variance >= 0.0, "noise_variance >= 0", noise_variance=noise_variance)
    require(batch >= 1.0, "batch >= 1", batch=batch)
    root = float(np.sqrt(lam[0] / lam[-1]))
    stage = pan_stages(lam, steps).stage
    require(stage >= root, "stage >= sqrt(lam_1/lam_d)", stage=stage, root=root)
    start = 0.5 * float(np.sum(lam * error**2))
    bias = start * np.exp(-2.0 * stage / root)
    variance = 0.25 * np.log2(max(steps * root, 2.0)) * noise_variance * lam.size / (batch * steps)
    return Risk(np.array([bias]), np.array([variance]))
