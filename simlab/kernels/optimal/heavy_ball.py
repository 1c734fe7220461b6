"""Krotov's sweep of heavy ball: rate and momentum of every step together (k = 2; Numba, SIMD).

In the state (w, v) the moments of a node are W, X, V = E w^2, E w v, E v^2 (times lam), its costates l11, l12, l22, of
which a sweep needs l = l11, m = l11 + l12, q = l11 + 2 l12 + l22. With new moments and old costates, J changes by the
sum of the changes of

    h_t = lr^2 sum q (lam^2 W + r kappa) - 2 lr beta sum q lam X + beta^2 sum q V - 2 lr sum m lam W + 2 beta sum m X,

kappa = own W + drive (coupling s + noise): convex, as moments and costates are positive semidefinite, and so lowered by
its minimum on the box [0, cap] x [0, most].
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.steps import FLUSH, flush

FLAT = 1e-13
"""A form whose determinant is this share of the product of its diagonal has no minimum of its own."""


@hot(error_model="numpy", fastmath=FAST)
def pull(e, b, add, k, lam, own, L):
    """L = (l, m, q) one step back, of rate e and momentum b; k = r e^2, add what all nodes receive."""
    for i in range(lam.size):
        z = e * lam[i]
        q = L[2, i]
        x = L[0, i] - 2.0 * z * L[1, i] + (z * z + k * own[i]) * q + add
        y = b * (L[1, i] - z * q)
        L[0, i] = x
        L[1, i] = x + y
        L[2, i] = x + 2.0 * y + b * b * q


@hot(error_model="numpy", fastmath=FAST)
def costates(lr, beta, r, lam, own, drive, coupling, w, every, L, ends, G):
    """l, m, q of the iterate t + 1 at the last step t of every stretch into ends (stretches, 3, N); G = sum drive q."""
    T, N = lr.size, lam.size
    for i in range(N):
        L[0, i] = L[1, i] = L[2, i] = 0.5 * w[T]
    for t in range(T - 1, -1, -1):
        if (t + 1) % every == 0 or t == T - 1:
            row = t // every
            for j in range(3):
                for i in range(N):
                    ends[row, j, i] = L[j, i]
        g = 0.0
        for i in range(N):
            g += drive[i] * L[2, i]
        G[t] = g
        k = r[t] * lr[t] * lr[t]
        pull(lr[t], beta[t], k * coupling * g + 0.5 * w[t], k, lam, own, L)
        if t % FLUSH == 0:
            flush(L.reshape(L.size))


@hot(error_model="numpy", fastmath=FAST)
def stretch(first, last, lr, beta, r, lam, own, coupling, w, ends, G, L, P):
    """m, q of the iterates first + 1 .. last into P (stretch, 2, N)."""
    N, row = lam.size, first // P.shape[0]
    for j in range(3):
        for i in range(N):
            L[j, i] = ends[row, j, i]
    for t in range(last - 1, first - 1, -1):
        for i in range(N):
            P[t - first, 0, i] = L[1, i]
            P[t - first, 1, i] = L[2, i]
        k = r[t] * lr[t] * lr[t]
        pull(lr[t], beta[t], k * coupling * G[t] + 0.5 * w[t], k, lam, own, L)
        if t % FLUSH == 0:
            flush(L.reshape(L.size))


@hot(error_model="numpy")
def form(a, b, c, f, g, x, y):
    return a * x * x + 2.0 * b * x * y + c * y * y + 2.0 * f * x + 2.0 * g * y


@hot(error_model="numpy")
def lowest(a, b, c, f, g, x0, y0, most_x, most_y):
    """The minimum of a convex a x^2 + 2 b x y + c y^2 + 2 f x + 2 g y on a box from 0; (x0, y0) where it is flat."""
    det = a * c - b * b
    if det > FLAT * a * c:
        x, y = (b * g - c * f) / det, (b * f - a * g) / det
        if 0.0 <= x <= most_x and 0.0 <= y <= most_y:
            return x, y
    best_x, best_y, best = x0, y0, form(a, b, c, f, g, x0, y0)
    for edge in range(6):
        x, y = x0, y0
        if edge < 3:  # y on either end, or as it is
            y = 0.0 if edge == 0 else most_y if edge == 1 else y0
            if a > 0.0:
                x = min(max(-(f + b * y) / a, 0.0), most_x)
        else:
            x = 0.0 if edge == 3 else most_x if edge == 4 else x0
            if not x < np.inf:
                continue
            if c > 0.0:
                y = min(max(-(g + b * x) / c, 0.0), most_y)
        value = form(a, b, c, f, g, x, y)
        if value < best:
            best_x, best_y, best = x, y, value
    return best_x, best_y


@hot(error_model="numpy", fastmath=FAST)
def move(first, last, lr, beta, r, cap, most, go, lam, own, drive, noise, coupling, P, G, U, s, gains, curves):
    """The steps first .. last - 1 with new rates and momenta; U (3, N) = W, X, V moves along."""
    total = s[first]
    for t in range(first, last):
        j = t - first
        if t % FLUSH == 0:
            flush(U.reshape(U.size))
        a = b = c = f = g = k = 0.0
        for i in range(lam.size):
            q = P[j, 1, i]
            z = lam[i] * U[0, i]
            a += q * lam[i] * z
            k += q * own[i] * U[0, i]
            b += q * lam[i] * U[1, i]
            c += q * U[2, i]
        for i in range(lam.size):
            m = P[j, 0, i]
            f += m * lam[i] * U[0, i]
            g += m * U[1, i]
        force = coupling * total + noise
        a += r[t] * (k + G[t] * force)
        old = form(a, -b, c, -f, g, lr[t], beta[t])
        e, h = lowest(a, -b, c, -f, g, lr[t], beta[t], cap[t], most)
        fall = old - form(a, -b, c, -f, g, e, h)
        gains[t], curves[0, t], curves[1, t] = max(fall, 0.0), a, c
        if go and fall > 0.0:
            lr[t], beta[t] = e, h
        e, h = lr[t], beta[t]
        kick = r[t] * e * e * force
        k = r[t] * e * e
        total = 0.0
        for i in range(lam.size):
            z = e * lam[i]
            y = h * U[1, i] - z * U[0, i]
            v = h * h * U[2, i] - 2.0 * h * z * U[1, i] + (z * z + k * own[i]) * U[0, i] + kick * drive[i]
            x = U[0, i] + 2.0 * y + v
            U[0, i] = x
            U[1, i] = y + v
            U[2, i] = v
            total += x
        s[t + 1] = total


@kept(error_model="numpy", fastmath=FAST)
def sweep(lr, beta, r, cap, most, go, lam, own, drive, noise, coupling, w, every, U, s, gains, curves):
    """One sweep of lr and beta (T,), in place where `go`; U (3, N) is the start and is moved to the end.

    s (T + 1,) receives s_t; gains (T,) what each step alone lowers J by; curves (2, T) half its second derivatives.
    """
    T, N = lr.size, lam.size
    ends, G, L, P = np.empty(((T - 1) // every + 1, 3, N)), np.empty(T), np.empty((3, N)), np.empty((every, 2, N))
    costates(lr, beta, r, lam, own, drive, coupling, w, every, L, ends, G)
    total = 0.0
    for i in range(N):
        total += U[0, i]
    s[0] = total
    for first in range(0, T, every):
        last = min(T, first + every)
        stretch(first, last, lr, beta, r, lam, own, coupling, w, ends, G, L, P)
        move(first, last, lr, beta, r, cap, most, go, lam, own, drive, noise, coupling, P, G, U, s, gains, curves)
