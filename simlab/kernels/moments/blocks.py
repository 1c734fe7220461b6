"""Many steps of the tail in one: exact to rounding, at a fraction of the cost.

A mode with lr lam << 1 changes little in one step, and what a block of m steps does to it is a polynomial in lam of
which a few terms suffice. One step multiplies the packed moments u of a mode by T0 + lam T1 + lam^2 T2 and adds drive
times a kick that is the same for all modes; a block therefore takes u to

    Q(x) u + drive G(x),     x = lam / lam_top in [0, 1],

where Q starts from 1 and G from 0 and both obey the same recursion as u, on coefficients of x^p, p < ORDER. The head
of the spectrum, lam > lam_top, is stepped mode by mode. The coupling s needs of the tail, at every step, only

    sum_tail c^T u c = (cc . Q) . mu + (cc . G) . D,     mu_p = sum_tail x^p u,  D_p = sum_tail drive x^p,

with mu and D taken once at the start of the block; at its end every tail mode is brought up to date. The risk of a
step within a block is read in the same way, o in place of c, with such sums of every subspace: a block does not end
where a risk is recorded, and what is recorded changes no bit of the run.

The block ends before the first coefficient left out could matter: for k = 1 when the sum of |T1 + T2| / T0 reaches
`REACH`, where REACH^ORDER / ORDER! < 1e-19; for larger k when the last coefficient kept passes `LAST` times the
largest, or before a step for which lr lam_top passes `STEEPEST`. It also ends before Q(1) is a small difference of
large coefficients: after REACH these add up to e^3 times the sum at most, for larger k to some `CANCELLATION` times.
A mode with momentum may fall by beta^m within a block while the coefficient of x^0 stays 1, block after block.

Against 80-bit stepping, momentum at lr lam up to 3.9 keeps 1e-12 but where plain steps in float64 miss it as well. A
method that contracts every mode alike, whatever its eigenvalue, may lose ten times what plain steps lose: 1e-11 of a
bias that has fallen to 1e-240.

It holds where self_noise = ratio lam^2, i.e. for one kurtosis shared by all modes; otherwise every mode is stepped.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simlab.kernels.compiling import FAST
from simlab.kernels.moments.polynomials import (
    ORDER,
    PAD,
    STRIDE,
    bring_up_to_date,
    bring_up_to_date_1,
    cancelled,
    carry,
    exhausted,
    packed,
    power_sums,
    power_sums_by_label,
    transfer,
)
from simlab.kernels.moments.steps import FLUSH, LANES, flush, pack, record, step_2, step_3, step_any, unpack
from simlab.kernels.puts import put_planes

REACH = 1.5
STEEPEST = 0.1
"""Largest lr lam of a mode within a block for k > 1. A step multiplies the coefficients, of alternating sign, by up to
(1 + lr lam)^2, where what they add up to does not grow: at lr lam of 1 to 4 a few steps leave nothing but rounding.
"""
CANCELLATION = 4.0
"""Largest sum of |coefficients| of Q over |Q(1)|, for k > 1: rounding is the same in every block of a constant
schedule and adds up; 30 in place of 4 loses 1e-11 of a mode in 4,000 steps.
"""
CHECK = 4
ROW = 32


@njit(inline="always", fastmath=FAST)
def block_1(
    t, length, head, M, b, c, share, lam, self_noise, ratio, drive, noise, coupling, U, s, limit, D, mu, fresh, reading
):  # fmt: skip
    """A block for k = 1, where T0 + x T1 + x^2 T2 is a number and REACH can be counted: everything in one loop."""
    slots, o, labels, out, D_of, mu_of, held = reading
    unread = out.shape[2] > 1
    n, top = b.shape[0], lam[head]
    mu[:, :, :] = 0.0
    if fresh:
        D[:] = 0.0
    power_sums(lam, top, drive, U, head, lam.size, D, mu, fresh)
    # Everything that is read or written in a step lies in two flat arrays at constant offsets, so that the compiler
    # sees that nothing overlaps and spends no time on checking.
    F = np.zeros(6 * ROW)
    F[ORDER - 1] = 1.0
    for p in range(ORDER):
        F[3 * ROW + p], F[4 * ROW + p], F[5 * ROW + p] = mu[0, 0, p], mu[1, 0, p], D[p]
    X = np.empty(5 * head)
    pack(lam, self_noise, drive, U, head, X)
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
        if slots[j] >= 0:
            if unread:
                power_sums_by_label(lam, top, drive, U, head, labels, D_of, mu_of, held[0] != head)
                held[0], unread = head, False
            unpack(X, head, U)
            row = out[slots[j]]
            record(U[:, :, :head], o[j], labels[:head], row)
            half = 0.5 * o[j, 0] * o[j, 0]
            for label in range(out.shape[2]):
                bias = variance = 0.0
                for p in range(ORDER):
                    bias += F[p] * mu_of[label, 0, 0, p] + F[ROW + p] * D_of[label, p]
                    variance += F[p] * mu_of[label, 1, 0, p] + F[2 * ROW + p] * D_of[label, p]
                row[0, label] += half * bias
                row[1, label] += half * variance
        reach += (abs(t1) + abs(t2)) / t0
        square = share[j] * b[j, 0] * b[j, 0]
        kick_bias, kick_variance = square * coupling * s_bias, square * (coupling * s_variance + noise)
        total_bias, total_variance = kick_bias * D[ORDER - 1], kick_variance * D[ORDER - 1]
        for p in range(ORDER):
            v = t0 * F[p] + t1 * F[p + 1] + t2 * F[p + 2]
            F[p] = v
            total_bias += v * F[3 * ROW + p]
            total_variance += v * F[4 * ROW + p]
            v = t0 * F[ROW + p] + t1 * F[ROW + p + 1] + t2 * F[ROW + p + 2]
            F[ROW + p] = v
            total_bias += v * F[5 * ROW + p]
            v = t0 * F[2 * ROW + p] + t1 * F[2 * ROW + p + 1] + t2 * F[2 * ROW + p + 2]
            F[2 * ROW + p] = v
            total_variance += v * F[5 * ROW + p]
        F[ROW + ORDER - 1] += kick_bias
        F[2 * ROW + ORDER - 1] += kick_variance
        for tile in range(head // LANES):
            at = tile * 5 * LANES
            for lane in range(LANES):
                i = at + lane
                factor = slope * X[i] + a
                factor = factor * factor + own * X[i + LANES]
                x = factor * X[i + 3 * LANES] + kick_bias * X[i + 2 * LANES]
                y = factor * X[i + 4 * LANES] + kick_variance * X[i + 2 * LANES]
                X[i + 3 * LANES] = x
                X[i + 4 * LANES] = y
                total_bias += x
                total_variance += y
        done += 1
        weight = c[min(j + 1, n - 1), 0] ** 2
        s_bias, s_variance = weight * total_bias, weight * total_variance
        if not s_bias + s_variance <= limit:
            break
        if j % FLUSH == 0:
            flush(X)
    s[0], s[1] = s_bias, s_variance
    unpack(X, head, U)
    bring_up_to_date_1(lam, top, drive, U, head, F, ROW)
    return done


@njit(inline="always")
def steepness(b, c, t):
    """The largest |b_p c_p| of step t: lr, in other words."""
    largest = 0.0
    for p in range(b.shape[1]):
        largest = max(largest, abs(b[t, p] * c[t, p]))
    return largest


@njit(inline="always", fastmath=FAST)
def block(
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
    reading,
):
    """Up to `length` steps from step t on with `head` modes stepped one by one. Returns the steps done; `s` is
    updated. The caller sees to it that the first step is not too steep.
    """
    k = b.shape[1]
    slots, o, labels, out, D_of, mu_of, held = reading
    unread = out.shape[2] > 1
    entries, n, top = k * (k + 1) // 2, b.shape[0], lam[head]
    mu[:, :, :] = 0.0
    if fresh:
        D[:] = 0.0
    power_sums(lam, top, drive, U, head, lam.size, D, mu, fresh)
    width = (entries + 2) * STRIDE
    # Two sides, each with the E rows of Z = (Q, G) and a row cc . Z, what the gradient point sees of it.
    buffer = np.zeros((2, entries + 1, width + PAD))
    side = np.int64(0)
    T0, T1 = np.empty((entries, entries)), np.empty((entries, entries))
    bb, push, cc, oo = np.empty(entries), np.empty(entries), np.empty(entries), np.empty(entries)
    index = np.empty((k, k), dtype=np.int64)
    packed(t, c, cc)
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
        if done > 0 and steepness(b, c, j) * top > STEEPEST:
            break
        if slots[j] >= 0:
            if unread:
                power_sums_by_label(lam, top, drive, U, head, labels, D_of, mu_of, held[0] != head)
                held[0], unread = head, False
            if k <= 3:
                unpack(X, head, U)
            else:
                put_planes(U_head, U)
            row = out[slots[j]]
            record(U[:, :, :head], o[j], labels[:head], row)
            packed(j, o, oo)
            for label in range(out.shape[2]):
                for e in range(entries):
                    if oo[e] == 0.0:
                        continue
                    bias = variance = 0.0
                    for p in range(ORDER):
                        bias += buffer[side, e, g_bias + p] * D_of[label, p]
                        variance += buffer[side, e, g_variance + p] * D_of[label, p]
                    for f in range(entries):
                        for p in range(ORDER):
                            bias += buffer[side, e, f * STRIDE + p] * mu_of[label, 0, f, p]
                            variance += buffer[side, e, f * STRIDE + p] * mu_of[label, 1, f, p]
                    row[0, label] += 0.5 * oo[e] * bias
                    row[1, label] += 0.5 * oo[e] * variance
        following = min(j + 1, n - 1)
        kick_bias = share[j] * coupling * s[0]
        kick_variance = share[j] * (coupling * s[1] + noise)
        transfer(j, M, b, c, top, T0, T1, bb, index)
        for e in range(entries):
            push[e] = top * top * (1.0 + share[j] * ratio) * bb[e]
        packed(following, c, cc)
        carry(buffer, side, T0, T1, push, cc)
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
        if (done < 8 * CHECK or done % CHECK == 0) and exhausted(buffer[side]):
            break
        if done % CHECK == 0 and cancelled(buffer[side], CANCELLATION):
            break
    if k <= 3:
        unpack(X, head, U)
    else:
        put_planes(U_head, U)
    bring_up_to_date(lam, top, drive, U, head, buffer[side])
    return done
