"""Pan et al. 2021: the variance constant; where eigencurve wins, where not."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import pan2021

from simlab.errors import InputError

pytestmark = pytest.mark.thorough

FIGURES = {figure.id: figure for figure in pan2021.FIGURES}
LAWS, MEASURED = "pan2021-power-laws", "pan2021-measured"


@pytest.fixture(scope="module")
def laws():
    return FIGURES[LAWS].compute("quick")


def test_power_laws_turn_at_the_condition_number(laws):
    claims = FIGURES[LAWS].claims(laws)
    assert [claim.verdict for claim in claims] == ["reproduced", "holds", "chosen", "chosen", "holds", "holds"]
    for case, kappa in (("i^-2", 1e4), ("i^-3", 1e6)):
        steps, ratio = pan2021._steps(laws, case), pan2021._ratios(laws, case, "cosine")
        assert (ratio[steps >= 0.99 * kappa] < 1.0).all()
        assert (ratio[steps < 0.1 * kappa] > 1.0).all()
    # Far below the theorem's constant, as exact values of a bound of such generality are.
    assert 0.2 < max(float(value) for value in claims[0].computed.split(", ")) < 0.245


@pytest.mark.parametrize(("factor", "holds"), [(2.0, [True, False]), (100.0, [False, False])])
def test_more_variance_is_found_out(laws, factor, holds):
    ends = {name: np.array(values) for name, values in laws["ends"].items()}
    ends["own_variance"] = factor * ends["own_variance"]
    assert [claim.holds for claim in FIGURES[LAWS].claims({**laws, "ends": ends})[:2]] == holds


def test_an_eigencurve_that_loses_late_turns_its_claims(laws):
    ends = {name: np.array(values) for name, values in laws["ends"].items()}
    late = (ends["schedule"] == "eigencurve") & (ends["T"] == 1_000_000)
    for key in ("bias", "variance"):
        ends[key] = np.where(late, 2.0 * ends[key], ends[key])
    claims = FIGURES[LAWS].claims({**laws, "ends": ends})
    assert not claims[2].holds
    assert "i^-3 / step decay: nowhere" in claims[2].turns


def test_measured_spectra(shared_data, monkeypatch):
    monkeypatch.setenv("SIMLAB_DATA", str(shared_data))
    figure = FIGURES[MEASURED]
    assert figure.draw(figure.compute("tiny")).axes
    claims = figure.claims(figure.compute("quick"))
    assert [claim.verdict for claim in claims] == ["substituted", "substituted", "not reproduced"]
    assert "log T" in claims[2].reason


def test_absent_spectra_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMLAB_DATA", str(tmp_path))
    with pytest.raises(InputError, match="absent"):
        FIGURES[MEASURED].compute("tiny")
