"""Figures of this project's theorems: what is claimed of them is not claimed of numbers that are wrong."""

from __future__ import annotations

import pytest
from simlab.figures.results import sandwich

from tests.figures.claimed import FIGURES, changed, held

pytestmark = pytest.mark.thorough


def test_exact_risks_lie_in_the_sandwich():
    name = "results-sandwich"
    data = FIGURES[name].compute("tiny")
    assert held(name, data) == [0, 2]
    assert held(name, changed(data, "ends", "exact", 0.99, share=0.01)) == [2]
    assert held(name, changed(data, "ends", "upper", 1.1, share=0.01)) == [2]
    assert held(name, changed(data, "identity", "said", 1.0 + 1e-9)) == [0]
    assert 1 in held(name, changed(data, "ends", "exact", 1.16, way=sandwich.WAYS[3], share=0.9))


def test_runs_of_every_method_end_at_the_closed_form():
    name = "results-two-state"
    data = FIGURES[name].compute("tiny")
    assert held(name, data) == [0, 1, 2]
    assert held(name, changed(data, "floors", "said", 1.0 + 1e-7)) == [1, 2]
    assert held(name, changed(data, "floors", "mass", 1.0 + 1e-7, method="ASGD")) == [0, 2]
    assert held(name, changed(data, "edges", "above", 0.0, method="QHM")) == [0, 1]


def test_the_subgradient_method_reaches_its_worst_case():
    name = "results-last-iterate"
    data = FIGURES[name].compute("tiny")
    assert held(name, data) == [0, 2, 3]
    longest = changed(data, "best", "known", 0.95)
    assert held(name, longest) == [0, 1, 2, 3]
    assert held(name, changed(longest, "bounds", "known", 0.5)) == [0, 2, 3]
    assert held(name, changed(data, "bounds", "run", 1.0 + 1e-5)) == [2, 3]
    assert held(name, changed(data, "best", "worst", 1.0 + 1e-8, shape="linear")) == [0, 3]
    assert held(name, changed(data, "norms", "attained", 0.0, scatter=0.3)) == [0, 2]
