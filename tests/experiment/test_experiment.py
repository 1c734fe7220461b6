"""The experiment file: tables to builders, the merge rule of [compare], round trips, provenance, refusals."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simlab as sl
from simlab.errors import InputError
from simlab.experiment import EXAMPLE, Experiment, write_example
from simlab.experiment.method import METHODS, WRAPPERS
from simlab.experiment.problem import PROBLEMS
from simlab.experiment.schedule import SCHEDULES
from simlab.schedules.registry import FAMILIES
from simlab.showcase.schedules import samples

FAST = settings(derandomize=True, deadline=None, max_examples=40)

SMALL: dict[str, Any] = {
    "problem": {"kind": "power_law", "dim": 12, "capacity": 1.5, "source": 1.4, "noise_variance": 0.1},
    "schedule": {"kind": "wsd", "steps": 40, "peak": 0.2, "warmup": 4, "cooldown": 0.25, "shape": "1-sqrt"},
    "method": {"kind": "sgd", "batch": 2},
    "record": {"steps": 5, "subspaces": "head_tail(3)"},
}


def small(**tables: Any) -> dict[str, Any]:
    """SMALL with some tables replaced (None: left out)."""
    tree = {**copy.deepcopy(SMALL), **tables}
    return {name: table for name, table in tree.items() if table is not None}


def edited(path: str, value: Any) -> dict[str, Any]:
    """SMALL with one parameter "table.key" set."""
    tree = copy.deepcopy(SMALL)
    table, key = path.split(".")
    tree[table][key] = value
    return tree


def refusal(tree: Any, folder: Path | str = ".") -> str:
    with pytest.raises(InputError) as caught:
        Experiment.from_dict(tree, folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def attempt(tree: Any) -> tuple[Experiment | None, str]:
    """The experiment, or None and the refusal."""
    try:
        return Experiment.from_dict(tree), ""
    except InputError as error:
        return None, str(error)


# -- what runs


def test_a_file_says_the_same_as_python():
    experiment = Experiment.from_dict(small())
    problem = sl.LinearRegression.power_law(dim=12, capacity=1.5, source=1.4, noise_variance=0.1)
    schedule = sl.schedules.wsd(40, peak=0.2, warmup=4, cooldown=0.25, shape="1-sqrt")
    trace = sl.exact(problem, sl.methods.sgd(schedule, batch=2), record=5, subspaces="head_tail(3)")
    assert experiment.schedule == schedule
    assert list(experiment.runs) == ["sgd"]
    np.testing.assert_array_equal(experiment.run(progress=False).risk.values, trace.risk.values)


def test_the_example_runs_and_is_written_once(tmp_path):
    path = write_example(tmp_path / "experiment.toml")
    assert path.read_text(encoding="utf-8") == EXAMPLE
    with pytest.raises(InputError, match="exists"):
        write_example(path)
    write_example(path, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["experiment.toml"]
    trace = Experiment.from_file(path).run(progress=False)
    assert list(trace.risk["run"].values) == ["linear cooldown", "1-sqrt cooldown", "cosine decay", "no decay"]
    assert set(trace.status.values) == {"done"}


PROBLEM_TABLES: dict[str, dict[str, Any]] = {
    "data": {"path": "rows.csv", "target": "y"},
    "eigenvalues": {"eigenvalues": [1.0, 0.5], "initial_error": [1.0, -2.0], "noise_variance": 0.1, "kurtosis": [3, 6]},
    "exponential": {"dim": 5, "rate": 0.5, "noise_variance": 0.1},
    "isotropic": {"dim": 5, "eigenvalue": 0.5},
    "logarithmic": {"dim": 5, "power": 2},
    "marchenko_pastur": {"dim": 5, "ratio": 0.5, "noise_variance": 1},
    "noisy_quadratic": {"eigenvalues": [1.0, 0.5], "initial_error": 1.0, "gradient_covariance": [1.0, 0.5]},
    "one_hot": {"probabilities": [0.5, 0.25], "noise_variance": 0.1},
    "power_law": {"dim": 5, "capacity": 1.5, "source": 1.2},
    "random_features": {"alpha": 1.0, "beta": 0.7, "ambient_dim": 20, "features": 4, "seed": 1},
    "two_level": {"head": 2, "tail": 3, "ratio": 10, "initial_error": [1.0, 2.0]},
}


@pytest.mark.parametrize("kind", sorted(PROBLEMS))
def test_every_kind_of_problem(kind, tmp_path):
    (tmp_path / "rows.csv").write_text("a,b,y\n1,0,1\n0,1,2\n1,1,2\n2,1,5\n", encoding="utf-8")
    table = {"kind": kind, **PROBLEM_TABLES[kind]}
    experiment = Experiment.from_dict(small(problem=table, record={}), tmp_path)
    assert experiment.run(progress=False).status.item() == "done"
    assert Experiment.from_dict(experiment.to_dict()).to_dict() == experiment.to_dict()


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_every_kind_of_schedule(kind):
    schedule = samples([kind], 50)[kind]
    experiment = Experiment.from_dict(small(schedule=schedule.to_dict()))
    assert experiment.schedule == schedule


METHOD_TABLES: dict[str, dict[str, Any]] = {
    "acc_sgd": {"kappa": 4.0, "xi": 1.5},
    "acsgd": {"alpha": 0.01},
    "asgd": {"gamma": 0.3, "beta": 0.1},
    "dana": {"g3": 0.01},
    "heavy_ball": {"momentum": 0.5},
    "nesterov": {"momentum": {"kind": "linear", "peak": 0.9, "floor": 0.5}},
    "qhm": {"momentum": 0.9, "nu": 0.5},
    "schedule_free": {"beta": 0.9},
    "sgd": {"batch": float("inf")},
    "torch_momentum": {"momentum": 0.5, "nesterov": True},
    "adabound": {"final_lr": 0.2},
    "adagrad": {},
    "adam": {"beta1": {"kind": "linear", "peak": 0.9, "floor": 0.5}},
    "adam_mini": {"blocks": 2},
    "adamod": {},
    "adamw": {"weight_decay": 0.1},
    "lars": {"blocks": 2},
    "lamb": {"blocks": 2},
    "adam_low_bit": {"bits": 8},
    "lion": {},
    "nadam": {},
    "radam": {},
    "rmsprop": {},
    "sign_sgd": {"batch": 4},
    "signum": {},
}
WRAPPER_TABLES: dict[str, dict[str, Any]] = {
    "average": {"start": 10},
    "ema": {"decay": {"kind": "constant", "peak": 0.9}, "form": "old"},
    "lookahead": {"every": 3},
    "local": {"workers": 2, "every": 10},
    "merge": {"steps": [10, 20, 40]},
    "polynomial_average": {"power": 2},
    "tail_average": {"window": 0.5},
    "weight_decay": {"decay": 0.01},
}


@pytest.mark.parametrize("kind", sorted(METHODS))
def test_every_kind_of_method(kind):
    table = {"kind": kind, **METHOD_TABLES[kind]}
    lr = Experiment.from_dict(small()).schedule
    engine = "exact" if METHODS[kind].linear else "limit"
    (method,) = Experiment.from_dict(small(method=table, engine=engine)).runs.values()
    arguments = {
        key: sl.schedules.make(value["kind"], 40, **{k: v for k, v in value.items() if k != "kind"})
        if isinstance(value, dict)
        else value
        for key, value in METHOD_TABLES[kind].items()
    }
    assert method.expression == METHODS[kind](lr, **arguments).expression


@pytest.mark.parametrize("kind", sorted(WRAPPERS))
def test_every_kind_of_wrapper(kind):
    table = {"kind": "sgd", "wrap": [{"kind": kind, **WRAPPER_TABLES[kind]}]}
    experiment = Experiment.from_dict(small(method=table))
    (method,) = experiment.runs.values()
    assert method.expression.startswith(f"{kind}(sgd(wsd(40")
    assert experiment.run(progress=False).status.item() == "done"


def test_wrappers_apply_in_order():
    table = {"kind": "sgd", "wrap": [{"kind": "weight_decay", "decay": 0.1}, {"kind": "ema", "decay": 0.9}]}
    (method,) = Experiment.from_dict(small(method=table)).runs.values()
    assert method.expression.startswith("ema(weight_decay(sgd(")


def test_schedules_from_values_and_files(tmp_path):
    (tmp_path / "lr.csv").write_text("step,lr\n0,0.2\n9,0.1\n", encoding="utf-8")
    listed = Experiment.from_dict(small(schedule={"kind": "array", "values": [0.1, 0.2]}))
    assert listed.schedule == sl.schedules.from_array([0.1, 0.2])
    read = Experiment.from_dict(small(schedule={"kind": "csv", "path": "lr.csv", "steps": 20}), tmp_path)
    assert read.schedule == sl.schedules.from_csv(tmp_path / "lr.csv", length=20)
    assert Experiment.from_dict(read.to_dict()).schedule == read.schedule


def test_eigencurve_takes_the_spectrum_of_the_problem():
    table = {"kind": "eigencurve", "steps": 30, "eigenvalues": "problem"}
    experiment = Experiment.from_dict(small(schedule=table))
    expected = sl.schedules.eigencurve(30, eigenvalues=np.arange(1.0, 13.0) ** -1.5)
    np.testing.assert_allclose(experiment.schedule.values(), expected.values(), rtol=1e-13)
    assert experiment.to_dict()["schedule"]["eigenvalues"] == "problem"


@pytest.mark.parametrize("moments", ["gaussian", "empirical"])
@pytest.mark.parametrize("suffix", ["csv", "npy", "npz"])
def test_measured_data(suffix, moments, tmp_path):
    random = np.random.default_rng(0)
    X = random.normal(size=(30, 3))
    y = X @ [1.0, -1.0, 0.5] + 0.1 * random.normal(size=30)
    path, target = tmp_path / f"rows.{suffix}", {"csv": "y", "npy": -1, "npz": "y"}[suffix]
    if suffix == "csv":
        np.savetxt(path, np.column_stack([X, y]), delimiter=",", header="a,b,c,y", comments="")
    elif suffix == "npy":
        np.save(path, np.column_stack([X, y]))
    else:
        np.savez(path, X=X, y=y)
    table = {"kind": "data", "path": path.name, "target": target, "moments": moments}
    experiment = Experiment.from_dict(small(problem=table, record={}), tmp_path)
    expected = sl.LinearRegression.from_data(X, y, moments)
    np.testing.assert_allclose(experiment.problem.eigenvalues, expected.eigenvalues, rtol=1e-12)
    trace = experiment.run(progress=False)
    assert len(trace.dataset.attrs["data_sha256"]) == 64
    assert json.loads(trace.dataset.attrs["experiment"])["problem"]["path"] == str(path)


def test_a_problem_compressed_for_all_runs():
    tree = small(
        problem={**SMALL["problem"], "dim": 3000},
        record={"steps": 5, "subspaces": "effective()"},
        compare={"schedules": [{}, {"peak": 0.05}], "methods": [{}, {"kind": "heavy_ball", "momentum": 0.9}]},
    )
    whole = Experiment.from_dict(tree).run(progress=False)
    tree["problem"]["compress"] = 1e-9
    experiment = Experiment.from_dict(tree)
    assert experiment.problem.modes().eigenvalues.size < 500
    np.testing.assert_allclose(experiment.run(progress=False).risk.values, whole.risk.values, rtol=1e-8, atol=1e-300)


def test_a_trillion_modes_need_compress():
    problem = {**SMALL["problem"], "dim": 10**12}
    assert "problem.dim = 1000000000000" in refusal(small(problem=problem))
    assert Experiment.from_dict(small(problem={**problem, "compress": True})).problem.dim == 10**12


@pytest.mark.parametrize(
    ("record", "shape"),
    [
        ({}, (26, 2, 1)),
        ({"steps": "all"}, (41, 2, 1)),
        ({"steps": [10, 20], "deterministic": True}, (4, 3, 1)),
        ({"steps": 3, "subspaces": {"first": [1], "odd": [3, 5]}}, (3, 2, 3)),
        ({"steps": 3, "subspaces": "log_bins(4)", "snapshots": [0, 40]}, (3, 2, 4)),
    ],
)
def test_record(record, shape):
    trace = Experiment.from_dict(small(record=record)).run(progress=False)
    assert trace.risk.shape == shape
    assert ("mode_risk" in trace.dataset) == ("snapshots" in record)


# -- compare


def test_an_entry_of_the_same_kind_keeps_everything():
    experiment = Experiment.from_dict(small(compare={"schedules": [{}, {"label": "long", "cooldown": 0.5}]}))
    long = sl.schedules.wsd(40, peak=0.2, warmup=4, cooldown=0.5, shape="1-sqrt")
    assert [m.learning_rate for m in experiment.runs.values()] == [experiment.schedule, long]
    assert list(experiment.runs) == ["wsd", "long"]


def test_an_entry_of_another_kind_keeps_what_means_the_same():
    entries = [{"kind": "cosine"}, {"kind": "one_cycle"}, {"kind": "noam"}, {"kind": "array", "values": [0.1]}]
    rates = [m.learning_rate for m in Experiment.from_dict(small(compare={"schedules": entries})).runs.values()]
    s = sl.schedules
    assert rates == [
        s.cosine(40, peak=0.2, warmup=4),
        s.one_cycle(40, peak=0.2),
        s.noam(40, warmup=4),
        s.from_array([0.1]),
    ]


def test_methods_of_another_kind_keep_batch_momentum_and_wrappers():
    base = {"kind": "torch_momentum", "momentum": 0.8, "dampening": 0.1, "batch": 3, "wrap": [{"kind": "ema"}]}
    compare = {"methods": [{"kind": "nesterov"}, {"kind": "sgd", "wrap": []}]}
    nesterov, plain = Experiment.from_dict(small(method=base, compare=compare)).runs.values()
    assert nesterov.expression.startswith("ema(nesterov(")
    assert "momentum=0.8, batch=3" in nesterov.expression
    assert plain.expression.startswith("sgd(")
    assert "batch=3" in plain.expression


def test_products_and_labels():
    compare = {
        "schedules": [{}, {"peak": 0.1}],
        "methods": [{"label": "plain"}, {"label": "averaged", "wrap": [{"kind": "ema", "decay": 0.9}]}],
    }
    experiment = Experiment.from_dict(small(compare=compare))
    names = ["wsd, plain", "wsd, averaged", "wsd peak=0.1, plain", "wsd peak=0.1, averaged"]
    assert list(experiment.runs) == names
    assert list(experiment.run(progress=False).risk["run"].values) == names


def test_a_base_without_kind_serves_entries():
    tree = small(schedule={"steps": 20, "peak": 0.1}, compare={"schedules": [{"kind": "cosine"}, {"kind": "linear"}]})
    experiment = Experiment.from_dict(tree)
    assert experiment.schedule is None
    assert [m.learning_rate for m in experiment.runs.values()] == [
        sl.schedules.cosine(20, peak=0.1),
        sl.schedules.linear(20, peak=0.1),
    ]


def test_the_default_method_is_sgd():
    experiment = Experiment.from_dict(small(method=None))
    assert experiment.to_dict()["method"] == {"kind": "sgd"}
    assert list(experiment.runs) == ["sgd"]


# -- the canonical form


def test_round_trip_through_a_file(tmp_path):
    write_example(tmp_path / "e.toml")
    experiment = Experiment.from_file(tmp_path / "e.toml")
    again = Experiment.from_dict(experiment.to_dict())
    assert again.to_dict() == experiment.to_dict()
    assert [m.expression for m in again.runs.values()] == [m.expression for m in experiment.runs.values()]
    assert json.loads(json.dumps(experiment.to_dict())) == experiment.to_dict()
    experiment.to_dict()["problem"]["dim"] = 3
    assert experiment.to_dict()["problem"]["dim"] == 10_000


def test_canonical_kinds_and_arrays():
    tree = small(
        problem={"kind": "Power-Law", "dim": np.int64(5), "capacity": 1.5, "source": np.float64(1.2)},
        schedule={"kind": "WSD-S", "steps": 40, "peak": 0.1, "budgets": (20, 30)},
        method={"kind": "heavy-ball", "momentum": {"kind": "Constant", "peak": 0.5}},
    )
    given = copy.deepcopy(tree)
    out = Experiment.from_dict(tree).to_dict()
    assert tree == given
    assert (out["problem"]["kind"], out["schedule"]["kind"], out["method"]["kind"]) == (
        "power_law",
        "wsd_s",
        "heavy_ball",
    )
    assert out["method"]["momentum"]["kind"] == "constant"
    assert out["schedule"]["budgets"] == [20, 30]
    assert type(out["problem"]["dim"]) is int


def test_provenance_reproduces_the_run():
    trace = Experiment.from_dict(small(compare={"schedules": [{}, {"kind": "cosine"}]})).run(progress=False)
    again = Experiment.from_dict(json.loads(trace.dataset.attrs["experiment"])).run(progress=False)
    np.testing.assert_array_equal(again.risk.values, trace.risk.values)


names = st.sampled_from(["constant", "linear", "cosine", "wsd", "trapezoid", "exponential", "sgdr"])
schedule_tables = st.fixed_dictionaries(
    {"kind": names, "steps": st.integers(1, 60), "peak": st.floats(0.0, 2.0)},
    optional={"label": st.text("abc ÄΩ", min_size=1).filter(str.strip)},
)


@FAST
@given(st.lists(schedule_tables, min_size=1, max_size=4, unique_by=lambda t: t.get("label", str(t))))
def test_round_trip_of_any_comparison(entries):
    tree = small(schedule=None, record={}, compare={"schedules": entries})
    experiment, refused = attempt(tree)
    if experiment is None:
        assert "label" in refused
        return
    again = Experiment.from_dict(experiment.to_dict())
    assert again.to_dict() == experiment.to_dict()
    assert {k: m.learning_rate for k, m in again.runs.items()} == {
        k: m.learning_rate for k, m in experiment.runs.items()
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    [f"{table}.{key}" for table in SMALL for key in SMALL[table]]
    + [
        "method.wrap",
        "method.momentum",
        "record.snapshots",
        "record.deterministic",
        "problem.compress",
        "problem.kurtosis",
    ]
)


@settings(FAST, max_examples=300)
@given(keys, json_values)
def test_whatever_is_written_is_taken_or_refused_in_one_sentence(path, value):
    experiment, refused = attempt(edited(path, value))
    if experiment is None:
        assert "\n" not in refused
        assert path.split(".")[0] in refused


# -- refusals

BAD: list[tuple[dict[str, Any], list[str]]] = [
    (small(problem=None), ["[problem] is missing", "power_law"]),
    (small(schedule=None), ["[schedule] is missing"]),
    ({**small(), "problm": {}}, ["'problm'", "did you mean 'problem'"]),
    (small(problem=3), ["problem = 3", "[problem]"]),
    (small(problem={"dim": 3}), ["problem.kind is missing"]),
    (edited("problem.kind", "powerlaw"), ["problem.kind", "'powerlaw'", "did you mean 'power_law'"]),
    (edited("problem.kind", 3), ["problem.kind", "3"]),
    (edited("problem.capacty", 1.0), ["problem", "'capacty'", "did you mean 'capacity'"]),
    (edited("problem.dim", -1), ["problem.dim = -1", "at least 1"]),
    (edited("problem.dim", "10"), ["problem.dim = '10'", "whole number"]),
    (edited("problem.dim", True), ["problem.dim = true", "whole number"]),
    (edited("problem.dim", 2.5), ["problem.dim = 2.5", "whole number"]),
    (edited("problem.capacity", float("nan")), ["problem.capacity = nan"]),
    (edited("problem.kurtosis", 0.5), ["problem.kurtosis = 0.5"]),
    (edited("problem.noise_variance", -0.1), ["problem.noise_variance = -0.1"]),
    (edited("problem.compress", "yes"), ["problem.compress = 'yes'", "1e-10"]),
    (edited("problem.compress", 0.5), ["problem", "tolerance = 0.5"]),
    (small(problem={"kind": "power_law", "dim": 3}), ["problem.capacity is missing", "a number"]),
    (
        small(problem={"kind": "eigenvalues", "eigenvalues": [1.0, -1.0], "initial_error": 1, "noise_variance": 0}),
        ["problem.eigenvalues[1] = ", "-1.0"],
    ),
    (
        small(problem={"kind": "eigenvalues", "eigenvalues": [1.0], "initial_error": [1, 2], "noise_variance": 0}),
        ["problem.initial_error has 2 entries"],
    ),
    (small(problem={"kind": "two_level", "head": 1, "tail": 1, "ratio": 2, "initial_error": [1, 2, 3]}), ["problem"]),
    (
        small(problem={"kind": "noisy_quadratic", **PROBLEM_TABLES["noisy_quadratic"], "compress": True}, record={}),
        ["problem.compress", "noisy_quadratic"],
    ),
    (small(problem={"kind": "data", "path": "no.csv"}), ["problem.path = ", "no.csv", "cannot be read"]),
    (small(problem={"kind": "data", "path": "no.xls"}), ["problem.path = ", "no.xls'", ".csv"]),
    (edited("schedule.kind", "cosin"), ["schedule.kind", "'cosin'", "did you mean 'cosine'"]),
    (edited("schedule.pek", 0.1), ["schedule", "'pek'", "did you mean 'peak'"]),
    (edited("schedule.alpha", 0.1), ["schedule", "alpha"]),
    (edited("schedule.peak", -0.1), ["schedule.peak = -0.1"]),
    (edited("schedule.peak", {"kind": "linear"}), ["schedule.peak = ", "is a table", "a number"]),
    (edited("schedule.steps", 0), ["schedule.steps = 0", "at least 1"]),
    (edited("schedule.warmup", 35), ["schedule.warmup + cooldown = 35 + 10", "shorter"]),
    (edited("schedule.shape", "1-sqr"), ["schedule.shape", "'1-sqrt'"]),
    (small(schedule={"kind": "cosine", "peak": 0.1}), ["schedule.steps is missing"]),
    (small(schedule={"kind": "cosine", "steps": 10}), ["schedule.peak is missing", "a number"]),
    (small(schedule={"kind": "array", "values": [0.1, -0.1]}), ["schedule.values[1] = ", "-0.1"]),
    (small(schedule={"kind": "array"}), ["schedule.values is missing", "a list"]),
    (small(schedule={"kind": "csv", "path": "no.csv"}), ["schedule", "no.csv", "cannot be read"]),
    (edited("method.kind", "sdg"), ["method.kind", "'sdg'", "did you mean 'sgd'"]),
    (edited("method.lr", 0.1), ["method.lr = 0.1", "[schedule]"]),
    (edited("method.momentum", 0.9), ["method", "'momentum'"]),
    (edited("method.batch", 0), ["method.batch = 0", "at least 1"]),
    (edited("method.batch", {"kind": "constant", "peak": 0.5}), ["method.batch", "0.5"]),
    (edited("method.batch", {"kind": "constnt", "peak": 4}), ["method.batch.kind", "did you mean 'constant'"]),
    (edited("method.batch", {"kind": "constant", "peak": 4, "steps": 7}), ["method.batch has 7 steps", "40"]),
    (edited("method.batch", {"kind": "constant", "peak": -1}), ["method.batch.peak = -1"]),
    (small(method={"kind": "heavy_ball", "momentum": 1.5}), ["method.momentum = 1.5"]),
    (small(method={"kind": "torch_momentum", "nesterov": 1}), ["method.nesterov = 1", "true or false"]),
    (edited("method.wrap", {"kind": "ema"}), ["method.wrap = ", "list of tables"]),
    (edited("method.wrap", [{"decay": 0.9}]), ["method.wrap[0].kind is missing"]),
    (edited("method.wrap", [{"kind": "ema", "decay": 1.1}]), ["method.wrap[0].decay = 1.1", "[0, 1]"]),
    (edited("method.wrap", [{"kind": "ema", "form": "newer"}]), ["method.wrap[0].form", "'newer'", "'new'"]),
    (edited("method.wrap", [{"kind": "emma"}]), ["method.wrap[0].kind", "did you mean 'ema'"]),
    (edited("record.subspace", "whole()"), ["[record]", "'subspace'", "did you mean 'subspaces'"]),
    (edited("record.subspaces", "log_bin(3)"), ["record.subspaces", "did you mean 'log_bins'"]),
    (edited("record.subspaces", "log_bins(x)"), ["record.subspaces = 'log_bins(x)'"]),
    (edited("record.subspaces", 3), ["record.subspaces = 3", "log_bins(8)"]),
    (edited("record.subspaces", "head_tail(13)"), ["record.subspaces", "13", "12"]),
    (edited("record.subspaces", {"a": [1, 99]}), ["record.subspaces", "99"]),
    (edited("record.subspaces", {"a": [1], "b": [1]}), ["record.subspaces", "'a' and 'b'"]),
    (edited("record.steps", "some"), ["record.steps = 'some'", "'all'"]),
    (edited("record.steps", [0, 50]), ["record.steps", "50", "40"]),
    (edited("record.steps", 1), ["record.steps = 1"]),
    (edited("record.deterministic", "no"), ["record.deterministic = 'no'", "true or false"]),
    (edited("record.snapshots", [0, 41]), ["record.snapshots[1] = 41", "40"]),
    (edited("record.snapshots", 3), ["record.snapshots = 3", "list"]),
    (small(compare={"schedule": []}), ["[compare]", "did you mean 'schedules'"]),
    (small(compare={"schedules": []}), ["compare.schedules = []", "[[compare.schedules]]"]),
    (small(compare={"schedules": [3]}), ["compare.schedules = [3]"]),
    (small(compare={"schedules": [{"peek": 1}]}), ["compare.schedules[0]", "did you mean 'peak'"]),
    (small(compare={"schedules": [{}, {"peak": -1}]}), ["compare.schedules[1].peak = -1"]),
    (small(compare={"schedules": [{"kind": "cosine", "shape": "linear"}]}), ["compare.schedules[0]", "'shape'"]),
    (small(compare={"schedules": [{}, {}]}), ["compare.schedules[1].label = 'wsd'", "its own"]),
    (small(compare={"schedules": [{"label": 3}]}), ["compare.schedules[0].label = 3"]),
    (small(schedule=None, compare={"schedules": [{"peak": 1}]}), ["compare.schedules[0].kind is missing"]),
    (
        small(schedule={"steps": 9, "cooldown": 0.1}, compare={"schedules": [{"kind": "wsd", "peak": 1}]}),
        ["schedule.cooldown", "kind"],
    ),
    (small(compare={"methods": [{"kind": "sgdd"}]}), ["compare.methods[0].kind", "did you mean 'sgd'"]),
]


@pytest.mark.parametrize(("tree", "words"), BAD, ids=[words[0][:40] for _, words in BAD])
def test_bad_input_is_refused_in_one_sentence_that_says_where(tree, words):
    message = refusal(tree)
    assert all(word in message for word in words), message


BAD_DATA = [
    ("rows.csv", b"a,b,y\n1,2,3\n", {"target": "z"}, ["target", "'z'"]),
    ("rows.csv", b"a,b,y\n", {}, ["no rows"]),
    ("rows.csv", b"a,b,y\n1,2,x\n", {}, ["'x'", "row"]),
    ("rows.csv", b"a,b,y\n1,2,3,4\n", {}, ["line 2", "4 cells"]),
    ("rows.csv", b"a,b,y\n1,nan,3\n", {}, ["line 2", "'nan'"]),
    ("rows.csv", b"a,b,y\n1,2,3\n", {"target": 7}, ["problem.target = 7"]),
    ("rows.csv", b"\xff\xfe\x00", {}, ["problem"]),
    ("rows.npy", b"not an array", {"target": 0}, ["rows.npy"]),
    ("rows.npz", b"not an archive", {}, ["rows.npz"]),
    ("rows.csv", b"a,b,y\n1,2,3\n", {"moments": "gausian"}, ["problem.moments", "did you mean 'gaussian'"]),
]


@pytest.mark.parametrize(("name", "content", "extra", "words"), BAD_DATA)
def test_bad_data_files(name, content, extra, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    message = refusal(small(problem={"kind": "data", "path": name, **extra}), tmp_path)
    assert all(word in message for word in words), message


def test_files_that_do_not_parse(tmp_path):
    path = tmp_path / "e.toml"
    path.write_text("[problem]\nkind = = 3\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"e\.toml is not valid TOML: .*line 2, column 8"):
        Experiment.from_file(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match="UTF-8"):
        Experiment.from_file(path)
    with pytest.raises(InputError, match="cannot be read"):
        Experiment.from_file(tmp_path / "none.toml")
    with pytest.raises(InputError, match="cannot be read"):
        Experiment.from_file(tmp_path)


def test_dates_and_other_objects_are_refused():
    assert "problem.dim" in refusal(edited("problem.dim", tomllib.loads("d = 1979-05-27")["d"]))
    assert "dict of tables" in refusal([])
    assert "csv" in SCHEDULES
