"""The kernels on a GPU against the CPU's; the same cases run on the host compiler in test_cuda_source.py and
test_cuda_descent.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from simlab.engines.gpu import cuda, devices
from simlab.engines.gpu import moments as cuda_moments
from simlab.kernels.random import philox
from tests.oracles import cuda_cases, cuda_descent_cases
from tests.oracles.cuda_cases import CASES, KEY

pytestmark = pytest.mark.skipif(devices.missing() is not None, reason=f"no GPU: {devices.missing()}")

# A GPU contracts products and sums of its own choice; the laws then differ in their last places, everywhere.
BOUNDS = {np.float64: 1e-11, np.float32: 2e-5}

WORDS = r"""
extern "C" __global__ void words(u32 step, u32 replica, u32 blocks, u32 fourth, u32 k0, u32 k1, u32* out) {
    const u32 block = blockIdx.x * blockDim.x + threadIdx.x;
    if (block >= blocks) return;
    const Words words = philox(step, replica, block, fourth, k0, k1);
    for (int w = 0; w < 4; ++w) out[coordinate(int(block), w)] = words.w[w];
}
"""


@pytest.fixture(scope="module")
def device():
    return cuda.CupyDevice()


def test_words_are_the_same_bit_for_bit(device):
    cupy = device.cupy
    tiles, step, replica, fourth = 9, 2**32 - 3, 77, 8 * 9 + 1
    expected = np.zeros(256 * tiles, np.uint32)
    counters = (np.uint64(value) for value in (step, replica, 0, tiles, fourth))
    philox.fill_words(*counters, *KEY, expected)
    out = device.zeros(expected.shape, np.uint32)
    kernel = cupy.RawKernel(cuda.source_of(("body",)) + WORDS, "words", ("-std=c++17",))
    arguments = [np.uint32(value) for value in (step, replica, 64 * tiles, fourth, *map(int, KEY))]
    kernel((tiles,), (64,), (*arguments, out))
    np.testing.assert_array_equal(device.get(out), expected)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_trajectories_are_those_of_the_cpu(device, case, monkeypatch):
    cuda_cases.check_case(case, device, BOUNDS[case.real], monkeypatch)


def test_moments_are_those_of_the_cpu(device, monkeypatch):
    cuda_cases.check_moments(cuda_cases.moment_jobs((1000, 640)), device)
    monkeypatch.setattr(cuda_moments, "CHUNK_BYTES", 0)
    cuda_cases.check_moments(cuda_cases.moment_jobs((64, 130)), device)


@pytest.mark.parametrize("dim", [100, 1000, 5000, 8000, 40_000, 300_000])
def test_every_size_of_block(device, dim):
    cuda_cases.check_size(dim, device, BOUNDS[np.float32])


def test_the_public_doors(device):
    cuda_cases.check_doors(steps=2000)


# A GPU's sine of the user's own source, and its own contractions, on 70 steps.
@pytest.mark.parametrize("case", cuda_descent_cases.CASES, ids=str)
def test_descents_are_those_of_the_cpu(device, case):
    cuda_descent_cases.check_case(case, device, 1e-10)


def test_the_public_door_of_descents(device, tmp_path):
    cuda_descent_cases.check_doors(tmp_path)


def test_what_a_gpu_does_not_take(device):
    cuda_descent_cases.check_refusals(device)
