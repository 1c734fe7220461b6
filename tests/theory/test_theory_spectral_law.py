"""The law of a spectrum, written twice: the theorem's rates and those of the schedule made for a problem."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import theory


def given(problem):
    modes = problem.modes()
    return modes.eigenvalues, np.sqrt(modes.signal / modes.eigenvalues), problem.noise_variance


@pytest.mark.parametrize(("form", "name"), [("full", "full_rates"), ("short", "short_rates")])
@pytest.mark.parametrize(("batch", "cap"), [(1, None), (8, 0.4)])
def test_two_programs_have_the_same_rates(form, name, batch, cap):
    problem, T = sl.LinearRegression.power_law(100, 1.5, 1.5, 0.1), 1000
    stated = theory.find(name)(*given(problem), T, batch=batch, cap=np.inf if cap is None else cap)
    made = sl.schedules.spectral(problem, T, batch=batch, cap=cap, form=form, level="formula")
    assert stated.sum() == pytest.approx(made.total(), rel=2e-3)
    np.testing.assert_allclose(made.values()[10:-10], stated[10:-10], rtol=2e-2)  # of the schedule, straight lines
    assert stated.max() <= (sl.stability(problem, sl.methods.sgd(made)).critical_lr if cap is None else cap)


@pytest.mark.parametrize(
    "problem",
    [sl.LinearRegression.isotropic(50, 1.0), sl.LinearRegression.power_law(200, 1.2, 3.5, 0.0)],
    ids=["one eigenvalue", "easy without noise"],
)
def test_where_error_decays_as_fast_as_noise_is_forgotten_there_is_no_full_form(problem):
    with pytest.raises(theory.OutsideAssumptions, match="more slowly than its noise is forgotten"):
        theory.find("full_rates")(*given(problem), 2000)
    assert theory.find("short_rates")(*given(problem), 2000).size == 2000
