"""Functions of the user's own are tried where a mistake does no harm, before a kernel calls them a million times.

Compiled code checks no index: what is written beyond an array lands in whatever lies there. So a copy that does check
is called first, which finds any index, however far; and then the function itself, among guards that tell what it
touches through functions of its own, which the copy calls as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.errors import InputError
from simlab.guards import surrounded, touched

__all__ = ["failed", "short", "try_out"]


FILLS = (np.nan, 3.7e200)
"""What the guards hold: NaN for what is added up, and another number, for a difference shows what was read."""


@lru_cache(maxsize=64)
def _checking(compiled: Any) -> Any:
    from numba import jit

    return jit(**{**compiled.targetoptions, "boundscheck": True})(compiled.py_func)


def try_out(name: str, compiled: Any, arguments: Sequence[FloatArray], writes: bool) -> Any:
    """What `compiled` returns for `arguments`, none of which is changed; with `writes` it fills the last of them.

    Raises InputError where Numba refuses the function, where it raises, where it reaches beyond its arrays, and where
    it leaves an entry of the last one unwritten.
    """
    from numba.core.errors import NumbaError

    try:
        # Functions of its own check nothing, and must not write into what lies around.
        _checking(compiled)(*(surrounded(array)[1] for array in arguments))
        runs = [_guarded(name, compiled, arguments, writes, fill) for fill in FILLS]
    except (NumbaError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f" cannot be compiled by Numba ({reason}); use plain loops and math.", name) from None
    except IndexError:
        raise _beyond(name, arguments[0].size) from None
    except InputError:
        raise
    except Exception as error:
        raise failed(name, error, arguments[0]) from None
    (value, out), (other, again) = runs
    if writes:
        untouched = np.flatnonzero(np.isnan(out) & (again == FILLS[1]))
        if untouched.size:
            raise InputError(f" leaves out[{untouched[0]}] as it was; let it write all {out.size} entries.", name)
    same = np.array_equal(out, again, equal_nan=True) if writes else np.array_equal(value, other, equal_nan=True)
    if not same:
        raise _beyond(name, arguments[0].size)
    return value


def _guarded(
    name: str, compiled: Callable[..., Any], arguments: Sequence[FloatArray], writes: bool, fill: float
) -> tuple[Any, FloatArray]:
    """(what is returned, the last argument) of a call with guards of `fill` around every array."""
    stores, views = zip(*(surrounded(array, fill) for array in arguments), strict=True)
    if writes:
        views[-1][:] = fill
    value = compiled(*views)
    if any(touched(store, fill) for store in stores):
        raise _beyond(name, arguments[0].size)
    return value, views[-1].copy()


def _beyond(name: str, dim: int) -> InputError:
    return InputError(
        f" reaches beyond the arrays that it is given; w and out have {dim} entries, from 0 to {dim - 1}.", name
    )


def failed(name: str, error: Exception, w: FloatArray | None = None) -> InputError:
    """The refusal of a function that raised, at w or at some point of a run."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200].rstrip(": ")
    where = "at a point that was reached" if w is None else f"at w = {short(w)}"
    return InputError(f" raised {reason} {where}; let it give inf or nan where it is not defined.", name)


def short(point: FloatArray) -> str:
    """A point for a message: its first four coordinates."""
    shown = ", ".join(f"{value:g}" for value in point[:4])
    return f"({shown}{', ...' if point.size > 4 else ''})"
