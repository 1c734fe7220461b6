"""Jain et al. 2018: what comes out at d = 50, the threshold 7.5 against the printed 11 above all."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import jain2018
from simlab.figures.reproduction import column

(FIGURE,) = jain2018.FIGURES


@pytest.fixture(scope="module")
def quick():
    return FIGURE.compute("quick")


def test_threshold_is_7_5_and_said_to_be_unexplained(quick):
    threshold = FIGURE.claims(quick)[0]
    assert threshold.verdict == "not reproduced"
    assert round(float(column(quick["threshold"], "threshold")[0]), 1) == 7.5
    assert "2 tr H + lam_1 (11.00)" in threshold.seen


def test_the_other_claims_come_out_as_they_are(quick):
    assert [claim.holds for claim in FIGURE.claims(quick)] == [False, True, True, False, True, True]


def test_a_bound_ten_times_too_small_is_found_out(quick):
    bounds = {name: np.array(values) for name, values in quick["bounds"].items()}
    bounds["upper"] = bounds["upper"] / 10.0
    assert not FIGURE.claims({**quick, "bounds": bounds})[-1].holds
