"""Numbers kept in few bits: in every block, the largest magnitude times the nearest of a few levels.

Which level is nearest is looked up by the leading bits of a number, in buckets that hold one change of level at most.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.kernels.compiling import hot
from simlab.kernels.random.bits import double_bits, double_of

__all__ = ["Levels", "few_bits", "rounding"]

MANTISSA = 52
MAGNITUDE = np.uint64((1 << 63) - 1)


class Levels(NamedTuple):
    """Levels, and the way to the one that is nearest to x: s = first[bucket of x], and s + 1 where x > cuts[s].

    values (n,) : ascending, 0 in all where nothing is rounded.  cuts (n,) : the largest number that goes to each, inf
    for the last.  first (2 m,) : the level of the least number of a bucket; buckets of negative numbers come last.
    low : the leading bits of the first bucket's end.  shift : bits of the mantissa, and beyond, that a bucket ignores.
    """

    values: npt.NDArray[np.float64]
    cuts: npt.NDArray[np.float64]
    first: npt.NDArray[np.uint8]
    low: int
    shift: int


def rounding(levels: FloatArray) -> tuple[Levels, Levels]:
    """Both rows of levels (2, n), ascending between -1 and 1, or of (0, 0) nothing, as kernels look them up."""
    if levels.size == 0:
        nothing = np.zeros(0)
        return (Levels(nothing, nothing, np.zeros(0, dtype=np.uint8), 0, 0),) * 2
    return _buckets(levels[0].copy()), _buckets(levels[1].copy())


def _buckets(values: FloatArray) -> Levels:
    """The levels (n,) with as few buckets as will do."""
    cuts = np.append(_cuts(values), np.inf)
    sizes, negative = np.abs(cuts[:-1]), np.signbit(cuts[:-1])
    # The first buckets of either sign reach from 0 to the second cut.
    least = min(np.sort(sizes[negative == side])[1] for side in (False, True) if np.sum(negative == side) > 1)
    end, one = _bits(2.0 ** np.floor(np.log2(least))), _bits(1.0)
    for kept_bits in range(MANTISSA + 1):
        shift = MANTISSA - kept_bits
        low = (end >> shift) - 1
        m = (one >> shift) - low + 1
        of_cuts = np.clip((sizes.view(np.int64) >> shift) - low, 0, m - 1) + m * negative
        if np.unique(of_cuts).size == of_cuts.size:
            break
    ends = (np.arange(low, low + m + 1) << shift).view(np.float64)
    starts = np.concatenate([[0.0], ends[1:-1], -np.nextafter(ends[1:], 0.0)])
    return Levels(values, cuts, np.searchsorted(cuts, starts).astype(np.uint8), low, shift)


def _bits(x: float) -> int:
    return int(np.array(x, dtype=np.float64).view(np.int64)[()])


def _cuts(values: FloatArray) -> FloatArray:
    """(n - 1,), the largest number x with x - values[j] <= values[j + 1] - x, as they are rounded."""
    below, above = values[:-1], values[1:]
    x = 0.5 * (below + above)
    while np.any(over := x - below > above - x):
        x = np.where(over, np.nextafter(x, -np.inf), x)
    while np.any(under := (after := np.nextafter(x, np.inf)) - below <= above - after):
        x = np.where(under, after, x)
    return x


@hot
def _largest(z, row, first, last):
    """The largest magnitude among z[row, first : last], by its bits: NaN is larger than all."""
    top = np.uint64(0)
    for i in range(first, last):
        top = max(top, double_bits(np.float64(z[row, i])) & MAGNITUDE)
    return double_of(top)


@hot
def _largest_by_lane(z, row, first, last, lanes, tops):
    """tops[: lanes] <- the same of every lane."""
    for l in range(lanes):
        tops[l] = 0.0
    for i in range(first, last, np.uint64(lanes)):
        for l in range(lanes):
            top = double_bits(np.float64(tops[l]))
            tops[l] = double_of(max(top, double_bits(np.float64(z[row, i + np.uint64(l)])) & MAGNITUDE))


@hot
def _to_levels(levels, top, over, z, row, first, last, lanes):
    """Every lanes-th among z[row, first : last] <- top times the level nearest to it over top."""
    half, low, shift = np.uint64(levels.first.size // 2), np.uint64(levels.low), np.uint64(levels.shift)
    least, none = double_of(low << shift), np.uint64(0)
    for i in range(first, last, np.uint64(lanes)):
        x = over * np.float64(z[row, i])
        size = abs(x)
        size = size if size > least else least
        bucket = (double_bits(size) >> shift) - low + (half if x < 0.0 else none)
        s = np.uint64(levels.first[bucket])
        s += np.uint64(x > levels.cuts[s])
        z[row, i] = top * levels.values[s]


@hot
def few_bits(levels, edges, lanes, z, row, room):
    """Row of z (k, dim * lanes) <- in every block and lane, its largest magnitude times the nearest of the levels.

    What is not finite stays, with its block.  room (n,) : scratch, n >= lanes.
    """
    for j in range(edges.size - 1):
        # Unsigned: an index that might count from the end is gathered, number by number.
        first, last = np.uint64(edges[j] * lanes), np.uint64(edges[j + 1] * lanes)
        if lanes == 1:
            room[0] = _largest(z, row, first, last)
        else:
            _largest_by_lane(z, row, first, last, lanes, room)
        for lane in range(lanes):
            top = np.float64(room[lane])
            # What has no inverse would have no bucket.
            over = 1.0 / top if 0.0 < top < np.inf else np.inf
            if over < np.inf:
                _to_levels(levels, top, over, z, row, first + np.uint64(lane), last, lanes)
