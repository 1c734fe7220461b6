"""The table [engine] of an experiment file: sampled runs, both engines, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import simlab as sl
from simlab.cli import app
from simlab.errors import InputError
from simlab.experiment import Experiment
from simlab.experiment.families import FAMILIES

TREE = {
    "problem": {
        "kind": "power_law",
        "dim": 60,
        "capacity": 1.5,
        "source": 1.2,
        "noise_variance": 0.2,
        "compress": True,
    },
    "schedule": {"kind": "wsd", "steps": 80, "peak": 0.2},
    "record": {"steps": 10, "subspaces": "head_tail(10)"},
    "compare": {"methods": [{"kind": "sgd"}, {"kind": "sgd", "wrap": [{"kind": "ema", "decay": 0.9}], "label": "ema"}]},
}
TEXT = """
engine = "both"
[problem]
kind = "power_law"
dim = 60
capacity = 1.5
source = 1.2
noise_variance = 0.2
[schedule]
kind = "wsd"
steps = 80
peak = 0.2
[record]
subspaces = "head_tail(10)"
"""


def with_engine(engine):
    return Experiment.from_dict({**TREE, "engine": engine})


def test_sample_is_the_function_itself():
    """engine = "sample" gives what simlab.sample gives, of the problem before compression, to the bit."""
    experiment = with_engine({"kind": "sample", "replicas": 50, "seed": 3, "dtype": "float64"})
    trace = experiment.run()
    problem = sl.LinearRegression.power_law(60, 1.5, 1.2, 0.2)
    direct = sl.sample(
        problem, experiment.runs, replicas=50, seed=3, dtype="float64", record=10, subspaces="head_tail(10)"
    )
    np.testing.assert_array_equal(trace.risk.values, direct.risk.values)
    assert trace.dataset.attrs["engine"] == "sample"
    assert Experiment.from_dict(experiment.to_dict()).to_dict() == experiment.to_dict()


def test_both_agree():
    """Two engines on one experiment: right code fails this once in 10^4 seeds, and the seed is fixed."""
    experiment = with_engine({"kind": "both", "replicas": 2000})
    exact, sampled = experiment.run(), experiment.sample()
    assert exact.dataset.attrs["engine"] == "exact"
    z = sampled.z_scores(exact)
    assert set(z.dims) == {"run", "step", "component", "subspace"}
    assert list(z["component"].values) == ["bias", "variance", "risk"]
    assert np.nanmax(np.abs(z.values)) < 5.0
    risks = FAMILIES["isotropic"]
    table = risks.z_table(sampled, exact)
    assert f"{np.nanmax(np.abs(z.sel(component='risk').values)):.2f}" in table.splitlines()[-1]
    assert "+-" in risks.final_table(sampled)
    assert "+-" not in risks.final_table(exact)


def test_z_scores_see_a_wrong_answer():
    """Negative control: against exact moments of another noise variance the same z-scores are large."""
    problem, wrong = (sl.LinearRegression.power_law(60, 1.5, 1.2, noise) for noise in (0.2, 0.3))
    method = sl.methods.sgd(sl.schedules.constant(80, 0.2))
    sampled = sl.sample(problem, method, replicas=2000, record=5)
    assert np.nanmax(np.abs(sampled.z_scores(sl.exact(problem, method, record=5)).values)) < 5.0
    assert np.nanmax(np.abs(sampled.z_scores(sl.exact(wrong, method, record=5)).values)) > 10.0
    with pytest.raises(InputError, match="no standard_error"):
        sl.exact(problem, method).z_scores(sampled)


@pytest.mark.thorough
def test_run_prints_the_z_scores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("e.toml").write_text(TEXT)
    done = CliRunner().invoke(app, ["run", "e.toml"])
    assert done.exit_code == 0, done.output
    assert "sampled against exact: largest |z|" in done.output
    assert done.output.index("exact\n") < done.output.index("sampled\n")
    assert {"trace.zarr", "sampled.zarr", "risk.png"} <= {p.name for p in Path("e-results").iterdir()}
    assert sl.RiskTrace.load("e-results/sampled.zarr").dataset.attrs["engine"] == "sample"


def test_a_checkpoint_is_beside_the_file(tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    experiment = Experiment({**TREE, "engine": {"kind": "sample", "replicas": 4, "checkpoint": "state"}}, folder)
    first = experiment.run()
    assert {p.name for p in (folder / "state").iterdir()} == {"run-0.npz", "run-1.npz"}
    np.testing.assert_array_equal(experiment.run().risk.values, first.risk.values)


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        ("samplr", "engine.kind: 'samplr'"),
        (3, "engine = 3 is not known"),
        ({"kind": "sample", "replica": 3}, "replica"),
        ({"kind": "sample", "replicas": "many"}, "engine.replicas"),
        ({"kind": "exact", "replicas": 3}, "replicas"),
    ],
)
def test_refusals(engine, sentence):
    with pytest.raises(InputError, match=sentence):
        with_engine(engine)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dtype": "float16"}, "dtype"),
        ({"law": "laplace"}, "kurtosis"),
        ({"replicas": 0}, "replicas"),
        ({"seed": -1}, "seed"),
    ],
)
def test_refusals_of_the_sampler(options, sentence):
    with pytest.raises(InputError, match=sentence):
        with_engine({"kind": "sample", **options}).run()


# -- refused before the exact leg


BOTH = {
    "problem": {"kind": "power_law", "dim": 12, "capacity": 1.5, "source": 1.2},
    "schedule": {"kind": "constant", "steps": 5, "peak": 0.1},
}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"law": "epochs"}, "law"),
        ({"law": "rademacher"}, "has kurtosis 1, the problem 3"),
        ({"replicas": 0}, "replicas = 0"),
        ({"coordinates": [13]}, "coordinates = 13"),
        ({"quantiles": [2.0]}, "quantiles"),
    ],
)
@pytest.mark.parametrize("kind", ["sample", "both"])
def test_what_the_sampler_would_refuse_is_refused_with_the_file(kind, options, words):
    with pytest.raises(InputError, match=words):
        Experiment.from_dict({**BOTH, "engine": {"kind": kind, **options}})


def test_a_law_that_is_not_the_exact_one_is_not_compared(tmp_path):
    """Rows dealt out by epochs against rows drawn with replacement: z-scores of thousands, and nothing is wrong."""
    (tmp_path / "d.csv").write_text("x,z,y\n1,2,1\n0.5,-1,0\n1,1,2\n0,3,1\n", encoding="utf-8")
    data = {"kind": "data", "path": "d.csv", "target": "y", "moments": "empirical"}
    tree = {**BOTH, "problem": data, "engine": {"kind": "both", "law": "epochs"}}
    with pytest.raises(InputError, match=r"engine.law = 'epochs' .* take law = 'rows', or kind = 'sample'"):
        Experiment.from_dict(tree, tmp_path)
    for kind, law in (("sample", "epochs"), ("both", "rows"), ("both", None)):
        engine = {"kind": kind, **({} if law is None else {"law": law})}
        Experiment.from_dict({**tree, "engine": engine}, tmp_path)


@pytest.mark.parametrize(
    "problem", [BOTH["problem"], {"kind": "river-straight", "hills": [1.0, 0.5], "slope": 0.1}], ids=["risk", "river"]
)
def test_the_sampled_leg_is_known_to_be_possible_before_the_exact_one(problem, tmp_path, monkeypatch):
    """Its device, and the folder of its state."""
    (tmp_path / "plain").touch()
    for door in ("simlab.engines.exact_valley.exact_valley", "simlab.engines.exact.exact"):
        monkeypatch.setattr(door, lambda *a, **k: pytest.fail("it ran"))
    monkeypatch.setattr("simlab.engines.gpu.devices.missing", lambda: "CuPy is not installed")
    for options, words in (({"checkpoint": "plain/c"}, "cannot be written"), ({"device": "gpu"}, "CuPy is not")):
        tree = {**BOTH, "problem": problem, "engine": {"kind": "both", **options}}
        made = Experiment.from_dict(tree, tmp_path)
        with pytest.raises(InputError, match=words):
            made.run()
