"""How the moments of a mixture move, a tile of directions at a time: what is seen of them at c . z, and a step.

Directions lie in tiles of WIDTH, one row after the other in one flat array: rows at constant offsets, so that the
compiler sees that nothing overlaps. What the rows are says `FIXED`.
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot
from simlab.kernels.moments.steps import row_3

__all__ = ["FIXED", "ROW", "WIDE", "WIDTH", "look", "move", "move_2_moment"]

WIDTH = 64
"""Directions of a tile."""

WIDE = np.uint64(WIDTH)
ROW = tuple(np.uint64(row * WIDTH) for row in range(48))
"""Where a row begins; unsigned, for an index that may be negative is looked at before it is used."""

FIXED = 12
"""Rows before the moments: y, V of bias and variance; h; what is in g beside h y; of sum_k r_k (kurtosis_k - 1) lam_k^2
(V + y_k^2) what stands with V + y^2, with 2 y and by itself; the curvature of V in the noise; noise of bias and
variance; g. After them m (k), C of bias and of variance (k (k + 1) / 2 each), and lam, delta and kurtosis - 1 of
each domain.
"""


@hot(error_model="numpy", fastmath=FAST)
def _look_1(c, t, X, at):
    """y = c . m and V = c^T C c of a tile, k = 1."""
    e = c[t, 0]
    w = e * e
    for i in range(at, at + WIDE):
        X[i] = e * X[i + ROW[12]]
        X[i + ROW[1]] = w * X[i + ROW[13]]
        X[i + ROW[2]] = w * X[i + ROW[14]]


@hot(error_model="numpy", fastmath=FAST)
def _look_2(c, t, X, at):
    """The same, k = 2."""
    e, f = c[t, 0], c[t, 1]
    w, x, y = e * e, 2.0 * e * f, f * f
    for i in range(at, at + WIDE):
        X[i] = e * X[i + ROW[12]] + f * X[i + ROW[13]]
        X[i + ROW[1]] = w * X[i + ROW[14]] + x * X[i + ROW[15]] + y * X[i + ROW[16]]
        X[i + ROW[2]] = w * X[i + ROW[17]] + x * X[i + ROW[18]] + y * X[i + ROW[19]]


@hot(error_model="numpy", fastmath=FAST)
def _look_3(c, t, X, at):
    """The same, k = 3."""
    e, f, g = c[t, 0], c[t, 1], c[t, 2]
    w00, w01, w02, w11, w12, w22 = e * e, 2.0 * e * f, 2.0 * e * g, f * f, 2.0 * f * g, g * g
    for i in range(at, at + WIDE):
        X[i] = e * X[i + ROW[12]] + f * X[i + ROW[13]] + g * X[i + ROW[14]]
        bias = w00 * X[i + ROW[15]] + w01 * X[i + ROW[16]] + w02 * X[i + ROW[17]]
        variance = w00 * X[i + ROW[21]] + w01 * X[i + ROW[22]] + w02 * X[i + ROW[23]]
        X[i + ROW[1]] = bias + w11 * X[i + ROW[18]] + w12 * X[i + ROW[19]] + w22 * X[i + ROW[20]]
        X[i + ROW[2]] = variance + w11 * X[i + ROW[24]] + w12 * X[i + ROW[25]] + w22 * X[i + ROW[26]]


@hot(error_model="numpy", fastmath=FAST)
def _look_any(c, t, X, at):
    """The same, any k."""
    k = c.shape[1]
    for i in range(at, at + ROW[3]):
        X[i] = 0.0
    row = ROW[FIXED]
    for p in range(k):
        e = c[t, p]
        if e != 0.0:
            for i in range(at, at + WIDE):
                X[i] += e * X[i + row]
        row += WIDE
    to = ROW[1]
    for _ in range(2):
        for p in range(k):
            for q in range(p, k):
                w = c[t, p] * c[t, q] * (1.0 if p == q else 2.0)
                if w != 0.0:
                    for i in range(at, at + WIDE):
                        X[i + to] += w * X[i + row]
                row += WIDE
        to += WIDE


@hot(error_model="numpy", fastmath=FAST)
def _move_1(M, b, c, t, X, at):
    """C and m of a tile through step t, k = 1."""
    m, slope, push = M[t, 0, 0], -b[t, 0] * c[t, 0], b[t, 0]
    square = push * push
    for i in range(at, at + WIDE):
        a = slope * X[i + ROW[3]] + m
        a = a * a
        X[i + ROW[12]] = m * X[i + ROW[12]] - push * X[i + ROW[11]]
        X[i + ROW[13]] = a * X[i + ROW[13]] + square * X[i + ROW[9]]
        X[i + ROW[14]] = a * X[i + ROW[14]] + square * X[i + ROW[10]]


@hot(error_model="numpy", fastmath=FAST)
def move_2_moment(a00, a01, a10, a11, u00, u01, u11, n00, n01, n11):
    w00, w01 = a00 * u00 + a01 * u01, a00 * u01 + a01 * u11
    w10, w11 = a10 * u00 + a11 * u01, a10 * u01 + a11 * u11
    return w00 * a00 + w01 * a01 + n00, w00 * a10 + w01 * a11 + n01, w10 * a10 + w11 * a11 + n11


@hot(error_model="numpy", fastmath=FAST)
def _move_2(M, b, c, t, X, at):
    """The same, k = 2."""
    m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
    b0, b1, c0, c1 = b[t, 0], b[t, 1], c[t, 0], c[t, 1]
    d00, d01, d10, d11 = b0 * c0, b0 * c1, b1 * c0, b1 * c1
    k00, k01, k11 = b0 * b0, b0 * b1, b1 * b1
    for i in range(at, at + WIDE):
        h, g = X[i + ROW[3]], X[i + ROW[11]]
        a00, a01, a10, a11 = m00 - h * d00, m01 - h * d01, m10 - h * d10, m11 - h * d11
        x, y = X[i + ROW[12]], X[i + ROW[13]]
        X[i + ROW[12]], X[i + ROW[13]] = m00 * x + m01 * y - b0 * g, m10 * x + m11 * y - b1 * g
        n = X[i + ROW[9]]
        x, y, z = X[i + ROW[14]], X[i + ROW[15]], X[i + ROW[16]]
        x, y, z = move_2_moment(a00, a01, a10, a11, x, y, z, n * k00, n * k01, n * k11)
        X[i + ROW[14]], X[i + ROW[15]], X[i + ROW[16]] = x, y, z
        n = X[i + ROW[10]]
        x, y, z = X[i + ROW[17]], X[i + ROW[18]], X[i + ROW[19]]
        x, y, z = move_2_moment(a00, a01, a10, a11, x, y, z, n * k00, n * k01, n * k11)
        X[i + ROW[17]], X[i + ROW[18]], X[i + ROW[19]] = x, y, z


@hot(error_model="numpy", fastmath=FAST)
def _move_3_moment(M, b, c, t, X, at, first, noise):
    """Six rows of C from the offset `first` on, k = 3; `noise` is the offset of theirs."""
    m00, m01, m02, m10, m11, m12 = M[t, 0, 0], M[t, 0, 1], M[t, 0, 2], M[t, 1, 0], M[t, 1, 1], M[t, 1, 2]
    m20, m21, m22 = M[t, 2, 0], M[t, 2, 1], M[t, 2, 2]
    b0, b1, b2, c0, c1, c2 = b[t, 0], b[t, 1], b[t, 2], c[t, 0], c[t, 1], c[t, 2]
    for i in range(at, at + WIDE):
        h0, h1, h2 = X[i + ROW[3]] * b0, X[i + ROW[3]] * b1, X[i + ROW[3]] * b2
        a00, a01, a02 = m00 - h0 * c0, m01 - h0 * c1, m02 - h0 * c2
        a10, a11, a12 = m10 - h1 * c0, m11 - h1 * c1, m12 - h1 * c2
        a20, a21, a22 = m20 - h2 * c0, m21 - h2 * c1, m22 - h2 * c2
        j = i + first
        u = X[j], X[j + ROW[1]], X[j + ROW[2]], X[j + ROW[3]], X[j + ROW[4]], X[j + ROW[5]]
        n0, n1, n2 = X[i + noise] * b0, X[i + noise] * b1, X[i + noise] * b2
        w0, w1, w2 = row_3(a00, a01, a02, *u)
        X[j] = w0 * a00 + w1 * a01 + w2 * a02 + n0 * b0
        X[j + ROW[1]] = w0 * a10 + w1 * a11 + w2 * a12 + n0 * b1
        X[j + ROW[2]] = w0 * a20 + w1 * a21 + w2 * a22 + n0 * b2
        w0, w1, w2 = row_3(a10, a11, a12, *u)
        X[j + ROW[3]] = w0 * a10 + w1 * a11 + w2 * a12 + n1 * b1
        X[j + ROW[4]] = w0 * a20 + w1 * a21 + w2 * a22 + n1 * b2
        w0, w1, w2 = row_3(a20, a21, a22, *u)
        X[j + ROW[5]] = w0 * a20 + w1 * a21 + w2 * a22 + n2 * b2


@hot(error_model="numpy", fastmath=FAST)
def _move_3(M, b, c, t, X, at):
    """The same as `_move_1`, k = 3."""
    m00, m01, m02, m10, m11, m12 = M[t, 0, 0], M[t, 0, 1], M[t, 0, 2], M[t, 1, 0], M[t, 1, 1], M[t, 1, 2]
    m20, m21, m22, b0, b1, b2 = M[t, 2, 0], M[t, 2, 1], M[t, 2, 2], b[t, 0], b[t, 1], b[t, 2]
    for i in range(at, at + WIDE):
        g, x, y, z = X[i + ROW[11]], X[i + ROW[12]], X[i + ROW[13]], X[i + ROW[14]]
        X[i + ROW[12]] = m00 * x + m01 * y + m02 * z - b0 * g
        X[i + ROW[13]] = m10 * x + m11 * y + m12 * z - b1 * g
        X[i + ROW[14]] = m20 * x + m21 * y + m22 * z - b2 * g
    _move_3_moment(M, b, c, t, X, at, ROW[15], ROW[9])
    _move_3_moment(M, b, c, t, X, at, ROW[21], ROW[10])


@hot(error_model="numpy", fastmath=FAST)
def _move_any(M, b, c, t, X, at, full, moved):
    """The same, any k; full (k^2 WIDTH,) and moved (k WIDTH,) are scratch."""
    k, w = np.uint64(b.shape[1]), WIDE
    means, row = at + ROW[FIXED], at + ROW[FIXED] + k * w
    h, g, noise = at + ROW[3], at + ROW[11], at + ROW[9]
    for p in range(k):
        for i in range(w):
            moved[p * w + i] = -b[t, p] * X[g + i]
        for q in range(k):
            m = M[t, p, q]
            if m != 0.0:
                for i in range(w):
                    moved[p * w + i] += m * X[means + q * w + i]
    for i in range(k * w):
        X[means + i] = moved[i]
    for _ in range(2):
        first = row
        for p in range(k):
            for q in range(p, k):
                for i in range(w):
                    full[(p * k + q) * w + i] = full[(q * k + p) * w + i] = X[row + i]
                row += w
        row = first
        for p in range(k):
            for i in range(k * w):
                moved[i] = 0.0
            for q in range(k):
                m, d = M[t, p, q], b[t, p] * c[t, q]
                if m != 0.0 or d != 0.0:
                    for r in range(k):
                        for i in range(w):
                            moved[r * w + i] += (m - X[h + i] * d) * full[(q * k + r) * w + i]
            for q in range(p, k):
                kick = b[t, p] * b[t, q]
                for i in range(w):
                    X[row + i] = kick * X[noise + i]
                for r in range(k):
                    m, d = M[t, q, r], b[t, q] * c[t, r]
                    if m != 0.0 or d != 0.0:
                        for i in range(w):
                            X[row + i] += moved[r * w + i] * (m - X[h + i] * d)
                row += w
        noise += w


@hot(error_model="numpy", fastmath=FAST)
def look(c, t, X, at):
    """y = c . m and V = c^T C c of a tile, into its first rows."""
    k = c.shape[1]
    if k == 1:
        _look_1(c, t, X, at)
    elif k == 2:
        _look_2(c, t, X, at)
    elif k == 3:
        _look_3(c, t, X, at)
    else:
        _look_any(c, t, X, at)


@hot(error_model="numpy", fastmath=FAST)
def move(M, b, c, t, X, at, full, moved):
    """C and m of a tile through step t; full (k^2 WIDTH,) and moved (k WIDTH,) are scratch."""
    k = b.shape[1]
    if k == 1:
        _move_1(M, b, c, t, X, at)
    elif k == 2:
        _move_2(M, b, c, t, X, at)
    elif k == 3:
        _move_3(M, b, c, t, X, at)
    else:
        _move_any(M, b, c, t, X, at, full, moved)
