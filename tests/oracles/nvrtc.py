"""NVRTC, the run-time compiler of the wheel nvidia-cuda-nvrtc-cu12, which needs no GPU and no driver."""

from __future__ import annotations

import ctypes
from importlib import metadata

import pytest


class Nvrtc:
    """The compiler in a shared library."""

    def __init__(self, path):
        self.nvrtc = ctypes.CDLL(str(path))

    def compile(self, source, kernels, architecture):
        """(machine code, log with the resources that every kernel takes), or an AssertionError with the log."""
        program = ctypes.c_void_p()
        self.nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"source.cu", 0, None, None)
        for kernel in kernels:
            assert self.nvrtc.nvrtcAddNameExpression(program, kernel.encode()) == 0
        options = [b"-std=c++17", f"--gpu-architecture={architecture}".encode(), b"--ptxas-options=-v"]
        failed = self.nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        log = self._text(program, "ProgramLog")
        assert not failed, log.decode()
        code = self._text(program, "CUBIN")
        for kernel in kernels:
            lowered = ctypes.c_char_p()
            assert self.nvrtc.nvrtcGetLoweredName(program, kernel.encode(), ctypes.byref(lowered)) == 0
            assert lowered.value in code
        self.nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
        return code, log.decode()

    def _text(self, program, what):
        size = ctypes.c_size_t()
        assert getattr(self.nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)) == 0
        buffer = ctypes.create_string_buffer(size.value)
        assert getattr(self.nvrtc, f"nvrtcGet{what}")(program, buffer) == 0
        return buffer.raw


def installed():
    """The compiler, or the test is skipped."""
    try:
        found = metadata.files("nvidia-cuda-nvrtc-cu12") or []
    except metadata.PackageNotFoundError:
        pytest.skip("nvidia-cuda-nvrtc-cu12 is not installed: the CUDA sources are not compiled for a GPU")
    (path,) = (file.locate() for file in found if file.name.startswith("libnvrtc.so"))
    return Nvrtc(path)
