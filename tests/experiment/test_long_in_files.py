"""engine = "long" in files: 10^12 modes and steps by one file, with the errors beside the table."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab.cli import main
from simlab.sweeps import sweep_of

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


def test_sweeps_do_not_take_it_yet():
    with pytest.raises(sl.InputError, match='engine = "long" is for one run'):
        sweep_of(TABLES, {"schedule.peak": [0.1]})


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
