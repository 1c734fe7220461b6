"""Sums over steps that lose no digits at T = 10^6: prefixes and suffixes, powers of 1 - x, linear recursions as scans,
noise responses of two geometric sequences, memory kernels of a schedule.

A running sum of 10^6 equal terms drifts by 10^-11, a suffix sum formed as total minus prefix loses all digits near the
end; the sums here run in blocks of sqrt(T) and, for suffixes, from the right. None forms a small difference of large
numbers, and none loops over steps: a scan takes log2 T passes, a response sum log2 N. `memory_sums` evaluates
sum_{k<t} q_k (b_k + lr_{k+1} + ... + lr_t)^-p for all t at once in O(T log T): the power is an integral of exponentials
(Beylkin and Monzon 2005, 2010), 100 to 200 of which give it to 10^-14 over ten decades, and each one factorises.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "TwoRates",
    "memory_sums",
    "one_minus_power",
    "power",
    "prefix_sums",
    "suffix_scan",
    "suffix_sums",
    "two_rates",
]

FloatArray = npt.NDArray[np.float64]
_BLOCK = 128


def prefix_sums(values: npt.ArrayLike) -> FloatArray:
    """x_0 + ... + x_t for every t along the last axis; relative error about 2 sqrt(T) ulp for terms of one sign."""
    x = np.asarray(values, dtype=np.float64)
    steps = x.shape[-1]
    width = max(1, math.isqrt(steps))
    rows = -(-steps // width)
    padded = np.zeros((*x.shape[:-1], rows * width))
    padded[..., :steps] = x
    inner = np.cumsum(padded.reshape(*x.shape[:-1], rows, width), axis=-1)
    inner[..., 1:, :] += np.cumsum(inner[..., :-1, -1], axis=-1)[..., None]
    out: FloatArray = inner.reshape(*x.shape[:-1], rows * width)[..., :steps]
    return out


def suffix_sums(values: npt.ArrayLike) -> FloatArray:
    """x_t + ... + x_{T-1} for every t along the last axis, summed from the right."""
    out: FloatArray = prefix_sums(np.asarray(values, dtype=np.float64)[..., ::-1])[..., ::-1]
    return out


def _exponentials(exponent: float, low: float, high: float) -> tuple[FloatArray, FloatArray]:
    """Rates a_j and weights w_j > 0 with sum_j w_j exp(-a_j x) = x^-exponent to 10^-14 for low <= x <= high.

    x^-p = int a^p exp(-a x) d(ln a) / Gamma(p), by the trapezoidal rule in s with ln(a high) = s - exp(-s): the
    integrand falls doubly exponentially on both sides.
    """
    step = 0.21
    last = math.log(high / low) + math.log(45.0)
    s = np.arange(-4.8, last + step, step)
    log_rate = s - np.exp(-s)
    log_weight = (
        exponent * log_rate + np.log1p(np.exp(-s)) + math.log(step) - math.lgamma(exponent) - exponent * math.log(high)
    )
    kept = log_weight > -700.0
    return np.exp(log_rate[kept]) / high, np.exp(log_weight[kept])


def memory_sums(lr: FloatArray, charges: FloatArray, exponent: float, offsets: FloatArray | None = None) -> FloatArray:
    """sum_{k<t} q_k (b_k + sum_{k<s<=t} lr_s)^-p for t = 0 .. T-1, shape (T,); 0 at t = 0.

    lr > 0 (but for lr_0, which is not used), charges q of any sign and offsets b >= 0 (default 0) have shape (T,).
    Pairs within a block of 128 steps are summed as they stand, distances accumulated from the later step; pairs in
    different blocks through exponentials. Cost O(T log(T lr_max / lr_min)); relative error about 10^-13 where the
    charges have one sign.
    """
    steps = lr.size
    rows = -(-steps // _BLOCK)
    shape = (rows, _BLOCK)
    rate, charge, offset = np.ones(rows * _BLOCK), np.zeros(rows * _BLOCK), np.zeros(rows * _BLOCK)
    rate[:steps], charge[:steps] = lr, charges
    offset[:steps] = 0.0 if offsets is None else offsets
    rate, charge, offset = rate.reshape(shape), charge.reshape(shape), offset.reshape(shape)
    out = _near(rate, charge, exponent, offset)
    if rows > 1:
        low = float(lr[1:].min()) + (0.0 if offsets is None else float(offsets.min()))
        high = float(np.sum(lr)) + float(offset.max())
        out += _far(rate, charge, offset, *_exponentials(exponent, low, high))
    return out.reshape(-1)[:steps]


def _near(rate: FloatArray, charge: FloatArray, exponent: float, offset: FloatArray) -> FloatArray:
    """The pairs within a block, by their lag."""
    out = np.zeros_like(rate)
    distance = np.zeros_like(rate)
    for lag in range(1, rate.shape[1]):
        distance = distance[:, 1:] + rate[:, 1 : rate.shape[1] - lag + 1]
        x = distance + offset[:, :-lag]
        out[:, lag:] += charge[:, :-lag] / x if exponent == 1.0 else charge[:, :-lag] * x**-exponent
    return out


def _far(rate: FloatArray, charge: FloatArray, offset: FloatArray, a: FloatArray, w: FloatArray) -> FloatArray:
    """The pairs in different blocks: per exponential a state at the start of each block, decayed from block to
    block."""
    since = np.cumsum(rate, axis=1)
    until = np.zeros_like(rate)
    until[:, :-1] = np.cumsum(rate[:, :0:-1], axis=1)[:, ::-1]
    until += offset
    emitted = np.empty((rate.shape[0], a.size))
    for j, speed in enumerate(a):
        emitted[:, j] = np.einsum("bk,bk->b", charge, np.exp(-speed * until))
    kept = np.exp(-np.outer(since[:, -1], a))
    state = np.zeros_like(emitted)
    for row in range(1, state.shape[0]):
        state[row] = state[row - 1] * kept[row - 1] + emitted[row - 1]
    state *= w
    out = np.zeros_like(rate)
    for j, speed in enumerate(a):
        out += np.exp(-speed * since) * state[:, j : j + 1]
    return out


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
