"""The GPU's kernels against the same ensemble in CuPy arrays, against the processor, and against the chip.

Operations of a coordinate-step of SGD in single precision, counted in the source: of four coordinates,

    Philox          20 wide products, 20 three-way exclusive ors
    two pairs       2 x (31 floating point, 9 integer or logic, 3 conversions): -log 13, angle 9, root 5, the rest 4
    recursion       4 x 5 floating point: c zeta, times x, summed; lam x, times push, M zeta

so 36.5 instructions for one, of which a multiprocessor issues 128 a cycle. What a thread does once per step
(coefficients, sums over the block) and address arithmetic come on top, and wide products may issue at half the rate:
the bound can't be reached.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

import simlab as sl
from simlab import methods, river, schedules
from simlab.engines.gpu import devices

pytestmark = [
    pytest.mark.benchmark_suite,
    pytest.mark.skipif(devices.missing() is not None, reason=f"no GPU: {devices.missing()}"),
]

DIM, REPLICAS, STEPS, SIGMA = 1000, 4096, 4000, 0.3
OPERATIONS = (40 + 2 * 43 + 4 * 5) / 4


@pytest.fixture(scope="module")
def problem():
    return sl.LinearRegression.power_law(dim=DIM, capacity=1.5, source=1.2, noise_variance=SIGMA**2)


@pytest.fixture(scope="module")
def lr():
    return sl.schedules.wsd(STEPS, peak=0.2, warmup=0.01, cooldown=0.2)


def simlab_run(problem, lr, device="gpu", replicas=REPLICAS, **options):
    options = {"split": False, "record": 2, "dtype": "float32", **options}
    return lambda: float(
        sl.sample(problem, sl.methods.sgd(lr), replicas=replicas, device=device, **options).total().values[-1]
    )


def cupy_run(problem, lr):
    """cupy.random, one product, one sum and one update a step."""
    import cupy

    lam = cupy.asarray(problem.eigenvalues, cupy.float32)
    start = cupy.sqrt(lam) * cupy.asarray(problem.initial_error, cupy.float32)
    generator = cupy.random.default_rng(0)
    update = cupy.ElementwiseKernel(
        "float32 x, float32 lam, float32 p, float32 rate", "float32 z", "z -= rate * p * lam * x", "update"
    )

    def run():
        z = cupy.tile(start, (REPLICAS, 1))
        for rate in lr.values():
            x = generator.standard_normal((REPLICAS, DIM), dtype=cupy.float32)
            p = (z * x).sum(1) - np.float32(SIGMA) * generator.standard_normal(REPLICAS, dtype=cupy.float32)
            update(x, lam, p[:, None], np.float32(rate), z)
        return float(0.5 * (z * z).sum(1).mean())

    return run


@pytest.mark.benchmark(group=f"ensemble on a GPU, float32, R = {REPLICAS}, d = {DIM}, T = {STEPS}")
@pytest.mark.parametrize("who", ["simlab", "simlab, bias and variance", "cupy arrays", "simlab on the processor"])
def test_ensemble(benchmark, problem, lr, who):
    rounds = {"rounds": 5, "warmup_rounds": 1}
    if who == "cupy arrays":
        run = cupy_run(problem, lr)
    elif who == "simlab on the processor":
        run, rounds = simlab_run(problem, lr, device="cpu"), {"rounds": 1}
    else:
        run = simlab_run(problem, lr, split="bias" in who)
    answer = benchmark.pedantic(run, **rounds)
    expected = sl.exact(problem, sl.methods.sgd(lr), record=2, device="cpu").total().values[-1]
    assert answer == pytest.approx(expected, rel=0.1)


@pytest.mark.benchmark(group="exact: 1,024 schedules, d = 1,000, T = 10^4")
@pytest.mark.parametrize("who", ["simlab", "simlab on the processor"])
def test_many_schedules(benchmark, problem, who):
    base = sl.schedules.cosine(10_000, peak=0.3)
    methods = [sl.methods.sgd(base * c) for c in np.geomspace(0.01, 1.0, 1024)]
    device = "cpu" if "processor" in who else "gpu"
    benchmark.pedantic(lambda: sl.exact(problem, methods, record=2, device=device), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("dim", [1000, 4096, 16_384, 2**17])
def test_share_of_the_chip(dim, request):
    """Coordinate-steps a second, and how near they come to the instructions that the multiprocessors can issue."""
    if not request.config.getoption("--benchmark-enable"):
        pytest.skip("a timing: run with --benchmark-enable")
    import cupy

    problem = sl.LinearRegression.power_law(dim=dim, capacity=1.5, source=1.2, noise_variance=SIGMA**2)
    steps, replicas = min(20_000, 20_000_000 // dim), max(1056, 2 * REPLICAS * DIM // dim)
    run = simlab_run(problem, sl.schedules.constant(steps, 0.1), replicas=replicas)
    run()
    best = np.inf
    for _ in range(3):
        began = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - began)
    attributes = cupy.cuda.Device().attributes
    issue = attributes["MultiProcessorCount"] * attributes["ClockRate"] * 1e3 * 128
    rate = replicas * dim * steps / best
    share = f"{rate * OPERATIONS / issue:.0%} of the {issue / 1e12:.1f}e12 instructions a second"
    print(f"\nd = {dim}: {rate / 1e9:.0f}e9 coordinate-steps a second, {share}")


@pytest.mark.parametrize("replicas", [1024, 8192, 65_536])
def test_descent_on_the_curved_valley(replicas, request):
    """100,000 steps: gradients a second, and the ratio to the processor, which takes some of the replicas."""
    if not request.config.getoption("--benchmark-enable"):
        pytest.skip("a timing: run with --benchmark-enable")
    valley, noise, steps = river.curved(mu=0.0, slope=0.1), river.noise.isotropic(), 100_000
    rates = {}
    for device, count in (("gpu", replicas), ("cpu", 1024)):

        def run(length, device=device, count=count):
            method = methods.sgd(schedules.constant(length, 0.05))
            began = time.perf_counter()
            trace = sl.descend(valley, method, replicas=count, noise=noise, device=device, record=2, progress=False)
            return trace["river"].values[-1], time.perf_counter() - began

        run(100)
        timed = [run(steps) for _ in range(3)]
        # The river coordinate, of which 1,024 replicas know the mean to 0.5.
        assert timed[0][0] == pytest.approx(444.6, abs=3.0)
        rates[device] = count * steps / min(seconds for _, seconds in timed)
    print(
        f"\n{replicas} replicas: {rates['gpu'] / 1e6:.0f} million gradients a second, "
        f"{rates['gpu'] / rates['cpu']:.1f} x the processor's {rates['cpu'] / 1e6:.0f}"
    )
