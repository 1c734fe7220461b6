"""Sweeps of river valleys: every cell is its experiment run alone, and the promises of all other sweeps hold."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import simlab as sl
from simlab import plot
from simlab.cli import app
from simlab.experiment import Experiment
from simlab.experiment.families.valleys import PARTS
from simlab.sweeps import Store, run_sweep, sweep_of
from simlab.sweeps.answer import draw
from simlab.sweeps.answer.best import Answer
from simlab.sweeps.answer.export import frame
from simlab.sweeps.answer.table import table_of
from simlab.trace.recording import record_steps
from tests.sweeps.store_bytes import assert_same_store, refusal, swept

STRAIGHT = {"kind": "river-straight", "hills": [1, 20], "count": 12, "slope": 0.2, "noise": 0.5}
CURVED = {"kind": "river-curved", "mu": 0.0, "lam": 8.0, "slope": 0.1, "noise": 2.0, "noise_kind": "hills"}
WSD = {"kind": "wsd", "steps": 120, "peak": 0.05, "cooldown": 0.3}
SAMPLED = {"kind": "sample", "replicas": 70, "seed": 3, "device": "cpu"}


def tables(problem=STRAIGHT, **others):
    return {"problem": problem, "schedule": WSD, "record": {"steps": 7}, **others}


def sampled(problem=CURVED, **others):
    return tables(problem, engine=SAMPLED, **others)


COMPARE = {"schedules": [{"kind": "cosine"}, {"kind": "wsd"}]}
# name -> (tables, axes)
EXACT = {
    "valleys": (
        tables(record={"steps": 7, "subspaces": "log_bins(3)"}, compare=COMPARE),
        {"problem.slope": [0.1, 0.4], "problem.noise": [0.0, 1.0], "schedule.peak": [0.02, 0.09]},
    ),
    "diverging": (tables(problem={**STRAIGHT, "river_noise": 0.3}), {"schedule.peak": [0.05, 0.11, 0.5]}),
    "lengths and methods": (
        tables(method={"kind": "heavy_ball", "momentum": 0.5}),
        {"schedule.steps": [40, 120], "method.momentum": [0.2, 0.8], "schedule.kind": ["wsd", "linear"]},
    ),
    "numbers of hills": (
        tables({"kind": "river-straight", "hills": [1.0], "curvature": 0.1, "target": 3.0},
               record={"steps": 5, "subspaces": "head_tail(1)"}),
        {"problem.hills": [[4.0, 1.0], [9.0, 3.0, 1.0]], "method.batch": [1, 8]},
    ),
}  # fmt: skip
DESCENT = {
    "curved": (
        sampled(),
        {"problem.amplitude": [0.0, 1.0], "problem.noise_kind": ["hills", "hessian"], "schedule.peak": [0.02, 0.1]},
    ),
    "kinds": (
        sampled({"kind": "river-narrowing", "slope": 0.2, "noise": 0.5}, compare=COMPARE),
        {"problem.kind": ["River_Narrowing", "river-widening"], "method.kind": ["sgd", "nesterov"]},
    ),
    "embedded": (
        sampled({"kind": "river-embedded", "valley": {"kind": "river-curved"}, "hills": [1, 9], "count": 4}),
        {"problem.seed": [0, 5], "problem.valley.amplitude": [0.2, 1.0], "schedule.steps": [30, 60]},
    ),
    "engine, by default": (
        tables({"kind": "river-bigram", "determinism": [0.0, 1.0], "count": 4, "noise_kind": "hessian"}),
        {"engine.seed": [0, 9], "engine.replicas": [64, 100]},
    ),
    "a straight valley, and diverging": (sampled(STRAIGHT), {"schedule.peak": [0.05, 0.3], "engine.seed": [1, 2]}),
}


def taken(what, axes, folder):
    plan = sweep_of(what, axes)
    run_sweep(plan, folder / "store.zarr", threads=2, progress=False)
    with Store(folder / "store.zarr") as store:
        return plan, store.dataset().load()


def cells_of(plan, data):
    """(what is kept of a cell, the split of the same experiment by itself, its records) for all cells."""
    flat = data.stack(cell=list(plan.grid.dims), create_index=False)
    for number in range(plan.grid.size):
        combination, run = plan.grid.split(number)
        # What is beyond the valley is warned of when it runs alone.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("simlab.engines.exact_valley._warn_if_unstable", lambda *a: None)
            patch.setattr("simlab.engines.descend._warn_of_large_steps", lambda *a: None)
            alone = Experiment.from_dict(plan.tree(combination), plan.folder).run(False, threads=1)
        (cell,) = plan.cells([number])
        yield flat.isel(cell=number), alone.isel(run=run), record_steps(plan.record, cell.method.length)


def assert_same(cell, alone, steps, names, rtol):
    assert cell["status"].item() == alone["status"].item()
    assert cell["ended_at"].item() == alone["ended_at"].item()
    np.testing.assert_array_equal(cell["step"].values[: steps.size], steps)
    last = steps[steps <= alone["ended_at"].item()][-1]
    for name in names:
        want = alone[name].sel(step=steps).transpose("step", ...).values
        got = cell[name].transpose(next(d for d in cell[name].dims if d in ("step", "record")), ...).values
        corner = tuple(slice(0, n) for n in want.shape)
        np.testing.assert_allclose(got[corner], want, rtol=rtol)
        assert not np.any(np.isfinite(got[steps.size :]))
        if f"final_{name}" in cell:
            end = alone[name].sel(step=last).values
            np.testing.assert_allclose(cell[f"final_{name}"].values[corner[1:]], end, rtol=rtol)


@pytest.mark.thorough
@pytest.mark.parametrize("name", EXACT)
def test_an_exact_cell_is_the_experiment_run_alone(name, tmp_path):
    plan, data = taken(*EXACT[name], tmp_path)
    assert plan.engine == "exact"
    for cell, alone, steps in cells_of(plan, data):
        assert_same(cell, alone, steps, (*PARTS, "hill_bias", "river_spread"), 1e-12)
        whole = cell["final_river_loss"] + cell["final_hill_loss"].sum()
        np.testing.assert_allclose(cell["final_total"], whole, rtol=1e-12)
    statuses = data["status"].values.ravel().tolist()
    assert statuses == ["done", "diverged", "diverged"] if name == "diverging" else set(statuses) == {"done"}
    if name == "numbers of hills":
        assert data["subspace"].values.tolist() == ["head", "tail"]
        assert np.isfinite(data["final_hill_loss"].values).all()
    assert data["river_loss"].attrs["units"] == data["final_total"].attrs["units"] == "loss"
    assert "units" not in data["river"].attrs


@pytest.mark.thorough
@pytest.mark.parametrize("name", DESCENT)
def test_a_sampled_cell_has_the_bits_of_the_experiment_run_alone(name, tmp_path):
    plan, data = taken(*DESCENT[name], tmp_path)
    assert plan.engine == "sample"
    errors = [f"{part}_error" for part in PARTS]
    for cell, alone, steps in cells_of(plan, data):
        assert_same(cell, alone, steps, (*PARTS, *errors, "total_quantile"), 0.0)
    assert np.any(data["status"].values == "diverged") == name.endswith("diverging")
    assert data["quantile"].values.tolist() == [0.1, 0.5, 0.9]
    assert "subspace" not in data.dims


# -- bytes ------------------------------------------------------------------------------------------------------------

AXES = {"problem.amplitude": [0.0, 1.0], "schedule.peak": [0.1, 0.5, 0.01], "engine.seed": [0, 1]}
LONG = sampled() | {"schedule": {**WSD, "steps": 4000}}

KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from tests.sweeps.test_sweep_rivers import AXES, LONG
from tests.sweeps.store_bytes import swept

def report(done, total):
    if done >= {at}:
        os.kill(os.getpid(), signal.SIGKILL)

swept({path!r}, LONG, AXES, threads=1, progress=report)
"""


@pytest.mark.thorough
def test_threads_and_a_kill_change_no_byte(tmp_path):
    swept(tmp_path / "whole", LONG, AXES, threads=1)
    swept(tmp_path / "threads", LONG, AXES, threads=3)
    assert_same_store(tmp_path / "threads", tmp_path / "whole")
    path = str(tmp_path / "killed")
    code = KILLED.format(root=str(Path.cwd()), at=3, path=path)
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    report = swept(path, LONG, AXES)
    assert 3 <= report.reused < 12
    assert report.computed == 12 - report.reused
    assert_same_store(tmp_path / "killed", tmp_path / "whole")


def test_ctrl_c_within_a_run_is_kept_for_the_next_start(tmp_path):
    class Once:
        done = False

        def __call__(self, done, total):
            if not self.done:
                self.done = True
                raise KeyboardInterrupt

    slow = LONG | {"schedule": {**WSD, "steps": 10_000}}
    report = swept(tmp_path / "stopped", slow, AXES, progress=Once())
    assert report.left > 0
    with Store(tmp_path / "stopped") as store:
        assert {row.status for row in store.ledger.rows()} <= {"interrupted", "done", "diverged"}
        assert "interrupted" in {row.status for row in store.ledger.rows()}
    assert swept(tmp_path / "stopped", slow, AXES).left == 0


def test_a_finished_sweep_is_not_run_again(tmp_path, monkeypatch):
    swept(tmp_path / "store", tables(), {"schedule.peak": [0.01, 0.05]})
    monkeypatch.setattr("simlab.engines.exact_valley.exact_valley", lambda *a, **k: pytest.fail("it ran"))
    assert swept(tmp_path / "store", tables(), {"schedule.peak": [0.01, 0.05]}).reused == 2


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "axes", "message"),
    [
        (
            tables(engine="exact"),
            {"problem.kind": ["river-straight", "river-curved"]},
            "parameter of problem (river-curved): 'hills' is not known",
        ),
        (
            tables({"kind": "river-curved"}, engine="exact"),
            {"schedule.peak": [0.1]},
            "engine = 'exact' cannot run river-curved",
        ),
        (tables(), {"problem.kind": ["river-straight", "power_law"]}, "problem.kind: 'power_law' is not known"),
        (sampled(), {"engine.law": ["gaussian"]}, "law"),
        (sampled(), {"engine.replicas": [0, 4]}, "engine.replicas = 0"),
        (sampled(), {"problem.noise_kind": ["hills", "hill"]}, "did you mean 'hills'"),
        (sampled(), {"problem.lambda": [1.0]}, "did you mean 'lam'"),
        (tables(engine="both"), {"schedule.peak": [0.1]}, 'engine = "both" is for one run'),
        (tables(record={"snapshots": [3]}), {"schedule.peak": [0.1]}, "snapshots"),
        (tables(record={"subspaces": "modes(40)"}), {"schedule.peak": [0.1]}, "record.subspaces"),
        (
            tables({**CURVED, "noise_kind": "none"}, schedule={"kind": "eigencurve", "eigenvalues": "problem",
                                                               "steps": 9, "peak": 0.1}),
            {"problem.amplitude": [0.1]},
            "eigenvalues, which differ along a curved river",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_swept_is_refused_in_one_sentence(what, axes, message, tmp_path):
    with pytest.raises(sl.InputError) as raised:
        swept(tmp_path / "store", what, axes)
    said = str(raised.value)
    assert message in said
    assert "\n" not in said
    assert not (tmp_path / "store").exists()


def test_a_store_of_another_valley_is_refused(tmp_path):
    swept(tmp_path / "store", tables(), {"schedule.peak": [0.01, 0.05]})
    said = refusal(tmp_path / "store", tables({**STRAIGHT, "slope": 0.3}), {"schedule.peak": [0.01, 0.05]})
    assert "experiment.problem.slope is 0.2 there and 0.3 here" in said


# -- the answer -------------------------------------------------------------------------------------------------------

FILE = """
engine = { kind = "sample", replicas = 64 }
[problem]
kind = "river-curved"
mu = 0
lam = 8
slope = 0.1
noise = 2.0
noise_kind = "hills"
[schedule]
kind = "wsd"
steps = 200
peak = 0.1
[sweep]
"schedule.peak" = [0.02, 0.05, 0.1, 0.6]
"problem.amplitude" = [0.2, 1.0]
"""


def test_the_command_line_sweeps_and_shows_a_river(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "river.toml").write_text(FILE, encoding="utf-8")

    def say(*words):
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 0, result.output
        return result.output

    listed = say("sweep", "river.toml", "--dry-run")
    assert "0: problem.amplitude=0.2, schedule.peak=0.02" in listed
    assert "8 cells (2 problem.amplitude x 4 schedule.peak), on one thread about" in listed
    assert "8 cells, 0 of them" in say("sweep", "river.toml")
    assert "reused 8; 2 diverged, 6 done" in say("sweep", "river.toml")
    text = say("show", "river.zarr", "-o", "river.png")
    assert (tmp_path / "river.png").stat().st_size > 10_000
    assert "2 diverged, 6 done" in text
    assert "above best" in text
    assert "of   loss" in text
    assert "coordinate" in text
    assert "+-" in text
    say("store", "export", "river.zarr", "-o", "river.csv")
    head = (tmp_path / "river.csv").read_text(encoding="utf-8").splitlines()[0]
    assert head.startswith("problem.amplitude,schedule.peak,status,ended_at,loss,total,total_error,river_loss")
    assert "verified" in say("store", "check", "river.zarr")
    say("store", "compact", "river.zarr")
    assert say("show", "river.zarr") + "\nriver.png\n" == text


def test_the_best_is_the_lowest_loss_and_its_parts_add_up(tmp_path):
    what = tables(record={"steps": 4, "subspaces": "log_bins(3)"}, compare=COMPARE)
    axes = {"schedule.peak": [0.01, 0.05, 0.09, 0.3], "problem.slope": [0.1, 0.4]}
    with sl.sweep(what, axes, store=tmp_path / "s", progress=False) as store:
        answer, rows = Answer(store), frame(store)
        best = answer.best()
        assert len(best) == 4
        for each in best:
            kept = (rows["problem.slope"] == each.group["problem.slope"]) & (rows["status"] == "done")
            mine = rows[kept & (rows["run"] == each.group["run"])]
            assert each.risk == mine["loss"].min()
            assert each.at["schedule.peak"] == mine["schedule.peak"][mine["loss"].idxmin()]
            assert each.ratio == each.risk - rows[kept]["loss"].min()
            assert each.leads == (each.ratio == 0.0)
            cell = answer.cell(each)
            assert cell["final_total"] == each.risk
            whole = float(cell["final_river_loss"] + cell["final_hill_loss"].sum())
            assert whole == pytest.approx(each.risk, rel=1e-12)
            assert "final_total_error" not in cell
        hills = [name for name in rows.columns if str(name).startswith("hill_loss ")]
        assert len(hills) == len(store.dataset()["subspace"])
        text = table_of(answer)
        assert "loss above it" in text
        assert "diverged" in text
        figure = draw.lines(answer)
        assert {axes.get_yscale() for axes in figure.axes} == {"linear"}
        plot.save(figure, tmp_path / "lines.png")
        plot.save(draw.heat_map(answer, "schedule.peak", "run"), tmp_path / "map.png")
