"""Moments between two modes, pair by pair (Numba, SIMD): what a quadratic form that is not diagonal asks for.

With independent coordinates and i != j, E z_i z_j^T drives no other pair and is driven by none, nor by the noise:

    P_ij <- A_i P_ij A_j^T + (1/B) lam_i lam_j (c^T P_ij c) b b^T,     A_i = M - lam_i b c^T

so that a tile of pairs goes through all steps before the next one begins.
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.steps import FLUSH, LANES, flush

__all__ = ["advance_pairs"]


@hot(error_model="numpy", fastmath=FAST)
def _steps_1(M, b, c, share, X):
    """k = 1 on a tile: X (3 LANES,) is lam_i, lam_j, P, at offsets that the compiler sees are apart."""
    for t in range(share.size):
        a, d = M[t, 0, 0], b[t, 0] * c[t, 0]
        own = share[t] * d * d
        for i in range(LANES):
            l, m = X[i], X[i + LANES]
            X[i + 2 * LANES] *= (a - l * d) * (a - m * d) + own * l * m
        if t % FLUSH == 0:
            flush(X)


@hot(error_model="numpy", fastmath=FAST)
def _steps_2(M, b, c, share, X):
    """k = 2 on a tile: X (6 LANES,) is lam_i, lam_j, and P by rows."""
    for t in range(share.size):
        m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
        b0, b1, c0, c1 = b[t, 0], b[t, 1], c[t, 0], c[t, 1]
        d00, d01, d10, d11 = b0 * c0, b0 * c1, b1 * c0, b1 * c1
        q00, q01, q11 = share[t] * c0 * c0, share[t] * c0 * c1, share[t] * c1 * c1
        for i in range(LANES):
            l, m = X[i], X[i + LANES]
            x, y, z, w = X[i + 2 * LANES], X[i + 3 * LANES], X[i + 4 * LANES], X[i + 5 * LANES]
            own = l * m * (q00 * x + q01 * (y + z) + q11 * w)
            a00, a01, a10, a11 = m00 - l * d00, m01 - l * d01, m10 - l * d10, m11 - l * d11
            x, y, z, w = a00 * x + a01 * z, a00 * y + a01 * w, a10 * x + a11 * z, a10 * y + a11 * w
            a00, a01, a10, a11 = m00 - m * d00, m01 - m * d01, m10 - m * d10, m11 - m * d11
            X[i + 2 * LANES] = x * a00 + y * a01 + own * b0 * b0
            X[i + 3 * LANES] = x * a10 + y * a11 + own * b0 * b1
            X[i + 4 * LANES] = z * a00 + w * a01 + own * b1 * b0
            X[i + 5 * LANES] = z * a10 + w * a11 + own * b1 * b1
        if t % FLUSH == 0:
            flush(X)


@hot(error_model="numpy", fastmath=FAST)
def _steps_any(M, b, c, share, X, work):
    """Any k: X (2 + k^2, LANES) is lam_i, lam_j, and P by rows; work (1 + k^2, LANES) is scratch."""
    k = b.shape[1]
    lam, mu, full, own, moved = X[0], X[1], X[2:], work[0], work[1:]
    for t in range(share.size):
        own[:] = 0.0
        for p in range(k):
            for q in range(k):
                weight = share[t] * c[t, p] * c[t, q]
                if weight != 0.0:
                    for i in range(LANES):
                        own[i] += weight * full[p * k + q, i]
        for i in range(LANES):
            own[i] *= lam[i] * mu[i]
        moved[:, :] = 0.0
        for p in range(k):
            for r in range(k):
                m, d = M[t, p, r], b[t, p] * c[t, r]
                if m != 0.0 or d != 0.0:
                    for q in range(k):
                        for i in range(LANES):
                            moved[p * k + q, i] += (m - lam[i] * d) * full[r * k + q, i]
        for p in range(k):
            for q in range(k):
                kick = b[t, p] * b[t, q]
                for i in range(LANES):
                    full[p * k + q, i] = kick * own[i]
                for r in range(k):
                    m, d = M[t, q, r], b[t, q] * c[t, r]
                    if m != 0.0 or d != 0.0:
                        for i in range(LANES):
                            full[p * k + q, i] += moved[p * k + r, i] * (m - mu[i] * d)
        if t % FLUSH == 0:
            flush(X.reshape(-1))


@kept(error_model="numpy", fastmath=FAST)
def advance_pairs(M, b, c, share, first, second, P):
    """n steps of all pairs, in place.

    M (n, k, k), b, c (n, k), share (n,) = 1/B; first, second (pairs,) the eigenvalues of the two modes; P (k, k,
    pairs), rows of the first mode. `pairs` is a multiple of LANES.
    """
    k = b.shape[1]
    X, work = np.empty((2 + k * k, LANES)), np.empty((1 + k * k, LANES))
    flat = X.reshape(-1)
    for lo in range(0, first.size, LANES):
        here = slice(lo, lo + LANES)
        X[0], X[1] = first[here], second[here]
        for p in range(k):
            for q in range(k):
                X[2 + p * k + q] = P[p, q, here]
        if k == 1:
            _steps_1(M, b, c, share, flat)
        elif k == 2:
            _steps_2(M, b, c, share, flat)
        else:
            _steps_any(M, b, c, share, X, work)
        for p in range(k):
            for q in range(k):
                P[p, q, here] = X[2 + p * k + q]
