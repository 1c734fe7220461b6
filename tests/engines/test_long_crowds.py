"""Schedules of many short pieces and the long engine: stepped in one go, refused only where that really takes long."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

import simlab as sl
import simlab.engines.long as engine
from simlab import methods as M
from simlab import schedules as S
from simlab.engines.moments.collocated import MOST_EXACT, March
from simlab.engines.moments.crowds import crowded_steps
from simlab.engines.moments.ringing import Pace
from simlab.kernels.moments.layout import NodeArrays
from simlab.trace.recording import record_steps
from tests.engines.test_long import Case, both, excess

PROBLEM = sl.LinearRegression.power_law(40, 1.5, 1.3, 0.1)
T = 10**12


def stored(n: int) -> S.Schedule:
    """n rates that change at every step."""
    return S.from_array(0.05 * (1.0 + np.random.default_rng(3).uniform(size=n)))


def marching(method: M.Method) -> March:
    nodes = NodeArrays(PROBLEM.modes())
    return March(nodes, method, np.zeros(nodes.size, dtype=np.int64), 1, np.array([0, method.length]))


@pytest.mark.parametrize("wrap", [lambda sgd: sgd, lambda sgd: M.ema(sgd, 0.999)], ids=["sgd", "ema"])
def test_a_warmup_of_stored_rates_is_no_reason_to_refuse_ten_to_the_twelve_steps(wrap):
    method = wrap(M.sgd(S.join(stored(300), S.constant(T - 300, 0.1))))
    trace = sl.long(PROBLEM, method, record=5, progress=False)
    assert trace.status.item() == "done"
    assert float(trace.total()[-1]) == pytest.approx(float(trace.total()[-2]), rel=1e-5)


def test_a_warmup_before_cycles_does_not_hide_them():
    period = 10**7
    warm, cycles = S.constant(1000, 0.05), S.sgdr(100_000 * period, 0.1, period)
    assert crowded_steps(M.sgd(S.join(warm, cycles)), 0, 4096) < 20 * period
    assert crowded_steps(M.ema(M.sgd(S.join(warm, cycles)), 0.9), 0, 4096) > 1e8  # no powers of a map for k = 2


def test_how_many_steps_are_crowded_is_known_to_some_percent():
    assert crowded_steps(M.sgd(S.wsd(T, 0.1)), 0, 4096) == 0.0
    assert crowded_steps(M.sgd(stored(200_000)), 0, 4096) == pytest.approx(200_000, rel=0.01)
    mixed = M.sgd(S.join(stored(50_000), S.constant(10**6, 0.1), stored(300_000), S.constant(10**6, 0.1)))
    assert crowded_steps(mixed, 0, 4096) == pytest.approx(350_000, rel=0.35)
    assert crowded_steps(mixed, 1_400_000, 4096) == 0.0  # a state may begin behind all of it


def test_a_crowd_ends_where_a_piece_is_worth_a_panel():
    parts = stored(300), S.constant(30_000, 0.1), stored(40_000), S.wsd(10**6, 0.1, warmup=0.0)
    run = marching(M.sgd(S.join(*parts)))
    assert run.piece(0, T, 4096) == (300, True)
    assert run.piece(300, T, 4096) == (30_300, False)
    assert run.piece(30_300, T, 4096) == (30_300 + MOST_EXACT, True)
    assert run.piece(60_000, T, 4096) == (70_300, True)
    assert run.piece(70_300, T, 4096) == (870_300, False)
    assert run.piece(30_300, 30_800, 4096) == (30_800, True)


def test_many_stored_rates_are_stepped_in_few_calls(stepped):
    method = M.sgd(stored(200_000))
    trace = sl.long(PROBLEM, method, record=5, progress=False)
    assert sum(stepped) == 200_000
    assert len(stepped) <= 200_000 / MOST_EXACT + 1
    known = sl.exact(PROBLEM, method, record=5, progress=False)
    np.testing.assert_allclose(trace.risk.values, known.risk.values, rtol=1e-11)


@pytest.mark.parametrize("wrap", [lambda sgd: sgd, lambda sgd: M.ema(sgd, 0.99)], ids=["sgd", "ema"])
def test_the_report_holds_behind_crowds(wrap):
    parts = stored(700), S.cosine(30_000, 0.1), stored(3_000), S.linear(200, 0.1), S.constant(40_000, 0.02)
    method = wrap(M.sgd(S.join(*parts)))
    record = np.unique(np.concatenate([[0], np.arange(680, 720), np.geomspace(1, method.length, 150).astype(np.int64)]))
    answer, exact = both(Case(PROBLEM, method), record, shortest=512)
    assert answer.status == "done"
    assert answer.panels > 0
    assert excess(answer, exact, method) <= 1.0


def test_what_takes_too_long_is_refused_by_the_pace_of_its_own_steps():
    long = S.from_array(np.tile(stored(1_000).values(), 20_000))
    with pytest.raises(
        sl.InputError, match=r"goes on in another way so often that some 2e\+07 of its steps .* budget="
    ):
        sl.long(PROBLEM, M.sgd(long), budget=0.05, record=2, progress=False)
    four = M.ema(M.ema(M.heavy_ball(stored(20_000), 0.9), 0.99), 0.999)  # steps of 5 us where one of SGD takes 0.05
    with pytest.raises(sl.InputError, match="goes on in another way so often"):
        sl.long(PROBLEM, four, budget=0.02, record=2, progress=False)


def test_the_first_call_of_a_pace_is_not_counted():
    now = [0.0]
    pace = Pace(lambda: now[0])

    def spend(seconds, around):
        with around:
            now[0] += seconds

    spend(100.0, pace.stepping(10))
    assert pace.step == pace.panel == np.inf
    spend(2.0, pace.stepping(10))
    spend(4.0, pace.stepping(20))
    spend(50.0, pace.trying())
    spend(0.5, pace.trying())
    assert (pace.step, pace.panel) == (0.2, 0.5)


def test_a_pass_that_runs_out_of_time_leaves_what_the_one_before_reached(monkeypatch):
    """As is said, the first misses the tolerance; the clock lets no other one end."""
    method = M.sgd(S.wsd(10**6, 0.1))
    nodes = NodeArrays(PROBLEM.modes())
    now, passes, march = [0.0], [], engine.march

    def late(*given, local, **options):
        passes.append(local)
        now[0] += 10.0 * (len(passes) - 1)
        return march(*given, local=local, **options)

    @contextmanager
    def clock():
        yield lambda: now[0]

    monkeypatch.setattr(engine, "march", late)
    monkeypatch.setattr(engine, "relative_error", lambda answer: 1e-7)
    monkeypatch.setattr(engine, "running_time", clock)
    labels = np.zeros(nodes.size, dtype=np.int64)
    course = engine.Course(record_steps(20, method.length), labels, 1, patience=engine.Patience(5.0))
    (result,) = engine._run(nodes, method, course, 1e-8, 0.0, lambda n: True)
    assert len(passes) == 2
    assert (result.status, result.ended_at) == ("inaccurate", method.length)
    assert np.all(np.isfinite(result.risk))
    (stopped,) = engine._run(nodes, method, course, 1e-8, 0.0, lambda n: False)  # by hand: that is an interruption
    assert stopped.status == "interrupted"
