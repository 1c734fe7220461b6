"""Models made for this project: three that the transient was made in sight of, and three that it had not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import simlab as sl
from simlab.twin.report import covered
from tests.twin.trunks.recipes import AGAIN, LOWER, TRUNKS, measured, rates, schedules_of

THREE = ["constant_4000", "cosine_4000", "wsd_3200_4000"]
ONE = ["wsd_3200_4000"]
LOW, MIDDLE = "lowcosine_4000", "midwsd_4000"

runs = pytest.fixture(scope="module", name="runs")(lambda: {trunk: measured(trunk) for trunk in TRUNKS | AGAIN})


def judged(runs, fitted, names):
    """Mean absolute error and cover of the 90 % band, mean over curves."""
    twin = sl.twin.fit([runs[name] for name in fitted], weight_decay=0.1)
    bands = [(twin.predict(runs[name].schedule, 0.9, runs[name].steps), runs[name]) for name in names]
    error = np.mean([np.abs(band.loss - curve.losses).mean() for band, curve in bands])
    return float(error), float(np.mean([covered(band, curve) for band, curve in bands]))


def others(runs, fitted):
    return [name for name in runs if name not in (*fitted, LOW, MIDDLE, *LOWER)]


@pytest.mark.parametrize("trunk", TRUNKS | AGAIN)
def test_curves_are_those_of_their_schedules(runs, trunk):
    """Every run ends where its schedule does, and is the constant run as long as their rates agree."""
    times = (TRUNKS | AGAIN)[trunk].times
    for name, curve in runs[trunk].items():
        assert len(curve.schedule) == curve.steps[-1] == schedules_of(trunk)[name][0] * times
        assert set(np.diff(curve.steps)) == {20 * times}
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
        ("longer", THREE, 0.00680, 0.90),  # the best referee: 0.0069, in the twin's clock; 0.0083
        ("narrow", ONE, 0.01201, 0.94),
        ("wide", ONE, 0.01816, 0.97),
        ("long", ONE, 0.01084, 0.95),
        ("longer", ONE, 0.01120, 0.89),  # 0.0084, 0.0087
    ],
)
def test_what_was_measured(runs, trunk, fitted, error, cover):
    found, held = judged(runs[trunk], fitted, others(runs[trunk], fitted))
    assert found < 1.1 * error
    assert held == pytest.approx(cover, abs=0.04)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_third_peak_between_two(runs, trunk):
    """0.0098, 0.0116, 0.0073 and 0.0103 off, cover 0.84, 0.84, 0.96 and 0.90."""
    error, cover = judged(runs[trunk], [*THREE, LOW], [MIDDLE])
    assert error < 0.014
    assert cover > 0.75


@pytest.mark.thorough
def test_long_runs_are_told_a_third_better_than_by_laws_in_the_rate_itself(runs):
    """In means of ten records, by which the noise of 0.008 counts a third: 0.0035, and 0.0052, 0.0071, 0.0076.

    The functional law at the twin's effective rate has 0.0035 too.
    """
    curves, names = runs["longer"], others(runs["longer"], THREE)
    fitted = [curves[name] for name in THREE]

    def off(predict):
        return np.mean([np.abs(_tens(predict(curves[name]) - curves[name].losses)).mean() for name in names])

    twin = sl.twin.fit(fitted, weight_decay=0.1)
    own = off(lambda c: twin.predict(c.schedule, steps=c.steps).loss)
    laws = {name: sl.twin.laws.fit(fitted, name, weight_decay=0.1) for name in sl.twin.laws.LAWS}
    errors = {name: off(lambda c, law=law: law.predict(c.schedule, c.steps).loss) for name, law in laws.items()}
    assert own == pytest.approx(0.0035, rel=0.05)
    assert own < 1.1 * errors.pop("functional-effective")
    assert own < 0.7 * min(errors.values())


def _tens(values):
    return values[: values.size // 10 * 10].reshape(-1, 10).mean(axis=1)


def test_a_lower_peak_than_two_can_be_missed(runs):
    """0.4 of the peak from 1 and 0.65: 0.041 off, cover 0.31 (wide 0.008 and 1.00, long 0.016 and 0.92, longer 0.005
    and 0.99).
    """
    with pytest.warns(UserWarning, match=r"peak 0.0016 lies below 0.0026, the lowest that was trained at"):
        error, _ = judged(runs["narrow"], [*THREE, MIDDLE], [LOW])
    assert error < 0.05


@pytest.mark.parametrize(
    ("trunk", "error", "without", "cover"),
    [("narrow again", 0.0097, 0.0118, 0.90), ("wide again", 0.0090, 0.0110, 0.97)],
)
def test_runs_that_the_transient_had_not_seen(runs, trunk, error, without, cover):
    """As it came out at the first look; the functional law, the best of five, has 0.0105 and 0.0104."""
    curves, names = runs[trunk], others(runs[trunk], THREE)
    found, held = judged(curves, THREE, names)
    assert found == pytest.approx(error, rel=0.03)
    assert held == pytest.approx(cover, abs=0.03)
    bare = replace(sl.twin.fit([curves[name] for name in THREE], weight_decay=0.1), transient=None)
    missed = [np.abs(bare.predict(c.schedule, steps=c.steps).loss - c.losses) for c in (curves[name] for name in names)]
    assert np.mean([one.mean() for one in missed]) == pytest.approx(without, rel=0.03)
    law = sl.twin.laws.fit([curves[name] for name in THREE], "functional")
    of_law = [np.abs(law.predict(c.schedule, c.steps).loss - c.losses) for c in (curves[name] for name in names)]
    assert found < np.mean([one.mean() for one in of_law])


@pytest.mark.filterwarnings("ignore:The schedule's peak")
@pytest.mark.parametrize("trunk", AGAIN)
def test_lower_peaks_are_missed_until_a_run_is_made_there(runs, trunk):
    """At 0.7, 0.5, 0.3 of the peak 0.03, 0.07, 0.18 off; with two runs at half 0.01 at 0.7 and 0.02 at 0.3."""

    curves = runs[trunk]

    def errors(fitted):
        twin = sl.twin.fit([curves[name] for name in fitted], weight_decay=0.1)
        off = {
            n: np.abs(twin.predict(curves[n].schedule, steps=curves[n].steps).loss - curves[n].losses) for n in LOWER
        }
        return [
            np.mean([off[name].mean() for name in LOWER if name.endswith(share)]) for share in ("0.7", "0.5", "0.3")
        ]

    one = errors(THREE)
    assert 0.02 < one[0] < 0.04
    assert 0.05 < one[1] < 0.08
    assert 0.14 < one[2] < 0.22
    two = errors([*THREE, "cosine at 0.5", "wsd at 0.5"])
    assert two[0] < 0.012
    assert two[2] < 0.025
