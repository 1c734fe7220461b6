"""Runs that the GPU's kernels must do as the CPU's do: walked through on the host compiler and, where there is one, on
a GPU.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

import simlab as sl
from simlab.engines.gpu import cuda
from simlab.engines.gpu import moments as cuda_moments
from simlab.engines.gpu import regression as cuda_sample
from simlab.engines.moments.diagonal import run_diagonal
from simlab.kernels.moments.layout import NodeArrays
from simlab.kernels.random import laws
from simlab.kernels.replicas.trajectories import ADDITIVE, EPOCHS, ONE_HOT, ROWS, Recorder, Source, run_replicas
from simlab.trace.recording import record_steps

# -- sampled trajectories ----------------------------------------------------------------------------------------------

LAWS = {
    "gaussian": laws.GAUSSIAN, "uniform": laws.UNIFORM, "laplace": laws.LAPLACE, "student": laws.STUDENT,
    "three points": laws.THREE_POINT, "rows": ROWS, "epochs": EPOCHS, "one-hot": ONE_HOT, "additive": ADDITIVE,
}  # fmt: skip
BATCHES = {"one": [1], "mixed": [1, 3, 0, 1, 40, 1], "full": [0]}
# Registers with blocks beyond the last, one warp, memory; None: what `shape_of` says.
MASKED, WARP, MEMORY = cuda.Shape(128, 2, True), cuda.Shape(32, 6, True), cuda.Shape(64, 4, False)

DIM, PADDED, REPLICAS, STEPS = 700, 768, 3, 70
KEY = np.uint64(0xDEADBEEF), np.uint64(0x12345678)


class Case(NamedTuple):
    """One run of the samplers: source, precision, k, parts, batches, and the shape of its block."""

    law: str
    real: type
    k: int
    parts: int
    batches: str
    shape: cuda.Shape | None = None
    labels: int = 2
    diverges: bool = False

    def __str__(self):
        shape = "" if self.shape is None else " in memory" if not self.shape.held else f" {self.shape.threads} threads"
        return (
            f"{self.law} {self.real.__name__} k={self.k} parts={self.parts} {self.batches}{shape}"
            f" labels={self.labels}{' diverges' * self.diverges}"
        )


CASES = [
    *(Case("gaussian", real, k, parts, "one") for real in (np.float64, np.float32) for k in (1, 2, 3, 4)
      for parts in (1, 2)),
    *(Case(law, np.float64, 1, 2, batches) for law in LAWS for batches in ("one", "mixed")),
    *(Case(law, np.float32, 2, 1, "one") for law in LAWS),
    Case("gaussian", np.float64, 3, 2, "mixed"),
    Case("gaussian", np.float32, 4, 1, "mixed"),
    Case("gaussian", np.float64, 2, 2, "full"),
    Case("epochs", np.float32, 1, 1, "mixed"),
    *(Case("three points", np.float64, 2, 2, "mixed", shape) for shape in (MASKED, WARP, MEMORY)),
    *(Case("epochs", np.float64, 1, 1, "mixed", shape) for shape in (MASKED, WARP, MEMORY)),
    *(Case("one-hot", np.float64, 1, 2, "one", shape) for shape in (MASKED, WARP, MEMORY)),
    *(Case("additive", np.float64, 1, 2, "mixed", shape) for shape in (MASKED, WARP, MEMORY)),
    Case("gaussian", np.float64, 2, 2, "one", MASKED, labels=1),
    Case("gaussian", np.float64, 2, 2, "one", MASKED, labels=90),
    Case("gaussian", np.float64, 1, 2, "one", diverges=True),
    Case("gaussian", np.float64, 2, 1, "mixed", MEMORY, diverges=True),
]  # fmt: skip


def source_of(case, rng):
    """A spectrum and everything that any law may ask for."""
    spectrum = np.arange(1.0, DIM + 1) ** -1.5
    chances = spectrum / spectrum.sum()
    rows = np.zeros((45, PADDED))
    rows[:, :DIM] = rng.choice([-1.0, 1.0], (45, DIM))
    kurtosis = rng.uniform(1.5, 6.0, DIM)
    threshold = np.zeros(PADDED, np.uint32)
    threshold[:DIM] = 2.0**31 / kurtosis
    size = np.zeros(PADDED)
    size[:DIM] = {"one-hot": chances**-0.5, "additive": rng.uniform(0.1, 0.3, DIM)}.get(case.law, kurtosis**0.5)
    lam = np.zeros(PADDED)
    lam[:DIM] = chances if case.law == "one-hot" else spectrum
    real = case.real
    # The last probability is left out, so that some draws lie beyond all.
    return Source(
        LAWS[case.law], lam.astype(real), 0.3, 9.0, threshold, size.astype(real), rows.astype(real),
        rng.normal(0.0, 0.3, 45).astype(real), np.cumsum(chances)[:-1],
    )  # fmt: skip


def methods_of(case, rng):
    """M, b, c, o of STEPS steps: arrays that change at every step, mildly contracting (or not at all)."""
    k, n = case.k, STEPS
    M = 0.6 * np.eye(k) + 0.3 * rng.uniform(-1.0, 1.0, (n, k, k)) / k
    b = rng.uniform(0.0, 12.0 if case.diverges else 0.15, (n, k))
    return M, b, rng.uniform(0.0, 1.0, (n, k)), rng.uniform(0.2, 1.0, (n + 1, k))


def keep_of(case, slots, records):
    edges = np.unique(np.linspace(0, DIM, 4 if case.labels < 3 else case.labels + 1).astype(np.int64))
    label = np.arange(edges.size - 1) % case.labels
    watched = np.array([0, 5, 255, 256, DIM - 1])
    components = 3 if case.parts == 2 else 1
    return Recorder(
        slots, edges[:-1], edges[1:], label, np.zeros((records, REPLICAS, components, case.labels)), watched,
        np.linspace(1.0, 2.0, watched.size), np.zeros((records, REPLICAS, watched.size)), 1e6,
        np.full(REPLICAS, -1),
    )  # fmt: skip


def chunks_of(case):
    """(source, start state, chunks): each chunk (Recorder arguments, first step, coefficients) of a run cut in two."""
    rng = np.random.default_rng(len(case.law) + 10 * case.k)
    source = source_of(case, rng)
    z = np.zeros((REPLICAS, case.parts * case.k, PADDED), case.real)
    z[:, : case.k, :DIM] = rng.normal(size=(REPLICAS, case.k, DIM)) * np.sqrt(source.lam[:DIM])
    M, b, c, o = methods_of(case, rng)
    batch = np.resize(BATCHES[case.batches], STEPS).astype(np.int64)
    chunks = []
    serial = 17
    for begin, end in ((0, 31), (31, STEPS)):
        slots = np.full(end - begin + 1, -1)
        wanted = [t - begin for t in (0, 1, 9, 31, 50, STEPS) if begin < t <= end or t == begin == 0]
        slots[wanted] = np.arange(len(wanted))
        steps = slice(begin, end)
        arrays = (M[steps], b[steps], c[steps], o[begin : end + 1], batch[steps])
        chunks.append((keep_of(case, slots, len(wanted)), 1000 + begin, arrays, serial))
        serial += int(batch[steps].sum())
    return source, z, chunks


def kernel_of(case):
    """The name of the kernel that a case needs."""
    with pytest.MonkeyPatch.context() as patch:
        if case.shape is not None:
            patch.setattr(cuda, "shape_of", lambda *_: case.shape)
        source, _, _ = chunks_of(case)
        sampler = cuda_sample.GpuSampler(source, device=_Nowhere())
        batches = case.law != "additive" and case.batches != "one"
        return sampler.kernel(case.k, case.parts, batches)[0]


class _Nowhere:
    def put(self, array):
        return array


def check_case(case, device, bound, monkeypatch):
    """Both samplers through two chunks, the first of which leaves out the first replica: same records, same state."""
    if case.shape is not None:
        monkeypatch.setattr(cuda, "shape_of", lambda *_: case.shape)
    source, z, chunks = chunks_of(case)
    ended = np.full(REPLICAS, -1)
    expected_ended = ended.copy()
    sampler = cuda_sample.GpuSampler(source, device)
    noise_part = case.parts - 1
    on_device = sampler.upload(z)
    for begin, (keep, t0, arrays, serial) in zip((1, 0), chunks, strict=True):
        mine = keep._replace(risk=keep.risk.copy(), path=keep.path.copy(), ended=ended)
        keep = keep._replace(ended=expected_ended)
        head, tail = (begin, REPLICAS, 40, t0), (serial, *KEY, case.parts, noise_part)
        with np.errstate(all="ignore"):
            run_replicas(source, keep, *head, *arrays, *tail, z)
        sampler.run(mine, *head, *arrays, *tail, on_device)
        np.testing.assert_array_equal(ended, expected_ended)
        np.testing.assert_array_equal(np.isfinite(mine.risk), np.isfinite(keep.risk))
        scale = np.max(np.abs(keep.risk), where=np.isfinite(keep.risk), initial=1e-3)
        np.testing.assert_allclose(mine.risk, keep.risk, rtol=bound, atol=bound * scale)
        np.testing.assert_allclose(mine.path, keep.path, rtol=bound, atol=bound * max(1.0, scale**0.5))
    alive = ended < 0
    assert np.any(~alive) == case.diverges
    got, expected = sampler.download(on_device)[alive], z[alive]
    np.testing.assert_allclose(got, expected, rtol=bound, atol=bound * np.abs(z[alive]).max(initial=1.0))


def check_size(dim, device, bound):
    """SGD with momentum in single precision on so many coordinates: from one warp to a state in memory."""
    real, padded = np.float32, -(-dim // 256) * 256
    lam = np.zeros(padded, real)
    lam[:dim] = np.arange(1.0, dim + 1) ** -1.5
    nothing = np.zeros((1, padded), real)
    source = Source(
        laws.GAUSSIAN, lam, 0.3, 5.0, np.zeros(padded, np.uint32), nothing[0], nothing, nothing[0, :1], np.zeros(0)
    )
    n, replicas = 20, 2
    ones = np.ones(n)
    M, b, c = ones[:, None, None] * [[1.0, 0.8], [0.0, 0.8]], 0.1 * ones[:, None] * [1.0, 1.0], ones[:, None] * [1.0, 0]
    z = np.zeros((replicas, 4, padded), real)
    z[:, 0, :dim] = np.sqrt(lam[:dim])
    slots = np.full(n + 1, -1)
    slots[[0, n]] = 0, 1
    keeps = [
        Recorder(
            slots, np.array([0, 9]), np.array([9, dim]), np.array([0, 1]), np.zeros((2, replicas, 3, 2)),
            np.array([0, dim - 1]), np.ones(2), np.zeros((2, replicas, 2)), 1e9, np.full(replicas, -1),
        )
        for _ in range(2)
    ]  # fmt: skip
    head = (0, replicas, 0, 0, M, b, c, np.ones((n + 1, 1)) * [1.0, 0.0], np.ones(n, np.int64), 0, *KEY, 2, 1)
    sampler = cuda_sample.GpuSampler(source, device)
    on_device = sampler.upload(z)
    run_replicas(source, keeps[0], *head, z)
    sampler.run(keeps[1], *head, on_device)
    for got, expected in ((keeps[1].risk, keeps[0].risk), (keeps[1].path, keeps[0].path)):
        np.testing.assert_allclose(got, expected, rtol=bound, atol=bound * np.abs(expected).max())
    np.testing.assert_allclose(sampler.download(on_device), z, rtol=bound, atol=bound * np.abs(z).max())


def check_doors(steps):
    """device="gpu" answers as device="cpu" does."""
    problem = sl.LinearRegression.power_law(500, 1.5, 1.2, 0.1)
    lr = sl.schedules.wsd(steps, peak=0.1, warmup=0.1, cooldown=0.2)
    methods = [sl.methods.sgd(lr), sl.methods.heavy_ball(lr * 0.1, 0.9)]
    exact = [sl.exact(problem, methods, subspaces="log_bins(3)", device=name).risk.values for name in ("cpu", "gpu")]
    np.testing.assert_allclose(exact[1], exact[0], rtol=1e-11)
    options = {"replicas": 3, "dtype": "float64", "seed": 3, "coordinates": [1, 7], "record": 5}
    sampled = [sl.sample(problem, methods[0], device=name, **options).dataset for name in ("cpu", "gpu")]
    for name in ("risk", "trajectory", "risk_quantile"):
        np.testing.assert_allclose(sampled[1][name], sampled[0][name], rtol=1e-9, atol=1e-12)


BOUNDS = {np.float64: 1e-12, np.float32: 3e-6}
"""Relative to the largest of a run. The recursions contract, so that roundings do not grow; sums go in other orders."""


# -- exact moments -----------------------------------------------------------------------------------------------------


def moment_jobs(lengths=(100, 61)):
    """Runs of k = 1 .. 4 on two problems, of different length, with few and many labels, one of them diverging."""
    problems = [
        sl.LinearRegression.power_law(300, 1.5, 1.2, 0.1),
        sl.LinearRegression(np.linspace(2.0, 0.1, 40), np.ones(40), 0.3, kurtosis=np.linspace(1.0, 5.0, 40)),
    ]
    jobs = []
    for number, problem in enumerate(problems):
        nodes = NodeArrays(problem.modes())
        for length in lengths:
            lr = sl.schedules.wsd(length, peak=0.3, warmup=0.1, cooldown=0.3)
            heavy = sl.methods.heavy_ball(lr * 0.2, sl.schedules.linear(length, 0.9, floor=0.5), batch=2)
            methods = [
                sl.methods.sgd(lr),
                sl.methods.sgd(lr, batch=3),
                heavy,
                sl.methods.ema(heavy, 0.9),
                sl.methods.ema(sl.methods.average(heavy), 0.8),
                sl.methods.sgd(lr * 40.0),
            ]
            for j, method in enumerate(methods):
                count = (1, 3, nodes.size)[(j + number) % 3]
                labels = np.arange(nodes.size) * 7 % count
                steps = record_steps((None, 4, "all")[j % 3], length)
                jobs.append(cuda_moments.MomentJob(nodes, method, steps, labels, count))
    return jobs


def moment_kernels():
    """The names of the kernels that `moment_jobs` needs, and of those that keep their state in memory."""
    names = set()
    for job in moment_jobs():
        for shape in (cuda_moments._moment_shape(job), cuda.Shape(64, 1, False)):
            flag = "true" if shape.held else "false"
            names.add(f"run_moments<{job.method.state_size}, {shape.threads}, {shape.owned}, {flag}>")
    return sorted(names)


def check_moments(jobs, device):
    """Every run as `run_diagonal` returns it, to 1e-11."""
    for job, got in zip(jobs, cuda_moments.run_moments_gpu(jobs, device=device), strict=True):
        expected = run_diagonal(job.nodes, job.method, job.steps, job.labels, job.label_count)
        assert (got.status, got.ended_at, got.components) == (expected.status, expected.ended_at, expected.components)
        np.testing.assert_array_equal(got.steps, expected.steps)
        np.testing.assert_array_equal(got.training_time, expected.training_time)
        np.testing.assert_allclose(got.risk, expected.risk, rtol=1e-11, atol=1e-280)
        np.testing.assert_allclose(got.final, expected.final, rtol=1e-11, atol=1e-280)
