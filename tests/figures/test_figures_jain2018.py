"""Jain et al. 2018: what comes out at d = 50, the threshold 7.5 against the printed 11 above all."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import jain2018
from simlab.figures.reproduction import column

pytestmark = pytest.mark.thorough

(FIGURE,) = jain2018.FIGURES


@pytest.fixture(scope="module")
def quick():
    return FIGURE.compute("quick")


def test_threshold_is_7_5_and_said_to_be_unexplained(quick):
    threshold = FIGURE.claims(quick)[0]
    assert threshold.verdict == "not reproduced"
    assert round(float(column(quick["threshold"], "threshold")[0]), 1) == 7.5
    assert "2 tr H + lam_1 gives 11.00" in threshold.reason


def test_the_other_claims_come_out_as_they_are(quick):
    assert [claim.verdict for claim in FIGURE.claims(quick)] == ["not reproduced"] + 2 * ["reproduced"] + 2 * [
        "chosen"
    ] + ["reproduced"]


@pytest.mark.parametrize("start", jain2018.STARTS)
def test_ratios_at_any_start_are_those_of_a_run(quick, start):
    """The bias goes with the square of the start."""
    risk = [
        column(quick["curves"], "risk", way="tail average", batch=batch, start=start)[-1] for batch in jain2018.BATCHES
    ]
    assert list(jain2018.ratios(quick, start).values()) == pytest.approx(np.array(risk) / risk[0], rel=1e-9)


def test_the_start_decides_what_batches_cost(quick):
    low, high = jain2018.turning_points(quick)
    assert 0.03 < low < 0.1 < high < 0.3
    within, above, below = (jain2018.ratios(quick, start) for start in (0.1, 1.0, 0.0))
    assert max(within[3], within[11]) < 1.0 < 4.0 < within[50]
    assert min(above[11], above[22], above[50]) > 9.0
    assert max(below.values()) == 1.0


def test_no_start_has_both_figures(quick):
    """Averaging late pays twofold from errors of 0.2 on, where a batch of 11 costs more than a fifth already."""
    _, high = jain2018.turning_points(quick)
    assert high < 0.19
    averaging = FIGURE.claims(quick)[4]
    assert "it fails" in averaging.turns
    assert f"from 0.21 on, the claim on batches up to {high:.2f}" in averaging.turns


def test_a_bound_ten_times_too_small_is_found_out(quick):
    bounds = {name: np.array(values) for name, values in quick["bounds"].items()}
    bounds["upper"] = bounds["upper"] / 10.0
    assert not FIGURE.claims({**quick, "bounds": bounds})[-1].holds
