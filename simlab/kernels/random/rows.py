"""Which row of a data set, or which coordinate of one-hot data, a sample is: drawn anew, or dealt out by epochs."""

from __future__ import annotations

import numpy as np
from numba import njit

from simlab.kernels.compiling import hot
from simlab.kernels.random.philox import ROW, SHUFFLE, counter_word, philox

__all__ = ["draw_category", "draw_row", "shuffle"]

_HIGH = np.uint64(32)
_UNIT = 2.0**-53


@njit(inline="always")
def _wide_word(step, replica, sample, k0, k1):
    """64 random bits for one sample."""
    w0, w1, _, _ = philox(step, replica, np.uint64(0), counter_word(ROW, sample), k0, k1)
    return (w0 << _HIGH) | w1


@hot
def draw_row(step, replica, sample, count, k0, k1):
    """A row number, uniform below `count` (the remainder of 64 bits: off by less than count / 2^64)."""
    return np.int64(_wide_word(step, replica, sample, k0, k1) % np.uint64(count))


@hot
def draw_category(step, replica, sample, cumulative, k0, k1):
    """The index j with cumulative_(j-1) <= u < cumulative_j; cumulative.size where u lies beyond all of them."""
    u = np.float64(_wide_word(step, replica, sample, k0, k1) >> np.uint64(11)) * _UNIT
    return np.searchsorted(cumulative, u, side="right")


@hot
def shuffle(epoch, replica, k0, k1, order):
    """A uniform permutation of 0 .. n - 1 into `order` (n,) int64: Fisher and Yates with the epoch's own words.

    A position is the high half of word x count, so its probabilities are off by less than n / 2^32, relatively.
    """
    n = order.size
    for j in range(n):
        order[j] = j
    for j in range(n - 1, 0, -1):
        word, _, _, _ = philox(np.uint64(epoch), replica, np.uint64(j), SHUFFLE, k0, k1)
        other = np.int64((word * np.uint64(j + 1)) >> _HIGH)
        order[j], order[other] = order[other], order[j]
