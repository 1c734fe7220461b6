"""A linear regression on few weighted nodes: which rule for which spectrum, and where its ranges must end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simlab.errors import InputError, check_number
from simlab.quadrature import Nodes, compress_family, compress_measured
from simlab.spectra import Family
from simlab.subspaces import Subspaces, from_spec

if TYPE_CHECKING:
    from simlab.methods.base import Method
    from simlab.problems.linear_regression import LinearRegression

__all__ = ["compressed"]


def compressed(
    problem: LinearRegression,
    family: Family | None,
    tolerance: float,
    subspaces: Subspaces | str | None,
    method: Method | None,
) -> Nodes:
    """The nodes of `LinearRegression.compress`, whose docstring says what is refused; `start`, `stop` are
    eigen-indices.
    """
    tolerance = check_number("tolerance", tolerance, low=1e-13, high=0.1)
    if not isinstance(problem.kurtosis, float):
        raise InputError(
            "kurtosis differs between coordinates, which nodes cannot stand for; compress with one number."
        )
    wanted = from_spec(subspaces)
    if wanted.expression == "effective()" and method is None:
        raise InputError("subspaces = effective() depends on the schedule; give compress(method=...) as well.")
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
