"""Devices that run CUDA kernels, through CuPy, and how a launch is shaped.

Kernels are templates, compiled by NVRTC for the configuration of a run and cached by CuPy on disk. The launchers
(cuda_sample, cuda_moments, cuda_descent) speak to a `Device` of a few verbs, so that the tests can run them, and the
kernels, with no GPU at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module, resources
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from simlab.errors import InputError

__all__ = [
    "CupyDevice",
    "Device",
    "Shape",
    "SourceError",
    "crowded_shape",
    "flag",
    "shape_of",
    "source_of",
]

Array = npt.NDArray[Any]

REGISTERS = 65_536
"""32-bit registers of a multiprocessor, on every NVIDIA GPU since 2012; a thread has at most 255 of them."""


# -- devices -----------------------------------------------------------------------------------------------------------


class Device(Protocol):
    """Arrays in and out, and launches."""

    def put(self, array: Array) -> Any:
        """A copy of a NumPy array on the device."""

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any: ...

    def get(self, array: Any) -> Array:
        """A device array as a NumPy array."""

    def free_memory(self) -> int:
        """Bytes that may be used."""

    def launch(
        self, files: tuple[str, ...], kernel: str, blocks: int, threads: int, arguments: tuple[Any, ...], own: str = ""
    ) -> None:
        """Run a kernel, e.g. "run_moments<1, 64, 4, true>", of the sources `files` on arrays here and NumPy scalars.

        `own` is source of the user's that follows them. Raises SourceError where they cannot be compiled.
        """


class SourceError(Exception):
    """CUDA C++ that cannot be compiled; the message is the compiler's first complaint."""

    def __init__(self, log: str) -> None:
        lines = [" ".join(line.split()) for line in log.splitlines() if line.strip()]
        reasons = [line for line in lines if "error" in line or "fatal" in line]
        super().__init__([*reasons, *lines, "no reason given"][0].strip("\0"))


def source_of(files: tuple[str, ...]) -> str:
    """The CUDA C++ of some files of simlab/kernels/cuda, one after the other."""
    folder = resources.files("simlab.kernels") / "cuda"
    return "\n".join((folder / f"{name}.cuh").read_text(encoding="utf-8") for name in files)


@cache
def _module(files: tuple[str, ...], kernel: str, own: str) -> Any:
    cupy: Any = import_module("cupy")
    return cupy.RawModule(code=source_of(files) + own, options=("-std=c++17",), name_expressions=(kernel,))


class CupyDevice:
    """The device that is CuPy's current one when this is made; any thread may use it."""

    def __init__(self) -> None:
        self.cupy: Any = import_module("cupy")
        self.device = self.cupy.cuda.Device()

    @contextmanager
    def _on(self) -> Iterator[None]:
        """On this device; InputError where it has no memory left."""
        try:
            with self.device:
                yield
        except Exception as error:  # CuPy's own types, which exist only where it is installed
            if "out of memory" not in str(error).lower():
                raise
            raise InputError(
                " = 'gpu' has too little memory free; give a smaller block, end other programs on it, or choose "
                "device='cpu'.",
                "device",
            ) from None

    def put(self, array: Array) -> Any:
        with self._on():
            return self.cupy.asarray(np.ascontiguousarray(array))

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        with self._on():
            return self.cupy.zeros(shape, dtype=dtype)

    def get(self, array: Any) -> Array:
        with self._on():
            host: Array = self.cupy.asnumpy(array)
        return host

    def free_memory(self) -> int:
        with self._on():
            return int(self.cupy.cuda.runtime.memGetInfo()[0] + self.cupy.get_default_memory_pool().free_bytes())

    def launch(
        self, files: tuple[str, ...], kernel: str, blocks: int, threads: int, arguments: tuple[Any, ...], own: str = ""
    ) -> None:
        with self._on():
            try:
                function = _module(files, kernel, own).get_function(kernel)
            except self.cupy.cuda.compiler.CompileException as error:
                raise SourceError(str(error)) from None
            function((blocks,), (threads,), arguments)


# -- the shape of a launch ---------------------------------------------------------------------------------------------


class Shape(NamedTuple):
    """Threads of a block, units of work that each owns, and whether these stay in registers."""

    threads: int
    owned: int
    held: bool


def shape_of(units: int, words: int, others: int) -> Shape | None:
    """The shape for blocks of `units`, each of which keeps `words` 32-bit registers, beside `others` for each thread.

    The fewest threads whose state fits 128 registers, for what a thread does once per step is then shared by the most
    units; else the most threads that fit at all; else None. Powers of two keep the number of configurations, each of
    which is compiled, small.
    """
    tight = None
    for threads in (32, 64, 128, 256, 512, 1024):
        owned = -(-units // threads)
        registers = owned * words + others
        if threads * registers <= REGISTERS and registers <= 240:
            tight = Shape(threads, owned, True)
            if registers <= 128:
                return tight
    return tight


def crowded_shape(units: int, words: int) -> Shape:
    """The shape of a block of 1,024 threads for more units than `shape_of` has room for.

    The state stays in registers where it takes up to 48 of a thread's 64: what then spills is less than the state, and
    SGD with 16,384 coordinates was 1.7 times as fast on an H100 as from memory (k = 3 with 60 registers of state: half
    as fast). From memory 1,024 threads were 0.97 to 1.6 times as fast as 512.
    """
    owned = -(-units // 1024)
    if owned * words <= 48:
        return Shape(1024, owned, True)
    return Shape(1024, 1 << (owned - 1).bit_length(), False)


def flag(value: bool) -> str:
    """A template argument of C++."""
    return "true" if value else "false"
