"""The nodes of `mixture_blocks` for k = 1: what a block does to them, and to the directions that they stand for."""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot
from simlab.kernels.moments.mixture_moves import ROW, WIDE

__all__ = ["MOST_NODES", "NODE", "ROWS", "bring_up_to_date_1", "step_of_nodes_1", "weights_1"]

MOST_NODES = 48
ROWS = 72
NODE = tuple(np.uint64(row * MOST_NODES) for row in range(ROWS))
"""Where rows begin. For k = 1: l_k; (kurtosis_k - 1) l_k^2; a, e, F - P^2, G_11, G_12, G_22, G_bias, G_variance; W_11,
2 W_12, W_22, W_C, W_D, W_1.
"""
FUNCTIONS = 8


@hot(error_model="numpy", fastmath=FAST)
def weights_1(rest, X, tail, stride, L, count, Z, held):
    """The sums W of the tail, which begins at `tail`; held (FUNCTIONS WIDTH,) is scratch. rest : u of this step."""
    for i in range(NODE[12], NODE[18]):
        Z[i] = 0.0
    of = np.uint64(0)
    for at in range(tail, np.uint64(X.size), stride):
        for i in range(WIDE):
            z = X[at + i + ROW[12]]
            y = z + rest * X[at + i + ROW[18]]
            held[i] = z * z
            held[i + ROW[1]] = 2.0 * z * y
            held[i + ROW[2]] = y * y
            held[i + ROW[3]] = X[at + i + ROW[13]]
            held[i + ROW[4]] = X[at + i + ROW[14]]
        for n in range(count):
            w0 = w1 = w2 = w3 = w4 = w5 = 0.0
            for i in range(WIDE):
                l = L[of + i]
                w0 += l * held[i]
                w1 += l * held[i + ROW[1]]
                w2 += l * held[i + ROW[2]]
                w3 += l * held[i + ROW[3]]
                w4 += l * held[i + ROW[4]]
                w5 += l
            of += WIDE
            Z[n + NODE[12]] += w0
            Z[n + NODE[13]] += w1
            Z[n + NODE[14]] += w2
            Z[n + NODE[15]] += w3
            Z[n + NODE[16]] += w4
            Z[n + NODE[17]] += w5


@hot(error_model="numpy", fastmath=FAST)
def bring_up_to_date_1(P, F, rest, X, tail, stride, L, count, Z, held, to):
    """The tail after the steps of a block, from X into `to`, which may be X. P, F : the products of M and of M^2."""
    of = np.uint64(0)
    for at in range(tail, np.uint64(X.size), stride):
        for i in range(ROW[FUNCTIONS]):
            held[i] = 0.0
        for n in range(count):
            f0, f1, f2, f3 = Z[n + NODE[4]], Z[n + NODE[5]], Z[n + NODE[6]], Z[n + NODE[7]]
            f4, f5, f6, f7 = Z[n + NODE[8]], Z[n + NODE[9]], Z[n + NODE[10]], Z[n + NODE[11]]
            for i in range(WIDE):
                l = L[of + i]
                held[i] += l * f0
                held[i + ROW[1]] += l * f1
                held[i + ROW[2]] += l * f2
                held[i + ROW[3]] += l * f3
                held[i + ROW[4]] += l * f4
                held[i + ROW[5]] += l * f5
                held[i + ROW[6]] += l * f6
                held[i + ROW[7]] += l * f7
            of += WIDE
        for i in range(WIDE):
            z = X[at + i + ROW[12]]
            y = z + rest * X[at + i + ROW[18]]
            factor = F + held[i + ROW[2]]
            own = (held[i + ROW[3]] * z + 2.0 * held[i + ROW[4]] * y) * z + held[i + ROW[5]] * (y * y)
            to[at + i + ROW[12]] = P * z - (held[i] * z + held[i + ROW[1]] * y)
            to[at + i + ROW[13]] = factor * X[at + i + ROW[13]] + own + held[i + ROW[6]]
            to[at + i + ROW[14]] = factor * X[at + i + ROW[14]] + held[i + ROW[7]]


@hot(error_model="numpy", fastmath=FAST)
def step_of_nodes_1(m, push, e, w, after, share, x0, x1, r0, r1, pull, count, Z, Q):
    """The nodes through a step, and what they add to Q (2, 2) where the next gradient is taken, at after . z.

    m, push, e : M, b and c of the step.  w (2,) : the products of M and of M^2, which go along.  x_k : q_k.  r_k :
    p_k w_k^2 / B.  pull : what stands with l_k, 1/B left out.
    """
    p0, p1, v0, v1 = share * pull[0, 0], share * pull[0, 1], share * pull[1, 0], share * pull[1, 1]
    P, old, mm = w[0], w[1], m * m
    now, full = m * P, mm * old
    w[0], w[1] = now, full
    slope, kick, square, then = push * e, push * push, push * push * e * e, after * after
    bias_0 = bias_1 = variance_0 = variance_1 = 0.0
    for i in range(np.uint64(count)):
        l0, l1, a, d = Z[i], Z[i + NODE[1]], Z[i + NODE[4]], Z[i + NODE[5]]
        h0, h1, own0, own1 = x0 * l0, x1 * l1, r0 * Z[i + NODE[2]], r1 * Z[i + NODE[3]]
        h, A, D = h0 + h1, P - a, P - d
        g, f = h0 * A - h1 * a, h1 * D - h0 * d
        y = slope * h
        loss = (y - 2.0 * m) * y + square * (own0 + own1 - share * h * h)
        F, g11, g12, g22, B, V = (
            Z[i + NODE[6]], Z[i + NODE[7]], Z[i + NODE[8]], Z[i + NODE[9]], Z[i + NODE[10]], Z[i + NODE[11]],
        )  # fmt: skip
        F = mm * F + loss * (F + old)
        g11 = mm * g11 + (loss * g11 + square * (own0 * A * A + own1 * a * a - share * g * g))
        g12 = mm * g12 + (loss * g12 - square * (own0 * A * d + own1 * a * D + share * g * f))
        g22 = mm * g22 + (loss * g22 + square * (own0 * d * d + own1 * D * D - share * f * f))
        B = mm * B + (loss * B + kick * (p0 * l0 + p1 * l1))
        V = mm * V + (loss * V + kick * (v0 * l0 + v1 * l1))
        a, d = m * a + slope * g, m * d + slope * f
        Z[i + NODE[4]], Z[i + NODE[5]], Z[i + NODE[6]], Z[i + NODE[7]] = a, d, F, g11
        Z[i + NODE[8]], Z[i + NODE[9]], Z[i + NODE[10]], Z[i + NODE[11]] = g12, g22, B, V
        w11, w12, w22 = Z[i + NODE[12]], Z[i + NODE[13]], Z[i + NODE[14]]
        F += full
        bias = F * Z[i + NODE[15]] + g11 * w11 + g12 * w12 + g22 * w22 + B * Z[i + NODE[17]]
        variance = F * Z[i + NODE[16]] + V * Z[i + NODE[17]]
        A, D = now - a, now - d
        bias_0 += l0 * (bias + A * A * w11 - A * d * w12 + d * d * w22)
        bias_1 += l1 * (bias + a * a * w11 - a * D * w12 + D * D * w22)
        variance_0 += l0 * variance
        variance_1 += l1 * variance
    Q[0, 0] += then * bias_0
    Q[0, 1] += then * bias_1
    Q[1, 0] += then * variance_0
    Q[1, 1] += then * variance_1
