"""Tian et al. 2025: the weights and the table of notes 4, and controls that have to fail."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import tian2025
from simlab.figures.reproduction import column

FIGURES = {figure.id: figure for figure in tian2025.FIGURES}


@pytest.fixture(scope="module")
def quick():
    return {name: figure.compute("quick") for name, figure in FIGURES.items()}


def test_weights_and_table_of_the_notes(quick):
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
    # Independent noise of successive steps rewards every further checkpoint, which 8 against 16 did not in the paper.
    assert [claim.holds for claim in claims] == [True, False, True, False, False]
    assert all(claim.seen for claim in claims if not claim.holds)
