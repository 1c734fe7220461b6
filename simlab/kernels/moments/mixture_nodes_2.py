"""The nodes of `mixture_blocks` for k = 2, where what a block does to a direction is (l_1, .., l_K) -> matrices.

The optima of the domains, and the mean, are seen through K + 1 numbers of a direction at the beginning of a block,
u_0 being the first entry of u there,

    alpha_k = m_0 + delta_k u_0,  k = 1 .. K,      alpha_K+1 = m_1 u_0 - m_0 u_1

of which alpha_k is 0 at the optimum of domain k, and the last does not depend on where one measures from. With w = the
product of M times (0, 1 / u_0),

    z_k = alpha_k u / u_0 + alpha_K+1 w - sum_a alpha_a dev_a
    C   = sum_e (B_e + F_e) C_e + sum_ab alpha_a alpha_b G_ab + G_bias

and D likewise, where B_e is what the product of M makes of the symmetric matrix with a 1 at entry e (00, 01, 11), and
dev, F and G vanish at l = 0. All symmetric matrices U of a node move as one: with p = M (B + U) c, V = c . (B + U) c,

    U <- M U M^T - h (b p^T + p b^T) + [ (h^2 + sum_k s_k - h^2 / B) V + source ] b b^T

With c . z_k = rho alpha_k + sum_a alpha_a f_a, the source of G_ab is what sum_k s_k (c . z_k)^2 - g^2 / B has for
alpha_a alpha_b.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from simlab.kernels.compiling import FAST, hot
from simlab.kernels.moments.mixture_moves import ROW, WIDE
from simlab.kernels.moments.mixture_nodes import NODE, combined, padded, pair, pairs, weighed
from simlab.kernels.unrolled import unrolled

__all__ = ["bring_up_to_date_2", "rows_2", "step_of_nodes_2", "weights_2"]

K = PAIRS = WEIGHT = MADE = 0
"""Stand in what is `unrolled` for the number of domains, for that of pairs a <= b, and for the first rows of weights
and of what a step makes.
"""


@register_jitable
def moved(domains: int) -> int:
    """Rows that a block moves, after l_k and (kurtosis_k - 1) l_k^2: dev (K + 1, 2), and matrices of three entries:
    G of the pairs a <= b, G_bias, G_variance, F of the entries 00, 01, 11.
    """
    return 2 * (domains + 1) + 3 * (pairs(domains + 1) + 5)


@register_jitable
def weighing(domains: int) -> int:
    """Rows of weights, after those: of the pairs (twice, where they are two), of 1, of C, of D."""
    return pairs(domains + 1) + 7


@register_jitable
def made(domains: int) -> int:
    """Where the rows begin that a step makes: sources of the pairs and of G_bias, h, sum_k s_k + (1 - 1/B) h^2, what
    is seen of the tail, bias and variance, source of G_variance, 0.
    """
    return 2 * domains + padded(moved(domains)) + padded(weighing(domains))


def rows_2(domains: int) -> int:
    """Rows of the nodes in all."""
    return made(domains) + pairs(domains + 1) + 7


@hot(error_model="numpy", fastmath=FAST)
def _places(u, X, at, first, domains, held, to):
    """alpha of a tile, into the rows of `held` from the offset `to` on. first : the row of delta_1."""
    for k in range(np.uint64(domains)):
        y, delta = to + k * WIDE, at + (np.uint64(first) + k) * WIDE
        for i in range(WIDE):
            held[y + i] = X[at + i + ROW[12]] + u[0] * X[delta + i]
    y = to + np.uint64(domains) * WIDE
    for i in range(WIDE):
        held[y + i] = u[0] * X[at + i + ROW[13]] - u[1] * X[at + i + ROW[12]]


@hot(error_model="numpy", fastmath=FAST)
def weights_2(domains, u, X, tail, stride, L, count, Z, held):
    """The sums of the tail from the offset `tail` on at the beginning of a block; held is scratch. u (2,) of now."""
    rows, A = padded(weighing(domains)), np.uint64(domains + 1)
    first = np.uint64(2 * domains + padded(moved(domains))) * NODE
    for i in range(first, first + np.uint64(rows) * NODE):
        Z[i] = 0.0
    place, of = np.uint64(rows) * WIDE, np.uint64(0)
    for i in range(place):
        held[i] = 0.0
    for at in range(tail, np.uint64(X.size), stride):
        _places(u, X, at, 20 + domains, domains, held, place)
        to = np.uint64(0)
        for a in range(A):
            for j in range(a, A):
                factor, y, z = 1.0 if j == a else 2.0, place + a * WIDE, place + j * WIDE
                for i in range(WIDE):
                    held[to + i] = factor * held[y + i] * held[z + i]
                to += WIDE
        for i in range(WIDE):
            held[to + i] = 1.0
        for i in range(ROW[6]):
            held[to + i + WIDE] = X[at + i + ROW[14]]
        weighed(held, rows, L, of, count, Z, first)
        of += np.uint64(count) * WIDE


@hot(error_model="numpy", fastmath=FAST)
def bring_up_to_date_2(domains, now, w, B, u, X, tail, stride, L, count, Z, held, to):
    """The tail after the steps of a block, from X into `to`, which may be X.

    now, u (2,) : u now, and at its beginning.  w (2,), B (3, 3) : see above, B[e] what has become of entry e.
    """
    rows, first, A = padded(moved(domains)), np.uint64(2 * domains) * NODE, np.uint64(domains + 1)
    place, of = np.uint64(rows) * WIDE, np.uint64(0)
    G, own, last = ROW[2] * A, place + A * WIDE, place + np.uint64(domains) * WIDE
    kicks = G + np.uint64(3 * pairs(domains + 1)) * WIDE
    F = kicks + ROW[6]
    for at in range(tail, np.uint64(X.size), stride):
        combined(held, rows, L, of, count, Z, first)
        of += np.uint64(count) * WIDE
        _places(u, X, at, 20 + domains, domains, held, place)
        for i in range(own, own + ROW[5]):
            held[i] = 0.0
        row = G
        for a in range(A):
            y, dev = place + a * WIDE, ROW[2] * a
            for i in range(WIDE):
                held[own + i + ROW[3]] += held[dev + i] * held[y + i]
                held[own + i + ROW[4]] += held[dev + i + WIDE] * held[y + i]
            for j in range(a, A):
                factor, z = 1.0 if j == a else 2.0, place + j * WIDE
                for i in range(WIDE):
                    both = factor * (held[y + i] * held[z + i])
                    held[own + i] += both * held[row + i]
                    held[own + i + ROW[1]] += both * held[row + i + ROW[1]]
                    held[own + i + ROW[2]] += both * held[row + i + ROW[2]]
                row += ROW[3]
        for i in range(WIDE):
            C0, C1, C2 = X[at + i + ROW[14]], X[at + i + ROW[15]], X[at + i + ROW[16]]
            D0, D1, D2 = X[at + i + ROW[17]], X[at + i + ROW[18]], X[at + i + ROW[19]]
            x, z = held[place + i] / u[0], held[last + i]
            for p in range(np.uint64(2)):
                to[at + i + p * WIDE + ROW[12]] = x * now[p] + z * w[p] - held[own + i + p * WIDE + ROW[3]]
            for e in range(np.uint64(3)):
                row = i + e * WIDE
                f0, f1, f2 = B[0, e] + held[F + row], B[1, e] + held[F + row + ROW[3]], B[2, e] + held[F + row + ROW[6]]
                bias, noise = held[own + row] + held[kicks + row], held[kicks + row + ROW[3]]
                to[at + row + ROW[14]] = f0 * C0 + f1 * C1 + f2 * C2 + bias
                to[at + row + ROW[17]] = f0 * D0 + f1 * D1 + f2 * D2 + noise


def _sources(t, M, b, c, rho, omega, share, q, r, pull, count, Z):
    """The means of the nodes through a step, and what it adds to their matrices.

    rho, omega : c . u / u_0 and c . w.  The rest as in `mixture_blocks`.
    """
    m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
    b0, b1, c0, c1 = b[t, 0], b[t, 1], c[t, 0], c[t, 1]
    x = [0.0] * K
    own = [0.0] * K
    bias = [0.0] * K
    label = [0.0] * K
    f = [0.0] * (K + 1)
    g = [0.0] * (K + 1)
    s = [0.0] * (K + 1)
    v = [0.0] * (K + 1)
    for k in range(K):
        x[k], own[k], bias[k], label[k] = q[k], r[k], pull[0, k], pull[1, k]
    for i in range(np.uint64(count)):
        h = total = n = o = 0.0
        for k in range(K):
            l = Z[i + k * NODE]
            g[k], s[k] = x[k] * l, own[k] * Z[i + (K + k) * NODE]
            h += g[k]
            total += s[k]
            n += bias[k] * l
            o += label[k] * l
        for a in range(K + 1):
            d0, d1 = Z[i + (2 * K + 2 * a) * NODE], Z[i + (2 * K + 2 * a + 1) * NODE]
            f[a] = -(c0 * d0 + c1 * d1)
            if a == K:
                f[a] += omega
                g[a], v[a] = h * f[a], total * f[a]
            else:
                g[a], s[a] = rho * g[a] + h * f[a], rho * s[a]
                v[a] = total * f[a] + s[a]
            Z[i + (2 * K + 2 * a) * NODE] = m00 * d0 + m01 * d1 + b0 * g[a]
            Z[i + (2 * K + 2 * a + 1) * NODE] = m10 * d0 + m11 * d1 + b1 * g[a]
        for a in range(K + 1):
            for j in range(a, K + 1):
                source = f[a] * v[j]
                if j == a and a < K:
                    source += s[a] * (f[a] + rho)
                if j > a:
                    source += s[a] * f[j]
                Z[i + (MADE + pair(a, j, K + 1)) * NODE] = source - share * (g[a] * g[j])
        Z[i + (MADE + PAIRS) * NODE], Z[i + (MADE + PAIRS + 5) * NODE] = n, o
        Z[i + (MADE + PAIRS + 1) * NODE], Z[i + (MADE + PAIRS + 2) * NODE] = h, total + (1.0 - share) * h * h
        Z[i + (MADE + PAIRS + 3) * NODE], Z[i + (MADE + PAIRS + 4) * NODE] = 0.0, 0.0


@hot(error_model="numpy", fastmath=FAST)
def _matrix(t, after, M, b, c, f0, f1, f2, seen, at, source, step, bias, variance, count, Z):
    """A symmetric matrix of every node, from the row at `at`, through a step; what the next gradient sees is added up.

    f : B before the step, seen : c . B c after it, with the c of step `after`.  step : where the rows begin that say h.
    bias, variance : rows of weights by which that counts for the bias and for the variance; 0 for not at all.
    """
    m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
    b0, b1, c0, c1 = b[t, 0], b[t, 1], c[t, 0], c[t, 1]
    e0, e1, e2 = c[after, 0] * c[after, 0], 2.0 * c[after, 0] * c[after, 1], c[after, 1] * c[after, 1]
    b00, b01, b11 = b0 * b0, b0 * b1, b1 * b1
    for i in range(np.uint64(count)):
        x, y, z, h = Z[i + at], Z[i + at + NODE], Z[i + at + TWO], Z[i + step]
        x1, y1, z1 = x + f0, y + f1, z + f2
        q0, q1 = c0 * x1 + c1 * y1, c0 * y1 + c1 * z1
        p0, p1 = h * (m00 * q0 + m01 * q1), h * (m10 * q0 + m11 * q1)
        n = Z[i + step + NODE] * (c0 * q0 + c1 * q1) + Z[i + source]
        w0, w1, w2, w3 = m00 * x + m01 * y, m00 * y + m01 * z, m10 * x + m11 * y, m10 * y + m11 * z
        x = w0 * m00 + w1 * m01 + (n * b00 - 2.0 * b0 * p0)
        y = w0 * m10 + w1 * m11 + (n * b01 - (b0 * p1 + b1 * p0))
        z = w2 * m10 + w3 * m11 + (n * b11 - 2.0 * b1 * p1)
        Z[i + at], Z[i + at + NODE], Z[i + at + TWO] = x, y, z
        total = e0 * x + e1 * y + e2 * z + seen
        if bias != 0:
            Z[i + step + TWO] += total * Z[i + bias]
        if variance != 0:
            Z[i + step + TWO + NODE] += total * Z[i + variance]


def _seen(c0, c1, rho, omega, count, Z, Q):
    """What the nodes add to Q (2, K) where the next gradient is taken, at c . z."""
    l = [0.0] * K
    d = [0.0] * K
    bias = [0.0] * K
    variance = [0.0] * K
    f = [0.0] * (K + 1)
    for i in range(np.uint64(count)):
        seen, noise = Z[i + (MADE + PAIRS + 3) * NODE], Z[i + (MADE + PAIRS + 4) * NODE]
        for a in range(K + 1):
            f[a] = -(c0 * Z[i + (2 * K + 2 * a) * NODE] + c1 * Z[i + (2 * K + 2 * a + 1) * NODE])
        f[K] += omega
        for k in range(K):
            l[k], d[k] = Z[i + k * NODE], 0.0
        for a in range(K + 1):
            for j in range(a, K + 1):
                W = Z[i + (WEIGHT + pair(a, j, K + 1)) * NODE]
                seen += W * (f[a] * f[j])
                if a < K:
                    if j == a:
                        d[a] += rho * W + 2.0 * W * f[a]
                    else:
                        d[a] += W * f[j]
                        if j < K:
                            d[j] += W * f[a]
        for k in range(K):
            bias[k] += l[k] * (seen + rho * d[k])
            variance[k] += l[k] * noise
    for k in range(K):
        Q[0, k] += bias[k]
        Q[1, k] += variance[k]


@hot(error_model="numpy", fastmath=FAST)
def _moved(t, M, w, B):
    """w (2,) and B (3, 3) through a step."""
    m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
    w[0], w[1] = m00 * w[0] + m01 * w[1], m10 * w[0] + m11 * w[1]
    for e in range(3):
        w0, w1 = m00 * B[e, 0] + m01 * B[e, 1], m00 * B[e, 1] + m01 * B[e, 2]
        w2, w3 = m10 * B[e, 0] + m11 * B[e, 1], m10 * B[e, 1] + m11 * B[e, 2]
        B[e, 0], B[e, 1], B[e, 2] = w0 * m00 + w1 * m01, w0 * m10 + w1 * m11, w2 * m10 + w3 * m11


@hot(error_model="numpy", fastmath=FAST)
def _matrices(domains, t, after, M, b, c, before, B, count, Z):
    """All matrices of the nodes through step t. before, B (3, 3) : before it, and after it."""
    P, weight, rows = np.uint64(pairs(domains + 1)), np.uint64(2 * domains + padded(moved(domains))) * NODE, THREE
    source, at = np.uint64(made(domains)) * NODE, np.uint64(2 * domains + 2 * (domains + 1)) * NODE
    step, none = source + (P + np.uint64(1)) * NODE, np.uint64(0)
    for e in range(P + np.uint64(1)):
        more = e * NODE
        _matrix(
            t, after, M, b, c, 0.0, 0.0, 0.0, 0.0, at + e * rows, source + more, step, weight + more, none, count, Z
        )  # fmt: skip
    at, weight = at + (P + np.uint64(1)) * rows, weight + P * NODE
    _matrix(t, after, M, b, c, 0.0, 0.0, 0.0, 0.0, at, step + TWO + TWO, step, none, weight, count, Z)
    e0, e1, zero = c[after, 0], c[after, 1], step + TWO + THREE
    for e in range(np.uint64(3)):
        seen = e0 * e0 * B[e, 0] + 2.0 * e0 * e1 * B[e, 1] + e1 * e1 * B[e, 2]
        f0, f1, f2 = before[e, 0], before[e, 1], before[e, 2]
        at += rows
        weight += NODE
        _matrix(t, after, M, b, c, f0, f1, f2, seen, at, zero, step, weight, weight + rows, count, Z)


TWO = np.uint64(2) * NODE
THREE = np.uint64(3) * NODE


def step_of_nodes_2(domains: int):
    """The step of the nodes for so many domains."""
    known = {
        "K": domains,
        "PAIRS": pairs(domains + 1),
        "WEIGHT": 2 * domains + padded(moved(domains)),
        "MADE": made(domains),
        "pair": pair,
    }
    written = hot(error_model="numpy", fastmath=FAST)
    sources, seen = written(unrolled(_sources, **known)), written(unrolled(_seen, **known))

    def step(state, domains, t, after, M, b, c, u, start, share, q, r, pull, w, B, before, count, Z, Q):
        rho, omega = (c[t, 0] * u[t, 0] + c[t, 1] * u[t, 1]) / start, c[t, 0] * w[0] + c[t, 1] * w[1]
        sources(t, M, b, c, rho, omega, share, q, r, pull, count, Z)
        for e in range(3):
            for f in range(3):
                before[e, f] = B[e, f]
        _moved(t, M, w, B)
        _matrices(len(domains), t, after, M, b, c, before, B, count, Z)
        e0, e1 = c[after, 0], c[after, 1]
        rho, omega = (e0 * u[t + 1, 0] + e1 * u[t + 1, 1]) / start, e0 * w[0] + e1 * w[1]
        seen(e0, e1, rho, omega, count, Z, Q)

    return step
