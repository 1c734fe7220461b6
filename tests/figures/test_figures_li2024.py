"""Li et al. 2024: reference numbers, rates of the mean, where the claims turn, and controls that have to fail."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import li2024, li2024_bands, li2024_map
from simlab.figures.reproduction import column

pytestmark = pytest.mark.thorough

FIGURES = {figure.id: figure for figure in [*li2024.FIGURES, *li2024_bands.FIGURES, *li2024_map.FIGURES]}


@pytest.fixture(scope="module")
def quick():
    return {name: figure.compute("quick") for name, figure in FIGURES.items()}


def verdicts(data, name):
    return [claim.holds for claim in FIGURES[name].claims(data)]


def test_parameters_follow_from_the_rule():
    rule = li2024.rule(2_000)
    assert [round(rule["gamma"], 3), round(rule["beta"], 5), round(rule["alpha"], 4)] == [0.922, 0.00723, 0.9928]


def test_rates_are_the_eigenvalues_of_the_recursion():
    """Against the 2 x 2 matrix of (w, u) itself, in the form of the method."""
    rule = li2024.rule(2_000)
    delta, gamma, alpha, beta = (rule[key] for key in ("delta", "gamma", "alpha", "beta"))
    radii = li2024.radii(2_000, rule)
    for i in (1, 2, 3, 4, 11, 12, 30, 2_000):
        lam = float(i) ** -2
        # y = alpha w + (1 - alpha) u; w' = y - delta lam y; u' = beta y + (1 - beta) u - gamma lam y.
        y = np.array([alpha, 1.0 - alpha])
        step = np.stack([(1.0 - delta * lam) * y, (beta - gamma * lam) * y + np.array([0.0, 1.0 - beta])])
        assert radii["ASGD"][i - 1] == pytest.approx(np.abs(np.linalg.eigvals(step)).max(), rel=1e-9)
    assert np.round(radii["ASGD"][[0, 1, 2, 3]], 5).tolist() == [0.94185, 0.98030, 0.98726, 0.98969]


def test_directions(quick):
    claims = FIGURES["li2024-directions"].claims(quick["li2024-directions"])
    assert [claim.verdict for claim in claims] == ["chosen", "chosen", "holds", "holds"]
    # Along e_30 the noise of momentum comes before its gain.
    assert "e_30: 0.784 .. 1.039; below 1 from N = 50 on for e_10; below 1 from N = 200 on for e_30" in claims[1].turns


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
    assert [claim.verdict for claim in claims] == ["chosen", "chosen", "chosen", "holds"]
    assert claims[0].computed == "0.94185 > 0.90000 (i = 1), 0.98030 > 0.97500 (i = 2)"
    # Rates are asymptotic: in few samples the mean along e_2 is the smaller under ASGD.
    assert "e_1 loses from N = 30 on, e_2 loses from N = 244 on" in claims[0].turns
    assert "rates: 1998 of 1998" in claims[1].computed
    assert "averages: 90 of 90" in claims[1].computed
    assert claims[3].computed == "up to e_1 at N = 30, up to e_4 at N = 2,000; k-hat = 2"


def test_the_bias_with_its_noise_is_not_the_bias_of_the_claim(quick):
    """In the place of the mean, the risk without label noise has directions beyond k-hat that lose."""
    data = quick["li2024-map"]
    wrong = {**data["map"], "mean": data["map"]["bias"]}
    assert [claim.holds for claim in FIGURES["li2024-map"].claims({**data, "map": wrong})] == [True, False, True, True]


def test_sgd_in_the_place_of_asgd_is_found_out(quick):
    """A long step equal to the short one is SGD: no gain, no loss."""
    ends = {name: np.array(values) for name, values in quick["li2024-directions"]["ends"].items()}
    sgd, asgd = (ends["method"] == name for name in li2024.METHODS)
    for key in ("bias", "variance"):
        ends[key][asgd] = ends[key][sgd]
    wrong = FIGURES["li2024-directions"].claims({**quick["li2024-directions"], "ends": ends})
    assert [claim.holds for claim in wrong] == [False] * 4
    for name, table, key in (("li2024-map", "rates", "rate"), ("li2024-bands", "modes", "rate")):
        data = quick[name]
        same = {column_: np.array(values) for column_, values in data[table].items()}
        same[key][same["method"] == "ASGD"] = same[key][same["method"] == "SGD"]
        found = [claim.holds for claim in FIGURES[name].claims({**data, table: same})]
        assert found == {"li2024-map": [False, False, True, True], "li2024-bands": [True, False, True, True]}[name]


def test_a_halved_variance_breaks_the_lower_bound(quick):
    modes = {name: np.array(values) for name, values in quick["li2024-bands"]["modes"].items()}
    modes["variance"] = 0.5 * modes["variance"]
    assert not verdicts({**quick["li2024-bands"], "modes": modes}, "li2024-bands")[3]
