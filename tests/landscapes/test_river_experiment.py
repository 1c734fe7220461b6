"""Experiment files of river valleys: `simlab run` on them, what they leave, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from simlab import methods, river, schedules
from simlab.cli import app
from simlab.engines.descend import descend
from simlab.engines.exact_valley import exact_valley
from simlab.errors import InputError
from simlab.experiment import Experiment
from simlab.experiment.families import FAMILIES
from simlab.landscapes.straight import StraightValley

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


EMBEDDED = """
[problem]
kind = "river-embedded"
hills = [1, 9]
count = 4
seed = 2
[problem.valley]
kind = "river-curved"
slope = 0.1
[schedule]
kind = "constant"
steps = 20
peak = 0.02
"""
BIGRAM = """
[problem]
kind = "river-bigram"
determinism = [0.0, 1.0]
count = 6
noise_kind = "hessian"
[schedule]
kind = "wsd"
steps = 50
peak = 0.5
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
    assert f"total {float(z.max()):.2f}" in FAMILIES["river-straight"].z_table(sampled, trace)


def test_a_curved_valley_is_sampled(tmp_path):
    text = run(CURVED, tmp_path, "--no-figure")
    assert "curved(" in text
    assert "+-" in text
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"trace.zarr", "experiment.toml"}
    trace = xr.open_zarr(tmp_path / "out" / "trace.zarr", consolidated=False).load()
    assert trace["river"].isel(step=-1).item() > 1.0
    np.testing.assert_allclose(trace["total"], trace["river_loss"] + trace["hill_loss"], rtol=1e-9, atol=1e-12)


NARROWING = {"kind": "river-narrowing", "first": [1.0, 2.0], "last": [5.0, 20.0], "start": [4.0, 0.5, 0.1]}
KINDS = {
    "curved": ({"kind": "river-curved", "mu": 0.0, "slope": 0.1}, lambda: river.curved(mu=0.0, slope=0.1)),
    "narrowing": (NARROWING, lambda: river.narrowing([1.0, 2.0], [5.0, 20.0], start=[4.0, 0.5, 0.1])),
    "widening": ({"kind": "River_Widening", "slope": 0.3}, lambda: river.widening(slope=0.3)),
    "hyperbolic": ({"kind": "river-hyperbolic", "start": [1.0, 1.5]}, lambda: river.hyperbolic([1.0, 1.5])),
    "bigram": (
        {"kind": "river-bigram", "determinism": [0.0, 1.0], "count": 4, "vocabulary": 3},
        lambda: river.bigram(np.linspace(0.0, 1.0, 4), 3).landscape,
    ),
    "embedded": (
        {"kind": "river-embedded", "valley": NARROWING, "hills": [1, 9], "count": 3, "seed": 7},
        lambda: river.embedded(
            river.narrowing([1.0, 2.0], [5.0, 20.0], start=[4.0, 0.5, 0.1]), [9.0, 3.0, 1.0], seed=7
        ),
    ),
    "embedded as it is": (
        {"kind": "river-embedded", "valley": {"kind": "river-hyperbolic"}, "hills": [2.0], "rotate": False},
        lambda: river.embedded(river.hyperbolic(), [2.0], rotate=False),
    ),
}


@pytest.mark.parametrize("law", ["isotropic", "hessian", "hills", "loss", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_river_with_every_noise(kind, law):
    """To the bit what `descend` says of the same landscape and noise; settings of the engine are those of descend."""
    table, make = KINDS[kind]
    landscape = make()
    engine = {"kind": "sample", "replicas": 70, "seed": 3, "quantiles": [0.5], "device": "cpu", "block": 64}
    floor = {"noise_floor": -1.0} if law == "loss" else {}
    tree = {
        "problem": {**table, "noise": 0.4, "noise_kind": law, **floor},
        "schedule": {"kind": "wsd", "steps": 30, "peak": 0.02},
        "engine": engine,
    }
    if kind == "bigram" and law == "hills":
        with pytest.raises(InputError, match=r"'hills' needs the course of the river, .* not known of river-bigram"):
            Experiment.from_dict(tree)
        return
    optimum = river.bigram(np.linspace(0.0, 1.0, 4), 3).optimum if kind == "bigram" else None
    noise = {
        "isotropic": river.noise.isotropic(0.4),
        "hessian": river.noise.like_hessian(0.4, at=optimum),
        "hills": river.noise.along_hills(0.4),
        "loss": river.noise.with_loss(0.4, floor=-1.0),
        "none": river.noise.none(),
    }[law]
    got = Experiment.from_dict(tree).run(False, threads=2)
    run = {"run": methods.sgd(schedules.wsd(30, 0.02))}
    known = descend(landscape, run, noise=noise, replicas=70, seed=3, quantiles=[0.5], device="cpu")
    for name in ("total", "river_loss", "hill_loss", "river", "total_quantile"):
        np.testing.assert_array_equal(got[name].values[0], known[name].values[0])


def test_a_checkpoint_of_a_river_goes_on(tmp_path):
    """Relative to the folder of the file; what it holds is not run again."""
    tree = {
        "problem": KINDS["curved"][0],
        "schedule": {"kind": "constant", "steps": 40, "peak": 0.02},
        "engine": {"kind": "sample", "replicas": 64, "checkpoint": "state", "every": 10, "device": "cpu"},
    }
    first = Experiment.from_dict(tree, tmp_path).run(False, threads=1)
    assert any((tmp_path / "state").rglob("*"))
    again = Experiment.from_dict(tree, tmp_path).run(False, threads=1)
    np.testing.assert_array_equal(first["total"].values, again["total"].values)


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
        (CURVED.replace("replicas = 64", "replicas = 0"), "engine.replicas = 0"),
        (CURVED.replace("replicas = 64", "quantiles = [1.5]"), "engine.quantiles = 1.5"),
        (CURVED.replace("noise = 2.0", "noise = 2.0\nnoise_floor = 1.0"), 'belongs to noise_kind = "loss"'),
        (STRAIGHT.replace('steps = "linear"', "steps = [5, 301]"), "record.steps goes from 5 to 301"),
        (STRAIGHT.replace('steps = "linear"', 'subspaces = "modes(31)"'), "record.subspaces"),
        (EMBEDDED.replace('kind = "river-curved"', 'kind = "river-straight"'), "problem.valley.kind: 'river-straight'"),
        (EMBEDDED.replace("[problem.valley]", "[problem.valleys]"), "problem.valley is missing"),
        (EMBEDDED.replace("slope = 0.1", "noise = 0.1"), "problem.valley.noise is not taken"),
        (EMBEDDED.replace("slope = 0.1", "slopes = 0.1"), "parameter of problem.valley (river-curved): 'slopes'"),
        (EMBEDDED.replace("seed = 2", "seed = -2"), "problem.seed = -2"),
        (EMBEDDED.replace("[1, 9]", "[0, 9]"), "problem.hills = [0, 9] with count"),
        (BIGRAM.replace("[0.0, 1.0]", "[0.0, 1.5]"), "problem.determinism[1] = 1.5"),
        (BIGRAM.replace("count = 6", "vocabulary = 1"), "problem.vocabulary = 1"),
        (BIGRAM.replace('"hessian"', '"hills"'), "not known of river-bigram"),
        (STRAIGHT.replace('steps = "linear"', "snapshots = [3]"), "snapshots"),
    ],
)
def test_refusals_are_one_sentence(text, message, tmp_path):
    output = run(text, tmp_path, code=2)
    assert message in output
    assert len(output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_bigram_and_an_embedded_valley_from_a_file(tmp_path):
    assert "bigram(determinism[6], vocabulary=5)" in run(BIGRAM, tmp_path, "--no-figure")
    text = run(EMBEDDED, tmp_path, "--no-figure", "--force")
    assert "embedded(curved(" in text
    assert "hills[4], seed=2)" in text


def test_one_door_opens_every_kind_of_file(tmp_path):
    """`Experiment.from_file`, and what it gives runs and samples, whatever [engine] says."""
    (tmp_path / "r.toml").write_text(STRAIGHT.replace('engine = { kind = "both", replicas = 128, seed = 5 }', ""))
    experiment = Experiment.from_file(tmp_path / "r.toml")
    assert "StraightValley" in repr(experiment)
    assert experiment.engine == "exact"
    exact = experiment.run(progress=False, threads=1)
    valley = StraightValley(np.geomspace(20.0, 1.0, 30), slope=0.25, noise=0.5)
    known = exact_valley(valley, experiment.runs, record="linear", progress=False)
    np.testing.assert_array_equal(exact["total"].values, known["total"].values)
    sampled = experiment.sample(progress=False)
    assert sampled["total_error"].dims == exact["total"].dims
    assert json.loads(sampled.attrs["experiment"]) == experiment.to_dict()


def test_a_schedule_of_eigenvalues_needs_a_straight_valley():
    schedule = {"kind": "eigencurve", "steps": 9, "eigenvalues": "problem"}
    straight = {"kind": "river-straight", "hills": [2.0, 1.0], "slope": 0.1}
    assert Experiment.from_dict({"problem": straight, "schedule": schedule}).runs["sgd"].length == 9
    with pytest.raises(InputError, match="eigenvalues, which differ along a curved river"):
        Experiment.from_dict({"problem": {"kind": "river-curved"}, "schedule": schedule})
