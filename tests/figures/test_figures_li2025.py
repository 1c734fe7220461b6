"""Li and Gu 2025: verdicts, where EMA loses to averaging all iterates, and controls that have to fail."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import li2025, li2025_subspaces
from simlab.figures.reproduction import column

pytestmark = pytest.mark.thorough

FIGURES = {figure.id: figure for figure in [*li2025.FIGURES, *li2025_subspaces.FIGURES]}


@pytest.fixture(scope="module")
def quick():
    return {name: figure.compute("quick") for name, figure in FIGURES.items()}


def verdicts(name, data):
    return [claim.verdict for claim in FIGURES[name].claims(data)]


def test_verdicts(quick):
    time, subspaces = (verdicts(name, quick[name]) for name in ("li2025-time", "li2025-subspaces"))
    assert time == ["reproduced", "chosen", "chosen", "chosen", "does not hold", "holds"]
    assert subspaces == ["reproduced", "reproduced", "chosen", "holds"]


def test_ema_loses_to_averaging_all_iterates_where_little_bias_is_left(quick):
    claim = FIGURES["li2025-time"].claims(quick["li2025-time"])[4]
    assert claim.computed == "1.592 (i^-1); 1.734 (i^-2); 0.517 (i^-1, errors 1)"
    assert claim.turns == ("at the largest N EMA is ahead for i^-1, errors 1, averaging all iterates for i^-1 and i^-2")


def test_window_ratio(quick):
    window = quick["li2025-subspaces"]["window"]
    ratio = column(window, "ema") / column(window, "matched")
    assert round(float(ratio.min()), 2) == 0.88
    assert round(float(ratio.max()), 2) == 1.00


def test_without_an_average_nothing_is_gained(quick):
    """SGD in the place of EMA: no claim that compares both survives, nor do the bounds."""
    data = quick["li2025-time"]
    risk = {name: np.array(values) for name, values in data["risk"].items()}
    for name in li2025.PROBLEMS:
        plain = (risk["problem"] == name) & (risk["method"] == "sgd")
        for alpha in li2025.DECAYS:
            mask = (risk["problem"] == name) & (risk["method"] == f"{alpha:g}")
            for key in ("bias", "variance"):
                risk[key][mask] = risk[key][plain]
    ends = column(risk, "bias", method="sgd") + column(risk, "variance", method="sgd")
    best = {**data["best"], "risk": np.full(np.size(data["best"]["risk"]), ends.max())}
    wrong = [claim.holds for claim in FIGURES["li2025-time"].claims({**data, "risk": risk, "best": best})]
    assert wrong == [False, True, False, False, False, False]


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
    assert wrong == ["the bias decays exponentially in every subspace, that of averaging all iterates as 1/N^2 only"]
