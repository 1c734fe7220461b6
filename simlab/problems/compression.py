"""A linear regression on few weighted nodes: which rule for which spectrum, and where its ranges must end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from simlab.errors import InputError, brief, check_number
from simlab.problems.base import DiagonalProblem
from simlab.quadrature import Nodes, compress_family, compress_measured
from simlab.schedules import Schedule
from simlab.spectra import Family
from simlab.subspaces import Subspaces, from_spec

__all__ = ["Dynamics", "compressed"]

FloatArray = npt.NDArray[np.float64]


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
    method: Dynamics | None,
) -> Nodes:
    """The nodes of `LinearRegression.compress`, whose docstring says what is refused, with eigen-indices as ranges."""
    tolerance = check_number("tolerance", tolerance, low=1e-13, high=0.1)
    wanted = from_spec(subspaces)
    if method is not None and not isinstance(method, Dynamics):
        raise InputError(
            f" = {brief(method)} is not a method; give the one that will run, methods.sgd(lr), say.", "method"
        )
    if wanted.expression == "effective()" and method is None:
        raise InputError(" = effective() depends on the schedule; give compress(method=...) as well.", "subspaces")
    training_time = method.learning_rate.total() if method is not None else 0.0
    boundaries = wanted.boundaries(problem.dim, problem.count_at_least, training_time)
    tests = method.test_functions() if method is not None else None
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
