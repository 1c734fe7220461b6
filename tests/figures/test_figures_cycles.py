"""Cycles, UBA and hidden decays: what regression reproduces and what not, and controls."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import lyle2024, portes2022, smith2017, tang2025

from tests.figures.claimed import verdicts

pytestmark = pytest.mark.thorough


def test_super_convergence_is_not_that_of_a_regression():
    (figure,) = smith2017.FIGURES
    data = figure.compute("quick")
    assert verdicts(figure, data) == [True, False, False, True, True, False, True]
    assert smith2017.faster(data, "little in the tail", "1cycle", "step") == pytest.approx(1.18, abs=0.02)
    assert smith2017.faster(data, "little in the tail", "linear", "step") == pytest.approx(1.41, abs=0.02)
    way = np.asarray(data["risks"]["way"])
    # A triangle that left a tenth of the risk would be seen.
    risk = np.where(way == "one triangle", 0.1, 1.0) * np.asarray(data["risks"]["risk"])
    assert verdicts(figure, {**data, "risks": {**data["risks"], "risk": risk}})[2]


def test_growing_cycles():
    (figure,) = portes2022.FIGURES
    data = figure.compute("quick")
    assert verdicts(figure, data) == [False, True, True, True]
    assert "within 5 % up to s = 0.13" in figure.claims(data)[0].turns
    assert portes2022._ratio(data, 2.0, 0.1)[[0, -1]] == pytest.approx([1.0, 1.18], abs=0.01)
    curves = {**data["curves"], "growing": np.asarray(data["curves"]["alone"])}
    assert verdicts(figure, {**data, "curves": curves}) == [True, True, True, True]
    ranks = {**data["ranks"], "growing": 1.0 / np.asarray(data["ranks"]["growing"])}
    assert not verdicts(figure, {**data, "ranks": ranks})[1]


def test_hidden_decay():
    (figure,) = lyle2024.FIGURES
    data = figure.compute("quick")
    assert verdicts(figure, data) == [True] * 5
    walk = {**data["norm"], "walk": np.asarray(data["norm"]["law"]) * np.geomspace(1.0, 2.0, len(data["norm"]["law"]))}
    assert not verdicts(figure, {**data, "norm": walk})[0]
    way = np.asarray(data["jumps"]["way"])
    swapped = {**data["jumps"], "way": np.where(way == "projected", "no projection", "projected")}
    assert verdicts(figure, {**data, "jumps": swapped}) == [True, False, False, False, True]


def test_uba_is_not_the_best_of_all():
    (figure,) = tang2025.FIGURES
    data = figure.compute("quick")
    assert verdicts(figure, data) == [False, False, False]
    schedule = np.asarray(data["risks"]["schedule"])
    uba = np.isin(schedule, [f"{phi:g}" for phi in tang2025.PHIS])
    risk = np.asarray(data["risks"]["risk"])
    assert verdicts(figure, {**data, "risks": {**data["risks"], "risk": np.where(uba, 0.85 * risk, risk)}})[1]
    assert verdicts(figure, {**data, "risks": {**data["risks"], "risk": np.where(uba, 1.0, risk)}})[2]
    # phi = 2 is cosine.
    for task in tang2025.tasks():
        two, cosine = (tang2025._risk(data, task, 1.0, name) for name in ("2", "cosine"))
        assert two == pytest.approx(cosine, rel=1e-9)
