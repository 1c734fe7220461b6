"""Pan et al. 2021: the variance constant and the observation of notes 6; where eigencurve wins, where not."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import pan2021

from simlab.errors import InputError

FIGURES = {figure.id: figure for figure in pan2021.FIGURES}
LAWS, MEASURED = "pan2021-power-laws", "pan2021-measured"


@pytest.fixture(scope="module")
def laws():
    return FIGURES[LAWS].compute("quick")


def test_power_laws_come_out_as_they_do(laws):
    claims = FIGURES[LAWS].claims(laws)
    # Minimax over starts: on steep spectra with equal errors others are better.
    assert [claim.holds for claim in claims] == [True, False, False, True]
    assert "i^-3 against step decay" in claims[1].seen


def test_ten_times_the_variance_is_found_out(laws):
    ends = {name: np.array(values) for name, values in laws["ends"].items()}
    ends["own_variance"] = 10.0 * ends["own_variance"]
    assert not FIGURES[LAWS].claims({**laws, "ends": ends})[0].holds


def test_measured_spectra(shared_data, monkeypatch):
    monkeypatch.setenv("SIMLAB_DATA", str(shared_data))
    figure = FIGURES[MEASURED]
    assert figure.draw(figure.compute("tiny")).axes
    assert [claim.holds for claim in figure.claims(figure.compute("quick"))] == [True, False, False]


def test_absent_spectra_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMLAB_DATA", str(tmp_path))
    with pytest.raises(InputError, match="absent"):
        FIGURES[MEASURED].compute("tiny")
