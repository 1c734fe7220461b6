"""Arrays among guards: what compiled code writes beyond them is seen, and does no harm."""

from __future__ import annotations

import numpy as np

from simlab.arrays import FloatArray

__all__ = ["surrounded", "touched"]

GUARD = 64
"""Numbers before and behind an array."""


def surrounded(array: FloatArray, fill: float = np.nan) -> tuple[FloatArray, FloatArray]:
    """A store (size + 2 GUARD,) full of `fill`, and within it a copy of the array, of the same shape."""
    store = np.full(array.size + 2 * GUARD, fill)
    within = store[GUARD : store.size - GUARD].reshape(array.shape)
    within[...] = array
    return store, within


def touched(store: FloatArray, fill: float = np.nan) -> bool:
    """Whether a guard of a store is no longer `fill`."""
    return not np.array_equal(np.delete(store, slice(GUARD, -GUARD)), np.full(2 * GUARD, fill), equal_nan=True)
