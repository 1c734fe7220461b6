"""Li and Gu 2025: the claims of notes 3, and controls that have to fail."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import li2025
from simlab.figures.reproduction import column

FIGURES = {figure.id: figure for figure in li2025.FIGURES}


@pytest.fixture(scope="module")
def quick():
    return {name: figure.compute("quick") for name, figure in FIGURES.items()}


@pytest.mark.parametrize("name", FIGURES)
def test_all_claims_hold(quick, name):
    assert [claim.text for claim in FIGURES[name].claims(quick[name]) if not claim.holds] == []


def test_window_ratio_is_that_of_the_notes(quick):
    window = quick["li2025-subspaces"]["window"]
    ratio = column(window, "ema") / column(window, "matched")
    assert round(float(ratio.min()), 2) == 0.88
    assert round(float(ratio.max()), 2) == 1.00


def test_another_window_is_no_match(quick):
    data = dict(quick["li2025-subspaces"])
    data["window"] = {**data["window"], "matched": data["window"]["half"]}
    wrong = [claim.text for claim in FIGURES["li2025-subspaces"].claims(data) if not claim.holds]
    assert wrong == ["EMA is worth a tail average of (1 + alpha)/(1 - alpha) iterates"]


def test_the_average_of_all_iterates_does_not_decay_exponentially(quick):
    data = dict(quick["li2025-subspaces"])
    bias = {name: np.array(values) for name, values in data["bias"].items()}
    ema, average = bias["method"] == "0.99", bias["method"] == "average"
    bias["bias"][ema] = bias["bias"][average]
    wrong = [c.text for c in FIGURES["li2025-subspaces"].claims({**data, "bias": bias}) if not c.holds]
    assert wrong == ["the bias decays exponentially in every subspace"]
