"""How nodes stand for the directions of a tail: sums over directions taken to the nodes, and back (see
`mixture_blocks`), for rows of any number.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from simlab.kernels.compiling import FAST, hot
from simlab.kernels.moments.mixture_moves import WIDE

__all__ = ["MOST_NODES", "NODE", "TOGETHER", "combined", "padded", "pair", "pairs", "weighed"]

MOST_NODES = 48

NODE = np.uint64(MOST_NODES)
"""Numbers of a row of the nodes."""

TOGETHER = 4
"""Rows that are read or made together: the nodes' rows that a block moves, and those of weights, are filled up to
their multiple."""


@register_jitable
def pairs(count: int) -> int:
    """Entries of a symmetric matrix."""
    return count * (count + 1) // 2


@register_jitable
def pair(k: int, j: int, count: int) -> int:
    """Which of them the entry of row k and column j >= k is."""
    return k * count - k * (k - 1) // 2 + j - k


@register_jitable
def padded(rows: int) -> int:
    """Rows that are filled up to a multiple of `TOGETHER`."""
    return -(-rows // TOGETHER) * TOGETHER


@hot(error_model="numpy", fastmath=FAST)
def weighed(held, rows, L, of, count, Z, first):
    """The rows of Z from the offset `first` on += L of a tile, from `of` on, times `held`, `rows` rows of the tile."""
    for n in range(np.uint64(count)):
        to = first + n
        for row in range(np.uint64(0), np.uint64(rows) * WIDE, np.uint64(TOGETHER) * WIDE):
            w0 = w1 = w2 = w3 = 0.0
            for i in range(WIDE):
                l = L[of + i]
                w0 += l * held[row + i]
                w1 += l * held[row + i + WIDE]
                w2 += l * held[row + i + np.uint64(2) * WIDE]
                w3 += l * held[row + i + np.uint64(3) * WIDE]
            Z[to] += w0
            Z[to + NODE] += w1
            Z[to + np.uint64(2) * NODE] += w2
            Z[to + np.uint64(3) * NODE] += w3
            to += np.uint64(TOGETHER) * NODE
        of += WIDE


@hot(error_model="numpy", fastmath=FAST)
def combined(held, rows, L, of, count, Z, first):
    """`held` = rows of Z from the offset `first` on, each combined over the nodes for every direction of a tile."""
    size, two, three = np.uint64(TOGETHER) * WIDE, np.uint64(2), np.uint64(3)
    for row in range(np.uint64(0), np.uint64(rows) * WIDE, size):
        for i in range(size):
            held[row + i] = 0.0
        at = of
        for n in range(first, first + np.uint64(count), two):
            x0, x1, x2, x3 = Z[n], Z[n + NODE], Z[n + two * NODE], Z[n + three * NODE]
            j = n + np.uint64(1)
            y0, y1, y2, y3 = Z[j], Z[j + NODE], Z[j + two * NODE], Z[j + three * NODE]
            for i in range(WIDE):
                l, other = L[at + i], L[at + i + WIDE]
                held[row + i] += l * x0 + other * y0
                held[row + i + WIDE] += l * x1 + other * y1
                held[row + i + two * WIDE] += l * x2 + other * y2
                held[row + i + three * WIDE] += l * x3 + other * y3
            at += two * WIDE
        first += np.uint64(TOGETHER) * NODE
