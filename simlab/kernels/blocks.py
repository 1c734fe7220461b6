"""Many steps of the tail in one: exact to rounding, at a fraction of the cost.

A mode with lr lam << 1 changes little in one step, and its change over a block of m steps is a polynomial in lam of which a
few terms suffice. So the head of the spectrum is stepped mode by mode, while the tail is carried through the block as the
power sums mu_p = sum_tail x^p u, x = lam / lam_tail in [0, 1], p < ORDER. They obey a closed recursion, since one step
multiplies u by T0 + lam T1 + lam^2 T2 and adds drive times a kick that is the same for all modes:

    mu_p <- T0 mu_p + T1 mu_(p+1) + T2 mu_(p+2) + kick sum_tail drive x^p

mu_0 is all that the coupling s needs, at every step. The polynomials Q(x) = prod (T0 + x T1 + x^2 T2) and G(x) = sum of the
kicks carried to the end of the block obey the same recursion on their coefficients in reverse order, and at the end of the
block every tail mode is brought up to date by u <- Q(x) u + drive G(x).

The block ends before the first coefficient left out could matter: for k = 1 when the sum of |T1 + T2| / T0 reaches `REACH`,
where REACH^ORDER / ORDER! < 1e-19; for larger k when the last coefficient kept passes `LAST` times the largest.

It holds where self_noise = ratio lam^2, i.e. for one kurtosis shared by all modes; otherwise the plain step does all modes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simlab.kernels.moments import FAST, FLUSH, LANES, flush, gradient_risk, record, step

ORDER = 24
PAD = 2
REACH = 1.5
LAST = 1e-19
SHORTEST = 8
CHECK = 4


@njit(cache=True, nogil=True, fastmath=FAST)
def _packed(t, c, out):
    """Upper triangle of c_t c_t^T as a quadratic form: off-diagonal entries doubled."""
    entry = 0
    for p in range(c.shape[1]):
        for q in range(p, c.shape[1]):
            out[entry] = c[t, p] * c[t, q] * (1.0 if p == q else 2.0)
            entry += 1


@njit(cache=True, nogil=True, fastmath=FAST)
def _transfer(t, M, b, c, T0, T1, bb, cc, index):
    """T0, T1 (E, E) of U -> A U A^T = T0 U + lam T1 U + lam^2 bb (cc . U) on packed symmetric matrices."""
    k = b.shape[1]
    T0[:, :] = 0.0
    T1[:, :] = 0.0
    for p in range(k):
        for q in range(p, k):
            e = index[p, q]
            bb[e] = b[t, p] * b[t, q]
            for r in range(k):
                for s in range(k):
                    T0[e, index[r, s]] += M[t, p, r] * M[t, q, s]
                    T1[e, index[r, s]] -= b[t, p] * c[t, r] * M[t, q, s] + M[t, p, r] * b[t, q] * c[t, s]
    _packed(t, c, cc)


@njit(cache=True, nogil=True, fastmath=FAST)
def _power_sums(lam, top, drive, U, first, D, mu):
    """D[p] = sum drive x^p and mu[component, entry, p] = sum x^p U over the nodes from `first` on, x = lam / top."""
    entries = U.shape[1]
    D[:] = 0.0
    mu[:, :, :] = 0.0
    power, x = np.empty(LANES), np.empty(LANES)
    for lo in range(first, lam.size, LANES):
        for i in range(LANES):
            x[i] = lam[lo + i] / top
            power[i] = 1.0
        for p in range(ORDER):
            total = 0.0
            for i in range(LANES):
                total += power[i] * drive[lo + i]
            D[p] += total
            for e in range(entries):
                total_bias = total_variance = 0.0
                for i in range(LANES):
                    total_bias += power[i] * U[0, e, lo + i]
                    total_variance += power[i] * U[1, e, lo + i]
                mu[0, e, p] += total_bias
                mu[1, e, p] += total_variance
            for i in range(LANES):
                power[i] *= x[i]


@njit(cache=True, nogil=True, fastmath=FAST)
def _horner(coefficients, x, out):
    """out = polynomial in x with coefficients in descending order, four at a time to spare memory traffic."""
    for i in range(x.size):
        out[i] = 0.0
    for p in range(0, ORDER, 4):
        c0, c1, c2, c3 = coefficients[p], coefficients[p + 1], coefficients[p + 2], coefficients[p + 3]
        for i in range(x.size):
            y = x[i]
            out[i] = (((out[i] * y + c0) * y + c1) * y + c2) * y + c3


@njit(cache=True, nogil=True, fastmath=FAST)
def _bring_up_to_date(lam, top, drive, U, first, Z, stride):
    """U <- Q(x) U + drive G(x) for the nodes from `first` on; rows of Z: E columns of Q, then G of both components."""
    entries = U.shape[1]
    x, value = np.empty(LANES), np.empty(LANES)
    new = np.empty((2, entries, LANES))
    for lo in range(first, lam.size, LANES):
        for i in range(LANES):
            x[i] = lam[lo + i] / top
        for e in range(entries):
            for component in range(2):
                at = (entries + component) * stride
                _horner(Z[e, at : at + ORDER], x, value)
                for i in range(LANES):
                    new[component, e, i] = drive[lo + i] * value[i]
            for f in range(entries):
                at = f * stride
                _horner(Z[e, at : at + ORDER], x, value)
                for i in range(LANES):
                    new[0, e, i] += value[i] * U[0, f, lo + i]
                    new[1, e, i] += value[i] * U[1, f, lo + i]
        for component in range(2):
            for e in range(entries):
                for i in range(LANES):
                    U[component, e, lo + i] = new[component, e, i]


@njit(cache=True, nogil=True, fastmath=FAST)
def _carry(Z, new, zz, T0, T1, bb, cc, top, own):
    """new = (T0 + x top T1 + x^2 top^2 (1 + own) bb cc^T) Z, where multiplying by x is a shift to the left."""
    entries, width = Z.shape
    for j in range(width - PAD):
        zz[j] = 0.0
    for f in range(entries):
        if cc[f] != 0.0:
            for j in range(width - PAD):
                zz[j] += cc[f] * Z[f, j + 2]
    for e in range(entries):
        push = top * top * (1.0 + own) * bb[e]
        row = new[e]
        for j in range(width - PAD):
            row[j] = push * zz[j]
        for f in range(entries):
            t0, t1 = T0[e, f], top * T1[e, f]
            source = Z[f]
            if t1 != 0.0:
                for j in range(width - PAD):
                    row[j] += t0 * source[j] + t1 * source[j + 1]
            elif t0 != 0.0:
                for j in range(width - PAD):
                    row[j] += t0 * source[j]


@njit(cache=True, nogil=True, fastmath=FAST)
def _carry_1(Z, t0, t1, t2, kick_bias, kick_variance, D):
    """k = 1: the five rows Q, G_bias, G_variance, mu_bias, mu_variance in place; reads run ahead of writes."""
    stride = ORDER + PAD
    for row in range(5):
        z = Z[row * stride : (row + 1) * stride]
        for j in range(ORDER):
            z[j] = t0 * z[j] + t1 * z[j + 1] + t2 * z[j + 2]
    Z[2 * stride - PAD - 1] += kick_bias
    Z[3 * stride - PAD - 1] += kick_variance
    bias, variance = Z[3 * stride : 4 * stride], Z[4 * stride : 5 * stride]
    for p in range(ORDER):
        bias[p] += kick_bias * D[p]
        variance[p] += kick_variance * D[p]


@njit(cache=True, nogil=True, fastmath=FAST)
def _kick_rows(Z, bb, kick_bias, kick_variance, D, stride):
    """Add the kicks to G's constant terms and to the power sums; clear the padding that the shift has filled."""
    entries = Z.shape[0]
    for e in range(entries):
        row = Z[e]
        for r in range(entries + 4):
            row[r * stride + ORDER] = 0.0
            row[r * stride + ORDER + 1] = 0.0
        row[entries * stride + ORDER - 1] += bb[e] * kick_bias
        row[(entries + 1) * stride + ORDER - 1] += bb[e] * kick_variance
        bias, variance = (entries + 2) * stride, (entries + 3) * stride
        for p in range(ORDER):
            row[bias + p] += bb[e] * kick_bias * D[p]
            row[variance + p] += bb[e] * kick_variance * D[p]


@njit(cache=True, nogil=True, fastmath=FAST)
def _exhausted(Z, stride):
    """Whether the last kept coefficient of Q or G has grown to where the next one could matter."""
    entries = Z.shape[0]
    for r in range(entries + 2):
        top = last = 0.0
        for e in range(entries):
            for j in range(ORDER):
                top = max(top, abs(Z[e, r * stride + j]))
            last = max(last, abs(Z[e, r * stride]), abs(Z[e, r * stride + 1]) * 1e-3)
        if last > LAST * top:
            return True
    return False


@njit(cache=True, nogil=True, fastmath=FAST)
def _block(t, length, head, M, b, c, share, lam, self_noise, ratio, drive, noise, coupling, U, s, limit, D, mu, work):
    """Up to `length` steps from step t on with `head` modes stepped one by one. Returns the steps done; `s` is updated."""
    k = b.shape[1]
    entries, n, stride = k * (k + 1) // 2, b.shape[0], ORDER + PAD
    top = lam[head]
    _power_sums(lam, top, drive, U, head, D, mu)
    width = (entries + 4) * stride
    Z, new, zz = np.zeros((entries, width + PAD)), np.zeros((entries, width + PAD)), np.zeros(width + PAD)
    for e in range(entries):
        Z[e, e * stride + ORDER - 1] = 1.0
        Z[e, (entries + 2) * stride : (entries + 2) * stride + ORDER] = mu[0, e]
        Z[e, (entries + 3) * stride : (entries + 3) * stride + ORDER] = mu[1, e]
    T0, T1 = np.empty((entries, entries)), np.empty((entries, entries))
    bb, cc, next_cc = np.empty(entries), np.empty(entries), np.empty(entries)
    index = np.empty((k, k), dtype=np.int64)
    entry = 0
    for p in range(k):
        for q in range(p, k):
            index[p, q] = entry
            index[q, p] = entry
            entry += 1
    # A copy: the vector loops need each row of the head to be contiguous for the compiler to know it.
    U_head, lam_head, own_head, drive_head = U[:, :, :head].copy(), lam[:head], self_noise[:head], drive[:head]
    reach = 0.0
    done = 0
    while done < length:
        j = t + done
        following = min(j + 1, n - 1)
        kick_bias = share[j] * coupling * s[0]
        kick_variance = share[j] * (coupling * s[1] + noise)
        if k == 1:
            a, slope = M[j, 0, 0], -b[j, 0] * c[j, 0] * top
            t0, t1, t2 = a * a, 2.0 * a * slope, slope * slope * (1.0 + share[j] * ratio)
            if t0 > 0.0:
                reach += (abs(t1) + abs(t2)) / t0
            if done > 0 and (reach > REACH or t0 <= 0.0):
                break
            square = b[j, 0] * b[j, 0]
            _carry_1(Z[0], t0, t1, t2, kick_bias * square, kick_variance * square, D)
        else:
            _transfer(j, M, b, c, T0, T1, bb, cc, index)
            _carry(Z, new, zz, T0, T1, bb, cc, top, share[j] * ratio)
            _kick_rows(new, bb, kick_bias, kick_variance, D, stride)
            Z, new = new, Z
        head_bias, head_variance = step(
            j, following, M, b, c, share[j], kick_bias, kick_variance, lam_head, own_head, drive_head, U_head, work
        )
        done += 1
        _packed(following, c, next_cc)
        bias = variance = 0.0
        for e in range(entries):
            bias += next_cc[e] * Z[e, (entries + 2) * stride]
            variance += next_cc[e] * Z[e, (entries + 3) * stride]
        s[0], s[1] = head_bias + bias, head_variance + variance
        if not s[0] + s[1] <= limit:
            break
        if j % FLUSH == 0:
            flush(U_head)
        if k > 1 and (done < 8 * CHECK or done % CHECK == 0) and _exhausted(Z, stride):
            break
    U[:, :, :head] = U_head
    _bring_up_to_date(lam, top, drive, U, head, Z, stride)
    return done


@njit(cache=True, nogil=True)
def _choose_head(lam, rate, length, k):
    """The head of the cheapest block by a count of cycles per step; -1 where plain steps are cheaper.

    `rate` lam is how much of REACH a step uses up.
    """
    entries = k * (k + 1) // 2
    per_mode = 0.9 if k == 1 else 1.6 * k**3
    carried = 60.0 if k == 1 else 12.0 * entries * (2 * entries + 2) * (entries + 4)
    closing = (6.0 * (entries * entries + 2 * entries) + 12.0 * entries)
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

    M (n, k, k), b, c, o (n, k), share = 1 / B (n,); node arrays (N,) with lam descending, zero-padded to a multiple of LANES;
    U (2, k (k + 1) / 2, N) in place. `slots` (n,): row of `out` (rows, 2, labels) that takes the risk before a step, or -1.
    `ratio` = self_noise / lam^2 if that is one number, else NaN (then every mode is stepped).
    """
    n, k = slots.size, b.shape[1]
    entries = k * (k + 1) // 2
    work = np.empty((k * k + k + 1, LANES))
    D, mu = np.empty(ORDER), np.empty((2, entries, ORDER))
    s = np.array(gradient_risk(U, c[0]))
    rate = 0.0
    t = 0
    while t < n:
        if slots[t] >= 0:
            record(U, o[t], labels, out[slots[t]])
        length = 1
        while t + length < n and slots[t + length] < 0:
            length += 1
        head = -1
        if not np.isnan(ratio) and length >= SHORTEST:
            if k == 1:
                slope, a = abs(b[t, 0] * c[t, 0]), abs(M[t, 0, 0])
                rate = 2.0 * slope / max(a, 1e-300)
            elif rate == 0.0:
                for p in range(k):
                    rate = max(rate, 4.0 * abs(b[t, p] * c[t, p]))
            head = _choose_head(lam, rate, length, k)
        if head >= 0:
            done = _block(
                t, length, head, M, b, c, share, lam, self_noise, ratio, drive, noise, coupling, U, s, limit, D, mu, work
            )
            flush(U)
            if k > 1:
                # What the block has used up says how long the next one may be.
                rate = REACH / (done * lam[head]) if done < length else 0.8 * rate
            t += done
        else:
            rate *= 0.9
            for _ in range(min(length, FLUSH)):
                kick_bias, kick_variance = share[t] * coupling * s[0], share[t] * (coupling * s[1] + noise)
                s[0], s[1] = step(
                    t, min(t + 1, n - 1), M, b, c, share[t], kick_bias, kick_variance, lam, self_noise, drive, U, work
                )
                t += 1
                if (first + t) % FLUSH == 0:
                    flush(U)
                if not s[0] + s[1] <= limit:
                    return t
        if not s[0] + s[1] <= limit:
            return t
    return n
