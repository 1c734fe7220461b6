"""The scales on which parameters of schedules and methods are looked for, and where the search begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np

from simlab.errors import InputError, brief, check_entries, check_number

__all__ = ["Range", "range_of"]

Scale = Literal["log", "linear", "closing", "phase"]

PHASES = ("warmup", "cooldown", "hold", "anneal", "up", "down", "window")
CLOSING = ("momentum", "decay", "beta")


@dataclass(frozen=True)
class Range:
    """Values from `low` to `high` of a parameter, as the search sees them: x = log v, v, -log(1 - v), or v again for a
    phase of whole steps.  starts : where it may begin.  step : of central differences in x.
    """

    name: str
    low: float
    high: float
    scale: Scale
    starts: tuple[float, ...]
    step: float

    def x(self, value: Any) -> Any:
        """The value, or the values, on the scale of the search."""
        if self.scale == "log":
            return np.log(value)
        return -np.log1p(-value) if self.scale == "closing" else value

    def value(self, x: Any) -> Any:
        """The value, or the values, at x, within the range to the last bit."""
        found = np.exp(x) if self.scale == "log" else -np.expm1(-x) if self.scale == "closing" else x
        return np.clip(found, self.low, self.high)

    def slope(self, value: Any) -> Any:
        """dvalue/dx at a value."""
        return value if self.scale == "log" else 1.0 - value if self.scale == "closing" else np.ones_like(value)

    @property
    def ends(self) -> tuple[float, float]:
        """The range in x."""
        return float(self.x(self.low)), float(self.x(self.high))

    @property
    def unit(self) -> float:
        """A change in x of about the worth of an e-fold; of a range without room, any."""
        return 1.0 if self.scale in ("log", "closing") else 0.4 * (self.high - self.low) or 1.0

    def times(self, value: float, factor: float) -> float:
        """`factor` times the value, or 1 - value where that is what counts, within the range."""
        found = 1.0 - factor * (1.0 - value) if self.scale == "closing" else factor * value
        return min(max(found, self.low), self.high)


def range_of(name: str, given: Mapping[str, Any], critical: float, steps: int) -> Range:
    """The range of a parameter: the pair in `given`, else the usual one of its name, else InputError."""
    if name in given:
        low, high = _pair(name, given[name])
        scale: Scale = "log" if 0.0 < 10.0 * low <= high else "linear"
        if name in PHASES and high <= 1.0:
            scale = "phase"
        elif name in CLOSING and high < 1.0 and low >= 0.0:
            scale = "closing"
        bare = Range(name, low, high, scale, (), 1e-4)
        left, right = bare.ends
        starts = tuple(float(bare.value(left + share * (right - left))) for share in (0.25, 0.75))
        return Range(name, low, high, scale, starts, _step(scale, right - left, steps))
    if name == "peak":
        starts = tuple(critical * 2.0**-j for j in range(-1, 12))
        return Range(name, 1e-6 * critical, 1e2 * critical, "log", starts, 1e-4)
    if name in PHASES:
        first = 1.0 / steps if name in ("cooldown", "window") else 0.0
        starts = (0.02,) if name in ("warmup", "anneal") else (0.15, 0.6)
        return Range(name, first, 1.0, "phase", starts, _step("phase", 1.0, steps))
    if name in CLOSING:
        most = 1.0 - 1e-3 if name != "decay" else 1.0 - 0.1 / steps
        starts = (0.9,) if name != "decay" else (1.0 - 10.0 / max(steps, 11),)
        return Range(name, 0.0, most, "closing", starts, 1e-4)
    if name == "floor":
        return Range(name, 0.0, 1.0, "linear", (0.05,), 1e-4)
    if name == "power":
        return Range(name, 0.05, 20.0, "log", (1.0, 2.5), 1e-4)
    near = get_close_matches(name, ["peak", *PHASES, *CLOSING, "floor", "power"], n=1)
    meant = f"did you mean {near[0]!r}? Else " if near else ""
    raise InputError(f" is not known how far to be searched; {meant}give bounds={{{brief(name)}: (low, high)}}.", name)


def _step(scale: Scale, width: float, steps: int) -> float:
    """A phase is moved by whole steps, a thousandth of the run of them; others by 1e-4 of their range, or e-fold."""
    if scale == "phase":
        return max(1, round(1e-3 * steps)) / steps
    return 1e-4 * (width if scale == "linear" else 1.0)


def _pair(name: str, value: Any) -> tuple[float, float]:
    field = f"bounds[{name!r}]"
    entries = check_entries(field, value, "two numbers")
    if len(entries) != 2:
        raise InputError(f" = {brief(value)} is not a pair; give (low, high).", field)
    low, high = (check_number(field, entry) for entry in entries)
    if not low < high:
        raise InputError(f" = {brief(value)} holds nothing; give (low, high) with low < high.", field)
    return low, high
