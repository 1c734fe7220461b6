"""Curves of logs that hold a rate for some steps only: where it jumps, and what is believed behind that."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import simlab as sl
from tests.twin.runs import HELD_OUT, TRAINED, WARMUP

FLAT = [(0, 1.0), (64, 1.0), (128, 1.0)]
LOW = [(256, 0.1), (320, 0.1), (384, 0.1), (448, 0.1), (512, 0.1)]


def log(path, rates):
    rows = [f"{t},{1e-3 * rate:g},{3.0 + 100.0 / (100.0 + t):.4f}" for t, rate in rates]
    path.write_text("\n".join(["step,lr,loss", *rows]) + "\n")
    return path


def test_a_rate_jumps_halfway_and_losses_shortly_behind_are_left_out(tmp_path):
    said = "run.csv: the rate jumps between its rows of steps 128 and 256, and is taken to jump at 192, losses up to"
    with pytest.warns(UserWarning, match=f"{said} step 512 being left out") as caught:
        curve = sl.twin.Curve.from_log(log(tmp_path / "run.csv", [*FLAT, *LOW, (576, 0.1)]))
    assert len(caught) == 1
    np.testing.assert_allclose(curve.schedule.values(), np.where(np.arange(577) < 192, 1e-3, 1e-4), rtol=1e-12)
    assert curve.steps.tolist() == [0, 64, 128, 576]


def test_a_fall_that_is_no_jump_is_a_line(tmp_path):
    """It falls on behind: within a quarter of the peak silently, else with a notice."""
    with pytest.warns(UserWarning, match="its rows of steps 128 and 256, and is taken for a straight line"):
        curve = sl.twin.Curve.from_log(log(tmp_path / "run.csv", [*FLAT, (256, 0.4), (320, 0.3)]))
    assert curve.schedule(192) == pytest.approx(0.7e-3)
    assert len(curve) == 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve = sl.twin.Curve.from_log(log(tmp_path / "slow.csv", [*FLAT, (256, 0.8), (320, 0.8)]))
    assert curve.schedule(192) == pytest.approx(0.9e-3)


@pytest.mark.parametrize("between", ["jumps", "hold"])
def test_a_jump_that_the_log_tells_is_where_it_is(tmp_path, between):
    """Rates of every step, losses of some; or rates that are said to hold."""
    rates = [(t, 1.0 if t < 200 else 0.1) for t in range(400)]
    text = log(tmp_path / "run.csv", rates).read_text().splitlines()
    rows = [text[0], *(line if t % 50 == 0 else line.rpartition(",")[0] + "," for t, line in enumerate(text[1:]))]
    (tmp_path / "run.csv").write_text("\n".join(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve = sl.twin.Curve.from_log(tmp_path / "run.csv", between=between)
        held = sl.twin.Curve.from_log(log(tmp_path / "few.csv", [*FLAT, *LOW]), between="hold")
    assert curve.steps.tolist() == list(range(0, 400, 50))
    np.testing.assert_array_equal(curve.schedule.values(), [1e-3 * rate for _, rate in rates])
    assert len(held) == 8


@pytest.mark.filterwarnings("ignore:.*the rate jumps between its rows of steps 7936 and 8000:UserWarning")
@pytest.mark.parametrize(("size", "error"), [("25M", 0.0022), ("100M", 0.0014)])
def test_logs_tell_as_much_as_recipes(shared_data, size, error):
    """0.0021 and 0.0013, with the recipes 0.0020 and 0.0012; straight lines in place of jumps: 0.0022 and 0.0028."""
    folder = shared_data / "loss_curves" / "multi_power_law" / size
    curves = {name: sl.twin.Curve.from_log(folder / f"{name}.csv", warmup=WARMUP) for name in (*TRAINED, *HELD_OUT)}
    twin = sl.twin.fit([curves[name] for name in TRAINED], weight_decay=0.1)
    off = [np.abs(twin.predict(c.schedule, 0.9, c.steps).loss - c.losses).mean() for c in map(curves.get, HELD_OUT)]
    assert np.mean(off) < error
