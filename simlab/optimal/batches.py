"""Rates and batch sizes together, under a budget of samples: Krotov's sweep with a price of a sample."""

from __future__ import annotations

import math

import numpy as np

from simlab.arrays import FloatArray
from simlab.optimal.adjoint import Objective

__all__ = ["rounded", "with_batches"]


def with_batches(
    objective: Objective, lr: FloatArray, samples: int, tolerance: float, sweeps: int
) -> tuple[FloatArray, FloatArray]:
    """Rates (T,) and whole batch sizes (T,) of sum `samples`, from rates `lr` at equal batches.

    J is linear in every 1/B, so that at a price of a sample the best batch is sqrt(lr^2 C / price), with C of the
    adjoint; the price is set before each sweep so that the batches sum to the budget (derived here). Where no cap
    binds lr / B alone matters and the optimum is flat: J settles long before rates and batches do. The sweeps end where
    J has settled to `tolerance`.
    """
    T = lr.size
    share = np.full(T, T / samples)
    if samples == T:
        return lr, np.ones(T)
    at = objective.gradient(lr, share)
    gains, last = lr**2 * at.C, at.value
    for _ in range(sweeps):
        at = objective.sweep(lr, share, price=price_of(gains, samples), most=float(samples))
        lr, share = at.lr, at.share
        gains = lr**2 * at.C
        if abs(at.value - last) <= 0.1 * tolerance * last:
            break
        last = at.value
    return lr, rounded(1.0 / share, samples)


def price_of(gains: FloatArray, samples: int) -> float:
    """The price at which batches clip(sqrt(gains / price), 1, samples) sum to `samples`, by bisection of its root."""
    roots = np.sqrt(np.maximum(gains, 0.0))
    if not roots.max() > 0.0:
        return 1.0
    low = math.log(float(roots[roots > 0.0].min())) - math.log(samples) - 1.0
    high = math.log(float(roots.max())) + 1.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        many = float(np.clip(roots * math.exp(-middle), 1.0, samples).sum()) > samples
        low, high = (middle, high) if many else (low, middle)
    return math.exp(2.0 * high)


def rounded(sizes: FloatArray, samples: int) -> FloatArray:
    """Whole numbers >= 1 of sum `samples` whose sums up to each step follow those of `sizes` (T,), to one half."""
    extra = np.maximum(sizes, 1.0) - 1.0
    spare = samples - sizes.size
    up_to = np.cumsum(extra) * (spare / max(float(extra.sum()), 1e-300))
    up_to[-1] = spare
    whole: FloatArray = 1.0 + np.diff(np.rint(up_to), prepend=0.0)
    return whole
