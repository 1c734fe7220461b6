"""Bergsma et al. 2025: the numbers of notes 5, and controls that have to fail."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import bergsma2025
from simlab.figures.reproduction import column

FIGURES = {figure.id: figure for figure in bergsma2025.FIGURES}


@pytest.fixture(scope="module")
def quick():
    return {name: figure.compute("quick") for name, figure in FIGURES.items()}


def test_effective_numbers_of_updates(quick):
    numbers = quick["bergsma2025-dual"]["numbers"]
    assert np.round(column(numbers, "n_eff")).tolist() == [39, 248, 318, 351]
    assert all(claim.holds for claim in FIGURES["bergsma2025-dual"].claims(quick["bergsma2025-dual"]))


def test_a_cosine_to_a_tenth_has_other_numbers(quick):
    data = dict(quick["bergsma2025-dual"])
    numbers = {name: np.array(values) for name, values in data["numbers"].items()}
    numbers["n_eff"][1] = 317.27  # what 10x decay by cosine has
    claims = FIGURES["bergsma2025-dual"].claims({**data, "numbers": numbers})
    assert not claims[0].holds


def test_lengths_come_out_as_they_are(quick):
    claims = FIGURES["bergsma2025-lengths"].claims(quick["bergsma2025-lengths"])
    # Cosine to zero is as close to linear as published, but on the other side.
    assert [claim.text for claim in claims if not claim.holds] == ["cosine to zero is about 0.1 % worse"]


def test_with_the_schedules_swapped_nothing_crosses_the_right_way(quick):
    ends = {name: np.array(values) for name, values in quick["bergsma2025-lengths"]["ends"].items()}
    straight, tenth = ends["schedule"] == "linear to zero", ends["schedule"] == "10x decay"
    ends["schedule"][straight], ends["schedule"][tenth] = "10x decay", "linear to zero"
    claims = FIGURES["bergsma2025-lengths"].claims({"ends": ends})
    assert not claims[0].holds
    assert not claims[1].holds
