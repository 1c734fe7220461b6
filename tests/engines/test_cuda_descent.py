"""Descents in CUDA C++ with no GPU: NVRTC compiles them, and the host compiler runs them against the CPU kernels.

See test_cuda_source.py; tests/test_gpu.py runs the same cases where there is a GPU.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

from simlab import InputError, river
from simlab.engines.gpu import cuda, devices
from simlab.engines.gpu import landscape as cuda_descent
from simlab.experiment import Experiment
from tests.oracles import cuda_descent_cases as cases
from tests.oracles import cuda_host, nvrtc

pytestmark = pytest.mark.thorough

SOURCE = cuda.source_of(cuda_descent.DESCENT)
BOUND = 1e-11
"""Relative to the largest of a run: 70 steps, on which roundings hardly grow."""


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    if cuda_host.COMPILER is None:
        pytest.skip("no C++ compiler: the CUDA sources can't be run")
    host = cuda_host.HostDevice(tmp_path_factory.mktemp("cuda"))
    cases.add_all(host)
    return host


@pytest.fixture
def as_gpu(host, monkeypatch):
    monkeypatch.setattr(devices, "missing", lambda: None)
    monkeypatch.setattr(cuda, "CupyDevice", lambda: host)
    return host


@pytest.mark.parametrize("case", cases.CASES, ids=str)
def test_descents_are_those_of_the_cpu(host, case):
    cases.check_case(case, host, BOUND)


def test_the_public_door(as_gpu, tmp_path):
    cases.check_doors(tmp_path)


def test_what_a_gpu_does_not_take(as_gpu):
    cases.check_refusals(as_gpu)


@pytest.mark.parametrize("architecture", [pytest.param("sm_80", marks=pytest.mark.slow), "sm_90"])
def test_nvrtc_compiles_the_descents_and_states_stay_in_registers(architecture):
    """The kernels of the cases, and the largest that keep their state in registers: of those nothing is spilled."""
    compiler = nvrtc.installed()
    largest = {"descend<2, 2, 2, true, 2, 6>", "descend<1, 2, -1, true, 8, 2>", "descend<0, 1, -1, false, 16, 1>"}
    for own, names in cases.kernels_of(cases.CASES).items():
        if own:  # its sine has a stack of its own
            compiler.compile(SOURCE + own, [*sorted(names), "own_points<5>"], architecture)
            continue
        in_memory = {name for name in names if name.endswith(" 0>")}
        for wanted, most in ((in_memory, 64), (names - in_memory | largest, 16)):
            _, log = compiler.compile(SOURCE, sorted(wanted), architecture)
            frames = [int(size) for size in re.findall(r"(\d+) bytes stack frame", log)]
            assert len(frames) == len(wanted)
            assert max(frames) <= most
        assert {*re.findall(r"(\d+) bytes spill", log)} == {"0"}


@pytest.mark.parametrize("method", ["sgd", "heavy_ball", "ema_nesterov", "ema_average_heavy"])
def test_two_dimensions_take_few_registers(method):
    """The curved valley, k = 1 .. 4: at most 80 registers, so that 25 warps share a multiprocessor, and no stack."""
    name = cases.gpu_of(cases.Case("curved", "sgd", "isotropic", True), cases._Nowhere()).kernel(
        cases.method_of(cases.Case("curved", method, "isotropic", True)).state_size
    )
    _, log = nvrtc.installed().compile(SOURCE, [name], "sm_90")
    assert int(re.search(r"Used (\d+) registers", log)[1]) <= 80
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in log


def test_a_source_that_defines_something_else_is_named():
    """The linker's complaint, below the compiler's warnings."""
    own = "\n__device__ int unused = 0;\n" + cases.OWN.replace("double loss(const double*", "double loss(double*")
    with pytest.raises(AssertionError) as caught:
        nvrtc.installed().compile(f"{SOURCE}\nnamespace own {{{own}}}", ["own_points<5>"], "sm_90")
    assert "Unresolved extern function" in str(cuda.SourceError(str(caught.value)))


def test_experiment_files_choose_the_device(as_gpu):
    """[engine] of a river valley."""
    tree = {
        "problem": {"kind": "river-curved", "mu": 0.0, "slope": 0.1, "noise_kind": "hills"},
        "schedule": {"kind": "wsd", "steps": 50, "peak": 0.02},
        "method": {"kind": "heavy_ball", "momentum": 0.5},
    }
    split = {}
    for name in ("cpu", "gpu"):
        engine = {"kind": "sample", "replicas": 20, "device": name}
        split[name] = Experiment(tree | {"engine": engine}).run(progress=False)
        assert split[name].attrs["device"] == name
    np.testing.assert_allclose(split["gpu"]["total"], split["cpu"]["total"], rtol=1e-11)


def test_without_a_gpu_there_is_one_sentence():
    if devices.missing() is None:
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match=r"device = 'gpu': .*pip install .*, or choose device='cpu'\.$"):
        river_run(device="gpu")
    assert river_run(device="auto").attrs["device"] == "cpu"
    with pytest.raises(InputError, match="device: 'tpu' is not known"):
        river_run(device="tpu")


def river_run(**options):
    return cases.descend(river.curved(), cases.method_of(cases.CASES[0]), replicas=2, **options)
