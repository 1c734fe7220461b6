"""The slow and obvious oracle: every second moment of every coordinate, by dense matrices and an explicit
fourth-moment tensor.

Nothing here is shared with simlab's engines. The state of all coordinates is one vector Z of length k d (state-major),
the recursion is applied to the full matrix E[Z Z^T], and expectations over a sample are contractions with
E[x_i x_j x_l x_m], formed entry by entry. For d <= 6.
"""

from __future__ import annotations

import itertools

import numpy as np


def fourth_moments(lam, kurtosis, coupled=True):
    """E[x_i x_j x_l x_m] of independent coordinates (or of one-hot ones), shape (d, d, d, d)."""
    d = len(lam)
    kurtosis = np.broadcast_to(kurtosis, (d,))
    tensor = np.zeros((d, d, d, d))
    for i, j, l, m in itertools.product(range(d), repeat=4):
        if i == j == l == m:
            tensor[i, j, l, m] = kurtosis[i] * lam[i] ** 2
        elif coupled:
            if i == j and l == m:
                tensor[i, j, l, m] = lam[i] * lam[l]
            elif (i == l and j == m) or (i == m and j == l):
                tensor[i, j, l, m] = lam[i] * lam[j]
    return tensor


def risks(lam, *given, **more):
    """Per-mode risk (components bias, variance, deterministic) of a simlab method at every step, shape (T + 1, 3, d).

    Arguments as of `second_moments`.
    """
    return 0.5 * np.asarray(lam, dtype=float) * np.diagonal(second_moments(lam, *given, **more), axis1=2, axis2=3)


def second_moments(lam, error, noise_variance, kurtosis, method, *, coupled=True, additive=None):
    """E (w - w*)(w - w*)^T (of bias, variance, and the square of the mean) at every step, shape (T + 1, 3, d, d).

    `additive`: covariance diagonal of additive gradient noise in place of data noise (the noisy quadratic model).
    """
    lam = np.asarray(lam, dtype=float)
    d, k = lam.size, method.state_size
    H = np.diag(lam)
    tensor = fourth_moments(lam, kurtosis, coupled)
    eye = np.eye(d)
    start = np.kron(method.z0, error)
    bias, variance, mean = np.outer(start, start), np.zeros((k * d, k * d)), start.copy()
    out = np.zeros((method.length + 1, 3, d, d))
    for t in range(method.length + 1):
        read = np.kron(method.readout(t, t + 1)[0][None], eye)
        for j, second in enumerate((bias, variance, np.outer(mean, mean))):
            out[t, j] = read @ second @ read.T
        if t == method.length:
            return out
        M, b, c = (part[0] for part in method.coefficients(t, t + 1))
        B = method.batches(t, t + 1)[0]
        big_M, push, look = np.kron(M, eye), np.kron(b[:, None], eye), np.kron(c[None], eye)

        def step(second, sigma2, own, B=B, big_M=big_M, push=push, look=look):
            Y = look @ second @ look.T
            if additive is None:
                one = np.einsum("ijlm,jl->im", tensor, Y) + sigma2 * H
                gg = H @ Y @ H + (one - H @ Y @ H) / B
            else:
                gg = H @ Y @ H + (np.diag(additive) if own else 0.0) / B
            cross = big_M @ second @ look.T @ H @ push.T
            return big_M @ second @ big_M.T - cross - cross.T + push @ gg @ push.T

        bias, variance = step(bias, 0.0, False), step(variance, noise_variance, True)
        mean = (big_M - push @ H @ look) @ mean


def operator(lam, kurtosis, M, b, c, B):
    """The noiseless second-moment operator on E[Z Z^T] restricted to its diagonal blocks, (d k^2, d k^2) by columns."""
    d, k = len(lam), len(b)
    lam = np.asarray(lam, dtype=float)
    columns = []
    for unit in np.eye(d * k * k):
        P = unit.reshape(d, k, k)
        s = sum(lam[i] * c @ P[i] @ c for i in range(d))
        new = np.empty_like(P)
        for i in range(d):
            A = M - lam[i] * np.outer(b, c)
            own = (kurtosis - 2.0) * lam[i] ** 2 * (c @ P[i] @ c)
            new[i] = A @ P[i] @ A.T + (own + lam[i] * s) / B * np.outer(b, b)
        columns.append(new.ravel())
    return np.stack(columns, axis=1)
