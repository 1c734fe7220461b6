"""One panel of discrete collocation: many steps of the moment recursion as a small linear system per node.

The packed second moments u_i (E,) of node i, E = k (k + 1) / 2, move by

    u_i <- S_i u_i + drive_i share kappa bb,   kappa = coupling s + noise,   s = sum_j cc . u_j,

with S_i linear in the moments of its node and share = 1 / B. On a panel of m steps every u_i is the polynomial of
`collocation` through its value at the start; with D its difference matrix and v = u - u(0), at the p collocation steps,

    sum_j D_lj v_ij - m (S_i - 1)_l v_il = m (S_i - 1)_l u_i(0) + m drive_i share_l kappa_l bb_l,

p E equations for each node and p for s. Only S - 1 is ever formed, from M - 1: a mode that moves by 10^-20 a step moves
by just that. Entries are eliminated in the order of what depends on what, so that an average of SGD costs three systems
of p equations and not one of 3 p; within a block that of the shortest memory goes first, and no rows are exchanged.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.lanes import LANES, add_multiple, solve_lanes, solve_pivoted

__all__ = ["Blocks", "Nodes", "Steps", "combine", "panel", "step_all"]


class Steps(NamedTuple):
    """A method at n steps: M - 1 (n, k, k), b (n, k), c (n, k), 1 / B (n,)."""

    growth: np.ndarray
    b: np.ndarray
    c: np.ndarray
    share: np.ndarray


class Nodes(NamedTuple):
    """Arrays (nodes,) of a problem, padded to a multiple of LANES, the noise (components,) and the coupling."""

    lam: np.ndarray
    own: np.ndarray
    drive: np.ndarray
    noise: np.ndarray
    coupling: float


class Blocks(NamedTuple):
    """`order` (E,) of the packed entries; each block of `sizes` depends on itself and earlier ones; `felt` (E, E)."""

    order: np.ndarray
    sizes: np.ndarray
    felt: np.ndarray


@hot(fastmath=FAST, error_model="numpy")
def increments(steps, t, T):
    """T (4, E, E): S - 1 of step t as T_0 + lam T_1 + lam^2 T_2 + own T_3, without the common kick."""
    growth, b, c, share = steps.growth[t], steps.b[t], steps.c[t], steps.share[t]
    k = b.size
    e = 0
    for p in range(k):
        for q in range(p, k):
            f = 0
            for r in range(k):
                for s in range(r, k):
                    for g in range(4):
                        T[g, e, f] = 0.0
                    for turn in range(1 if r == s else 2):
                        one, two, three = _pair(growth, b, c, p, q, r if turn == 0 else s, s if turn == 0 else r)
                        T[0, e, f] += one
                        T[1, e, f] += two
                        T[2, e, f] += three
                        T[3, e, f] += share * b[p] * b[q] * c[r] * c[s]
                    f += 1
            e += 1


@hot(fastmath=FAST, error_model="numpy")
def _pair(growth, b, c, p, q, r, s):
    """g_pr g_qs + [p = r] g_qs + [q = s] g_pr of g = growth - lam b c^T, by powers of lam."""
    x, y = growth[p, r], growth[q, s]
    dx, dy = b[p] * c[r], b[q] * c[s]
    one, two = x * y, -(x * dy + dx * y)
    if p == r:
        one, two = one + y, two - dy
    if q == s:
        one, two = one + x, two - dx
    return one, two, dx * dy


@hot(fastmath=FAST, error_model="numpy")
def packed(vector, scale, kicks, out):
    """out (E,) = scale v_p v_q of a kick; of a readout (kicks False) those off the diagonal twice."""
    e = 0
    for p in range(vector.size):
        for q in range(p, vector.size):
            out[e] = scale * vector[p] * vector[q] * (1.0 if kicks or p == q else 2.0)
            e += 1


@hot(fastmath=FAST, error_model="numpy")
def small_solve(A, B, n, width):
    """A (n, n) and right sides B (n, width) by elimination with exchange of rows; both overwritten, B by the answer."""
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if abs(A[i, k]) > abs(A[best, k]):
                best = i
        if best != k:
            for j in range(k, n):
                A[k, j], A[best, j] = A[best, j], A[k, j]
            for j in range(width):
                B[k, j], B[best, j] = B[best, j], B[k, j]
        for i in range(k + 1, n):
            f = A[i, k] / A[k, k]
            for j in range(k + 1, n):
                A[i, j] -= f * A[k, j]
            for j in range(width):
                B[i, j] -= f * B[k, j]
    for k in range(n - 1, -1, -1):
        for j in range(width):
            B[k, j] /= A[k, k]
            for i in range(k):
                B[i, j] -= A[i, k] * B[k, j]


@hot(fastmath=FAST, error_model="numpy")
def _tile_increments(m, p, T, felt, nodes, lo, S):
    """S (p, E, E, LANES), flat: m (S - 1) at every collocation step for the nodes lo .. lo + LANES - 1."""
    E = T.shape[2]
    for l in range(p):
        for e in range(E):
            for f in range(E):
                if felt[e, f]:
                    at = ((l * E + e) * E + f) * LANES
                    one, two, three, four = T[l, 0, e, f], T[l, 1, e, f], T[l, 2, e, f], T[l, 3, e, f]
                    for i in range(LANES):
                        lam = nodes.lam[lo + i]
                        S[at + i] = m * (one + lam * (two + lam * three) + nodes.own[lo + i] * four)


@hot(fastmath=FAST, error_model="numpy")
def _assemble(m, p, components, D, S, bb, blocks, first, size, drive, U, lo, X, K):
    """The system of one block for a tile, K (p size, p size + width, LANES), flat: entry by entry, step by step."""
    order, felt, E = blocks.order, blocks.felt, bb.shape[1]
    n, width = p * size, p + components
    row = (n + width) * LANES
    K[: n * row] = 0.0
    for x in range(size):
        e = order[first + x]
        for l in range(p):
            at = (x * p + l) * row
            for j in range(p):
                for i in range(LANES):
                    K[at + (x * p + j) * LANES + i] = D[l, j + 1]
            for y in range(size):
                f = order[first + y]
                if felt[e, f]:
                    for i in range(LANES):
                        K[at + (y * p + l) * LANES + i] -= S[((l * E + e) * E + f) * LANES + i]
            at += n * LANES
            push = m * bb[l, e]
            for i in range(LANES):
                K[at + l * LANES + i] = push * drive[lo + i]
            for f in range(E):
                if felt[e, f]:
                    move = ((l * E + e) * E + f) * LANES
                    for q in range(components):
                        for i in range(LANES):
                            K[at + (p + q) * LANES + i] += S[move + i] * U[q, f, lo + i]
            for y in range(first):
                f = order[y]
                if felt[e, f]:
                    add_multiple(K, at, S, ((l * E + e) * E + f) * LANES, X, (f * p + l) * width * LANES, width)


@hot(fastmath=FAST, error_model="numpy")
def _solve_tile(m, p, components, D, S, bb, blocks, drive, U, lo, X, K, diagonal, minus):
    """X (E, p, width, LANES), flat: the increments of a tile, by kick of each step and from the start of each state."""
    width = p + components
    first = 0
    for size in blocks.sizes:
        n = p * size
        row = (n + width) * LANES
        for attempt in range(2):
            _assemble(m, p, components, D, S, bb, blocks, first, size, drive, U, lo, X, K)
            if attempt == 0 and solve_lanes(K, n, n + width, diagonal, minus):
                break
            if attempt == 1:
                for lane in range(LANES):
                    solve_pivoted(K, n, n + width, lane)
        for x in range(size):
            at = blocks.order[first + x] * p * width * LANES
            for l in range(p):
                source, target = (x * p + l) * row + n * LANES, at + l * width * LANES
                for i in range(width * LANES):
                    X[target + i] = K[source + i]
        first += size


@hot(fastmath=FAST, error_model="numpy")
def panel(m, p, components, steps, first, blocks, nodes, U, work, V, end, s):
    """A panel of m steps from U (>= components, E, nodes): V (.., E, >= p, nodes) at its p collocation steps, `end`
    (.., E, nodes) after it, s (.., >= p).

    `steps` from `first` on are those of collocation, work.D their differences.
    """
    E, size = U.shape[1], U.shape[2]
    width = p + components
    T, cc, bb, S, K, X, psi, sigma, kappa = (
        work.T, work.cc, work.bb, work.S, work.K, work.X, work.psi, work.sigma, work.kappa,
    )  # fmt: skip
    lanes, felt_lanes = work.lanes, work.felt_lanes
    lanes[: p * width * LANES] = 0.0
    for l in range(p):
        increments(steps, first + l, T[l])
        packed(steps.b[first + l], steps.share[first + l], True, bb[l])
        packed(steps.c[first + l], 1.0, False, cc[l])
        for e in range(E):
            felt_lanes[(l * E + e) * LANES : (l * E + e + 1) * LANES] = cc[l, e]
    for tile in range(size // LANES):
        lo = tile * LANES
        _tile_increments(m, p, T, blocks.felt, nodes, lo, S)
        _solve_tile(m, p, components, work.D, S, bb, blocks, nodes.drive, U, lo, X[tile], K, work.diagonal, work.minus)
        for l in range(p):
            for e in range(E):
                if cc[l, e] != 0.0:
                    at = (e * p + l) * width * LANES
                    add_multiple(lanes, l * width * LANES, felt_lanes, (l * E + e) * LANES, X[tile], at, width)
    for l in range(p):
        for j in range(p):
            psi[l, j] = np.sum(lanes[(l * width + j) * LANES : (l * width + j + 1) * LANES])
        for q in range(components):
            total = np.sum(lanes[(l * width + p + q) * LANES : (l * width + p + q + 1) * LANES])
            for e in range(E):
                if cc[l, e] != 0.0:
                    total += cc[l, e] * np.sum(U[q, e])
            sigma[l, q] = total
    _kicks(p, components, nodes, psi, sigma, work.system, s, kappa)
    kick_lanes, last = work.kick_lanes, p - 1
    for q in range(components):
        for j in range(p):
            kick_lanes[(q * p + j) * LANES : (q * p + j + 1) * LANES] = kappa[q, j]
    for tile in range(size // LANES):
        lo = tile * LANES
        for q in range(components):
            for e in range(E):
                for l in range(p):
                    at = (e * p + l) * width * LANES
                    for i in range(LANES):
                        lanes[i] = X[tile, at + (p + q) * LANES + i]
                    for j in range(p):
                        add_multiple(lanes, 0, kick_lanes, (q * p + j) * LANES, X[tile], at + j * LANES, 1)
                    for i in range(LANES):
                        V[q, e, l, lo + i] = U[q, e, lo + i] + lanes[i]
    for q in range(components):
        for e in range(E):
            for i in range(size):
                work.state[e, i] = V[q, e, last, i]
        step_on(T[last], bb[last], blocks.felt, nodes, kappa[q, last], work.state, end[q])


@hot(fastmath=FAST, error_model="numpy")
def _kicks(p, components, nodes, psi, sigma, A, s, kappa):
    """s and kappa (.., p) at the collocation steps, from what every kick adds to s. `sigma` is overwritten."""
    for l in range(p):
        total = 0.0
        for j in range(p):
            A[l, j] = -nodes.coupling * psi[l, j]
            total += psi[l, j]
        A[l, l] += 1.0
        for q in range(components):
            sigma[l, q] += nodes.noise[q] * total
    small_solve(A, sigma, p, components)
    for q in range(components):
        for l in range(p):
            s[q, l] = sigma[l, q]
            kappa[q, l] = nodes.coupling * sigma[l, q] + nodes.noise[q]


@hot(fastmath=FAST, error_model="numpy")
def step_on(T, bb, felt, nodes, kappa, U, end):
    """end (E, nodes): U after one step whose increments are T (4, E, E)."""
    E, size = U.shape
    for e in range(E):
        push = kappa * bb[e]
        for i in range(size):
            end[e, i] = push * nodes.drive[i]
        for f in range(E):
            if felt[e, f]:
                one, two, three, four = T[0, e, f], T[1, e, f], T[2, e, f], T[3, e, f]
                for i in range(size):
                    lam = nodes.lam[i]
                    end[e, i] += (one + lam * (two + lam * three) + nodes.own[i] * four) * U[f, i]
        for i in range(size):
            end[e, i] += U[e, i]


@hot(fastmath=FAST, error_model="numpy")
def combine(weights, p, U, V, out):
    """out (2, E, nodes) = weights_0 U + sum_(j < p) weights_(j + 1) V[:, :, j]: a panel's polynomial at one step."""
    for q in range(out.shape[0]):
        for e in range(out.shape[1]):
            for i in range(out.shape[2]):
                out[q, e, i] = weights[0] * U[q, e, i]
            for j in range(p):
                f = weights[j + 1]
                for i in range(out.shape[2]):
                    out[q, e, i] += f * V[q, e, j, i]


@kept(error_model="numpy", fastmath=FAST)
def step_all(steps, nodes, noise, U):
    """Many states U (states, nodes) of k = 1, each with its `noise` (states,), through all of `steps`, one by one."""
    gain = np.empty(U.shape[1])
    for t in range(steps.share.size):
        b, c = steps.b[t, 0], steps.c[t, 0]
        push = steps.share[t] * b * b
        for i in range(gain.size):
            g = steps.growth[t, 0, 0] - b * c * nodes.lam[i]
            gain[i] = 2.0 * g + g * g + push * c * c * nodes.own[i]
        for q in range(U.shape[0]):
            s = 0.0
            for i in range(gain.size):
                s += U[q, i]
            kick = push * (nodes.coupling * c * c * s + noise[q])
            for i in range(gain.size):
                U[q, i] += gain[i] * U[q, i] + kick * nodes.drive[i]
