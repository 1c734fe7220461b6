"""Many steps of a mixture of two domains in one: the tail of its directions on a few of them, the nodes.

What a block of steps does to a direction depends on it by its two eigenvalues l_1, l_2 alone (and is a polynomial in
them), as long as the kicks r_k Q_k / B are the same for all. For k = 1 (for k = 2 see
`mixture_nodes_2`), with z_k = m + u delta_k, how far E w lies from the
optimum of domain k, P the product of M over the block, and all else at its beginning,

    z_1 <- (P - a) z_1 - e z_2,    z_2 <- (P - e) z_2 - a z_1
    C   <- F C + G_11 z_1^2 + 2 G_12 z_1 z_2 + G_22 z_2^2 + G_bias,    D <- F D + G_variance

where a, e, F - P^2 and every G vanish at l = 0 and obey the recursion of a step (see `mixture`); kept are these
differences, which a constant rate does not round the same way at every step. Such functions of a direction are a
combination of their values at the nodes, f(l_i) = sum_n L_in f(l_n) to rounding (see
`engines.moments.representatives`), and so is l_k f for the sums that make the kicks:

    Q_k = c^2 sum_n l_kn [ F W_C + G_11 W_11 + .. + G_bias W_1 + z_k^2 as a form in z_1, z_2 ],  W_n = sum_i L_in (..)_i

The sums W are taken once, at the start of a block; at its end, and aside for a record, every direction is brought up
to date. What is measured from either optimum stays so: a small risk on the second domain is no difference of large
terms. A step costs the head, stepped one by one, and some 70 operations for each node, or 400 for k = 2. Against
80-bit steps variances keep 2e-14 in 20,000 steps, where plain steps at a constant rate keep 6e-14.
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.mixture import flush_moments, record
from simlab.kernels.moments.mixture_moves import ROW, WIDE, WIDTH, look
from simlab.kernels.moments.mixture_nodes_1 import (
    MOST_NODES,
    NODE,
    ROWS,
    bring_up_to_date_1,
    step_of_nodes_1,
    weights_1,
)
from simlab.kernels.moments.mixture_nodes_2 import bring_up_to_date_2, step_of_nodes_2, weights_2
from simlab.kernels.moments.steps import FLUSH
from simlab.kernels.moments.two_domains import step_of_two

__all__ = ["MOST_NODES", "REACH", "STEEPEST", "advance_in_blocks"]

REACH = 1.0
"""Sum over the steps of a block of 2 lr h / M at the largest eigenvalues of the tail: how far F may fall below P^2."""

STEEPEST = 0.1
"""Largest lr h / M of a step of a block, at those."""


@hot(error_model="numpy", fastmath=FAST)
def _sums_of_two(c, rest, X, stride, Q):
    """Q (2, 2) of all directions where the first step takes its gradient."""
    Q[:, :] = 0.0
    of_lam = np.uint64(stride - 6 * WIDTH)
    for at in range(np.uint64(0), np.uint64(X.size), stride):
        look(c, 0, X, at)
        for i in range(at, at + WIDE):
            l0, l1 = X[i + of_lam], X[i + of_lam + ROW[1]]
            y = X[i]
            off = y + rest * X[i + of_lam + ROW[3]]
            Q[0, 0] += l0 * (X[i + ROW[1]] + y * y)
            Q[0, 1] += l1 * (X[i + ROW[1]] + off * off)
            Q[1, 0] += l0 * X[i + ROW[2]]
            Q[1, 1] += l1 * X[i + ROW[2]]


@hot(error_model="numpy", fastmath=FAST)
def _begin(u, X, tail, stride, L, count, Z, held, w, B):
    """A block begins, u (k,) being what it is now: the sums W are taken, and nothing has happened to the nodes."""
    for i in range(NODE[4], NODE[43]):
        Z[i] = 0.0
    if u.size == 1:
        weights_1(u[0], X, tail, stride, L, count, Z, held)
        w[0], w[1] = 1.0, 1.0
    else:
        weights_2(u, X, tail, stride, L, count, Z, held)
        w[0], w[1] = 0.0, 1.0 / u[0]
        B[:, :] = 0.0
        for e in range(3):
            B[e, e] = 1.0


@hot(error_model="numpy", fastmath=FAST)
def _bring_up_to_date(u, now, w, B, X, tail, stride, L, count, Z, held, to):
    """The tail after the steps of a block, from X into `to`. u, now (k,): at its beginning, and now."""
    if u.size == 1:
        bring_up_to_date_1(w[0], w[1], u[0], X, tail, stride, L, count, Z, held, to)
    else:
        bring_up_to_date_2(u, now, w, B, X, tail, stride, L, count, Z, held, to)


@kept(error_model="numpy", fastmath=FAST)
def advance_in_blocks(
    first, M, b, c, o, u, inverse_batch, shares, weights, rate, noise_variance, X, slots, labels, out, limit, head, L,
    nodes, top,
):  # fmt: skip
    """`advance_mixture` for two domains and k <= 2, whose directions from the tile `head` on go by nodes.

    rate (n,) : how far a step moves, over the eigenvalue: lr for SGD, at most lr / (1 - momentum) with momentum.  L
    (tiles of the tail, nodes, WIDTH), flat.  nodes (4, MOST_NODES), flat : the first rows of them.  top (2,) : the
    largest eigenvalues of the tail. Returns the steps done, and whether it stopped because a step is too steep.
    """
    k, n = b.shape[1], slots.size
    stride = np.uint64((18 + k + k * (k + 1)) * WIDTH)
    tail = np.uint64(head) * stride
    count = L.size // (WIDTH * ((X.size - tail) // stride))
    Z = np.zeros(ROWS * MOST_NODES)
    Z[: nodes.size] = nodes
    Q, pull, held, front = np.empty((2, 2)), np.empty((2, 2)), np.empty(39 * WIDTH), X[:tail]
    w, B, before = np.empty(2), np.empty((3, 3)), np.empty((3, 3))
    rest = 0.0
    for p in range(k):
        rest += c[0, p] * u[0, p]
    _sums_of_two(c, rest, X, stride, Q)
    t = 0
    while t < n:
        reach, begin = 0.0, t
        if k == 2 and not abs(u[t, 0]) > 0.1 * abs(u[t, 1]):
            return t, True
        while t < n:
            x0, x1 = shares[t, 0] * weights[t, 0], shares[t, 1] * weights[t, 1]
            steep = rate[t] * (x0 * top[0] + x1 * top[1])
            if not steep <= STEEPEST or (t > begin and reach + 2.0 * steep > REACH):
                break
            reach += 2.0 * steep
            if t == begin:
                _begin(u[t], X, tail, stride, L, count, Z, held, w, B)
            if slots[t] >= 0:
                aside = X.copy()
                _bring_up_to_date(u[begin], u[t], w, B, X, tail, stride, L, count, Z, held, aside)
                record(o[t], u[t], 2, aside, labels, out[slots[t]])
            if (first + t) % FLUSH == 0:
                flush_moments(front, k, stride)
            after = min(t + 1, n - 1)
            following = 0.0
            for p in range(k):
                following += c[after, p] * u[after, p]
            for j in range(2):
                if not Q[0, j] + Q[1, j] <= limit:
                    _bring_up_to_date(u[begin], u[t], w, B, X, tail, stride, L, count, Z, held, X)
                    return t, False
                r = shares[t, j] * weights[t, j] * weights[t, j]
                pull[0, j] = r * Q[0, j]
                pull[1, j] = r * (Q[1, j] + noise_variance[j])
            share = inverse_batch[t]
            step_of_two(t, after, M, b, c, share, rest, following, shares[t], weights[t], pull, front, stride, Q)
            r0, r1 = share * x0 * weights[t, 0], share * x1 * weights[t, 1]
            if k == 1:
                m = M[t, 0, 0]
                step_of_nodes_1(m, b[t, 0], c[t, 0], w, c[after, 0], share, x0, x1, r0, r1, pull, count, Z, Q)
            else:
                step_of_nodes_2(
                    t, after, M, b, c, u, u[begin, 0], share, x0, x1, r0, r1, pull, w, B, before, count, Z, Q
                )  # fmt: skip
            rest = following
            t += 1
        if t == begin:
            return t, True
        _bring_up_to_date(u[begin], u[t], w, B, X, tail, stride, L, count, Z, held, X)
        flush_moments(X[tail:], k, stride)
    return n, False
