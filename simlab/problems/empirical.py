"""A finite data set as the population: SGD that samples its rows with replacement."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import check_count
from simlab.problems.base import Immutable, frozen, refrozen
from simlab.problems.rows import EigenRows, HeldOut, described, eigen_rows

__all__ = ["EmpiricalRegression"]


class EmpiricalRegression(Immutable):
    """Least squares on n given rows, as SGD with replacement sees it: every moment is the data's own.

    Parameters
    ----------
    X : (n, d) array of features, dense or sparse, y : (n,) array of targets, or (n, outputs), of which the risk is the
        sum; `rank_tolerance`, `holdout` and `holdout_seed` as in `LinearRegression.from_data`.

    SGD starts from w_0 = 0. The exact engine propagates the whole covariance of the iterate, d^2 numbers, under the
    rows' fourth moments: O(n d^2) a step, so d up to a few hundred. The residuals of a finite data set are not
    independent of its features, so that risk has a third part beside bias and variance: `cross`, twice the covariance
    of the two, which may be negative.
    """

    @door
    def __init__(
        self,
        X: Any,
        y: npt.ArrayLike,
        rank_tolerance: float | None = None,
        holdout: Any = None,
        holdout_seed: int = 0,
    ) -> None:
        self._take(eigen_rows(X, y, rank_tolerance, holdout, holdout_seed))

    def _take(self, data: EigenRows) -> None:
        self.eigenvalues: FloatArray = frozen(data.lam)
        self.rows: FloatArray = frozen(data.rows)
        self.errors: FloatArray = frozen(-data.best)
        """(outputs, d) : w_0 - w* of each output."""
        self.residuals: FloatArray = frozen(data.residual)
        """(outputs, n) : y - x . w* of each output."""
        self.heldout: HeldOut | None = refrozen(data.heldout)

    @property
    def outputs(self) -> int:
        """Targets of a row."""
        return int(self.errors.shape[0])

    @property
    def initial_error(self) -> FloatArray:
        """w_0 - w*, (d,); of several outputs, the root of the sum of their squares."""
        return self.errors[0] if self.outputs == 1 else frozen(np.sqrt(np.sum(self.errors**2, axis=0)))

    @property
    def residual(self) -> FloatArray:
        """y - x . w*, (n,); of several outputs, the root of the sum of their squares."""
        return self.residuals[0] if self.outputs == 1 else frozen(np.sqrt(np.sum(self.residuals**2, axis=0)))

    @door
    def output(self, j: int) -> EmpiricalRegression:
        """The regression of one output, j = 0 .. outputs - 1, alone."""
        j = check_count("output", j, low=0, high=self.outputs - 1)
        heldout = None if self.heldout is None else self.heldout.output(j)
        made = EmpiricalRegression.__new__(EmpiricalRegression)
        errors, residuals = self.errors[j : j + 1], self.residuals[j : j + 1]
        made._take(EigenRows(self.eigenvalues, self.rows, -errors, residuals, self.dim, heldout))
        return made

    @property
    def dim(self) -> int:
        """Number of modes: the rank of the data."""
        return int(self.eigenvalues.size)

    @property
    def noise_variance(self) -> float:
        """Mean squared residual, summed over outputs: sigma^2 of the Gaussian model of the same data."""
        return float(np.mean(self.residual**2))

    def describe(self) -> dict[str, Any]:
        """JSON-able provenance of the problem."""
        facts = {"dim": self.dim, "rows": self.rows.shape[0], **described(self.outputs, self.heldout)}
        return {"kind": "EmpiricalRegression", **facts, "noise_variance": self.noise_variance}

    def __repr__(self) -> str:
        return (
            f"EmpiricalRegression(rows={self.rows.shape[0]}, dim={self.dim}, noise_variance={self.noise_variance:.4g})"
        )
