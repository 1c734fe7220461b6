"""Many steps of the tail in one: exact to rounding, at a fraction of the cost.

A mode with lr lam << 1 changes little in one step, and what a block of m steps does to it is a polynomial in lam of
which a few terms suffice. One step multiplies the packed moments u of a mode by T0 + lam T1 + lam^2 T2 and adds drive
times a kick that is the same for all modes; a block therefore takes u to

    Q(x) u + drive G(x),     x = lam / lam_top in [0, 1],

where Q starts from 1 and G from 0 and both obey the same recursion as u, on coefficients of x^p, p < ORDER. The head
of the spectrum, lam > lam_top, is stepped mode by mode. The coupling s needs of the tail, at every step, only

    sum_tail c^T u c = (cc . Q) . mu + (cc . G) . D,     mu_p = sum_tail x^p u,  D_p = sum_tail drive x^p,

with mu and D taken once at the start of the block; at its end every tail mode is brought up to date.

The block ends before the first coefficient left out could matter: for k = 1 when the sum of |T1 + T2| / T0 reaches
`REACH`, where REACH^ORDER / ORDER! < 1e-19; for larger k when the last coefficient kept passes `LAST` times the
largest.

It holds where self_noise = ratio lam^2, i.e. for one kurtosis shared by all modes; otherwise every mode is stepped.
Coefficients are stored in descending order with PAD zeros behind, so that multiplying by x is reading one place ahead.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simlab.kernels.moments import (
    FAST,
    FLUSH,
    LANES,
    TINY,
    flush,
    gradient_risk,
    pack,
    record,
    step_1,
    step_2,
    step_3,
    step_any,
    unpack,
)

ORDER = 24
PAD = 2
STRIDE = ORDER + PAD
WIDTH_3 = 5 * STRIDE + PAD
TILE = 128
REACH = 1.5
LAST = 1e-19
SHORTEST = 8
CHECK = 4


@njit(cache=True, nogil=True, fastmath=FAST)
def _power_sums(lam, top, drive, U, first, D, mu, with_drive):
    """mu[component, entry, p] = sum x^p U and, if asked for, D[p] = sum drive x^p over the nodes from `first` on.

    Stored in descending powers; four powers a pass, to spare memory traffic.
    """
    entries = U.shape[1]
    mu[:, :, :] = 0.0
    if with_drive:
        D[:] = 0.0
    x, power = np.empty(TILE), np.empty(TILE)
    for lo in range(first, lam.size, TILE):
        size = min(TILE, lam.size - lo)
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


@njit(cache=True, nogil=True, fastmath=FAST)
def _horner(Z, e, at, x, size, out):
    """out[:size] = the polynomial whose coefficients are Z[e, at : at + ORDER], at x."""
    for i in range(size):
        out[i] = 0.0
    for p in range(at, at + ORDER, 4):
        c0, c1, c2, c3 = Z[e, p], Z[e, p + 1], Z[e, p + 2], Z[e, p + 3]
        for i in range(size):
            y = x[i]
            out[i] = (((out[i] * y + c0) * y + c1) * y + c2) * y + c3


@njit(cache=True, nogil=True, fastmath=FAST)
def _bring_up_to_date(lam, top, drive, U, first, Z):
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


@njit(cache=True, nogil=True, fastmath=FAST)
def _block_1(
    t, length, head, M, b, c, share, lam, self_noise, ratio, drive, noise, coupling, U, s, limit, D, mu, fresh
):
    """A block for k = 1, where T0 + x T1 + x^2 T2 is a number and REACH can be counted: everything in one loop."""
    n, top = b.shape[0], lam[head]
    _power_sums(lam, top, drive, U, head, D, mu, fresh)
    Z = np.zeros((1, 3 * STRIDE))
    q, g_bias, g_variance = Z[0, :STRIDE], Z[0, STRIDE : 2 * STRIDE], Z[0, 2 * STRIDE :]
    q[ORDER - 1] = 1.0
    bias, variance, mu_bias, mu_variance = U[0, 0], U[1, 0], mu[0, 0], mu[1, 0]
    s_bias, s_variance = s[0], s[1]
    reach = 0.0
    done = 0
    while done < length:
        j = t + done
        a, slope = M[j, 0, 0], -b[j, 0] * c[j, 0]
        own = share[j] * slope * slope
        t0, t1, t2 = a * a, 2.0 * a * slope * top, (slope * slope + own * ratio) * top * top
        if done > 0 and (t0 <= 0.0 or reach * t0 + abs(t1) + abs(t2) > REACH * t0):
            break
        reach += (abs(t1) + abs(t2)) / t0
        square = share[j] * b[j, 0] * b[j, 0]
        kick_bias, kick_variance = square * coupling * s_bias, square * (coupling * s_variance + noise)
        total_bias, total_variance = kick_bias * D[ORDER - 1], kick_variance * D[ORDER - 1]
        for p in range(ORDER):
            v = t0 * q[p] + t1 * q[p + 1] + t2 * q[p + 2]
            q[p] = v
            total_bias += v * mu_bias[p]
            total_variance += v * mu_variance[p]
        for p in range(ORDER):
            v = t0 * g_bias[p] + t1 * g_bias[p + 1] + t2 * g_bias[p + 2]
            g_bias[p] = v
            total_bias += v * D[p]
        for p in range(ORDER):
            v = t0 * g_variance[p] + t1 * g_variance[p + 1] + t2 * g_variance[p + 2]
            g_variance[p] = v
            total_variance += v * D[p]
        g_bias[ORDER - 1] += kick_bias
        g_variance[ORDER - 1] += kick_variance
        for i in range(head):
            factor = slope * lam[i] + a
            factor = factor * factor + own * self_noise[i]
            x = factor * bias[i] + kick_bias * drive[i]
            y = factor * variance[i] + kick_variance * drive[i]
            bias[i] = x
            variance[i] = y
            total_bias += x
            total_variance += y
        done += 1
        weight = c[min(j + 1, n - 1), 0] ** 2
        s_bias, s_variance = weight * total_bias, weight * total_variance
        if not s_bias + s_variance <= limit:
            break
        if j % FLUSH == 0:
            for i in range(head):
                bias[i] = 0.0 if abs(bias[i]) < TINY else bias[i]
                variance[i] = 0.0 if abs(variance[i]) < TINY else variance[i]
    s[0], s[1] = s_bias, s_variance
    _bring_up_to_date(lam, top, drive, U, head, Z)
    return done


@njit(cache=True, nogil=True, fastmath=FAST)
def _packed(t, c, out):
    """Upper triangle of c_t c_t^T as a quadratic form: off-diagonal entries doubled."""
    entry = 0
    for p in range(c.shape[1]):
        for q in range(p, c.shape[1]):
            out[entry] = c[t, p] * c[t, q] * (1.0 if p == q else 2.0)
            entry += 1


@njit(cache=True, nogil=True, fastmath=FAST)
def _transfer_2(t, M, b, c, top, T0, T1, bb):
    """`_transfer` for k = 2, written out."""
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


@njit(cache=True, nogil=True, fastmath=FAST)
def _transfer(t, M, b, c, top, T0, T1, bb, index):
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


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def _carry_3(flat, source, target, T0, T1, push, cc):
    """`_carry` for the three moments of k = 2, written out, from `source` to `target` in one flat buffer.

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


@njit(cache=True, nogil=True, fastmath=FAST)
def _carry(buffer, side, T0, T1, push, cc):
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


@njit(cache=True, nogil=True, fastmath=FAST)
def _exhausted(Z):
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


@njit(cache=True, nogil=True, fastmath=FAST)
def _block(
    t,
    length,
    head,
    M,
    b,
    c,
    share,
    lam,
    self_noise,
    ratio,
    drive,
    noise,
    coupling,
    U,
    s,
    limit,
    D,
    mu,
    fresh,
    X,
    work,
):
    """Up to `length` steps from step t on with `head` modes stepped one by one. Returns the steps done; `s` is
    updated.
    """
    k = b.shape[1]
    entries, n, top = k * (k + 1) // 2, b.shape[0], lam[head]
    _power_sums(lam, top, drive, U, head, D, mu, fresh)
    width = (entries + 2) * STRIDE
    # Two sides, each with the E rows of Z = (Q, G) and a row cc . Z, what the gradient point sees of it.
    buffer = np.zeros((2, entries + 1, width + PAD))
    side = 0
    T0, T1 = np.empty((entries, entries)), np.empty((entries, entries))
    bb, push, cc = np.empty(entries), np.empty(entries), np.empty(entries)
    index = np.empty((k, k), dtype=np.int64)
    _packed(t, c, cc)
    entry = 0
    for p in range(k):
        for q in range(p, k):
            index[p, q] = entry
            index[q, p] = entry
            buffer[0, entry, entry * STRIDE + ORDER - 1] = 1.0
            buffer[0, entries, entry * STRIDE + ORDER - 1] = cc[entry]
            entry += 1
    if k <= 3:
        pack(lam, self_noise, drive, U, head, X)
    # A copy: the vector loops need each row of the head to be contiguous for the compiler to know it.
    U_head = U[:, :, : head if k > 3 else 0].copy()
    lam_head, own_head, drive_head = lam[:head], self_noise[:head], drive[:head]
    g_bias, g_variance = entries * STRIDE, (entries + 1) * STRIDE
    done = 0
    while done < length:
        j = t + done
        following = min(j + 1, n - 1)
        kick_bias = share[j] * coupling * s[0]
        kick_variance = share[j] * (coupling * s[1] + noise)
        _transfer(j, M, b, c, top, T0, T1, bb, index)
        for e in range(entries):
            push[e] = top * top * (1.0 + share[j] * ratio) * bb[e]
        _packed(following, c, cc)
        _carry(buffer, side, T0, T1, push, cc)
        side = 1 - side
        for e in range(entries):
            buffer[side, e, g_bias + ORDER - 1] += bb[e] * kick_bias
            buffer[side, e, g_variance + ORDER - 1] += bb[e] * kick_variance
            buffer[side, entries, g_bias + ORDER - 1] += cc[e] * bb[e] * kick_bias
            buffer[side, entries, g_variance + ORDER - 1] += cc[e] * bb[e] * kick_variance
        if k == 2:
            bias, variance = step_2(j, following, M, b, c, share[j], kick_bias, kick_variance, X, head)
        elif k == 3:
            bias, variance = step_3(j, following, M, b, c, share[j], kick_bias, kick_variance, X, head)
        else:
            bias, variance = step_any(
                j, following, M, b, c, share[j], kick_bias, kick_variance, lam_head, own_head, drive_head, U_head, work
            )
        done += 1
        for p in range(ORDER):
            bias += buffer[side, entries, g_bias + p] * D[p]
            variance += buffer[side, entries, g_variance + p] * D[p]
        for e in range(entries):
            at = e * STRIDE
            for p in range(ORDER):
                bias += buffer[side, entries, at + p] * mu[0, e, p]
                variance += buffer[side, entries, at + p] * mu[1, e, p]
        s[0], s[1] = bias, variance
        if not bias + variance <= limit:
            break
        if j % FLUSH == 0:
            flush(X if k <= 3 else U_head.reshape(-1))
        if (done < 8 * CHECK or done % CHECK == 0) and _exhausted(buffer[side]):
            break
    if k <= 3:
        unpack(X, head, U)
    else:
        U[:, :, :head] = U_head
    _bring_up_to_date(lam, top, drive, U, head, buffer[side])
    return done


@njit(cache=True, nogil=True)
def _choose_head(lam, rate, length, k):
    """The head of the cheapest block by a count of cycles per step; -1 where plain steps are cheaper.

    `rate` lam is how much of REACH a step uses up.
    """
    entries = k * (k + 1) // 2
    per_mode = 1.0 if k == 1 else 1.2 * k**3
    carried = 90.0 if k == 1 else 150.0 + 15.0 * entries * (entries + 1) * (entries + 2)
    closing = 6.0 * entries * entries + 24.0 * entries
    best, choice = per_mode * lam.size, -1
    head = 0
    while head < lam.size:
        if lam[head] <= 0.0:
            break
        m = min(REACH / max(rate * lam[head], 1e-300), float(length))
        if m >= SHORTEST:
            cost = per_mode * head + carried + closing * (lam.size - head) / m
            if cost < best:
                best, choice = cost, head
        head = LANES if head == 0 else 2 * head
    return choice


@njit(cache=True, nogil=True, fastmath=FAST)
def advance(first, M, b, c, o, share, lam, self_noise, ratio, drive, noise, coupling, U, limit, slots, labels, out):
    """A chunk of n steps of the moments of one run; returns the steps done, less than n where s passes `limit`.

    M (n, k, k), b, c, o (n, k), share = 1 / B (n,); node arrays (N,) with lam descending, zero-padded to a multiple of
    LANES; U (2, k (k + 1) / 2, N) in place. `slots` (n,): row of `out` (rows, 2, labels) that takes the risk before a
    step, or -1. `ratio` = self_noise / lam^2 if that is one number, else NaN (then every mode is stepped).
    """
    n, k = slots.size, b.shape[1]
    entries = k * (k + 1) // 2
    work = np.empty((k * k + k + 1, LANES))
    D, mu = np.empty(ORDER), np.empty((2, entries, ORDER))
    X = np.empty((3 + 2 * entries) * lam.size if 2 <= k <= 3 else 0)
    s = np.array(gradient_risk(U, c[0]))
    rate = 0.0
    t = until = 0
    last_head = -1
    while t < n:
        if slots[t] >= 0:
            record(U, o[t], labels, out[slots[t]])
        if until <= t:
            until = t + 1
            while until < n and slots[until] < 0:
                until += 1
        length = until - t
        head = -1
        if not np.isnan(ratio) and length >= SHORTEST:
            if k == 1:
                rate = 2.0 * abs(b[t, 0] * c[t, 0]) / max(abs(M[t, 0, 0]), 1e-300)
            elif rate == 0.0:
                for p in range(k):
                    rate = max(rate, 4.0 * abs(b[t, p] * c[t, p]))
            head = _choose_head(lam, rate, length, k)
        if head >= 0:
            fresh, last_head = head != last_head, head
            if k == 1:
                done = _block_1(
                    t,
                    length,
                    head,
                    M,
                    b,
                    c,
                    share,
                    lam,
                    self_noise,
                    ratio,
                    drive,
                    noise,
                    coupling,
                    U,
                    s,
                    limit,
                    D,
                    mu,
                    fresh,
                )
            else:
                done = _block(
                    t, length, head, M, b, c, share, lam, self_noise, ratio, drive, noise, coupling, U, s, limit, D,
                    mu, fresh, X, work,
                )  # fmt: skip
                # What the block has used up says how long the next one may be.
                rate = REACH / (done * lam[head]) if done < length else 0.8 * rate
            flush(U.reshape(-1))
            t += done
        else:
            rate *= 0.9
            if 2 <= k <= 3:
                pack(lam, self_noise, drive, U, lam.size, X)
            for _ in range(min(length, FLUSH)):
                kick_bias, kick_variance = share[t] * coupling * s[0], share[t] * (coupling * s[1] + noise)
                following = min(t + 1, n - 1)
                if k == 1:
                    s[0], s[1] = step_1(
                        t, following, M, b, c, share[t], kick_bias, kick_variance, lam, self_noise, drive, U
                    )
                elif k == 2:
                    s[0], s[1] = step_2(t, following, M, b, c, share[t], kick_bias, kick_variance, X, lam.size)
                elif k == 3:
                    s[0], s[1] = step_3(t, following, M, b, c, share[t], kick_bias, kick_variance, X, lam.size)
                else:
                    s[0], s[1] = step_any(
                        t, following, M, b, c, share[t], kick_bias, kick_variance, lam, self_noise, drive, U, work
                    )
                t += 1
                if not s[0] + s[1] <= limit:
                    break
            if 2 <= k <= 3:
                unpack(X, lam.size, U)
            flush(U.reshape(-1))
        if not s[0] + s[1] <= limit:
            return t
    return n
