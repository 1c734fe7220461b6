"""Three more models, of other widths, batches and lengths, not seen before the transient was made."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab.twin.report import covered
from tests.twin.trunks.recipes import SCHEDULES, TRUNKS, measured, rates

THREE = ["constant_4000", "cosine_4000", "wsd_3200_4000"]
ONE = ["wsd_3200_4000"]
LOW, MIDDLE = "lowcosine_4000", "midwsd_4000"

runs = pytest.fixture(scope="module", name="runs")(lambda: {trunk: measured(trunk) for trunk in TRUNKS})


def judged(runs, fitted, names):
    """Mean absolute error and cover of the 90 % band, mean over curves."""
    twin = sl.twin.fit([runs[name] for name in fitted], weight_decay=0.1)
    bands = [(twin.predict(runs[name].schedule, 0.9, runs[name].steps), runs[name]) for name in names]
    error = np.mean([np.abs(band.loss - curve.losses).mean() for band, curve in bands])
    return float(error), float(np.mean([covered(band, curve) for band, curve in bands]))


def others(runs, fitted):
    return [name for name in runs if name not in (*fitted, LOW, MIDDLE)]


@pytest.mark.parametrize("trunk", TRUNKS)
def test_curves_are_those_of_their_schedules(runs, trunk):
    """Every run ends where its schedule does, and is the constant run as long as their rates agree."""
    every = 20 * TRUNKS[trunk].times
    for name, curve in runs[trunk].items():
        assert len(curve.schedule) == curve.steps[-1] == SCHEDULES[name][0] * TRUNKS[trunk].times
        assert set(np.diff(curve.steps)) == {every}
        size = min(len(curve.schedule), len(rates(trunk, "constant_4000")))
        parted = np.flatnonzero(rates(trunk, name)[:size] != rates(trunk, "constant_4000")[:size])
        common = curve.steps <= (parted[0] if parted.size else size)
        np.testing.assert_array_equal(curve.losses[common], runs[trunk]["constant_4000"].losses[: common.sum()])


@pytest.mark.parametrize(
    ("trunk", "fitted", "error", "cover"),
    [
        # Best of the five referees, picked afterwards: 0.0116, 0.0104, 0.0074; 0.0111, 0.0142, 0.0085. The twin at the
        # first look, without the transient: 0.0145, 0.0114, 0.0081; 0.0131, 0.0212, 0.0113.
        ("narrow", THREE, 0.01178, 0.82),
        ("wide", THREE, 0.00890, 0.96),
        ("long", THREE, 0.00779, 0.88),
        ("narrow", ONE, 0.01201, 0.94),
        ("wide", ONE, 0.01816, 0.97),
        ("long", ONE, 0.01084, 0.95),
    ],
)
def test_what_was_measured(runs, trunk, fitted, error, cover):
    found, held = judged(runs[trunk], fitted, others(runs[trunk], fitted))
    assert found < 1.1 * error
    assert held == pytest.approx(cover, abs=0.04)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_third_peak_between_two(runs, trunk):
    """0.0098, 0.0116 and 0.0073 off, cover 0.84, 0.84 and 0.96."""
    error, cover = judged(runs[trunk], [*THREE, LOW], [MIDDLE])
    assert error < 0.014
    assert cover > 0.75


def test_a_lower_peak_than_two_can_be_missed(runs):
    """0.4 of the peak from 1 and 0.65: 0.041 off, cover 0.31 (wide 0.008 and 1.00, long 0.016 and 0.92)."""
    with pytest.warns(UserWarning, match=r"peak 0.0016 lies below 0.0026, the lowest that was trained at"):
        error, _ = judged(runs["narrow"], [*THREE, MIDDLE], [LOW])
    assert error < 0.05
