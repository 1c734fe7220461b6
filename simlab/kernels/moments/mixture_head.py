"""A step of a mixture in one pass, for k = 1 and 2: every row is read once, and what lies between stays in registers
(see `mixture` for the equations, `mixture_moves` for the rows). Compiled for each number of domains.
"""

from __future__ import annotations

import numpy as np
from numba.extending import overload

from simlab.kernels.compiling import HOT, compiled_only
from simlab.kernels.moments.mixture_moves import ROW, WIDE, move_2_moment
from simlab.kernels.unrolled import unrolled

__all__ = ["step_in_one_pass"]

K = 0
"""Stands for the number of domains in what is `unrolled`."""


@compiled_only
def step_in_one_pass(state, domains, t, following, M, b, c, share, rest, rest_after, q, r, pull, X, stride, Q):
    """Step t of all tiles, and Q (2, K) where the step `following` takes its gradient.

    state, domains : tuples of k and of K numbers, which say how many there are.  share = 1/B; rest, rest_after : c . u
    of both steps; q, r (K,) : p_k w_k and p_k w_k^2 / B; pull (2, K) : what stands with lam_k in the noise.
    """


def _step_1(state, domains, t, following, M, b, c, share, rest, rest_after, q, r, pull, X, stride, Q):
    m, push, e, f = M[t, 0, 0], b[t, 0], c[t, 0], c[following, 0]
    slope, square, now, then = -push * e, push * push, e * e, f * f
    x = [0.0] * K
    own = [0.0] * K
    kick = [0.0] * K
    label = [0.0] * K
    bias = [0.0] * K
    variance = [0.0] * K
    l = [0.0] * K
    delta = [0.0] * K
    for k in range(K):
        x[k], own[k], kick[k], label[k] = q[k], r[k], pull[0, k], pull[1, k]
    for at in range(np.uint64(0), np.uint64(X.size), stride):
        for i in range(at, at + WIDE):
            z, C, D = X[i + ROW[12]], X[i + ROW[13]], X[i + ROW[14]]
            y, V, W = e * z, now * C, now * D
            h = g = n = o = 0.0
            for k in range(K):
                l[k], delta[k] = X[i + ROW[15 + k]], X[i + ROW[15 + K + k]]
                off, part, noise = y + rest * delta[k], x[k] * l[k], own[k] * X[i + ROW[15 + 2 * K + k]] * l[k]
                h += part
                g += part * off
                n += l[k] * (noise * (V + off * off) + kick[k])
                o += l[k] * (noise * W + label[k])
            full = share * h * h
            n -= full * V + share * g * g
            o -= full * W
            a = slope * h + m
            a = a * a
            z, C, D = m * z - push * g, a * C + square * n, a * D + square * o
            X[i + ROW[12]], X[i + ROW[13]], X[i + ROW[14]] = z, C, D
            y, V, W = f * z, then * C, then * D
            for k in range(K):
                off = y + rest_after * delta[k]
                bias[k] += l[k] * (V + off * off)
                variance[k] += l[k] * W
    for k in range(K):
        Q[0, k], Q[1, k] = bias[k], variance[k]


def _step_2(state, domains, t, following, M, b, c, share, rest, rest_after, q, r, pull, X, stride, Q):
    m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
    b0, b1, c0, c1, e, f = b[t, 0], b[t, 1], c[t, 0], c[t, 1], c[following, 0], c[following, 1]
    d00, d01, d10, d11 = b0 * c0, b0 * c1, b1 * c0, b1 * c1
    k00, k01, k11 = b0 * b0, b0 * b1, b1 * b1
    w00, w01, w11, q00, q01, q11 = c0 * c0, 2.0 * c0 * c1, c1 * c1, e * e, 2.0 * e * f, f * f
    x = [0.0] * K
    own = [0.0] * K
    kick = [0.0] * K
    label = [0.0] * K
    bias = [0.0] * K
    variance = [0.0] * K
    l = [0.0] * K
    delta = [0.0] * K
    for k in range(K):
        x[k], own[k], kick[k], label[k] = q[k], r[k], pull[0, k], pull[1, k]
    for at in range(np.uint64(0), np.uint64(X.size), stride):
        for i in range(at, at + WIDE):
            z0, z1 = X[i + ROW[12]], X[i + ROW[13]]
            C0, C1, C2 = X[i + ROW[14]], X[i + ROW[15]], X[i + ROW[16]]
            D0, D1, D2 = X[i + ROW[17]], X[i + ROW[18]], X[i + ROW[19]]
            y, V, W = c0 * z0 + c1 * z1, w00 * C0 + w01 * C1 + w11 * C2, w00 * D0 + w01 * D1 + w11 * D2
            h = g = n = o = 0.0
            for k in range(K):
                l[k], delta[k] = X[i + ROW[20 + k]], X[i + ROW[20 + K + k]]
                off, part, noise = y + rest * delta[k], x[k] * l[k], own[k] * X[i + ROW[20 + 2 * K + k]] * l[k]
                h += part
                g += part * off
                n += l[k] * (noise * (V + off * off) + kick[k])
                o += l[k] * (noise * W + label[k])
            full = share * h * h
            n -= full * V + share * g * g
            o -= full * W
            a00, a01, a10, a11 = m00 - h * d00, m01 - h * d01, m10 - h * d10, m11 - h * d11
            z0, z1 = m00 * z0 + m01 * z1 - b0 * g, m10 * z0 + m11 * z1 - b1 * g
            C0, C1, C2 = move_2_moment(a00, a01, a10, a11, C0, C1, C2, n * k00, n * k01, n * k11)
            D0, D1, D2 = move_2_moment(a00, a01, a10, a11, D0, D1, D2, o * k00, o * k01, o * k11)
            X[i + ROW[12]], X[i + ROW[13]] = z0, z1
            X[i + ROW[14]], X[i + ROW[15]], X[i + ROW[16]] = C0, C1, C2
            X[i + ROW[17]], X[i + ROW[18]], X[i + ROW[19]] = D0, D1, D2
            y, V, W = e * z0 + f * z1, q00 * C0 + q01 * C1 + q11 * C2, q00 * D0 + q01 * D1 + q11 * D2
            for k in range(K):
                off = y + rest_after * delta[k]
                bias[k] += l[k] * (V + off * off)
                variance[k] += l[k] * W
    for k in range(K):
        Q[0, k], Q[1, k] = bias[k], variance[k]


@overload(step_in_one_pass, jit_options=HOT)
def _step_in_one_pass(state, domains, t, following, M, b, c, share, rest, rest_after, q, r, pull, X, stride, Q):
    return unrolled(_step_1 if len(state) == 1 else _step_2, K=len(domains))
