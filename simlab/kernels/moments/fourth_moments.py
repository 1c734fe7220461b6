"""Contractions with the fourth moments of a data set, without forming them (Numba, SIMD)."""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.products import DEEP, WIDE, add_block

__all__ = ["contract"]

TILE = 64
"""Rows taken at a time, a multiple of WIDE: a tile of 500 columns stays within the second cache."""


@kept(fastmath=FAST)
def contract(rows, V, shift, out):
    """out_p = (1/n) sum_r (x_r^T V_p x_r + shift_pr) x_r x_r^T for every p.

    Shapes rows (n, d), V (parts, d, d), shift (parts, n), out (parts, d, d). Only the symmetric part of V matters.
    Two products of matrices, half of each: V with a tile of rows, WIDE of them side by side, and the weighted tile with
    itself.
    """
    n, d = rows.shape
    parts = V.shape[0]
    high, wide = -(-d // DEEP) * DEEP, -(-d // WIDE) * WIDE  # padded with zeros to whole blocks
    upper, sums = np.zeros(parts * high * d), np.zeros(parts * high * wide)
    for p in range(parts):
        for i in range(d):
            row = (p * high + i) * d
            upper[row + i] = V[p, i, i]
            for j in range(i + 1, d):
                upper[row + j] = V[p, i, j] + V[p, j, i]
    x, beside = np.zeros(TILE * wide), np.zeros(TILE * high)
    weighted, weight, block = np.zeros(TILE * high), np.zeros(TILE), np.zeros(DEEP * WIDE)
    for first in range(0, n, TILE):
        count = min(TILE, n - first)
        for r in range(TILE):
            for j in range(d):
                value = rows[first + r, j] if r < count else 0.0
                x[r * wide + j] = value
                beside[(r // WIDE * high + j) * WIDE + r % WIDE] = value
        for p in range(parts):
            for r in range(count):
                weight[r] = shift[p, first + r]
            _add_squares(upper, p * high * d, d, high, beside, count, block, weight)
            for r in range(count):
                for i in range(d):
                    weighted[r * high + i] = weight[r] * x[r * wide + i]
            for i in range(0, d, DEEP):
                for j in range(i // WIDE * WIDE, d, WIDE):
                    add_block(count, weighted, i, (high, 1), x, j, wide, sums, (p * high + i) * wide + j, wide)
    for p in range(parts):
        for i in range(d):
            for j in range(i, d):
                out[p, i, j] = sums[(p * high + i) * wide + j] / n
                out[p, j, i] = out[p, i, j]


@hot(fastmath=FAST)
def _add_squares(upper, at, d, high, beside, count, block, weight):
    """weight_r += x_r^T U x_r of the rows that lie `beside` one another: (TILE / WIDE, high, WIDE), flat."""
    for i in range(0, d, DEEP):
        for g in range(-(-count // WIDE)):
            x = g * high * WIDE
            block[:] = 0.0
            add_block(d - i, upper, at + i * d + i, (1, d), beside, x + i * WIDE, WIDE, block, 0, WIDE)
            for k in range(DEEP):
                for l in range(WIDE):
                    weight[g * WIDE + l] += block[k * WIDE + l] * beside[x + (i + k) * WIDE + l]
