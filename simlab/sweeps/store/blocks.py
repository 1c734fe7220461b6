"""Which cells are computed, written and verified together: a block is one chunk of every array of the store."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from simlab.arrays import IntArray

__all__ = ["Blocks", "block_shape", "shape_within"]


MOST_CELLS = 512
FEWEST_BLOCKS = 16
BLOCK_BYTES = 8 << 20
BLOCK_WORK = 3e10
"""Upper bounds of a block: its cells (fewer in a small sweep, so that every worker has blocks), the bytes kept of them,
and node-steps: some ten seconds of one core.
"""


def block_shape(dims: Sequence[int], bytes_per_cell: int, work_per_cell: float) -> tuple[int, ...]:
    """The shape of a block: a pure function of the sweep, so that it is the same whenever it is started again."""
    share = -(-int(np.prod(dims, dtype=np.int64)) // FEWEST_BLOCKS)
    bounds = (MOST_CELLS, share, BLOCK_BYTES // max(bytes_per_cell, 1), BLOCK_WORK / max(work_per_cell, 1.0))
    return shape_within(dims, int(min(bounds)))


def shape_within(dims: Sequence[int], most: int) -> tuple[int, ...]:
    """At most so many cells: whole trailing dimensions while they fit, then a part of one, then single indices."""
    left, shape = max(most, 1), list[int]()
    for size in reversed(dims):
        # Equal parts, so that the last one is no crumb.
        parts = -(-size // min(size, left))
        shape.append(-(-size // parts))
        left = max(left // size, 1) if shape[-1] == size else 1
    return tuple(reversed(shape))


class Blocks:
    """The grid of blocks over an array of cells."""

    def __init__(self, dims: Sequence[int], shape: Sequence[int]) -> None:
        self.dims, self.shape = tuple(dims), tuple(shape)
        self.grid = tuple(-(-size // part) for size, part in zip(dims, shape, strict=True))

    def __len__(self) -> int:
        return int(np.prod(self.grid, dtype=np.int64))

    def place(self, block: int) -> tuple[int, ...]:
        """The indices of a block in the grid of blocks: the key of its chunks."""
        return tuple(int(i) for i in np.unravel_index(block, self.grid))

    def region(self, block: int) -> tuple[slice, ...]:
        """The cells of a block as slices of the dimensions."""
        starts = [i * part for i, part in zip(self.place(block), self.shape, strict=True)]
        ends = [min(a + part, size) for a, part, size in zip(starts, self.shape, self.dims, strict=True)]
        return tuple(slice(a, b) for a, b in zip(starts, ends, strict=True))

    def cells(self, block: int) -> IntArray:
        """The numbers of the cells of a block, in order."""
        ranges = [range(part.start, part.stop) for part in self.region(block)]
        indices = np.array(list(product(*ranges)), dtype=np.int64)
        numbers: IntArray = np.ravel_multi_index(tuple(indices.T), self.dims).astype(np.int64)
        return numbers
