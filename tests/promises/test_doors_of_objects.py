"""The doors of schedules, feedback, twins and files, and those that traces, states and other objects have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import simlab as sl
from simlab import feedback, methods, plot, problems, schedules, twin
from simlab.trace.state import State
from simlab.twin.laws import Fitted
from simlab.twin.parameters import PLACE
from tests.promises import test_doors as others
from tests.promises.wrong_kinds import PROBLEM, RATE, SGD, Door, check, outcome, quick
from tests.schedules.test_schedule_foreign import Halving, Optimizer
from tests.twin.runs import SCHEDULES, TRAINED, TRUTH, known, made

STEADY = {"deterministic": True, "progress": False}
NEEDED: dict[str, Any] = {
    "steps": 8,
    "peak": 0.1,
    "eigenvalues": [1.0, 0.5],
    "knots": [[0, 0.1], [0.5, 0.2]],
    "lr": 0.1,
    "gradient_norm": 1.0,
    "decay": 1.0,
    "problem": PROBLEM,
}
"""What named schedules have no default for."""


def door(function: Callable[..., Any], slow: bool = False, /, **good: Any) -> Door:
    """The door of a function whose other arguments are as by default."""
    parameters = inspect.signature(function).parameters.values()
    usual = {p.name: p.default for p in parameters if p.default is not p.empty}
    return Door(function, {**usual, **good}, slow)


def ones(summary, memory, gains):
    """A rule that leaves the rate as it is."""
    return 1.0


def _named() -> dict[str, Door]:
    every = {}
    for name in schedules.named():
        function = getattr(schedules, name.replace("-", "_"))
        wanted = inspect.signature(function).parameters.items()
        every[f"schedules.{name}"] = door(
            function, **{key: NEEDED[key] for key, p in wanted if p.default is p.empty and key in NEEDED}
        )
    return every


def _of_schedules(folder: Path) -> dict[str, Door]:
    """`folder` holds log.csv and lr.json."""
    every = {
        "schedules.as_schedule": door(schedules.as_schedule, value=RATE, length=8),
        "schedules.clip": door(schedules.clip, schedule=RATE),
        "schedules.repeat": door(schedules.repeat, schedule=RATE, times=2),
        "schedules.from_array": door(schedules.from_array, values=[0.1, 0.2]),
        "schedules.from_dict": door(schedules.from_dict, tree=RATE.to_dict()),
        "schedules.from_function": door(schedules.from_function, function=lambda step: 0.1, steps=5),
        "schedules.from_scheduler": door(schedules.from_scheduler, scheduler=Halving(Optimizer(0.1)), steps=3),
        "schedules.from_csv": door(schedules.from_csv, path=folder / "log.csv"),
        "schedules.from_log": door(schedules.from_log, path=folder / "log.csv"),
        "schedules.from_json": door(schedules.from_json, path=folder / "lr.json"),
        "schedules.make": door(schedules.make, kind="wsd", steps=5, peak=0.1),
        "schedules.to_csv": door(schedules.to_csv, True, schedule=RATE, path=folder / "out.csv", overwrite=True),
        "schedules.to_json": door(schedules.to_json, True, schedule=RATE, path=folder / "out.json", overwrite=True),
        "schedules.to_optax": door(schedules.to_optax, schedule=RATE),
        "schedules.to_torch": door(schedules.to_torch, schedule=RATE),
        "schedules.to_transformers": door(schedules.to_transformers, schedule=RATE),
    }
    given = {"slice": {"start": 1}, "warmed": {"warmup": 2}, "repeat": {"times": 2}, "values": {}, "clip": {}}
    return {**every, **{f"Schedule.{name}": door(getattr(RATE, name), **good) for name, good in given.items()}}


def _of_feedback() -> dict[str, Door]:
    given: dict[str, dict[str, Any]] = {
        "custom": {"rule": ones},
        "backup_workers": {"workers": 4, "smoothness": 1.0},
        "waiting_time": {"k": 1, "workers": 4},
        "volsched": {"weight": 1.0, "epochs": 8},
        "autolrs": {"stages": [4, 4]},
        "gradient_clipping": {"threshold": 1.0},
    }
    others = set(feedback.__all__) - RESULTS["feedback"]
    return {f"feedback.{name}": door(getattr(feedback, name), **given.get(name, {})) for name in sorted(others)}


def _of_twins(folder: Path) -> dict[str, Door]:
    theta = TRUTH.copy()
    theta[PLACE["stiffening"]] = 0.0
    one, run = replace(known(theta), batch=8.0), SCHEDULES["wsdcon_9"]
    curves = [made(TRUTH, name, seed) for seed, name in enumerate(TRAINED)]
    one.to_json(folder / "twin.json")
    rates = {"weight_decay": 0.1}
    every = {
        "twin.Curve": door(twin.Curve, schedule=run, steps=curves[0].steps[:60], losses=curves[0].losses[:60]),
        "twin.Errors": door(twin.Errors),
        "twin.echo": door(twin.echo, beta1=0.9),
        "twin.effective": door(twin.effective, schedule=run, **rates),
        "twin.realising": door(twin.realising, effective=run, **rates),
        "twin.norm": door(twin.norm, schedule=run, **rates),
        "twin.fit": door(twin.fit, True, curves=curves, **rates),
        "twin.report": door(twin.report, True, twin=known(TRUTH), fitted=curves[:2]),
        "twin.from_json": door(twin.from_json, path=folder / "twin.json"),
        "twin.laws.fit": door(twin.laws.fit, True, curves=curves, weight_decay=0.1),
        "Fitted.predict": door(
            Fitted("multi-power", dict.fromkeys(twin.laws.LAWS["multi-power"].names, 0.5)
                   | dict.fromkeys(["L0", *twin.laws.LAWS["multi-power"].linear], 0.5), 3e-4, 0.1, 0.0).predict,
            True, schedule=run,
        ),
    }  # fmt: skip
    given: dict[str, dict[str, Any]] = {
        "as_problem": {"schedule": run},
        "at_batch": {"batch": 2.0},
        "beyond": {"schedule": run},
        "compare": {"first": run, "second": run},
        "design": {"candidates": [run], "targets": [run]},
        "optimize": {"steps": 3000},
        "play": {"path": folder / "twin.html", "force": True},
        "predict": {"schedule": run},
        "rank": {"schedules": [run]},
        "to_json": {"path": folder / "out.json"},
    }
    return {**every, **{f"Twin.{name}": door(getattr(one, name), True, **good) for name, good in given.items()}}


def _of_answers(folder: Path) -> dict[str, Door]:
    two = {"a": SGD, "b": methods.sgd(schedules.linear(8, 0.1))}
    both = sl.exact(PROBLEM, two, record=3, keep=[4], subspaces="log_bins(2)", **STEADY)
    one = sl.exact(PROBLEM, SGD, keep=[4], **STEADY)
    sampled = sl.sample(PROBLEM, SGD, replicas=2, keep=[4], progress=False)
    moving = one.state_at(4)
    held = sl.EmpiricalRegression(others.ROWS, np.ones(4), holdout=0.5)
    split = sl.exact(held, SGD, progress=False)
    rows = sl.EmpiricalRegression(others.ROWS, np.ones(4))
    fitting = {"experiment": others.TREE, "axes": {"schedule.peak": [0.1, 0.2]}, "progress": False}
    return {
        "plot.losses": door(plot.losses, True, trace=split),
        "plot.regret": door(plot.regret, True, trace=both),
        "sweep": door(sl.sweep, True, store=folder / "s.zarr", **fitting),
        "RiskTrace.branch": door(both.branch, step=4, method=methods.rest(SGD, 4), run="a"),
        "RiskTrace.holdout_z_scores": door(
            sl.sample(held, SGD, replicas=2, progress=False).holdout_z_scores, exact=split
        ),
        "RiskTrace.load": door(sl.RiskTrace.load, path=one.save(folder / "kept.zarr")),
        "RiskTrace.save": door(one.save, True, path=folder / "t.zarr", force=True),
        "RiskTrace.state_at": door(both.state_at, step=4, run="a"),
        "RiskTrace.with_coordinates": door(one.with_coordinates, coordinates={"seed": 1}),
        "RiskTrace.z_scores": door(sampled.z_scores, exact=one),
        "State.moved": door(moving.moved, old=PROBLEM, new=PROBLEM),
        "State.of": door(moving.of, method=SGD),
        "State.reseeded": door(sampled.state.reseeded, seed=1),
        "Method.batches": door(SGD.batches),
        "Method.coefficients": door(SGD.coefficients),
        "Method.inverse_batch": door(SGD.inverse_batch),
        "Method.readout": door(SGD.readout),
        "Method.rescale": door(SGD.rescale, factor=0.5),
        "Method.schedule": door(SGD.schedule, name="lr"),
        "Method.stability": door(SGD.stability, problem=PROBLEM),
        "Mixture.rotated": door(sl.Mixture([sl.LinearRegression([1.0, 0.5], 1.0, 0.1)] * 2).rotated, rotation=0),
        "LinearRegression.count_at_least": door(PROBLEM.count_at_least, threshold=0.5),
        "LinearRegression.from_density": door(
            sl.LinearRegression.from_density, values=[1.0, 0.5], density=[1.0, 1.0], dim=4
        ),
        "LinearRegression.rotated": door(PROBLEM.rotated, rotation=0),
        "EmpiricalRegression.output": door(rows.output, j=0),
        "EmpiricalRegression.rotated": door(rows.rotated, rotation=0),
    }


@cache
def _doors(folder: Path) -> dict[str, Door]:
    (folder / "log.csv").write_text("step,lr\n0,0.1\n1,0.2\n2,0.1\n", encoding="utf-8")
    schedules.to_json(RATE, folder / "lr.json")
    return {**_named(), **_of_schedules(folder), **_of_feedback(), **_of_twins(folder), **_of_answers(folder)}


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    return _doors(tmp_path_factory.mktemp("doors"))


MODULES: dict[str, ModuleType] = {
    "feedback": feedback, "plot": plot, "problems": problems, "schedules": schedules, "twin": twin,
}  # fmt: skip
RESULTS = {
    "feedback": {"Ahead", "Feedback", "Rule", "Summary"},
    "plot": set(),
    "problems": {"DiagonalProblem", "Modes"},
    "schedules": {"Schedule", "join"},
    "twin": {"Band", "Difference", "Twin"},
}
"""Public names that simlab makes, and one that takes schedules without names."""
OBJECTS = {
    "RiskTrace": sl.RiskTrace, "State": State, "Schedule": schedules.Schedule, "Method": type(SGD), "Twin": twin.Twin,
    "Mixture": sl.Mixture, "LinearRegression": sl.LinearRegression, "EmpiricalRegression": sl.EmpiricalRegression,
}  # fmt: skip
OUR_OWN = {
    "RiskTrace": {"plot"}, "State": {"require"}, "Schedule": {"chunks"},
    "Mixture": {"check_length", "loss_weights", "shares"},
    "Method": {"at", "breaks", "increments", "next_kink", "numbers", "outlook", "recursion", "share", "stretch"},
    "Twin": {"difference", "ends", "mixed", "walk"},
}  # fmt: skip
"""What engines and one another ask of objects, with arguments that are checked already."""


def test_wrong_kinds_are_refused(doors):
    calls, refused = check(quick(doors), 0.05)
    assert calls > 200
    assert refused > 150


@pytest.mark.slow
def test_every_wrong_kind_at_every_door_is_refused(doors, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [name for name, each in doors.items() if outcome(each, each.good) != "answered"] == []
    calls, refused = check(doors, 1.0)
    print(f"{calls} calls, {refused} refused")
    assert calls > 6000
    assert refused > 5000


def test_every_public_function_has_a_door_here(doors):
    """Or beside the engines, or is named a result."""
    found = doors.keys() | others.DOORS.keys()
    for place, module in MODULES.items():
        for name in set(module.__all__) - RESULTS[place]:
            value = getattr(module, name)
            if callable(value) and inspect.signature(value).parameters:
                hyphens = name.replace("_", "-")
                known_as = {name, f"{place}.{name}", f"{place}.{hyphens}"}
                assert known_as & found, f"{place}.{name}"


def test_every_public_function_of_an_object_has_a_door(doors):
    found = doors.keys() | others.DOORS.keys()
    for kind, cls in OBJECTS.items():
        for name, value in inspect.getmembers(cls, callable):
            arguments = [] if name.startswith("_") else [*inspect.signature(value).parameters]
            if set(arguments) - {"self", "cls", "thresholds"} and name not in OUR_OWN.get(kind, ()):
                bases = (
                    {kind, "LinearRegression"}
                    if issubclass(cls, problems.LinearRegression) or kind in ("Mixture", "EmpiricalRegression")
                    else {kind}
                )
                assert any(f"{base}.{name}" in found for base in bases), f"{kind}.{name}"
