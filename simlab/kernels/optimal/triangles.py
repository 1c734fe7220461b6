"""Symmetric matrices of all nodes, (k, k, N), of which the upper triangles alone are kept up."""

from __future__ import annotations

from simlab.kernels.compiling import FAST, hot


@hot(error_model="numpy", fastmath=FAST)
def copied(source, target):
    """The upper triangles of one into the other."""
    k, N = source.shape[1], source.shape[2]
    for p in range(k):
        for q in range(p, k):
            for i in range(N):
                target[p, q, i] = source[p, q, i]


@hot(error_model="numpy", fastmath=FAST)
def completed(U):
    """The lower triangles from the upper ones, in place."""
    k, N = U.shape[1], U.shape[2]
    for p in range(k):
        for q in range(p):
            for i in range(N):
                U[p, q, i] = U[q, p, i]


@hot(error_model="numpy", fastmath=FAST)
def coupled(v, weights, U):
    """sum_i weights_i v^T U_i v."""
    k, total = v.size, 0.0
    for p in range(k):
        for q in range(p, k):
            factor, part = v[p] * v[q] * (1.0 if p == q else 2.0), 0.0
            for i in range(weights.size):
                part += weights[i] * U[p, q, i]
            total += factor * part
    return total
