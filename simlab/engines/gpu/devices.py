"""Where a run is computed: the processor, or a GPU that CuPy sees."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from typing import Any, Literal

from simlab.errors import InputError, unknown_name
from simlab.extras import install

__all__ = ["DeviceName", "choose", "missing"]

DeviceName = Literal["auto", "cpu", "gpu"]
WHERE = "(CUDA 12; [gpu13] for 13) on a machine with an NVIDIA GPU and its driver"


def choose(device: DeviceName | str) -> Literal["cpu", "gpu"]:
    """The device that `device` means here: "auto" is the GPU where there is one.

    Raises InputError for a name that is not known, and for "gpu" where there is none. CuPy is imported only where the
    answer depends on it.
    """
    if device not in ("auto", "cpu", "gpu"):
        raise unknown_name("device", device, ("auto", "cpu", "gpu"))
    if device == "cpu":
        return "cpu"
    reason = missing()
    if reason is None:
        return "gpu"
    if device == "auto":
        return "cpu"
    raise InputError(f" = 'gpu': {reason}; run {install('gpu')} {WHERE}, or choose device='cpu'.", "device")


@cache
def missing() -> str | None:
    """What stands between this process and a GPU, or None."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    try:
        cupy: Any = importlib.import_module("cupy")
        count = int(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:  # CuPy raises types of its own, which exist only where it is installed
        return f"CuPy finds no GPU ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    return None if count else "CuPy counts no GPU"
