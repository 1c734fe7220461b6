"""What `simlab doctor` prints: versions, threads, SIMD width, kernel cache, GPU."""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from simlab._version import __version__
from simlab.engines.arguments import worker_count
from simlab.extras import install

__all__ = ["gpu", "kernels", "report", "simd"]

NEEDED = ("numpy", "scipy", "numba", "llvmlite", "xarray", "zarr", "matplotlib", "tqdm", "typer")
OPTIONAL = ("cupy", "torch", "jax", "optax", "scikit-learn", "h5netcdf")

INSTRUCTIONS = ("avx512f", "avx2", "avx", "sse2", "sve", "neon")


def report() -> str:
    """The whole report, one aligned line for each fact."""
    rows = [
        ("simlab", f"{__version__} in {Path(__file__).resolve().parent}"),
        ("python", f"{platform.python_version()} ({sys.executable})"),
        *((name, _version(name) or "not installed, but needed: reinstall simlab") for name in NEEDED),
        *((name, _version(name) or "not installed (optional)") for name in OPTIONAL),
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("threads", f"{worker_count(None)} usable of {os.cpu_count()}"),
        *simd(),
        *kernels(),
        ("gpu", gpu()),
    ]
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"{name:<{width}}{fact}" for name, fact in rows)


def _version(distribution: str) -> str | None:
    """The installed version; CuPy's distributions are named after the CUDA they are for."""
    names = ("cupy-cuda13x", "cupy-cuda12x", "cupy-cuda11x", "cupy") if distribution == "cupy" else (distribution,)
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def simd() -> Iterator[tuple[str, str]]:
    """The processor, and the width of the vectors that LLVM uses on it."""
    binding: Any = importlib.import_module("llvmlite.binding")
    yield "cpu", f"{_cpu_name()} (LLVM: {binding.get_host_cpu_name()})"
    features = binding.get_host_cpu_features()
    found = [name for name in INSTRUCTIONS if features.get(name)]
    lanes = vector_lanes()
    yield "simd", f"{lanes} float64 at a time ({64 * lanes} bits); the processor has {', '.join(found) or 'no vectors'}"


def vector_lanes() -> int:
    """float64 numbers in the widest vector that LLVM uses for a plain loop on this processor.

    Seen by compiling one: on some processors LLVM stays below the width they have, because they slow down with it.
    """
    import numba

    def double(a: Any) -> None:
        for i in range(a.size):
            a[i] += a[i]

    compiled: Any = numba.njit("void(float64[::1])")(double)
    (code,) = compiled.inspect_llvm().values()
    return max((int(width) for width in re.findall(r"<(\d+) x double>", code)), default=1)


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown processor"


def kernels() -> Iterator[tuple[str, str]]:
    """Where compiled kernels are kept, whether that can be written, and how many are there."""
    found = list(_dispatchers())
    folders = sorted({folder for folder, _, _ in found})
    for folder in folders:
        path = Path(folder)
        nearest = next((p for p in (path, *path.parents) if p.exists()), path)
        state = "writable" if os.access(nearest, os.W_OK) else "NOT writable: set NUMBA_CACHE_DIR to a folder that is"
        yield "kernel cache", f"{path} ({state})"
    compiled = sum(_cached(Path(folder), stem, source) for folder, stem, source in found)
    hint = "" if compiled else "; the first run compiles what it needs, for some seconds, once"
    yield "kernels", f"{compiled} of {len(found)} functions compiled and cached{hint}"


def _dispatchers() -> Iterator[tuple[str, str, Path]]:
    """(cache folder, stem of the index file, source file) of every function compiled with cache=True."""
    from numba.core.registry import CPUDispatcher

    import simlab.kernels as package

    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        loaded: Any = importlib.import_module(module.name)
        for function in vars(loaded).values():
            if isinstance(function, CPUDispatcher) and function.__module__ == module.name and function.stats.cache_path:
                code = function.py_func.__code__
                stem = f"{Path(code.co_filename).stem}.{function.py_func.__qualname__}-{code.co_firstlineno}."
                yield function.stats.cache_path, stem, Path(code.co_filename)


def _cached(folder: Path, stem: str, source: Path) -> bool:
    """Whether the folder holds an index of this function that is not older than its source."""
    tag = f"py{sys.version_info.major}{sys.version_info.minor}"
    written = (index.stat().st_mtime for index in folder.glob(f"{stem}*nbi") if tag in index.name)
    return any(time >= source.stat().st_mtime for time in written)


def gpu() -> str:
    """The GPUs that CuPy finds, or how to get one."""
    remedy = f"on a machine with an NVIDIA GPU and its driver, {install('gpu')}"
    try:
        cupy: Any = importlib.import_module("cupy")
    except ImportError:
        return f"none: cupy is not installed; {remedy}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        names = [cupy.cuda.runtime.getDeviceProperties(i)["name"].decode() for i in range(count)]
    except Exception as error:  # CuPy raises types of its own, which exist only where it is installed
        return f"none: CuPy finds no device ({str(error).splitlines()[0]}); {remedy}"
    return f"{count}: {', '.join(names)}" if count else f"none: CuPy counts no device; {remedy}"
