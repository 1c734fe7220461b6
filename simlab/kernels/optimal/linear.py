"""The risk of any linear method and its gradient in M, b, c and 1/B of every step (any k; Numba, SIMD over the nodes;
`two_variables` and `three_variables` are the same for these).

With A_i = M - lam_i b c^T, kappa_i = own_i c^T U_i c + drive_i (coupling s + noise), s = sum_j c^T U_j c and r = 1/B,

    U_i <- A_i U_i A_i^T + r kappa_i b b^T                              J = 1/2 sum_i o^T U_i o at the end

and L_i = dJ/dU_i, symmetric, runs backwards, with beta_i = b^T L_i b and G = sum_j drive_j beta_j:

    L_i <- A_i^T L_i A_i + r (own_i beta_i + coupling G) c c^T

With L of the iterate t + 1 and U of the iterate t, and X_i = L_i A_i U_i,

    dJ/dM = 2 sum X_i                  dJ/db = -2 (sum lam_i X_i) c + 2 r sum kappa_i L_i b
    dJ/dr = sum beta_i kappa_i         dJ/dc = -2 (sum lam_i X_i)^T b + 2 r sum (own_i beta_i + coupling G) U_i c

U is kept at the first step of every stretch and stepped again within it, with the couplings s already known.
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.steps import FLUSH, flush


@hot(error_model="numpy", fastmath=FAST)
def copied(source, target):
    """(k, k, N). An assignment of arrays would be compiled with Numba's words about shapes: two seconds of them."""
    k, N = source.shape[1], source.shape[2]
    for p in range(k):
        for q in range(k):
            for i in range(N):
                target[p, q, i] = source[p, q, i]


@hot(error_model="numpy", fastmath=FAST)
def coupled(c, U, y):
    """c^T U_i c into y (N,); their sum."""
    k, N = c.size, y.size
    for i in range(N):
        y[i] = 0.0
    for p in range(k):
        for q in range(k):
            f = c[p] * c[q]
            if f != 0.0:
                for i in range(N):
                    y[i] += f * U[p, q, i]
    total = 0.0
    for i in range(N):
        total += y[i]
    return total


@hot(error_model="numpy", fastmath=FAST)
def applied(M, b, c, lam, U, Uc, Z):
    """Z = A U = M U - lam b (U c)^T, with U c into Uc (k, N)."""
    k, N = c.size, lam.size
    for q in range(k):
        for i in range(N):
            Uc[q, i] = 0.0
        for p in range(k):
            f = c[p]
            if f != 0.0:
                for i in range(N):
                    Uc[q, i] += f * U[p, q, i]
    for p in range(k):
        for q in range(k):
            f = b[p]
            for i in range(N):
                Z[p, q, i] = -f * lam[i] * Uc[q, i]
            for l in range(k):
                f = M[p, l]
                if f != 0.0:
                    for i in range(N):
                        Z[p, q, i] += f * U[l, q, i]


@hot(error_model="numpy", fastmath=FAST)
def stepped(M, b, c, r, lam, own, drive, force, U, out, y, Uc, Z):
    """out = A U A^T + r (own y + drive force) b b^T, with y = c^T U c given; U and out may be one."""
    k, N = c.size, lam.size
    applied(M, b, c, lam, U, Uc, Z)
    for p in range(k):  # Z c
        for i in range(N):
            Uc[p, i] = 0.0
        for q in range(k):
            f = c[q]
            if f != 0.0:
                for i in range(N):
                    Uc[p, i] += f * Z[p, q, i]
    for p in range(k):
        for q in range(p, k):
            f, g = b[q], r * b[p] * b[q]
            for i in range(N):
                out[p, q, i] = g * (own[i] * y[i] + drive[i] * force) - f * lam[i] * Uc[p, i]
            for l in range(k):
                f = M[q, l]
                if f != 0.0:
                    for i in range(N):
                        out[p, q, i] += f * Z[p, l, i]
            if q > p:
                for i in range(N):
                    out[q, p, i] = out[p, q, i]


@kept(error_model="numpy", fastmath=FAST)
def forward(M, b, c, r, lam, own, drive, noise, coupling, U, every, kept_U, s):
    """U (k, k, N) to the end; s (T,) receives the couplings, kept_U (stretches, k, k, N) U at their first steps."""
    T, k, N = r.size, b.shape[1], lam.size
    y, Uc, Z = np.empty(N), np.empty((k, N)), np.empty((k, k, N))
    for t in range(T):
        if t % FLUSH == 0:
            flush(U.reshape(U.size))
        if t % every == 0:
            copied(U, kept_U[t // every])
        s[t] = coupled(c[t], U, y)
        stepped(M[t], b[t], c[t], r[t], lam, own, drive, coupling * s[t] + noise, U, U, y, Uc, Z)


@hot(error_model="numpy", fastmath=FAST)
def gradient_of_step(M, b, c, r, lam, own, drive, force, coupling, beta, G, L, Lb, U, y, Uc, Z, dM, db, dc):
    """dJ/dM (k, k), dJ/db and dJ/dc (k,) of one step; returns dJ/dr."""
    k, N = c.size, lam.size
    applied(M, b, c, lam, U, Uc, Z)
    for p in range(k):
        db[p], dc[p] = 0.0, 0.0
    for p in range(k):
        for q in range(k):
            total = weighted = 0.0
            for l in range(k):
                for i in range(N):
                    x = L[p, l, i] * Z[l, q, i]
                    total += x
                    weighted += lam[i] * x
            dM[p, q] = 2.0 * total
            db[p] -= 2.0 * weighted * c[q]
            dc[q] -= 2.0 * weighted * b[p]
    for p in range(k):
        kicked = returned = 0.0
        for i in range(N):
            kicked += (own[i] * y[i] + drive[i] * force) * Lb[p, i]
            returned += (own[i] * beta[i] + coupling * G) * Uc[p, i]
        db[p] += 2.0 * r * kicked
        dc[p] += 2.0 * r * returned
    total = 0.0
    for i in range(N):
        total += beta[i] * (own[i] * y[i] + drive[i] * force)
    return total


@kept(error_model="numpy", fastmath=FAST)
def backward(M, b, c, r, lam, own, drive, noise, coupling, L, every, kept_U, s, dM, db, dc, dr):
    """dJ/dM (T, k, k), dJ/db, dJ/dc (T, k) and dJ/dr (T,), from L (k, k, N) of the end and what `forward` kept."""
    T, k, N = r.size, b.shape[1], lam.size
    y, Uc, Z = np.empty(N), np.empty((k, N)), np.empty((k, k, N))
    beta, Lb, run, ones = np.empty(N), np.empty((k, N)), np.empty((every, k, k, N)), np.ones(N)
    for row in range((T - 1) // every, -1, -1):
        first, last = row * every, min(T, (row + 1) * every)
        copied(kept_U[row], run[0])
        for t in range(first, last - 1):
            j = t - first
            coupled(c[t], run[j], y)
            stepped(M[t], b[t], c[t], r[t], lam, own, drive, coupling * s[t] + noise, run[j], run[j + 1], y, Uc, Z)
        for t in range(last - 1, first - 1, -1):
            j, force = t - first, coupling * s[t] + noise
            G = 0.0
            for i in range(N):
                beta[i] = 0.0
            for p in range(k):
                for i in range(N):
                    Lb[p, i] = 0.0
                for q in range(k):
                    f = b[t, q]
                    if f != 0.0:
                        for i in range(N):
                            Lb[p, i] += f * L[p, q, i]
                f = b[t, p]
                for i in range(N):
                    beta[i] += f * Lb[p, i]
            for i in range(N):
                G += drive[i] * beta[i]
            coupled(c[t], run[j], y)
            dr[t] = gradient_of_step(
                M[t], b[t], c[t], r[t], lam, own, drive, force, coupling, beta, G, L, Lb, run[j], y, Uc, Z,
                dM[t], db[t], dc[t],
            )  # fmt: skip
            # A^T is the A of the transposed method, with b and c exchanged; its push is the same for all nodes.
            stepped(M[t].T, c[t], b[t], r[t], lam, own, ones, coupling * G, L, L, beta, Lb, Z)
            if t % FLUSH == 0:
                flush(L.reshape(L.size))
