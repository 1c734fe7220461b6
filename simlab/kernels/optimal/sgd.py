"""The risk of SGD, its adjoint, and Krotov's sweep (k = 1; Numba, SIMD).

With r = 1/B, s = sum_i u_i and f_i = (1 - lr lam_i)^2 + r lr^2 own_i, bias and variance together obey

    u_i <- f_i u_i + lr^2 r drive_i (coupling s + noise)                J = sum_t w_t s_t / 2

and the costates p_i = dJ/du_i run backwards,

    p_i <- f_i p_i + lr^2 r coupling G + w_t / 2                        G = sum_j drive_j p_j

With p of the iterate t + 1 and u of the iterate t, J is a parabola in each single rate and linear in each single r:

    A = sum p lam u,   C = sum p own u + G (coupling s + noise),   H = sum p lam^2 u + r C
    dJ/dlr = 2 (lr H - A),   best single rate A / H,   dJ/dr = lr^2 C

Costates are kept at the end of every stretch of `every` steps and recomputed within it, so that memory is some
(T / every + every) N numbers. The recursion is never inverted. Node arrays are padded with zeros; fastmath and the
flushing of what has decayed are those of `kernels.moments.steps`.
"""

from __future__ import annotations

import math

import numpy as np

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.steps import FLUSH, flush

SMALLEST = 1e-3
"""A sweep lowers a rate to no less than this share of what it was: logarithms stay finite."""


@hot(error_model="numpy", fastmath=FAST)
def stepped(e, q, kick, lam, own, drive, u):
    """u after a step at the rate e, in place; its sum."""
    total = 0.0
    for i in range(u.size):
        f = 1.0 - e * lam[i]
        x = (f * f + q * own[i]) * u[i] + kick * drive[i]
        u[i] = x
        total += x
    return total


@kept(error_model="numpy", fastmath=FAST)
def forward(lr, r, lam, own, drive, noise, coupling, u, s):
    """s_t of the iterates 0 .. T into s (T + 1,); u (N,) is moved to the end. Infinite or NaN after divergence."""
    total = 0.0
    for i in range(u.size):
        total += u[i]
    s[0] = total
    for t in range(lr.size):
        if t % FLUSH == 0:
            flush(u)
        e = lr[t]
        q = r[t] * e * e
        total = stepped(e, q, q * (coupling * total + noise), lam, own, drive, u)
        s[t + 1] = total


@hot(error_model="numpy", fastmath=FAST)
def costates(lr, r, lam, own, drive, coupling, w, every, p, ends, G):
    """p of the iterate t + 1 at the last step t of every stretch into ends (stretches, N); G[t] likewise, every t."""
    T = lr.size
    g = 0.0
    for i in range(p.size):
        p[i] = 0.5 * w[T]
        g += drive[i] * p[i]
    G[T - 1] = g
    for t in range(T - 1, -1, -1):
        if (t + 1) % every == 0 or t == T - 1:
            row = t // every
            for i in range(p.size):
                ends[row, i] = p[i]
        if t == 0:
            break
        e = lr[t]
        q = r[t] * e * e
        add = q * coupling * G[t] + 0.5 * w[t]
        g = 0.0
        for i in range(p.size):
            f = 1.0 - e * lam[i]
            x = (f * f + q * own[i]) * p[i] + add
            p[i] = x
            g += drive[i] * x
        G[t - 1] = g
        if t % FLUSH == 0:
            flush(p)


@hot(error_model="numpy", fastmath=FAST)
def stretch(first, last, lr, r, lam, own, coupling, w, ends, G, P):
    """p of the iterates first + 1 .. last into P (stretch, N): no sum to wait for, as G is known."""
    row = first // P.shape[0]
    for i in range(lam.size):
        P[last - 1 - first, i] = ends[row, i]
    for t in range(last - 1, first, -1):
        j = t - first
        e = lr[t]
        q = r[t] * e * e
        add = q * coupling * G[t] + 0.5 * w[t]
        for i in range(lam.size):
            f = 1.0 - e * lam[i]
            P[j - 1, i] = (f * f + q * own[i]) * P[j, i] + add
        if t % FLUSH == 0:
            flush(P[j - 1])


@hot(error_model="numpy", fastmath=FAST)
def moved_rate(e, a, h, relax, cap):
    """The rate e after a sweep: towards the minimum a / h of its parabola, below its cap."""
    if relax > 0.0 and h > 0.0:
        e = min(max(e + relax * (a / h - e), SMALLEST * e), cap)
    return e


@hot(error_model="numpy", fastmath=FAST)
def sums(lam, own, p, u):
    """sum p lam u, sum p lam^2 u and sum p own u."""
    a = h = c = 0.0
    for i in range(u.size):
        x = p[i] * u[i]
        y = x * lam[i]
        a += y
        h += y * lam[i]
        c += x * own[i]
    return a, h, c


@hot(error_model="numpy", fastmath=FAST)
def stepped_with_sums(e, q, kick, lam, own, drive, p, u):
    """u after a step at the rate e, in place; its sum, and `sums` of it with p: one pass where there would be two."""
    total = a = h = c = 0.0
    for i in range(u.size):
        f = 1.0 - e * lam[i]
        x = (f * f + q * own[i]) * u[i] + kick * drive[i]
        u[i] = x
        total += x
        x *= p[i]
        y = x * lam[i]
        a += y
        h += y * lam[i]
        c += x * own[i]
    return total, a, h, c


@hot(error_model="numpy", fastmath=FAST)
def move(first, last, lr, r, cap, relax, price, most, lam, own, drive, noise, coupling, P, G, u, s, A, H, C):
    """The steps first .. last - 1 with new rates, and new batches where samples have a price; u moves along."""
    total = s[first]
    a, h, c = sums(lam, own, P[0], u)
    for t in range(first, last):
        if t % FLUSH == 0:
            flush(u)
        c += G[t] * (coupling * total + noise)
        h += r[t] * c
        A[t], H[t], C[t] = a, h, c
        e = moved_rate(lr[t], a, h, relax, cap[t])
        lr[t] = e
        if price > 0.0:
            r[t] = 1.0 / min(max(math.sqrt(e * e * c / price), 1.0), most)
        q = r[t] * e * e
        following = P[min(t + 1, last - 1) - first]  # after the last step, sums that nobody takes
        total, a, h, c = stepped_with_sums(e, q, q * (coupling * total + noise), lam, own, drive, following, u)
        s[t + 1] = total


@kept(error_model="numpy", fastmath=FAST)
def sweep(lr, r, cap, relax, price, most, lam, own, drive, noise, coupling, w, every, u, s, A, H, C):
    """One sweep: costates of lr, r (T,) backwards, then forwards lr_t <- clip(A / H) with the new u and the old p.

    J falls by the sum of the falls of single parabolas, for `relax` in (0, 2); with relax = 0 (and price = 0) nothing
    moves, and A, H, C (T,) are those of the gradient. With a price of a sample > 0, 1/B = r_t <- sqrt(price / (lr^2
    C)), within [1 / most, 1]. u (N,) is the start and is moved to the end; s (T + 1,) receives s_t.
    """
    T, N = lr.size, lam.size
    ends, G, p, P = np.empty(((T - 1) // every + 1, N)), np.empty(T), np.empty(N), np.empty((every, N))
    costates(lr, r, lam, own, drive, coupling, w, every, p, ends, G)
    total = 0.0
    for i in range(N):
        total += u[i]
    s[0] = total
    for first in range(0, T, every):
        last = min(T, first + every)
        stretch(first, last, lr, r, lam, own, coupling, w, ends, G, P)
        move(first, last, lr, r, cap, relax, price, most, lam, own, drive, noise, coupling, P, G, u, s, A, H, C)
