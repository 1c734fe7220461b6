"""The sampler against the same ensemble in PyTorch, JAX and NumPy, over threads, and in coordinates drawn a second."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from timing import leasts

import simlab as sl

pytestmark = pytest.mark.benchmark_suite
DIM, REPLICAS, STEPS = 1000, 64, 4000
SIGMA = 0.3


@pytest.fixture(scope="module")
def problem():
    return sl.LinearRegression.power_law(dim=DIM, capacity=1.5, source=1.2, noise_variance=SIGMA**2)


@pytest.fixture(scope="module")
def lr():
    return sl.schedules.wsd(STEPS, peak=0.2, warmup=0.01, cooldown=0.2)


def whitened(problem):
    """lam and the whitened start, single precision, as every peer takes them."""
    lam = problem.eigenvalues.astype(np.float32)
    return lam, np.tile((np.sqrt(problem.eigenvalues) * problem.initial_error).astype(np.float32), (REPLICAS, 1))


def simlab_run(problem, lr, **options):
    options = {"split": False, "record": 2, "replicas": REPLICAS, "dtype": "float32", **options}
    return lambda: float(sl.sample(problem, sl.methods.sgd(lr), **options).total().values[-1])


def torch_run(problem, lr):
    """torch.randn vectorised over replicas; one matrix-vector product and one rank-one update a step."""
    torch = pytest.importorskip("torch", reason="torch is not installed: no peer to compare with")
    lam, start = (torch.from_numpy(a) for a in whitened(problem))
    generator = torch.Generator().manual_seed(0)
    rates = [float(rate) for rate in lr.values()]

    def run():
        z = start.clone()
        with torch.no_grad():
            for rate in rates:
                x = torch.randn(REPLICAS, DIM, generator=generator)
                p = (x * z).sum(1) - SIGMA * torch.randn(REPLICAS, generator=generator)
                x *= lam
                z.addcmul_(x, p[:, None], value=-rate)
        return float(0.5 * (z * z).sum(1).mean())

    return run


def jax_run(problem, lr):
    """A jitted lax.scan; the default generator of JAX."""
    jax = pytest.importorskip("jax", reason="jax is not installed: no peer to compare with")
    jnp = jax.numpy
    lam, start = (jnp.asarray(a) for a in whitened(problem))

    @jax.jit
    def run(z, rates, key):
        def step(state, rate):
            z, key = state
            key, first, second = jax.random.split(key, 3)
            x = jax.random.normal(first, z.shape, jnp.float32)
            p = (x * z).sum(1) - SIGMA * jax.random.normal(second, (REPLICAS,), jnp.float32)
            return (z - rate * p[:, None] * (x * lam), key), None

        z = jax.lax.scan(step, (z, key), rates)[0][0]
        return 0.5 * (z * z).sum(1).mean()

    rates, key = jnp.asarray(lr.values(), jnp.float32), jax.random.key(0)
    return lambda: float(run(start, rates, key).block_until_ready())


def numpy_run(problem, lr, steps=STEPS):
    lam, start = whitened(problem)
    generator = np.random.default_rng(0)
    rates = lr.values()[:steps].astype(np.float32)

    def run():
        z = start.copy()
        for rate in rates:
            x = generator.standard_normal((REPLICAS, DIM), dtype=np.float32)
            p = (x * z).sum(1) - np.float32(SIGMA) * generator.standard_normal(REPLICAS, dtype=np.float32)
            z -= (rate * p)[:, None] * (x * lam)
        return float(0.5 * (z * z).sum(1).mean())

    return run


@pytest.mark.thorough
@pytest.mark.benchmark(group="ensemble of SGD, float32, R = 64, d = 1,000, T = 4,000", warmup=True)
@pytest.mark.parametrize("who", ["simlab", "simlab, one thread", "simlab, bias and variance", "torch", "jax", "numpy"])
def test_ensemble(benchmark, problem, lr, who):
    """All processors for everyone, and the same answer from everyone."""
    if who.startswith("simlab"):
        extra = {"threads": 1} if "one thread" in who else {"split": True} if "bias" in who else {}
        run = simlab_run(problem, lr, **extra)
        answer = benchmark(run)
        if extra == {"threads": 1} and not benchmark.disabled:
            benchmark.extra_info["coordinates a second and thread"] = (
                REPLICAS * DIM * STEPS / benchmark.stats.stats.median
            )
    else:
        run = {"torch": torch_run, "jax": jax_run, "numpy": numpy_run}[who](problem, lr)
        answer = benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    expected = sl.exact(problem, sl.methods.sgd(lr), record=2).total().values[-1]
    assert answer == pytest.approx(expected, rel=0.3)


@pytest.mark.thorough
@pytest.mark.benchmark(group="ensemble of 512 replicas, d = 1,000, T = 4,000, threads for each processor")
@pytest.mark.parametrize("who", ["simlab", "one thread"])
def test_threads(benchmark, problem, lr, who):
    run = simlab_run(problem, lr, replicas=512, threads=1 if who == "one thread" else None)
    benchmark.pedantic(run, rounds=5, warmup_rounds=1)


def test_coordinates_a_second(problem, lr, request):
    """The kernel's rate, printed; cores that share a machine change their clock from one minute to the next."""
    if not request.config.getoption("--benchmark-enable"):
        pytest.skip("a timing: run with --benchmark-enable")
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for name, options in (("float32", {}), ("float64", {"dtype": "float64"})):
        run = simlab_run(problem, lr, replicas=512, **options)
        run()
        best = np.inf
        for _ in range(5):
            began = time.perf_counter()
            run()
            best = min(best, time.perf_counter() - began)
        print(f"\n{name}: {512 * DIM * STEPS / best / 1e9:.2f}e9 coordinate-steps a second on {processors} processors")


@pytest.mark.parametrize("name", ["adam", "adam_low_bit"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adaptive_rows(problem, name, dtype, request):
    """Weights, m and v cost at most twice what SGD's weights do, row by row (1.1 to 1.7 measured)."""
    if not request.config.getoption("--benchmark-enable"):
        pytest.skip("a timing: run with --benchmark-enable")
    lr = sl.schedules.constant(STEPS // 4, 0.01)
    options = {"replicas": 4, "record": 2, "threads": 1, "progress": False, "dtype": dtype}
    sgd, own = leasts(
        lambda: sl.sample(problem, sl.methods.sgd(lr), split=False, **options),
        lambda: sl.sample(problem, getattr(sl.methods, name)(lr), basis="eigen", **options),
    )
    assert own / sgd / 3.0 <= 2.0
