"""A method that goes on where a run stands: the rest of another one, and one that takes over at a later step."""

# Annotations of records are evaluated: see `simlab.methods.base`.
from dataclasses import replace
from typing import Self

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import check_count, check_kind
from simlab.methods.base import Coefficients, Method, Steps, record
from simlab.schedules import Schedule, constant, join

__all__ = ["Shifted", "rest"]


@record
class Shifted(Method):
    """The arrays of another method `by` steps later: those of its step t - by at the step t.

    by < 0 : the rest of it from the step -by on.  by > 0 : what takes over at the step `by` of another run, whose
    learning rates sum to `time`; the steps before are that run's, and must not be asked for.
    """

    inner: Method
    by: int
    time: float = 0.0

    def __post_init__(self) -> None:
        inner, by = self.inner, self.by
        self._keep(length=inner.length + by, z0=inner.z0, iterate=inner.iterate, coordinates=inner.coordinates)
        self._keep(linear=inner.linear, workers=inner.workers, unfit=inner.unfit, takers=inner.takers)
        self._keep(learning_rate=self._moved(inner.learning_rate, self.time / max(by, 1)))
        self._keep(batch=self._moved(inner.batch, 1.0) if isinstance(inner.batch, Schedule) else inner.batch)
        names = {name for layer in inner.layers() for name in layer._schedules}
        moved = {name: inner.schedule(name) for name in names}
        self._keep(_schedules={name: self._moved(each, each(0)) for name, each in moved.items() if each is not None})

    def _moved(self, schedule: Schedule, before: float) -> Schedule:
        if self.by == 0:
            return schedule
        return schedule.slice(-self.by) if self.by < 0 else join(constant(self.by, float(before)), schedule)

    @property
    def expression(self) -> str:
        if self.by > 0:
            return self.inner.expression
        return f"{self.inner.expression}.rest({-self.by})"

    @property
    def basis(self) -> FloatArray:
        return self.inner.basis

    @property
    def core(self) -> Method:
        return self.inner.core

    def numbers(self, start: int, stop: int) -> tuple[FloatArray, ...]:
        return super().numbers(start, stop) if self.linear else self.inner.numbers(start - self.by, stop - self.by)

    def recursion(self, t: Steps) -> Coefficients:
        return self.inner.recursion(t - self.by)

    def increments(self, t: Steps) -> Coefficients:
        return self.inner.increments(t - self.by)

    def outlook(self, t: Steps) -> FloatArray:
        return self.inner.outlook(t - self.by)

    def share(self, t: Steps) -> FloatArray:
        return self.inner.share(t - self.by)

    def breaks(self, t: int) -> int:
        return max(t + 1, self.inner.next_kink(t - self.by) + self.by) if t >= self.by else self.by

    def layers(self) -> list[Method]:
        return [self, *(Shifted(each, self.by, self.time) for each in self.inner.layers()[1:])]

    def _rescaled(self, factor: float) -> Self:
        return replace(self, inner=self.inner.rescale(factor), time=self.time * factor)


@door
def rest(method: Method, step: int) -> Method:
    """A method from `step` on, as one of its own, of length T - step: what goes on from a state kept at that step.

    `exact(problem, rest(method, s), start=state)` is the second half of the run of `method` whose state at s was kept.
    Raises InputError for a step outside 0 .. T - 1.
    """
    check_kind("method", method, Method, "a method", "give such as methods.sgd(schedule)")
    return Shifted(method, -check_count("step", step, low=0, high=method.length - 1))
