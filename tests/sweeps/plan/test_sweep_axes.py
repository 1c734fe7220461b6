"""The table [sweep]: which cells it makes, in which order, and what is refused of it."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab.sweeps import sweep_of
from simlab.sweeps.plan.axes import assign, axes_of, parse_path, spoken
from simlab.sweeps.plan.sweep import Sweep

PROBLEM = {"kind": "power_law", "dim": 10, "capacity": 1.5, "source": 1.3, "noise_variance": 0.1}
SCHEDULE = {"kind": "wsd", "steps": 40, "peak": 0.2, "warmup": 4, "cooldown": 8}
TABLES = {"problem": PROBLEM, "schedule": SCHEDULE, "method": {"kind": "sgd", "batch": 2}}


def planned(axes, **tables):
    return sweep_of({**TABLES, **tables}, axes)


def values_of(axes, path):
    """The values of a parameter, wherever the axis with it stands."""
    (axis,) = (axis for axis in axes_of(axes) if path in axis.fields)
    return axis.fields[path]


def refused(axes, **tables):
    """What is said of a sweep before anything of it runs: one sentence on one line."""
    with pytest.raises(sl.InputError) as raised:
        planned(axes, **tables).validate()
    said = str(raised.value)
    assert "\n" not in said
    assert said.endswith((".", "?", ")"))
    return said


# -- what the values are ----------------------------------------------------------------------------------------------


def test_ranges():
    peak = {"schedule.peak": {"log": [0.01, 100.0], "points": 5}}
    np.testing.assert_allclose(values_of(peak, "schedule.peak"), [0.01, 0.1, 1.0, 10.0, 100.0], rtol=1e-14)
    down = values_of({"schedule.peak": {"log": [0.3, 0.007], "points": 4}}, "schedule.peak")
    assert (down[0], down[-1]) == (0.3, 0.007), "the ends are as they were written"
    linear = values_of({"problem.capacity": {"linear": [1.1, 1.7], "points": 3}}, "problem.capacity")
    np.testing.assert_allclose(linear, [1.1, 1.4, 1.7], rtol=1e-15)
    batch = values_of({"method.batch": {"log": [1, 64], "points": 7, "integer": True}}, "method.batch")
    assert batch == [1, 2, 4, 8, 16, 32, 64]
    assert all(type(value) is int for value in batch)
    few = values_of({"method.batch": {"linear": [1, 3], "points": 9, "integer": True}}, "method.batch")
    assert few == [1, 2, 3], "rounding repeats nothing"
    assert values_of({"schedule.peak": {"log": [0.3, 0.5], "points": 1}}, "schedule.peak") == [0.3]


def test_numpy_values_are_taken():
    axes = planned({"schedule.peak": np.geomspace(0.1, 1.0, 3), "method.batch": [np.int64(2)]}).grid.axes
    assert axes[0].fields["schedule.peak"] == np.geomspace(0.1, 1.0, 3).tolist()
    assert type(axes[1].fields["method.batch"][0]) is int


def test_nested_tables_and_quoted_paths_are_the_same():
    nested = {"schedule": {"peak": [0.1, 0.2], "warmup": {"linear": [0, 8], "points": 3}}, "problem": {"dim": [4, 6]}}
    quoted = {
        "schedule.peak": [0.1, 0.2],
        "schedule.warmup": {"linear": [0, 8], "points": 3},
        "problem.dim": [4, 6],
    }
    assert axes_of(nested) == axes_of(quoted)
    assert planned(nested).document == planned(quoted).document
    inner = {"method": {"wrap[0].decay": [0.5, 0.9]}}
    assert axes_of(inner) == axes_of({"method.wrap[0].decay": [0.5, 0.9]})


def test_zipped_lists_go_together():
    zipped = {"zip": [{"schedule.peak": [0.1, 0.1, 0.3], "method.batch": [1, 8, 8]}], "problem.dim": [4, 5]}
    plan = planned(zipped)
    assert plan.grid.dims == {"problem.dim": 2, "schedule.peak+method.batch": 3}
    seen = [
        (v["problem.dim"], v["schedule.peak"], v["method.batch"]) for v in map(plan.grid.values, range(plan.grid.size))
    ]
    assert seen == [(d, *pair) for d in (4, 5) for pair in [(0.1, 1), (0.1, 8), (0.3, 8)]]
    ranges = {"zip": [{"schedule": {"peak": {"log": [0.1, 1.0], "points": 2}, "warmup": [0, 0]}}]}
    assert values_of(ranges, "schedule.peak") == [0.1, 1.0]
    assert values_of(ranges, "schedule.warmup") == [0, 0], "a value may come again in another company"


@pytest.mark.parametrize("name", ["random", "sobol"])
def test_samples_of_a_space(name):
    def space(seed, samples=13):
        ranges = {
            "schedule.peak": {"log": [0.01, 1.0]},
            "problem.capacity": {"linear": [1.1, 2.0]},
            "method.batch": {"log": [1, 64], "integer": True},
            "schedule.kind": ["wsd", "cosine"],
        }
        return {name: {"samples": samples, "seed": seed, **ranges}}

    (axis,) = axes_of(space(7))
    assert (axis.name, axis.size) == ("sample", 13)
    assert axes_of(space(7)) == [axis], "reproducible"
    assert axes_of(space(8)) != [axis], "the seed counts"
    if name == "sobol":
        (longer,) = axes_of(space(7, 100))
        assert all(longer.fields[path][:13] == values for path, values in axis.fields.items()), "a sequence"
        logs = np.log(longer.fields["schedule.peak"][:64]) - np.log(0.01)
        assert set(np.bincount((logs / np.log(100.0) * 8).astype(int))) == {8}, "evenly spread"
    assert all(0.01 <= value <= 1.0 for value in axis.fields["schedule.peak"])
    assert all(1.1 <= value <= 2.0 for value in axis.fields["problem.capacity"])
    assert all(type(value) is int and 1 <= value <= 64 for value in axis.fields["method.batch"])
    assert set(axis.fields["schedule.kind"]) == {"wsd", "cosine"}
    assert len(set(axis.fields["schedule.peak"])) == 13
    planned(space(7), schedule={"kind": "wsd", "steps": 40, "peak": 0.1}).validate()


# -- where they go ----------------------------------------------------------------------------------------------------


def test_paths():
    assert parse_path("method.wrap[0].decay") == ("method", "wrap", 0, "decay")
    assert parse_path("compare.schedules[12].cooldown") == ("compare", "schedules", 12, "cooldown")
    for path in ("method.wrap[0].decay", "compare.schedules[12].cooldown", "schedule.peak"):
        assert spoken(parse_path(path)) == path
    tree = {"method": {"wrap": [{"decay": 0.5}, {"decay": 0.6}]}, "other": {"a": 1}}
    changed = assign(tree, ("method", "wrap", 1, "decay"), 0.9)
    assert changed == {"method": {"wrap": [{"decay": 0.5}, {"decay": 0.9}]}, "other": {"a": 1}}
    assert tree["method"]["wrap"][1] == {"decay": 0.6}, "the original is as it was"
    assert changed["other"] is tree["other"]


def test_a_path_into_a_wrapper():
    method = {"kind": "sgd", "wrap": [{"kind": "ema", "decay": 0.5}, {"kind": "tail_average", "window": 3}]}
    plan = planned({"method.wrap[0].decay": [0.25, 0.75], "method.wrap[1].window": [5, 6]}, method=method)
    plan.validate()
    wraps = [plan.tree(j)["method"]["wrap"] for j in range(4)]
    assert [(a["decay"], b["window"]) for a, b in wraps] == [(0.25, 5), (0.25, 6), (0.75, 5), (0.75, 6)]


def test_a_path_into_an_entry_of_compare():
    """[compare] makes a dimension of runs, of which a swept entry is one."""
    entries = [{"kind": "constant"}, {"kind": "wsd", "label": "decayed", "cooldown": 1}]
    plan = planned({"compare.schedules[1].cooldown": [8, 16]}, compare={"schedules": entries})
    plan.validate()
    assert plan.grid.dims == {"compare.schedules[1].cooldown": 2, "run": 2}
    assert plan.grid.runs == ["constant", "decayed"]
    totals = [cell.method.learning_rate.total() for cell in plan.cells(range(4))]
    assert totals[0] == totals[2] != totals[1], "the other run is the same in both"
    for j, cooldown in enumerate([8, 16]):
        alone = sl.Experiment.from_dict(
            {**TABLES, "compare": {"schedules": [entries[0], {**entries[1], "cooldown": cooldown}]}}
        )
        assert totals[2 * j : 2 * j + 2] == [run.learning_rate.total() for run in alone.runs.values()]
    assert plan.grid.spoken(3) == "compare.schedules[1].cooldown=16, run=decayed"


def test_another_kind_takes_over_what_means_the_same_everywhere():
    """As entries of [compare] do: steps, peak and warmup stay, the cooldown of another family does not."""
    plan = planned({"schedule.kind": ["WSD", "cosine"], "schedule.peak": [0.1, 0.4]})
    plan.validate()
    assert plan.grid.axes[0].fields["schedule.kind"] == ["wsd", "cosine"], "by its own name"
    assert plan.tree(1)["schedule"] == {**SCHEDULE, "peak": 0.4}
    assert plan.tree(3)["schedule"] == {"kind": "cosine", "steps": 40, "peak": 0.4, "warmup": 4}
    momentum = {"kind": "heavy_ball", "momentum": 0.7, "batch": 2, "wrap": [{"kind": "ema", "decay": 0.9}]}
    plan = planned({"method.kind": ["heavy_ball", "sgd", "nesterov"]}, method=momentum)
    plan.validate()
    carried = {key: momentum[key] for key in ("batch", "wrap")}
    assert plan.tree(1)["method"] == {"kind": "sgd", **carried}
    assert plan.tree(2)["method"] == {"kind": "nesterov", "momentum": 0.7, **carried}


def test_another_kind_comes_before_its_parameters():
    """Whatever the order in which they are written: a new kind would take the others' values away."""
    plan = planned({"method.momentum": [0.5, 0.8], "method.kind": ["heavy_ball", "nesterov"]})
    plan.validate()
    methods = [plan.tree(j)["method"] for j in range(4)]
    assert [(m["momentum"], m["kind"]) for m in methods] == [
        (b, kind) for b in (0.5, 0.8) for kind in ("heavy_ball", "nesterov")
    ]
    wraps = [[{"kind": "ema", "decay": 0.5}], [{"kind": "ema", "decay": 0.5}, {"kind": "average"}]]
    plan = planned({"method.wrap[0].decay": [0.1, 0.2], "method.wrap": wraps})
    assert [plan.tree(j)["method"]["wrap"][0]["decay"] for j in range(4)] == [0.1, 0.1, 0.2, 0.2]


def test_problems_come_first_then_lengths():
    """So that neighbouring cells share both, and one call of the engine computes them together."""
    axes = {"schedule.peak": [0.1, 0.2], "schedule.steps": [20, 30], "method.batch": [1], "problem.dim": [4, 5, 6]}
    plan = planned(axes, compare={"methods": [{"kind": "sgd"}, {"kind": "nesterov", "momentum": 0.9}]})
    sizes = {"problem.dim": 3, "schedule.steps": 2, "schedule.peak": 2, "method.batch": 1, "run": 2}
    assert list(plan.grid.dims.items()) == list(sizes.items())
    plan.validate()
    calls = [cell.call for cell in plan.cells(range(plan.grid.size))]
    assert len(set(calls)) == sum(a != b for a, b in zip(calls, [None, *calls], strict=False)) == 6


def test_a_table_by_default_is_that_of_the_file(tmp_path):
    path = tmp_path / "e.toml"
    path.write_text(
        '[problem]\nkind = "isotropic"\ndim = 3\neigenvalue = 1.0\n[schedule]\nkind = "constant"\nsteps = 5\n'
        'peak = 0.1\n[sweep]\n"schedule.peak" = [0.1, 0.2]\nproblem.dim = [2, 3]\n[sweep.method]\nbatch = [1, 2]\n',
        encoding="utf-8",
    )
    plan = sweep_of(path)
    assert plan.grid.dims == {"problem.dim": 2, "schedule.peak": 2, "method.batch": 2}
    assert plan.folder == tmp_path
    assert sweep_of(path, {"schedule.peak": [0.3]}).grid.dims == {"schedule.peak": 1}
    assert isinstance(plan, Sweep)


# -- bad input --------------------------------------------------------------------------------------------------------

EMA = {"kind": "sgd", "wrap": [{"kind": "ema", "decay": 0.5}]}
TWO = {"compare": {"schedules": [{"kind": "constant"}, {"kind": "wsd"}]}}
SAMPLED = {"engine": {"kind": "sample", "replicas": 4}}
PEAK = {"schedule.peak": [0.1, 0.2]}
RANDOM = {"samples": 3, "schedule.peak": {"log": [0.1, 1.0]}}

# axes, other tables, what is said of them
REFUSALS = [
    # a parameter that is not there: the nearest one that is
    ({"schedule.peek": [0.1]}, {}, "'peek' is not known; did you mean 'peak'? (in the cell schedule.peek=0.1)"),
    ({"problem.capcity": [1.5]}, {}, "'capcity' is not known; did you mean 'capacity'?"),
    ({"method.wrap[0].dekay": [0.9]}, {"method": EMA}, "'dekay' is not known; did you mean 'decay'?"),
    ({"compare.schedules[1].cooldwn": [3]}, TWO, "'cooldwn' is not known; did you mean 'cooldown'?"),
    ({"shedule.peak": [0.1]}, {}, "'shedule' is not known; did you mean 'schedule'?"),
    ({"schedule.kind": ["wsd", "cosin"]}, {}, "sweep.schedule.kind: 'cosin' is not known; did you mean 'cosine"),
    ({"method.kind": ["sgd", "sdg"]}, {}, "sweep.method.kind: 'sdg' is not known; did you mean 'sgd'?"),
    ({"schedule": [0.1]}, {}, 'sweep."schedule" is a whole table; sweep a parameter of it'),
    ({"schedule..peak": [0.1]}, {}, 'sweep."schedule..peak" is no path; write it like'),
    ({"method.wrap[1].decay": [0.1]}, {"method": EMA}, "method.wrap has 1 entries"),
    ({"method.wrap.decay": [0.1]}, {"method": EMA}, "method.wrap is no table and has no 'decay'"),
    ({"schedule.peak[0]": [0.1]}, {}, "schedule.peak is no list; leave out [0]"),
    # lists and ranges
    ({"zip": [{"schedule.peak": [0.1, 0.2], "method.batch": [1]}]}, {}, '("schedule.peak" 2, "method.batch" 1)'),
    ({"zip": [{"schedule.peak": [0.1, 0.1], "method.batch": [1, 1.0]}]}, {}, "sweep.zip[0] holds [0.1, 1.0] twice"),
    ({"zip": [{}]}, {}, "sweep.zip[0] is empty"),
    ({"zip": {"schedule.peak": [0.1]}}, {}, "is not a list of tables; write [[sweep.zip]]"),
    ({"schedule.peak": []}, {}, 'sweep."schedule.peak" is an empty list; give at least one value'),
    ({"schedule": {}}, {}, 'sweep."schedule" is empty'),
    ({"schedule.peak": [0.1, 0.2, 0.1]}, {}, 'sweep."schedule.peak" holds 0.1 twice'),
    ({"method.batch": [1, 1.0]}, {}, 'sweep."method.batch" holds 1.0 twice'),
    ({"schedule.kind": ["wsd", "WSD"]}, {}, "sweep.schedule.kind holds 'wsd' twice"),
    ({**PEAK, "schedule": {"peak": [0.3]}}, {}, 'sweep."schedule.peak" is swept twice'),
    ({**PEAK, "random": RANDOM}, {}, 'sweep."schedule.peak" is swept twice'),
    ({"schedule.peak": 0.1}, {}, 'sweep."schedule.peak" = 0.1 is no list and no range'),
    ({"schedule.peak": {"log": [0.1, 1]}}, {}, "points is missing"),
    ({"schedule.peak": {"log": [0.1, 1], "points": 2.5}}, {}, "points = 2.5 is not a whole number"),
    ({"schedule.peak": {"log": [0.0, 1], "points": 2}}, {}, "reaches 0; give two positive ends"),
    ({"schedule.peak": {"log": [0.1], "points": 2}}, {}, "is not two numbers"),
    ({"schedule.peak": {"log": [0.1, "x"], "points": 2}}, {}, "log[1] = 'x' is not a number"),
    ({"schedule.peak": {"log": [0.1, 1], "linear": [0, 1], "points": 2}}, {}, "is both log and linear"),
    ({"schedule.peak": {"log": [0.1, 1], "number": 2}}, {}, "'number' is not known"),
    ({"schedule.peak": {"log": [0.1, 1], "points": 2, "integer": 1}}, {}, "integer = 1 is neither; give true or false"),
    ({"random": {"schedule.peak": {"log": [0.1, 1.0]}}}, {}, "[sweep.random] needs samples"),
    ({"sobol": {"samples": 4}}, {}, "[sweep.sobol] needs samples = .. and at least one range"),
    ({"random": {**RANDOM, "samples": 0}}, {}, "sweep.random.samples = 0 is out of range"),
    ({"sobol": {**RANDOM, "seed": -1}}, {}, "sweep.sobol.seed = -1 is out of range"),
    ({"random": {"samples": 3, "schedule.peak": 0.1}}, {}, "is no list and no range"),
    ({"random": RANDOM, "sobol": {"samples": 2, "problem.dim": [3, 4]}}, {}, "are both given; give one of the two"),
    ({}, {}, "[sweep] is missing"),
    # what is the same for all cells
    ({"record.steps": [5, 6]}, {}, 'sweep."record.steps": what is recorded is the same for all cells'),
    ({"engine.kind": ["exact", "sample"]}, {}, 'sweep."engine.kind" is the same for all cells'),
    ({"engine.split": [True, False]}, SAMPLED, 'sweep."engine.split" is the same for all cells'),
    ({"engine.seed": [1, 2]}, {"engine": "exact"}, "'seed' is not known"),
    (PEAK, {"engine": "both"}, 'engine = "both" is for one run'),
    (PEAK, {"record": {"snapshots": [0]}}, "record.snapshots is not kept by a sweep"),
    # values that are refused, by cell and before anything runs
    ({"problem.dim": [5, 0]}, {}, "at most 1000000000000000000. (in the cell problem.dim=0)"),
    ({**PEAK, "problem.dim": [5, 1.5]}, {}, "(in the cell problem.dim=1.5)"),
    ({"schedule.peak": [0.1, "high"]}, {}, "(in the cell schedule.peak=high)"),
    ({"schedule.peak": [0.1, -0.1]}, {}, "(in the cell schedule.peak=-0.1)"),
    ({"schedule.peak": [0.1, float("nan")]}, {}, "(in the cell schedule.peak=nan)"),
    ({"schedule.cooldown": [4, 80]}, {}, "(in the cell schedule.cooldown=80)"),
    ({"schedule.kind": ["wsd", "cosine"], "schedule.cooldown": [4]}, {}, "(in the cell schedule.kind=cosine, sched"),
    ({"schedule.steps": [40, 30]}, {"record": {"steps": [0, 35]}}, "record.steps goes from 0 to 35; give steps be"),
    ({"problem.dim": [12, 6]}, {"record": {"subspaces": {"few": [1, 8]}}}, "index 8 is beyond the 6 modes of"),
    ({"problem.compress": [True, "yes"]}, {}, "(in the cell problem.compress=yes)"),
    ({"problem.compress": [1e-9, -1.0]}, {}, "(in the cell problem.compress=-1.0)"),
    (PEAK, {"problem": {"kind": "one_hot", "probabilities": [0.7, 0.3], "compress": True}}, "kind 'one_hot' has"),
    ({"engine.replicas": [4, -4]}, SAMPLED, "engine.replicas = -4 is out of range"),
    ({"engine.law": ["gaussian", "rows"]}, SAMPLED, "'rows' is not known"),
    ({"method.batch": [1, 2**30]}, SAMPLED, "(in the cell method.batch=1073741824)"),
    ({"compare.schedules[0].kind": ["constant", "cosine"]}, TWO, "[compare] has other labels (cosine, wsd)"),
]  # fmt: skip


@pytest.mark.parametrize(("axes", "tables", "said"), REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(axes, tables, said):
    assert said in refused(axes, **tables)


def test_nothing_runs_and_nothing_is_written_before_all_cells_are_checked(tmp_path, monkeypatch):
    monkeypatch.setattr("simlab.engines.exact.exact_results", lambda *a, **k: pytest.fail("it ran"))
    with pytest.raises(sl.InputError, match=r"^problem\.dim = -1 .*\(in the cell problem\.dim=-1\)"):
        sl.sweep(TABLES, {"problem.dim": [5, 6, -1]}, store=tmp_path / "store", progress=False)
    assert not list(tmp_path.iterdir())
