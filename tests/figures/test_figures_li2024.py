"""Li et al. 2024: the numbers of notes 1.5, where the claims hold and where not, and controls that have to fail."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import li2024, li2024_bands
from simlab.figures.reproduction import column

FIGURES = {figure.id: figure for figure in [*li2024.FIGURES, *li2024_bands.FIGURES]}


@pytest.fixture(scope="module")
def quick():
    return {name: figure.compute("quick") for name, figure in FIGURES.items()}


def verdicts(data, name):
    return [claim.holds for claim in FIGURES[name].claims(data)]


def test_parameters_are_those_of_the_notes():
    rule = li2024.rule(2_000)
    assert [round(rule["gamma"], 3), round(rule["beta"], 5), round(rule["alpha"], 4)] == [0.922, 0.00723, 0.9928]


def test_directions(quick):
    claims = FIGURES["li2024-directions"].claims(quick["li2024-directions"])
    # Along e_30 the noise of momentum comes before its gain.
    assert [claim.holds for claim in claims] == [True, True, False, True]
    assert "e_30 at N = 100" in claims[2].seen
    assert "e_10" not in claims[2].seen


def test_every_number_of_the_reference_table(quick):
    ends = quick["li2024-directions"]["ends"]
    for (n, start), given in li2024.REFERENCE.items():
        found = [
            column(ends, key, N=n, start=start, method=name)[0]
            for name in li2024.METHODS
            for key in ("bias", "variance")
        ]
        assert [f"{value:.2e}" for value in found] == [f"{value:.2e}" for value in given]


def test_bands(quick):
    data = quick["li2024-bands"]
    assert verdicts(data, "li2024-bands") == [True] * 4
    cut = data["cutoffs"]
    assert [int(np.asarray(cut[key])[0]) for key in ("k_ddagger", "k_hat", "k_dagger")] == [0, 2, 11]


def test_map_of_gain_and_loss(quick):
    claims = FIGURES["li2024-map"].claims(quick["li2024-map"])
    # The border between loss and gain is no constant k-hat: it moves up with N.
    assert [claim.holds for claim in claims] == [False, False, True]
    assert "up to e_1 lose at N = 30, up to e_4 at N = 2,000" in claims[0].seen


def test_sgd_in_the_place_of_asgd_is_found_out(quick):
    """A long step equal to the short one is SGD: no gain, no loss."""
    ends = {name: np.array(values) for name, values in quick["li2024-directions"]["ends"].items()}
    sgd, asgd = (ends["method"] == name for name in li2024.METHODS)
    for key in ("bias", "variance"):
        ends[key][asgd] = ends[key][sgd]
    wrong = FIGURES["li2024-directions"].claims({**quick["li2024-directions"], "ends": ends})
    assert [claim.holds for claim in wrong] == [False] * 4


def test_a_halved_variance_breaks_the_lower_bound(quick):
    modes = {name: np.array(values) for name, values in quick["li2024-bands"]["modes"].items()}
    modes["variance"] = 0.5 * modes["variance"]
    assert not verdicts({**quick["li2024-bands"], "modes": modes}, "li2024-bands")[3]
