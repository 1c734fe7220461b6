"""A hazard of precision: blocks of steps on modes whose lr lam is near the edge of momentum, 4, instead of small."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl

STEPS = 1_208
LR = sl.schedules.constant(STEPS, 3.9)
METHODS = {
    "heavy ball": sl.methods.heavy_ball(LR, 0.99),
    "EMA": sl.methods.ema(sl.methods.sgd(0.5 * LR), 0.99),
    "nesterov": sl.methods.nesterov(0.3 * LR, 0.99),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("every", [13, 18, 40])
def test_steep_modes_are_stepped_one_by_one(name, every):
    """Records `every` steps invite ever longer blocks; records at each step leave none."""
    lam = 1.0 / np.arange(1.0, 401.0)
    problem = sl.NoisyQuadratic(lam, 1.0, gradient_covariance=lam)
    marks = np.arange(0, STEPS, every)
    plain, blocks = (
        sl.exact(problem, METHODS[name], record=record, progress=False).by_component().sel(step=marks).values
        for record in ("all", marks)
    )
    assert np.isfinite(plain).all()
    np.testing.assert_allclose(blocks, plain, rtol=1e-11)


@pytest.mark.parametrize("every", [30, 100])
@pytest.mark.parametrize("low", [1e-4, 1e-3])
def test_a_block_ends_where_the_rate_jumps_up(low, every):
    """A block that began at a small rate, with every mode in it, does not go on at a large one."""
    rates = np.where((np.arange(3_000) // every) % 2 == 0, low, 1.9)
    lr = sl.schedules.from_array(rates)
    lam = 1.0 / np.arange(1.0, 401.0)
    problem = sl.NoisyQuadratic(lam, 1.0, gradient_covariance=lam)
    methods = {"heavy ball": sl.methods.heavy_ball(lr, 0.9), "EMA": sl.methods.ema(sl.methods.sgd(lr), 0.99)}
    marks = np.arange(0, 3_000, 97)
    plain, blocks = (sl.exact(problem, methods, record=record, progress=False) for record in ("all", marks))
    assert set(plain.status.values) <= {"done", "diverged"}
    np.testing.assert_array_equal(plain.status.values, blocks.status.values)
    for run in plain.risk["run"].values[plain.status.values == "done"]:
        a, b = (trace.by_component().sel(run=run, step=marks).values for trace in (plain, blocks))
        np.testing.assert_allclose(b, a, rtol=1e-11)
    assert "done" in plain.status.values
