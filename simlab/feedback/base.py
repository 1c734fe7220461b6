"""What a feedback is: a function of a summary of where a run stands, and of a memory of its own.

Samplers call it compiled, `simlab.limit` as it is: it has to be plain arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.doors import door
from simlab.errors import InputError, brief, check_count, check_floats
from simlab.kernels import dials

__all__ = ["Ahead", "Feedback", "Rule", "Summary", "custom"]


MOST = 10**6
"""Numbers that a feedback may keep: each replica has its own."""


class Summary(NamedTuple):
    """What a feedback knows of the step ahead, before it is taken.

    step : its number.  loss : of the batch, 1/2 mean of squared residuals (on a landscape the loss itself).  square,
    product : |g|^2, and <g, g'> with the gradient of the step before (0 at the first).  risk : the excess risk.
    slope : |grad R|^2.  power, curvature : E |g|^2 and E g^T H g over the batches that might be drawn.  back,
    distance : <g, w_0 - w> and |w_0 - w|.  base : what the schedule gives.  previous : the rate of the step before.

    risk, slope, power and curvature are what held-out rows without end would tell; on a landscape they are NaN. In
    `limit` all are expectations.
    """

    step: float
    loss: float
    square: float
    product: float
    risk: float
    slope: float
    power: float
    curvature: float
    back: float
    distance: float
    base: float
    previous: float


Rule = Callable[..., float]


@dataclass(frozen=True, eq=False)
class Feedback:
    """A rule (summary, memory, gains) -> rate; gains are its numbers.

    memory : how many numbers it keeps from step to step, 0 at the start.  by_batch : whether it reads `square` of the
    batch alone, so that `limit` can average over batches.  fields : what it keeps of every weight, by name, 0 at the
    start; whole : whether it sees all weights: then it is a rule (summary, memory, gains, field (fields, d), gradient
    (d,), away (d,), dials) -> rate, away being w_0 - w in the basis of the weights, and may write into the field and
    into the dials (`simlab.kernels.dials`) of the step that the inner method takes; for samplers.  chooses : whether
    memory[0] says how many samples the next step draws (0: all that the method's batch has), of which it waits for the
    first; for regressions.
    """

    name: str
    rule: Rule
    gains: tuple[float, ...] = ()
    by_batch: bool = False
    memory: int = dials.MEMORY
    fields: tuple[str, ...] = ()
    whole: bool = False
    chooses: bool = False
    around: tuple[int, ...] = ()
    """Rules that it may go around; empty: all."""

    @property
    def compiled(self) -> Any:
        """The rule as kernels call it: (summary (12,), memory (n + 1,), gains, ..) -> rate."""
        return _compiled_whole(self.rule) if self.whole else _compiled(self.rule)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{gain:g}' for gain in self.gains)})"


@dataclass(frozen=True, eq=False)
class Ahead:
    """Rates that are found by running ahead from where the run stands: for `simlab.limit` alone.

    stages : their lengths; each takes the constant rate that is best at its end.  low, high : between which.
    """

    name: str
    stages: tuple[int, ...]
    low: float
    high: float

    def __repr__(self) -> str:
        return f"{self.name}({list(self.stages)}, low={self.low:g}, high={self.high:g})"


@lru_cache(maxsize=64)
def _compiled(rule: Rule) -> Any:
    from numba import njit, types

    inner: Any = njit(rule)
    row = types.float64[::1]

    def adapter(s: Any, memory: Any, gains: Any) -> Any:
        at = Summary(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11])
        return inner(at, memory[:-1], gains)

    return _callback(types.float64(row, row, row), adapter)


@lru_cache(maxsize=64)
def _compiled_whole(rule: Rule) -> Any:
    from numba import njit, types

    inner: Any = njit(rule)
    row, rows = types.float64[::1], types.float64[:, ::1]

    def adapter(s: Any, memory: Any, gains: Any, field: Any, gradient: Any, away: Any, p: Any) -> Any:
        at = Summary(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11])
        return inner(at, memory[:-1], gains, field, gradient, away, p)

    return _callback(types.float64(row, row, row, rows, row, row, row), adapter)


def _callback(signature: Any, adapter: Callable[..., Any]) -> Any:
    from numba import cfunc
    from numba.core.errors import NumbaError

    try:
        return cfunc(signature)(adapter)
    except NumbaError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f" cannot be compiled by Numba ({reason}); use plain arithmetic and math.", "rule") from None


@door
def custom(rule: Rule, gains: npt.ArrayLike = (), *, name: str = "custom", memory: int = dials.MEMORY) -> Feedback:
    """A feedback of the user's own: rule(summary, memory, gains) -> rate; see `Summary`.

    memory : how many numbers it keeps from step to step, 0 at the start.

    It is compiled by Numba for samplers, and called as it is by `limit`. It is tried here on a summary of ones, and
    refused where it raises or gives no number; at which step it gave NaN or a negative rate, a run says.
    """
    if not callable(rule):
        raise InputError(f" = {brief(rule)} is not a function; give one of (summary, memory, gains).", "rule")
    numbers = tuple(float(gain) for gain in np.atleast_1d(check_floats("gains", gains)))
    count = check_count("memory", memory, high=MOST)
    try:
        tried = rule(Summary(0.0, *[1.0] * 11), np.zeros(count), np.array(numbers))
        float(tried)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f" raised {brief(reason)} on a summary of ones; give a function (summary, memory, gains) -> rate, whose "
            f"memory has {count} numbers (memory=).",
            "rule",
        ) from None
    return Feedback(name, rule, numbers, memory=count)
