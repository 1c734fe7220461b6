"""Discrete collocation: a polynomial in the step that obeys a recursion at chosen whole steps of a panel.

On a panel of m steps the unknown u(t) is a polynomial of degree p through its value at the start and at p whole steps
y_1 < .. < y_p = m - 1, the right Radau points of [0, m - 1] rounded (Hairer and Wanner 1996, IV.5, for the continuous
points). The recursion is asked to hold at those p steps; what is needed of the polynomials is their forward difference.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.kernels.compiling import hot, kept

__all__ = ["differences", "interpolation", "panel_differences", "panel_steps", "radau"]


@lru_cache(maxsize=32)
def radau(p: int) -> FloatArray:
    """The p right Radau points in (0, 1], the last of which is 1."""
    from scipy.special import roots_jacobi

    inner: FloatArray = np.sort(0.5 * (roots_jacobi(p - 1, 1.0, 0.0)[0] + 1.0))
    return np.append(inner, 1.0)


def panel_steps(p: int, m: int) -> IntArray:
    """The offsets y_1 < .. < y_p = m - 1 of the collocation steps of a panel of m >= p + 1 steps, all at least 1."""
    y = np.rint(radau(p) * float(m - 1)).astype(np.int64)
    first = np.arange(1, p + 1)
    y = np.maximum.accumulate(np.maximum(y, first) - first) + first  # distinct, from below
    last = m - p - 1 + first
    y = np.minimum.accumulate((np.minimum(y, last) - last)[::-1])[::-1] + last  # and from above
    return y


@hot
def differences(y, m, D):
    """D (p, p + 1): sum_j D_lj u(y_j) = m [u(y_l + 1) - u(y_l)] for polynomials u of degree <= p, with y_0 = 0.

    m times the forward difference at the collocation steps, formed from products of differences of steps: no entry
    cancels off the diagonal, and the diagonal is minus the sum of its row. As m grows it tends to the derivative on
    [0, 1], and so the collocation to Radau IIA.
    """
    n = y.size + 1
    h = 1.0 / m
    for l in range(1, n):
        here = y[l - 1] / m
        total = 0.0
        for j in range(n):
            if j != l:
                there = y[j - 1] / m if j else 0.0
                value = 1.0 / (there - here)
                for k in range(n):
                    if k != j and k != l:
                        x = y[k - 1] / m if k else 0.0
                        value *= ((here - x) + h) / (there - x)
                D[l - 1, j] = value
                total += value
        D[l - 1, l] = -total


@kept
def panel_differences(y, m):
    """`differences` as a new array, for Python."""
    D = np.empty((y.size, y.size + 1))
    differences(y, m, D)
    return D


@hot
def interpolation(y, p, m, offset, out):
    """out (>= p + 1,): the weights of the values at 0, y_1 .. y_p in the value of their polynomial at `offset`."""
    n = p + 1
    for j in range(n):
        there = y[j - 1] / m if j else 0.0
        value = 1.0
        for k in range(n):
            if k != j:
                x = y[k - 1] / m if k else 0.0
                value *= (offset / m - x) / (there - x)
        out[j] = value
