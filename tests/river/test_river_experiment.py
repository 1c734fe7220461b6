"""Experiment files of river valleys: `simlab run` on them, what they leave, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from simlab import methods, schedules
from simlab.cli import app
from simlab.engines.valley import exact_valley
from simlab.errors import InputError
from simlab.experiment import Experiment
from simlab.experiment.valley import RiverExperiment, is_river, z_table
from simlab.river.straight import StraightValley

STRAIGHT = """
engine = { kind = "both", replicas = 128, seed = 5 }
[problem]
kind = "river-straight"
hills = [1, 20]
count = 30
slope = 0.25
noise = 0.5
[schedule]
steps = 300
peak = 0.05
[[compare.schedules]]
kind = "cosine"
[[compare.schedules]]
kind = "wsd"
[record]
steps = "linear"
"""

CURVED = """
[problem]
kind = "River_Curved"
mu = 0
lam = 8
slope = 0.1
noise = 2.0
noise_kind = "hills"
[schedule]
kind = "wsd"
steps = 200
peak = 0.1
[method]
kind = "heavy_ball"
momentum = 0.5
[engine]
kind = "sample"
replicas = 64
"""


def run(text, tmp_path, *options, code=0):
    file = tmp_path / "river.toml"
    file.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["run", str(file), "-o", str(tmp_path / "out"), *options])
    assert result.exit_code == code, result.output
    return result.output


def test_straight_by_both_engines(tmp_path):
    text = run(STRAIGHT, tmp_path)
    assert "StraightValley(river of slope 0.25; 30 hills" in text
    assert "sampled against exact: largest |z| of" in text
    left = {p.name for p in (tmp_path / "out").iterdir()}
    assert left == {"trace.zarr", "sampled.zarr", "risk.png", "risk.pdf", "experiment.toml"}
    trace = xr.open_zarr(tmp_path / "out" / "trace.zarr", consolidated=False).load()
    known = exact_valley(
        StraightValley(np.geomspace(20.0, 1.0, 30), slope=0.25, noise=0.5),
        {"wsd": methods.sgd(schedules.wsd(300, 0.05))},
        record="linear",
        progress=False,
    )
    np.testing.assert_allclose(trace["total"].sel(run="wsd"), known["total"].sel(run="wsd"), rtol=1e-13)
    assert json.loads(trace.attrs["experiment"])["problem"]["count"] == 30
    sampled = xr.open_zarr(tmp_path / "out" / "sampled.zarr", consolidated=False).load()
    assert list(sampled["run"].values) == ["cosine", "wsd"]
    z = abs((sampled["total"] - trace["total"]) / sampled["total_error"].where(sampled["total_error"] > 1e-9))
    assert 0.5 < float(z.max()) < 6.5
    assert f"total {float(z.max()):.2f}" in z_table(sampled, trace)


def test_a_curved_valley_is_sampled(tmp_path):
    text = run(CURVED, tmp_path, "--no-figure")
    assert "curved(" in text
    assert "+-" in text
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"trace.zarr", "experiment.toml"}
    trace = xr.open_zarr(tmp_path / "out" / "trace.zarr", consolidated=False).load()
    assert trace["river"].isel(step=-1).item() > 1.0
    np.testing.assert_allclose(trace["total"], trace["river_loss"] + trace["hill_loss"], rtol=1e-9, atol=1e-12)


def test_a_diverging_run_is_a_result_and_warned_of(tmp_path):
    text = run(STRAIGHT.replace("peak = 0.05", "peak = 0.15"), tmp_path)
    assert "diverged at step" in text
    assert "is not below 0.1, where curvature 20 becomes unstable" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            CURVED.replace('kind = "sample"', 'kind = "exact"').replace("replicas = 64", ""),
            "engine = 'exact' cannot run",
        ),
        (CURVED.replace("lam = 8", "lambda = 8"), "did you mean 'lam'"),
        (CURVED.replace('"hills"', '"hill"'), "problem.noise_kind: 'hill' is not known; did you mean 'hills'"),
        (CURVED.replace("noise = 2.0", "noise = -2.0"), "problem.noise = -2.0"),
        (CURVED + '[record]\nsubspaces = "log_bins(2)"\n', "only river-straight has it"),
        (CURVED.replace("River_Curved", "river-curvy"), "did you mean 'river-curved'"),
        (STRAIGHT.replace("slope = 0.25", "slope = 0.25\ncurvature = 1.0"), "both given"),
        (STRAIGHT.replace("[1, 20]", "[1, 2, 20]"), "with count; give two positive curvatures"),
        (STRAIGHT.replace("seed = 5", "law = 5"), "law"),
        (STRAIGHT.replace('steps = "linear"', "snapshots = [3]"), "snapshots"),
    ],
)
def test_refusals_are_one_sentence(text, message, tmp_path):
    output = run(text, tmp_path, code=2)
    assert message in output
    assert len(output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_other_doors_say_where_a_river_is_run():
    tree = {"problem": {"kind": "river-straight", "hills": [1.0], "slope": 1.0}, "schedule": {"kind": "constant"}}
    assert is_river(tree)
    assert not is_river({"problem": {"kind": "power_law"}})
    with pytest.raises(InputError, match="is a river valley; give the file to simlab run"):
        Experiment.from_dict(tree)
    tree["schedule"] = {"kind": "constant", "steps": 5, "peak": 0.1}
    assert "StraightValley" in repr(RiverExperiment.from_dict(tree))
