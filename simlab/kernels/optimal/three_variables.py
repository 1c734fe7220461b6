"""`linear` for k = 3, as `two_variables` is for k = 2."""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.steps import FLUSH, flush, row_3
from simlab.kernels.optimal.triangles import completed, copied, coupled


@hot(error_model="numpy", fastmath=FAST)
def entries(t, M, b, c):
    """M and b c^T of the step t, row by row."""
    return (
        M[t, 0, 0], M[t, 0, 1], M[t, 0, 2], M[t, 1, 0], M[t, 1, 1], M[t, 1, 2], M[t, 2, 0], M[t, 2, 1], M[t, 2, 2],
        b[t, 0] * c[t, 0], b[t, 0] * c[t, 1], b[t, 0] * c[t, 2],
        b[t, 1] * c[t, 0], b[t, 1] * c[t, 1], b[t, 1] * c[t, 2],
        b[t, 2] * c[t, 0], b[t, 2] * c[t, 1], b[t, 2] * c[t, 2],
    )  # fmt: skip


@hot(error_model="numpy", fastmath=FAST)
def stepped(t, following, M, b, c, share, force, lam, own, drive, weights, U):
    """U after the step t, in place; sum weights c^T U c for the step `following`."""
    m00, m01, m02, m10, m11, m12, m20, m21, m22, d00, d01, d02, d10, d11, d12, d20, d21, d22 = entries(t, M, b, c)
    b0, b1, b2, c0, c1, c2 = b[t, 0], b[t, 1], b[t, 2], c[t, 0], c[t, 1], c[t, 2]
    e0, e1, e2 = c[following, 0], c[following, 1], c[following, 2]
    kick, total = share * force, 0.0
    for i in range(lam.size):
        l, u00, u01, u02 = lam[i], U[0, 0, i], U[0, 1, i], U[0, 2, i]
        u11, u12, u22 = U[1, 1, i], U[1, 2, i], U[2, 2, i]
        a00, a01, a02 = m00 - l * d00, m01 - l * d01, m02 - l * d02
        a10, a11, a12 = m10 - l * d10, m11 - l * d11, m12 - l * d12
        a20, a21, a22 = m20 - l * d20, m21 - l * d21, m22 - l * d22
        y0, y1, y2 = row_3(c0, c1, c2, u00, u01, u02, u11, u12, u22)
        g = share * own[i] * (y0 * c0 + y1 * c1 + y2 * c2) + kick * drive[i]
        g0, g1, g2 = g * b0, g * b1, g * b2
        w0, w1, w2 = row_3(a00, a01, a02, u00, u01, u02, u11, u12, u22)
        h00 = w0 * a00 + w1 * a01 + w2 * a02 + g0 * b0
        h01 = w0 * a10 + w1 * a11 + w2 * a12 + g0 * b1
        h02 = w0 * a20 + w1 * a21 + w2 * a22 + g0 * b2
        w0, w1, w2 = row_3(a10, a11, a12, u00, u01, u02, u11, u12, u22)
        h11 = w0 * a10 + w1 * a11 + w2 * a12 + g1 * b1
        h12 = w0 * a20 + w1 * a21 + w2 * a22 + g1 * b2
        w0, w1, w2 = row_3(a20, a21, a22, u00, u01, u02, u11, u12, u22)
        h22 = w0 * a20 + w1 * a21 + w2 * a22 + g2 * b2
        U[0, 0, i], U[0, 1, i], U[0, 2, i], U[1, 1, i], U[1, 2, i], U[2, 2, i] = h00, h01, h02, h11, h12, h22
        y0, y1, y2 = row_3(e0, e1, e2, h00, h01, h02, h11, h12, h22)
        total += weights[i] * (y0 * e0 + y1 * e1 + y2 * e2)
    return total


@kept(error_model="numpy", fastmath=FAST)
def forward(M, b, c, r, lam, own, drive, noise, coupling, U, every, kept_U, s):
    """U (3, 3, N) to the end; s (T,) receives the couplings, kept_U (stretches, 3, 3, N) U at their first steps."""
    T, ones = r.size, np.ones(lam.size)
    total = coupled(c[0], ones, U)
    for t in range(T):
        if t % FLUSH == 0:
            flush(U.reshape(U.size))
        if t % every == 0:
            copied(U, kept_U[t // every])
        s[t] = total
        total = stepped(t, min(t + 1, T - 1), M, b, c, r[t], coupling * total + noise, lam, own, drive, ones, U)
    completed(U)


@hot(error_model="numpy", fastmath=FAST)
def row_of_sums(p, t, M, b, c, lam, U, L, sums):
    """The row p of sum X and of sum lam X into `sums` (6,). Of all rows in one loop no register would be left."""
    m00, m01, m02, m10, m11, m12, m20, m21, m22, d00, d01, d02, d10, d11, d12, d20, d21, d22 = entries(t, M, b, c)
    first, last = min(p, 1), max(p, 1)  # (p, 1) in the upper triangle
    s0 = s1 = s2 = w0 = w1 = w2 = 0.0
    for i in range(lam.size):
        l, x0, x1, x2 = lam[i], L[0, p, i], L[first, last, i], L[p, 2, i]
        n0 = x0 * (m00 - l * d00) + x1 * (m10 - l * d10) + x2 * (m20 - l * d20)  # L A
        n1 = x0 * (m01 - l * d01) + x1 * (m11 - l * d11) + x2 * (m21 - l * d21)
        n2 = x0 * (m02 - l * d02) + x1 * (m12 - l * d12) + x2 * (m22 - l * d22)
        y0, y1, y2 = row_3(n0, n1, n2, U[0, 0, i], U[0, 1, i], U[0, 2, i], U[1, 1, i], U[1, 2, i], U[2, 2, i])
        s0, s1, s2 = s0 + y0, s1 + y1, s2 + y2
        w0, w1, w2 = w0 + l * y0, w1 + l * y1, w2 + l * y2
    sums[0], sums[1], sums[2], sums[3], sums[4], sums[5] = s0, s1, s2, w0, w1, w2


@hot(error_model="numpy", fastmath=FAST)
def gradient_of_step(t, M, b, c, share, force, add, lam, own, drive, U, L, sums, dM, db, dc, dr):
    """The gradient in the arrays of the step t; force is coupling s + noise, add is coupling G, `sums` (6,) is room."""
    b0, b1, b2, c0, c1, c2 = b[t, 0], b[t, 1], b[t, 2], c[t, 0], c[t, 1], c[t, 2]
    kicked = kicked_0 = kicked_1 = kicked_2 = returned_0 = returned_1 = returned_2 = 0.0
    for i in range(lam.size):
        y0, y1, y2 = row_3(c0, c1, c2, U[0, 0, i], U[0, 1, i], U[0, 2, i], U[1, 1, i], U[1, 2, i], U[2, 2, i])
        z0, z1, z2 = row_3(b0, b1, b2, L[0, 0, i], L[0, 1, i], L[0, 2, i], L[1, 1, i], L[1, 2, i], L[2, 2, i])
        beta = z0 * b0 + z1 * b1 + z2 * b2
        kappa, back = own[i] * (y0 * c0 + y1 * c1 + y2 * c2) + drive[i] * force, own[i] * beta + add
        kicked += kappa * beta
        kicked_0, kicked_1, kicked_2 = kicked_0 + kappa * z0, kicked_1 + kappa * z1, kicked_2 + kappa * z2
        returned_0, returned_1, returned_2 = returned_0 + back * y0, returned_1 + back * y1, returned_2 + back * y2
    db[t, 0], db[t, 1], db[t, 2] = 2.0 * share * kicked_0, 2.0 * share * kicked_1, 2.0 * share * kicked_2
    dc[t, 0], dc[t, 1], dc[t, 2] = 2.0 * share * returned_0, 2.0 * share * returned_1, 2.0 * share * returned_2
    dr[t] = kicked
    for p in range(3):
        row_of_sums(p, t, M, b, c, lam, U, L, sums)
        for q in range(3):
            dM[t, p, q] = 2.0 * sums[q]
            db[t, p] -= 2.0 * sums[3 + q] * c[t, q]
            dc[t, q] -= 2.0 * sums[3 + q] * b[t, p]


@kept(error_model="numpy", fastmath=FAST)
def backward(M, b, c, r, lam, own, drive, noise, coupling, L, every, kept_U, s, dM, db, dc, dr):
    """dJ/dM (T, 3, 3), dJ/db, dJ/dc (T, 3) and dJ/dr (T,), from L (3, 3, N) of the end and what `forward` kept."""
    T, N = r.size, lam.size
    run, ones, turned, sums = np.empty((every, 3, 3, N)), np.ones(N), np.empty((T, 3, 3)), np.empty(6)
    for t in range(T):
        for p in range(3):
            for q in range(3):
                turned[t, p, q] = M[t, q, p]
    G = coupled(b[T - 1], drive, L)
    for row in range((T - 1) // every, -1, -1):
        first, last = row * every, min(T, (row + 1) * every)
        copied(kept_U[row], run[0])
        # The steps of a stretch again, but for its last one, and then back: by one call, as LLVM leaves two of them in
        # one kernel without vectors.
        for j in range(1, 2 * (last - first)):
            if j < last - first:
                t, X = first + j - 1, run[j]
                copied(run[j - 1], X)
                A, into, out, push, weights = M, b, c, drive, ones
                following, force = t + 1, coupling * s[t] + noise
            else:
                t, X = 2 * last - first - 1 - j, L
                gradient_of_step(
                    t, M, b, c, r[t], coupling * s[t] + noise, coupling * G, lam, own, drive, run[t - first], L, sums,
                    dM, db, dc, dr,
                )  # fmt: skip
                # A^T is the A of the transposed method, with b and c exchanged; its push is the same for all nodes.
                A, into, out, push, weights = turned, c, b, ones, drive
                following, force = max(t - 1, 0), coupling * G
            total = stepped(t, following, A, into, out, r[t], force, lam, own, push, weights, X)
            if j >= last - first:
                G = total
                if t % FLUSH == 0:
                    flush(L.reshape(L.size))
