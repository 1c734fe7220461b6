"""How many steps of a run are taken one by one, since its schedules go on in another way too often for panels."""

from __future__ import annotations

import numpy as np

from simlab.methods.base import Method

__all__ = ["crowded_steps"]

FEW = 256
"""Pieces that are gone through without asking: so many cost a second at most."""

PLACES, PIECES = 32, 8
"""Where a schedule of more is looked at, evenly and on a scale of logarithms, and how many pieces from there on."""


def crowded_steps(method: Method, begin: int, shortest: int) -> float:
    """Of the steps from `begin` on, about how many are taken exactly: `shortest` of each piece, if there are many.

    Cycles of an equal length go by powers of their map, whatever is within them. What is looked at is a sample: a
    crowd that it misses is at most a thirtieth of the run.
    """
    t, pieces = begin, 0
    while t < method.length and pieces < FEW:
        t, pieces = method.next_kink(t), pieces + 1
    if t == method.length:
        return 0.0
    left = method.length - t
    places = np.unique(np.concatenate([np.geomspace(1, left, PLACES), np.linspace(1, left, PLACES)]).astype(np.int64))
    total = 0.0
    for low, high in zip([t, *(t + places[:-1]).tolist()], (t + places).tolist(), strict=True):
        share = _share_of(method, int(low), int(high), shortest)
        total += share * (high - low)
    return total


def _share_of(method: Method, low: int, high: int, shortest: int) -> float:
    """The share of the steps low .. high - 1 that is taken exactly, by the first pieces there."""
    t, pieces = low, 0
    while t < high and pieces < PIECES:
        found = method.stretch(t) if method.state_size == 1 else None
        if found is not None and found.period > 4 * shortest:
            return 0.0
        t, pieces = method.next_kink(t), pieces + 1
    return min(1.0, shortest * pieces / (t - low))
