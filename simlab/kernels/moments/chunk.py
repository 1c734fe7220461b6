"""A chunk of steps of one run: the tail in blocks where that is cheaper, every mode step by step where it is not."""

from __future__ import annotations

import numpy as np
from numba import njit

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.blocks import REACH, STEEPEST, block, block_1, steepness
from simlab.kernels.moments.polynomials import ORDER
from simlab.kernels.moments.steps import (
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

SHORTEST = 8


@hot(error_model="numpy")
def _choose_head(lam, rate, length, k, steep):
    """The head of the cheapest block by a count of cycles per step; -1 where plain steps are cheaper.

    `rate` lam is how much of REACH a step uses up; no mode with `steep` lam above STEEPEST is in the tail.
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
        if m >= SHORTEST and steep * lam[head] <= STEEPEST:
            cost = per_mode * head + carried + closing * (lam.size - head) / m
            if cost < best:
                best, choice = cost, head
        head = LANES if head == 0 else 2 * head
    return choice


@njit(inline="always", fastmath=FAST)
def _some_steps_1(
    t, length, last_head, M, b, c, share, lam, self_noise, ratio, drive, noise, coupling, U, s, limit, D, mu, reading
):  # fmt: skip
    """A block, or up to FLUSH plain steps, from step t on for k = 1. Returns the steps done and the head used last."""
    slots, o, labels, out = reading[:4]
    head = -1
    if not np.isnan(ratio) and length >= SHORTEST:
        rate = 2.0 * abs(b[t, 0] * c[t, 0]) / max(abs(M[t, 0, 0]), 1e-300)
        head = _choose_head(lam, rate, length, 1, 0.0)
    if head >= 0:
        fresh = head != last_head
        done = block_1(
            t, length, head, M, b, c, share, lam, self_noise, ratio, drive, noise, coupling, U, s, limit, D, mu, fresh,
            reading,
        )  # fmt: skip
        return done, head
    done, n = 0, b.shape[0]
    while done < min(length, FLUSH):
        j = t + done
        if slots[j] >= 0:
            record(U, o[j], labels, out[slots[j]])
        kick_bias, kick_variance = share[j] * coupling * s[0], share[j] * (coupling * s[1] + noise)
        s[0], s[1] = step_1(
            j, min(j + 1, n - 1), M, b, c, share[j], kick_bias, kick_variance, lam, self_noise, drive, U
        )
        done += 1
        if not s[0] + s[1] <= limit:
            break
    return done, last_head


@njit(inline="always", fastmath=FAST)
def _some_steps(
    t, length, last_head, rate, M, b, c, share, lam, self_noise, ratio, drive, noise, coupling, U, s, limit, D, mu, X,
    work, reading,
):  # fmt: skip
    """`_some_steps_1` for k > 1, where `rate`, how fast REACH is used up, is learnt from one block for the next."""
    slots, o, labels, out = reading[:4]
    k, n = b.shape[1], b.shape[0]
    head = -1
    if not np.isnan(ratio) and length >= SHORTEST:
        steep = steepness(b, c, t)
        if rate == 0.0:
            rate = 4.0 * steep
        head = _choose_head(lam, rate, length, k, steep)
    if head >= 0:
        done = block(
            t, length, head, M, b, c, share, lam, self_noise, ratio, drive, noise, coupling, U, s, limit, D, mu,
            head != last_head, X, work, reading,
        )  # fmt: skip
        rate = REACH / (done * lam[head]) if done < length else 0.8 * rate
        return done, head, rate
    if k <= 3:
        pack(lam, self_noise, drive, U, lam.size, X)
    done = 0
    while done < min(length, FLUSH):
        j = t + done
        if slots[j] >= 0:
            if k <= 3:
                unpack(X, lam.size, U)
            record(U, o[j], labels, out[slots[j]])
        following = min(j + 1, n - 1)
        kick_bias, kick_variance = share[j] * coupling * s[0], share[j] * (coupling * s[1] + noise)
        if k == 2:
            s[0], s[1] = step_2(j, following, M, b, c, share[j], kick_bias, kick_variance, X, lam.size)
        elif k == 3:
            s[0], s[1] = step_3(j, following, M, b, c, share[j], kick_bias, kick_variance, X, lam.size)
        else:
            s[0], s[1] = step_any(
                j, following, M, b, c, share[j], kick_bias, kick_variance, lam, self_noise, drive, U, work
            )
        done += 1
        if not s[0] + s[1] <= limit:
            break
    if k <= 3:
        unpack(X, lam.size, U)
    return done, last_head, 0.9 * rate


@kept(error_model="numpy", fastmath=FAST)
def advance(
    M, b, c, o, share, lam, self_noise, ratio, drive, noise, coupling, U, limit, slots, labels, out, work
):  # fmt: skip
    """A chunk of n steps of the moments of one run; returns the steps done, less than n where s passes `limit`.

    M (n, k, k), b, c, o (n, k), share = 1 / B (n,); node arrays (N,) with lam descending, zero-padded to a multiple of
    LANES; U (2, k (k + 1) / 2, N) in place. `slots` (n,): row of `out` (rows, 2, labels) that takes the risk before a
    step, or -1. `ratio` = self_noise / lam^2 if that is one number, else NaN (then every mode is stepped). `work` is
    None for k = 1, so that plain SGD compiles no code for larger states, and else (k^2 + k + 1, LANES) of scratch.
    """
    n, entries = slots.size, U.shape[1]
    D, mu = np.empty(ORDER), np.empty((2, entries, ORDER))
    X = np.empty((3 + 2 * entries) * lam.size if 1 < entries <= 6 else 0)
    s = np.array(gradient_risk(U, c[0]))
    rate = 0.0
    t = np.int64(0)
    last_head = -1
    count = out.shape[2]
    D_of = D.reshape((1, ORDER)) if count == 1 else np.empty((count, ORDER))
    mu_of = mu.reshape((1, 2, entries, ORDER)) if count == 1 else np.empty((count, 2, entries, ORDER))
    held = np.full(1, -1)  # the head whose tail D_of is of
    reading = slots, o, labels, out, D_of, mu_of, held
    while t < n:
        if work is None:
            done, last_head = _some_steps_1(
                t, n - t, last_head, M, b, c, share, lam, self_noise, ratio, drive, noise, coupling, U, s, limit, D,
                mu, reading,
            )  # fmt: skip
        else:
            done, last_head, rate = _some_steps(
                t, n - t, last_head, rate, M, b, c, share, lam, self_noise, ratio, drive, noise, coupling, U, s,
                limit, D, mu, X, work, reading,
            )  # fmt: skip
        flush(U.reshape(-1))
        t += done
        if not s[0] + s[1] <= limit:
            return t
    return n
