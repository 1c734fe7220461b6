"""Polynomials in the eigenvalue, on which the tail of a spectrum is carried through a block of steps.

See `simlab.kernels.moments.blocks` for what they are. Coefficients of x^p, p < ORDER, are stored in descending order
with PAD zeros behind, so that multiplying by x is reading one place ahead.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simlab.kernels.compiling import FAST, hot, inlined

ORDER = 24
PAD = 2
STRIDE = ORDER + PAD
WIDTH_3 = 5 * STRIDE + PAD
TILE = 128
LAST = 1e-19


@inlined(error_model="numpy", fastmath=FAST)
def power_sums(lam, top, drive, U, first, end, D, mu, with_drive):
    """Adds sum x^p U to mu[component, entry, p] and, if asked for, sum drive x^p to D[p], over the nodes first .. end.

    Stored in descending powers; four powers a pass, to spare memory traffic.
    """
    entries = U.shape[1]
    x, power = np.empty(TILE), np.empty(TILE)
    for lo in range(first, end, TILE):
        size = min(TILE, end - lo)
        for i in range(size):
            x[i] = lam[lo + i] / top
            power[i] = 1.0
        for p in range(0, ORDER, 4):
            at = ORDER - 1 - p
            if with_drive:
                a0 = a1 = a2 = a3 = 0.0
                for i in range(size):
                    y, v = x[i], power[i] * drive[lo + i]
                    a0 += v
                    a1 += v * y
                    a2 += v * (y * y)
                    a3 += v * (y * y * y)
                D[at] += a0
                D[at - 1] += a1
                D[at - 2] += a2
                D[at - 3] += a3
            for e in range(entries):
                a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = 0.0
                for i in range(size):
                    y, v, w = x[i], power[i] * U[0, e, lo + i], power[i] * U[1, e, lo + i]
                    z = y * y
                    a0 += v
                    b0 += w
                    a1 += v * y
                    b1 += w * y
                    a2 += v * z
                    b2 += w * z
                    a3 += v * (z * y)
                    b3 += w * (z * y)
                mu[0, e, at] += a0
                mu[0, e, at - 1] += a1
                mu[0, e, at - 2] += a2
                mu[0, e, at - 3] += a3
                mu[1, e, at] += b0
                mu[1, e, at - 1] += b1
                mu[1, e, at - 2] += b2
                mu[1, e, at - 3] += b3
            for i in range(size):
                z = x[i] * x[i]
                power[i] *= z * z


@inlined(error_model="numpy", fastmath=FAST)
def power_sums_by_label(lam, top, drive, U, first, labels, D, mu, with_drive):
    """D[label, p] and mu[label, component, entry, p], run by run of nodes with the same label, from zero."""
    mu[:, :, :, :] = 0.0
    if with_drive:
        D[:, :] = 0.0
    lo = np.int64(first)
    while lo < lam.size:
        end = lo + 1
        while end < lam.size and labels[end] == labels[lo]:
            end += 1
        label = labels[lo]
        power_sums(lam, top, drive, U, lo, end, D[label], mu[label], with_drive)
        lo = end


@hot(error_model="numpy", fastmath=FAST)
def _horner(Z, e, at, x, size, out):
    """out[:size] = the polynomial whose coefficients are Z[e, at : at + ORDER], at x."""
    for i in range(size):
        out[i] = 0.0
    for p in range(at, at + ORDER, 4):
        c0, c1, c2, c3 = Z[e, p], Z[e, p + 1], Z[e, p + 2], Z[e, p + 3]
        for i in range(size):
            y = x[i]
            out[i] = (((out[i] * y + c0) * y + c1) * y + c2) * y + c3


@inlined(error_model="numpy", fastmath=FAST)
def bring_up_to_date(lam, top, drive, U, first, Z):
    """U <- Q(x) U + drive G(x) for the nodes from `first` on; rows of Z: E columns of Q, then G of both components."""
    entries = U.shape[1]
    x, value = np.empty(TILE), np.empty(TILE)
    new = np.empty((2, entries, TILE))
    for lo in range(first, lam.size, TILE):
        size = min(TILE, lam.size - lo)
        for i in range(size):
            x[i] = lam[lo + i] / top
        for e in range(entries):
            for component in range(2):
                _horner(Z, e, (entries + component) * STRIDE, x, size, value)
                for i in range(size):
                    new[component, e, i] = drive[lo + i] * value[i]
            for f in range(entries):
                _horner(Z, e, f * STRIDE, x, size, value)
                for i in range(size):
                    new[0, e, i] += value[i] * U[0, f, lo + i]
                    new[1, e, i] += value[i] * U[1, f, lo + i]
        for component in range(2):
            for e in range(entries):
                for i in range(size):
                    U[component, e, lo + i] = new[component, e, i]


@inlined(error_model="numpy", fastmath=FAST)
def bring_up_to_date_1(lam, top, drive, U, first, F, row):
    """`bring_up_to_date` for k = 1: Q and G of both components at F[0], F[row], F[2 row], evaluated side by side."""
    x, q, g, h = np.empty(TILE), np.empty(TILE), np.empty(TILE), np.empty(TILE)
    for lo in range(first, lam.size, TILE):
        size = min(TILE, lam.size - lo)
        for i in range(size):
            x[i] = lam[lo + i] / top
            q[i] = 0.0
            g[i] = 0.0
            h[i] = 0.0
        for p in range(0, ORDER, 4):
            a0, a1, a2, a3 = F[p], F[p + 1], F[p + 2], F[p + 3]
            b0, b1, b2, b3 = F[row + p], F[row + p + 1], F[row + p + 2], F[row + p + 3]
            c0, c1, c2, c3 = F[2 * row + p], F[2 * row + p + 1], F[2 * row + p + 2], F[2 * row + p + 3]
            for i in range(size):
                y = x[i]
                q[i] = (((q[i] * y + a0) * y + a1) * y + a2) * y + a3
                g[i] = (((g[i] * y + b0) * y + b1) * y + b2) * y + b3
                h[i] = (((h[i] * y + c0) * y + c1) * y + c2) * y + c3
        for i in range(size):
            U[0, 0, lo + i] = q[i] * U[0, 0, lo + i] + drive[lo + i] * g[i]
            U[1, 0, lo + i] = q[i] * U[1, 0, lo + i] + drive[lo + i] * h[i]


@hot(error_model="numpy", fastmath=FAST)
def packed(t, c, out):
    """Upper triangle of c_t c_t^T as a quadratic form: off-diagonal entries doubled."""
    entry = 0
    for p in range(c.shape[1]):
        for q in range(p, c.shape[1]):
            out[entry] = c[t, p] * c[t, q] * (1.0 if p == q else 2.0)
            entry += 1


@hot(error_model="numpy", fastmath=FAST)
def _transfer_2(t, M, b, c, top, T0, T1, bb):
    """`transfer` for k = 2, written out."""
    m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
    b0, b1 = b[t, 0], b[t, 1]
    d00, d01 = -top * b0 * c[t, 0], -top * b0 * c[t, 1]
    d10, d11 = -top * b1 * c[t, 0], -top * b1 * c[t, 1]
    bb[0], bb[1], bb[2] = b0 * b0, b0 * b1, b1 * b1
    T0[0, 0], T0[0, 1], T0[0, 2] = m00 * m00, 2.0 * m00 * m01, m01 * m01
    T0[1, 0], T0[1, 1], T0[1, 2] = m00 * m10, m00 * m11 + m01 * m10, m01 * m11
    T0[2, 0], T0[2, 1], T0[2, 2] = m10 * m10, 2.0 * m10 * m11, m11 * m11
    T1[0, 0], T1[0, 1], T1[0, 2] = 2.0 * m00 * d00, 2.0 * (m00 * d01 + d00 * m01), 2.0 * m01 * d01
    T1[1, 0], T1[1, 2] = m00 * d10 + d00 * m10, m01 * d11 + d01 * m11
    T1[1, 1] = m00 * d11 + d00 * m11 + m01 * d10 + d01 * m10
    T1[2, 0], T1[2, 1], T1[2, 2] = 2.0 * m10 * d10, 2.0 * (m10 * d11 + d10 * m11), 2.0 * m11 * d11


@hot(error_model="numpy", fastmath=FAST)
def transfer(t, M, b, c, top, T0, T1, bb, index):
    """T0, T1 (E, E) of U -> A U A^T = T0 U + x T1 U + x^2 top^2 bb (cc . U) on packed symmetric matrices, lam = x
    top.
    """
    k = b.shape[1]
    if k == 2:
        _transfer_2(t, M, b, c, top, T0, T1, bb)
        return
    T0[:, :] = 0.0
    T1[:, :] = 0.0
    for p in range(k):
        for q in range(p, k):
            e = index[p, q]
            bb[e] = b[t, p] * b[t, q]
            for r in range(k):
                for s in range(k):
                    T0[e, index[r, s]] += M[t, p, r] * M[t, q, s]
                    T1[e, index[r, s]] -= top * (b[t, p] * c[t, r] * M[t, q, s] + M[t, p, r] * b[t, q] * c[t, s])


@njit(inline="always")
def _carry_3(flat, source, target, T0, T1, push, cc):
    """`carry` for the three moments of k = 2, written out, from `source` to `target` in one flat buffer.

    Inlined below with constant offsets: the compiler sees that what is read and what is written are apart, and
    vectorises.
    """
    a00, a01, a02, b00, b01, b02 = T0[0, 0], T0[0, 1], T0[0, 2], T1[0, 0], T1[0, 1], T1[0, 2]
    a10, a11, a12, b10, b11, b12 = T0[1, 0], T0[1, 1], T0[1, 2], T1[1, 0], T1[1, 1], T1[1, 2]
    a20, a21, a22, b20, b21, b22 = T0[2, 0], T0[2, 1], T0[2, 2], T1[2, 0], T1[2, 1], T1[2, 2]
    p0, p1, p2, c0, c1, c2 = push[0], push[1], push[2], cc[0], cc[1], cc[2]
    for at in range(0, 5 * STRIDE, STRIDE):
        for j in range(at, at + ORDER):
            i = source + j
            x, y, z, w = flat[i], flat[i + WIDTH_3], flat[i + 2 * WIDTH_3], flat[i + 3 * WIDTH_3 + 2]
            u, v, r = flat[i + 1], flat[i + WIDTH_3 + 1], flat[i + 2 * WIDTH_3 + 1]
            h0 = a00 * x + a01 * y + a02 * z + b00 * u + b01 * v + b02 * r + p0 * w
            h1 = a10 * x + a11 * y + a12 * z + b10 * u + b11 * v + b12 * r + p1 * w
            h2 = a20 * x + a21 * y + a22 * z + b20 * u + b21 * v + b22 * r + p2 * w
            i = target + j
            flat[i], flat[i + WIDTH_3], flat[i + 2 * WIDTH_3] = h0, h1, h2
            flat[i + 3 * WIDTH_3] = c0 * h0 + c1 * h1 + c2 * h2


@hot(error_model="numpy", fastmath=FAST)
def carry(buffer, side, T0, T1, push, cc):
    """From buffer[side] to the other side: rows Z <- (T0 + x T1) Z + x^2 push seen, last row seen <- cc . Z.

    Multiplying by x is reading one place ahead.
    """
    entries = buffer.shape[1] - 1
    if entries == 3:
        flat = buffer.reshape(-1)
        if side == 0:
            _carry_3(flat, 0, 4 * WIDTH_3, T0, T1, push, cc)
        else:
            _carry_3(flat, 4 * WIDTH_3, 0, T0, T1, push, cc)
        return
    Z, new = buffer[side], buffer[1 - side]
    width = (entries + 2) * STRIDE - PAD
    for j in range(width):
        new[entries, j] = 0.0
    for e in range(entries):
        for j in range(width):
            new[e, j] = push[e] * Z[entries, j + 2]
        for f in range(entries):
            a, b = T0[e, f], T1[e, f]
            if b != 0.0:
                for j in range(width):
                    new[e, j] += a * Z[f, j] + b * Z[f, j + 1]
            elif a != 0.0:
                for j in range(width):
                    new[e, j] += a * Z[f, j]
        for at in range(ORDER, width, STRIDE):
            new[e, at] = 0.0
            new[e, at + 1] = 0.0
        if cc[e] != 0.0:
            for j in range(width):
                new[entries, j] += cc[e] * new[e, j]


@hot(error_model="numpy", fastmath=FAST)
def exhausted(Z):
    """Whether the last kept coefficient of Q or G has grown to where the next one could matter."""
    entries = Z.shape[0] - 1
    for at in range(0, (entries + 2) * STRIDE, STRIDE):
        # The largest coefficient is among the lowest powers, or the block is stopped early, which is safe.
        top = last = 0.0
        for e in range(entries):
            for j in range(at + ORDER - 3, at + ORDER):
                top = max(top, abs(Z[e, j]))
            last = max(last, abs(Z[e, at]), 1e-3 * abs(Z[e, at + 1]))
        if last > LAST * top:
            return True
    return False


@hot(error_model="numpy", fastmath=FAST)
def cancelled(Z, most):
    """Whether a moment of the largest eigenvalue, x = 1, is a sum of terms more than `most` times as large as itself.

    A row of Q counts as long as one of its entries is sound: single ones pass through zero in a mode that oscillates.
    """
    entries = Z.shape[0] - 1
    for e in range(entries):
        sound, empty = False, True
        for at in range(0, entries * STRIDE, STRIDE):
            total = size = 0.0
            for j in range(at, at + ORDER):
                total += Z[e, j]
                size += abs(Z[e, j])
            if size > 0.0:
                empty = False
                if size <= most * abs(total):
                    sound = True
        if not (sound or empty):
            return True
    return False
