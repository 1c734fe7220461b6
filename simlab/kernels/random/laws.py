"""Coordinates of mean 0 and variance 1 from random words: the laws that features and noise are drawn from.

A tile of 256 coordinates at a time, each stage a loop of its own over a buffer that stays in the first-level cache.
Both precisions read the same 32-bit words, so that a run in single precision follows the run in double precision.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types
from numba.extending import overload

from simlab.kernels.compiling import FUSED, INLINED, compiled_only, hot
from simlab.kernels.random.elementary import DOUBLE, SINGLE
from simlab.kernels.random.philox import FEATURES, LANES, NOISE, RADIUS, TILE, counter_word, fill_words, philox

__all__ = ["GAUSSIAN", "LAPLACE", "STUDENT", "THREE_POINT", "UNIFORM", "draw_strip", "label_noise", "shape_strip"]

GAUSSIAN, UNIFORM, LAPLACE, STUDENT, THREE_POINT = range(5)


@compiled_only
def shape_strip(law, words, more, x, at, base, tiles, degrees, threshold, size):
    """x[at : at + 256 tiles] from the words of so many tiles; see `draw_strip`."""


@compiled_only
def gaussian_pair(word, angle, like):
    """Two independent normals from two words, in the precision of `like`."""


def _functions(real, elementary):
    minus_log, quarter, expm1, signed, unit = elementary
    ROOT_THREE, ROOT_HALF, ZERO = real(math.sqrt(3.0)), real(math.sqrt(0.5)), real(0.0)
    ONE, TWO, THREE, FOUR = (np.uint64(j * LANES) for j in range(1, 5))

    @njit(inline="always")
    def pair(word, angle):
        # Box and Muller 1958. The angle is a quarter turn and two signs: cos and sin of it, times sqrt(2), are
        # cos -+ sin of the polynomial's angle, and sqrt(-2 log u) / sqrt(2) is the radius.
        radius = np.sqrt(minus_log(word))
        sine, cosine = quarter(angle)
        first = signed((cosine - sine) * radius, angle)
        return first, signed((cosine + sine) * radius, np.uint32(angle << np.uint32(1)))

    @hot(fastmath=FUSED)
    def gaussian(words, x, at, tiles):
        for tile in range(tiles):
            for l in range(ONE):
                i = FOUR * tile + l
                x[at + i], x[at + i + ONE] = pair(words[i], words[i + ONE])
                x[at + i + TWO], x[at + i + THREE] = pair(words[i + TWO], words[i + THREE])

    @hot(fastmath=FUSED)
    def uniform(words, x, at, tiles):
        for i in range(FOUR * tiles):
            x[at + i] = unit(words[i]) * ROOT_THREE

    @hot(fastmath=FUSED)
    def laplace(words, x, at, tiles):
        for i in range(FOUR * tiles):
            # The last bit is the sign, the others the magnitude.
            magnitude = minus_log(np.uint32(words[i] | np.uint32(1))) * ROOT_HALF
            x[at + i] = signed(magnitude, np.uint32(words[i] << np.uint32(31)))

    @hot(fastmath=FUSED)
    def student(words, more, x, at, tiles, degrees):
        # Bailey 1994 (Math. Comp. 62): sqrt(nu (u^(-2 / nu) - 1)) cos is Student-t; scaled to variance 1. Its sine is
        # not independent of it, so each coordinate takes two words.
        rate, scale = real(2.0) / degrees, (degrees - real(2.0)) * real(0.5)
        for i in range(FOUR * tiles):
            sine, cosine = quarter(more[i])
            radius = np.sqrt(scale * expm1(rate * minus_log(words[i])))
            x[at + i] = signed((cosine - sine) * radius, more[i])

    @hot
    def three_point(words, x, at, base, tiles, threshold, size):
        for i in range(FOUR * tiles):
            hit = np.uint32(words[i] >> np.uint32(1)) < threshold[base + i]
            x[at + i] = signed(size[base + i] if hit else ZERO, np.uint32(words[i] << np.uint32(31)))

    def shape(law, words, more, x, at, base, tiles, degrees, threshold, size):
        if law == GAUSSIAN:
            gaussian(words, x, at, tiles)
        elif law == UNIFORM:
            uniform(words, x, at, tiles)
        elif law == LAPLACE:
            laplace(words, x, at, tiles)
        elif law == STUDENT:
            student(words, more, x, at, tiles, real(degrees))
        else:
            three_point(words, x, at, base, tiles, threshold, size)

    return pair, shape


_single_pair, _shape_single = _functions(np.float32, SINGLE)
_double_pair, _shape_double = _functions(np.float64, DOUBLE)


@overload(shape_strip, jit_options=INLINED)
def _shape_strip(law, words, more, x, at, base, tiles, degrees, threshold, size):
    return _shape_single if x.dtype == types.float32 else _shape_double


@overload(gaussian_pair, inline="always")
def _gaussian_pair(word, angle, like):
    if like == types.float32:
        return lambda word, angle, like: _single_pair(word, angle)
    return lambda word, angle, like: _double_pair(word, angle)


@hot
def draw_strip(law, step, replica, sample, base, tiles, k0, k1, words, more, x, at, degrees, threshold, size):
    """The coordinates base .. base + 256 tiles - 1 of one sample into x[at : at + 256 tiles].

    Counters, `base` (a multiple of 256), `tiles` and `at` are uint64. `words`, `more`, uint32, are scratch. `degrees`
    is Student's nu; threshold and size (by coordinate) are the three-point law: |xi| = size_i with probability
    threshold_i / 2^31, else 0.
    """
    first = base // np.uint64(TILE)
    fill_words(step, replica, first, tiles, counter_word(FEATURES, sample), k0, k1, words)
    if law == STUDENT:
        fill_words(step, replica, first, tiles, counter_word(RADIUS, sample), k0, k1, more)
    shape_strip(law, words, more, x, at, base, tiles, degrees, threshold, size)


@hot
def label_noise(step, stride, replica, sample, sample_stride, k0, k1, out):
    """64 standard normals for the labels: out[l] belongs to step + l stride and sample + l sample_stride."""
    zero = np.uint64(0)
    for l in range(np.uint64(LANES)):
        at = (step + l * stride) & np.uint64(0xFFFFFFFF)
        word, angle, _, _ = philox(at, replica, zero, counter_word(NOISE, sample + l * sample_stride), k0, k1)
        first, _ = gaussian_pair(np.uint32(word), np.uint32(angle), out[l])
        out[l] = first
