"""A few directions that stand for many: f(l_i) = sum_n L_in f(l_n) for whatever a block of steps does to them.

That is a smooth function of the eigenvalues l_1, .., l_K of a direction that vanishes at 0: a sum over k of x_k =
l_k / max l_k times products of (1 - rate x)^2, within some REACH of exp(- theta . x), theta >= 0 with sum theta <=
REACH. Samples of such functions, drawn at random, are a matrix of low rank (10 to 35 for spectra that are smooth
curves), whose columns are combinations of a few of its columns. Gaussian elimination with complete pivoting finds
which, and L, and other samples say whether it holds. Divided by x_1 + .. + x_K, they keep the digits of the smallest
eigenvalues.

Source: interpolative decompositions, Cheng, Gimbutas, Martinsson and Rokhlin 2005 (SIAM J. Sci. Comput. 26:1389),
here by elimination in place of a QR decomposition. No BLAS: the bits of a result do not depend on threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simlab.arrays import FloatArray, IntArray

__all__ = ["Representatives", "representatives"]

SPARE = 12
"""Samples beyond the most nodes."""

CHECKS = 6
PIECE = 1 << 12
FRONT = 64
CANDIDATES = 384
"""Directions of which the nodes are chosen: the first ones, and so many at most, drawn at random."""

SMALLEST_PIVOT = 1e-15
LARGEST_ERROR = 2e-14


class Representatives(NamedTuple):
    """nodes (r,): which directions they are; L (r, d)."""

    nodes: IntArray
    L: FloatArray


class _Functions:
    """Random functions of those that have to be combinations, over sum_k x_k."""

    def __init__(self, domains: int, reach: float, count: int, rng: np.random.Generator) -> None:
        self.theta = rng.dirichlet(np.ones(domains), count) * (reach * rng.uniform(size=(count, 1)))
        self.linear = rng.uniform(-1.0, 1.0, (count, domains))
        self.square = rng.uniform(-0.1, 0.1, (count, 2 * domains))

    def __call__(self, x: FloatArray, which: IntArray | slice = slice(None)) -> FloatArray:
        """(count, d) of x (K, d)."""
        share = x / x.sum(axis=0)
        terms = np.concatenate([share, share * x, share * np.roll(x, 1, axis=0)])
        factors = np.concatenate([self.linear, self.square], axis=1)[which]
        out = _products(-self.theta[which], x)
        np.exp(out, out=out)
        out *= _products(factors, terms)
        return out


def _products(A: FloatArray, B: FloatArray) -> FloatArray:
    """A B, row by row."""
    out = np.empty((A.shape[0], B.shape[1]))
    for to, row in zip(out, A, strict=True):
        np.multiply(row[0], B[0], out=to)
        for factor, values in zip(row[1:], B[1:], strict=True):
            to += factor * values
    return out


def _pivots(F: FloatArray, most: int) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Rows and columns of complete pivoting, and the unit triangular factors (d, r) left and (r, d) right of F."""
    F = F.copy()
    rows: list[int] = []
    columns: list[int] = []
    left, right = [], []
    first = np.abs(F).max()
    while len(rows) <= most:
        row, column = np.unravel_index(int(np.abs(F).argmax()), F.shape)
        pivot = F[row, column]
        if not abs(pivot) > SMALLEST_PIVOT * first:
            break
        rows.append(int(row))
        columns.append(int(column))
        left.append(F[:, column].copy())
        right.append(F[row] / pivot)
        F -= np.outer(left[-1], right[-1])
        F[row], F[:, column] = 0.0, 0.0
    return np.array(rows), np.array(columns), np.array(left), np.array(right)


def representatives(lam: FloatArray, reach: float, most: int) -> Representatives | None:
    """Nodes among the directions of lam (K, d), at most `most`; None where that many do not hold for all."""
    domains, d = lam.shape
    x = lam / lam.max(axis=1, keepdims=True)
    rng = np.random.Generator(np.random.PCG64(0))
    seen = np.arange(d)
    if d > CANDIDATES:
        others = rng.choice(seen[FRONT:], CANDIDATES - FRONT, replace=False)
        seen = np.concatenate([seen[:FRONT], np.sort(others)])
    samples, tests = (_Functions(domains, reach, count, rng) for count in (most + SPARE, CHECKS))
    rows, columns, left, right = _pivots(samples(x[:, seen]), most)
    if rows.size > most:
        return None
    nodes = seen[columns]
    at_nodes, scale = tests(x[:, nodes]), x[:, nodes].sum(axis=0)[:, None]
    L = np.empty((rows.size, d))
    for lo in range(0, d, PIECE):
        piece = slice(lo, lo + PIECE)
        part = _solve(samples(x[:, piece], rows), rows, columns, left, right)
        error = _products(at_nodes, part) - tests(x[:, piece])
        if not np.abs(error).max() <= LARGEST_ERROR:
            return None
        L[:, piece] = part * (x[:, piece].sum(axis=0) / scale)
    L[:, nodes] = np.eye(rows.size)
    return Representatives(nodes, L)


def _solve(F: FloatArray, rows: IntArray, columns: IntArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """(r, d) : the combinations of the nodes, from the rows (r, d) of pivots; in place."""
    # In that order F = left^T right, both triangular at the pivots: forward, then back.
    r = rows.size
    for i in range(r):
        for j in range(i):
            F[i] -= left[j][rows[i]] * F[j]
        F[i] /= left[i][rows[i]]
    for i in range(r - 1, -1, -1):
        for j in range(i + 1, r):
            F[i] -= right[i][columns[j]] * F[j]
    return F
