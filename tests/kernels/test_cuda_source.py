"""The CUDA sources with no GPU: NVRTC compiles them, and the host compiler runs them against the CPU kernels.

On the host the threads of a block are fibers (cuda_on_host.h), so that ownership of coordinates, warp shuffles and
barriers are those of a GPU. What this can't see is a GPU's own rounding (fused multiply-adds, its square root), and
races that the order of the fibers hides; tests/test_gpu.py runs the same cases where there is one.
"""

from __future__ import annotations

import ctypes
import itertools
import re

import numpy as np
import pytest

from simlab.engines.gpu import cuda, devices
from simlab.engines.gpu import moments as cuda_moments
from simlab.engines.gpu import regression as cuda_sample
from simlab.kernels.random import laws, philox, rows
from tests.oracles import cuda_cases, cuda_host, nvrtc
from tests.oracles.cuda_cases import BOUNDS, CASES, KEY, LAWS

pytestmark = pytest.mark.thorough

# -- NVRTC -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiler():
    return nvrtc.installed()


@pytest.mark.parametrize("architecture", [pytest.param("sm_80", marks=pytest.mark.slow), "sm_90"])
def test_nvrtc_compiles_the_samplers_and_their_state_stays_in_registers(compiler, architecture):
    """d = 1,000 in the shape that the launcher chooses: no array on the stack, at most a few registers spilled."""
    kernels = []
    for real, k, parts in itertools.product((np.float32, np.float64), (1, 2, 3, 4), (1, 2)):
        kernels.append(_sampler("gaussian", real).kernel(k, parts, batches=k == 1)[0])
    for law in set(LAWS) - {"gaussian"}:
        kernels.append(_sampler(law, np.float32).kernel(1, 2, batches=False)[0])
    _, log = compiler.compile(cuda.source_of(cuda_sample.SAMPLE), sorted(set(kernels)), architecture)
    frames = [int(size) for size in re.findall(r"(\d+) bytes stack frame", log)]
    assert len(frames) == len(set(kernels))
    assert max(frames) <= 64


@pytest.mark.parametrize("architecture", [pytest.param("sm_80", marks=pytest.mark.slow), "sm_90"])
def test_nvrtc_compiles_the_moments_and_the_state_in_memory(compiler, architecture):
    _, log = compiler.compile(cuda.source_of(cuda_moments.MOMENTS), cuda_cases.moment_kernels(), architecture)
    assert log.count("bytes stack frame") == len(cuda_cases.moment_kernels())
    sampler = _sampler("gaussian", np.float32, dim=2**20)
    name, _ = sampler.kernel(1, 1, batches=False)
    assert name.endswith("false>")
    compiler.compile(cuda.source_of(cuda_sample.SAMPLE), [name], architecture)


def _sampler(law, real, dim=1024):
    source = cuda_cases.source_of(cuda_cases.Case(law, real, 1, 1, "one"), np.random.default_rng(0))
    return cuda_sample.GpuSampler(source._replace(lam=np.zeros(dim, real)), cuda_cases._Nowhere())


# -- words and laws on the host ----------------------------------------------------------------------------------------

DRAWS = r"""
extern "C" void words(u32 step, u32 replica, u32 blocks, u32 fourth, u32 k0, u32 k1, u32* out) {
    for (u32 block = 0; block < blocks; ++block) {
        const Words words = philox(step, replica, block, fourth, k0, k1);
        for (int w = 0; w < 4; ++w) out[coordinate(int(block), w)] = words.w[w];
    }
}

template <class R, int LAW>
void draws(u32 step, u32 replica, u32 blocks, u32 sample, u32 k0, u32 k1, const u32* threshold, const R* size, R* out) {
    for (u32 block = 0; block < blocks; ++block) {
        u32 limits[4];
        R sizes[4], x[4];
        for (int w = 0; w < 4; ++w) {
            limits[w] = threshold[coordinate(int(block), w)];
            sizes[w] = size[coordinate(int(block), w)];
        }
        draw_block<LAW>(step, replica, block, sample, k0, k1, R(5), limits, sizes, x);
        for (int w = 0; w < 4; ++w) out[coordinate(int(block), w)] = x[w];
    }
}

#define ARGUMENTS(R) u32 s, u32 r, u32 n, u32 b, u32 k0, u32 k1, const u32* t, const R* z, R* out
#define LAW_OF(law)                                                                                     \
    extern "C" void single_##law(ARGUMENTS(float)) { draws<float, law>(s, r, n, b, k0, k1, t, z, out); } \
    extern "C" void double_##law(ARGUMENTS(double)) { draws<double, law>(s, r, n, b, k0, k1, t, z, out); }
LAW_OF(0) LAW_OF(1) LAW_OF(2) LAW_OF(3) LAW_OF(4)

extern "C" void labels(u32 step, u32 replica, u32 sample, u32 k0, u32 k1, double* wide, float* narrow) {
    for (u32 l = 0; l < 64; ++l) {
        wide[l] = label_noise<double>(step + l, replica, sample, k0, k1);
        narrow[l] = label_noise<float>(step + l, replica, sample, k0, k1);
    }
}
extern "C" int row(u32 step, int count, u32 k0, u32 k1) { return draw_row(step, 3, 1, count, k0, k1); }
extern "C" int category(u32 step, const double* cumulative, int count, u32 k0, u32 k1) {
    return draw_category(step, 3, 1, cumulative, count, k0, k1);
}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    if cuda_host.COMPILER is None:
        pytest.skip("no C++ compiler: the CUDA sources can't be run")
    return cuda_host.HostDevice(tmp_path_factory.mktemp("cuda"))


@pytest.fixture(scope="module")
def library(host):
    """The draws above, and every sampler that the cases need, compiled at once."""
    return host.add(cuda_sample.SAMPLE, sorted({cuda_cases.kernel_of(case) for case in CASES}), DRAWS)


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


TILES, STEP, REPLICA, SAMPLE = 5, 2**32 - 3, 77, 9


def test_words_are_the_same_bit_for_bit(library):
    expected, got = np.zeros((2, 256 * TILES), np.uint32)
    fourth = 1 + 8 * SAMPLE
    counters = (np.uint64(STEP), np.uint64(REPLICA), np.uint64(0), np.uint64(TILES), np.uint64(fourth))
    philox.fill_words(*counters, *KEY, expected)
    library.words(ctypes.c_uint(STEP), REPLICA, 64 * TILES, fourth, *map(ctypes.c_uint, map(int, KEY)), pointer(got))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("law", range(5))
def test_laws_are_the_same_up_to_rounding(library, law, real):
    """Within 4 units in the last place of max(|x|, 1): the difference of cos and sin may cancel."""
    n = 256 * TILES
    rng = np.random.default_rng(0)
    threshold, size = rng.integers(0, 2**31, n).astype(np.uint32), rng.uniform(1.0, 3.0, n).astype(real)
    expected, got = np.zeros((2, n), real)
    words, more = np.zeros((2, n), np.uint32)
    u = np.uint64
    laws.draw_strip(
        law, u(STEP), u(REPLICA), u(SAMPLE), u(0), u(TILES), *KEY, words, more, expected, u(0), 5.0, threshold, size
    )
    function = getattr(library, f"{'single' if real is np.float32 else 'double'}_{law}")
    key = [ctypes.c_uint(int(k)) for k in KEY]
    function(ctypes.c_uint(STEP), REPLICA, 64 * TILES, SAMPLE, *key, pointer(threshold), pointer(size), pointer(got))
    assert np.all(np.abs(got - expected) <= 4 * np.finfo(real).eps * np.maximum(np.abs(expected), 1.0))
    assert got.std() > 0.5


def test_label_noise_rows_and_categories(library):
    u = np.uint64
    key = [ctypes.c_uint(int(k)) for k in KEY]
    wide, narrow = np.zeros(64), np.zeros(64, np.float32)
    library.labels(ctypes.c_uint(STEP), REPLICA, SAMPLE, *key, pointer(wide), pointer(narrow))
    for got in (wide, narrow):
        expected = np.zeros_like(got)
        laws.label_noise(u(STEP), u(1), u(REPLICA), u(SAMPLE), u(0), *KEY, expected)
        np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(got.dtype).eps, atol=4 * np.finfo(got.dtype).eps)
    cumulative = np.cumsum(np.random.default_rng(0).dirichlet(np.ones(50)))[:-1]
    drawn = []
    for step in range(200):
        where = (u(step), u(3), u(1))
        assert library.row(step, 1000, *key) == rows.draw_row(*where, 1000, *KEY)
        drawn.append(library.category(step, pointer(cumulative), cumulative.size, *key))
        assert drawn[-1] == rows.draw_category(*where, cumulative, *KEY)
    assert max(drawn) == cumulative.size


# -- whole runs on the host --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("library")
def test_trajectories_are_those_of_the_cpu(host, case, monkeypatch):
    cuda_cases.check_case(case, host, BOUNDS[case.real], monkeypatch)


@pytest.mark.parametrize("dim", [100, 5000, 8000, 40_000])
def test_sizes_of_blocks(host, dim):
    cuda_cases.check_size(dim, host, BOUNDS[np.float32])


def test_the_public_doors(host, monkeypatch):
    monkeypatch.setattr(devices, "missing", lambda: None)
    monkeypatch.setattr(cuda, "CupyDevice", lambda: host)
    cuda_cases.check_doors(steps=60)


@pytest.fixture(scope="module")
def moments(host):
    host.add(cuda_moments.MOMENTS, cuda_cases.moment_kernels())
    return host


def test_moments_are_those_of_the_cpu(moments):
    cuda_cases.check_moments(cuda_cases.moment_jobs(), moments)


def test_moments_in_chunks(moments, monkeypatch):
    """Chunks of 64 steps, the fewest; runs end within them, at different steps."""
    monkeypatch.setattr(cuda_moments, "CHUNK_BYTES", 0)
    cuda_cases.check_moments(cuda_cases.moment_jobs((64, 130)), moments)


def test_moments_in_memory(moments, monkeypatch):
    monkeypatch.setattr(cuda, "shape_of", lambda *_: cuda.Shape(64, 3, False))
    cuda_cases.check_moments(cuda_cases.moment_jobs((40,)), moments)


def test_a_run_that_is_stopped_says_how_far_it_came(moments, monkeypatch):
    monkeypatch.setattr(cuda_moments, "CHUNK_BYTES", 0)
    jobs = cuda_cases.moment_jobs((40, 150))[:8]
    results = cuda_moments.run_moments_gpu(jobs, tick=lambda work: False, device=moments)
    for job, result in zip(jobs, results, strict=True):
        assert result.ended_at in (0, 64, job.method.length) or result.status == "diverged"
        assert result.status == ("done" if result.ended_at == job.method.length else result.status)
        assert np.all(np.isfinite(result.final))
        np.testing.assert_array_equal(np.isnan(result.risk[:, 0, 0]), result.steps > result.ended_at)
    assert {"interrupted", "done"} <= {result.status for result in results}


# -- the shape of a launch ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [12, 16, 40, 96])
def test_shapes_fit_the_registers(words):
    for units in (64, 256, 640, 4096, 2**18):
        roomy = cuda.shape_of(units, words, 64)
        threads, owned, held = roomy or cuda.crowded_shape(units, words)
        assert threads * owned >= units
        assert threads % 32 == 0
        if roomy:
            assert held
            assert owned * words + 64 <= 255
            assert threads * (owned * words + 64) <= cuda.REGISTERS
        else:
            assert units * words > cuda.REGISTERS // 2
            assert held == (threads * -(-units // threads) * words <= 48 * threads)
