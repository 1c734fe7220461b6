"""A chunk of steps of one run: the tail in blocks where that is cheaper, every mode step by step where it is not."""

from __future__ import annotations

import numpy as np
from numba import njit

from simlab.kernels.blocks import REACH, block, block_1
from simlab.kernels.moments import (
    FAST,
    FLUSH,
    LANES,
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
from simlab.kernels.polynomials import ORDER

SHORTEST = 8


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
                done = block_1(
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
                done = block(
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
