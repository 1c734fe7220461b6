"""Statistics over replicas: means, their errors, quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.errors import check_entries, check_number

__all__ = ["mean_and_error", "order_statistics", "quantile_levels"]


def quantile_levels(quantiles: Any) -> FloatArray:
    """Levels within [0, 1], or an InputError."""
    return np.array([check_number("quantiles", q, low=0.0, high=1.0) for q in check_entries("quantiles", quantiles)])


def mean_and_error(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean over axis 1 and its standard error (NaN for a single replica); both infinite where a replica is."""
    n = values.shape[1]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        mean = values.mean(axis=1)
        spread = ((values - mean[:, None]) ** 2).sum(axis=1)
        error = np.sqrt(spread / (n - 1) / n) if n > 1 else np.full_like(mean, np.nan)
    return mean, np.where(np.isinf(mean), np.inf, error)


def order_statistics(values: FloatArray, levels: FloatArray) -> FloatArray:
    """Order statistics over axis 1, moved behind it: the smallest value with at least a share `level` at or below."""
    n = values.shape[1]
    order = np.sort(values, axis=1)
    # Rounded first: 0.07 times 100 is 7 and not what floats make of it, a little more.
    at = np.clip(np.ceil(np.round(levels * n, 6)).astype(np.int64) - 1, 0, n - 1)
    return order[:, at]
