"""Sums over steps that lose no digits: powers of 1 - x, linear recursions as scans, noise responses of two geometric
sequences.

None of it forms a small difference of large numbers, and none of it loops over steps: a scan takes log2 T passes, a
response sum log2 N.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["TwoRates", "one_minus_power", "power", "suffix_scan", "two_rates"]

FloatArray = npt.NDArray[np.float64]


def power(x: npt.ArrayLike, n: npt.ArrayLike) -> FloatArray:
    """(1 - x)^n for 0 <= x <= 2 and whole n >= 0, broadcast; right to n eps even where x is far below eps."""
    x, n = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64))
    gap = np.where(x < 1.0, -x, x - 2.0)  # |1 - x| - 1
    log = np.log1p(np.where(x == 1.0, 0.0, gap))
    size = np.where(x == 1.0, np.where(n == 0.0, 1.0, 0.0), np.exp(n * log))
    out: FloatArray = np.where((x > 1.0) & (n % 2.0 == 1.0), -size, size)
    return out


def one_minus_power(x: npt.ArrayLike, n: npt.ArrayLike) -> FloatArray:
    """1 - (1 - x)^n for 0 <= x <= 2, broadcast, to full relative accuracy for small x."""
    x, n = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64))
    small = x < 0.5
    near = -np.expm1(n * np.log1p(-np.where(small, x, 0.0)))
    out: FloatArray = np.where(small, near, 1.0 - power(x, n))
    return out


def suffix_scan(decay: FloatArray, shift: FloatArray, last: npt.ArrayLike) -> FloatArray:
    """y_s = shift_s + (1 - decay_s) y_(s+1) along the first axis with y_n = last; shapes (n, ...) -> (n, ...).

    Odd-even reduction: pairs of steps are joined to one until none is left, then filled in again. Some 4 n products
    and log2 n passes; sums of positive terms stay such sums. The product of factors is carried as 1 - x while x <
    1/2, since the rounding of 1 - decay would grow to n eps.
    """
    end = np.broadcast_to(np.asarray(last, dtype=np.float64), shift.shape[1:])
    return _scan(decay, 1.0 - decay, shift, end)


def _scan(x: FloatArray, factor: FloatArray, shift: FloatArray, end: FloatArray) -> FloatArray:
    n = x.shape[0]
    out = np.empty(shift.shape)
    if n < 2:
        out[:] = shift + factor * end
        return out
    if n % 2:
        out[-1] = shift[-1] + factor[-1] * end
        out[:-1] = _scan(x[:-1], factor[:-1], shift[:-1], out[-1])
        return out
    left, right = factor[0::2], factor[1::2]
    joined = x[0::2] + x[1::2] * left
    product = np.where(np.abs(joined) < 0.5, 1.0 - joined, left * right)
    out[0::2] = _scan(joined, product, shift[0::2] + left * shift[1::2], end)
    out[1:-1:2] = shift[1:-1:2] + right[:-1] * out[2::2]
    out[-1] = shift[-1] + factor[-1] * end
    return out


class TwoRates(NamedTuple):
    """h_n = sum_{k<n} q^k p^(n-1-k), and squares = sum_{j<n} h_j^2, with p = 1 - x, q = 1 - y."""

    h: FloatArray
    squares: FloatArray


def two_rates(x: npt.ArrayLike, y: npt.ArrayLike, n: npt.ArrayLike) -> TwoRates:
    """The response of one geometric average to another, by doubling; 0 <= x, y <= 2 and whole n >= 0 broadcast.

    h_n = (q^n - p^n) / (q - p), which is 0 / 0 at the resonance x = y. From n to 2 n,

        h_2n = h_n (q^n + p^n),    h_(n+j) = q^j h_n + p^n h_j,

    so that with A = sum_{j<n} q^2j and C = sum_{j<n} q^j h_j every update adds products without a division: for p, q
    >= 0 positive terms only, right to about log2(n) eps at resonance or not. (Iterate averaging is y = 0: x h_n = 1 -
    p^n.)
    """
    x, y, count = np.broadcast_arrays(
        np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64), np.asarray(n, dtype=np.int64)
    )
    q = 1.0 - y
    h, a, c, f = (np.zeros(x.shape) for _ in range(4))
    bits = int(count.max()).bit_length() if count.size else 0
    for bit in range(bits - 1, -1, -1):
        done = count >> (bit + 1)
        pn, qn = power(x, done), power(y, done)
        f = f + h * h * a + 2.0 * h * pn * c + pn * pn * f
        c = c + qn * (h * a + pn * c)
        a = a * (1.0 + qn * qn)
        h = h * (qn + pn)
        odd = ((count >> bit) & 1).astype(bool)
        pm, qm = power(x, 2 * done), power(y, 2 * done)
        f = np.where(odd, f + h * h, f)
        c = np.where(odd, c + qm * h, c)
        a = np.where(odd, a + qm * qm, a)
        h = np.where(odd, q * h + pm, h)
    return TwoRates(h, f)
