"""A run cut into blocks of steps within which its learning rate hardly moves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simlab.arrays import FloatArray, IntArray

__all__ = ["WIDTH", "Blocks", "cut"]

WIDTH = 64
"""Longest block."""

FINE = 16
"""Longest block of a warmup, which has at least some forty of them."""

JUMP = 0.02
"""A change of the rate within a step, as a share of the peak, that begins a block of its own."""


class Blocks(NamedTuple):
    """starts (blocks + 1,): first steps and the end.  counts, rates (blocks,).  edges (K,): where records lie."""

    starts: IntArray
    counts: FloatArray
    rates: FloatArray
    edges: IntArray


def cut(lr: FloatArray, steps: IntArray, width: int = WIDTH) -> Blocks:
    """Blocks of the run lr (T,) up to its last record; steps (K,), ascending, at most T, are edges.

    rates are means of lr over a block, in its units.
    """
    last = int(steps[-1])
    run = lr[:last]
    edges = [np.arange(0, last, width), steps, np.array([0, last])]
    if last:
        peak = float(lr.max())
        warmup = min(int(np.argmax(lr >= 0.999 * peak)) + 1, last)
        fine = max(1, min(FINE, width, warmup // 40))
        edges += [np.flatnonzero(np.abs(np.diff(run)) > JUMP * peak) + 1, np.arange(0, warmup, fine)]
    starts = np.unique(np.concatenate(edges)).astype(np.int64)
    counts = np.diff(starts).astype(np.float64)
    sums = np.add.reduceat(run, starts[:-1]) if last else np.zeros(0)
    return Blocks(starts, counts, sums / counts, np.searchsorted(starts, steps).astype(np.int64))
