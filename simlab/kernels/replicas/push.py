"""The update of a strip of coordinates, and its inner product with the features of the next sample, in one loop.

State sizes 1, 2 and 3 are written out, so that a coordinate's state stays in registers; any other goes row by row.
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot
from simlab.kernels.random.philox import TILE

__all__ = ["STRIP", "dot", "gather", "linear_gradient", "push_dot"]

STRIP = 4 * TILE
"""Coordinates that are drawn and used before the next are: what fits the first-level cache beside their state."""


@hot(fastmath=FAST)
def _push_dot_1(z, r, a, x, old, new, lam, base, n, M, push, part, c):
    m, q, p = M[0, 0], push[part, 0], push[part, 0] * np.float32(0.0)
    for l in range(base, base + n):
        value = m * z[r, a, l] - (q * lam[l]) * x[old, l]
        z[r, a, l] = value
        p += value * x[new, l]
    return c[0] * p


@hot(fastmath=FAST)
def _push_dot_2(z, r, a, x, old, new, lam, base, n, M, push, part, c):
    m00, m01, m10, m11 = M[0, 0], M[0, 1], M[1, 0], M[1, 1]
    q0, q1, c0, c1 = push[part, 0], push[part, 1], c[0], c[1]
    p = q0 * np.float32(0.0)
    b = a + np.uint64(1)
    for l in range(base, base + n):
        z0, z1, g = z[r, a, l], z[r, b, l], lam[l] * x[old, l]
        w0 = m00 * z0 + m01 * z1 - q0 * g
        w1 = m10 * z0 + m11 * z1 - q1 * g
        z[r, a, l] = w0
        z[r, b, l] = w1
        p += (c0 * w0 + c1 * w1) * x[new, l]
    return p


@hot(fastmath=FAST)
def _push_dot_3(z, r, a, x, old, new, lam, base, n, M, push, part, c):
    m00, m01, m02, m10, m11, m12 = M[0, 0], M[0, 1], M[0, 2], M[1, 0], M[1, 1], M[1, 2]
    m20, m21, m22 = M[2, 0], M[2, 1], M[2, 2]
    q0, q1, q2, c0, c1, c2 = push[part, 0], push[part, 1], push[part, 2], c[0], c[1], c[2]
    p = q0 * np.float32(0.0)
    b, d = a + np.uint64(1), a + np.uint64(2)
    for l in range(base, base + n):
        z0, z1, z2, g = z[r, a, l], z[r, b, l], z[r, d, l], lam[l] * x[old, l]
        w0 = m00 * z0 + m01 * z1 + m02 * z2 - q0 * g
        w1 = m10 * z0 + m11 * z1 + m12 * z2 - q1 * g
        w2 = m20 * z0 + m21 * z1 + m22 * z2 - q2 * g
        z[r, a, l] = w0
        z[r, b, l] = w1
        z[r, d, l] = w2
        p += (c0 * w0 + c1 * w1 + c2 * w2) * x[new, l]
    return p


@hot(fastmath=FAST)
def _push_dot_any(z, r, a, x, old, new, lam, base, n, M, push, part, c, strip):
    k = c.size
    for i in range(k):
        for l in range(n):
            strip[i, l] = -push[part, i] * (lam[base + l] * x[old, base + l])
        for j in range(k):
            m = M[i, j]
            if m != 0.0:
                for l in range(n):
                    strip[i, l] += m * z[r, a + np.uint64(j), base + l]
    p = push[part, 0] * np.float32(0.0)
    for i in range(k):
        q = push[part, 0] * np.float32(0.0)
        for l in range(n):
            z[r, a + np.uint64(i), base + l] = strip[i, l]
            q += strip[i, l] * x[new, base + l]
        p += c[i] * q
    return p


@hot
def push_dot(z, r, a, x, old, new, lam, base, n, M, push, part, c, strip):
    """zeta <- M zeta - push lam x_old on n coordinates from `base`; returns the sum of (c . zeta) x_new over them.

    `a` is the first of the k rows of z[r] that hold this part.
    """
    k = c.size
    if k == 1:
        return np.float64(_push_dot_1(z, r, a, x, old, new, lam, base, n, M, push, part, c))
    if k == 2:
        return np.float64(_push_dot_2(z, r, a, x, old, new, lam, base, n, M, push, part, c))
    if k == 3:
        return np.float64(_push_dot_3(z, r, a, x, old, new, lam, base, n, M, push, part, c))
    return np.float64(_push_dot_any(z, r, a, x, old, new, lam, base, n, M, push, part, c, strip))


@hot(fastmath=FAST)
def dot(z, r, a, c, x, new, base, n):
    """Sum of (c . zeta) x_new over n coordinates from `base`."""
    total = np.float64(0.0)
    for i in range(c.size):
        if c[i] != 0.0:
            p = c[i] * np.float32(0.0)
            for l in range(base, base + n):
                p += z[r, a + np.uint64(i), l] * x[new, l]
            total += np.float64(c[i] * p)
    return total


@hot(fastmath=FAST)
def gather(x, into, new, amount, dim, fresh):
    """x_into <- (0 if fresh else x_into) + amount x_new."""
    weight = x.dtype.type(amount)
    if fresh:
        for l in range(dim):
            x[into, l] = weight * x[new, l]
    else:
        for l in range(dim):
            x[into, l] += weight * x[new, l]


@hot(fastmath=FAST)
def linear_gradient(z, r, a, c, x, into, noise_row, scale, size, base, n):
    """x_into <- c . zeta - scale size x_noise on n coordinates: a gradient that needs no inner product, over lam."""
    weight = x.dtype.type(scale)
    for l in range(base, base + n):
        x[into, l] = -weight * size[l] * x[noise_row, l]
    for i in range(c.size):
        if c[i] != 0.0:
            for l in range(base, base + n):
                x[into, l] += c[i] * z[r, a + np.uint64(i), l]
