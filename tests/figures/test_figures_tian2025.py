"""Tian et al. 2025: weights and a table by an independent program, and controls that have to fail."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import tian2025
from simlab.figures.reproduction import column

pytestmark = pytest.mark.thorough

FIGURES = {figure.id: figure for figure in tian2025.FIGURES}


@pytest.fixture(scope="module")
def quick():
    return {name: figure.compute("quick") for name, figure in FIGURES.items()}


def test_weights_and_table(quick):
    data = quick["tian2025-equivalence"]
    assert all(claim.holds for claim in FIGURES["tian2025-equivalence"].claims(data))
    weights = column(data["weights"], "merge", decay="1-sqrt")
    assert np.round(weights[[0, 1, 2, 15, 16]], 4).tolist() == [0.2425, 0.1005, 0.0771, 0.0308, 0.0299]
    merged = [column(data["table"], key, decay="linear", way="merge", lam=0.1)[0] for key in ("mean", "variance")]
    assert [round(float(merged[0]), 4), round(float(merged[1]), 3)] == [0.0950, 0.428]


def test_a_table_of_decays_in_place_of_merges_is_found_out(quick):
    data = dict(quick["tian2025-equivalence"])
    table = {name: np.array(values) for name, values in data["table"].items()}
    table["way"] = np.where(table["way"] == "merge", "decay", "merge")
    assert not FIGURES["tian2025-equivalence"].claims({**data, "table": table})[-1].holds


def test_runs_come_out_as_they_are(quick):
    claims = FIGURES["tian2025-runs"].claims(quick["tian2025-runs"])
    assert [claim.holds for claim in claims] == [True, True, True, True, False]
    assert all(claim.reason for claim in claims if not claim.holds)
    assert [claim.own for claim in claims] == [False, False, False, False, True]


def test_where_the_verdicts_turn(quick):
    """At the best window of each the decay wins on one problem; at a long window every checkpoint counts."""
    claims = FIGURES["tian2025-runs"].claims(quick["tian2025-runs"])
    assert "1.010 (little in the tail)" in claims[1].turns
    assert "with 2 checkpoints among the counts: 3.13 against 4.76" in claims[2].turns
    assert "8 of them are 1.51 x as bad" in claims[3].turns
