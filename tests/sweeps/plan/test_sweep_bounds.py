"""Sweeps too large to be, refused before anything is made of them; and refusals that name what they are about."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import simlab as sl
from simlab import sweeps
from simlab.cli import app
from simlab.sweeps import sweep_of
from simlab.sweeps.plan.axes import MOST_CELLS, MOST_POINTS, axes_of, check_cells
from tests.sweeps.store_bytes import TABLES

PEAKS = {"schedule.peak": [0.1, 0.2, 0.3]}
LOG = {"log": [0.01, 1.0]}


@pytest.mark.parametrize(
    "table",
    [
        {"schedule.peak": {**LOG, "points": 10**9}},
        {"random": {"samples": 10**9, "schedule.peak": LOG}},
        {"sobol": {"samples": 10**9, "schedule.peak": LOG}},
        {"zip": [{"schedule.peak": {**LOG, "points": 10**12}}]},
    ],
)
def test_too_many_points_are_refused_before_they_are_made(table):
    began = time.perf_counter()
    with pytest.raises(sl.InputError, match=rf"1000000.* is out of range; give .* at most {MOST_POINTS}"):
        axes_of(table)
    assert time.perf_counter() - began < 0.1


def test_too_many_cells_are_refused_at_once():
    assert check_cells({"a": MOST_CELLS // 2, "b": 2}) == MOST_CELLS
    axes = {path: {**LOG, "points": 10_000} for path in ("schedule.peak", "problem.noise_variance")}
    began = time.perf_counter()
    with pytest.raises(
        sl.InputError, match=rf"makes 100000000 cells \(10000 .* x 10000 .*\), and at most {MOST_CELLS}"
    ):
        sweep_of(TABLES, axes)
    assert time.perf_counter() - began < 2.0


def test_runs_count_as_cells(monkeypatch):
    monkeypatch.setattr("simlab.sweeps.plan.axes.MOST_CELLS", 5)
    compare = {"schedules": [{"kind": "wsd"}, {"kind": "cosine"}]}
    assert sweep_of({**TABLES, "compare": compare}, {"schedule.peak": [0.1, 0.2]}).grid.size == 4
    with pytest.raises(sl.InputError, match="makes 6 cells"):
        sweep_of({**TABLES, "compare": compare}, PEAKS)


@pytest.mark.parametrize("table", ["x", 3, ["schedule.peak"], True])
def test_a_sweep_that_is_no_table(table):
    for make in (lambda: sweep_of({**TABLES, "sweep": table}), lambda: sweep_of(TABLES, table)):
        with pytest.raises(sl.InputError, match=r"^sweep = .* is not a table; write \[sweep\]"):
            make()


@pytest.mark.parametrize("ends", [{"linear": [-1e308, 1e308]}, {"log": [1e-300, 1e300]}])
def test_ranges_wider_than_numbers(ends):
    with pytest.raises(sl.InputError, match="is wider than floating-point numbers; give nearer ends"):
        axes_of({"schedule.peak": {**ends, "points": 3}})


ABOUT = [
    # what is wrong for all cells is said of none
    ({"record": {"stepz": 3}}, PEAKS, ""),
    ({"method": {"kind": "sgd", "batchh": 3}}, PEAKS, ""),
    ({"engine": {"kind": "sample", "replicaz": 3}}, PEAKS, ""),
    ({"record": {"stepz": 3}}, {"schedule.peak": [0.1]}, ""),
    # what is wrong for some is said of their parameters, and of no other
    ({}, {**PEAKS, "problem.capacity": [1.2, -1.0]}, "problem.capacity=-1.0"),
    ({}, {**PEAKS, "schedule.cooldown": [20, 900]}, "schedule.cooldown=900"),
    (
        {},
        {"schedule.steps": [300, 50], "schedule.cooldown": [20, 60], **PEAKS},
        "schedule.steps=50, schedule.cooldown=60",
    ),
    ({"method": {"kind": "sgd"}}, {"schedule.peak": [0.1, -0.1], "method.batch": [1, 2, 3]}, "schedule.peak=-0.1"),
]


@pytest.mark.parametrize(("tables", "axes", "about"), ABOUT)
def test_a_refusal_names_the_parameters_that_it_is_about(tables, axes, about):
    with pytest.raises(sl.InputError) as raised:
        sweep_of({**TABLES, **tables}, axes).validate()
    cell = str(raised.value).partition("(in the cell ")[2].rstrip(").")
    assert cell == about


@pytest.mark.parametrize("there", [True, False])
def test_what_an_interrupted_sweep_says_is_true(there, tmp_path, monkeypatch):
    """Wherever it was heard: that nothing was written where nothing is there, and else where it is."""
    monkeypatch.chdir(tmp_path)
    Path("e.toml").write_text(
        '[problem]\nkind = "isotropic"\ndim = 2\n[schedule]\nkind = "constant"\nsteps = 3\npeak = 0.1\n'
        '[sweep]\n"schedule.peak" = [0.1, 0.2]\n',
        encoding="utf-8",
    )

    def interrupted(sweep, path, **options):
        if there:
            Path(path).mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "run_sweep", interrupted)
    result = CliRunner().invoke(app, ["sweep", "e.toml"])
    assert result.exit_code == 130
    assert ("nothing was written" in result.stderr) == (not there)
    assert ("what is finished is in e.zarr, start the same command again" in result.stderr) == there
