"""Every named schedule as a start: a few knots, for the page to drag."""

from __future__ import annotations

import numpy as np

from simlab.arrays import FloatArray
from simlab.schedules import Schedule
from simlab.showcase.schedules import chosen, samples

__all__ = ["knots_of", "starts"]

STEPS = 10_000
"""Length at which the named schedules are looked at; knots are places in the run, and fit any."""

MOST = 40
CLOSE = 0.004


def starts() -> dict[str, list[list[float]]]:
    """Family -> knots [place in the run, multiple of the peak]."""
    return {name: knots_of(schedule)[0] for name, schedule in samples(chosen(None), STEPS).items()}


def knots_of(schedule: Schedule, most: int = MOST) -> tuple[list[list[float]], float]:
    """At most `most` knots whose straight lines stay near a schedule, and the peak that they are multiples of.

    The point that is furthest off is taken in until none is off by 0.4 % of the peak (Ramer 1972, Douglas and Peucker
    1973).
    """
    steps = schedule.length
    at = np.unique(np.concatenate([np.arange(steps) if steps <= STEPS else np.linspace(0, steps - 1, STEPS)]).round())
    peak = schedule.peak() or 1.0
    u = np.append(at / steps, 1.0)
    y = np.append(values := np.asarray(schedule(at.astype(np.int64))) / peak, max(2.0 * values[-1] - values[-2], 0.0))
    kept = [0, u.size - 1]
    while len(kept) < most:
        off = np.abs(np.interp(u, u[kept], y[kept]) - y)
        worst = int(np.argmax(off))
        if off[worst] <= CLOSE:
            break
        kept = sorted([*kept, worst])
    return [[_short(u[i]), _short(y[i])] for i in kept], float(peak)


def _short(value: FloatArray | float) -> float:
    return float(f"{value:.6g}")
