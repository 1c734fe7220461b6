"""The long engine against exact steps: what it reports holds, and kinds of run that it must tell or refuse."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

import simlab as sl
from simlab.engines.long import Course, march
from simlab.engines.moments.collocated import Answer, March, relative_error
from simlab.engines.moments.diagonal import run_diagonal
from simlab.errors import InputError
from simlab.kernels.moments.attempts import LOW
from simlab.kernels.moments.discrepancy import LEAST_SHARE
from simlab.kernels.moments.layout import NodeArrays
from simlab.methods.base import Method
from simlab.trace.recording import RunResult
from tests.oracles.method_zoo import ZOO

S, M = sl.schedules, sl.methods
LABELS = 3


class Case(NamedTuple):
    problem: sl.LinearRegression | sl.NoisyQuadratic
    method: Method


def a_schedule(rng: np.random.Generator, steps: int, peak: float) -> S.Schedule:
    warmup = float(rng.choice([0.0, 0.01, 0.1]))
    makers = [
        lambda: S.constant(steps, peak, warmup=warmup),
        lambda: S.wsd(steps, peak, warmup=warmup, cooldown=float(rng.uniform(0.05, 0.5)), shape="1-sqrt"),
        lambda: S.wsd_s(steps, peak, budgets=[0.3, 0.6], warmup=warmup),
        lambda: S.cosine(steps, peak, warmup=warmup, floor=0.1),
        lambda: S.linear(steps, peak, warmup=warmup),
        lambda: S.exponential(steps, peak, floor=0.01),
        lambda: S.rex(steps, peak),
        lambda: S.sgdr(steps, peak, period=float(rng.uniform(0.05, 0.3))),
        lambda: S.join(S.constant(steps // 2, peak), S.constant(steps - steps // 2, peak / 5)),
        lambda: S.cosine(steps, 1.5 * peak).clip(0.1 * peak, peak),
        lambda: S.one_cycle(steps, peak),
    ]
    return makers[rng.integers(len(makers))]()


def a_case(seed: int, steps: int) -> Case:
    """Weighted towards heavy ball, whose transients are what a panel misses first."""
    rng = np.random.default_rng(seed)
    noise, kurtosis = float(rng.choice([0.0, 0.01, 1.0])), float(rng.choice([1.0, 3.0, 9.0]))
    if rng.random() < 0.7:
        problem = sl.LinearRegression.power_law(
            60, float(rng.uniform(1.05, 2.5)), float(rng.uniform(1.05, 3.0)), noise, kurtosis
        )
    else:
        lam = np.sort(10.0 ** rng.uniform(-5.0, 0.0, 40))[::-1].copy()
        problem = sl.LinearRegression(lam, rng.standard_normal(40), noise_variance=noise, kurtosis=kurtosis)
    batch, beta = float(rng.choice([1, 4, 64])), float(rng.choice([0.5, 0.9, 0.97]))
    critical = sl.stability(problem, M.sgd(S.constant(10, 0.1), batch)).critical_lr
    peak = critical * float(10.0 ** rng.uniform(-2.0, -0.1))
    lr = a_schedule(rng, steps, peak)
    slow = lr * (1.0 - beta)
    forget = float(10.0 ** rng.uniform(-3.0, -1.0))
    makers = [
        lambda: M.sgd(lr, batch),
        lambda: M.heavy_ball(slow, beta, batch),
        lambda: M.heavy_ball(slow, beta, batch),
        lambda: M.nesterov(slow, beta, batch),
        lambda: M.asgd(slow, slow * 3.0, 0.2, batch=batch),
        lambda: M.ema(M.sgd(lr, batch), 1.0 - forget),
        lambda: M.ema(M.heavy_ball(slow, beta, batch), 1.0 - forget),
        lambda: M.tail_average(M.sgd(lr, batch), 0.5),
    ]
    return Case(problem, makers[rng.integers(len(makers))]())


def both(case: Case, record: np.ndarray, local: float = 2.5e-7, shortest: int = 32) -> tuple[Answer, RunResult]:
    nodes = NodeArrays(case.problem.modes())
    labels = np.minimum(np.arange(nodes.size) * LABELS // nodes.size, LABELS - 1)
    answer = march(nodes, case.method, Course(record, labels, LABELS), local=local, shortest=shortest)
    return answer, run_diagonal(nodes, case.method, record, labels, LABELS)


def excess(answer: Answer, exact: RunResult, method: Method) -> float:
    """The largest true error over what was reported and what exact stepping itself may have lost to rounding."""
    truth = exact.risk[:, :2]
    total = np.abs(truth).sum(axis=-1, keepdims=True)
    scale = np.maximum(np.abs(truth), LEAST_SHARE * total)
    slack = (1e-13 + (1e-16 if method.state_size == 1 else 4e-16) * method.length) * scale
    with np.errstate(invalid="ignore"):
        ratio = np.abs(answer.risk - truth) / np.maximum(answer.error + slack, 1e-300)
        known = np.isfinite(truth) & (scale > 1e-20 * np.nanmax(total, axis=0, keepdims=True))
    return float(ratio[known].max())


@pytest.mark.parametrize("seed", range(10))
def test_the_report_holds_at_every_step(seed):
    case = a_case(seed, 6_000)
    answer, exact = both(case, np.arange(case.method.length + 1))
    assert answer.panels > 0
    assert (answer.status, answer.ended_at) == (exact.status, exact.ended_at)
    assert excess(answer, exact, case.method) <= 1.0
    assert relative_error(answer) <= 1e-6


@pytest.mark.parametrize(
    "lr",
    [
        S.torch_one_cycle(20_000, 0.3, pct_start=0.1234, three_phase=True),
        S.range_test(20_000, 0.3),
        S.sine(20_000, 0.3, half_cycle=1_111, factor=0.7, gamma=0.9999),
        S.sigmoid(20_000, 0.3, steepness=200.0, warmup=0.01),
        S.uba(20_000, 0.3, phi=0.01),
        S.inverse_time(20_000, 0.3, decay=0.1, power=0.6),
        S.scale_invariant(20_000, 0.3, gradient_norm=0.1, weight_decay=1e-3),
        S.scale_invariant(20_000, 0.03, gradient_norm=0.3, weight_decay=0.1),
        S.cosine(20_000, 0.3, warmup=0.1).warmed(0.1, 0.05),
    ],
    ids=lambda lr: lr.kind,
)
def test_the_report_holds_under_profiles_that_are_steep_somewhere(lr):
    problem = sl.LinearRegression.power_law(60, 1.5, 1.3, 0.1)
    for method in (M.sgd(lr), M.schedule_free(lr, 0.9, weight_lr_power=1.0), M.ema(M.sgd(lr), 0.99)):
        case = Case(problem, method)
        answer, exact = both(case, np.arange(0, 20_001, 100))
        assert exact.ended_at == 20_000
        assert excess(answer, exact, method) < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_the_report_holds_in_a_thousand_fresh_runs(block):
    worst, inaccurate = 0.0, 0
    for seed in range(1_000 + 100 * block, 1_100 + 100 * block):
        case = a_case(seed, int(10 ** np.random.default_rng(seed).uniform(3.0, 4.3)))
        answer, exact = both(case, np.arange(case.method.length + 1))
        assert (answer.status, answer.ended_at) == (exact.status, exact.ended_at), seed
        assert excess(answer, exact, case.method) <= 1.0, seed
        worst, inaccurate = max(worst, excess(answer, exact, case.method)), inaccurate + (relative_error(answer) > 1e-6)
    assert worst > 1e-3  # reports are no more than a thousand times too wide everywhere
    assert inaccurate <= 5


@pytest.mark.parametrize("length", [10, 40, 640])
def test_a_panel_knows_how_far_off_it_is(length):
    """From a start of fast transients. The first step of a panel is not collocated: even one of ten is not exact."""
    problem = sl.LinearRegression.power_law(40, 1.5, 1.2, 0.1)
    method = M.ema(M.heavy_ball(S.linear(length, 0.05), 0.8), 0.9)
    nodes = NodeArrays(problem.modes())
    labels = np.zeros(nodes.size, dtype=np.int64)
    run = March(nodes, method, labels, 1, np.array([0, length]))
    reported, plan = run.attempt(0, length)
    run.accept(0, plan)
    exact = run_diagonal(nodes, method, np.array([0, length]), labels, 1).final[:2]
    true = np.abs(run.now(length)[0] / exact - 1.0).max()
    assert 1e-9 < true <= reported


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "heavy_ball", "ema", "ema of heavy ball", "cosine"])
def test_the_order_is_that_of_the_stages(name):
    """Equal panels, doubled in number, from where they resolve the end of the decay on: p + 1/2 in the mean is to be
    relied on for stiff modes and rates that vary.
    """
    lr = S.linear(200_000, 0.3)
    method = {
        "sgd": lambda: M.sgd(lr),
        "heavy_ball": lambda: M.heavy_ball(lr * 0.1, 0.9),
        "ema": lambda: M.ema(M.sgd(lr), 0.999),
        "ema of heavy ball": lambda: M.ema(M.heavy_ball(lr * 0.1, 0.9), 0.999),
        "cosine": lambda: M.sgd(S.cosine(200_000, 0.3)),
    }[name]()
    nodes = NodeArrays(sl.LinearRegression.power_law(300, 1.7, 1.4, 1.0).modes())
    labels, first, last = np.zeros(nodes.size, dtype=np.int64), 40_000, 200_000
    exact = run_diagonal(nodes, method, np.array([0, last]), labels, 1).final[:2]
    errors = []
    for panels in (16, 32, 64) if name == "cosine" else (32, 64, 128):
        run = March(nodes, method, labels, 1, np.array([0, last]))
        for t in range(0, first, 10_000):
            run.exact(t, 10_000)
        for t in range(first, last, (last - first) // panels):
            _, plan = run.attempt(t, (last - first) // panels)
            run.accept(t, plan)
        errors.append(np.abs(run.now(last)[0] / exact - 1.0).max())
    orders = np.log2(np.array(errors[:-1]) / np.maximum(errors[1:], 1e-14))
    assert np.mean(orders) >= LOW + 0.5


@pytest.mark.parametrize("name", ZOO)
def test_methods_say_the_same_at_scattered_steps_and_by_increments(name):
    lr = S.wsd(200, 0.1, warmup=0.1, cooldown=0.3)
    method = ZOO[name](lr, S.linear(200, 0.9, floor=0.5), 4)
    steps = np.array([0, 1, 17, 59, 60, 140, 199])
    whole, some, grown = method.coefficients(), method.recursion(steps), method.increments(steps)
    for all_of, part in zip(whole, some, strict=True):
        np.testing.assert_array_equal(part, all_of[steps])
    np.testing.assert_array_equal(method.outlook(steps), method.readout()[steps])
    np.testing.assert_allclose(grown.M + np.eye(method.state_size), some.M, rtol=0, atol=3e-16)
    np.testing.assert_array_equal(grown.b, some.b)
    np.testing.assert_array_equal(method.share(steps), method.inverse_batch()[steps])


@pytest.mark.parametrize("name", ZOO)
def test_methods_say_their_kinks(name):
    """Two hundred steps after a kink the arrays have no jump any more up to the next: second differences are small."""
    lr = S.wsd(3_000, 0.1, warmup=0.1, cooldown=0.3)
    method = ZOO[name](lr, S.linear(3_000, 0.9, floor=0.5), 4)
    t, edges = 0, [0]
    while t < method.length:
        t = method.next_kink(t)
        edges.append(t)
    assert edges[-1] == method.length
    if len(edges) > 60:  # lookahead and arrays of one's own: a kink every few steps
        return
    M_, b, c = method.increments(np.arange(method.length))
    rows = np.concatenate([part.reshape(method.length, -1) for part in (M_, b, c)], axis=1)
    for start, stop in pairwise(edges):
        piece = rows[start + 200 : stop]
        if len(piece) > 10:
            jump = np.abs(np.diff(piece, n=2, axis=0)).max(axis=0)
            assert np.all(jump <= 1e-4 * np.abs(rows).max(axis=0) + 1e-12)


def test_asgd_keeps_its_digits_over_many_steps():
    """In (x, v - x): of x and v alone the slow mode is the difference of two that nearly cancel."""
    problem = sl.LinearRegression.power_law(40, 1.5, 1.2, 0.01)
    lr = S.constant(10**10, 1e-3)
    short = sl.long(problem, M.asgd(lr, lr * 2.0, 0.1), record=2, progress=False)
    assert short.status.item() == "done"
    assert float(short.dataset["risk_error"][-1].sum() / short.total()[-1]) < 1e-6


@pytest.mark.parametrize("factor", [1.002, 1.02, 1.3, 3.0, 30.0])
@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_divergence_is_found_at_the_step_of_the_exact_engine(factor, beta):
    problem = sl.LinearRegression.power_law(60, 1.5, 1.2, 1.0)
    critical = sl.stability(problem, M.heavy_ball(S.constant(10, 0.1), beta)).critical_lr
    method = M.heavy_ball(S.constant(400_000, factor * critical), beta)
    exact, long = (door(problem, method, record="linear", progress=False) for door in (sl.exact, sl.long))
    assert exact.status.item() == long.status.item() == "diverged"
    assert exact.dataset["ended_at"].item() == long.dataset["ended_at"].item()
    assert np.all(np.isfinite(long.dataset["risk_error"][:-1]))  # of the last, where it was found, none is told
    np.testing.assert_allclose(long.risk, exact.risk, rtol=1e-5)


def test_divergence_at_the_end_of_a_chunk_is_found_there():
    """One step of the thousands between two looks is no other than the rest."""
    problem = sl.LinearRegression.power_law(60, 1.5, 1.2, 1.0)
    critical = sl.stability(problem, M.sgd(S.constant(10, 0.1))).critical_lr
    end = sl.exact(problem, M.sgd(S.constant(9_000, 1.5 * critical)), progress=False).dataset["ended_at"].item()
    nodes = NodeArrays(problem.modes())
    method, labels = M.sgd(S.constant(9_000, 1.5 * critical)), np.zeros(nodes.size, dtype=np.int64)
    for shortest in (end - 1, end, end + 1):
        answer = march(nodes, method, Course(np.array([0, 9_000]), labels, 1), local=1e-7, shortest=max(shortest, 1))
        assert (answer.status, answer.ended_at) == ("diverged", end)


def test_cycles_by_powers_are_cycles_one_by_one():
    problem = sl.LinearRegression.power_law(60, 1.7, 1.4, 1.0)
    method = M.sgd(S.sgdr(200_000, 0.2, period=5_000))
    within = 5_000 * 23 + np.array(
        [10, 700, 701, 2_500, 4_999]
    )  # several of one cycle: panels of these, maps of others
    record = np.unique(np.concatenate([np.geomspace(1, 200_000, 90).round(), within, [0, 200_000]])).astype(np.int64)
    answer, exact = both(Case(problem, method), record, shortest=64)
    assert answer.cycles == 40
    assert excess(answer, exact, method) <= 1.0


def test_a_trillion_steps_of_a_trillion_modes():
    problem = sl.LinearRegression.power_law(10**12, 1.7, 1.4, 1.0)
    trace = sl.long(problem, M.sgd(S.wsd(10**12, 0.1)), subspaces="head_tail(20)", progress=False)
    error = (trace.dataset["risk_error"] / trace.risk).where(trace.risk > 0.0)
    assert trace.status.item() == "done"
    assert float(error.max()) <= 1e-6
    assert np.all(np.diff(trace.total().values[trace.risk["step"].values > 0]) < 1e-12)


@pytest.mark.thorough
def test_rates_stored_one_by_one_are_stepped_or_refused():
    problem = sl.LinearRegression.power_law(60, 1.5, 1.2, 0.1)
    rates = S.from_array(np.geomspace(0.3, 0.01, 20_000))
    long, exact = (door(problem, M.sgd(rates), progress=False) for door in (sl.long, sl.exact))
    np.testing.assert_allclose(long.risk, exact.risk, rtol=1e-12)
    with pytest.raises(InputError, match=r"method goes on in another way so often that .* give budget="):
        sl.long(problem, M.sgd(rates), budget=1e-9)


@pytest.mark.parametrize(
    ("options", "words"), [({"tolerance": 1e-12}, "tolerance"), ({"budget": 0.0}, "budget"), ({"record": -1}, "record")]
)
def test_bad_input(options, words):
    with pytest.raises(InputError, match=words):
        sl.long(sl.LinearRegression.power_law(60, 1.5, 1.2, 0.1), M.sgd(S.constant(10, 0.1)), **options)
