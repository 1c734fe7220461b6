"""Runs made to deceive the long engine: transients that alternate, dips between the nodes, cycles by powers."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods as M
from simlab import schedules as S
from simlab.engines.long import Course, march
from simlab.engines.moments import cycles
from simlab.engines.moments.collocated import relative_error
from simlab.kernels.moments.layout import NodeArrays
from tests.engines.test_long import Case, both, excess


def twice(peak: float, steps: int = 40_000) -> S.Schedule:
    """A constant rate, and in the middle a kink to a slightly smaller one."""
    return S.join(S.constant(steps // 2, peak), S.constant(steps - steps // 2, 0.97 * peak))


FEW = sl.LinearRegression([1.0, 0.7, 0.1, 1e-3, 1e-4], 1.0, noise_variance=0.1)
SIGNS = sl.LinearRegression([1.0, 1e-2, 1e-3, 1e-4], 1.0, noise_variance=0.1, kurtosis=1.0)
FULL = 10**9
ALTERNATING = {
    "signs": Case(SIGNS, M.sgd(twice(0.985))),
    "full batch": Case(FEW, M.ema(M.sgd(twice(1.995), FULL), 0.99)),
    "full batch, nearer": Case(FEW, M.ema(M.sgd(twice(1.9995), FULL), 0.99)),
    "nesterov": Case(FEW, M.nesterov(twice(0.68), 0.9, FULL)),
}


@pytest.mark.parametrize("shortest", [24, 64, 512])
@pytest.mark.parametrize("name", ALTERNATING)
def test_transients_that_alternate_in_sign_are_seen(name, shortest):
    """Collocation of every order damps them away alike: one exact step from the start of a panel tells."""
    case = ALTERNATING[name]
    after = np.geomspace(1, 20_000, 60).astype(np.int64)
    record = np.unique(np.concatenate([[0], after, 20_000 + after]))
    answer, exact = both(case, record, shortest=shortest)
    assert answer.panels > 0
    assert (answer.status, answer.ended_at) == (exact.status, exact.ended_at)
    assert excess(answer, exact, case.method) <= 1.0


@pytest.mark.parametrize("dip", [50, 2_000])
def test_a_dip_between_the_nodes(dip):
    """Told as pieces it is a kink, and stored step by step it is stepped: no panel goes across."""
    problem, T, at = sl.LinearRegression.power_law(60, 1.5, 1.6, 1.0), 200_000, 123_456
    told = S.join(S.constant(at, 0.2), S.constant(dip, 0.02), S.constant(T - at - dip, 0.2))
    record = np.unique(np.append(np.geomspace(1, T, 40).astype(np.int64), [0, at, at + dip, T]))
    for lr in (told, S.from_array(told.values())):
        case = Case(problem, M.sgd(lr))
        answer, exact = both(case, record, shortest=4_096)
        assert excess(answer, exact, case.method) <= 1.0


def test_a_kink_that_is_not_told_deceives_it(monkeypatch):
    """Why an engine that is not told kinks must not run: the report does not hold."""
    problem, T, at = sl.LinearRegression.power_law(60, 1.5, 1.6, 1.0), 10**6, 613_000
    case = Case(problem, M.sgd(S.join(S.constant(at, 0.2), S.constant(50, 0.02), S.constant(T - at - 50, 0.2))))
    record = np.array([0, at + 50, T])
    assert excess(*both(case, record, shortest=4_096), case.method) <= 1.0
    monkeypatch.setattr(type(case.method), "next_kink", lambda self, t: self.length)
    assert excess(*both(case, record, shortest=4_096), case.method) > 10.0


@pytest.mark.parametrize(
    "lr",
    [S.sgdr(64_000_000, 0.2, period=1_000_000), S.wsd(1_000_000, 0.2, warmup=0.1, cooldown=0.3).repeat(64)],
    ids=["sgdr", "wsd repeated"],
)
def test_cycles_by_powers_against_themselves_one_by_one(lr, monkeypatch):
    nodes = NodeArrays(sl.LinearRegression.power_law(60, 1.7, 1.4, 1.0).modes())
    record = np.unique(np.geomspace(1, lr.length, 20).astype(np.int64))
    course = Course(np.append(0, record), np.minimum(np.arange(nodes.size) // 20, 2), 3)
    powers = march(nodes, M.sgd(lr), course, local=2.5e-7)
    monkeypatch.setattr(cycles, "LEAST_CYCLES", 1_000)
    single = march(nodes, M.sgd(lr), course, local=2.5e-7)
    assert (powers.cycles, single.cycles) == (64, 0)
    assert np.all(np.abs(powers.risk - single.risk) <= powers.error + single.error)
    assert relative_error(powers) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_the_report_holds_of_heavy_ball_at_every_step(seed):
    """Whose transients after kinks are what panels miss first: many kinks, strong and weak damping, every step."""
    rng = np.random.default_rng(70_000 + seed)
    problem = sl.LinearRegression.power_law(60, float(rng.uniform(1.05, 2.5)), float(rng.uniform(1.05, 3.0)), 0.1)
    beta = 1.0 - 10.0 ** rng.uniform(-3.0, -0.3)
    pieces = [S.constant(int(n), float(10.0 ** rng.uniform(-2.0, -0.5))) for n in 10 ** rng.uniform(2.5, 3.8, 4)]
    method = M.heavy_ball(S.join(*pieces) * (0.3 * (1.0 - beta)), beta, int(rng.choice([1, 16])))
    if seed % 3 == 0:
        method = M.ema(method, 0.99)
    answer, exact = both(Case(problem, method), np.arange(method.length + 1))
    assert (answer.status, answer.ended_at) == (exact.status, exact.ended_at)
    assert excess(answer, exact, method) <= 1.0
