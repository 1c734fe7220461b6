"""A finite data set as the population: SGD that samples its rows with replacement."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, check_array, check_number
from simlab.problems.base import Immutable, frozen

__all__ = ["EmpiricalRegression", "eigen_rows"]


def eigen_rows(
    X: npt.ArrayLike, y: npt.ArrayLike, rank_tolerance: float | None = None
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """(lam, rows, w_star, residual) of a data set in the eigenbasis of its covariance (1/n) X^T X.

    Shapes (r,), (n, r), (r,), (n,) with r the rank at `rank_tolerance` (relative to the largest eigenvalue; None: what
    `numpy.linalg.lstsq` keeps, singular values above max(n, d) eps of the largest); w_star is the least-squares
    solution of minimal norm, and a residual that is nothing but its rounding is 0. No column of ones is added and
    nothing is centred: what is passed is learned. Warns where what is dropped is more than a null direction.
    """
    if rank_tolerance is not None:
        rank_tolerance = check_number("rank_tolerance", rank_tolerance, low=0.0, high=1.0)
    try:
        data = np.ascontiguousarray(X, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(" is not a matrix of numbers; give an array of shape (rows, columns).", "X") from None
    if data.ndim != 2 or data.size == 0:
        raise InputError(f" has shape {data.shape}; give a matrix of shape (rows, columns).", "X")
    if not np.all(np.isfinite(data)):
        row = int(np.flatnonzero(~np.isfinite(data).all(axis=1))[0])
        raise InputError(f" has a value that is not finite in row {row}; drop or fill such rows.", "X")
    target = check_array("y", y, length=data.shape[0])
    n = data.shape[0]
    left, singular, right = np.linalg.svd(data / np.sqrt(n), full_matrices=False)
    if singular[0] == 0.0:
        raise InputError(" is zero everywhere; give features that vary.", "X")
    null = max(data.shape) * np.finfo(float).eps
    cut = null if rank_tolerance is None else float(np.sqrt(max(rank_tolerance, 0.0)))
    keep = singular > cut * singular[0]
    _tell_of_dropped(data, target, left[:, ~keep], singular[~keep] > null * singular[0], singular[0])
    lam = singular[keep] ** 2
    rows = data @ right[keep].T
    projected = left[:, keep].T @ target / np.sqrt(n)
    w_star = projected / singular[keep]
    residual = target - left[:, keep] @ (left[:, keep].T @ target)
    if np.linalg.norm(residual) <= null * np.linalg.norm(target):
        residual = np.zeros(n)
    return lam, rows, w_star, residual


def _tell_of_dropped(
    data: FloatArray, target: FloatArray, left: FloatArray, real: npt.NDArray[np.bool_], largest: float
) -> None:
    """A notice where directions are left out that a gradient would move: by the tolerance, or as columns too small.

    left (n, dropped) : their left singular vectors.  real (dropped,) : whether each is more than rounding.
    """
    sizes = np.sqrt(np.mean(data**2, axis=0))
    small = np.flatnonzero((sizes > 0.0) & (sizes <= max(data.shape) * np.finfo(float).eps * largest))
    if not real.any() and not small.size:
        return
    import warnings

    share = float(np.sum((left.T @ target) ** 2)) / max(float(target @ target), 1e-300)
    why = "below rank_tolerance" if real.any() else f"since column {small[0]} is too small beside the others"
    warnings.warn(
        f"{left.shape[1]} of {min(data.shape)} directions of X were dropped, {why}; {100.0 * share:.3g} % of the mean "
        f"square of y lies along them and counts as noise.",
        stacklevel=4,
    )


class EmpiricalRegression(Immutable):
    """Least squares on n given rows, as SGD with replacement sees it: every moment is the data's own.

    Parameters
    ----------
    X : (n, d) array of features, y : (n,) array of targets; `rank_tolerance` as in `LinearRegression.from_data`.

    SGD starts from w_0 = 0. The exact engine propagates the whole covariance of the iterate, d^2 numbers, under the
    rows' fourth moments: O(n d^2) a step, so d up to a few hundred. The residuals of a finite data set are not
    independent of its features, so that risk has a third part beside bias and variance: `cross`, twice the covariance
    of the two, which may be negative.
    """

    @door
    def __init__(self, X: npt.ArrayLike, y: npt.ArrayLike, rank_tolerance: float | None = None) -> None:
        lam, rows, w_star, residual = eigen_rows(X, y, rank_tolerance)
        self.eigenvalues: FloatArray = frozen(lam)
        self.rows: FloatArray = frozen(np.ascontiguousarray(rows))
        self.residual: FloatArray = frozen(residual)
        self.initial_error: FloatArray = frozen(-w_star)

    @property
    def dim(self) -> int:
        """Number of modes: the rank of the data."""
        return int(self.eigenvalues.size)

    @property
    def noise_variance(self) -> float:
        """Mean squared residual: sigma^2 of the Gaussian model of the same data."""
        return float(np.mean(self.residual**2))

    def describe(self) -> dict[str, Any]:
        """JSON-able provenance of the problem."""
        n = self.rows.shape[0]
        return {
            "kind": "EmpiricalRegression",
            "dim": self.dim,
            "rows": n,
            "noise_variance": self.noise_variance,
        }

    def __repr__(self) -> str:
        return (
            f"EmpiricalRegression(rows={self.rows.shape[0]}, dim={self.dim}, noise_variance={self.noise_variance:.4g})"
        )
