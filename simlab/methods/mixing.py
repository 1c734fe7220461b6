"""Who averages with whom: doubly stochastic matrices of gossip, and their consensus modes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simlab.arrays import FloatArray
from simlab.errors import InputError, brief, unknown_name

__all__ = ["GRAPHS", "Consensus", "consensus", "mixing_matrix"]

ROUNDING = 1e-9
"""By how much rows and columns may miss one, and entries of what is equal differ."""

APART = 1e-12
"""By how much squares of different eigenvalues differ at least; what is below is nothing."""

GRAPHS = ("complete", "ring", "torus")


class Consensus(NamedTuple):
    """Modes of a mixing matrix beside that of the mean, of equal |eigenvalue|^2 together.

    kept (J,) : what a round leaves of the second moment of a mode, |eigenvalue|^2, zeros left out.  share (J,) : how
    many of the N modes have it, over N.
    """

    kept: FloatArray
    share: FloatArray


def mixing_matrix(mixing: Any, workers: int) -> FloatArray | None:
    """W (N, N), by which a round puts sum_b W_ab z_b in the place of z_a; None where that is the mean of all."""
    if mixing is None or isinstance(mixing, str):
        if mixing not in (None, *GRAPHS):
            raise unknown_name("mixing", str(mixing), GRAPHS)
        return None if mixing in (None, "complete") else _of_graph(_neighbours(str(mixing), workers))
    W = _matrix(mixing)
    if W.shape != (workers, workers):
        raise InputError(f" has shape {W.shape} and there are {workers} workers; give a row for each.", "mixing")
    for axis, name in ((1, "row"), (0, "column")):
        off = np.abs(W.sum(axis=axis) - 1.0)
        if off.max() > ROUNDING:
            at = int(off.argmax())
            raise InputError(
                f" is not doubly stochastic: {name} {at} sums to {W.sum(axis=axis)[at]:.12g}; give rows and columns "
                f"that sum to one.",
                "mixing",
            )
    return W


def _matrix(mixing: Any) -> FloatArray:
    """A matrix of finite numbers >= 0, or an InputError."""
    try:
        W = np.array(mixing, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f" = {brief(mixing)} is no matrix; give {', '.join(GRAPHS)}, or an array.", "mixing") from None
    if W.ndim != 2 or not np.all(np.isfinite(W)) or np.any(W < 0.0):
        raise InputError(" is no matrix of finite numbers of at least 0; give such, workers by workers.", "mixing")
    return W


def _neighbours(name: str, workers: int) -> FloatArray:
    """(N, N) : 1 for who is next to whom and for oneself, of a ring or of a torus as near to a square as N allows."""
    high = 1
    if name == "torus":
        high = max(r for r in range(1, int(workers**0.5) + 1) if workers % r == 0)
    wide = workers // high
    row, column = np.divmod(np.arange(workers), wide)

    def apart(place: Any, size: int) -> Any:
        steps = np.abs(place[:, None] - place)
        return np.minimum(steps, size - steps)

    near: FloatArray = (apart(row, high) + apart(column, wide) <= 1).astype(np.float64)
    return near


def _of_graph(near: FloatArray) -> FloatArray:
    """Equal weights for oneself and all neighbours, of a graph where all have as many."""
    W: FloatArray = near / near.sum(axis=1, keepdims=True)
    return W


def consensus(W: FloatArray) -> Consensus | None:
    """The consensus modes of a mixing matrix, where all workers are alike in them; None where they are not.

    W W^T = J/N + sum_j |w_j|^2 E_j with the mean's J/N apart. Workers that begin alike stay so, and E z_a z_b^T stays a
    combination of the E_j, where W E_j W^T = |w_j|^2 E_j (W mixes no two of them: it is normal) and the diagonal of
    every E_j is constant (no worker stands out): so of rings, tori, and all graphs whose workers can be exchanged.
    """
    N = W.shape[0]
    squares, vectors = np.linalg.eigh(W @ W.T - 1.0 / N)
    first = np.concatenate([[0], np.flatnonzero(np.diff(squares) > APART) + 1])
    group = np.repeat(np.arange(first.size), np.diff(first, append=N))
    mixed = np.abs(vectors.T @ W @ vectors)[group[:, None] != group]
    diagonals = np.add.reduceat(vectors**2, first, axis=1)
    if (mixed.size and mixed.max() > ROUNDING) or np.ptp(diagonals, axis=0).max() > ROUNDING:
        return None
    # That of the mean, which is left out, is among those of nothing.
    kept = np.add.reduceat(squares, first) / np.bincount(group)
    return Consensus(kept[kept > APART], np.bincount(group)[kept > APART] / N)
