"""Many steps of a mixture in one: the tail of its directions on a few of them, the nodes.

What a block of steps does to a direction depends on it by its eigenvalues l_1, .., l_K alone (and is a polynomial in
them), as long as the kicks r_k Q_k / B are the same for all. For k = 1 (for k = 2 see `mixture_nodes_2`), with z_k = m
+ u delta_k, how far E w lies from the optimum of domain k, P the product of M over the block, and all else at its
beginning,

    z_j <- P z_j - sum_k a_k z_k,      C <- F C + sum_kl G_kl z_k z_l + G_bias,      D <- F D + G_variance

where a, F - P^2 and every G vanish at l = 0 and obey the recursion of a step (see `mixture`): with h_k = q_k l_k, s_k =
r_k (kurtosis_k - 1) l_k^2 / B and g_k = P h_k - a_k sum_j h_j, a step adds to G

    P^2 diag(s) - P (s a^T + a s^T) + (sum_k s_k) a a^T - g g^T / B

Kept are these differences, which a constant rate does not round the same way at every step. Such functions of a
direction are a combination of their values at the nodes, f(l_i) = sum_n L_in f(l_n) to rounding (see
`engines.moments.representatives`), and so is l_k f for the sums that make the kicks:

    Q_k = c^2 sum_n l_kn [ F W_C + sum G W + G_bias W_1 + z_k^2 as a form in z_1, .., z_K ],   W_n = sum_i L_in (..)_i

The sums W are taken once, at the start of a block; at its end, and aside for a record, every direction is brought up
to date. What is measured from one optimum stays so: a small risk on the second domain is no difference of large
terms. A step costs the head, stepped one by one, and for each node some 70 operations with two domains, 280 with five
(400 and 1,300 for k = 2); its code is written for the number of domains. Against 80-bit steps variances keep 2e-14 in
20,000 steps, where plain steps at a constant rate keep 6e-14.
"""

from __future__ import annotations

import numpy as np
from numba.extending import overload

from simlab.kernels.compiling import FAST, HOT, compiled_only, hot, kept
from simlab.kernels.moments.mixture import flush_moments, record
from simlab.kernels.moments.mixture_head import step_in_one_pass
from simlab.kernels.moments.mixture_moves import ROW, WIDE, WIDTH, look
from simlab.kernels.moments.mixture_nodes import MOST_NODES, NODE, padded, pairs
from simlab.kernels.moments.mixture_nodes_1 import bring_up_to_date_1, rows_1, step_of_nodes_1, weights_1
from simlab.kernels.moments.mixture_nodes_2 import bring_up_to_date_2, rows_2, step_of_nodes_2, weights_2
from simlab.kernels.moments.steps import FLUSH

__all__ = ["MOST_NODES", "REACH", "STEEPEST", "advance_in_blocks", "rows_of_nodes"]

REACH = 3.0
"""Sum over the steps of a block of 2 lr h / M at the largest eigenvalues of the tail: how far F may fall below P^2."""

STEEPEST = 0.1
"""Largest lr h / M of a step of a block, at those."""


def rows_of_nodes(k: int, domains: int) -> int:
    """Rows of the nodes, `MOST_NODES` numbers each."""
    return rows_1(domains) if k == 1 else rows_2(domains)


@compiled_only
def step_of_nodes(state, domains, t, after, M, b, c, u, start, share, q, r, pull, w, B, before, count, Z, Q):
    """The nodes through step t, and what they add to Q (2, K) where step `after` takes its gradient.

    state, domains : tuples of k and of K numbers.  start : u_0 where the block began.  share = 1/B.  q, r (K,) : p_k
    w_k and p_k w_k^2 / B.  pull (2, K) : what stands with lam_k in the noise.  w (2,), and B (3, 3) for k = 2, go
    along; before (3, 3) is scratch.
    """


@overload(step_of_nodes, jit_options=HOT)
def _step_of_nodes(state, domains, t, after, M, b, c, u, start, share, q, r, pull, w, B, before, count, Z, Q):
    return (step_of_nodes_1 if len(state) == 1 else step_of_nodes_2)(len(domains))


@hot(error_model="numpy", fastmath=FAST)
def _sums(c, rest, K, X, stride, Q):
    """Q (2, K) of all directions where the first step takes its gradient."""
    Q[:, :] = 0.0
    for at in range(np.uint64(0), np.uint64(X.size), stride):
        look(c, 0, X, at)
        of_lam = at + stride - np.uint64(3 * K) * WIDE
        for k in range(K):
            bias = variance = 0.0
            of_delta = of_lam + np.uint64(K) * WIDE
            for i in range(WIDE):
                off = X[at + i] + rest * X[of_delta + i]
                bias += X[of_lam + i] * (X[at + i + ROW[1]] + off * off)
                variance += X[of_lam + i] * X[at + i + ROW[2]]
            Q[0, k] += bias
            Q[1, k] += variance
            of_lam += WIDE


@hot(error_model="numpy", fastmath=FAST)
def _begin(state, K, u, X, tail, stride, L, count, Z, held, w, B):
    """A block begins, u (k,) being what it is now: the sums W are taken, and nothing has happened to the nodes."""
    moved = K + 3 + pairs(K) if len(state) == 1 else 2 * (K + 1) + 3 * (pairs(K + 1) + 5)
    for i in range(np.uint64(2 * K) * NODE, np.uint64(2 * K + padded(moved)) * NODE):
        Z[i] = 0.0
    if len(state) == 1:
        weights_1(K, u, X, tail, stride, L, count, Z, held)
        w[0], w[1] = 1.0, 1.0
    else:
        weights_2(K, u, X, tail, stride, L, count, Z, held)
        w[0], w[1] = 0.0, 1.0 / u[0]
        B[:, :] = 0.0
        for e in range(3):
            B[e, e] = 1.0


@hot(error_model="numpy", fastmath=FAST)
def _bring_up_to_date(state, K, u, now, w, B, X, tail, stride, L, count, Z, held, to):
    """The tail after the steps of a block, from X into `to`. u, now (k,): at its beginning, and now."""
    if len(state) == 1:
        bring_up_to_date_1(K, w, u, X, tail, stride, L, count, Z, held, to)
    else:
        bring_up_to_date_2(K, now, w, B, u, X, tail, stride, L, count, Z, held, to)


@kept(error_model="numpy", fastmath=FAST)
def advance_in_blocks(
    state, domains, first, M, b, c, o, u, inverse_batch, shares, weights, rate, noise_variance, X, slots, labels, out,
    limit, head, L, Z, held, top,
):  # fmt: skip
    """`advance_mixture` for k <= 2, whose directions from the tile `head` on go by nodes.

    state, domains : tuples of k and of K numbers, for which this is compiled.  rate (n,) : how far a step moves, over
    the eigenvalue: lr for SGD, at most lr / (1 - momentum) with momentum.  L (tiles of the tail, nodes, WIDTH), flat.
    Z : `rows_of_nodes`, flat, of which the first 2 K are given.  held : scratch of as many rows of a tile.  top (K,) :
    the largest eigenvalues of the tail. Returns the steps done, and whether it stopped because a step is too steep.
    """
    k, K, n = len(state), len(domains), slots.size
    stride = np.uint64((12 + k + k * (k + 1) + 3 * K) * WIDTH)
    tail = np.uint64(head) * stride
    count = L.size // (WIDTH * ((X.size - tail) // stride))
    Q, pull, q, r, front = np.empty((2, K)), np.empty((2, K)), np.empty(K), np.empty(K), X[:tail]
    w, B, before = np.empty(2), np.empty((3, 3)), np.empty((3, 3))
    rest = 0.0
    for p in range(k):
        rest += c[0, p] * u[0, p]
    _sums(c, rest, K, X, stride, Q)
    t = 0
    while t < n:
        reach, begin = 0.0, t
        if k == 2 and not abs(u[t, 0]) > 0.1 * abs(u[t, 1]):
            return t, True
        while t < n:
            steep, share = 0.0, inverse_batch[t]
            for j in range(K):
                q[j] = shares[t, j] * weights[t, j]
                r[j] = share * q[j] * weights[t, j]
                steep += rate[t] * (q[j] * top[j])
            if not steep <= STEEPEST or (t > begin and reach + 2.0 * steep > REACH):
                break
            reach += 2.0 * steep
            if t == begin:
                _begin(state, K, u[t], X, tail, stride, L, count, Z, held, w, B)
            if slots[t] >= 0:
                aside = X.copy()
                _bring_up_to_date(state, K, u[begin], u[t], w, B, X, tail, stride, L, count, Z, held, aside)
                record(o[t], u[t], K, aside, labels, out[slots[t]])
            if (first + t) % FLUSH == 0:
                flush_moments(front, k, stride)
            after = min(t + 1, n - 1)
            following = 0.0
            for p in range(k):
                following += c[after, p] * u[after, p]
            for j in range(K):
                if not Q[0, j] + Q[1, j] <= limit:
                    _bring_up_to_date(state, K, u[begin], u[t], w, B, X, tail, stride, L, count, Z, held, X)
                    return t, False
                pull[0, j] = r[j] * Q[0, j]
                pull[1, j] = r[j] * (Q[1, j] + noise_variance[j])
            step_in_one_pass(
                state, domains, t, after, M, b, c, share, rest, following, q, r, pull, front, stride, Q
            )  # fmt: skip
            step_of_nodes(
                state, domains, t, after, M, b, c, u, u[begin, 0], share, q, r, pull, w, B, before, count, Z, Q
            )  # fmt: skip
            rest = following
            t += 1
        if t == begin:
            return t, True
        _bring_up_to_date(state, K, u[begin], u[t], w, B, X, tail, stride, L, count, Z, held, X)
        flush_moments(X[tail:], k, stride)
    return n, False
