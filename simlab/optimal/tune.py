"""The door `tune`: the best member of a named family of schedules, by the exact gradient."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.doors import door, notice
from simlab.engines.arguments import check_problem
from simlab.errors import InputError, brief, check_count, unknown_name
from simlab.methods.base import Method, require_linear
from simlab.methods.gradient import sgd
from simlab.optimal.arguments import PROBLEMS, Takes, check_over, maker_of
from simlab.optimal.descent import certified
from simlab.optimal.krotov import Certificate
from simlab.optimal.parameters import Range, range_of
from simlab.optimal.recursion import Recursion, log_of
from simlab.optimal.trust import Region, best_of
from simlab.problems.base import DiagonalProblem
from simlab.schedules import Schedule
from simlab.schedules.arguments import spelling
from simlab.schedules.law import critical_rate, spectrum_of
from simlab.schedules.optimal import few_modes
from simlab.schedules.registry import FAMILIES

__all__ = ["Tuned", "tune"]

MOST_STEPS = 10**6
"""Longest run that is tuned: its arrays are to fit into memory."""

GRADIENTS = 60
"""Most gradients of one search."""

WIDE = 100.0
"""Steps of central differences over which the curvature is taken."""

CLOSE = 0.05
"""The same for the search's own second derivatives, in units of a parameter, or three steps."""

LOST = math.log(1e6)
"""A parameter at which log J is larger by this is said to diverge."""

NEAR = 1e-6
"""A parameter this near to an end of its range, of the width of the range, lies on it."""


@dataclass(frozen=True, eq=False, repr=False)
class Tuned:
    """What `tune` answers.

    schedule, method : the best of the family, and what runs it.  parameters : those looked for.  risk : of its last
    iterate.  costs : for each parameter the share by which the risk is larger at half and at twice its value (of
    momentum and decay, of 1 - value), all else held; inf where that run diverges.  curvature : (n, n), second
    derivatives of log risk in log peak and the like (see `Range`).  gradient : the largest first one, of parameters
    within their range.  certificate : what these could still bring.  evaluations : risks and gradients computed.
    on_bound : parameters at an end of their range.
    """

    schedule: Schedule
    method: Method
    parameters: dict[str, float]
    risk: float
    costs: dict[str, tuple[float, float]]
    curvature: FloatArray
    gradient: float
    certificate: Certificate
    evaluations: int
    on_bound: tuple[str, ...]

    def __repr__(self) -> str:
        found = ", ".join(f"{name} = {value:.6g}" for name, value in self.parameters.items())
        return f"Tuned: {found}; risk {self.risk:.12g}, {self.evaluations} evaluations"


@door
def tune(
    problem: DiagonalProblem,
    family: str | Callable[..., Schedule],
    steps: int,
    over: Sequence[str] = ("peak",),
    *,
    method: str | Callable[..., Method] = sgd,
    given: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Sequence[float]] | None = None,
) -> Tuned:
    """The parameters of a schedule, and of a method, with the least exact risk of the last iterate.

    The gradient in every rate comes from the adjoint of the recursion at the cost of some four runs; what a parameter
    does to the rates (and to momentum, ..) is the difference of two schedules. Newton's steps within a region that is
    trusted (`simlab.optimal.trust`) from the best of some starts.

    Parameters
    ----------
    problem : LinearRegression, NoisyQuadratic or RandomFeatures; a regression of more than 256 modes is compressed.
    family : a name of `schedules.named()`, or a function (steps, **parameters) -> Schedule.
    steps : T, to 10^6.
    over : what to look for: parameters of the family ("peak", "cooldown", "warmup", "floor", "power", ..) or, failing
        these, of the method ("momentum", "decay", ..). Phases are fractions of the run.
    method : by name ("heavy_ball"), or lr, **parameters -> Method, any linear one: methods.heavy_ball, or such as
        lambda lr, decay: methods.ema(methods.sgd(lr), decay).
    given : other parameters of the family and of the method, {"shape": "1-sqrt", "batch": 8}.
    bounds : {parameter: (low, high)} in place of the usual range; needed for parameters without one.

    Warns where the best lies on a bound. Runs that diverge are what a search meets, not errors. Raises InputError for
    bad input.
    """
    check_problem(problem, DiagonalProblem, PROBLEMS)
    T = check_count("steps", steps, high=MOST_STEPS)
    from simlab.kernels.moments.layout import NodeArrays

    modes = few_modes(problem)
    names = check_over(over)
    fixed, ends = _table("given", given), _table("bounds", bounds)
    for name in ends:
        if name not in names:
            raise unknown_name("bounds: a parameter", name, names)
    build = _Builder.of(family, method, T, names, fixed)
    batch = fixed.get("batch", 1)
    share = 1.0 / batch if isinstance(batch, int | float) and batch >= 1 else 1.0
    critical = critical_rate(spectrum_of(modes), share) / modes.unit
    ranges = [range_of(name, ends, critical, T) for name in names]
    search = _Search(Recursion(NodeArrays(modes)), build, ranges)
    x = search.best(_starts(ranges))
    return _answer(search, x)


@dataclass(frozen=True)
class _Builder:
    """Values of the parameters -> schedule and method."""

    family: Callable[..., Schedule]
    method: Callable[..., Method]
    of_family: dict[str, Any]
    of_method: dict[str, Any]
    by_family: tuple[bool, ...]
    names: tuple[str, ...]
    steps: int

    @classmethod
    def of(cls, family: Any, method: Any, steps: int, names: tuple[str, ...], fixed: Mapping[str, Any]) -> _Builder:
        """Sort the names into those of the family and those of the method, or refuse one that neither has."""
        build: Any = family
        if isinstance(family, str):
            known = {spelling(kind): kind for kind in FAMILIES}
            if spelling(family) not in known:
                raise unknown_name("family", family, FAMILIES)
            build = FAMILIES[known[spelling(family)]]
        if not callable(build):
            raise InputError(f" = {brief(family)} is neither a name nor a function; give 'wsd', say.", "family")
        make = maker_of(method, ())
        first, second = Takes(build), Takes(make)

        def ours(name: str) -> bool:
            """Whether it is the family's; one that takes whatever it is given comes last."""
            return name in first.names or (first.any and name not in second.names)

        for name in (*names, *fixed):
            if not ours(name) and name not in second.names and not second.any:
                raise unknown_name("over" if name in names else "given", name, [*first.names, *second.names])
        return cls(
            build,
            make,
            {name: value for name, value in fixed.items() if ours(name)},
            {name: value for name, value in fixed.items() if not ours(name)},
            tuple(ours(name) for name in names),
            names,
            steps,
        )

    def __call__(self, values: Sequence[float]) -> tuple[Schedule, Method]:
        found = list(zip(self.names, values, self.by_family, strict=True))
        schedule = self.family(self.steps, **self.of_family, **{name: value for name, value, ours in found if ours})
        if not isinstance(schedule, Schedule):
            raise InputError(f" makes {brief(schedule)}, not a schedule; let it return one.", "family")
        made = self.method(schedule, **self.of_method, **{name: value for name, value, ours in found if not ours})
        if not isinstance(made, Method):
            raise InputError(f" makes {brief(made)}, not a method; let it return one.", "method")
        return schedule, require_linear(made, "tune")


@dataclass
class _Search:
    """log J and its gradient on the scales of the ranges; counts what it computes."""

    recursion: Recursion
    build: _Builder
    ranges: list[Range]
    count: int = field(default=0)

    def values(self, x: FloatArray) -> list[float]:
        return [float(each.value(at)) for each, at in zip(self.ranges, x, strict=True)]

    def made(self, x: FloatArray) -> Method | None:
        """The method at x, None where its parameters do not go together (phases longer than the run)."""
        try:
            return self.build(self.values(x))[1]
        except InputError:
            return None

    def log_risk(self, x: FloatArray) -> float:
        method, self.count = self.made(x), self.count + 1
        return math.inf if method is None else log_of(self.recursion.value(method))

    def gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """log J and its gradient; (inf, zeros) where the run diverges."""
        method, self.count = self.made(x), self.count + 1
        slope = np.zeros(x.size)
        if method is None:
            return math.inf, slope
        at = self.recursion.gradient(method)
        if not 0.0 < at.value < math.inf:
            return log_of(at.value), slope
        for j in range(x.size):
            (low, first), (high, second) = (self._beside(x, j, sign, method) for sign in (-1.0, 1.0))
            if high > low:
                slope[j] = at.between(first, second) / ((high - low) * at.value)
        return math.log(at.value), slope

    def _beside(self, x: FloatArray, j: int, sign: float, method: Method) -> tuple[float, Method]:
        """A step along x_j within its range and the method there; x_j itself where there is none."""
        each = self.ranges[j]
        end = min(max(x[j] + sign * each.step, each.ends[0]), each.ends[1])
        there = self.made(np.concatenate([x[:j], [end], x[j + 1 :]]))
        return (float(x[j]), method) if there is None else (end, there)

    def best(self, groups: Sequence[Sequence[FloatArray]]) -> FloatArray:
        """The best x that is found from these starts."""
        self.build(self.values(groups[0][0]))  # what is wrong with it for good is said here
        (low, high), units = np.array([each.ends for each in self.ranges]).T, np.array([e.unit for e in self.ranges])
        apart = np.maximum(CLOSE * units, [3.0 * each.step for each in self.ranges])
        grain = np.array([each.scale == "phase" for each in self.ranges]) / self.build.steps
        region = Region(self.log_risk, self.gradient, low, high, units, grain, apart)
        found = best_of(region, groups, GRADIENTS)
        if found is None:
            raise InputError(" diverges wherever a search may begin; give bounds={'peak': (low, high)}.", "family")
        return found.x

    def curvature(self, x: FloatArray) -> FloatArray:
        """Second derivatives of log J, (n, n), by differences of gradients within the ranges."""
        rows = np.zeros((x.size, x.size))
        for j, each in enumerate(self.ranges):
            low, high = (min(max(x[j] + sign * WIDE * each.step, each.ends[0]), each.ends[1]) for sign in (-1.0, 1.0))
            if high > low:  # a phase of a single step has nowhere to go
                sides = [self.gradient(np.concatenate([x[:j], [end], x[j + 1 :]]))[1] for end in (low, high)]
                rows[j] = (sides[1] - sides[0]) / (high - low)
        symmetric: FloatArray = 0.5 * (rows + rows.T)
        return symmetric

    def costs(self, x: FloatArray) -> dict[str, tuple[float, float]]:
        """What half and twice of each parameter cost, all else held: risk / least risk - 1."""
        least, out = self.log_risk(x), {}
        for j, each in enumerate(self.ranges):
            both = [each.x(each.times(float(each.value(x[j])), factor)) for factor in (0.5, 2.0)]
            risks = [self.log_risk(np.concatenate([x[:j], [at], x[j + 1 :]])) for at in both]
            out[each.name] = (_more(risks[0] - least), _more(risks[1] - least))
        return out


def _answer(search: _Search, x: FloatArray) -> Tuned:
    values = search.values(x)
    schedule, method = search.build(values)
    value, slope = search.gradient(x)
    widths = [each.ends[1] - each.ends[0] for each in search.ranges]
    near = [min(at - each.ends[0], each.ends[1] - at) <= NEAR * width
            for at, each, width in zip(x, search.ranges, widths, strict=True)]  # fmt: skip
    on_bound = tuple(each.name for each, there in zip(search.ranges, near, strict=True) if there)
    if on_bound:
        where = ", ".join(f"{name} = {search.values(x)[search.build.names.index(name)]:.6g}" for name in on_bound)
        notice(f"the best {where} lies at an end of what was searched; give wider bounds, or another family.")
    free, curvature = ~np.array(near), search.curvature(x)
    inverse = np.linalg.pinv(curvature[np.ix_(free, free)])
    return Tuned(
        schedule,
        method,
        dict(zip(search.build.names, values, strict=True)),
        math.exp(value),
        search.costs(x),
        curvature,
        float(np.abs(slope[free]).max(initial=0.0)),
        certified(slope[free], inverse),
        search.count,
        on_bound,
    )


def _starts(ranges: Sequence[Range]) -> list[list[FloatArray]]:
    """All combinations of starts; those that differ in the peak alone are a group."""
    at = [[each.x(min(max(start, each.low), each.high)) for start in each.starts] for each in ranges]
    peaks = [j for j, each in enumerate(ranges) if each.name == "peak"]
    others = [[row[0]] if j in peaks else row for j, row in enumerate(at)]
    groups = []
    for combination in itertools.product(*others):
        group = [np.array(combination)]
        for j in peaks:
            group = [np.concatenate([x[:j], [peak], x[j + 1 :]]) for x in group for peak in at[j]]
        groups.append(group)
    return groups


def _more(difference: float) -> float:
    """What a difference of log J costs; inf where the engines would call the run diverging."""
    return math.expm1(difference) if difference < LOST else math.inf


def _table(name: str, value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f" = {brief(value)} is not a table; give {{parameter: value}}.", name)
    return value
