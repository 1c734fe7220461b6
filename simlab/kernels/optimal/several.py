"""Krotov's sweep for several problems that share their rates (SGD, k = 1; Numba, SIMD).

J = sum_j nu_j J_j, and so are A and H of `simlab.kernels.optimal.sgd`: costates and moments are each problem's own,
the best single rate A / H is of all. Nodes are padded with zeros to the most that a problem has.
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, kept
from simlab.kernels.moments.steps import FLUSH, flush
from simlab.kernels.optimal.sgd import costates, moved_rate, stepped, stretch


@kept(error_model="numpy", fastmath=FAST)
def sweep(lr, r, cap, relax, nu, lam, own, drive, noise, coupling, w, every, u, s, A, H, C):
    """As the sweep of one problem, with nu, noise, coupling (P,), lam, own, drive, u (P, N) and s (P, T + 1)."""
    T, P, N = lr.size, lam.shape[0], lam.shape[1]
    ends, G, p = np.empty((P, (T - 1) // every + 1, N)), np.empty((P, T)), np.empty(N)
    run, totals = np.empty((P, every, N)), np.empty(P)
    for j in range(P):
        costates(lr, r, lam[j], own[j], drive[j], coupling[j], w, every, p, ends[j], G[j])
        totals[j] = u[j].sum()
        s[j, 0] = totals[j]
    for first in range(0, T, every):
        last = min(T, first + every)
        for j in range(P):
            stretch(first, last, lr, r, lam[j], own[j], coupling[j], w, ends[j], G[j], run[j])
        for t in range(first, last):
            A[t] = H[t] = C[t] = 0.0
            for j in range(P):
                if t % FLUSH == 0:
                    flush(u[j])
                a = h = c = 0.0
                for i in range(N):
                    x = run[j, t - first, i] * u[j, i]
                    y = x * lam[j, i]
                    a += y
                    h += y * lam[j, i]
                    c += x * own[j, i]
                c += G[j, t] * (coupling[j] * totals[j] + noise[j])
                A[t] += nu[j] * a
                H[t] += nu[j] * (h + r[t] * c)
                C[t] += nu[j] * c
            e = moved_rate(lr[t], A[t], H[t], relax, cap[t])
            lr[t] = e
            q = r[t] * e * e
            for j in range(P):
                kick = q * (coupling[j] * totals[j] + noise[j])
                totals[j] = stepped(e, q, kick, lam[j], own[j], drive[j], u[j])
                s[j, t + 1] = totals[j]
