"""What Python can say of schedules, a file can say: combinators, logs and JSON, wherever a schedule may stand."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import schedules as S
from simlab.sweeps import sweep_of

PROBLEM = {"kind": "power_law", "dim": 50, "capacity": 1.5, "source": 1.3, "noise_variance": 0.1}
LINEAR = {"kind": "linear", "steps": 300, "peak": 0.1}
COSINE = {"kind": "cosine", "steps": 300, "peak": 0.2}
linear, cosine = S.linear(300, 0.1), S.cosine(300, 0.2)


def experiment(schedule, method=None, folder=None, **more):
    tables = {"problem": PROBLEM, "schedule": schedule, "method": method or {"kind": "sgd"}, "engine": "exact", **more}
    return sl.Experiment.from_dict(tables) if folder is None else sl.Experiment.from_dict(tables, folder)


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ({"kind": "join", "parts": [LINEAR, COSINE, LINEAR]}, S.join(linear, cosine, linear)),
        ({"kind": "slice", "schedule": LINEAR, "start": 100}, linear[100:]),
        ({"kind": "slice", "schedule": LINEAR, "stop": -10}, linear[:-10]),
        ({"kind": "scaled", "schedule": LINEAR, "factor": 3}, linear * 3),
        ({"kind": "scaled", "schedule": LINEAR, "peak": 0.3}, linear * (0.3 / 0.1)),
        ({"kind": "product", "first": LINEAR, "second": COSINE}, linear * cosine),
        ({"kind": "sum", "first": LINEAR, "second": COSINE}, linear + cosine),
        ({"kind": "sum", "first": LINEAR, "second": 0.15}, linear + 0.15),
        ({"kind": "repeat", "schedule": LINEAR, "times": 3}, linear.repeat(3)),
        ({"kind": "clip", "schedule": LINEAR, "low": 0.01, "high": 0.05}, linear.clip(0.01, 0.05)),
        ({"kind": "warmed", "schedule": LINEAR, "warmup": 20}, linear.warmed(20)),
        ({"kind": "warmed", "schedule": LINEAR, "warmup": 0.25}, linear.warmed(0.25)),
        ({"kind": "warmed", "schedule": LINEAR, "warmup": 9, "start": 0.01}, linear.warmed(9, 0.01)),
        ({**COSINE, "floor_value": 0.02}, S.cosine(300, 0.2, floor_value=0.02)),
        ({"kind": "wsd", "steps": 30, "peak": 0.1, "shape": "uba", "phi": 3}, S.wsd(30, 0.1, shape="uba", phi=3)),
        (  # a run that is made longer half way
            {"kind": "join", "parts": [
                {"kind": "slice", "stop": 100, "schedule": LINEAR},
                {"kind": "slice", "start": 100, "schedule": {**LINEAR, "steps": 500}}]},
            S.join(linear[:100], S.linear(500, 0.1)[100:]),
        ),
        (
            {"kind": "warmed", "warmup": 5, "schedule": {"kind": "clip", "high": 0.2, "schedule": {
                "kind": "sum", "first": {"kind": "join", "parts": [LINEAR, LINEAR]},
                "second": {"kind": "repeat", "times": 2, "schedule": COSINE}}}},
            (S.join(linear, linear) + cosine.repeat(2)).clip(0.0, 0.2).warmed(5),
        ),
    ],
)  # fmt: skip
def test_combinators(table, wanted):
    (method,) = experiment(table).runs.values()
    assert method.learning_rate == wanted
    np.testing.assert_array_equal(method.learning_rate.values(), wanted.values())


def test_in_the_place_of_a_hyper_parameter():
    shaped = {"kind": "clip", "low": 0.2, "schedule": {**LINEAR, "peak": 0.9}}
    batch = {
        "kind": "join",
        "parts": [{"kind": "constant", "steps": 200, "peak": 1}, {"kind": "constant", "steps": 100, "peak": 4}],
    }
    method = {"kind": "heavy_ball", "momentum": shaped, "batch": batch, "wrap": [{"kind": "ema", "decay": shaped}]}
    (made,) = experiment(LINEAR, method).runs.values()
    known = S.linear(300, 0.9).clip(0.2)
    assert made.schedule("momentum") == made.schedule("decay") == known
    assert made.batch.values()[[0, 199, 200]].tolist() == [1.0, 1.0, 4.0]
    stairs = {"kind": "step", "peak": 8, "drops": [20], "factor": 2.0}
    (made,) = experiment(LINEAR, {"kind": "sgd", "batch": stairs}).runs.values()
    assert made.batch.values()[[0, 19, 20, 299]].tolist() == [8.0, 8.0, 16.0, 16.0]


@pytest.fixture
def logs(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/run.csv").write_text("Step,Wall,train/lr,train/loss\n0,0,0.003,4\n100,1,0.001,3\n")
    S.to_json(linear + cosine, tmp_path / "logs/sum.json")
    return tmp_path


def test_logs_and_json(logs):
    log = {"kind": "log", "path": "logs/run.csv", "peak": 0.3}
    (method,) = experiment(log, folder=logs).runs.values()
    assert (method.length, method.learning_rate.peak()) == (101, pytest.approx(0.3))
    (method,) = experiment({"kind": "json", "path": "logs/sum.json"}, folder=logs).runs.values()
    assert method.learning_rate == linear + cosine
    held = {"kind": "slice", "stop": 50, "schedule": {**log, "between": "hold"}}
    (method,) = experiment(held, folder=logs).runs.values()
    np.testing.assert_allclose(method.learning_rate.values(), 0.3, rtol=1e-15)


def test_files_within_schedules_are_found_from_elsewhere(logs, tmp_path_factory, monkeypatch):
    nested = {
        "kind": "join",
        "parts": [LINEAR, {"kind": "scaled", "factor": 9.0, "schedule": {"kind": "log", "path": "logs/run.csv"}}],
    }
    made = experiment(nested, folder=logs)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    again = sl.Experiment.from_dict(made.to_dict())
    assert [run.learning_rate for run in again.runs.values()] == [run.learning_rate for run in made.runs.values()]


def test_three_logs_side_by_side(logs):
    (logs / "logs/other.csv").write_text("step,lr\n0,0.001\n50,0.0001\n")
    file = logs / "e.toml"
    file.write_text(
        """
[problem]
kind = "power_law"
dim = 50
capacity = 1.5
source = 1.3
[schedule]
kind = "log"
path = "logs/run.csv"
peak = 0.3
[engine]
kind = "exact"
[[compare.schedules]]
label = "one"
[[compare.schedules]]
label = "other"
path = "logs/other.csv"
"""
    )
    made = sl.Experiment.from_file(file)
    assert {label: run.learning_rate.peak() for label, run in made.runs.items()} == {
        "one": 0.3,
        "other": pytest.approx(0.3),
    }
    assert str(made.run(progress=False).status.values) == "['done' 'done']"


def test_sweeps_over_what_stands_within(tmp_path):
    schedule = {"kind": "scaled", "factor": 1.0, "schedule": {"kind": "wsd", "steps": 200, "peak": 0.2}}
    tables = {"problem": PROBLEM, "schedule": schedule, "method": {"kind": "sgd"}}
    axes = {"schedule.factor": [0.5, 1.0], "schedule.schedule.peak": [0.1, 0.2]}
    from simlab.sweeps import run_sweep

    report = run_sweep(sweep_of(tables, axes), tmp_path / "s", progress=False)
    assert report.computed == 4
    tables["schedule"] = {"kind": "join", "parts": [LINEAR, COSINE]}
    assert (
        run_sweep(sweep_of(tables, {"schedule.parts[0].peak": [0.1, 0.2]}), tmp_path / "t", progress=False).computed
        == 2
    )


def test_sweeps_over_the_peak_of_a_logged_schedule(logs, tmp_path):
    from simlab.sweeps import run_sweep

    csv = {"kind": "csv", "path": str(logs / "logs/run.csv"), "lr_column": "train/lr", "step_column": "Step"}
    for number, table in enumerate((csv, {"kind": "log", "path": csv["path"]})):
        tables = {"problem": PROBLEM, "schedule": {**table, "peak": 0.3}, "method": {"kind": "sgd"}}
        sweep = sweep_of(tables, {"schedule.peak": [0.1, 0.2, 0.3]})
        assert run_sweep(sweep, tmp_path / f"store-{number}", progress=False).computed == 3


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kind": "join", "parts": [LINEAR, 3]}, r"schedule.parts\[1\] = 3 is not a schedule table"),
        ({"kind": "join", "parts": 3}, "schedule.parts = 3 is not a list"),
        (
            {"kind": "join", "parts": [LINEAR, {**LINEAR, "peek": 1}]},
            "'peek'.*peak",
        ),
        ({"kind": "join", "parts": []}, "there is nothing to join"),
        ({"kind": "scaled", "schedule": LINEAR}, "schedule.factor is missing; give factor or peak"),
        ({"kind": "scaled", "schedule": LINEAR, "factor": 1, "peak": 1}, "give factor or peak, one of them"),
        (
            {"kind": "scaled", "schedule": 0.1, "factor": 1},
            "schedule.schedule = 0.1 is not of the right type",
        ),
        (
            {"kind": "sum", "first": LINEAR, "second": {**LINEAR, "steps": 10}},
            "have 300 and 10 steps",
        ),
        ({"kind": "slice", "schedule": LINEAR, "start": 400}, "schedule.start = 400 is out of range"),
        ({**COSINE, "floor_value": 0.3}, r"schedule.floor_value = 0.3 is outside \[0, 0.2\]"),
        ({"kind": "cosine", "steps": 9, "lr": 0.1}, r"parameter of schedule \(cosine\): 'lr' is called 'peak' here"),
        ({"kind": "warmed", "schedule": LINEAR, "warmup": 9, "start": -1}, "start = -1 is outside"),
        ({"kind": "log", "path": "absent.csv"}, "absent.csv' cannot be read"),
        ({"kind": "json", "path": "absent.json"}, "absent.json' cannot be read"),
    ],
)
def test_refusals_name_the_place(table, said):
    with pytest.raises(sl.InputError, match=said):
        experiment(table)
