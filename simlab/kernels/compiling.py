"""How kernels are compiled: `kept` what Python calls, `inlined` and `hot` what those call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import numba
from numba import njit
from numba.core import event

from simlab.kernels import cache
from simlab.kernels.cache import folder

__all__ = ["FAST", "FUSED", "INLINED", "compiled_only", "hot", "inlined", "kept", "running_time"]

FAST = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be reordered and products fused; infinities and NaN keep their meaning, so that divergence shows."""

FUSED = {"contract", "nsz"}
"""Products may be fused with sums, and nothing else: what the accuracy of a polynomial allows."""


def kept(function: Any = None, **options: Any) -> Any:
    """Compile a function that Python calls, without the GIL, and keep the result on disk (see `simlab.kernels.cache`).

    Numba looks up the folder once, when the function is declared.
    """
    if function is None:
        return lambda function: kept(function, **options)
    settings: Any = numba.config  # its names are made when it is loaded
    place, before = folder(), settings.CACHE_DIR
    if place is not None:
        settings.CACHE_DIR = str(place)
    try:
        return njit(nogil=True, cache=place is not None, **options)(function)
    finally:
        settings.CACHE_DIR = before


def inlined(function: Any = None, **options: Any) -> Any:
    """Compile a function that is inlined by force where a kernel calls it.

    What is called and not inlined is kept on disk within its caller, under a name that Numba numbers by the order of
    compilation. Loaded beside kernels that another process compiled, such a name may be another function's: another
    landscape's gradient, or the same sum in another order. What is inlined has no name that could be taken for another.
    """
    compiler: Any = njit  # _nrt is no part of its published signature
    decorate = compiler(forceinline=True, **options)
    return decorate if function is None else decorate(function)


def hot(function: Any = None, **options: Any) -> Any:
    """`inlined` for a function that allocates nothing and runs at every step: no references to its arrays are counted.

    Numba counts them each time an array changes hands: at a thousand coordinates that took a third of a step.
    """
    return inlined(function, _nrt=False, **options)


INLINED: Any = {"forceinline": True}
"""`jit_options` of an overload, for the same reason."""


def compiled_only(function: Callable[..., Any]) -> Callable[..., Any]:
    """The name and signature of a function whose body `numba.extending.overload` chooses by the types it is given.

    There is nothing for the interpreter to run: called from there it raises TypeError.
    """

    @wraps(function)
    def refuse(*arguments: Any) -> Any:
        raise TypeError(f"{function.__name__} exists in compiled code alone; call it from a function under numba.njit.")

    return refuse


@contextmanager
def running_time() -> Iterator[Callable[[], float]]:
    """A clock of seconds since the `with`, which stands still while kernels are being compiled, by any thread."""
    listener: Any = event.TimingListener  # numba.core has no types
    began, compiling = time.perf_counter(), listener()
    with event.install_listener("numba:compile", compiling):
        yield lambda: time.perf_counter() - began - (compiling.duration if compiling.done else 0.0)


class _Waiting(event.Listener):
    """Says once that kernels are being compiled, when that takes longer than `PATIENCE` seconds."""

    PATIENCE = 1.0

    def __init__(self) -> None:
        self.depth, self.timer = 0, threading.Timer(0.0, self.say)

    def on_start(self, _event: Any) -> None:
        self.depth += 1
        if self.depth == 1 and cache.waiting is not None:
            self.timer = threading.Timer(self.PATIENCE, self.say)
            self.timer.daemon = True
            self.timer.start()

    def on_end(self, _event: Any) -> None:
        self.depth -= 1
        if self.depth == 0:
            self.timer.cancel()

    def say(self) -> None:
        heard, cache.waiting = cache.waiting, None
        if heard is not None:
            heard(f"compiling kernels, once; they are kept in {folder() or 'memory alone'}.")


_register: Any = event.register
_register("numba:compile", _Waiting())
