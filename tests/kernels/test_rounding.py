"""The level that is nearest, looked up by leading bits, against a search through all: to the bit, ties and ends too."""

from itertools import pairwise

import numpy as np
import pytest
from numba import njit

from simlab.kernels.rounding import few_bits, rounding
from simlab.methods.low_bit import dynamic_levels, linear_levels

PAIRS = {
    "8 bits": np.stack([dynamic_levels(8), dynamic_levels(8, signed=False)]),
    "4 bits": np.stack([dynamic_levels(4), linear_levels(4)]),
    "8 bits, 4 bits' maps": np.stack([dynamic_levels(8), linear_levels(8)]),
}


def nearest(values, x):
    """The index of the level that is nearest, of two the lower one."""
    at = np.clip(np.searchsorted(values, x, side="right") - 1, 0, values.size - 1)
    above = np.minimum(at + 1, values.size - 1)
    return np.where(x - values[at] <= values[above] - x, at, above)


def looked_up(levels, x):
    size = np.maximum(np.abs(x), np.int64(levels.low << levels.shift).view(np.float64))
    bucket = (size.view(np.int64) >> levels.shift) - levels.low + levels.first.size // 2 * (x < 0.0)
    s = levels.first[bucket].astype(np.int64)
    return s + (x > levels.cuts[s])


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("which", [0, 1])
def test_a_look_up_finds_what_a_search_finds(pair, which):
    """At 50,000 numbers over ten decades, at every level, and on both sides of every change of level."""
    levels = rounding(PAIRS[pair])[which]
    rng = np.random.default_rng(0)
    drawn = rng.uniform(0.5, 1.0, 50_000) * 10.0 ** rng.uniform(-10.0, 0.0, 50_000)
    middles = np.concatenate([0.5 * (levels.values[:-1] + levels.values[1:]), levels.values, levels.cuts[:-1]])
    beside = [np.nextafter(middles, to) for to in (-np.inf, np.inf)]
    x = np.concatenate([drawn, [0.0, -0.0, 1.0, 5e-324], middles, *beside])
    x = np.concatenate([x, -x]) if which == 0 else np.abs(x)
    x = x[np.abs(x) <= 1.0 + 2**-52]
    np.testing.assert_array_equal(looked_up(levels, x), nearest(levels.values, x))
    moved = levels._replace(cuts=np.nextafter(levels.cuts, -1.0))
    assert np.all(looked_up(moved, levels.cuts[:-1]) != nearest(levels.values, levels.cuts[:-1]))


@pytest.mark.thorough  # compiles
@pytest.mark.parametrize("lanes", [1, 3])
def test_a_row_is_rounded_block_by_block(lanes):
    """Every lane by itself; zeros stay, and so does a block with what is not a number, or is beyond all numbers."""
    take = njit(lambda levels, edges, lanes, z, row, room: few_bits(levels, edges, lanes, z, row, room))
    edges, rng = np.array([0, 1, 60, 100, 130]), np.random.default_rng(1)
    z = rng.standard_normal((2, 130, lanes)) * 10.0 ** rng.uniform(-5.0, 0.0, (2, 130, lanes))
    z[1, 60:100, 0] = 0.0
    z[1, 105, lanes - 1], z[1, 40, lanes - 1] = np.nan, np.inf
    wanted = z.copy()
    levels = rounding(PAIRS["8 bits"])[0]
    for first, last in pairwise(edges):
        for lane in range(lanes):
            block = wanted[1, first:last, lane]
            top = np.abs(block).max()
            if 0.0 < top < np.inf:
                block[:] = top * levels.values[nearest(levels.values, 1.0 / top * block)]
    take(levels, edges, lanes, z.reshape(2, -1), 1, np.empty(130 * lanes))
    np.testing.assert_array_equal(z, wanted)
