"""The nodes of `mixture_blocks` for k = 1: what a block does to them, and to the directions that they stand for."""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from simlab.kernels.compiling import FAST, hot
from simlab.kernels.moments.mixture_moves import ROW, WIDE
from simlab.kernels.moments.mixture_nodes import NODE, combined, padded, pair, pairs, weighed
from simlab.kernels.unrolled import unrolled

__all__ = ["bring_up_to_date_1", "rows_1", "step_of_nodes_1", "weights_1"]

K = PAIRS = WEIGHT = 0
"""Stand in what is `unrolled` for the number of domains, for that of their pairs, and for the first row of weights."""


@register_jitable
def moved(domains: int) -> int:
    """Rows that a block moves, after l_k and (kurtosis_k - 1) l_k^2: a_k, F - P^2, G_bias, G_variance, and the pairs
    G_kl, l >= k.
    """
    return domains + 3 + pairs(domains)


@register_jitable
def weighing(domains: int) -> int:
    """Rows of weights, after those: W_kl, twice where k and l differ, W_1, W_C and W_D."""
    return pairs(domains) + 3


def rows_1(domains: int) -> int:
    """Rows of the nodes in all."""
    return 2 * domains + padded(moved(domains)) + padded(weighing(domains))


@hot(error_model="numpy", fastmath=FAST)
def _places(u, X, at, first, domains, held, to):
    """z_k of a tile, into the rows of `held` from the offset `to` on. first : the row of delta_1."""
    for k in range(np.uint64(domains)):
        z, delta = to + k * WIDE, at + (np.uint64(first) + k) * WIDE
        for i in range(WIDE):
            held[z + i] = X[at + i + ROW[12]] + u * X[delta + i]


@hot(error_model="numpy", fastmath=FAST)
def weights_1(domains, u, X, tail, stride, L, count, Z, held):
    """The sums W of the tail, which begins at `tail`; held is scratch. u (1,) of this step."""
    K, rows = np.uint64(domains), padded(weighing(domains))
    first = np.uint64(2 * domains + padded(moved(domains))) * NODE
    for i in range(first, first + np.uint64(rows) * NODE):
        Z[i] = 0.0
    place, of = np.uint64(rows) * WIDE, np.uint64(0)
    for i in range(place):
        held[i] = 0.0
    for at in range(tail, np.uint64(X.size), stride):
        _places(u[0], X, at, 15 + domains, domains, held, place)
        to = np.uint64(0)
        for k in range(K):
            for j in range(k, K):
                factor, y, z = 1.0 if j == k else 2.0, place + k * WIDE, place + j * WIDE
                for i in range(WIDE):
                    held[to + i] = factor * held[y + i] * held[z + i]
                to += WIDE
        for i in range(WIDE):
            held[to + i] = 1.0
            held[to + i + ROW[1]] = X[at + i + ROW[13]]
            held[to + i + ROW[2]] = X[at + i + ROW[14]]
        weighed(held, rows, L, of, count, Z, first)
        of += np.uint64(count) * WIDE


@hot(error_model="numpy", fastmath=FAST)
def bring_up_to_date_1(domains, w, u, X, tail, stride, L, count, Z, held, to):
    """The tail after the steps of a block, from X into `to`, which may be X. w (2,) : the products of M and of M^2;
    u (1,) at its beginning.
    """
    K, rows, first = np.uint64(domains), padded(moved(domains)), np.uint64(2 * domains) * NODE
    P, F, place, of = w[0], w[1], np.uint64(rows) * WIDE, np.uint64(0)
    after, form, own = K * WIDE, (K + np.uint64(3)) * WIDE, place + K * WIDE
    for at in range(tail, np.uint64(X.size), stride):
        combined(held, rows, L, of, count, Z, first)
        of += np.uint64(count) * WIDE
        _places(u[0], X, at, 15 + domains, domains, held, place)
        for i in range(own, own + ROW[2]):
            held[i] = 0.0
        row = form
        for k in range(K):
            y, a = place + k * WIDE, k * WIDE
            for i in range(WIDE):
                held[own + i + ROW[1]] += held[a + i] * held[y + i]
            for j in range(k, K):
                factor, z = 1.0 if j == k else 2.0, place + j * WIDE
                for i in range(WIDE):
                    held[own + i] += factor * held[row + i] * (held[y + i] * held[z + i])
                row += WIDE
        for i in range(WIDE):
            f = F + held[i + after]
            to[at + i + ROW[12]] = P * X[at + i + ROW[12]] - held[own + i + ROW[1]]
            to[at + i + ROW[13]] = f * X[at + i + ROW[13]] + held[own + i] + held[i + after + ROW[1]]
            to[at + i + ROW[14]] = f * X[at + i + ROW[14]] + held[i + after + ROW[2]]


def _step(state, domains, t, after, M, b, c, u, start, share, q, r, pull, w, B, before, count, Z, Q):
    """The nodes through a step, and what they add to Q (2, K) where the next gradient is taken; w (2,), the products of
    M and of M^2, goes along.
    """
    m, push, e, P, old = M[t, 0, 0], b[t, 0], c[t, 0], w[0], w[1]
    mm, now, full, then = m * m, m * w[0], m * m * w[1], c[after, 0] * c[after, 0]
    w[0], w[1] = now, full
    slope, kick, square = push * e, push * push, push * push * e * e
    x = [0.0] * K
    own = [0.0] * K
    bias_kick = [0.0] * K
    label_kick = [0.0] * K
    bias = [0.0] * K
    variance = [0.0] * K
    l = [0.0] * K
    a = [0.0] * K
    s = [0.0] * K
    g = [0.0] * K
    v = [0.0] * K
    d = [0.0] * K
    for k in range(K):
        x[k], own[k], bias_kick[k], label_kick[k] = q[k], r[k], kick * pull[0, k], kick * pull[1, k]
    for i in range(np.uint64(count)):
        h = total = n = o = 0.0
        for k in range(K):
            l[k], a[k] = Z[i + k * NODE], Z[i + (2 * K + k) * NODE]
            g[k], s[k] = x[k] * l[k], own[k] * Z[i + (K + k) * NODE]
            h += g[k]
            total += s[k]
            n += bias_kick[k] * l[k]
            o += label_kick[k] * l[k]
        y = slope * h
        loss = (y - 2.0 * m) * y + square * (total - share * h * h)
        F, C, D = Z[i + 3 * K * NODE], Z[i + (3 * K + 1) * NODE], Z[i + (3 * K + 2) * NODE]
        F = mm * F + loss * (F + old)
        C = mm * C + (loss * C + n)
        D = mm * D + (loss * D + o)
        Z[i + 3 * K * NODE], Z[i + (3 * K + 1) * NODE], Z[i + (3 * K + 2) * NODE] = F, C, D
        F += full
        one = Z[i + (WEIGHT + PAIRS) * NODE]
        seen = F * Z[i + (WEIGHT + PAIRS + 1) * NODE] + C * one
        noise = F * Z[i + (WEIGHT + PAIRS + 2) * NODE] + D * one
        for k in range(K):
            g[k] = P * g[k] - h * a[k]
            s[k] = P * s[k]
            v[k] = total * a[k] - s[k]
        for k in range(K):
            for j in range(k, K):
                G = Z[i + (3 * K + 3 + pair(k, j, K)) * NODE]
                source = a[k] * v[j] - s[k] * a[j]
                if k == j:
                    source += P * s[k]
                G = mm * G + (loss * G + square * (source - share * (g[k] * g[j])))
                Z[i + (3 * K + 3 + pair(k, j, K)) * NODE] = G
                seen += G * Z[i + (WEIGHT + pair(k, j, K)) * NODE]
        for k in range(K):
            a[k] = m * a[k] + slope * g[k]
            Z[i + (2 * K + k) * NODE] = a[k]
            d[k] = 0.0
        for k in range(K):
            for j in range(k, K):
                W = Z[i + (WEIGHT + pair(k, j, K)) * NODE]
                seen += W * (a[k] * a[j])
                if k == j:
                    d[k] += now * W - 2.0 * W * a[k]
                else:
                    d[k] -= W * a[j]
                    d[j] -= W * a[k]
        for k in range(K):
            bias[k] += l[k] * (seen + now * d[k])
            variance[k] += l[k] * noise
    for k in range(K):
        Q[0, k] += then * bias[k]
        Q[1, k] += then * variance[k]


def step_of_nodes_1(domains: int):
    """The step of the nodes for so many domains."""
    known = {"K": domains, "PAIRS": pairs(domains), "WEIGHT": 2 * domains + padded(moved(domains)), "pair": pair}
    return unrolled(_step, **known)
