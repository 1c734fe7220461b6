"""A sweep that was stopped, by whatever and wherever, ends with the bytes of one that never was."""

from __future__ import annotations

import errno
import os
import resource

import numpy as np
import pytest
from zarr.storage import _local

import simlab as sl
from simlab.sweeps import Store, Sweep
from simlab.sweeps.store import ledger
from tests.engines.test_checkpoints import forked
from tests.sweeps.store_bytes import (
    AXES,
    BLOCK,
    CELLS,
    MANY,
    TABLES,
    assert_same_store,
    compile_kernels,
    data_of,
    entries_of,
    refusal,
    swept,
)  # fmt: skip


class Interrupt:
    """A progress callable that is Ctrl-C once so many cells are done."""

    def __init__(self, at):
        self.at = at

    def __call__(self, done, total):
        if done >= self.at:
            raise KeyboardInterrupt


# -- what changes no byte ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_change_no_byte(threads, whole, tmp_path):
    swept(tmp_path / "store", threads=threads)
    assert_same_store(tmp_path / "store", whole)


def test_the_order_of_the_blocks_changes_no_byte(whole, tmp_path, monkeypatch):
    from simlab.sweeps.work import run

    monkeypatch.setattr(run, "deque", lambda tasks=(): __import__("collections").deque(reversed(list(tasks))))
    swept(tmp_path / "store")
    assert_same_store(tmp_path / "store", whole)


def test_a_finished_sweep_is_not_computed_again(whole, tmp_path, monkeypatch):
    before = data_of(whole), entries_of(whole)
    monkeypatch.setattr("simlab.engines.exact.exact_results", lambda *a, **k: pytest.fail("it ran"))
    said = []
    report = swept(whole, announce=said.append)
    assert str(report) == "computed 0, reused 24; 4 diverged, 20 done"
    assert said == [f"24 cells, 24 of them in {whole} already; nothing to do"]
    assert (data_of(whole), entries_of(whole)) == before


@pytest.mark.parametrize("error", [RuntimeError("no luck\nat all"), MemoryError(), sl.InputError("no.")])
def test_a_cell_that_raises_ends_as_an_error(error, whole, tmp_path, monkeypatch):
    """With its message, after three attempts of its own; its neighbours of the same call do not."""
    run, attempts = Sweep.compute, []

    def poisoned(sweep, cells, device, tick):
        if 9 in [cell.number for cell in cells]:
            attempts.append(len(cells))
            raise error
        return run(sweep, cells, device, tick)

    monkeypatch.setattr(Sweep, "compute", poisoned)
    report = swept(tmp_path / "store")
    assert str(report) == "computed 24, reused 0; 4 diverged, 19 done, 1 error"
    assert attempts == [2, 1, 1, 1]
    (ours, _), (theirs, _) = entries_of(tmp_path / "store"), entries_of(whole)
    said = f"{type(error).__name__}: {error}".partition("\n")[0]
    assert (ours[9].status, ours[9].message) == ("error", said)
    assert ours[:9] + ours[10:] == theirs[:9] + theirs[10:]
    with Store(tmp_path / "store") as store, Store(whole) as undisturbed:
        got, want = (each.dataset()["risk"].values.reshape(CELLS, -1) for each in (store, undisturbed))
    assert np.all(np.isnan(got[9]))
    np.testing.assert_array_equal(np.delete(got, 9, axis=0), np.delete(want, 9, axis=0))


def test_an_example_that_fails_does_not_stop_the_estimate(whole, tmp_path, monkeypatch):
    """The time is estimated from a cell, which may be the one that cannot be computed."""
    monkeypatch.setattr("simlab.sweeps.work.estimate.exact_results", lambda *a, **k: 1 / 0)
    said = []
    assert swept(tmp_path / "store", announce=said.append).left == 0
    assert "; about " in said[0]
    assert_same_store(tmp_path / "store", whole)


# -- Ctrl-C -----------------------------------------------------------------------------------------------------------


def test_ctrl_c_keeps_what_is_finished(whole, tmp_path):
    """Cells under way are noted; every start goes on from the one before."""
    path, reused = tmp_path / "store", 0
    for at in (3, 4, 5):
        report = swept(path, progress=Interrupt(at), threads=1)
        assert report.reused == reused
        assert report.computed >= at
        assert report.left == CELLS - report.reused - report.computed > 0
        # None, where the cell under way ended before Ctrl-C was seen.
        noted = report.statuses.get("interrupted", 0)
        assert noted <= report.left
        assert str(report).startswith(
            f"computed {report.computed}, reused {reused}, {report.left} to go: start it again"
        )
        with Store(path) as store:
            words = store.dataset()["status"].values.ravel().tolist()
            rows = store.ledger.rows()
        reused += report.computed
        assert words.count("pending") == report.left, "of those noted there is no number yet"
        assert sum(row.status == "interrupted" for row in rows) == noted
        assert len(rows) == reused + noted
    final = swept(path)
    assert str(final) == f"computed {CELLS - reused}, reused {reused}; 4 diverged, 20 done"
    assert_same_store(path, whole)


@pytest.mark.parametrize("engine", ["exact", "sample"])
def test_ctrl_c_stops_a_long_run_at_once(engine, tmp_path):
    """Within a cell, and not at its end; there is nothing of it but a note."""
    long = {**TABLES["schedule"], "steps": 10**8, "peak": 0.01}
    options = {"engine": {"kind": "sample", "replicas": 4, "device": "cpu"}} if engine == "sample" else {}
    report = swept(
        tmp_path / "s", {**TABLES, "schedule": long, **options}, {"method.batch": [1, 2]}, progress=Interrupt(0)
    )
    assert (report.computed, report.left, report.statuses) == (0, 2, {"interrupted": 2})
    with Store(tmp_path / "s") as store:
        assert store.ledger.blocks() == {}


@pytest.mark.parametrize("moment", ["data", "ledger"])
def test_ctrl_c_within_a_write(moment, whole, tmp_path, monkeypatch):
    """It may come between any two lines of the process that writes."""
    calls = 0

    def once(function):
        def patched(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == 3:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        return patched

    if moment == "data":
        monkeypatch.setattr(Store, "digest", once(Store.digest))
    else:
        monkeypatch.setattr(ledger, "digest_of", once(ledger.digest_of))
    report = swept(tmp_path / "store", threads=1)
    assert report.computed == 2 * BLOCK
    assert report.statuses["interrupted"] == BLOCK, "those under way, and not the block that was being written"
    monkeypatch.undo()
    assert swept(tmp_path / "store").left == 0
    assert_same_store(tmp_path / "store", whole)


# -- a full disk ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 5, 12, 20, 24, 33])
def test_a_full_disk_stops_it_cleanly(number, whole, tmp_path, monkeypatch):
    """At the n-th file of the arrays; with room made it goes on, and the bytes are the same."""
    path, count, put = tmp_path / "store", 0, _local._put

    def full(*arguments, **options):
        nonlocal count
        count += 1
        if count >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return put(*arguments, **options)

    monkeypatch.setattr(_local, "_put", full)
    said = refusal(path)
    assert said.startswith(f"{path} cannot be written to (No space left on device)")
    monkeypatch.undo()
    report = swept(path)
    assert report.left == 0
    if "cells of this run are safe" in said:
        assert f"; {report.reused} cells of this run are safe: make room and start again." in said
    assert_same_store(path, whole)


def limited(path, size, axes):
    """What the sweep says where no file may be larger than that, as under a quota."""
    compile_kernels()
    read, write = os.pipe()

    def child():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        try:
            said = str(swept(path, axes=axes))
        except sl.InputError as error:
            said = f"refused: {error}"
        os.write(write, said.encode())
        os._exit(0)

    process = forked(child)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        said = told.read().decode()
    return said, os.waitpid(process, 0)[1]


@pytest.mark.thorough
@pytest.mark.parametrize("outgrown", ["declarations", "group", "ledger when made", "ledger later"])
def test_a_quota_stops_it_cleanly(outgrown, killer, whole, tmp_path):
    """A real one of the system, and a file that is larger."""
    path, later = tmp_path / "store", outgrown == "ledger later"
    group, made = ((whole / name).stat().st_size for name in ("zarr.json", "ledger.sqlite"))
    sizes = {"declarations": 300, "group": group - 1000, "ledger when made": group + 1000, "ledger later": made + 5000}
    said, status = killer(limited, path, sizes[outgrown], MANY if later else AXES)
    assert status == 0
    assert said.startswith(f"refused: {path}")
    assert said.endswith(".")
    assert "\n" not in said
    report = swept(path, axes=MANY if later else AXES)
    assert report.left == 0
    if not later:
        assert_same_store(path, whole)
    else:
        assert f"; {report.reused} cells of this run are safe: make room and start again." in said
        assert report.reused > 0
        swept(tmp_path / "whole", axes=MANY)
        assert_same_store(path, tmp_path / "whole")
