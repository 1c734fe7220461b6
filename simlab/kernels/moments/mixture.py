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

Directions lie in tiles of WIDTH, one row after the other in one flat array: rows at constant offsets, so that the
compiler sees that nothing overlaps.
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.steps import FLUSH, TINY

__all__ = ["FIXED", "WIDTH", "advance_mixture", "record_now"]

WIDTH = 64
"""Directions of a tile."""

_WIDTH = np.uint64(WIDTH)
_ROW = tuple(np.uint64(row * WIDTH) for row in range(20))
"""Where a row begins; unsigned, for an index that may be negative is looked at before it is used."""

FIXED = 12
"""Rows before the moments: y, V of bias and variance; h; what is in g beside h y; of sum_k r_k (kurtosis_k - 1) lam_k^2
(V + y_k^2) what stands with V + y^2, with 2 y and by itself; the curvature of V in the noise; noise of bias and
variance; g. After them m (k), C of bias and of variance (k (k + 1) / 2 each), and lam, delta and kurtosis of each
domain.
"""


@hot(error_model="numpy", fastmath=FAST)
def _mix(p, weight, X, at, domains):
    """What the shares of a step make of the domains, for the tile at `at`; `domains` is where their rows begin."""
    K = np.uint64(p.size)
    for i in range(at + _ROW[3], at + _ROW[9]):
        X[i] = 0.0
    for k in range(K):
        q = p[k] * weight[k]
        r = q * weight[k]
        of_lam = domains + k * _WIDTH
        of_delta = of_lam + K * _WIDTH
        of_kurtosis = of_delta + K * _WIDTH
        if q != 0.0:
            for i in range(at, at + _WIDTH):
                l, d = X[i + of_lam], X[i + of_delta]
                own = r * (X[i + of_kurtosis] - 1.0) * l * l
                X[i + _ROW[3]] += q * l
                X[i + _ROW[4]] += q * l * d
                X[i + _ROW[5]] += own
                X[i + _ROW[6]] += own * d
                X[i + _ROW[7]] += own * d * d
    for i in range(at, at + _WIDTH):
        h = X[i + _ROW[3]]
        X[i + _ROW[8]] = X[i + _ROW[5]] - h * h


@hot(error_model="numpy", fastmath=FAST)
def _look_1(c, t, X, at):
    """y = c . m and V = c^T C c of a tile, k = 1."""
    e = c[t, 0]
    w = e * e
    for i in range(at, at + _WIDTH):
        X[i] = e * X[i + _ROW[12]]
        X[i + _ROW[1]] = w * X[i + _ROW[13]]
        X[i + _ROW[2]] = w * X[i + _ROW[14]]


@hot(error_model="numpy", fastmath=FAST)
def _look_2(c, t, X, at):
    """The same, k = 2."""
    e, f = c[t, 0], c[t, 1]
    w, x, y = e * e, 2.0 * e * f, f * f
    for i in range(at, at + _WIDTH):
        X[i] = e * X[i + _ROW[12]] + f * X[i + _ROW[13]]
        X[i + _ROW[1]] = w * X[i + _ROW[14]] + x * X[i + _ROW[15]] + y * X[i + _ROW[16]]
        X[i + _ROW[2]] = w * X[i + _ROW[17]] + x * X[i + _ROW[18]] + y * X[i + _ROW[19]]


@hot(error_model="numpy", fastmath=FAST)
def _look_any(c, t, X, at):
    """The same, any k."""
    k = c.shape[1]
    for i in range(at, at + _ROW[3]):
        X[i] = 0.0
    row = _ROW[FIXED]
    for p in range(k):
        e = c[t, p]
        if e != 0.0:
            for i in range(at, at + _WIDTH):
                X[i] += e * X[i + row]
        row += _WIDTH
    to = _ROW[1]
    for _ in range(2):
        for p in range(k):
            for q in range(p, k):
                w = c[t, p] * c[t, q] * (1.0 if p == q else 2.0)
                if w != 0.0:
                    for i in range(at, at + _WIDTH):
                        X[i + to] += w * X[i + row]
                row += _WIDTH
        to += _WIDTH


@hot(error_model="numpy", fastmath=FAST)
def _sums(rest, X, at, domains, Q):
    """Q (2, K) += sum of lam (V + y_k^2) of the noiseless run, and of lam V of the noise, over a tile."""
    K = np.uint64(Q.shape[1])
    for k in range(K):
        of_lam = domains + k * _WIDTH
        of_delta = of_lam + K * _WIDTH
        bias = variance = 0.0
        for i in range(at, at + _WIDTH):
            off = X[i] + rest * X[i + of_delta]
            bias += X[i + of_lam] * (X[i + _ROW[1]] + off * off)
            variance += X[i + of_lam] * X[i + _ROW[2]]
        Q[0, k] += bias
        Q[1, k] += variance


@hot(error_model="numpy", fastmath=FAST)
def _noise(share, rest, pull, X, at, domains):
    """The noise of a step and its mean gradient; pull (2, K): what stands with lam_k, 1/B left out."""
    twice, square = 2.0 * rest, rest * rest
    for i in range(at, at + _WIDTH):
        y = X[i]
        g = X[i + _ROW[3]] * y + rest * X[i + _ROW[4]]
        own = (X[i + _ROW[5]] * y + twice * X[i + _ROW[6]]) * y + square * X[i + _ROW[7]]
        X[i + _ROW[9]] = share * (X[i + _ROW[8]] * X[i + _ROW[1]] + own - g * g)
        X[i + _ROW[10]] = share * X[i + _ROW[8]] * X[i + _ROW[2]]
        X[i + _ROW[11]] = g
    for k in range(pull.shape[1]):
        x, y, of_lam = share * pull[0, k], share * pull[1, k], domains + np.uint64(k) * _WIDTH
        if x != 0.0 or y != 0.0:
            for i in range(at, at + _WIDTH):
                X[i + _ROW[9]] += x * X[i + of_lam]
                X[i + _ROW[10]] += y * X[i + of_lam]


@hot(error_model="numpy", fastmath=FAST)
def _move_1(M, b, c, t, X, at):
    """C and m of a tile through step t, k = 1."""
    m, slope, push = M[t, 0, 0], -b[t, 0] * c[t, 0], b[t, 0]
    square = push * push
    for i in range(at, at + _WIDTH):
        a = slope * X[i + _ROW[3]] + m
        a = a * a
        X[i + _ROW[12]] = m * X[i + _ROW[12]] - push * X[i + _ROW[11]]
        X[i + _ROW[13]] = a * X[i + _ROW[13]] + square * X[i + _ROW[9]]
        X[i + _ROW[14]] = a * X[i + _ROW[14]] + square * X[i + _ROW[10]]


@hot(error_model="numpy", fastmath=FAST)
def _move_2_moment(a00, a01, a10, a11, u00, u01, u11, n00, n01, n11):
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
    for i in range(at, at + _WIDTH):
        h, g = X[i + _ROW[3]], X[i + _ROW[11]]
        a00, a01, a10, a11 = m00 - h * d00, m01 - h * d01, m10 - h * d10, m11 - h * d11
        x, y = X[i + _ROW[12]], X[i + _ROW[13]]
        X[i + _ROW[12]], X[i + _ROW[13]] = m00 * x + m01 * y - b0 * g, m10 * x + m11 * y - b1 * g
        n = X[i + _ROW[9]]
        x, y, z = X[i + _ROW[14]], X[i + _ROW[15]], X[i + _ROW[16]]
        x, y, z = _move_2_moment(a00, a01, a10, a11, x, y, z, n * k00, n * k01, n * k11)
        X[i + _ROW[14]], X[i + _ROW[15]], X[i + _ROW[16]] = x, y, z
        n = X[i + _ROW[10]]
        x, y, z = X[i + _ROW[17]], X[i + _ROW[18]], X[i + _ROW[19]]
        x, y, z = _move_2_moment(a00, a01, a10, a11, x, y, z, n * k00, n * k01, n * k11)
        X[i + _ROW[17]], X[i + _ROW[18]], X[i + _ROW[19]] = x, y, z


@hot(error_model="numpy", fastmath=FAST)
def _move_any(M, b, c, t, X, at, full, moved):
    """The same, any k; full (k^2 WIDTH,) and moved (k WIDTH,) are scratch."""
    k, w = np.uint64(b.shape[1]), _WIDTH
    means, row = at + _ROW[FIXED], at + _ROW[FIXED] + k * w
    h, g, noise = at + _ROW[3], at + _ROW[11], at + _ROW[9]
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
def _look(c, t, X, at):
    k = c.shape[1]
    if k == 1:
        _look_1(c, t, X, at)
    elif k == 2:
        _look_2(c, t, X, at)
    else:
        _look_any(c, t, X, at)


@hot(error_model="numpy", fastmath=FAST)
def _record(o, u, domains, X, labels, out):
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
def _flush(X, k, stride):
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
    Q, pull = np.zeros((2, K)), np.empty((2, K))
    full, moved = np.empty(k * k * WIDTH), np.empty(k * WIDTH)
    for t in range(slots.size):
        if slots[t] >= 0:
            _record(o[t], u[t], K, X, labels, out[slots[t]])
        if (first + t) % FLUSH == 0:
            _flush(X, k, stride)
        fresh = t == 0
        for j in range(K):
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
                _look(c, t, X, at)
                _sums(rest, X, at, domains, Q)
        for j in range(K):
            if not Q[0, j] + Q[1, j] <= limit:
                return t
            r = shares[t, j] * weights[t, j] * weights[t, j]
            pull[0, j] = r * Q[0, j]
            pull[1, j] = r * (Q[1, j] + noise_variance[j])
        Q[:, :] = 0.0
        for at in range(np.uint64(0), size, stride):
            _noise(inverse_batch[t], rest, pull, X, at, domains)
            if k == 1:
                _move_1(M, b, c, t, X, at)
            elif k == 2:
                _move_2(M, b, c, t, X, at)
            else:
                _move_any(M, b, c, t, X, at, full, moved)
            if t + 1 < slots.size:
                _look(c, t + 1, X, at)
                _sums(following, X, at, domains, Q)
    return slots.size


record_now = kept(error_model="numpy", fastmath=FAST)(_record.py_func)
