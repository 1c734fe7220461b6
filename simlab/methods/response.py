"""How a linear recursion answers noise and a start, and which states take part: arrays in, arrays out.

A = M - lam b c^T is one step of a coordinate of eigenvalue lam. For every one-buffer method whose M has the eigenvalue
1, with m = det M, q = c^T b, m delta = c^T (tr(M) I - M) b, the response G = sum_j (c^T A^j b)^2 is

    G = [(1 + m)(q - m delta) + m delta lam (q + m delta)] / [lam (1 - m + m delta lam)(2 (1 + m) - (q + m delta) lam)].

The closed form was derived and checked for this project against the spectral radius of the full second-moment operator
(tests/engines/test_stability.py does so again); other methods take a discrete Lyapunov equation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simlab.arrays import BoolArray, FloatArray

__all__ = ["active_states", "noise_response", "reached_states", "response_tests", "stationary"]

Frozen = tuple[FloatArray, FloatArray, FloatArray, FloatArray]
"""M (k, k), b (k,), c (k,), o (k,) of one step."""


def noise_response(M: FloatArray, b: FloatArray, c: FloatArray, lam: FloatArray) -> FloatArray:
    """G(lam) = sum_j (c^T A^j b)^2 with A = M - lam b c^T, shape of lam; inf where A does not contract.

    M (k, k), b (k,), c (k,) hold only coordinates that noise reaches and the gradient point feels (see
    `active_states`).
    """
    k = b.size
    eigenvalue_one = k == 2 and abs(1.0 - np.trace(M) + np.linalg.det(M)) <= 1e-13 * (1.0 + abs(np.trace(M)))
    if k == 1 and M[0, 0] == 1.0:
        return _two_state_response(0.0, 0.0, float(b[0] * c[0]), lam)
    if eigenvalue_one:
        m = float(np.linalg.det(M))
        return _two_state_response(m, float(c @ (np.trace(M) * np.eye(2) - M) @ b), float(c @ b), lam)
    X = stationary(M, b, c, lam)
    response: FloatArray = np.einsum("i,nij,j->n", c, X, c)
    return response


def _two_state_response(m: float, m_delta: float, q: float, lam: FloatArray) -> FloatArray:
    slow = (q - m_delta) * lam
    first = 1.0 - m + m_delta * lam
    last = 2.0 * (1.0 + m) - (q + m_delta) * lam
    top = (1.0 + m) * (q - m_delta) + m_delta * lam * (q + m_delta)
    inside = (slow > 0.0) & (first > 0.0) & (last > 0.0)
    out = np.full(lam.shape, np.inf)
    np.divide(top, lam * first * last, out=out, where=inside)
    # Without a learning rate nothing moves: no noise, and no contraction either.
    out[(q == 0.0) & (m_delta == 0.0) & np.isinf(out)] = 0.0
    return out


def stationary(M: FloatArray, b: FloatArray, c: FloatArray, lam: FloatArray) -> FloatArray:
    """X = sum_j A^j b b^T A^jT per eigenvalue, (n, k, k), by the discrete Lyapunov equation; inf where A does not
    contract.
    """
    k = b.size
    if k == 1:
        # 1 - A is exact where A itself, within 1e-16 of 1, would be 1.
        gap = (1.0 - M[0, 0]) + lam * b[0] * c[0]
        out = np.full(lam.size, np.inf)
        np.divide(b[0] ** 2, gap * (2.0 - gap), out=out, where=(gap > 0.0) & (gap < 2.0))
        return out.reshape(-1, 1, 1)
    A = M[None] - lam[:, None, None] * np.outer(b, c)[None]
    contracting = np.abs(np.linalg.eigvals(A)).max(axis=1) < 1.0
    X = np.full((lam.size, k, k), np.inf)
    good = A[contracting]
    operator = np.eye(k * k)[None] - np.einsum("nij,nkl->nikjl", good, good).reshape(-1, k * k, k * k)
    right = np.broadcast_to(np.outer(b, b).reshape(1, -1, 1), (good.shape[0], k * k, 1))
    X[contracting] = np.linalg.solve(operator, right).reshape(-1, k, k)
    return X


def reached_states(M: FloatArray, b: FloatArray, c: FloatArray, seen: FloatArray) -> BoolArray:
    """(k,) mask of the states that noise reaches and that `seen` (k,), the weights of what is looked at, feels."""
    pattern = (M != 0.0) | np.outer(b != 0.0, c != 0.0)
    reached, felt = b != 0.0, seen != 0.0
    for _ in range(b.size):
        reached = reached | (pattern & reached[None, :]).any(axis=1)
        felt = felt | (pattern & felt[:, None]).any(axis=0)
    mask: BoolArray = reached & felt
    return mask


def active_states(M: FloatArray, b: FloatArray, c: FloatArray) -> BoolArray:
    """(k,) mask of the states that noise reaches and that the gradient point feels; averages and constants are
    outside.
    """
    return reached_states(M, b, c, c)


def response_tests(
    frozen: Sequence[Frozen], z0: FloatArray, length: int, training_time: float, lam: FloatArray
) -> FloatArray:
    """Functions of lam whose sums a compressed spectrum must keep for a method: squared bias and noise responses.

    (o^T A^n z0)^2 and (c^T A^n b)^2 at n = 1, 1.5, 2, 3, 4, 6, .. <= T = `length` of every one of the `frozen` steps,
    and exp(-2 tau lam) for tau up to `training_time`, the sum of all learning rates. Shape (functions, lam.size).
    """
    time = max(training_time, 1e-300)
    tau = np.geomspace(time * 1e-9, time, 48)
    rows = [np.exp(-np.minimum(2.0 * np.outer(tau, lam), 700.0))]
    with np.errstate(all="ignore"):
        for M, b, c, o in frozen:
            A = M[None] - lam[:, None, None] * np.outer(b, c)[None]
            rows.extend(_power_rows(A, b, c, o, z0, length))
    stacked = np.concatenate([np.atleast_2d(row) for row in rows])
    return np.where(np.isfinite(stacked), stacked, 0.0)


def _power_rows(
    A: FloatArray, b: FloatArray, c: FloatArray, o: FloatArray, start: FloatArray, length: int
) -> list[FloatArray]:
    rows, power, n = [], A, 1
    while n <= length:
        for P in (power, power @ _root(power, A, n)):
            rows.append(np.einsum("i,nij,j->n", o, P, start) ** 2)
            rows.append(np.einsum("i,nij,j->n", c, P, b) ** 2)
        power, n = power @ power, 2 * n
    return rows


def _root(power: FloatArray, A: FloatArray, n: int) -> FloatArray:
    """A^(n/2) for n a power of two, so that A^(3n/2) lies between A^n and A^(2n)."""
    half = A
    for _ in range(max(n.bit_length() - 2, 0)):
        half = half @ half
    return half if n > 1 else np.broadcast_to(np.eye(A.shape[-1]), A.shape)
