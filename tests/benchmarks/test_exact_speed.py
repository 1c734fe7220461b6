"""The exact engine against jitted JAX and vectorised NumPy doing the same, and against the machine."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import peers
import pytest

import simlab as sl
from simlab.kernels.moments.chunk import advance
from simlab.kernels.moments.layout import NodeArrays

pytestmark = pytest.mark.benchmark_suite
DIM, STEPS = 1000, 100_000


@pytest.fixture(scope="module")
def problem():
    return sl.LinearRegression.power_law(dim=DIM, capacity=1.5, source=1.2, noise_variance=0.1)


@pytest.fixture(scope="module")
def lr():
    return sl.schedules.wsd(STEPS, peak=0.1, warmup=0.01, cooldown=0.2)


@pytest.mark.benchmark(group="SGD, d = 1,000, T = 10^5, bias and variance", warmup=True)
@pytest.mark.parametrize("who", ["simlab", "simlab, 200 records", "jax", "numpy"])
def test_sgd(benchmark, problem, lr, who):
    modes = problem.modes()
    if who.startswith("simlab"):
        record = 2 if who == "simlab" else None
        answer = benchmark(lambda: sl.exact(problem, sl.methods.sgd(lr), record=record, threads=1).total().values[-1])
    elif who == "jax":
        run = peers.jax_sgd(modes.eigenvalues, modes.signal, lr.values(), 0.1)
        answer = benchmark(run)
    else:
        answer = benchmark.pedantic(
            peers.numpy_sgd, (modes.eigenvalues, modes.signal, lr.values(), 0.1), rounds=2, warmup_rounds=0
        )
    expected = sl.exact(problem, sl.methods.sgd(lr), record=2).total().values[-1]
    np.testing.assert_allclose(answer, expected, rtol=1e-9)


@pytest.mark.benchmark(group="heavy ball, d = 1,000, T = 10^5, bias and variance", warmup=True)
@pytest.mark.parametrize("who", ["simlab", "jax, written out", "jax, einsum"])
def test_heavy_ball(benchmark, problem, lr, who):
    method = sl.methods.heavy_ball(lr * 0.1, 0.9)
    modes = problem.modes()
    if who == "simlab":
        answer = benchmark(lambda: sl.exact(problem, method, record=2, threads=1).total().values[-1])
    else:
        maker = peers.jax_heavy_ball if "written" in who else peers.jax_heavy_ball_einsum
        run = maker(modes.eigenvalues, modes.signal, (lr * 0.1).values(), 0.9, 0.1)
        answer = benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    expected = sl.exact(problem, method, record=2).total().values[-1]
    np.testing.assert_allclose(answer, expected, rtol=1e-9)


@pytest.mark.benchmark(group="64 schedules, d = 10,000, T = 10^5, threads for each processor")
@pytest.mark.parametrize("who", ["simlab", "one thread"])
def test_many_schedules(benchmark, who):
    problem = sl.LinearRegression.power_law(dim=10_000, capacity=1.5, source=1.2, noise_variance=0.1)
    base = sl.schedules.cosine(100_000, peak=0.3)
    methods = [sl.methods.sgd(base * c) for c in np.geomspace(0.01, 1.0, 64)]
    benchmark(lambda: sl.exact(problem, methods, record=2, threads=1 if who == "one thread" else None))


@pytest.mark.benchmark(group="compressed d = 10^12, T = 10^6")
@pytest.mark.parametrize("who", ["simlab"])
def test_huge(benchmark, who):
    problem = sl.LinearRegression.power_law(dim=10**12, capacity=1.5, source=1.2, noise_variance=0.1).compress()
    method = sl.methods.sgd(sl.schedules.wsd(1_000_000, peak=0.1, warmup=0.01, cooldown=0.2))
    benchmark(lambda: sl.exact(problem, method, threads=1))


def _stepping(modes, steps, block):
    """(seconds a step of the kernel, nodes with padding), plain or in blocks."""
    nodes = NodeArrays(modes)
    U = np.zeros((2, 1, nodes.lam.size))
    U[0, 0] = nodes.signal
    ones, b = np.ones((steps, 1)), np.full((steps, 1), 0.1)
    slots, labels = np.full(steps, -1), np.zeros(nodes.lam.size, dtype=np.int64)
    ratio = nodes.ratio if block else np.nan
    arrays = (
        nodes.lam,
        nodes.self_noise,
        ratio,
        nodes.drive,
        0.1,
        1.0,
        U,
        np.inf,
        slots,
        labels,
        np.zeros((1, 2, 1)),
        None,
    )
    best = np.inf
    for _ in range(7):
        began = time.perf_counter()
        advance(ones[:, :, None], b, ones, ones, ones[:, 0], *arrays)
        best = min(best, time.perf_counter() - began)
    return best / steps, nodes.lam.size


@pytest.mark.parametrize(
    ("steps", "subspaces"),
    [(10_000, None), (100_000, None), (100_000, sl.subspaces.log_bins(4))],
    ids=["short", "all", "four"],
)
@pytest.mark.parametrize("average", [False, True], ids=["sgd", "ema"])
@pytest.mark.usefixtures("asked_for")
def test_two_hundred_records_cost_little(steps, subspaces, average):
    """1 to 6 % measured; of runs of 10^4 steps, which last 2 to 5 ms, 2 to 9 %, two thirds of it for tables (of four
    subspaces 5 to 11 %).
    """
    problem = sl.LinearRegression.power_law(1000, 1.5, 1.2, 0.5)
    sgd = sl.methods.sgd(sl.schedules.wsd(steps, peak=0.3, warmup=0.01, cooldown=0.2))
    method = sl.methods.ema(sgd, 0.99) if average else sgd
    times = {record: [] for record in (2, 200)}
    for record in [2, 200] * 40:
        began = time.process_time()
        sl.exact(problem, method, record=record, threads=1, progress=False, subspaces=subspaces)
        times[record].append(time.process_time() - began)
    assert min(times[200]) < 1.1 * min(times[2])


@pytest.mark.parametrize("domains", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["sgd", "heavy ball", "ema of heavy ball"])
@pytest.mark.usefixtures("asked_for")
def test_a_mixture(problem, lr, kind, domains):
    """Asked: a pass for each domain and one more, K + 1 times a regression. Measured in docs/speed.md: all met but for
    one domain under an EMA of heavy ball, 2.3 to 2.7 x.

    The first two take their tail many steps at a time, as a regression does; the last steps every direction.
    """
    heavy = sl.methods.heavy_ball(lr * 0.1, 0.9)
    method = {"sgd": sl.methods.sgd(lr), "heavy ball": heavy, "ema of heavy ball": sl.methods.ema(heavy, 0.99)}[kind]
    others = ([1.5, 0.6], 0.5), ([0.7, 1.2], 0.3), ([1.1, 0.8], 0.7), ([0.5, 1.4], 0.2)
    mixture = sl.Mixture([problem, *(problem.shifted(*each) for each in others[: domains - 1])])
    times = {id(each): [] for each in (problem, mixture)}
    for each in [problem, mixture] * 4:
        began = time.process_time()
        sl.exact(each, method, record=2, threads=1, progress=False)
        times[id(each)].append(time.process_time() - began)
    ratio = min(times[id(mixture)]) / min(times[id(problem)])
    print(f"\n{kind}, {domains} domains: {ratio:.1f} x a regression")
    assert ratio < 1.4 * (domains + 1)


@pytest.mark.usefixtures("asked_for")
def test_share_of_the_fma_rate(problem):
    """Plain stepping, k = 1: 7 multiply-adds a mode and step (2 more are additions); the rest of a step is latency."""
    small = sl.LinearRegression.power_law(dim=736, capacity=1.5, source=1.2, noise_variance=0.1)
    seconds, nodes = _stepping(small.modes(), 20_000, block=False)
    rate, peak = 7 * nodes / seconds, peers.fma_rate()
    blocked, _ = _stepping(small.modes(), 20_000, block=True)
    share = f"{rate / 1e9:.1f} of {peak / 1e9:.1f} GFMA/s ({rate / peak:.0%})"
    print(f"\nplain steps: {share}, {seconds * 1e9:.0f} ns a step of {nodes} nodes; in blocks {blocked * 1e9:.0f} ns")


@pytest.mark.usefixtures("asked_for")
def test_denormals_cost_nothing():
    """A noiseless run whose modes have long decayed to nothing steps as fast as one that has just begun."""
    problem = sl.LinearRegression(np.full(512, 1.0), np.ones(512), 0.0, kurtosis=np.linspace(2.0, 2.5, 512))
    lr = sl.schedules.constant(100_000, 0.05)
    times = []
    for steps in (3_000, 100_000):
        method = sl.methods.sgd(lr[:steps], batch=10**6)
        best = np.inf
        for _ in range(5):
            began = time.perf_counter()
            final = float(sl.exact(problem, method, record=2).total()[-1])
            best = min(best, time.perf_counter() - began)
        times.append(best)
    late = (times[1] - times[0]) / 97_000
    print(
        f"\nper step: first 3,000 {times[0] / 3_000 * 1e9:.0f} ns, later, at a risk of {final:.0e}, {late * 1e9:.0f} ns"
    )


@pytest.mark.parametrize(
    "command",
    [["-c", "pass"], ["-c", "import simlab"], ["-m", "simlab", "--help"]],
    ids=["python", "import", "help"],
)
@pytest.mark.benchmark(group="start-up")
def test_start_up(benchmark, command):
    benchmark.pedantic(lambda: subprocess.run([sys.executable, *command], check=True, capture_output=True), rounds=5)
