"""How kernels are compiled: `kept` what Python calls, `inlined` and `hot` what those call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache as cache_once
from functools import wraps
from typing import Any

import numba
from numba import njit
from numba.core import event
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from simlab.kernels import cache
from simlab.kernels.cache import folder

__all__ = ["FAST", "FUSED", "HOT", "INLINED", "compiled_only", "hot", "inlined", "kept", "running_time"]

FAST = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be reordered and products fused; infinities and NaN keep their meaning, so that divergence shows."""

FUSED = {"contract", "nsz"}
"""Products may be fused with sums, and nothing else: what the accuracy of a polynomial allows."""


_compile: Any = njit
"""Wrappers that nobody calls, and _nrt, are no part of its published signature."""


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
        return _compile(nogil=True, cache=place is not None, no_cfunc_wrapper=True, **options)(function)
    finally:
        settings.CACHE_DIR = before


class _Nowhere:
    """Stands for the code generator where there is no code that an environment could be set in."""

    def set_env(self, _name: str, _environment: Any) -> None:
        pass


class _Body(JITCodeLibrary):
    """What a function that is inlined by force hands to its callers: no machine code, which nobody would call.

    It is optimised where it calls no other: a loop is vectorised with more success by itself than within a kernel.
    Numba would do so at every level, all that lies below over again.
    """

    def _optimize_final_module(self) -> None:
        if not any(isinstance(library, _Body) for library in self._linking_libraries):
            super()._optimize_final_module()  # type: ignore[no-untyped-call]

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
        self._finalized = True

    def get_pointer_to_function(self, _name: str) -> int:
        self._ensure_finalized()  # type: ignore[no-untyped-call]
        return 0

    @property
    def codegen(self) -> Any:
        return _Nowhere()


class _Inlined(Compiler):
    def __init__(self, typing: Any, target: Any, _none: None, *others: Any) -> None:
        body: Any = _Body
        super().__init__(typing, target, body(target.codegen(), "body"), *others)  # type: ignore[no-untyped-call]


INLINED: Any = {
    "forceinline": True,
    "pipeline_class": _Inlined,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
"""`jit_options` of what is `inlined`, for an overload."""

HOT: Any = {**INLINED, "_nrt": False, "error_model": "numpy", "fastmath": FAST}
"""Those of what is `hot`, and of sums that may be reordered."""


def inlined(function: Any = None, **options: Any) -> Any:
    """Compile a function that is inlined by force where a kernel calls it.

    What is called and not inlined is kept on disk within its caller, under a name that Numba numbers by the order of
    compilation. Loaded beside kernels that another process compiled, such a name may be another function's: another
    landscape's gradient, or the same sum in another order. What is inlined has no name that could be taken for another.

    It has no machine code (see `_Body`), which was up to half of all compiling. What Python calls is compiled for
    Python, apart from it.
    """

    def decorate(function: Any) -> Any:
        dispatcher = _compile(**INLINED, **options)(function)
        called = cache_once(lambda: _compile(**options)(function))

        def add_overload(result: Any) -> None:
            dispatcher.overloads[tuple(result.signature.args)] = result

        # Without the second, a signature that some kernel has compiled would be called at address 0.
        dispatcher._compile_for_args, dispatcher.add_overload = lambda *_arguments, **_named: called(), add_overload
        return dispatcher

    return decorate if function is None else decorate(function)


def hot(function: Any = None, **options: Any) -> Any:
    """`inlined` for a function that allocates nothing and runs at every step: no references to its arrays are counted.

    Numba counts them each time an array changes hands: at a thousand coordinates that took a third of a step.
    """
    return inlined(function, _nrt=False, **options)


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
