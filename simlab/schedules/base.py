"""The class `Schedule`: a pure function step -> value, its algebra and its record of how it was made."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from numbers import Real
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from simlab.doors import door
from simlab.errors import InputError, brief, check_count, check_number
from simlab.schedules import nodes
from simlab.schedules.arguments import LONGEST, Phases
from simlab.schedules.extremes import Extremes, extremes
from simlab.schedules.sums import total

__all__ = ["FAMILIES", "Schedule"]

Floats = npt.NDArray[np.float64]
Range = slice  # the builtin, by another name: the class has a method `slice`

FAMILIES: dict[str, Callable[..., Schedule]] = {}
"""The named families, filled by the decorator `family` of `simlab.schedules.registry`."""

CHUNK = 1 << 16
"""Steps computed at a time where a whole schedule is walked: memory stays bounded for any length."""

DEEPEST = 64
"""Most combinators around one another."""

SHOWN = 64
"""Longest sequence that a repr spells out."""


@dataclass(frozen=True, eq=False, repr=False)
class Schedule:
    """A pure function step -> value, for the steps 0 .. length - 1: finite, >= 0, immutable and hashable.

    Make one with a named family (`wsd`, `cosine`, ... see `named()`), `from_array` or `from_csv`; combine
    them with `*`, `/`, `+`, `join`, `[a:b]`, `.repeat`, `.clip` and `.warmed`. Two schedules are equal if and only
    if they are the same expression with the same parameters; `repr` is that expression, `to_dict` its
    JSON-able form.

    >>> from simlab.schedules import linear
    >>> s = linear(4, peak=1.0)
    >>> s.values()
    array([1.  , 0.75, 0.5 , 0.25])
    >>> s(3), len(s), s.peak(), s.total()
    (0.25, 4, 1.0, 2.5)
    >>> (0.5 * s)[1:3]
    (linear(4, peak=1.0) * 0.5)[1:3]
    """

    kind: str
    _arguments: dict[str, Any]
    plan: nodes.Plan
    implied: Collection[str] = ()

    # numpy must leave `array * schedule` to us, and we refuse it.
    __array_ufunc__ = None

    def __post_init__(self) -> None:
        if self.plan.length > LONGEST:
            raise InputError(f"{self.kind} has {brief(self.plan.length)} steps; at most {LONGEST} are possible.")
        if self.depth > DEEPEST:
            remedy = "join many at once, join(a, b, c, ..), or write the values out by from_array(s.values())"
            raise InputError(
                f"{self.kind}: schedules within schedules, more than {DEEPEST} deep, are too many; {remedy}."
            )
        if not math.isfinite(self.plan.bound * self.plan.length):
            raise InputError(f"{self.kind} reaches values or a sum beyond the range of a float; use smaller factors.")

    def __copy__(self) -> Schedule:
        return self

    def __deepcopy__(self, memo: Any) -> Schedule:
        return self  # immutable

    # Values

    @property
    def length(self) -> int:
        """Number of steps T >= 1."""
        return self.plan.length

    @cached_property
    def depth(self) -> int:
        """How many combinators are around one another: 0 of a named family."""
        inner = [*self._arguments.values(), *self._arguments.get("parts", ())]
        return max((1 + item.depth for item in inner if isinstance(item, Schedule)), default=0)

    def __len__(self) -> int:
        return self.length

    @overload
    def __call__(self, step: int) -> float: ...
    @overload
    def __call__(self, step: npt.ArrayLike) -> Floats: ...
    def __call__(self, step: Any) -> float | Floats:
        """The value at a step (int -> float) or at an array of steps (-> float64 of the same shape).

        Raises `InputError` for anything but integers in 0 .. length - 1.
        """
        try:
            steps = np.asarray(step)
        except ValueError:  # rows of different lengths
            steps = np.asarray(None)
        if steps.size and steps.dtype.kind not in "iu":
            raise InputError(f"step = {brief(step)} is not an integer; give whole steps from 0 to {self.length - 1}.")
        if steps.size and (steps.min() < 0 or steps.max() >= self.length):
            bad = steps.min() if steps.min() < 0 else steps.max()
            raise InputError(f"step = {bad} is outside the schedule; give steps from 0 to {self.length - 1}.")
        values = nodes.evaluate(self.plan, steps.astype(np.int64).ravel()).reshape(steps.shape)
        return values if steps.ndim else float(values)

    @door
    def values(self, start: int = 0, stop: int | None = None) -> Floats:
        """Values at the steps start .. stop - 1 (default: all), float64, shape (stop - start,).

        Nothing outside that slice is computed, and the bits do not depend on how a run is cut into slices.
        """
        end = self.length if stop is None else check_count("stop", stop, low=0, high=self.length)
        begin = check_count("start", start, low=0, high=end)
        return nodes.evaluate(self.plan, np.arange(begin, end, dtype=np.int64))

    def chunks(self, size: int = CHUNK) -> Iterator[Floats]:
        """All values in order, `size` steps at a time."""
        size = check_count("size", size)
        for start in range(0, self.length, size):
            yield self.values(start, min(start + size, self.length))

    def __iter__(self) -> Iterator[float]:
        for chunk in self.chunks():
            yield from chunk.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.values(), dtype=dtype)

    @cached_property
    def _extremes(self) -> Extremes:
        return extremes(self.plan, 0, self.length)

    @cached_property
    def _total(self) -> float:
        return total(self.plan, 0, self.length)

    def peak(self) -> float:
        """The largest value, told by the pieces: no walk over the steps (products of long profiles to about 1e-7)."""
        return self._extremes.high

    def peak_step(self) -> int:
        """A step that has the largest value: the first of them, but for clips and products of thousands of steps."""
        return self._extremes.peak

    def total(self) -> float:
        """The sum of all values (of a learning rate: intrinsic time), to about 1e-12, without a walk over the steps."""
        return self._total

    # Algebra

    def __mul__(self, other: object) -> Schedule:
        if isinstance(other, Schedule):
            if other.length != self.length:
                message = f"the schedules have {self.length} and {other.length} steps; multiply equal lengths."
                raise InputError(message)
            arguments = {"first": self, "second": other}
            return Schedule("product", arguments, nodes.Product(self.plan, other.plan))
        if not isinstance(other, Real):
            return NotImplemented
        factor = check_number("factor", other, low=0.0)
        return Schedule("scaled", {"schedule": self, "factor": factor}, nodes.Scale(self.plan, factor))

    def __add__(self, other: object) -> Schedule:
        """s + t of equal lengths, or s + c."""
        if isinstance(other, Real):
            level = nodes.Constant(self.length, check_number("summand", other, low=0.0))
            other = Schedule("constant", {"steps": self.length, "peak": level.value, "warmup": 0}, level)
        if not isinstance(other, Schedule):
            return NotImplemented
        if other.length != self.length:
            raise InputError(f"the schedules have {self.length} and {other.length} steps; add equal lengths.")
        return Schedule("sum", {"first": self, "second": other}, nodes.Sum(self.plan, other.plan))

    def __radd__(self, other: object) -> Schedule:
        return self + other if isinstance(other, Real) else NotImplemented

    def __rmul__(self, other: object) -> Schedule:
        return self * other if isinstance(other, Real) else NotImplemented

    def __truediv__(self, other: object) -> Schedule:
        """s / c is s * (1 / c)."""
        if not isinstance(other, Real):
            return NotImplemented
        divisor = check_number("divisor", other, low=0.0, open_low=True)
        return self * check_number("divisor", 1.0 / divisor if divisor > 1e-300 else math.inf)

    def __getitem__(self, steps: Range) -> Schedule:
        """The schedule of the steps a .. b - 1, counted from 0 again; both must lie within the run."""
        if not isinstance(steps, slice) or steps.step not in (None, 1):
            raise InputError(
                f"[{brief(steps)}] is not a range of steps; write s[a:b] for a schedule, s(step) for a value."
            )
        return self.slice(0 if steps.start is None else steps.start, steps.stop)

    @door
    def slice(self, start: int, stop: int | None = None) -> Schedule:
        """The schedule of the steps start .. stop - 1 (negative: from the end), as s[start:stop]."""
        last = self.length if stop is None else check_count("stop", stop, low=-self.length, high=self.length)
        last += self.length if last < 0 else 0
        first = check_count("start", start, low=-self.length, high=self.length - 1)
        first += self.length if first < 0 else 0
        if first >= last:
            raise InputError(f"[{start}:{stop}] holds no step of the {self.length}; let it begin before it ends.")
        arguments = {"schedule": self, "start": first, "stop": last}
        return Schedule("slice", arguments, nodes.window(self.plan, first, last - first))

    @door
    def repeat(self, times: int) -> Schedule:
        """The schedule `times` times over: length times * len(self)."""
        times = check_count("times", times)
        return Schedule("repeat", {"schedule": self, "times": times}, nodes.Repeat(self.plan, times))

    @door
    def clip(self, low: float = 0.0, high: float | None = None) -> Schedule:
        """min(max(value, low), high); no upper limit where `high` is None."""
        low = check_number("low", low, low=0.0)
        high = None if high is None else check_number("high", high, low=low)
        return Schedule("clip", {"schedule": self, "low": low, "high": high}, nodes.Clip(self.plan, low, high))

    @door
    def warmed(self, warmup: int | float, start: float | None = None) -> Schedule:
        """Linear warmup in place of the first w steps, the rest and the length unchanged.

        s(w) (t + 1) / w for t < w and s(t) from there on, so that the ramp meets the schedule without a jump
        (with w = T, it rises to the last value). From a value `start` of the first step the ramp is start + (s(w) -
        start) t / w, as that of PyTorch's LinearLR and of Optax; it may fall. `warmup` is a number of steps or a
        fraction of the run. A family's own `warmup=` does something else: it fits the whole profile into the steps
        that remain; `cosine(T, peak, warmup=w).warmed(w, start)` is that with a given start.
        """
        phases = Phases.of(self.length, warmup=warmup)
        (w,) = phases.lengths
        target = self(min(w, self.length - 1))
        rise = nodes.ramp(w) if start is None else nodes.way(w, check_number("start", start, low=0.0), target)
        rest = nodes.window(self.plan, w, self.length - w) if w < self.length else None
        plan = nodes.chain(nodes.Scale(rise, target) if rise is not None and start is None else rise, rest)
        own = {} if start is None else {"start": float(start)}
        return Schedule("warmed", {"schedule": self, **phases.given, **own}, plan)

    # Record

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters, defaults too, as a fresh JSON-able dict (schedules as their `to_dict`)."""
        return {name: _plain(value) for name, value in self._arguments.items()}

    def to_dict(self) -> dict[str, Any]:
        """The expression as a JSON-able tree {"kind": ..., parameters}, which `from_dict` reads back."""
        return {"kind": self.kind, **self.parameters}

    @cached_property
    def _key(self) -> str:
        return f"{self.kind}({', '.join(f'{k}={_text(v, exact=True)}' for k, v in self._arguments.items())})"

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, Schedule) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return self._expression

    @cached_property
    def _expression(self) -> str:
        a = self._arguments
        if self.kind == "scaled":
            return f"{_operand(a['schedule'], 'sum')} * {a['factor']!r}"
        if self.kind == "product":
            return f"{_operand(a['first'], 'sum')} * {_operand(a['second'])}"
        if self.kind == "sum":
            return f"{a['first']!r} + {_operand(a['second'], 'sum')}"
        if self.kind == "slice":
            return f"{_operand(a['schedule'])}[{a['start']}:{a['stop']}]"
        if self.kind in ("repeat", "clip", "warmed"):
            rest = ", ".join(repr(value) for name, value in a.items() if name != "schedule")
            return f"{_operand(a['schedule'])}.{self.kind}({rest})"
        if self.kind == "join":
            return f"join({', '.join(map(repr, a['parts']))})"
        if self.kind == "array":
            return f"from_array({_text(a['values'])})"
        return self._call()

    def _call(self) -> str:
        """The call of a named family, without the parameters that it would choose by itself."""
        default = _defaults(self.kind) if self.kind in FAMILIES else {}
        given = [_text(self._arguments["steps"])]
        for name, value in self._arguments.items():
            omitted = name in self.implied or (name in default and _text(default[name]) == _text(value))
            if name != "steps" and not omitted:
                given.append(f"{name}={_text(value)}")
        return f"{self.kind}({', '.join(given)})"


@cache
def _defaults(name: str) -> Mapping[str, Any]:
    """The default of every parameter of family `name` that has one."""
    signature = inspect.signature(FAMILIES[name]).parameters
    return {p.name: p.default for p in signature.values() if p.default is not inspect.Parameter.empty}


def _operand(schedule: Schedule, *looser: str) -> str:
    """The repr, in parentheses where an operator would otherwise bind into it."""
    return f"({schedule!r})" if schedule.kind in (looser or ("scaled", "product", "sum")) else repr(schedule)


def _text(value: Any, exact: bool = False) -> str:
    """Source text of a parameter; long arrays abbreviated, and always by their bytes where `exact`."""
    if isinstance(value, Schedule):
        return value._key if exact else repr(value)
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(value.tobytes()).hexdigest()
        if exact:
            return f"<{value.size} values, sha256 {digest}>"
        return repr(value.tolist()) if value.size <= SHOWN else f"<{value.size} values, sha256 {digest[:12]}>"
    if isinstance(value, tuple):
        if len(value) > SHOWN and not exact:
            digest = hashlib.sha256(repr(value).encode()).hexdigest()
            return f"<{len(value)} entries, sha256 {digest[:12]}>"
        return f"({', '.join(_text(item, exact) for item in value)}{',' * (len(value) == 1)})"
    return repr(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Schedule):
        return value.to_dict()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
