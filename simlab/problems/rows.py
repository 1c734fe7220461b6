"""Rows of a data set in the eigenbasis of their covariance, and rows held out from it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.errors import InputError, brief, check_count, check_floats, check_number

__all__ = ["EigenRows", "HeldOut", "described", "eigen_rows"]

MOST_DENSE = 1 << 32
"""Bytes that a sparse matrix may have written out: it is, for its eigenbasis is dense."""


class HeldOut(NamedTuple):
    """Rows that are not trained on, as the directions of the training rows see them.

    rows (m, r) : their features along the eigenvectors.  residual (outputs, m) : what w* of the training rows leaves of
    their targets. The held-out loss, half the mean squared residual of w at them, summed over outputs, is for w - w* =
    delta the quadratic

        1/2 (delta^T A delta - 2 g . delta + level),    A = rows^T rows / m,  g = residual rows / m,

    whose A is not diagonal: it asks for the moments between modes. What of their features lies outside the span of the
    training rows meets weights that stay at 0.
    """

    rows: FloatArray
    residual: FloatArray

    @property
    def curvature(self) -> FloatArray:
        """A, (r, r)."""
        out: FloatArray = self.rows.T @ self.rows / self.rows.shape[0]
        return out

    @property
    def slope(self) -> FloatArray:
        """g, (outputs, r)."""
        out: FloatArray = self.residual @ self.rows / self.rows.shape[0]
        return out

    @property
    def level(self) -> float:
        """Mean squared residual of w*, summed over outputs: twice its loss."""
        return float(np.sum(self.residual**2) / len(self.rows))

    def squares(self) -> tuple[FloatArray, FloatArray, float]:
        """L (q, r), u (q,) and what is left: the loss of one output is 1/2 |L delta - u|^2 + left, q <= m, r."""
        m = self.rows.shape[0]
        left, singular, right = np.linalg.svd(self.rows / np.sqrt(m), full_matrices=False)
        along = left.T @ self.residual[0] / np.sqrt(m)
        return singular[:, None] * right, along, max(0.5 * (self.level - float(along @ along)), 0.0)

    def output(self, j: int) -> HeldOut:
        """One output alone."""
        return self._replace(residual=self.residual[j : j + 1])


class EigenRows(NamedTuple):
    """A data set in the eigenbasis of (1/n) X^T X: lam (r,), rows (n, r), best (outputs, r) the least-squares solution
    of minimal norm, residual (outputs, n) what it leaves; columns of X; heldout where rows were held out.
    """

    lam: FloatArray
    rows: FloatArray
    best: FloatArray
    residual: FloatArray
    columns: int
    heldout: HeldOut | None


def described(outputs: int, heldout: HeldOut | None) -> dict[str, int]:
    """What is told of a data set beside its size, where there is something to tell."""
    told = {} if outputs == 1 else {"outputs": outputs}
    return told if heldout is None else {**told, "held_out": int(heldout.rows.shape[0])}


def eigen_rows(
    X: Any, y: npt.ArrayLike, rank_tolerance: float | None = None, holdout: Any = None, holdout_seed: int = 0
) -> EigenRows:
    """A data set, X (n, d) dense or sparse, y (n,) or (n, outputs), in the eigenbasis of its covariance.

    r is the rank at `rank_tolerance` (relative to the largest eigenvalue; None: what `numpy.linalg.lstsq` keeps,
    singular values above max(n, d) eps of the largest); a residual that is nothing but its rounding is 0. No column of
    ones is added and nothing is centred: what is passed is learned. Warns where what is dropped is more than a null
    direction.
    holdout : None; a share of the rows, drawn by `holdout_seed`, that is taken out before all else; or rows of their
    own, (X, y).
    """
    if rank_tolerance is not None:
        rank_tolerance = check_number("rank_tolerance", rank_tolerance, low=0.0, high=1.0)
    data, target = _checked(X, y, "X", "y")
    other = None
    if isinstance(holdout, tuple | list):
        other = _other(holdout, data.shape[1], target.shape[1])
    elif holdout is not None:
        out = _drawn(data.shape[0], holdout, holdout_seed)
        other = data[out], target[out]
        data, target = data[~out], target[~out]
    n = data.shape[0]
    left, singular, right = np.linalg.svd(data / np.sqrt(n), full_matrices=False)
    if singular[0] == 0.0:
        raise InputError(" is zero everywhere; give features that vary.", "X")
    null = max(data.shape) * np.finfo(float).eps
    cut = null if rank_tolerance is None else float(np.sqrt(max(rank_tolerance, 0.0)))
    keep = singular > cut * singular[0]
    _tell_of_dropped(data, target, left[:, ~keep], singular[~keep] > null * singular[0], singular[0])
    left, axes = left[:, keep], right[keep].T
    along = left.T @ target
    best = along.T / np.sqrt(n) / singular[keep]
    residual = (target - left @ along).T
    exact = np.linalg.norm(residual, axis=1) <= null * np.linalg.norm(target, axis=0)
    residual[exact] = 0.0
    heldout = None
    if other is not None:
        seen = other[0] @ axes
        heldout = HeldOut(seen, other[1].T - best @ seen.T)
    return EigenRows(singular[keep] ** 2, np.ascontiguousarray(data @ axes), best, residual, data.shape[1], heldout)


def _checked(X: Any, y: Any, name: str, of: str) -> tuple[FloatArray, FloatArray]:
    """X (n, d) and y (n, outputs) as float64, or an InputError that calls them `name` and `of`."""
    written = _dense(X, name)
    try:
        data = np.ascontiguousarray(written, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(" is not a matrix of numbers; give an array of shape (rows, columns).", name) from None
    if data.ndim != 2 or data.size == 0:
        raise InputError(f" has shape {data.shape}; give a matrix of shape (rows, columns).", name)
    if not np.all(np.isfinite(data)):
        row = int(np.flatnonzero(~np.isfinite(data).all(axis=1))[0])
        raise InputError(f" has a value that is not finite in row {row}; drop or fill such rows.", name)
    target = check_floats(of, _dense(y, of))
    if target.ndim not in (1, 2) or target.size == 0:
        raise InputError(f" has shape {target.shape}; give one target for each row, or (rows, outputs).", of)
    if target.shape[0] != data.shape[0]:
        raise InputError(f" has {target.shape[0]} entries where {data.shape[0]} are needed; give one for each row.", of)
    target = target.reshape(target.shape[0], -1)
    bad = np.flatnonzero(~np.isfinite(target).all(axis=1))
    if bad.size:
        first = int(bad[0])
        raise InputError(f" = {brief(target[first].tolist())} is refused; give finite numbers.", f"{of}[{first}]")
    return data, target


def _dense(array: Any, name: str) -> Any:
    """A sparse matrix written out, as its eigenbasis would be; anything else as it is."""
    if not (hasattr(array, "toarray") and hasattr(array, "nnz")):
        return array
    need = 8 * int(np.prod(array.shape, dtype=np.int64))
    if need > MOST_DENSE:
        raise InputError(
            f" of shape {tuple(array.shape)} takes {need / 2**30:.1f} GiB written out, and its eigenbasis is dense; "
            f"give fewer rows or columns, or its spectrum (LinearRegression(eigenvalues, ...)).",
            name,
        )
    return array.toarray()


def _other(holdout: Any, columns: int, outputs: int) -> tuple[FloatArray, FloatArray]:
    """Rows of their own, of as many columns and outputs."""
    if len(holdout) != 2:
        raise InputError(
            f" has {len(holdout)} parts; give a share such as 0.2, or rows of their own as (X, y).", "holdout"
        )
    data, target = _checked(holdout[0], holdout[1], "holdout[0]", "holdout[1]")
    if data.shape[1] != columns:
        raise InputError(f" has {data.shape[1]} columns and X has {columns}; give the same features.", "holdout[0]")
    if target.shape[1] != outputs:
        raise InputError(f" has {target.shape[1]} outputs and y has {outputs}; give the same targets.", "holdout[1]")
    return data, target


def _drawn(n: int, share: Any, seed: int) -> npt.NDArray[np.bool_]:
    """(n,) : which rows are held out: the `share` of them whose random words are the smallest."""
    share = check_number("holdout", share, low=0.0, high=1.0, remedy="give a share of the rows such as 0.2")
    count = round(share * n)
    if not 0 < count < n:
        raise InputError(
            f" = {share:g} holds out {count} of {n} rows; give a share that leaves some on either side.", "holdout"
        )
    key = check_count("holdout_seed", seed, low=0, high=2**64 - 1)
    # Raw words, whose stream is fixed, where what NumPy makes of them may change from version to version.
    words = np.random.Philox(key=key).random_raw(n)
    order: IntArray = np.argsort(words, kind="stable")
    out = np.zeros(n, dtype=bool)
    out[order[:count]] = True
    return out


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

    share = float(np.sum((left.T @ target) ** 2)) / max(float(np.sum(target**2)), 1e-300)
    why = "below rank_tolerance" if real.any() else f"since column {small[0]} is too small beside the others"
    warnings.warn(
        f"{left.shape[1]} of {min(data.shape)} directions of X were dropped, {why}; {100.0 * share:.3g} % of the mean "
        f"square of y lies along them and counts as noise.",
        stacklevel=4,
    )
