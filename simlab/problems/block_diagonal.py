"""Regressions whose covariance is block diagonal in the weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simlab.doors import door
from simlab.errors import InputError, check_array, check_entries, check_floats
from simlab.problems.linear_regression import LinearRegression

__all__ = ["blocks"]


@door
def blocks(
    matrices: Sequence[npt.ArrayLike], initial_error: npt.ArrayLike, noise_variance: float = 0.0
) -> LinearRegression:
    """The regression with covariance H = diag(H_1, H_2, ..) in the weights' own coordinates, rotated accordingly.

    Layers of a network have Hessians of their own, which is why methods that go weight by weight, or block by block,
    see more than the eigenvalues (Zhang et al. 2024, arXiv 2402.16788).

    Parameters
    ----------
    matrices : symmetric, positive definite (d_b, d_b) blocks H_b, in the order of the weights.
    initial_error : (d,), d = sum d_b; w_0 - w* in the weights' own coordinates.
    noise_variance : of the labels.

    Raises InputError for a block that is not symmetric or not positive definite. Every engine takes what comes out;
    methods that are not linear run along the weights in `simlab.sample`.
    """
    parts = [_checked(j, block) for j, block in enumerate(check_entries("matrices", matrices, "blocks"))]
    sizes = [part.shape[0] for part in parts]
    start = check_array("initial_error", initial_error, length=sum(sizes))
    basis, values = np.zeros((start.size, start.size)), np.empty(start.size)
    for part, end in zip(parts, np.cumsum(sizes), strict=True):
        here = slice(end - part.shape[0], end)
        values[here], basis[here, here] = np.linalg.eigh(part)
    if values.min() <= 0.0:
        raise InputError(f" has an eigenvalue {values.min():g}; give positive definite blocks.", "matrices")
    order = np.argsort(-values, kind="stable")
    basis = basis[:, order]
    return LinearRegression(values[order], basis.T @ start, noise_variance).rotated(basis)


def _checked(number: int, block: npt.ArrayLike) -> npt.NDArray[np.float64]:
    matrix, name = check_floats("matrices", block), f"matrices[{number}]"
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f" has shape {matrix.shape}; give a square matrix.", name)
    if not np.allclose(matrix, matrix.T, rtol=1e-9, atol=0.0):
        raise InputError(" is not symmetric; give (H + H.T) / 2.", name)
    return matrix
