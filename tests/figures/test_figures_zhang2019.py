"""Zhang et al. 2019: closed forms, engine and bound agree; where the claims hold; controls that have to fail."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import zhang2019, zhang2019_schedules
from simlab.figures.reproduction import column
from simlab.theory.zhang2019 import nqm_momentum

import simlab as sl

FIGURES = {figure.id: figure for figure in [*zhang2019.FIGURES, *zhang2019_schedules.FIGURES]}
STEPS, SCHEDULES = "zhang2019-steps", "zhang2019-schedules"


@pytest.fixture(scope="module")
def quick():
    return {name: figure.compute("quick") for name, figure in FIGURES.items()}


@pytest.mark.parametrize("name", FIGURES)
def test_all_claims_hold(quick, name):
    assert [claim.text for claim in FIGURES[name].claims(quick[name]) if not claim.holds] == []


def test_few_nodes_stand_for_the_spectrum():
    """The closed form of the bias of momentum, on all modes, near the edge of stability."""
    dim, steps = 400, 300
    method = sl.methods.heavy_ball(sl.schedules.constant(steps, 3.8), 0.97)
    found = sl.exact(zhang2019.model(dim, method), method, record=2, progress=False).by_component()
    h = 1.0 / np.arange(1.0, dim + 1.0)
    exact = nqm_momentum(h, 1.0, h, 3.8, 0.97, steps).bias.sum()
    assert float(found.sel(component="bias", step=steps)) == pytest.approx(exact, rel=1e-5)


def test_gradient_of_the_closed_form():
    lam = 1.0 / np.arange(1.0, 9.0)
    x = np.log([1.5, 0.4, 0.05])
    given = (7.0, lam, 0.5 * lam, lam / 16.0)
    _, gradient = zhang2019_schedules.piecewise_risk(x, *given)
    for j, step in enumerate(1e-6 * np.eye(3)):
        ends = [zhang2019_schedules.piecewise_risk(x + sign * step, *given)[0] for sign in (1.0, -1.0)]
        assert gradient[j] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


def test_closed_form_is_the_exact_engine():
    lam = 1.0 / np.arange(1.0, 9.0)
    problem = sl.NoisyQuadratic(lam, 1.0, gradient_covariance=lam)
    x = np.log([1.5, 0.4, 0.05])
    risk, _ = zhang2019_schedules.piecewise_risk(x, 7.0, lam, 0.5 * lam, lam / 16.0)
    schedule = sl.schedules.join(*(sl.schedules.constant(7, lr) for lr in np.exp(x)))
    trace = sl.exact(problem, sl.methods.sgd(schedule, batch=16), record=2, progress=False)
    assert float(trace.total()[-1]) == pytest.approx(risk, rel=1e-12)


def test_momentum_without_memory_gains_nothing(quick):
    best = {name: np.array(values) for name, values in quick[STEPS]["best"].items()}
    sgd, momentum = (best["method"] == name for name in ("SGD", "momentum"))
    best["steps"][momentum] = best["steps"][sgd]
    wrong = [claim.holds for claim in FIGURES[STEPS].claims({**quick[STEPS], "best": best})]
    assert wrong == [True, False, False, True, True, True, True]


def test_a_schedule_that_misses_the_target_is_found_out(quick):
    steps = {name: np.array(values) for name, values in quick[SCHEDULES]["steps"].items()}
    steps["risk"] = 1.001 * np.maximum(steps["risk"], zhang2019.TARGET)
    assert not FIGURES[SCHEDULES].claims({**quick[SCHEDULES], "steps": steps})[2].holds


def test_the_additive_optimum_diverges_under_multiplicative_noise(quick):
    assert np.isinf(column(quick[SCHEDULES]["noise"], "of_additive", B=16)[0])
    assert np.isfinite(column(quick[SCHEDULES]["noise"], "of_additive", B=256)[0])
