"""A method is a small linear recursion: four small arrays as functions of the step, and nothing else.

In each eigen-coordinate the state z in R^k, measured from w*, moves by (DESIGN: Lessard, Recht and Packard 2016, arXiv
1408.3595, write deterministic methods this way)

    y = c_t . z                 where the gradient is taken
    g = Hhat y - noise          stochastic gradient of a batch of B_t fresh samples
    z <- M_t z - b_t g
    w = o_t . z                 the iterate that is evaluated

Engines, stability analysis and samplers read only these arrays, so that a new method is one function that returns a
Method.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec

import numpy as np
import numpy.typing as npt

from simlab.doors import door
from simlab.errors import InputError, brief, check_kind, check_number
from simlab.schedules import Schedule, as_schedule, from_array
from simlab.schedules.extremes import shortened

if TYPE_CHECKING:
    from simlab.methods.stability import Stability
    from simlab.problems import DiagonalProblem

__all__ = [
    "Coefficients",
    "Method",
    "Number",
    "batch_of",
    "builder",
    "check_inner",
    "constant_rows",
    "fraction_schedule",
    "lr_schedule",
]

P = ParamSpec("P")

FloatArray = npt.NDArray[np.float64]
Number = float | Schedule
"""What a hyper-parameter may be: one number, or a schedule as long as that of the learning rate."""

MOST_WRAPPERS = 64
"""Wrappers around one method: each adds a state coordinate, and a few frames to every call."""


WALKED = 1 << 16
"""Longest batch schedule whose values are looked at one by one; of longer ones, one for each constant stretch."""

MOST_BATCHES = 10**8
"""Most values of a batch schedule that are looked at."""


class Coefficients(NamedTuple):
    """M (n, k, k), b (n, k), c (n, k) of the steps asked for: z <- M z - b g(c . z)."""

    M: FloatArray
    b: FloatArray
    c: FloatArray


@dataclass(frozen=True, eq=False)
class Method:
    """A linear first-order method of a given length.

    Attributes
    ----------
    expression : the call that makes it, for labels and provenance.
    length : number of steps T.
    start : (k,) array; z_0 = start * (w_0 - w*).
    coefficients_of : (start, stop) -> Coefficients of the steps start .. stop - 1.
    readout_of : (start, stop) -> o, shape (stop - start, k), for the iterates start .. stop - 1 <= T.
    learning_rate, batch, momentum : schedules, for the trace and the stability analysis (momentum may be None).
    rescale : factor -> the same method with every learning rate multiplied by it.
    made_by : the call that made it, where `builder` did: what pickle and copy keep, for the rest is closures.
    """

    expression: str
    length: int
    start: FloatArray
    coefficients_of: Callable[[int, int], Coefficients]
    readout_of: Callable[[int, int], FloatArray]
    learning_rate: Schedule
    batch: Schedule | float
    rescale: Callable[[float], Method]
    momentum: Schedule | None = None
    made_by: partial[Method] | None = field(default=None, init=False, repr=False)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return super().__reduce_ex__(protocol) if self.made_by is None else (self.made_by, ())

    @property
    def wrappers(self) -> int:
        """How many methods this one is wrapped around, one within the other."""
        depth, made = 0, self.made_by
        while made is not None:
            inner = made.args[0] if made.args else made.keywords.get("inner")
            made = inner.made_by if isinstance(inner, Method) else None
            depth += isinstance(inner, Method)
        return depth

    @property
    def state_size(self) -> int:
        """k, the number of state variables per eigen-coordinate."""
        return int(self.start.size)

    def coefficients(self, start: int = 0, stop: int | None = None) -> Coefficients:
        """M (n, k, k), b (n, k) and c (n, k) of the steps start .. stop - 1 (to the end by default)."""
        return Coefficients(*map(_plain, self.coefficients_of(start, self.length if stop is None else stop)))

    def readout(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """o (n, k) of the iterates start .. stop - 1; iterate 0 is the start and iterate T the result."""
        return _plain(self.readout_of(start, self.length + 1 if stop is None else stop))

    def inverse_batch(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """1 / B_t of the steps start .. stop - 1, shape (n,); 0 for the full gradient."""
        stop = self.length if stop is None else stop
        if isinstance(self.batch, Schedule):
            return 1.0 / self.batch.values(start, stop)
        return np.full(stop - start, 1.0 / self.batch)

    def batches(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """B_t of the steps start .. stop - 1, shape (n,); inf for the full gradient."""
        stop = self.length if stop is None else stop
        if isinstance(self.batch, Schedule):
            return self.batch.values(start, stop)
        return np.full(stop - start, self.batch)

    @door
    def stability(self, problem: DiagonalProblem, step: int | None = None, period: int | None = None) -> Stability:
        """Mean-square stability on `problem` with all hyper-parameters frozen at `step` (default: the worst one).

        With `period`, the spectral radius of the second-moment operator over the steps 0 .. period - 1 instead, for
        schedules that repeat. See `simlab.methods.stability`.
        """
        from simlab.methods.stability import frozen_stability, periodic_stability

        if period is not None:
            return periodic_stability(self, problem, period)
        return frozen_stability(self, problem, step)

    def test_functions(self) -> Callable[[FloatArray], FloatArray]:
        """The functions of lam that a compressed spectrum has to integrate for this method (see
        `simlab.quadrature`).
        """
        from simlab.methods.stability import response_tests

        return response_tests(self)

    def describe(self) -> dict[str, Any]:
        """JSON-able provenance."""
        return {"expression": self.expression, "steps": self.length, "state_size": self.state_size}

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        return self.expression


def builder(function: Callable[P, Method]) -> Callable[P, Method]:
    """A public function that makes a method: a door (`simlab.doors`) that leaves its call on what it returns."""
    make = door(function)

    @wraps(function)
    def build(*args: P.args, **kwargs: P.kwargs) -> Method:
        method = make(*args, **kwargs)
        object.__setattr__(method, "made_by", partial(build, *args, **kwargs))
        return method

    return build


def check_inner(inner: Any) -> Method:
    """The method that a wrapper is put around, or an InputError."""
    method = check_kind("inner", inner, Method, "a method", "wrap one, such as methods.sgd(schedule)")
    if method.wrappers >= MOST_WRAPPERS:
        raise InputError(
            f" has {method.wrappers} wrappers already; wrap a method at most {MOST_WRAPPERS} times.", "inner"
        )
    return method


def lr_schedule(lr: Any, field: str = "lr") -> Schedule:
    """The learning-rate schedule of a method, which sets the length of the run: a Schedule, or values for each step."""
    if isinstance(lr, Schedule):
        return lr
    if isinstance(lr, list | tuple) or hasattr(lr, "__array__"):
        return from_array(lr)
    number = brief(lr) if isinstance(lr, int | float) else "0.1"
    remedy = f"schedules.from_function({field}, steps)" if callable(lr) else f"schedules.constant(steps, {number})"
    raise InputError(f" = {brief(lr)} is not a schedule, so the number of steps is unknown; write {remedy}.", field)


def fraction_schedule(value: Number, length: int, field: str) -> Schedule:
    """`value` as a schedule with values in [0, 1], or an InputError."""
    if not isinstance(value, Schedule):
        check_number(field, value, low=0.0, high=1.0)
    schedule = as_schedule(value, length, field)
    if schedule.plan.bound > 1.0 and schedule.peak() > 1.0:
        raise InputError(f" reaches {schedule.peak():g}, outside [0, 1]; scale the schedule down.", field)
    return schedule


def batch_of(value: Number, length: int) -> Schedule | float:
    """A batch size B >= 1: a whole number, math.inf for the full gradient, or a schedule of whole numbers."""
    if isinstance(value, Schedule):
        return _whole(as_schedule(value, length, "batch"))
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InputError(f" = {brief(value)} is not a number; give a whole number of at least 1.", "batch")
    remedy = "give a whole number of at least 1"
    size = check_number("batch", value, low=1.0, remedy=remedy) if isinstance(value, int) else float(value)
    if math.isnan(size) or size < 1.0 or (math.isfinite(size) and size != round(size)):
        raise InputError(
            f" = {brief(value)} is refused; give a whole number of at least 1 (or inf for the full gradient).", "batch"
        )
    return size


def _whole(batch: Schedule) -> Schedule:
    """A schedule of whole numbers >= 1, of which every constant stretch is looked at once, or an InputError."""
    plan = shortened(batch.plan, 0, batch.length) if batch.length > WALKED else batch.plan
    if plan.length > MOST_BATCHES:
        raise InputError(f" takes more than {MOST_BATCHES} values; give it in stretches (join, step, hold).", "batch")
    for first in range(0, plan.length, WALKED):
        part = plan.at(np.arange(first, min(first + WALKED, plan.length), dtype=np.int64))
        bad = np.flatnonzero((part < 1.0) | (part != np.round(part)))
        if bad.size:
            where = f" at step {first + int(bad[0])}" if plan is batch.plan else ""
            raise InputError(f" is {part[bad[0]]:g}; give whole numbers of at least 1.", f"batch{where}")
    return batch


def _plain(array: FloatArray) -> FloatArray:
    """`array`, or a copy that is contiguous and may be written: kernels are compiled anew for every other kind."""
    return np.require(array, np.float64, ["C", "W"])


def constant_rows(row: npt.ArrayLike) -> Callable[[int, int], FloatArray]:
    """A readout that is the same at every iterate."""
    fixed = np.asarray(row, dtype=np.float64)

    def rows(start: int, stop: int) -> FloatArray:
        return np.broadcast_to(fixed, (stop - start, fixed.size))

    return rows


def label(name: str, *positional: Any, **keywords: Any) -> str:
    """`name(positional, key=value)`, leaving out keywords that are None."""
    words = [repr(p) for p in positional]
    words += [f"{key}={_short(value)}" for key, value in keywords.items() if value is not None]
    return f"{name}({', '.join(words)})"


def _short(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)
