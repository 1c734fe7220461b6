"""What the doors of both samplers share: limits of the counters, progress, identity of a run, statistics."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab._version import __version__
from simlab.engines.arguments import Progress, check_progress
from simlab.errors import InputError, check_entries, check_number
from simlab.methods.base import Method
from simlab.progress import ProgressBar

__all__ = [
    "MOST_SAMPLES",
    "MOST_STEPS",
    "Ticker",
    "check_counters",
    "fingerprint",
    "mean_and_error",
    "order_statistics",
    "quantile_levels",
]

FloatArray = npt.NDArray[np.float64]

MOST_STEPS = 2**32 - 1
MOST_SAMPLES = 2**29 - 1
"""What the words of a counter hold."""

CHUNK = 65_536


class Ticker:
    """Counts the steps of all replicas and shows them; called with those of a chunk, it says whether to go on.

    Once `stopped` it says no, to all runs that would follow.
    """

    def __init__(self, label: str, total: int, progress: Progress | bool | None) -> None:
        progress = check_progress(progress)
        self.total, self.done, self.stopped = total, 0, False
        self.bar = ProgressBar(label, "steps", None if progress is None else bool(progress))
        self.report: Any = progress if callable(progress) else self.bar

    def __call__(self, amount: int) -> bool:
        self.done += amount
        try:
            self.report(min(self.done, self.total), self.total)
        except KeyboardInterrupt:
            self.stopped = True
        return not self.stopped

    def close(self) -> None:
        """Take the bar off the screen."""
        self.bar.close()


def quantile_levels(quantiles: Any) -> FloatArray:
    """Levels within [0, 1], or an InputError."""
    return np.array([check_number("quantiles", q, low=0.0, high=1.0) for q in check_entries("quantiles", quantiles)])


def check_counters(method: Method) -> None:
    """Refuse a run whose steps or samples do not fit the words of a counter."""
    if method.length > MOST_STEPS:
        raise InputError(
            f" has {method.length} steps; the sampler takes {MOST_STEPS} at most, simlab.exact more.", "method"
        )
    for start in range(0, method.length, CHUNK):
        batch = method.batches(start, min(start + CHUNK, method.length))
        most = int(np.max(batch, where=np.isfinite(batch), initial=0.0))
        if most > MOST_SAMPLES:
            raise InputError(f" = {most} is more than {MOST_SAMPLES}; use math.inf for the full gradient.", "batch")


def fingerprint(facts: list[Any], parts: Iterable[npt.ArrayLike | bytes], method: Method) -> str:
    """A digest of all that the bits of a run depend on: JSON-able facts, arrays or bytes, and the method's numbers."""
    digest = hashlib.sha256(json.dumps([__version__, method.length, *facts]).encode())
    for part in (*parts, method.z0):
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    for start in range(0, method.length, CHUNK):
        stop = min(start + CHUNK, method.length)
        for array in (*method.coefficients(start, stop), method.readout(start, stop + 1), method.batches(start, stop)):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


# -- statistics over replicas ------------------------------------------------------------------------------------------


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
