"""Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw 2011 (SC11, doi 10.1145/2063384.2063405).

A draw is a pure function of a counter of four 32-bit words and a key of two: nothing is stored, nothing is shared, so
that results cannot depend on threads or on the order of the work. The counter here is (step, replica, coordinate
block, purpose + 8 * sample), the key is the seed.

Coordinate i of a sample takes word (i % 256) // 64 of the coordinate block 64 (i // 256) + i % 64: a tile of 256
coordinates is 64 blocks, each word of which is a contiguous run of 64 coordinates.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simlab.kernels.compiling import hot

__all__ = ["FEATURES", "LANES", "NOISE", "RADIUS", "ROW", "SHUFFLE", "TILE", "counter_word", "fill_words", "philox"]

LANES = 64
TILE = 4 * LANES

FEATURES, RADIUS, NOISE, ROW, SHUFFLE = (np.uint64(purpose) for purpose in range(5))
"""Purposes: what a word is for."""

_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_LANES, _HALF = np.uint64(LANES), np.uint64(LANES // 2)
_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@njit(inline="always")
def philox(c0, c1, c2, c3, k0, k1):
    """Four random words from a counter and a key; all uint64 that hold 32-bit numbers.

    The products are 64 bits wide, so that LLVM vectorises them as the 32 x 32 -> 64 multiplies of the processor.
    """
    for _ in range(10):
        p0 = _MULTIPLIER_0 * c0
        p1 = _MULTIPLIER_1 * c2
        c0 = (p1 >> _SHIFT) ^ c1 ^ k0
        c1 = p1 & _MASK
        c2 = (p0 >> _SHIFT) ^ c3 ^ k1
        c3 = p0 & _MASK
        k0 = (k0 + _WEYL_0) & _MASK
        k1 = (k1 + _WEYL_1) & _MASK
    return c0, c1, c2, c3


@njit(inline="always")
def counter_word(purpose, sample):
    """The fourth counter word: what for, and which sample of the batch."""
    return (purpose + np.uint64(8) * np.uint64(sample)) & _MASK


@hot
def fill_words(step, replica, first_tile, tiles, word, k0, k1, words):
    """The words of some tiles of coordinates, word w of lane l of the j-th at words[256 j + 64 w + l].

    `words` uint32, all counters uint64. Two blocks go side by side, round by round: one alone leaves the multipliers
    waiting for each other.
    """
    for tile in range(tiles):
        for l in range(_HALF):
            a0, a1, a2, a3 = step, replica, _LANES * (first_tile + tile) + l, word
            b0, b1, b2, b3 = step, replica, a2 + _HALF, word
            key0, key1 = k0, k1
            for _ in range(10):
                p, q, r, s = (a0 & _MASK), (a2 & _MASK), (b0 & _MASK), (b2 & _MASK)
                p, q, r, s = _MULTIPLIER_0 * p, _MULTIPLIER_1 * q, _MULTIPLIER_0 * r, _MULTIPLIER_1 * s
                a0, a1, a2, a3 = (q >> _SHIFT) ^ a1 ^ key0, q & _MASK, (p >> _SHIFT) ^ a3 ^ key1, p & _MASK
                b0, b1, b2, b3 = (s >> _SHIFT) ^ b1 ^ key0, s & _MASK, (r >> _SHIFT) ^ b3 ^ key1, r & _MASK
                key0, key1 = (key0 + _WEYL_0) & _MASK, (key1 + _WEYL_1) & _MASK
            at = np.uint64(TILE) * tile + l
            words[at] = np.uint32(a0)
            words[at + _LANES] = np.uint32(a1)
            words[at + np.uint64(2) * _LANES] = np.uint32(a2)
            words[at + np.uint64(3) * _LANES] = np.uint32(a3)
            at += _HALF
            words[at] = np.uint32(b0)
            words[at + _LANES] = np.uint32(b1)
            words[at + np.uint64(2) * _LANES] = np.uint32(b2)
            words[at + np.uint64(3) * _LANES] = np.uint32(b3)
