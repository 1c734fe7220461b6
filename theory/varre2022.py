"""Accelerated SGD without strong convexity: the bound of Varre and Flammarion 2022.

    y_n = (n x_n + z_n)/(n + 1);   x_(n+1) = y_n - beta g(y_n);   z_(n+1) = z_n - alpha (n + 1) g(y_n),   n = 0, 1, ..

from x_0 = z_0 with one fresh sample a step; the output is the average of y_0 .. y_(T-1) with weights n + 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import Risk, require, theorem
from simlab.theory.two_state import spectrum

__all__ = ["varre_average_upper", "varre_steps"]

FloatArray = npt.NDArray[np.float64]


def varre_steps(eigenvalues: npt.ArrayLike, share: float = 1.0) -> tuple[float, float]:
    """(beta, alpha), the largest pair that the theorem admits for Gaussian data, times `share`: alpha = beta/(2 k~),
    (alpha + 2 beta) R^2 = 1, R^2 = tr H + 2 lam_1, k~ = d + 2.
    """
    lam = spectrum(eigenvalues)
    r_square = float(lam.sum()) + 2.0 * float(lam[0])
    ratio = 1.0 / (2.0 * (lam.size + 2.0))
    beta = share / (r_square * (2.0 + ratio))
    return beta, ratio * beta


@theorem(
    kind="upper",
    about="excess risk of the weighted average of AcSGD",
    source="varre2022",
    number="Theorem 1 (averaged iterate)",
    assumptions=("alpha > 0", "(alpha + 2 beta) R^2 <= 1", "alpha <= beta/(2 k~)", "noise_variance >= 0", "steps >= 1"),
    provenance="reconstructed",
)
def varre_average_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    beta: float,
    alpha: float,
    steps: npt.ArrayLike,
) -> Risk:
    """bias <= min{12/(alpha T^2), 48/(beta T)} |w_0 - w*|^2, variance <= 72 sigma^2 d/T; shape of `steps` + (1,).

    Gaussian data: R^2 = tr H + 2 lam_1 (E |x|^2 x x^T <= R^2 H), k~ = d + 2 (E |x|^2_(H^-1) x x^T <= k~ H). The
    abstract has O(d/t) for the noise and O(d/t^2) for the bias; the constants are reconstructed and were held
    against the exact engine. Raises OutsideAssumptions.
    """
    lam = spectrum(eigenvalues)
    error = np.broadcast_to(np.asarray(initial_error, dtype=np.float64), lam.shape)
    r_square = float(lam.sum()) + 2.0 * float(lam[0])
    slack = 1.0 + 1e-12
    require(alpha > 0.0, "alpha > 0", alpha=alpha)
    require(
        (alpha + 2.0 * beta) * r_square <= slack, "(alpha + 2 beta) R^2 <= 1", value=(alpha + 2.0 * beta) * r_square
    )
    limit = beta / (2.0 * (lam.size + 2.0))
    require(alpha <= limit * slack, "alpha <= beta/(2 k~)", alpha=alpha, limit=limit)
    require(noise_variance >= 0.0, "noise_variance >= 0", noise_variance=noise_variance)
    T = np.asarray(steps, dtype=np.float64)[..., None]
    require(T >= 1.0, "steps >= 1", steps=T)
    bias = np.minimum(12.0 / (alpha * T**2), 48.0 / (beta * T)) * float(np.sum(error**2))
    return Risk(bias, 72.0 * noise_variance * lam.size / T)
