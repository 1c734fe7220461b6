"""A store takes more values on its axes, computes only what is new, and keeps the bits of the rest."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab.sweeps import Store, Sweep
from simlab.sweeps.store import extend
from simlab.sweeps.store.compact import check, compact
from tests.sweeps.store.test_sweep_refusals import everything
from tests.sweeps.store_bytes import AXES, TABLES, assert_same_store, data_of, entries_of, refusal, swept

MORE = {
    "one": AXES | {"schedule.peak": [0.3, *AXES["schedule.peak"]]},
    "on every axis": {
        "schedule.peak": [0.2, 6.0, 0.1, 0.3, 0.05, 0.02, 0.01],
        "problem.capacity": [1.6, 1.3, 1.2],
        "method.momentum": [0.1, 0.3, 0.6],
    },
}


@pytest.fixture(scope="module")
def afresh(tmp_path_factory):
    """The store of each larger sweep, made in one go."""
    folder = tmp_path_factory.mktemp("afresh")
    for name, axes in MORE.items():
        swept(folder / name, axes=axes)
    return folder


@pytest.fixture
def computed(monkeypatch):
    """The cells that an engine was called for."""
    cells, compute = [], Sweep.compute

    def noted(sweep, group, device, tick):
        cells.extend(cell.number for cell in group)
        return compute(sweep, group, device, tick)

    monkeypatch.setattr(Sweep, "compute", noted)
    monkeypatch.setattr("simlab.sweeps.work.estimate.estimate", lambda *a: "")
    return cells


@pytest.mark.parametrize("name", MORE)
def test_what_is_new_is_computed_and_the_rest_kept(name, store, afresh, computed):
    """It ends with the bytes of a store that was made in one go, and with a ledger that says the same."""
    report = swept(store, axes=MORE[name])
    size = int(np.prod([len(values) for values in MORE[name].values()]))
    assert (report.computed, report.reused, report.left) == (size - 24, 24, 0)
    assert len(set(computed)) == len(computed) == size - 24
    assert_same_store(store, afresh / name)
    with Store(store) as opened:
        calls = {call["call"]: call["cells"] for call in opened.ledger.calls()}
        assert sum(calls.values()) == size
        assert {row.call for row in opened.ledger.rows()} <= calls.keys()


def test_it_is_stopped_and_goes_on(store, afresh):
    """By Ctrl-C among the cells of blocks that were there in part; what is missing says so meanwhile."""

    def stop(done, total):
        if done >= 3:
            raise KeyboardInterrupt

    axes = MORE["on every axis"]
    report = swept(store, axes=axes, progress=stop, threads=1)
    assert report.left > 0
    with Store(store) as opened:
        health = check(opened)
        assert (health.good, health.damaged) == (24 + report.computed, 0)
        data = opened.dataset()
        assert int((data["status"] == "pending").sum()) == health.missing
        assert int(np.isnan(data["final_risk"]).any(["component", "subspace"]).sum()) == health.missing
    with pytest.raises(sl.InputError, match="is not finished"):
        compact(store)
    again = swept(store, axes=axes)
    assert (again.reused, again.left) == (24 + report.computed, 0)
    assert_same_store(store, afresh / "on every axis")


def test_an_unfinished_store_grows_too(tmp_path, afresh):
    def stop(done, total):
        if done >= 5:
            raise KeyboardInterrupt

    first = swept(tmp_path / "store", progress=stop, threads=1)
    assert 0 < first.computed < 24
    assert swept(tmp_path / "store", axes=MORE["one"]).reused == first.computed
    assert_same_store(tmp_path / "store", afresh / "one")


def test_damaged_cells_are_computed_again(store, afresh):
    chunk = next(iter(sorted((store / "risk" / "c").rglob("*/*/*/*/*/*"))))
    chunk.write_bytes(b"altered")
    report = swept(store, axes=MORE["one"])
    assert report.reused == 22
    assert_same_store(store, afresh / "one")


def test_an_altered_part_of_a_block_is_computed_again(store, afresh):
    """Between growing and computing: what was carried over is held against its digest like any other block."""
    from tests.sweeps.store_bytes import sweep_of

    axes = MORE["on every axis"]
    assert extend.extend(store, sweep_of(TABLES, axes))
    chunk = next(iter(sorted((store / "risk" / "c").rglob("*/*/*/*/*/*"))))
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"\x00")
    assert swept(store, axes=axes).recomputed > 0
    assert_same_store(store, afresh / "on every axis")


def test_killed_while_it_grows_it_is_what_it_was(store, monkeypatch):
    before = everything(store)
    monkeypatch.setattr(extend, "_carry", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        swept(store, axes=MORE["one"])
    assert everything(store) == before


def test_a_compacted_store_grows(store, afresh):
    compact(store)
    assert swept(store, axes=MORE["one"]).reused == 24
    assert_same_store(store, afresh / "one")


SAMPLED = {**TABLES, "engine": {"kind": "sample", "replicas": 4}}
COMPARED = {**TABLES, "compare": {"schedules": [{"kind": "constant"}, {"kind": "linear"}]}}
ZIPPED = {"zip": [{"problem.capacity": [1.2, 1.5], "problem.source": [1.3, 1.4]}]}
LONGER_ZIP = {"zip": [{"problem.capacity": [1.2, 1.8, 1.5], "problem.source": [1.3, 1.1, 1.4]}]}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("tables", "fewer", "more", "sizes"),
    [
        (SAMPLED, {"engine.seed": [0, 1]}, {"engine.seed": [0, 1, 2]}, (2, 3)),
        (COMPARED, {"schedule.peak": [0.1]}, {"schedule.peak": [0.1, 0.2]}, (2, 4)),
        (TABLES, ZIPPED, LONGER_ZIP, (2, 3)),
        (
            TABLES,
            {"schedule.peak": {"log": [0.01, 0.1], "points": 4}},
            {"schedule.peak": {"log": [0.01, 0.1], "points": 7}},
            (4, 7),
        ),
        (
            TABLES,
            {"sobol": {"samples": 4, "schedule.peak": {"log": [0.01, 0.1]}, "method.momentum": {"linear": [0, 0.9]}}},
            {"sobol": {"samples": 9, "schedule.peak": {"log": [0.01, 0.1]}, "method.momentum": {"linear": [0, 0.9]}}},
            (4, 9),
        ),
    ],
    ids=["seeds", "compare", "zip", "range", "sobol"],
)
def test_every_kind_of_axis(tables, fewer, more, sizes, tmp_path):
    few, many = sizes
    swept(tmp_path / "store", tables, fewer)
    report = swept(tmp_path / "store", tables, more)
    assert (report.computed, report.reused) == (many - few, few)
    swept(tmp_path / "afresh", tables, more)
    assert_same_store(tmp_path / "store", tmp_path / "afresh")


def test_longer_runs(tmp_path):
    """The steps that were the same for all are from then on those of each, and there is room for more."""
    tables = {key: TABLES[key] for key in ("problem", "record")} | {"schedule": {"kind": "constant", "peak": 0.1}}
    lengths = [300]
    swept(tmp_path / "store", tables, {"schedule.steps": lengths})
    for longer in (5, 4_000):
        lengths = [*lengths, longer]
        report = swept(tmp_path / "store", tables, {"schedule.steps": lengths})
        assert (report.computed, report.reused) == (1, len(lengths) - 1)
    swept(tmp_path / "afresh", tables, {"schedule.steps": lengths})
    assert_same_store(tmp_path / "store", tmp_path / "afresh")


# -- refused, and nothing changed -------------------------------------------------------------------------------------


def test_values_that_go_are_refused(store):
    """Also where others come: a cell that was paid for is not thrown away."""
    before = everything(store)
    said = refusal(store, axes=AXES | {"method.momentum": [0.3, 0.7, 0.8]})
    assert "store holds another sweep: axes[" in said
    assert everything(store) == before


def test_another_experiment_with_more_values_is_refused(store):
    before = everything(store)
    tables = {**TABLES, "method": {**TABLES["method"], "batch": 2}}
    assert "experiment.method.batch is nothing there" in refusal(store, tables, MORE["one"])
    assert everything(store) == before


def test_other_labels_are_refused(tmp_path):
    """Subspaces that are named by their ranges, and of problems of another size are not the same."""
    swept(tmp_path / "store", axes={"problem.dim": [60]})
    before = everything(tmp_path / "store")
    said = refusal(tmp_path / "store", axes={"problem.dim": [60, 70]})
    assert "store holds another sweep: the new values change its subspaces (now 1, 2, 3); choose another place" in said
    assert everything(tmp_path / "store") == before


def test_a_finished_sweep_is_left_alone(store):
    before = data_of(store), entries_of(store)
    assert not extend.extend(store, Sweep({**TABLES, "sweep": AXES}))
    assert not extend.extend(store.parent / "nothing", Sweep({**TABLES, "sweep": AXES}))
    assert (data_of(store), entries_of(store)) == before
