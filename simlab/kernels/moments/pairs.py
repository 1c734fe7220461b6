"""Moments between two modes, pair by pair (Numba, SIMD): what a quadratic form that is not diagonal asks for.

With independent coordinates and i != j, E z_i z_j^T drives no other pair and is driven by none, nor by the noise:

    P_ij <- A_i P_ij A_j^T + (1/B) lam_i lam_j (c^T P_ij c) b b^T,     A_i = M - lam_i b c^T

so that a tile of pairs goes through all steps before the next one begins.
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, kept
from simlab.kernels.moments.steps import FLUSH, LANES, TINY

__all__ = ["advance_pairs"]


@kept(error_model="numpy", fastmath=FAST)
def advance_pairs(M, b, c, share, first, second, P):
    """n steps of all pairs, in place.

    M (n, k, k), b, c (n, k), share (n,) = 1/B; first, second (pairs,) the eigenvalues of the two modes; P (k, k,
    pairs), rows of the first mode. `pairs` is a multiple of LANES.
    """
    n, k = b.shape
    full, moved = np.empty((k, k, LANES)), np.empty((k, k, LANES))
    own = np.empty(LANES)
    for lo in range(0, first.size, LANES):
        full[:, :, :] = P[:, :, lo : lo + LANES]
        for t in range(n):
            own[:] = 0.0
            for p in range(k):
                for q in range(k):
                    weight = share[t] * c[t, p] * c[t, q]
                    if weight != 0.0:
                        for i in range(LANES):
                            own[i] += weight * full[p, q, i]
            for i in range(LANES):
                own[i] *= first[lo + i] * second[lo + i]
            moved[:, :, :] = 0.0
            for p in range(k):
                for r in range(k):
                    m, d = M[t, p, r], b[t, p] * c[t, r]
                    if m != 0.0 or d != 0.0:
                        for q in range(k):
                            for i in range(LANES):
                                moved[p, q, i] += (m - first[lo + i] * d) * full[r, q, i]
            for p in range(k):
                for q in range(k):
                    kick = b[t, p] * b[t, q]
                    for i in range(LANES):
                        full[p, q, i] = kick * own[i]
                    for r in range(k):
                        m, d = M[t, q, r], b[t, q] * c[t, r]
                        if m != 0.0 or d != 0.0:
                            for i in range(LANES):
                                full[p, q, i] += moved[p, r, i] * (m - second[lo + i] * d)
            if t % FLUSH == 0:
                for p in range(k):
                    for q in range(k):
                        for i in range(LANES):
                            if abs(full[p, q, i]) < TINY:
                                full[p, q, i] = 0.0
        P[:, :, lo : lo + LANES] = full
