"""What `print(twin)` shows: every parameter with its interval, and whether the data determined it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from simlab.arrays import FloatArray
from simlab.twin.parameters import PARAMETERS

__all__ = ["table"]

NARROWED = 0.8
"""A posterior wider than this share of its prior is the prior's."""

SLOPPY = 3.0
"""A standard deviation of so many scales is sloppy."""


def table(theta: FloatArray, covariance: FloatArray, spreads: FloatArray, free: Collection[str]) -> str:
    """One line a free parameter: value, 90 % interval, meaning, and a remark; spreads (16,) are the priors'."""
    lines = [f"{'parameter':<13}{'value':>9}  {'90 % interval':<20} meaning"]
    for j, p in enumerate(PARAMETERS):
        if p.name not in free:
            continue
        spread = float(np.sqrt(max(covariance[j, j], 0.0)))
        value, half = float(theta[j]), 1.645 * spread
        remark = ""
        if min(value - p.low, p.high - value) < 1e-3 * p.scale:
            remark = " (at its bound)"
        elif spread > NARROWED * spreads[j]:
            remark = " (from the prior)"
        elif spread > SLOPPY * p.scale:
            remark = " (sloppy)"
        interval = f"[{value - half:.4g}, {value + half:.4g}]"
        lines.append(f"{p.name:<13}{value:>9.4g}  {interval:<20} {p.meaning}{remark}")
    return "\n".join(lines)
