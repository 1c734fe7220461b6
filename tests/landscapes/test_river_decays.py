"""The decays that `simlab river` draws: the closed form, what is found numerically, and the picture of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from simlab import InputError, plot, theory
from simlab.plot import river as draw
from simlab.showcase.decays import OPTIMAL, best_rates, decays

LAM = np.geomspace(1.0, 0.1, 12)
STATIONARY = 0.5 / (LAM * (2.0 - 0.5 * LAM))


def test_the_best_decay_of_one_hill_is_that_of_the_theorem():
    found = decays([0.8], steps=40, peak=0.6, noise=2.0)
    variance = 0.6 * 2.0 / (0.8 * (2.0 - 0.6 * 0.8))
    known = theory.find("river_optimal_decay")(0.8, 2.0, variance, 40)
    np.testing.assert_allclose(found.rates[OPTIMAL], known.lr, rtol=1e-13)
    np.testing.assert_allclose(found.losses[OPTIMAL], 0.5 * 0.8 * known.variance, rtol=1e-12)
    rates = found.rates[OPTIMAL]
    assert rates[0] == pytest.approx(0.3, rel=1e-14)
    np.testing.assert_allclose(np.diff(1.0 / rates), 0.8, rtol=1e-12)
    lowest = theory.find("river_variance_lower")(0.8, 2.0, variance, 40)
    assert found.losses[OPTIMAL][-1] == pytest.approx(0.4 * float(lowest), rel=1e-12)
    assert {loss[0] for loss in found.losses.values()} == {found.losses[OPTIMAL][0]}
    assert all(loss[-1] > 1.5 * found.losses[OPTIMAL][-1] for name, loss in found.losses.items() if name != OPTIMAL)


def test_two_ways_to_the_best_decay_of_a_spread_of_hills():
    """L-BFGS with the adjoint against sweeps over the steps, which share nothing; and no step of it can be improved."""
    rates = best_rates(LAM, np.ones(12), STATIONARY, 30, cap=0.5)
    known = theory.find("river_spread_decay")(LAM, 1.0, STATIONARY, 30, cap=0.5)
    np.testing.assert_allclose(rates, known.lr, rtol=1e-5)
    found = decays(LAM, steps=30)
    assert found.losses[OPTIMAL][-1] == pytest.approx(known.loss, rel=1e-12)
    np.testing.assert_allclose(found.rates[OPTIMAL], rates, rtol=1e-14)

    def final(lr):
        v = STATIONARY.copy()
        for rate in lr:
            v = (1.0 - rate * LAM) ** 2 * v + rate**2
        return 0.5 * LAM @ v

    for t in (0, 7, 29):
        for factor in (0.99, 1.01):
            moved = rates.copy()
            moved[t] *= factor
            assert final(moved) > final(rates)


def test_a_peak_beyond_the_cap_is_refused():
    with pytest.raises(InputError, match="peak = 2"):
        decays([1.0], peak=2.5)


def test_the_picture_names_what_every_decay_leaves(tmp_path):
    cases = {"one": decays([1.0], steps=20), "many": decays(LAM, steps=20)}
    figure = draw.decays(cases)
    assert len(figure.axes) == 4
    for axes, case in zip(figure.axes[2:], cases.values(), strict=True):
        ends = [loss[-1] / case.losses[OPTIMAL][-1] for loss in case.losses.values()]
        assert [text.get_text() for text in axes.texts] == ["1", *(f"× {ratio:.2f}" for ratio in ends[1:])]
        heights = sorted(float(np.log(text.xy[1])) for text in axes.texts)
        assert np.diff(heights).min() > 0.1, "labels do not touch"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["optimal", "linear", "1-sqrt", "cosine"]
    with Image.open(plot.save(figure, tmp_path / "decays.png")) as picture:
        assert np.asarray(picture.convert("L")).std() > 10
    with pytest.raises(InputError, match="cases is empty"):
        draw.decays({})
