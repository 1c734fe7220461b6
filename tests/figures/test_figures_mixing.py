"""Domains drawn more often or weighed more: claims are refused for numbers that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import li2024_mixing

from tests.figures.claimed import FIGURES, changed, held

pytestmark = pytest.mark.thorough


def test_upsampling_at_the_end_is_weighed_by_what_the_rest_counts():
    data = FIGURES["blakeney2024-upsampling"].compute("tiny")
    name = "blakeney2024-upsampling"
    assert held(name, data) == [2, 3]
    assert "c = 0.5 cosine" in FIGURES[name].claims(data)[1].turns
    assert 1 in held(name, changed(data, "ends", "B", 0.5, last=0.2))
    assert 0 not in held(name, changed(data, "ends", "A", 2.0, last=0.0))
    assert 2 not in held(name, changed(data, "probe", "risk", -1.0, last=0.2))
    assert 3 not in held(name, changed(data, "ends", "B", 0.5, decay="cosine", last=0.3))


def test_drawing_and_weighing_are_one_under_full_gradients_only():
    name = "li2024mixing-variance"
    data = FIGURES[name].compute("tiny")
    assert held(name, data) == [0, 2]
    weighed = {"way": li2024_mixing.WAYS[1]}
    assert 0 not in held(name, changed(data, "runs", "risk", 1.0 + 1e-8, batch=li2024_mixing.FULL, **weighed))
    assert 1 in held(name, changed(data, "runs", "risk", 1.2, batch=1, **weighed))
    assert 0 not in held(name, changed(data, "first", "engine", 1.0 + 1e-8))


def test_the_noise_at_which_weighing_wins_is_the_formulas_at_small_rates():
    lr, noise = li2024_mixing.SLOWER, np.array(li2024_mixing.LOUD)
    tables = {"begin": [], "lr": [], "loud": [], "drawn": [], "weighed": [], "excess": []}
    for begin in (0.0, 1.0):
        for j, rate in enumerate(lr):
            crossing = (16.0, 11.0, 10.0)[j] + 10.0 * begin
            rows = [noise, np.ones(8), crossing / noise, np.log(10.0 / noise)]
            for key, values in zip(("loud", "drawn", "weighed", "excess"), rows, strict=True):
                tables[key] += values.tolist()
            tables["begin"] += [begin] * 8
            tables["lr"] += [rate] * 8
    name = "li2024mixing-variance"
    data = {**FIGURES[name].compute("tiny"), "loud": tables}
    assert 2 in held(name, data)
    assert 2 not in held(name, changed(data, "loud", "weighed", 1.1, lr=lr[2], begin=0.0))
    assert 2 not in held(name, changed(data, "loud", "weighed", 0.5, begin=1.0))
