"""[record] keep and [start]: a cooldown from a step of another run, in files and by the command line."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods, schedules
from simlab.cli import main
from simlab.sweeps import sweep_of

TRUNK = """
[problem]
kind = "power_law"
dim = 300
capacity = 1.5
source = 1.3
noise_variance = 0.1
[schedule]
kind = "constant"
steps = 400
peak = 0.1
[method]
kind = "heavy_ball"
momentum = 0.8
[engine]
kind = "ENGINE"
[record]
keep = [100, 400]
"""
BRANCH = TRUNK.replace("keep = [100, 400]", "steps = [150]").replace('"constant"', '"linear"').replace("400", "200")
BRANCH += """
[start]
trace = "trunk.zarr"
step = 100
"""


def command(*arguments):
    with pytest.raises(SystemExit) as left:
        main([*map(str, arguments)])
    return left.value.code


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder, name, text, engine="exact"):
    (folder / name).write_text(text.replace("ENGINE", engine))
    return folder / name


@pytest.mark.thorough
@pytest.mark.parametrize(("engine", "door"), [("exact", sl.exact), ("sample", sl.sample)])
def test_a_branch_by_two_files_and_two_commands(folder, engine, door, capsys):
    trunk, branch = written(folder, "trunk.toml", TRUNK, engine), written(folder, "branch.toml", BRANCH, engine)
    assert command("run", trunk) == 0
    saved = next(path for path in folder.rglob("zarr.json") if path.parent.name.endswith(".zarr")).parent
    branch.write_text(branch.read_text().replace("trunk.zarr", str(saved.relative_to(folder))))
    assert command("run", branch) == 0
    got = sl.Experiment.from_file(branch).run(progress=False)
    problem = sl.LinearRegression.power_law(300, 1.5, 1.3, noise_variance=0.1)
    lr = schedules.join(schedules.constant(100, 0.1), schedules.linear(200, 0.1))
    whole = door(problem, methods.heavy_ball(lr, 0.8), record=[150, 300], progress=False)
    assert got.risk["step"].values.tolist() == [100, 150, 300]
    near = {"rtol": 1e-12} if engine == "exact" else {"rtol": 0.0}
    np.testing.assert_allclose(got.risk.sel(step=[150, 300]), whole.risk.sel(step=[150, 300]), **near)
    again = sl.Experiment.from_dict(sl.Experiment.from_file(branch).to_dict())
    np.testing.assert_array_equal(again.run(progress=False).risk, got.risk)


RIVER = {"kind": "river-straight", "hills": [1.0], "slope": 0.1}


def tables(start, **more):
    return {
        "problem": {"kind": "power_law", "dim": 300, "capacity": 1.5, "source": 1.3, "noise_variance": 0.1},
        "schedule": {"kind": "linear", "steps": 50, "peak": 0.1},
        "method": {"kind": "heavy_ball", "momentum": 0.8},
        "engine": "exact",
        "start": start,
        **more,
    }


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    path = tmp_path_factory.mktemp("trunk") / "t.zarr"
    problem = sl.LinearRegression.power_law(300, 1.5, 1.3, noise_variance=0.1)
    runs = {beta: methods.heavy_ball(schedules.constant(80, 0.1), float(beta)) for beta in ("0.5", "0.8")}
    sl.exact(problem, runs, keep=[40, 80], progress=False).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("start", "more", "said"),
    [
        ({"trace": "absent.zarr"}, {}, "absent.zarr does not exist; give the path of a saved trace"),
        ({"step": 3}, {}, "start.trace"),
        ({"trace": "TRACE", "stop": 3}, {}, "'stop'"),
        ({"trace": "TRACE", "run": "0.8", "step": 41}, {}, "start.step = 41 is none whose state was kept"),
        ({"trace": "TRACE", "step": 40}, {}, "start.run is missing, and there are 2 runs; give one of 0.5, 0.8"),
        ({"trace": "TRACE", "run": "0.8"}, {"engine": "sample"}, "start is a state of simlab.exact"),
        ({"trace": "TRACE", "run": "0.8"}, {"engine": "both"}, "start is a state of one engine, and both are"),
        ({"trace": "TRACE", "run": "0.8"}, {"record": {"steps": [3]}}, "record.steps goes from 3 to 3"),
        ({"trace": "TRACE", "run": "0.8"}, {"record": {"keep": [3]}}, r"record.keep\[0\] = 3 is out of range"),
        (
            {"trace": "TRACE", "run": "0.8"}, {"problem": RIVER, "method": {"kind": "sgd"}},
            "start is for sampled valleys",
        ),
        (
            {"trace": "TRACE", "run": "0.8"},
            {"problem": RIVER, "method": {"kind": "sgd"}, "engine": "sample"},
            r"start is a state of simlab.exact or simlab.long, and simlab.descend goes on",
        ),
    ],
)  # fmt: skip
def test_refusals(trace, start, more, said):
    start = {key: trace if value == "TRACE" else value for key, value in start.items()}
    with pytest.raises(sl.InputError, match=said) as raised:
        sl.Experiment.from_dict(tables(start, **more))
    assert "\n" not in str(raised.value)


def test_the_problem_has_to_have_as_many_modes(trace):
    made = sl.Experiment.from_dict(
        tables({"trace": trace, "run": "0.8"}, problem={"kind": "isotropic", "dim": 9, "noise_variance": 0.1})
    )
    with pytest.raises(sl.InputError, match="start has 300 modes and the problem has 9"):
        made.run(progress=False)


@pytest.mark.parametrize("more", [{"start": "TRACE"}, {"record": {"keep": [10]}}])
def test_sweeps_begin_at_the_start(trace, more):
    given = tables({"trace": trace, "run": "0.8"})
    if "start" not in more:
        del given["start"]
        given |= more
    with pytest.raises(sl.InputError, match="is for one run; a sweep begins at w_0"):
        sweep_of(given, {"schedule.peak": [0.1, 0.2]})


def test_a_list_of_runs_goes_on_from_one_state(trace):
    schedules = [{"label": name, "kind": name} for name in ("linear", "cosine", "rex")]
    made = sl.Experiment.from_dict(tables({"trace": trace, "run": "0.8", "step": 40}, compare={"schedules": schedules}))
    risk = made.run(progress=False).total()
    assert risk.sizes["run"] == 3
    np.testing.assert_array_equal(risk.isel(step=0), float(risk.isel(run=0, step=0)))
