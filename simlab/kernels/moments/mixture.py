"""One pass over the directions of a mixture for each step (Numba, SIMD).

Per direction: m = E z (noiseless), measured from the first domain's optimum, and the covariances C of the noiseless run
(bias) and of what label noise adds (variance). With the shares p_k and loss weights w_k of a step, q_k = p_k w_k,
r_k = p_k w_k^2, delta_k how far the first domain's optimum lies from that of domain k, and u the state of weights that
rest one away from their optimum (so that domain k sees y_k = c . m + (c . u) delta_k):

    h     = sum_k q_k lam_k,     g = sum_k q_k lam_k y_k               mean Hessian and mean gradient
    V     = c^T C c,             Q_k = sum_directions lam_k (V + y_k^2)
    noise = (1/B) [ sum_k r_k (lam_k (Q_k + sigma_k^2) + (kurtosis_k - 1) lam_k^2 (V + y_k^2)) - h^2 V - g^2 ]
    C <- (M - h b c^T) C (M - h b c^T)^T + noise b b^T,     m <- M m - b g

The variance has no y_k; the bias no sigma_k^2. That covariances are about the mean keeps what a small risk is of.

How rows of directions lie, and move, says `mixture_moves`; two domains take a single pass (`mixture_head`), and the
tail of up to eight goes many steps at a time (`mixture_blocks`).
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.mixture_head import step_in_one_pass
from simlab.kernels.moments.mixture_moves import FIXED, ROW, WIDE, WIDTH, look, move
from simlab.kernels.moments.steps import FLUSH, TINY

__all__ = ["FIXED", "WIDTH", "advance_mixture", "flush_moments", "record", "record_now"]

ONE, TWO = (0.0,), (0.0, 0.0)


@hot(error_model="numpy", fastmath=FAST)
def _mix(p, weight, X, at, domains):
    """What the shares of a step make of the domains, for the tile at `at`; `domains` is where their rows begin."""
    K = np.uint64(p.size)
    for i in range(at + ROW[3], at + ROW[9]):
        X[i] = 0.0
    for k in range(K):
        q = p[k] * weight[k]
        r = q * weight[k]
        of_lam = domains + k * WIDE
        of_delta = of_lam + K * WIDE
        of_kurtosis = of_delta + K * WIDE
        if q != 0.0:
            for i in range(at, at + WIDE):
                l, d = X[i + of_lam], X[i + of_delta]
                own = r * X[i + of_kurtosis] * l * l
                X[i + ROW[3]] += q * l
                X[i + ROW[4]] += q * l * d
                X[i + ROW[5]] += own
                X[i + ROW[6]] += own * d
                X[i + ROW[7]] += own * d * d
    for i in range(at, at + WIDE):
        h = X[i + ROW[3]]
        X[i + ROW[8]] = X[i + ROW[5]] - h * h


@hot(error_model="numpy", fastmath=FAST)
def _sums(rest, X, at, domains, Q):
    """Q (2, K) += sum of lam (V + y_k^2) of the noiseless run, and of lam V of the noise, over a tile."""
    K = np.uint64(Q.shape[1])
    for k in range(K):
        of_lam = domains + k * WIDE
        of_delta = of_lam + K * WIDE
        bias = variance = 0.0
        for i in range(at, at + WIDE):
            off = X[i] + rest * X[i + of_delta]
            bias += X[i + of_lam] * (X[i + ROW[1]] + off * off)
            variance += X[i + of_lam] * X[i + ROW[2]]
        Q[0, k] += bias
        Q[1, k] += variance


@hot(error_model="numpy", fastmath=FAST)
def _noise(share, rest, pull, X, at, domains):
    """The noise of a step and its mean gradient; pull (2, K): what stands with lam_k."""
    twice, square = 2.0 * rest, rest * rest
    for i in range(at, at + WIDE):
        y = X[i]
        g = X[i + ROW[3]] * y + rest * X[i + ROW[4]]
        own = (X[i + ROW[5]] * y + twice * X[i + ROW[6]]) * y + square * X[i + ROW[7]]
        X[i + ROW[9]] = share * (X[i + ROW[8]] * X[i + ROW[1]] + own - g * g)
        X[i + ROW[10]] = share * X[i + ROW[8]] * X[i + ROW[2]]
        X[i + ROW[11]] = g
    for k in range(pull.shape[1]):
        x, y, of_lam = pull[0, k], pull[1, k], domains + np.uint64(k) * WIDE
        if x != 0.0 or y != 0.0:
            for i in range(at, at + WIDE):
                X[i + ROW[9]] += x * X[i + of_lam]
                X[i + ROW[10]] += y * X[i + of_lam]


@hot(error_model="numpy", fastmath=FAST)
def record(o, u, domains, X, labels, out):
    """Risk of o . z by part (bias, variance, and that of the mean), domain and label into out (3, domains, labels)."""
    k = o.size
    entries = k * (k + 1) // 2
    rows = FIXED + k + 2 * entries
    stride = (rows + 3 * domains) * WIDTH
    out[:, :, :] = 0.0
    rest = 0.0
    for p in range(k):
        rest += o[p] * u[p]
    for i in range(labels.size):
        at = i // WIDTH * stride + i % WIDTH
        y, bias, variance = 0.0, 0.0, 0.0
        entry = at + (FIXED + k) * WIDTH
        for p in range(k):
            y += o[p] * X[at + (FIXED + p) * WIDTH]
            for q in range(p, k):
                w = o[p] * o[q] * (1.0 if p == q else 2.0)
                if w != 0.0:
                    bias += w * X[entry]
                    variance += w * X[entry + entries * WIDTH]
                entry += WIDTH
        for j in range(domains):
            half, off = 0.5 * X[at + (rows + j) * WIDTH], y + rest * X[at + (rows + domains + j) * WIDTH]
            out[0, j, labels[i]] += half * (bias + off * off)
            out[1, j, labels[i]] += half * variance
            out[2, j, labels[i]] += half * off * off


@hot(error_model="numpy")
def flush_moments(X, k, stride):
    """Set moments that are too small to matter to zero: the square of a mean that is kept stays a normal number."""
    for at in range(0, X.size, stride):
        for i in range(at + FIXED * WIDTH, at + (FIXED + k) * WIDTH):
            if abs(X[i]) < 1e-140:
                X[i] = 0.0
        for i in range(at + (FIXED + k) * WIDTH, at + (FIXED + k + k * (k + 1)) * WIDTH):
            if abs(X[i]) < TINY:
                X[i] = 0.0


@kept(error_model="numpy", fastmath=FAST)
def advance_mixture(first, M, b, c, o, u, inverse_batch, shares, weights, noise_variance, X, slots, labels, out, limit):
    """n steps of the moments of a mixture from step `first` on, in place; returns how many were done.

    M (n, k, k), b, c, o, u (n, k) float64; inverse_batch (n,) = 1/B; shares, weights (n, K); noise_variance (K,); X :
    the tiles, flat. slots (n,) int64 : record of each iterate, or -1; labels (d,); out (records, 3, K, labels). Stops
    before the step at which twice the risk at the gradient point passes `limit` on some domain.
    """
    k, K = b.shape[1], shares.shape[1]
    rows = FIXED + k + k * (k + 1)
    domains, stride, size = np.uint64(rows * WIDTH), np.uint64((rows + 3 * K) * WIDTH), np.uint64(X.size)
    Q, pull, q, r = np.zeros((2, K)), np.empty((2, K)), np.empty(K), np.empty(K)
    fused = K == 2 and k <= 2
    full, moved = np.empty(k * k * WIDTH), np.empty(k * WIDTH)
    for t in range(slots.size):
        if slots[t] >= 0:
            record(o[t], u[t], K, X, labels, out[slots[t]])
        if (first + t) % FLUSH == 0:
            flush_moments(X, k, stride)
        fresh = t == 0 and not fused
        for j in range(K):
            if t > 0 and not fused:
                fresh = fresh or shares[t, j] != shares[t - 1, j] or weights[t, j] != weights[t - 1, j]
        if fresh:
            for at in range(np.uint64(0), size, stride):
                _mix(shares[t], weights[t], X, at, domains)
        rest = following = 0.0
        for p in range(k):
            rest += c[t, p] * u[t, p]
            if t + 1 < slots.size:
                following += c[t + 1, p] * u[t + 1, p]
        if t == 0:
            for at in range(np.uint64(0), size, stride):
                look(c, t, X, at)
                _sums(rest, X, at, domains, Q)
        for j in range(K):
            if not Q[0, j] + Q[1, j] <= limit:
                return t
            q[j] = shares[t, j] * weights[t, j]
            r[j] = inverse_batch[t] * q[j] * weights[t, j]
            pull[0, j] = r[j] * Q[0, j]
            pull[1, j] = r[j] * (Q[1, j] + noise_variance[j])
        if fused:
            after = min(t + 1, slots.size - 1)
            if k == 1:
                step_in_one_pass(
                    ONE, TWO, t, after, M, b, c, inverse_batch[t], rest, following, q, r, pull, X, stride, Q
                )  # fmt: skip
            else:
                step_in_one_pass(
                    TWO, TWO, t, after, M, b, c, inverse_batch[t], rest, following, q, r, pull, X, stride, Q
                )  # fmt: skip
            continue
        Q[:, :] = 0.0
        for at in range(np.uint64(0), size, stride):
            _noise(inverse_batch[t], rest, pull, X, at, domains)
            move(M, b, c, t, X, at, full, moved)
            if t + 1 < slots.size:
                look(c, t + 1, X, at)
                _sums(following, X, at, domains, Q)
    return slots.size


record_now = kept(error_model="numpy", fastmath=FAST)(record.py_func)
