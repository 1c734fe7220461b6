"""Laws of loss curves and of scale: claims are refused for numbers that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.reproduction import column

from tests.figures.claimed import FIGURES, changed, held

pytestmark = pytest.mark.thorough


def test_laws_of_loss_curves_are_held_against_exact_ones():
    name = "luo2025-laws"
    data = FIGURES[name].compute("tiny")
    assert held(name, data) == [0, 1, 2, 3, 4]
    assert held(name, changed(data, "errors", "error", 10.0, law="multi-power")) == [1, 2, 3, 4]
    assert held(name, changed(data, "errors", "error", 20.0, law="functional")) == [0, 1, 3, 4]
    assert held(name, changed(data, "errors", "error", 3.0, law="spectral")) == [0, 1, 2, 3]
    assert held(name, changed(data, "cooldowns", "loss", -1.0, law="multi-power")) == [0, 2, 3, 4]
    gamma = data["fits"]["value"] + 0.6 * (data["fits"]["parameter"] == "gamma")
    assert held(name, {**data, "fits": {**data["fits"], "value": gamma}}) == [0, 1, 2, 4]


def test_long_warmups_and_fixed_rates_distort_the_best_size():
    name = "porian2024-sizes"
    data = FIGURES[name].compute("tiny")
    assert held(name, data) == [0, 1, 2, 3]
    wide = {**data["fixed"], "width": 1.2 * np.asarray(data["fixed"]["width"])}
    assert held(name, {**data, "fixed": wide}) == [2]
    small = np.asarray(data["fixed"]["compute"]) < 1e4
    flat = np.asarray(data["fixed"]["width"]) * np.where(
        small & (np.asarray(data["fixed"]["run"]) == "warmup 0"), 0.8, 1
    )
    assert 3 not in held(name, {**data, "fixed": {**data["fixed"], "width": flat}})


def test_late_switches_of_the_batch_are_held_against_early_ones():
    name = "wang2026-switching"
    data = FIGURES[name].compute("tiny")
    assert held(name, data) == [1, 2]
    assert 0 in held(name, changed(data, "paths", "risk", 5.0, switch=0.0))
    assert held(name, changed(data, "equal", "risk", 1.5, case="hard", share=0.8)) == [1]
    assert held(name, changed(data, "equal", "risk", 0.5, case="hard", share=0.1)) == [1]
    assert 1 not in held(name, changed(data, "paths", "risk", 1.2, case="hard", switch=0.5))


def test_branches_are_held_against_runs_of_their_own():
    name = "haegele2024-scaling"
    data = FIGURES[name].compute("tiny")
    assert held(name, data) == [2]
    same = column(data["losses"], "loss", way="cosine")
    losses = np.where(np.asarray(data["losses"]["way"]) == "branches", np.nan, data["losses"]["loss"])
    losses[np.isnan(losses)] = same
    assert held(name, {**data, "losses": {**data["losses"], "loss": losses}}) == [0, 1, 2]
    assert held(name, changed(data, "cost", "branches", 1.2)) == []
    assert 3 in held(name, changed(data, "cooldowns", "loss", 0.9, share=0.1))
