"""A method of the user's own: one function that Numba can compile, tried before a kernel calls it a million times."""

# Annotations of records are evaluated: see `simlab.methods.base`.
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from simlab.doors import notice
from simlab.errors import InputError, brief, check_count
from simlab.guards import surrounded, touched
from simlab.kernels import dials as rules
from simlab.methods.base import Number, method
from simlab.methods.weightwise import Adaptive, Compiled

__all__ = ["custom"]

TRIED = (3, 8)
"""Numbers of weights that a rule is tried with."""


@method
class custom(Adaptive):
    """w <- w - step, where (state, step) = update(state, gradient, rate): for `simlab.sample` and `simlab.descend`.

    update : compiled by Numba, or such as Numba can compile. state (rows, d) starts at 0, gradient (d,), rate the
        learning rate; it may write into both arrays and return them, and step is (d,). All weights at once, so that it
        may take norms.
    state_rows : rows of the state.

    Raises InputError where Numba refuses the rule, where it raises, reaches beyond its arrays or returns other shapes;
    warns where it allocates memory at every step.
    """

    update: Callable[..., Any]
    state_rows: int = 1
    batch: Number = 1
    rule: ClassVar[int] = rules.OWN

    def check(self) -> None:
        count = check_count("state_rows", self.state_rows, low=0, high=64)
        self._keep(rows=tuple(f"own {j + 1}" for j in range(count)))
        given: Any = self.update
        if not callable(given):
            raise InputError(f" = {brief(given)} is not a function; give one of (state, gradient, rate).", "update")
        _try(given, count)

    @property
    def expression(self) -> str:
        name = getattr(self.update, "__name__", "rule")
        return f"custom({self.lr!r}, {name}, state_rows={self.state_rows}, batch={brief(self.batch)})"

    @property
    def compiled(self) -> Compiled:
        return Compiled(own=_adapter(self.update))


def _inner(update: Any, **options: Any) -> Any:
    from numba import njit

    return njit(**options)(getattr(update, "py_func", update))


def _once(inner: Any) -> Any:
    """Calls of the rule as kernels make them: the state kept in place, the step copied."""

    def calls(count: Any, state: Any, gradient: Any, rate: Any, out: Any) -> None:
        for _ in range(count):
            new, step = inner(state, gradient, rate)
            state[:, :] = new
            out[:] = step

    from numba import njit

    return njit(calls)


@lru_cache(maxsize=64)
def _adapter(update: Any) -> Any:
    from numba import cfunc, types

    inner, row = _inner(update), types.float64[::1]

    def adapter(state: Any, gradient: Any, rate: Any, out: Any) -> None:
        new, step = inner(state, gradient, rate)
        state[:, :] = new
        out[:] = step

    return cfunc(types.void(types.float64[:, ::1], row, types.float64, row))(adapter)


@lru_cache(maxsize=64)
def _try(update: Any, rows: int) -> None:
    """Refuse a rule that a kernel must not call."""
    from numba.core.errors import NumbaError

    for dim in TRIED:
        state, gradient = np.zeros((rows, dim)), np.linspace(-1.0, 2.0, dim)
        try:
            # Functions of its own check nothing, and must not write into what lies around.
            answer = _inner(update, boundscheck=True)(*(surrounded(array)[1] for array in (state, gradient)), 0.1)
        except NumbaError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f" cannot be compiled by Numba ({reason}); use plain loops and math.", "update") from None
        except IndexError:
            raise _beyond(rows, dim) from None
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f" raised {brief(reason)}; let it return a state and a step.", "update") from None
        shapes = [np.shape(part) for part in answer] if isinstance(answer, tuple) else [np.shape(answer)]
        if shapes != [(rows, dim), (dim,)]:
            raise InputError(
                f" returns shapes {shapes} of a state ({rows}, {dim}) and a gradient ({dim},); return a state and a "
                f"step of the same shapes.",
                "update",
            )
        _guarded(update, rows, dim)
    if _allocates(update, rows):
        notice("update allocates memory at every step; write into gradient and state, and return these, to be faster.")


def _guarded(update: Any, rows: int, dim: int) -> None:
    """Call it among guards, which no index of a function within it may reach."""
    given = np.zeros((rows, dim)), np.linspace(-1.0, 2.0, dim), np.full(dim, np.nan)
    stores, (state, gradient, out) = zip(*map(surrounded, given), strict=True)
    _once(_inner(update))(1, state, gradient, 0.1, out)
    if any(map(touched, stores)):
        raise _beyond(rows, dim)


def _beyond(rows: int, dim: int) -> InputError:
    return InputError(
        f" reaches beyond the arrays that it is given; state has {rows} rows of {dim} entries here, gradient {dim}.",
        "update",
    )


def _allocates(update: Any, rows: int) -> bool:
    """Whether two calls allocate more often than one."""
    from numba.core import runtime

    memory: Any = runtime  # says nothing of its types
    calls, counts = _once(_inner(update)), list[int]()
    state, gradient, out = np.zeros((rows, 8)), np.ones(8), np.zeros(8)
    calls(0, state, gradient, 0.1, out)
    memory._nrt_python.memsys_enable_stats()
    try:
        for count in (1, 2):
            before = memory.rtsys.get_allocation_stats().mi_alloc
            calls(count, state, gradient, 0.1, out)
            counts.append(memory.rtsys.get_allocation_stats().mi_alloc - before)
    finally:
        memory._nrt_python.memsys_disable_stats()
    return counts[1] > counts[0]
