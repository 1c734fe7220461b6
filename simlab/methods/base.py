"""A method is a small linear recursion: four small arrays as functions of the step, and nothing else.

In each eigen-coordinate the state z in R^k, measured from w*, moves by (DESIGN: Lessard, Recht and Packard 2016, arXiv
1408.3595, write deterministic methods this way)

    y = c_t . z                 where the gradient is taken
    g = Hhat y - noise          stochastic gradient of a batch of B_t fresh samples
    z <- M_t z - b_t g
    w = o_t . z                 the iterate that is evaluated

from z_0 = z0 (w_0 - w*). Engines, stability analysis and samplers read only these arrays, so that a new method is one
class: a frozen record whose fields are the arguments it is called with, and the arrays they make (`recursion`).
"""

# Annotations are evaluated here, so that records in other modules inherit types, and not words that those cannot read.
import math
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field, fields, replace
from functools import cached_property, partial
from numbers import Real
from typing import Any, ClassVar, NamedTuple, Self, TypeVar, dataclass_transform

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door, notice
from simlab.errors import InputError, brief, check_count, check_kind, check_number
from simlab.methods.response import response_tests
from simlab.schedules import Schedule, as_schedule
from simlab.schedules.extremes import shortened
from simlab.schedules.kinks import Stretch, next_kink
from simlab.schedules.nodes import evaluate

__all__ = [
    "METHODS",
    "Coefficients",
    "Method",
    "Number",
    "Rated",
    "Steps",
    "Wrapper",
    "arrays",
    "batch_of",
    "fraction_schedule",
    "method",
    "record",
    "require_linear",
    "short",
]

Steps = IntArray
Number = float | Schedule
"""What a hyper-parameter may be: one number, or a schedule as long as that of the learning rate."""

MOST_WRAPPERS = 64
"""Wrappers around one method: each adds a state coordinate, and a few frames to every call."""

WALKED = 1 << 16
"""Longest batch schedule whose values are looked at one by one; of longer ones, one for each constant stretch."""

MOST_BATCHES = 10**8
"""Most values of a batch schedule that are looked at."""

METHODS: dict[str, type["Method"]] = {}
"""Every method and wrapper by name, filled by the decorator `method`."""

M = TypeVar("M", bound="Method")


class Coefficients(NamedTuple):
    """M (n, k, k), b (n, k), c (n, k) of the steps asked for: z <- M z - b g(c . z)."""

    M: FloatArray
    b: FloatArray
    c: FloatArray


class Method:
    """A first-order method of a given length: what engines know of it.

    Attributes
    ----------
    linear : whether it is the recursion above; where not, `require_linear` refuses it.
    length : number of steps T.
    z0 : (k,) array; z_0 = z0 * (w_0 - w*).
    learning_rate, batch : for the trace and the stability analysis; batch is a number or a schedule.
    """

    linear: ClassVar[bool] = True
    unfit: ClassVar[str] = "is not linear"
    takers: ClassVar[str] = (
        "simlab.sample, simlab.descend or simlab.limit (in a file, kind = 'sample' or 'limit' of [engine])"
    )
    """What `require_linear` says of one that is not."""
    workers: int = 0
    """Of `methods.local`, how many go side by side; 0 for a method by itself."""
    tacit: ClassVar[tuple[str, ...]] = ()
    """Fields that the expression leaves out where they are as by default."""

    length: int
    learning_rate: Schedule
    batch: Number
    z0: FloatArray = np.ones(1)
    iterate: FloatArray = np.ones(1)
    """o, where it is the same at every step."""
    coordinates: tuple[str, ...] = ("iterate",)
    """What the k state variables are, by name: a method that takes over from another one finds its own by these."""
    _schedules: dict[str, Schedule]

    def recursion(self, t: Steps) -> Coefficients:
        """M, b, c of the steps t, any increasing ones, in whatever memory; an InputError where there are none."""
        require_linear(self, "a recursion")
        raise TypeError(f"{type(self).__name__} is declared linear and has no recursion")

    def increments(self, t: Steps) -> Coefficients:
        """M - 1, b, c of the steps t: for a run of 10^12 steps M itself, rounded, would say too little.

        A method whose M has an entry 1 - x gives - x here.
        """
        M, b, c = self.recursion(t)
        return Coefficients(M - np.eye(self.state_size), b, c)

    def outlook(self, t: Steps) -> FloatArray:
        """o (t.size, k) of the iterates t, in whatever memory."""
        return np.broadcast_to(self.iterate, (t.size, self.iterate.size))

    def breaks(self, t: int) -> int:
        """The first step after t where the method itself, schedules apart, goes on in another way; else its length."""
        return self.length

    def next_kink(self, t: int) -> int:
        """The first step after t where its arrays stop being smooth in the step, or its length."""
        return min([self.breaks(t), *(next_kink(schedule.plan, t) for schedule in self._varying())])

    def stretch(self, t: int) -> Stretch | None:
        """The periodic stretch that begins at step t, or None."""
        return None

    def _varying(self) -> list[Schedule]:
        return [*self._schedules.values(), *([self.batch] if isinstance(self.batch, Schedule) else [])]

    @property
    def basis(self) -> FloatArray:
        """Q (k, k): in the coordinates Q z no mode of the method is the difference of two that nearly cancel."""
        return np.eye(self.state_size)

    @door
    def rescale(self, factor: float) -> Self:
        """The same method with every learning rate multiplied by `factor`."""
        return self._rescaled(check_number("factor", factor, low=0.0))

    def _rescaled(self, factor: float) -> Self:
        raise InputError(f" = {brief(self)} makes its rates itself; multiply what it makes them of.", "method")

    def check(self) -> None:
        """Refuse fields that do not go together, and keep what the steps need of them."""

    def _keep(self, **values: Any) -> None:
        """Remember what follows from the fields: a frozen record takes no assignments."""
        self.__dict__.update(values)

    def _settle(self, name: str) -> None:
        """Keep the schedule of a field in place of the array or function that it was made of."""
        if not isinstance(getattr(self, name), Real):
            self._keep(**{name: self._schedules[name]})

    @property
    def state_size(self) -> int:
        """k, the number of state variables per eigen-coordinate."""
        return int(self.z0.size)

    @door
    def coefficients(self, start: int = 0, stop: int | None = None) -> Coefficients:
        """M (n, k, k), b (n, k) and c (n, k) of the steps start .. stop - 1 (to the end by default)."""
        return Coefficients(*map(_plain, self.recursion(_steps(start, stop, self.length))))

    @door
    def readout(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """o (n, k) of the iterates start .. stop - 1; iterate 0 is the start and iterate T the result."""
        return _plain(self.outlook(_steps(start, stop, self.length + 1)))

    def numbers(self, start: int, stop: int) -> tuple[FloatArray, ...]:
        """All that the kernels of samplers take of the steps start .. stop - 1: M, b, c, and o of one iterate more."""
        return (*self.coefficients(start, stop), self.readout(start, stop + 1))

    @property
    def core(self) -> "Method":
        """The method itself, however many steps later it takes over."""
        return self

    @door
    def inverse_batch(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """1 / B_t of the steps start .. stop - 1, shape (n,); 0 for the full gradient."""
        return self.share(_steps(start, stop, self.length))

    def share(self, t: Steps) -> FloatArray:
        """1 / B of the steps t."""
        if isinstance(self.batch, Schedule):
            return 1.0 / evaluate(self.batch.plan, t)
        return np.full(t.size, 1.0 / self.batch)

    @door
    def batches(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """B_t of the steps start .. stop - 1, shape (n,); inf for the full gradient."""
        t = _steps(start, stop, self.length)
        return evaluate(self.batch.plan, t) if isinstance(self.batch, Schedule) else np.full(t.size, self.batch)

    @door
    def schedule(self, name: str) -> Schedule | None:
        """The hyper-parameter `name` ("momentum", ..) as a schedule; None where the method has none of this name."""
        return self._schedules.get(check_kind("name", name, str, "a word", 'give a name, such as "momentum"'))

    def at(self, name: str, t: Steps) -> FloatArray:
        """The values of the hyper-parameter `name` at the steps t."""
        return evaluate(self._schedules[name].plan, t)

    @door
    def stability(self, problem: Any, step: int | None = None, period: int | None = None) -> Any:
        """Deprecated: `simlab.stability(problem, method)`."""
        import simlab

        notice("method.stability(problem) is to go; write simlab.stability(problem, method).", DeprecationWarning)
        return simlab.stability(problem, self, step, period)

    def test_functions(self) -> Callable[[FloatArray], FloatArray]:
        """The functions of lam that a compressed spectrum has to integrate for this method (see
        `simlab.quadrature`).
        """
        require_linear(self, "compress")
        at = sorted({0, self.length // 2, self.learning_rate.peak_step(), self.length - 1})
        frozen = [(*(part[0] for part in self.coefficients(t, t + 1)), self.readout(t, t + 1)[0]) for t in at]
        return partial(response_tests, frozen, self.z0, self.length, self.learning_rate.total())

    def layers(self) -> list["Method"]:
        """This method, the one that it wraps, the one that that wraps, .."""
        return [self]

    @property
    def wrappers(self) -> int:
        """How many methods this one is wrapped around, one within the other."""
        return len(self.layers()) - 1

    def describe(self) -> dict[str, Any]:
        """JSON-able provenance."""
        return {"expression": self.expression, "steps": self.length, "state_size": self.state_size}

    @cached_property
    def expression(self) -> str:
        """The call that makes it, for labels and provenance."""
        first, *others = fields(self)  # type: ignore[arg-type]
        words = [repr(getattr(self, first.name))]
        for other in others:
            value = getattr(self, other.name)
            if value is not None and not (other.name in self.tacit and value == other.default):
                words.append(f"{other.name}={short(value)}")
        return f"{type(self).__name__}({', '.join(words)})"

    def __reduce__(self) -> Any:
        return partial(type(self), **{field.name: getattr(self, field.name) for field in fields(self)}), ()  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        return self.expression


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def record(cls: type[M]) -> type[M]:
    """A frozen dataclass whose call is a door (`simlab.doors`)."""
    made = dataclass(frozen=True, eq=False, repr=False)(cls)
    made.__init__ = door(made.__init__)  # type: ignore[method-assign]
    return made


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def method(cls: type[M]) -> type[M]:
    """A record that is registered under its name: a method, or a wrapper, that files and lists know as well."""
    METHODS[cls.__name__] = record(cls)
    return cls


@record
class Rated(Method):
    """A method with a learning rate, which sets the length of the run, and a batch size.

    `lr` is a schedule, or whatever `schedules.as_schedule` makes one of: an array, and with `steps` a number, a
    function of the step (Optax's) or a scheduler of PyTorch. A subclass names the fields that are fractions (in [0, 1])
    and those that scale with the learning rate.
    """

    lr: Schedule
    steps: InitVar[int | None] = field(default=None, kw_only=True)
    fractions: ClassVar[tuple[str, ...]] = ()
    rates: ClassVar[tuple[str, ...]] = ("lr",)

    def __post_init__(self, steps: int | None) -> None:
        lr = as_schedule(self.lr, None if steps is None else check_count("steps", steps), "lr")
        self._keep(lr=lr, learning_rate=lr, length=lr.length, _schedules={"lr": lr}, z0=np.array(self.z0))
        for name in self.fractions:
            self._schedules[name] = fraction_schedule(getattr(self, name), self.length, name)
            self._settle(name)
        self.check()
        self._keep(batch=batch_of(self.batch, self.length))

    def _rescaled(self, factor: float) -> Self:
        return replace(self, **{name: getattr(self, name) * factor for name in self.rates})


@record
class Wrapper(Method):
    """A method around another one, with one more coordinate: the last."""

    inner: Method
    appended: ClassVar[str]
    """What its own coordinate is."""

    def __post_init__(self) -> None:
        inner = check_inner(self.inner)
        self._keep(length=inner.length, learning_rate=inner.learning_rate, batch=inner.batch)
        self._keep(coordinates=(*inner.coordinates, _another(self.appended, inner.coordinates)))
        self._keep(iterate=np.eye(inner.state_size + 1)[-1], _schedules={})
        self.check()

    def _rescaled(self, factor: float) -> Self:
        return replace(self, inner=self.inner.rescale(factor))

    def schedule(self, name: str) -> Schedule | None:
        return super().schedule(name) or self.inner.schedule(name)

    def layers(self) -> list[Method]:
        return [self, *self.inner.layers()]

    def breaks(self, t: int) -> int:
        return self.inner.next_kink(t)

    @property
    def basis(self) -> FloatArray:
        k = self.inner.state_size
        wide = np.eye(k + 1)
        wide[:k, :k] = self.inner.basis
        return wide

    def widened(self, inner: Coefficients) -> Coefficients:
        """The arrays of the inner method with a last coordinate of zeros, to be filled in."""
        M, b, c = inner
        n, k = b.shape
        wide = Coefficients(np.zeros((n, k + 1, k + 1)), np.zeros((n, k + 1)), np.zeros((n, k + 1)))
        wide.M[:, :k, :k], wide.b[:, :k], wide.c[:, :k] = M, b, c
        return wide


def _another(name: str, taken: tuple[str, ...]) -> str:
    """`name`, with a number where there is one of it already."""
    count = sum(each == name or each.startswith(f"{name} ") for each in taken)
    return f"{name} {count + 1}" if count else name


def require_linear(method: Method, who: str) -> Method:
    """The method, if it is linear; else the InputError of `who` reads its arrays: the one place of this refusal."""
    if not method.linear:
        raise InputError(
            f" = {brief(method)} {method.unfit}, and {who} needs a linear one; give such as methods.heavy_ball, or "
            f"take {method.takers}.",
            "method",
        )
    return method


def check_inner(inner: Any) -> Method:
    """The method that a wrapper is put around, or an InputError."""
    method = check_kind("inner", inner, Method, "a method", "wrap one, such as methods.sgd(schedule)")
    if method.wrappers >= MOST_WRAPPERS:
        raise InputError(
            f" has {method.wrappers} wrappers already; wrap a method at most {MOST_WRAPPERS} times.", "inner"
        )
    return require_linear(method, "a wrapper")


def fraction_schedule(value: Any, length: int, field: str) -> Schedule:
    """`value` as a schedule with values in [0, 1], or an InputError."""
    if isinstance(value, Real):
        check_number(field, value, low=0.0, high=1.0)
    schedule = as_schedule(value, length, field)
    if schedule.plan.bound > 1.0 and schedule.peak() > 1.0:
        raise InputError(f" reaches {schedule.peak():g}, outside [0, 1]; scale the schedule down.", field)
    return schedule


def batch_of(value: Any, length: int) -> Schedule | float:
    """A batch size B >= 1: a whole number, math.inf for the full gradient, or a schedule of whole numbers."""
    if isinstance(value, bool | str) or value is None:
        raise InputError(f" = {brief(value)} is not a number; give a whole number of at least 1.", "batch")
    if not isinstance(value, (int, float, np.integer, np.floating)):
        return _whole(as_schedule(value, length, "batch"))
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


def _steps(start: int, stop: int | None, end: int) -> Steps:
    """The steps start .. stop - 1, by default to `end`; or an InputError."""
    last = end if stop is None else check_count("stop", stop, low=0, high=end)
    return np.arange(check_count("start", start, low=0, high=last), last)


def _plain(array: FloatArray) -> FloatArray:
    """`array`, or a copy that is contiguous and may be written: kernels are compiled anew for every other kind."""
    return np.require(array, np.float64, ["C", "W"])


def arrays(n: int, M: Any, b: Any, c: Any) -> Coefficients:
    """Coefficients of n steps from their entries: M k rows of k, b and c k, each a number or an (n,) array."""
    k = len(b)
    filled = Coefficients(np.empty((n, k, k)), np.empty((n, k)), np.empty((n, k)))
    for i in range(k):
        for j in range(k):
            filled.M[:, i, j] = M[i][j]
        filled.b[:, i], filled.c[:, i] = b[i], c[i]
    return filled


def short(value: Any) -> str:
    """A hyper-parameter as an expression spells it: whole numbers without a point, arrays by their shape."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, np.ndarray):
        return f"array of {' x '.join(map(str, value.shape))}"
    return repr(value)
