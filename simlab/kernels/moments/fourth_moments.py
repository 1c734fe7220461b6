"""Contractions with the fourth moments of a data set, without forming them (Numba, SIMD)."""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, kept

ROWS = 4


@kept(fastmath=FAST)
def contract(rows, V, shift, out):
    """out_p = (1/n) sum_r (x_r^T V_p x_r + shift_pr) x_r x_r^T for every p.

    Shapes rows (n, d), V (parts, d, d), shift (parts, n), out (parts, d, d). Only the symmetric part of V matters.
    Rows are taken four at a time, so that an entry of V or out is loaded once for four products; no BLAS, whose
    threads would fight with those of the engine.
    """
    n, d = rows.shape
    parts = V.shape[0]
    upper = np.empty((d, d))
    weight = np.zeros(ROWS)
    x = np.zeros((ROWS, d))
    for p in range(parts):
        for i in range(d):
            upper[i, i] = V[p, i, i]
            for j in range(i + 1, d):
                upper[i, j] = V[p, i, j] + V[p, j, i]
        out[p, :, :] = 0.0
        for first in range(0, n, ROWS):
            count = min(ROWS, n - first)
            for r in range(ROWS):
                for j in range(d):
                    x[r, j] = rows[first + r, j] if r < count else 0.0
            w0 = w1 = w2 = w3 = 0.0
            for i in range(d):
                s0 = s1 = s2 = s3 = 0.0
                for j in range(i, d):
                    v = upper[i, j]
                    s0 += v * x[0, j]
                    s1 += v * x[1, j]
                    s2 += v * x[2, j]
                    s3 += v * x[3, j]
                w0 += s0 * x[0, i]
                w1 += s1 * x[1, i]
                w2 += s2 * x[2, i]
                w3 += s3 * x[3, i]
            weight[0], weight[1], weight[2], weight[3] = w0, w1, w2, w3
            for r in range(count):
                weight[r] += shift[p, first + r]
            w0, w1, w2, w3 = weight[0], weight[1], weight[2], weight[3]
            for i in range(d):
                a0, a1, a2, a3 = w0 * x[0, i], w1 * x[1, i], w2 * x[2, i], w3 * x[3, i]
                for j in range(i, d):
                    out[p, i, j] += a0 * x[0, j] + a1 * x[1, j] + a2 * x[2, j] + a3 * x[3, j]
        for i in range(d):
            for j in range(i, d):
                out[p, i, j] /= n
                out[p, j, i] = out[p, i, j]
