"""`linear` for k = 2, on the upper triangles of the symmetric U_i and L_i: one fused pass over the nodes per step.

The equations are those of `simlab.kernels.optimal.linear`, with X_i = (L_i A_i) U_i and A_i^T (L_i A_i) from one
product. The sum that the next step waits for, s or G, is taken in the same pass.
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.steps import FLUSH, flush
from simlab.kernels.optimal.triangles import completed, copied, coupled


@hot(error_model="numpy", fastmath=FAST)
def stepped(t, following, M, b, c, share, force, lam, own, drive, U):
    """U after the step t, in place; the coupling of the step `following`."""
    m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
    b0, b1, c0, c1 = b[t, 0], b[t, 1], c[t, 0], c[t, 1]
    e0, e1 = c[following, 0], c[following, 1]
    d00, d01, d10, d11 = b0 * c0, b0 * c1, b1 * c0, b1 * c1
    k00, k01, k11 = b0 * b0, b0 * b1, b1 * b1
    p00, p01, p11 = share * c0 * c0, 2.0 * share * c0 * c1, share * c1 * c1
    q00, q01, q11 = e0 * e0, 2.0 * e0 * e1, e1 * e1
    kick, total = share * force, 0.0
    for i in range(lam.size):
        l, x, y, z = lam[i], U[0, 0, i], U[0, 1, i], U[1, 1, i]
        a00, a01, a10, a11 = m00 - l * d00, m01 - l * d01, m10 - l * d10, m11 - l * d11
        g = own[i] * (p00 * x + p01 * y + p11 * z) + kick * drive[i]
        w00, w01 = a00 * x + a01 * y, a00 * y + a01 * z
        w10, w11 = a10 * x + a11 * y, a10 * y + a11 * z
        x = w00 * a00 + w01 * a01 + g * k00
        y = w00 * a10 + w01 * a11 + g * k01
        z = w10 * a10 + w11 * a11 + g * k11
        U[0, 0, i], U[0, 1, i], U[1, 1, i] = x, y, z
        total += q00 * x + q01 * y + q11 * z
    return total


@kept(error_model="numpy", fastmath=FAST)
def forward(M, b, c, r, lam, own, drive, noise, coupling, U, every, kept_U, s):
    """U (2, 2, N) to the end; s (T,) receives the couplings, kept_U (stretches, 2, 2, N) U at their first steps."""
    T = r.size
    total = coupled(c[0], np.ones(lam.size), U)
    for t in range(T):
        if t % FLUSH == 0:
            flush(U.reshape(U.size))
        if t % every == 0:
            copied(U, kept_U[t // every])
        s[t] = total
        total = stepped(t, min(t + 1, T - 1), M, b, c, r[t], coupling * total + noise, lam, own, drive, U)
    completed(U)


@hot(error_model="numpy", fastmath=FAST)
def pulled(t, before, M, b, c, share, force, add, lam, own, drive, U, L, dM, db, dc, dr):
    """The gradient in the arrays of the step t, L of the iterate t + 1 to t in place, and G of the step `before`.

    force is coupling s + noise and add is coupling G of this step.
    """
    m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
    b0, b1, c0, c1 = b[t, 0], b[t, 1], c[t, 0], c[t, 1]
    e0, e1 = b[before, 0], b[before, 1]
    d00, d01, d10, d11 = b0 * c0, b0 * c1, b1 * c0, b1 * c1
    k00, k01, k11 = share * c0 * c0, share * c0 * c1, share * c1 * c1
    q00, q01, q11 = e0 * e0, 2.0 * e0 * e1, e1 * e1
    s00 = s01 = s10 = s11 = w00 = w01 = w10 = w11 = 0.0  # sums of X and lam X
    kicked = kicked_0 = kicked_1 = returned_0 = returned_1 = G = 0.0
    for i in range(lam.size):
        l, u, v, w = lam[i], U[0, 0, i], U[0, 1, i], U[1, 1, i]
        x, y, z = L[0, 0, i], L[0, 1, i], L[1, 1, i]
        a00, a01, a10, a11 = m00 - l * d00, m01 - l * d01, m10 - l * d10, m11 - l * d11
        n00, n01, n10, n11 = x * a00 + y * a10, x * a01 + y * a11, y * a00 + z * a10, y * a01 + z * a11  # L A
        x00, x01, x10, x11 = n00 * u + n01 * v, n00 * v + n01 * w, n10 * u + n11 * v, n10 * v + n11 * w
        s00, s01, s10, s11 = s00 + x00, s01 + x01, s10 + x10, s11 + x11
        w00, w01, w10, w11 = w00 + l * x00, w01 + l * x01, w10 + l * x10, w11 + l * x11
        u0, u1 = c0 * u + c1 * v, c0 * v + c1 * w
        l0, l1 = x * b0 + y * b1, y * b0 + z * b1
        beta, kappa = b0 * l0 + b1 * l1, own[i] * (c0 * u0 + c1 * u1) + drive[i] * force
        back = own[i] * beta + add
        kicked, kicked_0, kicked_1 = kicked + kappa * beta, kicked_0 + kappa * l0, kicked_1 + kappa * l1
        returned_0, returned_1 = returned_0 + back * u0, returned_1 + back * u1
        x = a00 * n00 + a10 * n10 + back * k00
        y = a00 * n01 + a10 * n11 + back * k01
        z = a01 * n01 + a11 * n11 + back * k11
        L[0, 0, i], L[0, 1, i], L[1, 1, i] = x, y, z
        G += drive[i] * (q00 * x + q01 * y + q11 * z)
    dM[t, 0, 0], dM[t, 0, 1], dM[t, 1, 0], dM[t, 1, 1] = 2.0 * s00, 2.0 * s01, 2.0 * s10, 2.0 * s11
    db[t, 0] = 2.0 * (share * kicked_0 - w00 * c0 - w01 * c1)
    db[t, 1] = 2.0 * (share * kicked_1 - w10 * c0 - w11 * c1)
    dc[t, 0] = 2.0 * (share * returned_0 - w00 * b0 - w10 * b1)
    dc[t, 1] = 2.0 * (share * returned_1 - w01 * b0 - w11 * b1)
    dr[t] = kicked
    return G


@kept(error_model="numpy", fastmath=FAST)
def backward(M, b, c, r, lam, own, drive, noise, coupling, L, every, kept_U, s, dM, db, dc, dr):
    """dJ/dM (T, 2, 2), dJ/db, dJ/dc (T, 2) and dJ/dr (T,), from L (2, 2, N) of the end and what `forward` kept."""
    T, N = r.size, lam.size
    run = np.empty((every, 2, 2, N))
    G = coupled(b[T - 1], drive, L)
    for row in range((T - 1) // every, -1, -1):
        first, last = row * every, min(T, (row + 1) * every)
        copied(kept_U[row], run[0])
        for t in range(first, last - 1):
            U = run[t + 1 - first]
            copied(run[t - first], U)
            stepped(t, t + 1, M, b, c, r[t], coupling * s[t] + noise, lam, own, drive, U)
        for t in range(last - 1, first - 1, -1):
            G = pulled(
                t, max(t - 1, 0), M, b, c, r[t], coupling * s[t] + noise, coupling * G, lam, own, drive,
                run[t - first], L, dM, db, dc, dr,
            )  # fmt: skip
            if t % FLUSH == 0:
                flush(L.reshape(L.size))
