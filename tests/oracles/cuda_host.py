"""The CUDA sources on the host compiler: a `Device` for the launchers of simlab.engines that needs no GPU."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np

from simlab.engines.gpu import cuda

COMPILER = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
SHIM = Path(__file__).with_name("cuda_on_host.h")

# No contraction: where the processor has no fused multiply-add the CPU kernels round every product, and where it has,
# the difference is what the bounds of the tests allow for on a GPU as well. Level 1 halves the time to compile.
# Ubuntu's compiler fortifies by itself, and then aborts a longjmp from one stack to another.
FLAGS = ["-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", "-shared", "-w", "-U_FORTIFY_SOURCE"]


def build(folder, files, kernels, extra=""):
    """A shared library in `folder`, of some sources, with `kernels` (template names) as launch_0, launch_1, ..."""
    text = [f'#include "{SHIM}"', cuda.source_of(files), extra]
    for i, name in enumerate(kernels):
        text.append(
            f'extern "C" int launch_{i}(int blocks, int threads, void** values, int* sizes)'
            f" {{ return launch({name}, blocks, threads, values, sizes); }}"
        )
    name = f"{files[-1]}_{len(list(folder.iterdir()))}"
    source, library = folder / f"{name}.cpp", folder / f"{name}.so"
    source.write_text("\n".join(text))
    done = subprocess.run([COMPILER, *FLAGS, str(source), "-o", str(library)], capture_output=True, text=True)
    if done.returncode:
        raise cuda.SourceError(done.stderr)
    return ctypes.CDLL(str(library))


class HostDevice:
    """NumPy arrays for device arrays; kernels are compiled into `folder`, many at once by `add` or one when wanted.

    Refuses an argument whose size is not that of the kernel's parameter: on a GPU it would be read as something else.
    """

    def __init__(self, folder):
        self.folder = folder
        self.kernels = {}

    def add(self, files, kernels, extra="", own=""):
        library = build(self.folder, files, kernels, extra + own)
        self.kernels.update((name + own, getattr(library, f"launch_{i}")) for i, name in enumerate(kernels))
        return library

    def put(self, array):
        return np.array(array, order="C")

    def zeros(self, shape, dtype):
        return np.zeros(shape, dtype)

    def get(self, array):
        return array.copy()

    def free_memory(self):
        return 1 << 30

    def launch(self, files, kernel, blocks, threads, arguments, own=""):
        if kernel + own not in self.kernels:
            self.add(files, [kernel], own=own)
        function = self.kernels[kernel + own]
        sizes = (ctypes.c_int * 64)()
        assert function(0, 0, None, sizes) == len(arguments)
        values = []
        for value, size in zip(arguments, sizes, strict=False):
            if isinstance(value, np.ndarray):
                assert size < 0, "an array where the kernel takes a value"
                assert value.flags.c_contiguous
                assert value.dtype == np.uint8 or value.itemsize == -size, (value.dtype, size)
                values.append(np.array([value.ctypes.data], np.uint64))
            else:
                assert value.dtype.itemsize == size, (value, value.dtype, size)
                values.append(np.array([value]))
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        function(blocks, threads, pointers, None)
