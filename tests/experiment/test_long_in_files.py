"""engine = "long" in files: 10^12 modes and steps by one file, with the errors beside the table."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab.cli import main

TABLES = {
    "problem": {"kind": "power_law", "dim": 10**12, "capacity": 1.5, "source": 1.3, "noise_variance": 0.1},
    "schedule": {"kind": "wsd", "steps": 10**12, "peak": 0.2},
    "method": {"kind": "sgd"},
    "engine": {"kind": "long", "tolerance": 1e-6},
    "record": {"subspaces": "log_bins(3)"},
}


def test_the_trace_is_that_of_the_door(tmp_path):
    got = sl.Experiment.from_dict(TABLES).run(progress=False)
    problem = sl.LinearRegression.power_law(10**12, 1.5, 1.3, noise_variance=0.1)
    known = sl.long(problem, sl.methods.sgd(sl.schedules.wsd(10**12, 0.2)), subspaces="log_bins(3)", progress=False)
    np.testing.assert_array_equal(got.risk, known.risk)
    np.testing.assert_array_equal(got.dataset["risk_error"], known.dataset["risk_error"])
    assert got.dataset.attrs["engine"] == "long"


def test_one_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.toml").write_text(
        """
problem = {kind = "power_law", dim = 1_000_000_000_000, capacity = 1.5, source = 1.3, noise_variance = 0.1}
schedule = {kind = "cosine", steps = 1_000_000_000_000, peak = 0.2}
engine = "long"
"""
    )
    with pytest.raises(SystemExit) as left:
        main(["run", "e.toml"])
    said = capsys.readouterr().out
    assert left.value.code == 0
    (total,) = [line.split() for line in said.splitlines() if line.split()[:1] == ["total"]]
    risk, error = float(total[-2]), float(total[-1])
    assert 0.0 < error < 2e-6 * risk


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": {"kind": "long", "replicas": 3}}, "'replicas'"),
        ({"engine": {"kind": "long", "tolerance": 0.5}}, "engine.tolerance = 0.5 is outside"),
        ({"record": {"snapshots": [5]}}, "record.snapshots is not known to the long engine"),
        ({"record": {"deterministic": True}}, "record.deterministic is not known to the long engine"),
        ({"engine": "lon"}, "'lon'.*long"),
        (
            {"problem": {"kind": "river-straight", "hills": [1.0], "slope": 0.1}, "record": {}},
            "'long' takes risks alone",
        ),
    ],
)
def test_refusals(change, said):
    with pytest.raises(sl.InputError, match=said):
        sl.Experiment.from_dict({**TABLES, **change})


def test_every_cell_of_a_sweep_is_that_of_the_door_with_its_error(tmp_path):
    """Over lengths as well; a diverged run has no error where it ended."""
    tables = {**TABLES, "record": {"steps": 5, "subspaces": "log_bins(3)"}}
    axes = {"schedule.peak": [0.1, 30.0], "schedule.steps": [10**6, 10**12]}
    done = sl.sweep(tables, axes, store=tmp_path / "store", progress=False)
    data = done.dataset().load()
    problem = sl.LinearRegression.power_law(10**12, 1.5, 1.3, noise_variance=0.1)
    for steps in axes["schedule.steps"]:
        method = sl.methods.sgd(sl.schedules.wsd(steps, 0.1))
        known = sl.long(problem, method, record=5, subspaces="log_bins(3)", progress=False).dataset
        cell = data.sel({"schedule.peak": 0.1, "schedule.steps": steps})
        np.testing.assert_array_equal(cell["risk"].transpose("record", ...), known["risk"].transpose("step", ...))
        np.testing.assert_array_equal(
            cell["final_error"].transpose("component", ...),
            known["risk_error"].isel(step=-1).transpose("component", ...),
        )
        assert 0.0 < float(cell["final_error"].sum() / cell["final_risk"].sum()) <= 1e-6
    gone = data.sel({"schedule.peak": 30.0})
    assert set(gone["status"].values.ravel()) == {"diverged"}
    assert bool(gone["final_error"].isnull().all())


def test_show_says_the_error_of_the_best(tmp_path, capsys):
    sl.sweep(TABLES, {"schedule.peak": [0.05, 0.1]}, store=tmp_path / "store", progress=False)
    with pytest.raises(SystemExit):
        main(["show", str(tmp_path / "store")])
    line = next(line for line in capsys.readouterr().out.splitlines() if "+-" in line)
    risk, _, error = line.split()[1:4] if line.split()[0] == "all" else line.split()[-6:-3]
    assert 0.0 < float(error) <= 1e-6 * float(risk)


def test_a_branch_by_two_files(tmp_path):
    """A stable phase of half a trillion steps, and its cooldown from another file."""
    trunk = {**TABLES, "schedule": {"kind": "constant", "steps": 5 * 10**11, "peak": 0.2}}
    sl.Experiment.from_dict({**trunk, "record": {**TABLES["record"], "keep": [5 * 10**11]}}).run(progress=False).save(
        tmp_path / "trunk.zarr"
    )
    cooldown = {**TABLES, "schedule": {"kind": "linear", "steps": 10**11, "peak": 0.2}}
    cooldown["start"] = {"trace": str(tmp_path / "trunk.zarr")}
    branch = sl.Experiment.from_dict(cooldown).run(progress=False)
    assert branch.status == "done"
    assert int(branch.risk["step"][-1]) == 6 * 10**11
    with pytest.raises(sl.InputError, match="start is on other nodes"):
        sl.Experiment.from_dict({**cooldown, "engine": {"kind": "long", "tolerance": 1e-4}}).run(progress=False)


# -- sampled runs against it

BOTH = {
    "problem": {"kind": "power_law", "dim": 40, "capacity": 1.5, "source": 1.3, "noise_variance": 0.2},
    "schedule": {"kind": "wsd", "steps": 6_000, "peak": 0.2},
    "engine": {"kind": "both", "against": "long", "replicas": 200, "tolerance": 1e-5},
    "record": {"steps": 8, "subspaces": "head_tail(5)"},
}


def test_samples_are_held_against_it():
    """Right code fails this once in 10^4 seeds, and the seed is fixed."""
    experiment = sl.Experiment.from_dict(BOTH)
    known, sampled = experiment.run(progress=False), experiment.sample(progress=False)
    problem = sl.LinearRegression.power_law(40, 1.5, 1.3, 0.2)
    method, asked = sl.methods.sgd(sl.schedules.wsd(6_000, 0.2)), {"record": 8, "subspaces": "head_tail(5)"}
    direct = sl.long(problem, method, tolerance=1e-5, progress=False, **asked)
    np.testing.assert_array_equal(known.risk, direct.risk)
    z = sampled.z_scores(known)
    assert list(z["component"].values) == ["bias", "variance", "risk"]
    assert 0.5 < np.nanmax(np.abs(z)) < 5.0
    # Its errors are small beside those of 200 runs: nothing is hidden by them.
    np.testing.assert_allclose(z, sampled.z_scores(sl.exact(problem, method, progress=False, **asked)), atol=1e-3)
    assert sl.Experiment.from_dict(experiment.to_dict()).to_dict() == experiment.to_dict()


def test_its_errors_are_reckoned_in():
    """Numbers that are off by what they say they may be off by give no larger z-score than the truth, where above 1."""
    experiment = sl.Experiment.from_dict({**BOTH, "engine": {**BOTH["engine"], "replicas": 32}})
    known, sampled = experiment.run(progress=False), experiment.sample(progress=False)
    right = np.abs(sampled.z_scores(known).sel(component="bias"))
    error = known.dataset["risk_error"]
    far = known.dataset.assign(risk=known.risk - 0.2 * known.risk, risk_error=error + 0.2 * known.risk)
    z = np.abs(sampled.z_scores(sl.RiskTrace(far)).sel(component="bias"))
    assert float(z.max()) <= max(1.0, float(right.max()))
    silent = np.abs(sampled.z_scores(sl.RiskTrace(far.assign(risk_error=error))).sel(component="bias"))
    assert float(silent.max()) > 5.0 * float(z.max())


def test_the_command_prints_both(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.toml").write_text(
        """
problem = {kind = "power_law", dim = 40, capacity = 1.5, source = 1.3, noise_variance = 0.2}
schedule = {kind = "cosine", steps = 5_000, peak = 0.2}
engine = {kind = "both", against = "long", replicas = 64}
"""
    )
    with pytest.raises(SystemExit) as left:
        main(["run", "e.toml", "--no-figure"])
    said = capsys.readouterr().out
    assert left.value.code == 0
    assert "sampled against long: largest |z| of" in said
    assert said.index("\nlong\n") < said.index("\nsampled\n")
    engines = [sl.RiskTrace.load(f"e-results/{name}.zarr").dataset.attrs["engine"] for name in ("trace", "sampled")]
    assert engines == ["long", "sample"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": {"kind": "both", "against": "limit"}}, "engine.against = 'limit' is not known; give 'exact' or"),
        ({"engine": {"kind": "both", "against": 3}}, "engine.against = 3 is not known"),
        ({"engine": {"kind": "both", "tolerance": 1e-6}}, r"engine.tolerance is for the long engine; .* against ="),
        ({"engine": {"kind": "both", "against": "long", "tolerance": 0.5}}, "engine.tolerance = 0.5 is outside"),
        ({"engine": {"kind": "both", "against": "long", "replica": 3}}, "replica"),
        ({"engine": {"kind": "sample", "against": "long"}}, "against"),
        ({"record": {"snapshots": [5]}}, "record.snapshots is not known to the long engine"),
        ({"method": {"kind": "sgd", "wrap": [{"kind": "local", "workers": 2}]}}, "long needs a linear"),
        (
            {"problem": {"kind": "river-straight", "hills": [1.0], "slope": 0.1}, "record": {}},
            "'long' takes risks alone",
        ),
        (
            {"problem": {"kind": "mixture", "domains": [BOTH["problem"], {**BOTH["problem"], "source": 2.0}]}},
            "'long' takes no mixtures",
        ),
    ],
)
def test_refusals_of_both(change, said):
    with pytest.raises(sl.InputError, match=said):
        sl.Experiment.from_dict({**BOTH, **change})
