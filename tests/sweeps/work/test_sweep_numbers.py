"""What a sweep keeps: of every cell, the numbers of the same experiment run alone."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import simlab as sl
from simlab.sweeps import Store, run_sweep, sweep_of
from simlab.sweeps.store.blocks import Blocks, block_shape
from simlab.trace.recording import record_steps

PROBLEM = {"kind": "power_law", "dim": 40, "capacity": 1.5, "source": 1.3, "noise_variance": 0.1}
LONG = {**PROBLEM, "dim": 10**6, "compress": True}
WSD = {"kind": "wsd", "steps": 120, "peak": 0.2, "warmup": 4, "cooldown": 30}
HEAVY_BALL = {"kind": "heavy_ball", "momentum": 0.8, "batch": 2}
EMA = {"kind": "sgd", "wrap": [{"kind": "ema", "decay": 0.9}]}
WALK = {"kind": "constant", "steps": 90, "peak": 0.1}
SAMPLED = {"engine": {"kind": "sample", "replicas": 6, "seed": 3, "device": "cpu"}}
STEPS = {"record": {"steps": 12, "subspaces": "log_bins(3)"}}


def tables(problem=PROBLEM, schedule=WSD, method=HEAVY_BALL, **others):
    return {"problem": problem, "schedule": schedule, "method": method, **STEPS, **others}


# name -> (tables, axes)
EXACT = {
    "problems": (
        tables(),
        {"problem.capacity": [1.2, 1.8], "problem.noise_variance": [0.0, 0.3], "schedule.peak": [0.05, 0.3]},
    ),
    "lengths": (tables(), {"schedule.steps": [60, 200, 121], "schedule.peak": [0.1, 0.2]}),
    "kinds": (
        tables(method={"kind": "sgd", "batch": 3}),
        {"schedule.kind": ["wsd", "cosine"], "method.kind": ["sgd", "schedule_free"], "method.batch": [1, 5]},
    ),
    "momentum": (
        tables(),
        {"method.momentum": [0.0, 0.5, 0.95], "method.kind": ["heavy_ball", "nesterov", "torch_momentum"]},
    ),
    "wrappers": (tables(method=EMA), {"method.wrap[0].decay": [0.5, 0.99], "schedule.peak": [0.1, 0.4]}),
    "momentum that moves": (
        tables(method={**HEAVY_BALL, "momentum": {"kind": "linear", "peak": 0.9}}),
        {"method.momentum.peak": [0.3, 0.9]},
    ),
    "compare": (
        tables(compare={"schedules": [{"kind": "constant"}, {}], "methods": [{"kind": "sgd"}, EMA | {"label": "ema"}]}),
        {"schedule.peak": [0.1, 0.3], "problem.capacity": [1.3, 1.6], "compare.schedules[1].cooldown": [10, 60]},
    ),
    "lengths that differ within compare": (
        tables(compare={"schedules": [{"steps": 50, "label": "short"}, {"label": "long"}]}),
        {"schedule.peak": [0.1, 0.3]},
    ),
    "subspaces by problem": (tables(), {"problem.dim": [10, 40, 3], "schedule.peak": [0.1, 0.2]}),
    "subspaces by run": (
        tables(record={"subspaces": "effective()", "steps": 9}),
        {"schedule.peak": [0.01, 0.3], "schedule.steps": [50, 120]},
    ),
    "deterministic": (
        tables(record={"deterministic": True, "steps": 9}),
        {"schedule.peak": [0.1, 0.2], "method.momentum": [0.2, 0.7]},
    ),
    "spectral": (
        tables(schedule={"kind": "eigencurve", "steps": 80, "eigenvalues": "problem"}, method={"kind": "sgd"}),
        {"problem.capacity": [1.2, 2.0], "schedule.peak": [0.1, 0.2]},
    ),
    "diverging": (tables(schedule=WALK), {"schedule.peak": [0.1, 1.5, 3.0], "method.momentum": [0.5, 0.9]}),
    "zip and random": (
        tables(),
        {
            "zip": [{"schedule.peak": [0.1, 0.2], "problem.dim": [20, 30]}],
            "random": {"samples": 3, "method.momentum": {"linear": [0.1, 0.9]}},
        },
    ),
    "another problem's kind": (
        tables(
            {"kind": "noisy_quadratic", "eigenvalues": [1.0, 0.3], "initial_error": [0.1, 1.0],
             "gradient_covariance": [0.1, 0.2]},
        ),
        {"problem.initial_error": [[1.0, -2.0], [3.0, 0.5]], "method.batch": [1, 4]},
    ),
}  # fmt: skip

COMPRESSED = {
    "peak and momentum": (
        tables(LONG),
        {"schedule.peak": {"log": [1e-3, 0.3], "points": 4}, "method.momentum": [0.0, 0.5, 0.9, 0.99]},
    ),
    "wrappers": (tables(LONG, method=EMA), {"schedule.peak": [1e-3, 0.6], "method.wrap[0].decay": [0.1, 0.9, 0.999]}),
    "kinds": (
        tables(LONG, {**WSD, "steps": 1000}, {"kind": "sgd"}),
        {"method.kind": ["sgd", "schedule_free"], "schedule.kind": ["wsd", "cosine"], "schedule.peak": [0.003, 0.5]},
    ),
    "one method among many": (
        tables(LONG, method={"kind": "qhm", "momentum": 0.9, "nu": 0.5}),
        {"method.nu": [0.1, 0.5, 1.0], "method.momentum": [0.2, 0.95], "schedule.steps": [120, 700]},
    ),
    "effective": (
        tables(LONG, {**WSD, "steps": 4000}, EMA, record={"subspaces": "effective()", "steps": 9}),
        {"schedule.peak": {"log": [3e-3, 0.3], "points": 7}},
    ),
    "problems": (
        tables(LONG, method=EMA),
        {"sobol": {"samples": 6, "problem.capacity": {"linear": [1.1, 2.0]}, "schedule.peak": {"log": [1e-3, 0.5]}}},
    ),
}  # fmt: skip


def taken(what, axes, folder):
    """(the sweep, all its numbers, the rows of its ledger)"""
    plan = sweep_of(what, axes)
    run_sweep(plan, folder / "store.zarr", threads=2, progress=False)
    with Store(folder / "store.zarr") as store:
        return plan, store.dataset().load(), store.ledger.rows()


def cells_of(plan, data):
    """(what is kept of a cell, the trace of the same experiment by itself, its records as far as it came), for all."""
    flat = data.stack(cell=list(plan.grid.dims), create_index=False)
    for number in range(plan.grid.size):
        combination, run = plan.grid.split(number)
        trace = sl.Experiment.from_dict(plan.tree(combination), plan.folder).run(progress=False, threads=1).dataset
        kept, alone = flat.isel(cell=number), trace.isel(run=run) if plan.grid.runs else trace
        (cell,) = plan.cells([number])
        steps = record_steps(plan.record, cell.method.length)
        np.testing.assert_array_equal(kept["step"].values[: steps.size], steps)
        yield kept, alone, steps[steps <= alone["ended_at"].item()]


def assert_same(cell, alone, steps, rtol):
    """At every record up to where it ended; of a run that ended early the trace has its last step besides."""
    assert cell["status"].item() == alone["status"].item()
    assert cell["ended_at"].item() == alone["ended_at"].item()
    names = alone["subspace"].size
    got, want = (each["final_risk"].transpose("component", "subspace").values for each in (cell, alone))
    np.testing.assert_allclose(got[:, :names], want, rtol=rtol)
    assert np.all(np.isnan(got[:, names:]))
    got = cell["risk"].transpose(..., "component", "subspace").values
    want = alone["risk"].sel(step=steps).transpose("step", "component", "subspace").values
    np.testing.assert_allclose(got[: len(steps), :, :names], want, rtol=rtol)
    # What diverged is infinite in a sample, whose other replicas went on.
    assert not np.any(np.isfinite(got[len(steps) :]))
    assert np.all(np.isnan(got[:, :, names:]))


@pytest.mark.thorough
@pytest.mark.parametrize("name", EXACT)
def test_every_cell_is_the_experiment_run_alone(name, tmp_path):
    plan, data, rows = taken(*EXACT[name], tmp_path)
    for cell, alone, steps in cells_of(plan, data):
        assert_same(cell, alone, steps, 1e-12)
    assert [row.cell for row in rows] == list(range(plan.grid.size))
    assert [row.status for row in rows] == data["status"].values.ravel().tolist()
    if name == "diverging":
        assert data["status"].sel({"method.momentum": 0.9}).values.tolist() == ["done", "diverged", "diverged"]


@pytest.mark.thorough
@pytest.mark.parametrize("name", COMPRESSED)
def test_a_compressed_problem_is_right_for_every_cell(name, tmp_path):
    """One rule for all cells of a problem, made for the few of them that are extreme."""
    plan, data, _ = taken(*COMPRESSED[name], tmp_path)
    for cell, alone, steps in cells_of(plan, data):
        assert_same(cell, alone, steps, 1e-9)


def test_the_rule_of_a_compressed_problem_is_made_for_all_its_cells(tmp_path, monkeypatch):
    """The control: made for one cell alone, it moves the boundary between the head and the tail of the others."""
    monkeypatch.setattr("simlab.sweeps.plan.cells.Representatives.numbers", lambda self, problem: [0])
    plan, data, _ = taken(*COMPRESSED["effective"], tmp_path)
    first, *others = cells_of(plan, data)
    assert_same(*first, 1e-9)
    with pytest.raises(AssertionError):
        assert_same(*others[-1], 1e-3)


@pytest.mark.parametrize(
    ("what", "axes"),
    [
        (
            tables(**SAMPLED),
            {"schedule.peak": [0.05, 0.3], "method.momentum": [0.3, 0.8], "problem.capacity": [1.2, 1.7]},
        ),
        (tables(**SAMPLED, compare={"methods": [{"kind": "sgd"}, HEAVY_BALL]}), {"schedule.steps": [50, 120]}),
        (tables(**SAMPLED), {"engine.seed": [0, 2**63 + 5], "engine.law": ["gaussian", "three_point"]}),
        (
            tables(schedule=WALK, engine={**SAMPLED["engine"], "split": False, "quantiles": [0.5]}),
            {"schedule.peak": [0.1, 3.0]},
        ),
        (tables(), {"engine.replicas": [3, 4], "engine.dtype": ["float32", "float64"]}),
    ],
    ids=["problems", "compare", "engine", "one trajectory", "engine by its parameters"],
)  # fmt: skip
def test_a_sampled_cell_has_the_bits_of_the_experiment_run_alone(what, axes, tmp_path):
    plan, data, _ = taken({**what, "record": {"steps": 7}}, axes, tmp_path)
    assert np.any(data["status"] == "diverged") == (3.0 in axes.get("schedule.peak", ()))
    for cell, alone, steps in cells_of(plan, data):
        assert_same(cell, alone, steps, 0.0)
        alone = alone.sel(step=steps)
        for name, rest in [("standard_error", ("component", "subspace")), ("risk_error", ("subspace",)),
                           ("total_error", ()), ("total_quantile", ("quantile",))]:  # fmt: skip
            lead = next(dim for dim in cell["risk"].dims if dim in ("step", "record"))
            got = cell[name].transpose(lead, *rest).values
            np.testing.assert_array_equal(got[: len(steps)], alone[name].transpose("step", *rest).values)
            assert not np.any(np.isfinite(got[len(steps) :]))
    np.testing.assert_array_equal(data["quantile"].values, alone["quantile"].values)


@pytest.mark.parametrize("engine", ["exact", "sample"])
def test_measured_data(engine, tmp_path):
    """Moments of the rows themselves have a cross term; two kinds of moments are no one sweep."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "rows.npz", X=rng.standard_normal((9, 4)), y=rng.standard_normal(9))
    data = {"kind": "data", "path": str(tmp_path / "rows.npz"), "moments": "empirical"}
    chosen = {"engine": {**SAMPLED["engine"], "kind": engine}} if engine == "sample" else {}
    what = tables(data, {**WALK, "peak": 0.02}, **chosen)
    plan, kept, _ = taken(what, {"schedule.peak": [0.02, 0.05], "method.momentum": [0.1, 0.6]}, tmp_path)
    assert kept["component"].values.tolist() == ["bias", "variance", "cross"]
    for cell, alone, steps in cells_of(plan, kept):
        assert_same(cell, alone, steps, 1e-12 if engine == "exact" else 0.0)
    if engine == "exact":
        with pytest.raises(sl.InputError, match=r"^problem\.kind mixes a data set's own moments with other problems"):
            sweep_of(what, {"problem.moments": ["empirical", "gaussian"]}).validate()


# -- the store as others see it ---------------------------------------------------------------------------------------


def test_xarray_opens_a_store(tmp_path):
    """Without a warning and without simlab: dimensions, labels and what the numbers are."""
    axes = {
        "schedule.kind": ["wsd", "cosine"],
        "zip": [{"schedule.peak": [0.1, 0.2, 0.3], "method.batch": [1, 2, 2]}],
        "problem.dim": [10, 20],
        "method.momentum": [0.5, {"kind": "linear", "peak": 0.9}],
    }
    _, data, _ = taken(tables(), axes, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = xr.open_zarr(tmp_path / "store.zarr", chunks=None)
    cells = ("problem.dim", "schedule.kind", "method.momentum", "schedule.peak+method.batch")
    assert seen["risk"].dims == (*cells, "step", "component", "subspace")
    assert seen["final_risk"].dims == (*cells, "component", "subspace")
    assert seen["status"].dims == seen["ended_at"].dims == cells
    assert seen["problem.dim"].values.tolist() == [10, 20]
    assert seen["schedule.kind"].values.tolist() == ["wsd", "cosine"]
    assert [json.loads(text) for text in seen["method.momentum"].values] == axes["method.momentum"]
    assert seen["schedule.peak"].values.tolist() == [0.1, 0.2, 0.3]
    assert seen["method.batch"].values.tolist() == [1, 2, 2]
    assert seen["schedule.peak"].dims == seen["method.batch"].dims == cells[-1:]
    assert {"schedule.peak", "method.batch", "component", "subspace", "step"} <= set(seen.coords)
    words = seen["status"].attrs["flag_meanings"].split()
    assert [words[j] for j in seen["status"].values.ravel()] == data["status"].values.ravel().tolist()
    assert json.loads(seen.attrs["sweep"])["experiment"]["problem"] == PROBLEM
    assert seen.attrs["simlab_version"] == sl.__version__
    np.testing.assert_array_equal(seen["risk"].values, data["risk"].values)
    assert not [path for path in (tmp_path / "store.zarr").rglob("*") if path.suffix in (".pkl", ".pickle")]


def test_calls_are_recorded(tmp_path):
    """Cells that share problem and length are computed by one call, and the ledger says by which."""
    plan, _, rows = taken(
        tables(), {"problem.dim": [5, 6], "schedule.peak": {"log": [0.01, 0.3], "points": 40}}, tmp_path
    )
    with Store(tmp_path / "store.zarr") as store:
        calls = {call["call"]: call for call in store.ledger.calls()}
    for call in {row.call for row in rows}:
        assert calls[call]["cells"] == sum(row.call == call for row in rows)
        assert len({plan.grid.values(row.cell)["problem.dim"] for row in rows if row.call == call}) == 1
        assert (calls[call]["engine"], calls[call]["device"]) == ("exact", "cpu")
        assert calls[call]["worker"]
    assert len({row.call for row in rows}) < plan.grid.size / 3
    assert len({row.fingerprint for row in rows}) == plan.grid.size
    other = sweep_of(tables({**PROBLEM, "source": 1.4}), {"schedule.peak": [0.01, 0.3]})
    same = sweep_of(tables(), {"schedule.peak": [0.01, 0.3]})
    assert (
        other.fingerprint(0) != same.fingerprint(0) == sweep_of(tables(), {"schedule.peak": [0.01, 0.3]}).fingerprint(0)
    )


# -- blocks -----------------------------------------------------------------------------------------------------------

DIMS = st.lists(st.integers(1, 7), min_size=1, max_size=5)


@pytest.mark.thorough
@given(DIMS, st.integers(1, 1 << 24), st.floats(1.0, 1e12))
def test_blocks_cover_every_cell_once(dims, size, work):
    shape = block_shape(dims, size, work)
    blocks = Blocks(dims, shape)
    seen = np.concatenate([blocks.cells(block) for block in range(len(blocks))])
    assert sorted(seen.tolist()) == list(range(int(np.prod(dims))))
    for block in range(len(blocks)):
        cells = blocks.cells(block)
        assert np.all(np.diff(cells) > 0)
        index = np.arange(np.prod(dims)).reshape(dims)[blocks.region(block)]
        np.testing.assert_array_equal(index.ravel(), cells)
    share = -(-np.prod(dims) // 16)
    assert np.prod(shape) <= max(1, min(512, share, (8 << 20) // size, 3e10 / work))


def test_block_shapes_are_those_of_the_sweep(tmp_path):
    """Whatever the order of the table, the threads, and what was there before."""
    axes = {"schedule.peak": {"log": [0.01, 0.3], "points": 30}, "problem.dim": [5, 6, 7]}
    shapes = []
    for threads, each in enumerate([axes, dict(reversed(axes.items()))], start=1):
        run_sweep(sweep_of(tables(), each), tmp_path / str(threads), threads=threads, progress=False)
        with Store(tmp_path / str(threads)) as store:
            shapes.append(store.blocks.shape)
    assert shapes[0] == shapes[1] == (1, 6)


# -- memory -----------------------------------------------------------------------------------------------------------

MANY = """
import resource, sys
import simlab as sl
tables = {"problem": {"kind": "isotropic", "dim": 2, "eigenvalue": 1.0, "noise_variance": 0.1},
          "schedule": {"kind": "constant", "steps": 3, "peak": 0.1}, "record": {"steps": 2}}
peaks = []
for points in (1, 200):
    axes = {"schedule.peak": {"linear": [0.1, 0.9], "points": points}, "method.batch": list(range(1, 101))}
    sl.sweep(tables, axes, store=f"{sys.argv[1]}/{points}", progress=False).close()
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(*peaks)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_cells(tmp_path):
    """By 2 kB for each of twenty thousand: their methods are kept for a second look (50,000 at most)."""
    done = subprocess.run([sys.executable, "-c", MANY, str(tmp_path)], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert after - before < 100.0, "MiB"
