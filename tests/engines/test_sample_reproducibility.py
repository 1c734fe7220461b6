"""The bits of a sampled run: the same for any threads, blocks, chunks and company, and after any interruption."""

from __future__ import annotations

import contextlib
import signal
import threading

import numpy as np
import pytest

import simlab as sl
from simlab import methods
from simlab.engines.replicas import march, regression
from simlab.kernels.replicas import trajectories
from simlab.schedules import constant, from_array, linear
from tests.oracles.method_zoo import ZOO

LAM = np.array([1.0, 0.61, 0.35, 0.08, 0.011])
ERROR = np.array([0.7, -1.2, 0.4, 2.5, -3.0])
REGRESSION = sl.LinearRegression(LAM, ERROR, 0.3)
WIDE = sl.LinearRegression.power_law(300, 1.5, 1.2, 0.3, kurtosis=4.0)
ONE_HOT = sl.LinearRegression.one_hot([0.4, 0.3, 0.15, 0.1], ERROR[:4], 0.3)
ADDITIVE = sl.NoisyQuadratic(LAM, ERROR, 0.2 * LAM)
ROWS = sl.EmpiricalRegression(np.random.default_rng(1).standard_normal((7, 3)), np.arange(7.0) - 2.5)

STEPS = 150
LR, MOMENTUM = linear(STEPS, peak=0.2, warmup=10), linear(STEPS, peak=0.9)
BATCHES = from_array(np.resize([1.0, 2.0, 1.0, 1.0, 70.0, 1.0, 3.0], STEPS))
HEAVY_BALL = methods.heavy_ball(LR, MOMENTUM)


def moving_look():
    """Grows past the limit before step 64, when it would be found out, and hides it from there on."""
    c = np.ones((STEPS, 1))
    c[64:] = 1e-9
    return methods.generic([[1.2]], [1e-6], c, [1.0], steps=STEPS)


# name -> (problem, method, what else is given to sample)
CASES = {
    "k = 1": (REGRESSION, ZOO["sgd"](LR, MOMENTUM, 1), {}),
    "k = 2, batches, wide": (WIDE, ZOO["nesterov"](LR * 0.3, MOMENTUM, BATCHES), {"law": "student_t"}),
    "k = 3, one trajectory": (REGRESSION, ZOO["generic_moving"](LR, MOMENTUM, 2), {"split": False}),
    "k = 4, double": (REGRESSION, ZOO["average_of_average"](LR, MOMENTUM, 1), {"dtype": "float64"}),
    "rows": (ROWS, ZOO["sgd"](LR * 0.1, MOMENTUM, 3), {"dtype": "float64"}),
    "epochs": (ROWS, ZOO["heavy_ball"](LR * 0.1, MOMENTUM, BATCHES), {"law": "epochs"}),
    "one-hot": (ONE_HOT, ZOO["asgd"](LR, MOMENTUM, 1), {"split": False, "dtype": "float64"}),
    "additive": (ADDITIVE, ZOO["ema_of_decay"](LR, MOMENTUM, 3), {}),
    "uniform": (sl.LinearRegression(LAM, ERROR, 0.3, 1.8), ZOO["qhm"](LR, MOMENTUM, 2), {}),
    # Replicas are looked at every 64 steps, which is where chunks of 64 and of 32 end.
    "diverging": (sl.LinearRegression([1.0], 1.0, 0.1), methods.sgd(constant(STEPS, 2.3)), {"record": [64, 128]}),
    "moving look": (sl.LinearRegression([1.0], 1.0, 0.1), moving_look(), {"record": [100]}),
}

# (threads, block, steps of a chunk, work of a chunk)
CUTS = [
    (2, None, None, None),
    (8, None, 64, None),
    (1, 1, None, None),
    (8, 1, 50, None),
    (2, 7, 1, None),
    (8, 7, None, 20_000),
    (1, None, None, 20_000),
    (1, 7, 32, None),
]


def take(problem, method, **options):
    return sl.sample(problem, method, **({"device": "cpu", "replicas": 23, "seed": 2**33 + 5, "threads": 1} | options))


def assert_same_bits(got, want):
    assert set(got.dataset.variables) == set(want.dataset.variables)
    assert got.dataset.attrs == want.dataset.attrs
    for name, variable in want.dataset.variables.items():
        assert got.dataset[name].dims == variable.dims
        assert got.dataset[name].dtype == variable.dtype
        np.testing.assert_array_equal(got.dataset[name].values, variable.values, err_msg=name)


class Interrupt:
    """A progress callable that is Ctrl-C once so much work is done."""

    def __init__(self, at):
        self.at, self.seen = at, []

    def __call__(self, done, total):
        self.seen.append(done)
        if done >= self.at:
            raise KeyboardInterrupt


# -- how the work is cut ----------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("case", CASES)
def test_threads_blocks_and_chunks_change_no_bit(case, monkeypatch):
    problem, method, options = CASES[case]
    options = {"coordinates": [1], "subspaces": "log_bins(2)", **options}
    whole = take(problem, method, **options)
    assert np.ptp(whole.dataset["total_quantile"].values[-1]) > 0.0 or case == "diverging", "nothing was random"
    usual = march.MAX_CHUNK, regression.CHUNK_WORK
    for threads, block, steps, work in CUTS:
        monkeypatch.setattr(march, "MAX_CHUNK", steps or usual[0])
        monkeypatch.setattr(regression, "CHUNK_WORK", work or usual[1])
        calls = Interrupt(np.inf)
        cut = take(problem, method, threads=threads, block=block, progress=calls, **options)
        assert len(calls.seen) > 2 or not (block or steps or work), "the run was not cut"
        assert_same_bits(cut, whole)


@pytest.mark.parametrize("case", ["k = 1", "k = 2, batches, wide", "epochs", "additive"])
def test_more_replicas_only_add(case):
    problem, method, options = CASES[case]
    few, many = (take(problem, method, replicas=n, coordinates=[1, 3], **options).dataset for n in (10, 20))
    np.testing.assert_array_equal(few["trajectory"].values, many["trajectory"].values[:, :10])
    last = many["trajectory"].values[-1, :, 0]
    assert np.unique(last).size == 20, "replicas are not independent"


def test_runs_of_one_call_see_the_draws_that_they_see_alone():
    """Common random numbers: one method under two names takes one path; each takes that of a call of its own."""
    several = {"a": HEAVY_BALL, "short": methods.sgd(LR[:40], 2), "b": HEAVY_BALL}
    together = take(REGRESSION, several, coordinates=[1, 2], record="all").dataset
    np.testing.assert_array_equal(together["trajectory"].sel(run="a"), together["trajectory"].sel(run="b"))
    for name, method in several.items():
        alone = take(REGRESSION, method, coordinates=[1, 2], record="all").dataset
        mine = together.sel(run=name, step=alone["step"])
        for variable in ("risk", "trajectory", "standard_error", "total_quantile", "risk_error"):
            np.testing.assert_array_equal(mine[variable].values, alone[variable].values, err_msg=variable)


def test_common_draws_make_differences_precise():
    """Rates 1 % apart: the difference of two runs of one call spreads far less than that of runs of two seeds."""
    near = [methods.sgd(constant(STEPS, 0.05)), methods.sgd(constant(STEPS, 0.0505))]
    one = take(REGRESSION, near, coordinates=[1])
    other = take(REGRESSION, near[1], coordinates=[1], seed=1)
    first, second = one.dataset["trajectory"].values[:, -1, :, 0]
    assert np.std(first - second) < 0.1 * np.std(first - other.dataset["trajectory"].values[-1, :, 0])


def test_seeds_differ():
    """Also those that agree in one of their 32-bit halves."""
    last = [
        take(REGRESSION, HEAVY_BALL, seed=seed, coordinates=[1]).dataset["trajectory"].values[-1, :, 0]
        for seed in (0, 1, 2**32, 2**32 + 1, 2**64 - 1)
    ]
    assert np.unique(np.concatenate(last)).size == 5 * 23


def test_generators_of_numpy_are_neither_read_nor_moved():
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = take(REGRESSION, HEAVY_BALL)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert_same_bits(take(REGRESSION, HEAVY_BALL), first)


# -- interruption -----------------------------------------------------------------------------------------------------


def test_an_interrupted_run_ends_where_it_was_interrupted(monkeypatch):
    monkeypatch.setattr(march, "MAX_CHUNK", 10)
    options = {"record": "all", "coordinates": [2]}
    whole = take(REGRESSION, HEAVY_BALL, **options).dataset
    trace = take(REGRESSION, HEAVY_BALL, progress=Interrupt(70 * 23), **options)
    assert (trace.status.item(), int(trace.dataset["ended_at"])) == ("interrupted", 69)
    np.testing.assert_array_equal(trace.dataset["replicas"].values, np.full(70, 23.0))
    for name in ("risk", "standard_error", "total_quantile", "trajectory", "k_star"):
        np.testing.assert_array_equal(trace.dataset[name].values, whole[name].values[:70])


def test_an_interrupted_block_counts_its_replicas_no_further(monkeypatch):
    """Eleven replicas by fours, stopped at step 70 of the second four: eight count up to there, then four."""
    monkeypatch.setattr(march, "MAX_CHUNK", 10)
    four, eight = (take(REGRESSION, HEAVY_BALL, replicas=n, record="all").dataset for n in (4, 8))
    stop = Interrupt(4 * (STEPS + 70))
    data = take(REGRESSION, HEAVY_BALL, replicas=11, block=4, record="all", progress=stop).dataset
    assert (data["status"].item(), int(data["ended_at"])) == ("interrupted", STEPS)
    np.testing.assert_array_equal(data["replicas"].values, np.repeat([8.0, 4.0], [70, STEPS - 69]))
    for name in ("risk", "standard_error", "risk_error", "total_quantile"):
        np.testing.assert_array_equal(data[name].values[:70], eight[name].values[:70], err_msg=name)
        np.testing.assert_array_equal(data[name].values[70:], four[name].values[70:], err_msg=name)


def test_an_interrupted_call_drops_the_runs_it_did_not_begin(monkeypatch):
    """And what the run in motion did not reach is NaN where other runs have records."""
    monkeypatch.setattr(march, "MAX_CHUNK", 10)
    runs = {"a": HEAVY_BALL, "b": methods.sgd(LR), "c": methods.sgd(LR)}
    data = take(REGRESSION, runs, record="all", progress=Interrupt(23 * (STEPS + 40))).dataset
    assert list(data["run"].values) == ["a", "b"]
    assert list(data["status"].values) == ["done", "interrupted"]
    assert list(data["ended_at"].values) == [STEPS, 39]
    stopped = data.sel(run="b")
    assert np.all(np.isfinite(stopped["risk"].values[:40]))
    assert np.all(np.isnan(stopped["risk"].values[40:]))
    np.testing.assert_array_equal(stopped["replicas"].values, np.repeat([23.0, 0.0], [40, STEPS - 39]))


def test_an_interrupt_while_the_kernel_is_compiled_is_heard(monkeypatch):
    """It is compiled by the thread that hears Ctrl-C, on a call for no replicas."""

    def compiling(source, keep, begin, end, *rest):
        assert begin == end == 0, "replicas were run all the same"
        assert threading.current_thread() is threading.main_thread()
        raise KeyboardInterrupt

    monkeypatch.setattr(trajectories, "run_replicas", compiling)
    trace = take(REGRESSION, HEAVY_BALL)
    assert (trace.status.item(), int(trace.dataset["ended_at"])) == ("interrupted", 0)


def test_an_interrupt_that_the_compiler_swallows_is_heard(monkeypatch):
    """LLVM calls back into Python, and an exception raised there is lost."""

    def compiling(source, keep, begin, end, *rest):
        assert begin == end == 0, "replicas were run all the same"
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(trajectories, "run_replicas", compiling)
    assert take(REGRESSION, HEAVY_BALL).status.item() == "interrupted"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_in_the_last_chunk_of_a_run_stops_those_after_it(monkeypatch):
    pieces = march.run_pieces
    monkeypatch.setattr(march, "run_pieces", lambda *arguments: pieces(*arguments) or True)
    trace = take(REGRESSION, {"a": HEAVY_BALL, "b": HEAVY_BALL, "c": HEAVY_BALL})
    assert list(trace.status.values) == ["done", "interrupted"]
    assert list(trace.dataset["ended_at"].values) == [STEPS, 0]


def test_an_interrupt_before_the_first_step_is_heard():
    stop = Interrupt(0)
    trace = take(REGRESSION, HEAVY_BALL, progress=stop)
    assert (trace.status.item(), int(trace.dataset["ended_at"]), stop.seen) == ("interrupted", 0, [0])


def test_errors_in_a_progress_callable_are_not_swallowed():
    def broken(done, total):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        take(REGRESSION, HEAVY_BALL, progress=broken)


@pytest.mark.thorough
@pytest.mark.parametrize("block", [None, 4])
@pytest.mark.parametrize("case", ["k = 2, batches, wide", "k = 4, double", "epochs", "diverging", "two methods"])
def test_resumption_ends_with_the_same_bits(case, block, tmp_path):
    """Interrupted at four places, each time resumed with other threads and blocks; label windows and epochs go on."""
    several = case == "two methods"
    problem, method, options = CASES["k = 1" if several else case]
    options = options | {"replicas": 11, "coordinates": [1]}
    runs = [method, HEAVY_BALL] if several else method
    whole = take(problem, runs, **options)
    reached = 0
    for share, threads in [(0.1, 2), (0.35, 1), (0.55, 8), (0.9, 2)]:
        stop = Interrupt(share * 11 * STEPS * (2 if several else 1))
        part = take(problem, runs, checkpoint=tmp_path, every=9, threads=threads, block=block, progress=stop,
                    **options)  # fmt: skip
        assert np.atleast_1d(part.status.values)[-1] == "interrupted"
        assert reached in stop.seen[:2], "it does not go on from where it was"
        reached = stop.seen[-1]
    assert_same_bits(take(problem, runs, checkpoint=tmp_path, block=3, **options), whole)


def test_a_finished_run_is_not_run_again(tmp_path):
    both = [HEAVY_BALL, methods.sgd(LR)]
    first = take(REGRESSION, both, checkpoint=tmp_path)
    seen = []
    again = take(REGRESSION, both, checkpoint=tmp_path, progress=lambda *now: seen.append(now))
    assert_same_bits(again, first)
    assert seen == [(23 * STEPS, 2 * 23 * STEPS), (2 * 23 * STEPS, 2 * 23 * STEPS)]


def test_other_quantiles_of_a_finished_run(tmp_path):
    """What is derived from the same trajectories is no other run."""
    take(REGRESSION, HEAVY_BALL, checkpoint=tmp_path)
    again = take(REGRESSION, HEAVY_BALL, checkpoint=tmp_path, quantiles=[0.3, 1.0])
    assert_same_bits(again, take(REGRESSION, HEAVY_BALL, quantiles=[0.3, 1.0]))
