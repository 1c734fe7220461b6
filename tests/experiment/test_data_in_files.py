"""A data set in a file: rows held out, several outputs; run, sampled and swept."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import simlab as sl
from simlab.sweeps import Sweep
from simlab.sweeps.work.run import run_sweep

RNG = np.random.default_rng(1)
X = RNG.standard_normal((40, 3))
Y = X @ RNG.standard_normal((3, 2)) + 0.3 * RNG.standard_normal((40, 2))
SCHEDULE = {"kind": "constant", "steps": 30, "peak": 0.05}


@pytest.fixture
def files(tmp_path):
    """The same rows as csv, npy and npz; a second file of the last ten."""
    header = "a,b,c,y,z"
    np.savetxt(tmp_path / "all.csv", np.c_[X, Y], delimiter=",", header=header, comments="", fmt="%.17g")
    np.savetxt(tmp_path / "first.csv", np.c_[X, Y][:30], delimiter=",", header=header, comments="", fmt="%.17g")
    np.savetxt(tmp_path / "last.csv", np.c_[X, Y][30:], delimiter=",", header=header, comments="", fmt="%.17g")
    np.save(tmp_path / "all.npy", np.c_[X, Y])
    np.savez(tmp_path / "all.npz", X=X, y=Y)
    return tmp_path


def experiment(folder, **problem):
    tree = {"problem": {"kind": "data", **problem}, "schedule": SCHEDULE}
    return sl.Experiment.from_dict(tree, folder)


METHOD = sl.methods.sgd(sl.schedules.constant(30, 0.05))


@pytest.mark.parametrize(
    ("path", "target"),
    [("all.csv", ["y", "z"]), ("all.csv", [3, -1]), ("all.csv", ["y", 4]), ("all.npy", [3, 4]), ("all.npz", "y")],
)
def test_several_outputs_are_columns(files, path, target):
    known = sl.exact(sl.LinearRegression.from_data(X, Y, holdout=0.25), METHOD, progress=False)
    trace = experiment(files, path=path, target=target, holdout=0.25).run(progress=False)
    np.testing.assert_allclose(trace.risk, known.risk.sel(step=trace.risk["step"]), rtol=1e-12)
    np.testing.assert_allclose(trace.holdout(), known.holdout().sel(step=trace.risk["step"]), rtol=1e-12)


@pytest.mark.parametrize("moments", ["gaussian", "empirical"])
def test_a_second_file(files, moments):
    given = {"path": "first.csv", "holdout": "last.csv", "target": ["y", "z"], "moments": moments}
    trace = experiment(files, **given).run(progress=False)
    problem = sl.LinearRegression.from_data(X[:30], Y[:30], moments, holdout=(X[30:], Y[30:]))
    known = sl.exact(problem, METHOD, progress=False)
    np.testing.assert_allclose(trace.holdout(), known.holdout().sel(step=trace.risk["step"]), rtol=1e-12)
    assert trace.dataset.attrs["holdout_sha256"] != trace.dataset.attrs["data_sha256"]


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ({"holdout": "none.csv"}, "problem.holdout = .*none.csv' cannot be read"),
        ({"holdout": "other.txt"}, "problem.holdout = .*other.txt' ends in none of"),
        ({"holdout": 0.0}, "problem.holdout = 0 holds out 0 of 40 rows"),
        ({"target": ["y", "w"]}, "problem.target .*'w'"),
        ({"target": ["y", "y"]}, "names no column, or one twice"),
        ({"target": []}, "names no column, or one twice"),
        ({"target": [0, 1, 2, 3, 4]}, "give a matrix of at least 6 columns"),
        ({"target": [7]}, "problem.target = 7 is no column"),
    ],
)
def test_refusals(files, problem, said):
    with pytest.raises(sl.InputError, match=said):
        experiment(files, path="all.csv", **problem).run(progress=False)


@pytest.mark.parametrize("engine", [{}, {"engine": {"kind": "sample", "replicas": 8}}])
def test_a_sweep_keeps_the_loss_on_held_out_rows(files, engine):
    tree = {
        "problem": {"kind": "data", "path": "all.csv", "target": "y", "holdout": 0.25},
        "schedule": SCHEDULE,
        "sweep": {"schedule.peak": [0.02, 0.05], "problem.holdout_seed": [0, 1]},
        **engine,
    }
    run_sweep(Sweep(tree, files), files / "s.zarr", progress=False)
    data = xr.open_zarr(files / "s.zarr").sel({"schedule.peak": 0.05, "problem.holdout_seed": 1})
    problem = sl.LinearRegression.from_data(np.c_[X, Y[:, 1]], Y[:, 0], holdout=0.25, holdout_seed=1)
    if engine:
        known = sl.sample(problem, METHOD, replicas=8, record=data["step"].values, progress=False)
        np.testing.assert_array_equal(data["holdout_error"], known.dataset["holdout_error"])
    else:
        known = sl.exact(problem, METHOD, record=data["step"].values, progress=False)
    np.testing.assert_allclose(data["holdout"].transpose("step", "component"), known.dataset["holdout"], rtol=1e-12)


def test_a_hold_out_is_for_all_cells_or_none(files):
    tree = {
        "problem": {"kind": "data", "path": "all.csv"},
        "schedule": SCHEDULE,
        "sweep": {"problem.kind": ["data"], "problem.holdout": ["last.csv", 0.5]},
    }
    Sweep(tree, files).validate()
    # A second file that is changed makes another sweep.
    before = Sweep(tree, files).fingerprint(0)
    (files / "last.csv").write_text("a,b,c,y,z\n1,2,3,4,5\n")
    assert Sweep(tree, files).fingerprint(0) != before
