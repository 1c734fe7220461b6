"""Weak damping and the long engine: it goes through ringing that it has the time for, and refuses the rest at once."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods as M
from simlab import schedules as S
from simlab.engines.moments.ringing import Stall, slowest_ringing
from tests.engines.test_long import Case, both, excess

PROBLEM = sl.LinearRegression.power_law(40, 1.5, 1.3, 0.1)
T = 10**12


def ball(forget: float, lr: float = 0.1, steps: int = T, batch: int = 10**9) -> M.Method:
    """All modes oscillate, and are damped by `forget` a step."""
    return M.heavy_ball(S.constant(steps, lr), 1.0 - forget, batch)


@pytest.mark.parametrize(
    ("method", "damping"),
    [
        (ball(1e-9), "1e-09"),
        (ball(1e-10, 1e-11, batch=1), "1e-10"),  # so slow an oscillation that panels follow it
        (M.ema(ball(1e-9), 0.999), "1e-09"),
        (M.nesterov(S.constant(T, 1e-9), 1.0 - 1e-9, 10**9), "2e-09"),
    ],
    ids=["fast", "followed", "averaged", "nesterov"],
)
def test_ringing_that_outlasts_the_budget_is_refused_before_it_is_spent(method, damping, stepped):
    said = rf"method rings for some \S+ steps more, .* damped by {damping} a step, .* give budget=.*less momentum"
    with pytest.raises(sl.InputError, match=said):
        sl.long(PROBLEM, method, budget=5.0, record=2, progress=False)
    assert sum(stepped) < 200_000


def test_it_is_refused_among_others_and_in_files():
    with pytest.raises(sl.InputError, match="method rings for some"):
        sl.long(PROBLEM, [M.sgd(S.constant(T, 0.1)), ball(1e-9)], record=2, progress=False)
    tables = {
        "problem": {"kind": "power_law", "dim": 40, "capacity": 1.5, "source": 1.3, "noise_variance": 0.1},
        "schedule": {"kind": "constant", "steps": T, "peak": 0.1},
        "method": {"kind": "heavy_ball", "momentum": 1.0 - 1e-9, "batch": 10**9},
        "engine": "long",
    }
    with pytest.raises(sl.InputError, match="method rings for some"):
        sl.Experiment.from_dict(tables).run(progress=False)


@pytest.mark.parametrize(
    "method",
    [
        M.asgd(S.constant(T, 0.01), 0.05, 1e-9),  # two real eigenvalues, however close to 1: that is no ringing
        M.ema(M.sgd(S.wsd(T, 0.1)), 1.0 - 1e-9),
        M.heavy_ball(S.wsd(T, 1e-3), 0.99),
        ball(1e-3),
    ],
    ids=["asgd", "ema", "heavy ball", "a thousand steps"],
)
def test_what_is_slow_or_short_is_not_refused(method):
    trace = sl.long(PROBLEM, method, budget=5.0, record=5, progress=False)
    assert trace.status.item() == "done"


@pytest.mark.parametrize("batch", [4, 10**9])
def test_the_report_holds_while_modes_ring_and_after(batch):
    """Until the bias, all of which rings, is nothing beside what it was: from there on nobody follows it."""
    method = ball(3e-4, 0.01 if batch == 10**9 else 1e-5, 400_000, batch)
    record = np.unique(np.geomspace(1, 400_000, 300).astype(np.int64))
    answer, exact = both(Case(PROBLEM, method), np.append(0, record), shortest=4_096)
    assert excess(answer, exact, method) <= 1.0
    assert answer.status == "done"
    assert 0 < answer.exact_steps < 300_000


def test_damping_is_that_of_the_pair_of_eigenvalues():
    """Of heavy ball |mu|^2 = beta where lr lam lies between (1 -+ sqrt beta)^2, and real ones beyond."""
    beta, lr = 0.99, 0.05
    lam = np.array([1.0, 0.1, 1e-3, 0.9 * (1.0 - np.sqrt(beta)) ** 2 / lr, 1e-6])
    growth, push = np.array([[0.0, beta], [0.0, beta - 1.0]]), lr * np.array([[1.0, 0.0], [1.0, 0.0]])
    found = slowest_ringing(growth, push, lam, 10_000)
    np.testing.assert_allclose(found[:3], -np.log(beta), rtol=1e-12)
    assert np.all(np.isinf(found[3:]))
    assert np.all(np.isinf(slowest_ringing(growth, push, lam, 1)[2:]))  # within a step it turns by little
    assert np.isinf(slowest_ringing(growth, push, np.array([1e3]), 10_000)[0])  # that grows


def test_panels_that_grow_are_no_stall():
    stall, asked = Stall(), []
    for m in 3 ** np.arange(10):
        asked += [stall.tried(int(m), False), stall.tried(int(m), True)]
    assert not any(asked)
    assert sum(stall.tried(3**9, True) for _ in range(30)) == 5
