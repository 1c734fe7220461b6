"""How the inner functions of the samplers are compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from numba import njit

__all__ = ["FAST", "FUSED", "compiled_only", "hot"]

FAST = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be reordered and products fused; infinities and NaN keep their meaning, so that divergence shows."""

FUSED = {"contract", "nsz"}
"""Products may be fused with sums, and nothing else: what the accuracy of a polynomial allows."""


def hot(function: Any = None, **options: Any) -> Any:
    """Compile a function that allocates nothing and runs at every step, without counting references to its arrays.

    Numba counts them each time an array changes hands: at a thousand coordinates that took a third of a step.
    """
    compiler: Any = njit  # _nrt is no part of its published signature
    decorate = compiler(nogil=True, _nrt=False, **options)
    return decorate if function is None else decorate(function)


def compiled_only(function: Callable[..., Any]) -> Callable[..., Any]:
    """The name and signature of a function whose body `numba.extending.overload` chooses by the types it is given.

    There is nothing for the interpreter to run: called from there it raises TypeError.
    """

    @wraps(function)
    def refuse(*arguments: Any) -> Any:
        raise TypeError(f"{function.__name__} exists in compiled code alone; call it from a function under numba.njit.")

    return refuse
