"""The noisy quadratic model: additive gradient noise of given covariance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.problems.base import (
    Immutable,
    Modes,
    check_signal,
    frozen,
    per_mode,
    positive_eigenvalues,
    problem,
    sort_descending,
)
from simlab.spectra import unit_of

__all__ = ["NoisyQuadratic"]


@problem("noisy_quadratic")
class NoisyQuadratic(Immutable):
    """L(w) = 1/2 sum_i lam_i (w - w*)_i^2 with gradient noise of variance c_i / B, independent of w.

    Parameters
    ----------
    eigenvalues : (d,) array, positive, sorted descending (with a notice if need be).
    initial_error : (d,) array or number; w_0 - w*.
    gradient_covariance : (d,) array or number >= 0; c_i, the variance of the gradient of one sample along e_i
        (the model of Zhang et al. 2019 has c_i = lam_i).

    Source: Zhang et al. 2019 (arXiv 1907.04164), section 3. Raises InputError for values that are refused.
    """

    @door
    def __init__(
        self, eigenvalues: npt.ArrayLike, initial_error: npt.ArrayLike, gradient_covariance: npt.ArrayLike
    ) -> None:
        lam = positive_eigenvalues(eigenvalues)
        error = per_mode("initial_error", initial_error, lam.size)
        covariance = per_mode("gradient_covariance", gradient_covariance, lam.size, low=0.0)
        check_signal(lam, error)
        lam, error, covariance = sort_descending(lam, error, covariance)
        self.eigenvalues: FloatArray = frozen(lam)
        self.initial_error: FloatArray = frozen(error)
        self.gradient_covariance: FloatArray = frozen(covariance)

    @property
    def dim(self) -> int:
        """Number of modes d."""
        return int(self.eigenvalues.size)

    def modes(self) -> Modes:
        """The nodes as the engines take them: additive noise is drive lam_i c_i with no coupling."""
        lam = self.eigenvalues
        unit = unit_of(lam)
        index = np.arange(lam.size, dtype=np.int64)
        return Modes(
            lam,
            lam * self.initial_error**2,
            np.zeros(lam.size),
            (lam / unit) * (self.gradient_covariance / unit),
            1.0,
            0.0,
            np.ones(lam.size),
            index,
            index + 1,
        )

    def describe(self) -> dict[str, Any]:
        """JSON-able provenance of the problem."""
        return {
            "kind": "NoisyQuadratic",
            "dim": self.dim,
            "gradient_noise": float(self.gradient_covariance.sum()),
        }

    def __repr__(self) -> str:
        return f"NoisyQuadratic(dim={self.dim}, total gradient noise {self.gradient_covariance.sum():.4g})"
