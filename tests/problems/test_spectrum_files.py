"""Spectra from files and densities: what becomes of negative eigenvalues is said, and subspaces cut exactly."""

from __future__ import annotations

import re

import numpy as np
import pytest

import simlab as sl
from simlab.schedules import constant

# Extreme eigenvalues of layers of a network, as a tool prints them: many are negative.
LAYERS = [40.67, 29.09, 0.0956, 0.0143, 14.73, 24.39, -78.45, -79.61, -0.169, -0.0425, -21.67, -31.69]
RUN = {"schedule": {"kind": "constant", "steps": 20, "peak": 0.01}, "method": {"kind": "sgd"}, "engine": "exact"}


def from_file(folder, **problem):
    return sl.Experiment.from_dict({"problem": {"kind": "eigenvalues", **problem}, **RUN}, folder).problem


@pytest.fixture
def files(tmp_path):
    values = np.array([4.0, 2.0, 1.0, 0.5])
    np.savetxt(tmp_path / "a.txt", np.column_stack([values, [1, 2, 3, 4]]), header="value weight")
    (tmp_path / "a.csv").write_text("name;lam;w\nx;4,0;1\ny;2,0;2\nz;1,0;3\nu;0,5;4\n")
    (tmp_path / "bare.csv").write_text("4,1\n2,2\n1,3\n0.5,4\n")
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", lam=values, w=np.arange(1.0, 5.0))
    return tmp_path


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("a.txt", {}), ("a.csv", {"column": "lam"}), ("a.csv", {"column": 1}), ("bare.csv", {}), ("a.npy", {}),
        ("a.npz", {"column": "lam"}),
    ],
)  # fmt: skip
def test_every_kind_of_file(files, path, more):
    problem = from_file(files, path=path, noise_variance=0.1, **more)
    np.testing.assert_array_equal(problem.eigenvalues, [4.0, 2.0, 1.0, 0.5])


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("a.txt", {"weight": 1}),
        ("a.csv", {"column": "lam", "weight": "w"}),
        ("a.npz", {"column": "lam", "weight": "w"}),
    ],
)
def test_a_weight_makes_a_density(files, path, more):
    problem = from_file(files, path=path, noise_variance=0.1, dim=1_000, **more)
    assert problem.dim == 1_000
    modes = problem.modes()
    np.testing.assert_array_equal(modes.eigenvalues, [4.0, 2.0, 1.0, 0.5])
    np.testing.assert_array_equal(modes.multiplicity, [100, 200, 300, 400])


@pytest.mark.filterwarnings("ignore:eigenvalues were not")
def test_negative_eigenvalues():
    positive = sorted((x for x in LAYERS if x > 0), reverse=True)
    make = sl.LinearRegression.from_density
    with pytest.warns(UserWarning, match=r"not positive, 50 % of the weight, are left out"):
        dropped = make(LAYERS, np.ones(12), dim=6)
    np.testing.assert_array_equal(dropped.eigenvalues, positive)
    with pytest.warns(UserWarning, match="50 % of the weight, are taken by their absolute values"):
        reflected = make(LAYERS, np.ones(12), dim=12, negative="reflect")
    np.testing.assert_array_equal(reflected.eigenvalues, np.sort(np.abs(LAYERS))[::-1])
    with pytest.warns(UserWarning, match="set to the least positive one"):
        clipped = make(LAYERS, np.ones(12), dim=12, negative="clip")
    np.testing.assert_array_equal(clipped.eigenvalues, [*positive, *[0.0143] * 6])
    with pytest.warns(UserWarning, match=r"those below lam_1 / 100, 16.7 %, are left out"):
        cut = make(LAYERS, np.ones(12), dim=4, condition=100.0)
    np.testing.assert_array_equal(cut.eigenvalues, positive[:4])


def test_negative_eigenvalues_are_asked_about_where_they_are_written_out(tmp_path):
    said = re.escape("has 6 eigenvalues of 12 that are not positive (50 % of the weight)")
    with pytest.raises(sl.InputError, match="is negative, as 6 of 12 are"):
        from_file(tmp_path, eigenvalues=LAYERS, noise_variance=0.1)
    with pytest.raises(sl.InputError, match=said):
        from_file(tmp_path, eigenvalues=LAYERS, noise_variance=0.1, condition=1e6)
    with pytest.warns(UserWarning, match="left out"):
        assert from_file(tmp_path, eigenvalues=LAYERS, noise_variance=0.1, negative="drop").dim == 6


def test_any_subspace_cuts_a_density_exactly():
    """The same modes written out one by one have the same risk in every subspace."""
    rng = np.random.default_rng(0)
    density = sl.LinearRegression.from_density(np.geomspace(1.0, 1e-3, 50), rng.random(50), 700, noise_variance=0.2)
    modes = density.modes()
    single = sl.LinearRegression(np.repeat(modes.eigenvalues, modes.multiplicity.astype(int)), 1.0, 0.2)
    assert single.dim == density.dim == 700
    method = sl.methods.sgd(constant(200, 0.005))
    for subspaces in ("log_bins(13)", {"head": range(1, 34), "tail": range(34, 701)}):
        one, other = (sl.exact(p, method, subspaces=subspaces, progress=False).final() for p in (density, single))
        np.testing.assert_allclose(one, other, rtol=1e-11)


def test_what_has_to_be_invented_is_said(files):
    with pytest.warns(UserWarning, match="noise_variance = 1 is taken: a spectrum does not say it"):
        assert from_file(files, path="a.npy").noise_variance == 1.0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "problem.eigenvalues is missing; give eigenvalues, or the path"),
        ({"path": "a.npy", "eigenvalues": [1.0]}, "one of the two"),
        ({"eigenvalues": [1.0]}, "problem.noise_variance is missing"),
        ({"path": "absent.txt"}, "cannot be read"),
        ({"path": "absent.npy"}, "cannot be read"),
        ({"path": "a.mat"}, "ends in none of .txt"),
        ({"path": "a.csv", "column": "lambda"}, r"column \(columns of a.csv\)"),
        ({"path": "a.txt", "column": 2}, "problem.column = 2 is no column of a.txt; give one from 0 to 1"),
        ({"path": "a.txt", "weight": 1}, "problem.dim is missing; a density needs the number of modes"),
        ({"path": "a.txt", "weight": 1, "dim": 9, "initial_error": [1, 2]}, "initial_error is a list"),
        ({"path": "bad.txt"}, "bad.txt line 3: 'x 1' is no row of numbers"),
        ({"path": "ragged.txt"}, "line 2 has 1 numbers where the first row has 2"),
        ({"path": "negative.npy", "negative": "drop"}, "holds no positive eigenvalue"),
        ({"path": "a.npy", "negative": "dorp"}, "'dorp' is not known; did you mean 'drop'"),
    ],
)
@pytest.mark.filterwarnings("ignore:noise_variance")
def test_refusals(files, more, said):
    (files / "bad.txt").write_text("# a comment\n1 2\nx 1\n")
    (files / "ragged.txt").write_text("1 2\n1\n")
    np.save(files / "negative.npy", [-1.0, -2.0])
    with pytest.raises(sl.InputError, match=said):
        from_file(files, **more)


def test_a_real_spectrum_from_its_file_to_its_risk_by_one_file(shared_data, tmp_path, monkeypatch, capsys):
    """One TOML and one command: trace, figure and table of the Hessian density of a ResNet."""
    from simlab.cli import main

    path = shared_data / "hessian_spectra/resnet-18_cifar10.txt"
    (tmp_path / "e.toml").write_text(
        f"""
[problem]
kind = "eigenvalues"
path = "{path}"
weight = 1
dim = 100_000
negative = "drop"
condition = 1e4
noise_variance = 0.1
[schedule]
kind = "cosine"
steps = 500
peak = 1e-5
[engine]
kind = "exact"
[record]
subspaces = "log_bins(4)"
"""
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["run", "e.toml"])
    said = capsys.readouterr()
    assert left.value.code == 0
    assert "48.9 % of the weight, are left out" in said.err
    trace = sl.RiskTrace.load(next(tmp_path.rglob("*.zarr")))
    assert float(trace.total().values[-1]) < float(trace.total().values[0])
    assert "data_sha256" in trace.dataset.attrs


def test_the_name_of_a_file_in_the_place_of_its_numbers():
    """What people write first; the remedy says where a name belongs."""
    tree = {
        "problem": {"kind": "eigenvalues", "eigenvalues": "hessian.txt", "noise_variance": 0.1},
        "schedule": {"kind": "constant", "steps": 3, "peak": 0.1},
    }
    with pytest.raises(sl.InputError, match=r"problem\.eigenvalues = 'hessian\.txt' .* or name its file by path\."):
        sl.Experiment.from_dict(tree)
