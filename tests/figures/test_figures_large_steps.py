"""Catapults, critical periods, oscillation: recursions of a few numbers, against what they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import kleinman2023, lewkowycz2020, lu2023

from tests.figures.claimed import verdicts

pytestmark = pytest.mark.thorough


def test_catapult():
    (figure,) = lewkowycz2020.FIGURES
    data = figure.compute("quick")
    assert verdicts(figure, data) == [True] * 6
    for rate in (0.75, 1.25, 1.75):
        two = lewkowycz2020.catapult(np.array([rate]), 64, 40)[0]
        assert lewkowycz2020.network(rate, 64, 40) == pytest.approx(two, rel=1e-9, abs=1e-9)
    # Half the push on the curvature, and nothing is thrown anywhere flat.
    lam = np.asarray(data["ends"]["lam"])
    ends = {**data["ends"], "lam": np.where(np.asarray(data["ends"]["product"]) > 2.0, 1.0, lam)}
    assert verdicts(figure, {**data, "ends": ends})[:3] == [True, False, True]
    assert not verdicts(figure, {**data, "noise": {**data["noise"], "law": np.full_like(lam, 2.0)[:1].repeat(123)}})[5]


def test_critical_periods():
    (figure,) = kleinman2023.FIGURES
    data = figure.compute("quick")
    assert verdicts(figure, data) == [True] * 6
    # Depth 1 is linear: K_1 - K_2 stays what the deficit made it.
    path = kleinman2023.strengths(1, 2_000, (0, 50))
    gap = path[:, 0] - path[:, 1]
    assert gap[50:] == pytest.approx(gap[50], rel=1e-12)
    # Without a deficit both share S.
    assert kleinman2023.strengths(3, 2_000)[-1] == pytest.approx([2.0, 2.0], rel=1e-3)
    onset = np.asarray(data["ends"]["onset"])
    ends = {**data["ends"], "two": np.asarray(data["ends"]["two"])[np.argsort(-onset, kind="stable")]}
    assert not verdicts(figure, {**data, "ends": ends})[2]


def test_oscillation():
    (figure,) = lu2023.FIGURES
    data = figure.compute("quick")
    assert verdicts(figure, data) == [True, True, False, True, True]
    ends = lu2023.learned(np.array([0.05, 0.12, 0.14, 0.2]), 3_000)[:, -1, 1]
    assert ends == pytest.approx([0.078, 0.083, 0.387, 0.724], abs=1e-3)
    weak = {**data["ends"], "weak": np.full(len(data["ends"]["weak"]), 0.08)}
    assert verdicts(figure, {**data, "ends": weak})[:3] == [True, False, True]
