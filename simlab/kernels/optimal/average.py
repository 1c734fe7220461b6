"""Krotov's sweep of SGD with an average: rate and weight of every step in turn (k = 2; Numba, SIMD).

avg <- (1 - rho) avg + rho w, after the step of w, from avg = w at first; W, X, V = E w^2, E w avg, E avg^2 (times lam).
The costate of V is one number for all nodes, l; those of W and X (halved) are p and q. With z = 1 - lr lam and x =
z^2 W + r lr^2 kappa, kappa = own W + drive (coupling s + noise), J changes by the sum of the changes of

    h_t = sum (p + 2 rho q + rho^2 l) x + 2 (1 - rho) sum (q + rho l) z X + (1 - rho)^2 l sum V,

a convex parabola in lr at a given rho, and in rho at a given lr. Each is set to its minimum in turn, a few times.
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.steps import FLUSH, flush

TURNS = 20
"""Most times that rate and weight of a step are set in turn."""

SETTLED = 1e-12
"""Relative change of a rate, and change of a weight, at which they stay."""

FLAT = 1e-14
"""A parabola flatter than this share of its terms does not move a weight."""


@hot(error_model="numpy", fastmath=FAST)
def pull(e, b, l, add, k, lam, own, L):
    """L = (p, q) one step back, of rate e and weight b; k = r e^2, add what all p receive, l of the iterate after."""
    for i in range(lam.size):
        z = 1.0 - e * lam[i]
        x = L[0, i] + 2.0 * b * L[1, i] + b * b * l
        L[1, i] = (1.0 - b) * (L[1, i] + b * l) * z
        L[0, i] = (z * z + k * own[i]) * x + add


@hot(error_model="numpy", fastmath=FAST)
def costates(lr, rho, r, lam, own, drive, coupling, w, every, L, ends, G, last):
    """p, q of the iterate t + 1 at the last step t of every stretch into ends (stretches, 2, N).

    G (3, T) : sum drive p, sum drive q, sum drive l; last (T,) : l; all of the iterate t + 1.
    """
    T, N = lr.size, lam.size
    all_drive = 0.0
    for i in range(N):
        L[0, i] = L[1, i] = 0.0
        all_drive += drive[i]
    l = 0.5 * w[T]
    for t in range(T - 1, -1, -1):
        if (t + 1) % every == 0 or t == T - 1:
            row = t // every
            for j in range(2):
                for i in range(N):
                    ends[row, j, i] = L[j, i]
        a = b = 0.0
        for i in range(N):
            a += drive[i] * L[0, i]
            b += drive[i] * L[1, i]
        G[0, t], G[1, t], G[2, t], last[t] = a, b, all_drive * l, l
        k = r[t] * lr[t] * lr[t]
        add = k * coupling * (a + 2.0 * rho[t] * b + rho[t] * rho[t] * G[2, t])
        pull(lr[t], rho[t], l, add, k, lam, own, L)
        l = (1.0 - rho[t]) ** 2 * l + 0.5 * w[t]
        if t % FLUSH == 0:
            flush(L.reshape(L.size))


@hot(error_model="numpy", fastmath=FAST)
def stretch(first, end, lr, rho, r, lam, own, coupling, ends, G, last, L, P):
    """p, q of the iterates first + 1 .. end into P (stretch, 2, N)."""
    N, row = lam.size, first // P.shape[0]
    for j in range(2):
        for i in range(N):
            L[j, i] = ends[row, j, i]
    for t in range(end - 1, first - 1, -1):
        for j in range(2):
            for i in range(N):
                P[t - first, j, i] = L[j, i]
        k = r[t] * lr[t] * lr[t]
        add = k * coupling * (G[0, t] + 2.0 * rho[t] * G[1, t] + rho[t] * rho[t] * G[2, t])
        pull(lr[t], rho[t], last[t], add, k, lam, own, L)
        if t % FLUSH == 0:
            flush(L.reshape(L.size))


@hot(error_model="numpy")
def rate(y, z, d, b):
    """(A, H) of the rate at a weight b: h is lr^2 H - 2 lr A and what does not depend on lr."""
    A = y[0] + 2.0 * b * y[1] + b * b * y[2] + (1.0 - b) * (d[0] + b * d[1])
    return A, z[0] + 2.0 * b * z[1] + b * b * z[2]


@hot(error_model="numpy")
def weight(w, y, z, c, d, v, e):
    """(Q, L, size) of the weight at a rate e: h is Q b^2 + 2 L b and what does not depend on b; size of its terms."""
    k1, k2 = w[0] - 2.0 * e * y[1] + e * e * z[1], w[1] - 2.0 * e * y[2] + e * e * z[2]
    u1, u2 = c[0] - e * d[0], c[1] - e * d[1]
    return k2 - 2.0 * u2 + v, k1 - u1 + u2 - v, abs(k2) + abs(v)


@hot(error_model="numpy", fastmath=FAST)
def move(
    first, end, lr, rho, r, cap, most, go, lam, own, drive, noise, coupling, P, G, last, U, s, gains, curves, room
):
    """The steps first .. end - 1 with new rates and weights; U (3, N) = W, X, V and s, twice the risk of w, move along.

    room (5, 3) is for sums.
    """
    w, y, z, c, d = room[0], room[1], room[2], room[3], room[4]
    for t in range(first, end):
        j = t - first
        if t % FLUSH == 0:
            flush(U.reshape(U.size))
        l = last[t]
        w0 = w1 = y0 = y1 = y2 = z0 = z1 = z2 = c0 = c1 = d0 = d1 = v = total = 0.0
        for i in range(lam.size):
            p, q, x = P[j, 0, i], P[j, 1, i], U[0, i]
            a = lam[i] * x
            b = lam[i] * a + r[t] * own[i] * x
            w0 += q * x
            w1 += x
            y0 += p * a
            y1 += q * a
            y2 += a
            z0 += p * b
            z1 += q * b
            z2 += b
        for i in range(lam.size):
            q, x = P[j, 1, i], U[1, i]
            a = lam[i] * x
            c0 += q * x
            c1 += x
            d0 += q * a
            d1 += a
            v += U[2, i]
        force = r[t] * (coupling * w1 + noise)
        w[0], w[1] = w0, l * w1
        y[0], y[1], y[2] = y0, y1, l * y2
        z[0], z[1], z[2] = z0 + force * G[0, t], z1 + force * G[1, t], l * z2 + force * G[2, t]
        c[0], c[1], d[0], d[1] = c0, l * c1, d0, l * d1
        s[t] = v
        v *= l
        e, b = lr[t], rho[t]
        for _ in range(TURNS):
            old_e, old_b = e, b
            A, H = rate(y, z, d, b)
            if H > 0.0:
                e = min(max(A / H, 0.0), cap[t])
            Q, B, size = weight(w, y, z, c, d, v, e)
            if FLAT * size < Q:
                b = min(max(-B / Q, 0.0), most)
            if abs(e - old_e) <= SETTLED * old_e and abs(b - old_b) <= SETTLED:
                break
        # The change of h as the sum of two: of the rate at the new weight, of the weight at the old rate.
        A, H = rate(y, z, d, b)
        Q, B, size = weight(w, y, z, c, d, v, lr[t])
        fall = (rho[t] - b) * (Q * (b + rho[t]) + 2.0 * B) + (lr[t] - e) * (H * (e + lr[t]) - 2.0 * A)
        gains[t], curves[0, t], curves[1, t] = max(fall, 0.0), H, Q
        if go and fall > 0.0:
            lr[t], rho[t] = e, b
        e, b = lr[t], rho[t]
        kick, k = force * e * e, r[t] * e * e
        for i in range(lam.size):
            f = 1.0 - e * lam[i]
            x = (f * f + k * own[i]) * U[0, i] + kick * drive[i]
            a = f * U[1, i]
            U[2, i] = (1.0 - b) ** 2 * U[2, i] + 2.0 * b * (1.0 - b) * a + b * b * x
            U[1, i] = (1.0 - b) * a + b * x
            U[0, i] = x
            total += U[2, i]
        s[t + 1] = total


@kept(error_model="numpy", fastmath=FAST)
def sweep(lr, rho, r, cap, most, go, lam, own, drive, noise, coupling, w, every, U, s, gains, curves):
    """One sweep of lr and rho (T,), in place where `go`; arguments as those of `heavy_ball.sweep`."""
    T, N = lr.size, lam.size
    ends, G, last = np.empty(((T - 1) // every + 1, 2, N)), np.empty((3, T)), np.empty(T)
    L, P, room = np.empty((2, N)), np.empty((every, 2, N)), np.zeros((5, 3))
    costates(lr, rho, r, lam, own, drive, coupling, w, every, L, ends, G, last)
    for first in range(0, T, every):
        end = min(T, first + every)
        stretch(first, end, lr, rho, r, lam, own, coupling, ends, G, last, L, P)
        move(
            first,
            end,
            lr,
            rho,
            r,
            cap,
            most,
            go,
            lam,
            own,
            drive,
            noise,
            coupling,
            P,
            G,
            last,
            U,
            s,
            gains,
            curves,
            room,
        )
