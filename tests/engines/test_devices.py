"""Where a run goes: names, absence of a GPU in one sentence, and a CuPy that is there."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import types

import numpy as np
import pytest

from simlab.engines.gpu import cuda, devices
from simlab.errors import InputError


@pytest.fixture
def cupy(monkeypatch):
    """Put a stand-in for CuPy in place: cupy(lambda: number of GPUs), or cupy(None) for none installed."""

    def install(count):
        devices.missing.cache_clear()
        found = None
        if count is not None:
            runtime = types.SimpleNamespace(getDeviceCount=count)
            module = types.ModuleType("cupy")
            module.cuda = types.SimpleNamespace(runtime=runtime)
            monkeypatch.setitem(sys.modules, "cupy", module)
            found = importlib.util.spec_from_loader("cupy", None)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)

    yield install
    devices.missing.cache_clear()


def broken():
    raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient\nand more")


def test_the_processor_is_always_there(cupy):
    cupy(broken)
    assert devices.choose("cpu") == "cpu"


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (None, "CuPy is not installed"),
        (broken, "cudaErrorInsufficientDriver: CUDA driver version is insufficient\\)"),
        (lambda: 0, "CuPy counts no GPU"),
    ],
    ids=["not installed", "no driver", "no device"],
)
def test_no_gpu_is_one_sentence_with_its_remedy(cupy, count, reason):
    cupy(count)
    assert devices.choose("auto") == "cpu"
    with pytest.raises(InputError, match=rf"device = 'gpu': .*{reason}.*pip install 'sgd-simlab\[gpu\]'") as caught:
        devices.choose("gpu")
    assert "\n" not in str(caught.value)


def test_a_gpu_is_taken(cupy):
    cupy(lambda: 2)
    assert devices.choose("auto") == devices.choose("gpu") == "gpu"


def test_a_full_gpu_is_one_sentence_with_its_remedy(monkeypatch):
    full = MemoryError("Out of memory allocating 1,024 bytes (allocated so far: 0 bytes).")

    def refuse(*_):
        raise full

    module = types.ModuleType("cupy")
    module.cuda = types.SimpleNamespace(Device=contextlib.nullcontext)
    module.asarray = module.asnumpy = refuse
    monkeypatch.setitem(sys.modules, "cupy", module)
    device = cuda.CupyDevice()
    for act in (lambda: device.put(np.ones(3)), lambda: device.get(None)):
        with pytest.raises(InputError, match=r"^device = 'gpu' has too little memory free; .* device='cpu'\.$"):
            act()
    full = ValueError("something else")
    with pytest.raises(ValueError, match="something else"):
        device.put(np.ones(3))


@pytest.mark.parametrize(("name", "near"), [("gpuu", "'gpu'"), ("xyz", "auto, cpu, gpu")])
def test_unknown_names_are_refused(name, near):
    with pytest.raises(InputError, match=f"device: '{name}' is not known; .*{near}"):
        devices.choose(name)


def test_exact_by_itself_takes_a_gpu_for_many_runs(monkeypatch):
    engine = importlib.import_module("simlab.engines.exact")
    monkeypatch.setattr(engine, "choose", lambda device: "gpu")
    asked = [engine._on_gpu(device, True, runs) for device in ("auto", "gpu") for runs in (1, engine.MANY_RUNS)]
    assert asked == [False, True, True, True]
    assert not engine._on_gpu("auto", False, 100)
    with pytest.raises(InputError, match="device = 'gpu' runs neither data sets"):
        engine._on_gpu("gpu", False, 100)
