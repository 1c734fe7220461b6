"""One step of the exact second moments, as a fused pass over the modes (Numba, SIMD).

State: U[component, entry, node], component 0 the bias and 1 the variance; entry runs over the upper triangle of the k
x k matrix sum lam E[z z^T] of a node, row by row. One step, with A = M - lam b c^T and s = sum_nodes c^T U c:

    U <- A U A^T + (1/B) [ self_noise c^T U c + drive (coupling s + noise) ] b b^T

(noise enters the variance alone). The `step_*` functions do step t of M (n, k, k), b (n, k), c (n, k), with `share` =
1/B and the kicks (coupling s + noise) / B; they update U in place and return s of both components for the step
`following`. They index whole arrays and make no views: a view costs as much as twenty modes.

Node arrays are padded with zeros to a multiple of `LANES`, so that the vector loop has no remainder. `fastmath` allows
reassociation and contraction, never the assumption that numbers are finite. Values below `TINY` are set to zero every
`FLUSH` steps: a mode that has decayed that far would otherwise stay in the denormal range and slow each step down.
"""

from __future__ import annotations

from numba import njit

from simlab.kernels.compiling import FAST, hot, kept

LANES = 32
FLUSH = 64
TINY = 1e-290


@hot(error_model="numpy", fastmath=FAST)
def flush(flat):
    """Set what is too small to matter to zero."""
    for i in range(flat.size):
        if abs(flat[i]) < TINY:
            flat[i] = 0.0


@hot(error_model="numpy", fastmath=FAST)
def record(U, o, labels, row):
    """row[component, label] = risk 1/2 sum_i o^T U_i o over the nodes of a label."""
    k = o.size
    row[:, :] = 0.0
    for component in range(U.shape[0]):
        entry = 0
        for p in range(k):
            for q in range(p, k):
                factor = 0.5 * o[p] * o[q] * (1.0 if p == q else 2.0)
                if factor != 0.0:
                    for i in range(labels.size):
                        row[component, labels[i]] += factor * U[component, entry, i]
                entry += 1


@hot(error_model="numpy", fastmath=FAST)
def gradient_risk(U, c):
    """(s of the bias, s of the variance), s = sum_i c^T U_i c: twice the risk where the gradient is taken."""
    k = c.size
    bias = variance = 0.0
    entry = 0
    for p in range(k):
        for q in range(p, k):
            factor = c[p] * c[q] * (1.0 if p == q else 2.0)
            if factor != 0.0:
                x = y = 0.0
                for i in range(U.shape[2]):
                    x += U[0, entry, i]
                    y += U[1, entry, i]
                bias += factor * x
                variance += factor * y
            entry += 1
    return bias, variance


@hot(error_model="numpy", fastmath=FAST)
def step_1(t, following, M, b, c, share, kick_bias, kick_variance, lam, self_noise, drive, U):
    """k = 1: U <- [(M - lam b c)^2 + self_noise (b c)^2 / B] U + drive kick b^2."""
    a, slope = M[t, 0, 0], -b[t, 0] * c[t, 0]
    own = share * slope * slope
    kick_bias *= b[t, 0] * b[t, 0]
    kick_variance *= b[t, 0] * b[t, 0]
    total_bias = total_variance = 0.0
    for i in range(lam.size):
        factor = slope * lam[i] + a
        factor = factor * factor + own * self_noise[i]
        x = factor * U[0, 0, i] + kick_bias * drive[i]
        y = factor * U[1, 0, i] + kick_variance * drive[i]
        U[0, 0, i] = x
        U[1, 0, i] = y
        total_bias += x
        total_variance += y
    weight = c[following, 0] * c[following, 0]
    return weight * total_bias, weight * total_variance


@hot(error_model="numpy", fastmath=FAST)
def pack(lam, self_noise, drive, U, count, X):
    """The first `count` nodes as tiles of LANES: X (tiles, rows, LANES) flat, rows lam, self_noise, drive, U of both
    components.

    Within a tile all offsets are constants, so that the compiler sees that nothing overlaps and spends no time on
    checking.
    """
    entries = U.shape[1]
    rows = 3 + 2 * entries
    for tile in range(count // LANES):
        at, lo = tile * rows * LANES, tile * LANES
        for i in range(LANES):
            X[at + i] = lam[lo + i]
            X[at + LANES + i] = self_noise[lo + i]
            X[at + 2 * LANES + i] = drive[lo + i]
        for component in range(2):
            for e in range(entries):
                row = at + (3 + component * entries + e) * LANES
                for i in range(LANES):
                    X[row + i] = U[component, e, lo + i]


@hot(error_model="numpy", fastmath=FAST)
def unpack(X, count, U):
    """The moments of the first `count` nodes back from their tiles."""
    entries = U.shape[1]
    rows = 3 + 2 * entries
    for tile in range(count // LANES):
        lo = tile * LANES
        for component in range(2):
            for e in range(entries):
                row = (tile * rows + 3 + component * entries + e) * LANES
                for i in range(LANES):
                    U[component, e, lo + i] = X[row + i]


@hot(error_model="numpy", fastmath=FAST)
def _move_2(a00, a01, a10, a11, u00, u01, u11, n00, n01, n11):
    """A U A^T + N for symmetric 2 x 2 U and N."""
    w00 = a00 * u00 + a01 * u01
    w01 = a00 * u01 + a01 * u11
    w10 = a10 * u00 + a11 * u01
    w11 = a10 * u01 + a11 * u11
    return w00 * a00 + w01 * a01 + n00, w00 * a10 + w01 * a11 + n01, w10 * a10 + w11 * a11 + n11


@hot(error_model="numpy", fastmath=FAST)
def step_2(t, following, M, b, c, share, kick_bias, kick_variance, X, count):
    """k = 2 on tiles, entries (00, 01, 11)."""
    m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
    b0, b1, c0, c1 = b[t, 0], b[t, 1], c[t, 0], c[t, 1]
    e0, e1 = c[following, 0], c[following, 1]
    d00, d01, d10, d11 = b0 * c0, b0 * c1, b1 * c0, b1 * c1
    k00, k01, k11 = b0 * b0, b0 * b1, b1 * b1
    p00, p01, p11 = share * c0 * c0, 2.0 * share * c0 * c1, share * c1 * c1
    q00, q01, q11 = e0 * e0, 2.0 * e0 * e1, e1 * e1
    total_bias = total_variance = 0.0
    for tile in range(count // LANES):
        at = tile * 9 * LANES
        for lane in range(LANES):
            i = at + lane
            l, r, f = X[i], X[i + LANES], X[i + 2 * LANES]
            a00, a01, a10, a11 = m00 - l * d00, m01 - l * d01, m10 - l * d10, m11 - l * d11
            x, y, z = X[i + 3 * LANES], X[i + 4 * LANES], X[i + 5 * LANES]
            g = r * (p00 * x + p01 * y + p11 * z) + kick_bias * f
            x, y, z = _move_2(a00, a01, a10, a11, x, y, z, g * k00, g * k01, g * k11)
            X[i + 3 * LANES], X[i + 4 * LANES], X[i + 5 * LANES] = x, y, z
            total_bias += q00 * x + q01 * y + q11 * z
            x, y, z = X[i + 6 * LANES], X[i + 7 * LANES], X[i + 8 * LANES]
            g = r * (p00 * x + p01 * y + p11 * z) + kick_variance * f
            x, y, z = _move_2(a00, a01, a10, a11, x, y, z, g * k00, g * k01, g * k11)
            X[i + 6 * LANES], X[i + 7 * LANES], X[i + 8 * LANES] = x, y, z
            total_variance += q00 * x + q01 * y + q11 * z
    return total_bias, total_variance


@hot(error_model="numpy", fastmath=FAST)
def row_3(a0, a1, a2, u00, u01, u02, u11, u12, u22):
    """One row of A U for symmetric 3 x 3 U."""
    return a0 * u00 + a1 * u01 + a2 * u02, a0 * u01 + a1 * u11 + a2 * u12, a0 * u02 + a1 * u12 + a2 * u22


@njit(inline="always")
def _step_3(t, following, first, M, b, c, share, kick, X, count):
    """k = 3 on tiles for the component whose entries (00, 01, 02, 11, 12, 22) begin at offset `first`, a constant."""
    m00, m01, m02 = M[t, 0, 0], M[t, 0, 1], M[t, 0, 2]
    m10, m11, m12 = M[t, 1, 0], M[t, 1, 1], M[t, 1, 2]
    m20, m21, m22 = M[t, 2, 0], M[t, 2, 1], M[t, 2, 2]
    b0, b1, b2, c0, c1, c2 = b[t, 0], b[t, 1], b[t, 2], c[t, 0], c[t, 1], c[t, 2]
    e0, e1, e2 = c[following, 0], c[following, 1], c[following, 2]
    total = 0.0
    for tile in range(count // LANES):
        at = tile * 15 * LANES
        for lane in range(LANES):
            i = at + lane
            l0, l1, l2 = X[i] * b0, X[i] * b1, X[i] * b2
            a00, a01, a02 = m00 - l0 * c0, m01 - l0 * c1, m02 - l0 * c2
            a10, a11, a12 = m10 - l1 * c0, m11 - l1 * c1, m12 - l1 * c2
            a20, a21, a22 = m20 - l2 * c0, m21 - l2 * c1, m22 - l2 * c2
            x, y, z = X[i + first], X[i + first + LANES], X[i + first + 2 * LANES]
            v, w, r = X[i + first + 3 * LANES], X[i + first + 4 * LANES], X[i + first + 5 * LANES]
            d0, d1, d2 = row_3(c0, c1, c2, x, y, z, v, w, r)
            g = share * X[i + LANES] * (d0 * c0 + d1 * c1 + d2 * c2) + kick * X[i + 2 * LANES]
            g0, g1, g2 = g * b0, g * b1, g * b2
            w0, w1, w2 = row_3(a00, a01, a02, x, y, z, v, w, r)
            h00 = w0 * a00 + w1 * a01 + w2 * a02 + g0 * b0
            h01 = w0 * a10 + w1 * a11 + w2 * a12 + g0 * b1
            h02 = w0 * a20 + w1 * a21 + w2 * a22 + g0 * b2
            w0, w1, w2 = row_3(a10, a11, a12, x, y, z, v, w, r)
            h11 = w0 * a10 + w1 * a11 + w2 * a12 + g1 * b1
            h12 = w0 * a20 + w1 * a21 + w2 * a22 + g1 * b2
            w0, w1, w2 = row_3(a20, a21, a22, x, y, z, v, w, r)
            h22 = w0 * a20 + w1 * a21 + w2 * a22 + g2 * b2
            X[i + first], X[i + first + LANES], X[i + first + 2 * LANES] = h00, h01, h02
            X[i + first + 3 * LANES], X[i + first + 4 * LANES], X[i + first + 5 * LANES] = h11, h12, h22
            d0, d1, d2 = row_3(e0, e1, e2, h00, h01, h02, h11, h12, h22)
            total += d0 * e0 + d1 * e1 + d2 * e2
    return total


@hot(error_model="numpy", fastmath=FAST)
def step_3(t, following, M, b, c, share, kick_bias, kick_variance, X, count):
    """k = 3, one component after the other: nine entries of A are cheap to redo, registers are not to be had."""
    bias = _step_3(t, following, 3 * LANES, M, b, c, share, kick_bias, X, count)
    variance = _step_3(t, following, 9 * LANES, M, b, c, share, kick_variance, X, count)
    return bias, variance


@hot(error_model="numpy", fastmath=FAST)
def step_any(t, following, M, b, c, share, kick_bias, kick_variance, lam, self_noise, drive, U, work):
    """Any k, by vector loops over tiles of LANES nodes; `work` (k^2 + k + 1, LANES) is scratch."""
    k, tile = b.shape[1], work.shape[1]
    full, moved, row = work[: k * k], work[k * k : k * k + k], work[k * k + k]
    for component in range(2):
        kick = kick_bias if component == 0 else kick_variance
        for lo in range(0, lam.size, tile):
            entry = 0
            for p in range(k):
                for q in range(p, k):
                    for i in range(tile):
                        full[p * k + q, i] = U[component, entry, lo + i]
                        full[q * k + p, i] = U[component, entry, lo + i]
                    entry += 1
            row[:] = 0.0
            for p in range(k):
                for q in range(k):
                    weight = share * c[t, p] * c[t, q]
                    if weight != 0.0:
                        for i in range(tile):
                            row[i] += weight * full[p * k + q, i]
            for i in range(tile):
                row[i] = self_noise[lo + i] * row[i] + kick * drive[lo + i]
            entry = 0
            for p in range(k):
                moved[:, :] = 0.0
                for q in range(k):
                    m, d = M[t, p, q], b[t, p] * c[t, q]
                    if m != 0.0 or d != 0.0:
                        for r in range(k):
                            for i in range(tile):
                                moved[r, i] += (m - lam[lo + i] * d) * full[q * k + r, i]
                for q in range(p, k):
                    target = U[component, entry, lo : lo + tile]
                    kick_pq = b[t, p] * b[t, q]
                    for i in range(tile):
                        target[i] = kick_pq * row[i]
                    for r in range(k):
                        m, d = M[t, q, r], b[t, q] * c[t, r]
                        if m != 0.0 or d != 0.0:
                            for i in range(tile):
                                target[i] += moved[r, i] * (m - lam[lo + i] * d)
                    entry += 1
    return gradient_risk(U, c[following])


@kept(error_model="numpy", fastmath=FAST)
def advance_mean(first, M, b, c, o, lam, signal, mean, slots, labels, out):
    """E z of a unit initial error, mean (k, nodes): z <- (M - lam b c^T) z. Records 1/2 signal (o . z)^2 in out[slot,
    label].
    """
    n, k = slots.size, mean.shape[0]
    y = lam * 0.0
    moved = mean * 0.0
    for t in range(n):
        if slots[t] >= 0:
            out[slots[t], :] = 0.0
            for i in range(labels.size):
                w = 0.0
                for p in range(k):
                    w += o[t, p] * mean[p, i]
                out[slots[t], labels[i]] += 0.5 * signal[i] * w * w
        if (first + t) % FLUSH == 0:
            # The square of what is kept stays a normal number.
            flat = mean.reshape(-1)
            for i in range(flat.size):
                if abs(flat[i]) < 1e-140:
                    flat[i] = 0.0
        y[:] = 0.0
        for p in range(k):
            if c[t, p] != 0.0:
                for i in range(lam.size):
                    y[i] += lam[i] * c[t, p] * mean[p, i]
        for p in range(k):
            for i in range(lam.size):
                moved[p, i] = -b[t, p] * y[i]
            for q in range(k):
                if M[t, p, q] != 0.0:
                    for i in range(lam.size):
                        moved[p, i] += M[t, p, q] * mean[q, i]
        for p in range(k):
            for i in range(lam.size):
                mean[p, i] = moved[p, i]
    return n


# What `advance` calls, for Python's own use: kept on disk, which an inlined function is not.
record_now = kept(error_model="numpy", fastmath=FAST)(record.py_func)
gradient_risk_now = kept(error_model="numpy", fastmath=FAST)(gradient_risk.py_func)
