"""A linear regression on few weighted nodes: which rule for which spectrum, and where its ranges must end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from simlab.arrays import FloatArray
from simlab.errors import InputError, brief, check_number
from simlab.problems.base import DiagonalProblem
from simlab.quadrature import Nodes, compress_family, compress_measured
from simlab.schedules import Schedule
from simlab.spectra import Family
from simlab.subspaces import Subspaces, from_spec

__all__ = ["Dynamics", "compressed"]


@runtime_checkable
class Dynamics(Protocol):
    """What a method has to say about the spectrum it will see: how long it trains, and which functions of lam it
    sums.
    """

    @property
    def learning_rate(self) -> Schedule: ...
    def test_functions(self) -> Callable[[FloatArray], FloatArray]: ...


def compressed(
    problem: DiagonalProblem,
    family: Family | None,
    tolerance: float,
    subspaces: Subspaces | str | None,
    method: Dynamics | Sequence[Dynamics] | None,
) -> Nodes:
    """The nodes of `LinearRegression.compress`, whose docstring says what is refused, with eigen-indices as ranges."""
    tolerance = check_number("tolerance", tolerance, low=1e-13, high=0.1)
    wanted = from_spec(subspaces)
    given: Any = [] if method is None else method
    methods: list[Dynamics] = list(given) if isinstance(given, list | tuple) else [given]
    for each in methods:
        if not isinstance(each, Dynamics):
            raise InputError(
                f" = {brief(each)} is not a method; give the one that will run, methods.sgd(lr), say.", "method"
            )
    if wanted.depends_on_schedule and not methods:
        raise InputError(" = effective() depends on the schedule; give compress(method=...) as well.", "subspaces")
    boundaries = _boundaries(wanted, problem, methods)
    tests = _all_tests(methods) if methods else None
    if family is not None:
        return compress_family(family, tolerance, boundaries, tests)
    modes = problem.modes()
    # Nodes of a problem compressed before come in the order of their groups; within these, they are sorted.
    order = np.lexsort((-modes.eigenvalues, modes.start))
    first, last = modes.start[order], modes.stop[order]
    nodes = compress_measured(
        modes.eigenvalues[order],
        modes.signal[order],
        modes.multiplicity[order],
        tolerance,
        [int(p) for p in np.searchsorted(first, boundaries)],
        tests,
    )
    return nodes._replace(start=first[nodes.start], stop=last[nodes.stop - 1])


def _boundaries(wanted: Subspaces, problem: DiagonalProblem, methods: Sequence[Dynamics]) -> list[int]:
    """The boundaries of a partition that is at least as fine as the one of every run (each has its own k*)."""
    times = {m.learning_rate.total() for m in methods} if wanted.depends_on_schedule else {0.0}
    return sorted({e for time in times for e in wanted.boundaries(problem.dim, problem.count_at_least, time)})


def _all_tests(methods: Sequence[Dynamics]) -> Callable[[FloatArray], FloatArray]:
    """What each of the methods needs integrated, once for those that are the same."""
    tests = [method.test_functions() for method in {repr(method): method for method in methods}.values()]
    return lambda lam: np.concatenate([test(lam) for test in tests])
