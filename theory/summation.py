"""Sums over steps that keep their relative accuracy at T = 10^6, and memory kernels of a schedule in O(T log T).

A running sum of 10^6 equal terms drifts by 10^-11, a suffix sum formed as total minus prefix loses all digits near the
end; the sums here run in blocks of sqrt(T) and, for suffixes, from the right. `memory_sums` evaluates
sum_{k<t} q_k (b_k + lr_{k+1} + ... + lr_t)^-p for all t at once: the power is an integral of exponentials (Beylkin and
Monzon 2005, 2010), 100 to 200 of which give it to 10^-14 over ten decades, and each exponential factorises.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["memory_sums", "prefix_sums", "suffix_sums"]

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


def _exponentials(power: float, low: float, high: float) -> tuple[FloatArray, FloatArray]:
    """Rates a_j and weights w_j > 0 with sum_j w_j exp(-a_j x) = x^-power to 10^-14 for low <= x <= high.

    x^-p = int a^p exp(-a x) d(ln a) / Gamma(p), by the trapezoidal rule in s with ln(a high) = s - exp(-s): the
    integrand falls doubly exponentially on both sides.
    """
    step = 0.21
    last = math.log(high / low) + math.log(45.0)
    s = np.arange(-4.8, last + step, step)
    log_rate = s - np.exp(-s)
    log_weight = power * log_rate + np.log1p(np.exp(-s)) + math.log(step) - math.lgamma(power) - power * math.log(high)
    kept = log_weight > -700.0
    return np.exp(log_rate[kept]) / high, np.exp(log_weight[kept])


def memory_sums(lr: FloatArray, charges: FloatArray, power: float, offsets: FloatArray | None = None) -> FloatArray:
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
    out = _near(rate, charge, power, offset)
    if rows > 1:
        low = float(lr[1:].min()) + (0.0 if offsets is None else float(offsets.min()))
        high = float(np.sum(lr)) + float(offset.max())
        out += _far(rate, charge, offset, *_exponentials(power, low, high))
    return out.reshape(-1)[:steps]


def _near(rate: FloatArray, charge: FloatArray, power: float, offset: FloatArray) -> FloatArray:
    """The pairs within a block, by their lag."""
    out = np.zeros_like(rate)
    distance = np.zeros_like(rate)
    for lag in range(1, rate.shape[1]):
        distance = distance[:, 1:] + rate[:, 1 : rate.shape[1] - lag + 1]
        x = distance + offset[:, :-lag]
        out[:, lag:] += charge[:, :-lag] / x if power == 1.0 else charge[:, :-lag] * x**-power
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
