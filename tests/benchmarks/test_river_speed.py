"""Stochastic descent on the two-dimensional curved valley against a jitted JAX scan, and in gradients a second."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from simlab import methods, river, schedules
from simlab.engines.descend import descend

pytestmark = pytest.mark.benchmark_suite
REPLICAS, STEPS, LR = 1024, 100_000, 0.05
PEER_STEPS = 5_000


def simlab_run(steps, **options):
    valley, noise = river.curved(mu=0.0, slope=0.1), river.noise.isotropic()
    method = methods.sgd(schedules.constant(steps, LR))
    options = {"replicas": REPLICAS, "noise": noise, "record": 2} | options
    return lambda: float(descend(valley, method, **options)["river"].values[-1])


def jax_run(steps, precision):
    """A jitted lax.scan over steps, replicas side by side, the default generator of JAX."""
    jax = pytest.importorskip("jax", reason="jax is not installed: no peer to compare with")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    real = jnp.dtype(precision)
    slope, lam, k = (real.type(v) for v in (0.1, 10.0, 0.5))

    @jax.jit
    def run(w, rates, key):
        def step(state, rate):
            w, key = state
            key, sub = jax.random.split(key)
            steep = lam * (w[1] - jnp.sin(k * w[0]))
            g = jnp.stack([-slope - steep * k * jnp.cos(k * w[0]), steep])
            return (w - rate * (g - jax.random.normal(sub, w.shape, real)), key), None

        return jax.lax.scan(step, (w, key), rates)[0][0][0].mean()

    start, rates, key = jnp.zeros((2, REPLICAS), real), jnp.full(steps, LR, real), jax.random.key(0)
    return lambda: float(run(start, rates, key).block_until_ready())


@pytest.mark.benchmark(group=f"curved valley, R = {REPLICAS}, T = {PEER_STEPS}", warmup=True, min_rounds=3, max_time=5)
@pytest.mark.parametrize("who", ["simlab", "simlab, one thread", "jax", "jax, float32"])
def test_curved_valley(benchmark, who):
    """All processors for everyone (but "one thread"); all come equally far down the river."""
    if who.startswith("simlab"):
        run = simlab_run(PEER_STEPS, **({"threads": 1} if "one thread" in who else {}))
    else:
        run = jax_run(PEER_STEPS, "float32" if "32" in who else "float64")
    # x after 5,000 steps: 22.1, of which 1,024 replicas know the mean to 0.1.
    assert benchmark(run) == pytest.approx(22.1, abs=0.7)


def test_speed(request):
    """100,000 steps of 1,024 replicas under 2 s on two processors, and at least 5 times as fast as JAX in the same run.

    Asserted loosely, for the machine may be shared: 4 s, and the ratio as it stands.
    """
    if not request.config.getoption("--benchmark-enable"):
        pytest.skip("a timing: run with --benchmark-enable")
    run = simlab_run(STEPS)
    simlab_run(100)()
    best = min(_seconds(run) for _ in range(3))
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rate = REPLICAS * STEPS / best / 1e6
    print(f"\n{STEPS} steps x {REPLICAS} replicas: {best:.2f} s, {rate:.0f} million gradients a second, {count} cores")
    for precision in ("float64", "float32"):
        peer = jax_run(PEER_STEPS, precision)
        peer()
        ratio = min(_seconds(peer) for _ in range(3)) * STEPS / PEER_STEPS / best
        print(f"jax scan in {precision}: {ratio:.1f} x as long")
        assert ratio >= 5.0
    assert best < 4.0


def _seconds(run):
    began = time.perf_counter()
    assert np.isfinite(run())
    return time.perf_counter() - began
