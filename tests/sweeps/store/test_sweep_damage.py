"""What was altered in a store is found and computed again; what is no store of this sweep is left as it is."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing, suppress

import numpy as np
import pytest

import simlab as sl
from simlab.sweeps import Store
from tests.sweeps.store_bytes import BLOCK, CELLS, assert_same_store, data_of, edit_group, entries_of, swept


def flip(path, at=0.5, mask=0x10):
    """Change a bit of a file."""
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= mask
    path.write_bytes(bytes(content))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-3])


def replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def execute(path, statement):
    with closing(sqlite3.connect(path / "ledger.sqlite")) as connection, connection:
        connection.execute(statement)


def exchange(one, other):
    a, b = one.read_bytes(), other.read_bytes()
    assert a != b
    one.write_bytes(b)
    other.write_bytes(a)


# -- altered chunks ---------------------------------------------------------------------------------------------------

CHUNKS = {
    "a bit": lambda s: flip(s / "risk" / "c/1/3/0/0/0/0"),
    "the first byte": lambda s: flip(s / "final_risk" / "c/0/2/0/0/0", 0.0, 0xFF),
    "cut short": lambda s: truncate(s / "ended_at" / "c/1/3/0"),
    "empty": lambda s: (s / "risk" / "c/1/3/0/0/0/0").write_bytes(b""),
    "longer": lambda s: (s / "risk" / "c/1/3/0/0/0/0").write_bytes((s / "risk" / "c/1/3/0/0/0/0").read_bytes() + b"\0"),
    "removed": lambda s: (s / "status" / "c/1/3/0").unlink(),
    "one that was not there": lambda s: (s / "status" / "c/1/3/0").rename(s / "status" / "c/1/3/1"),
}


@pytest.mark.parametrize("how", CHUNKS)
def test_an_altered_chunk_is_computed_again(how, store, whole):
    CHUNKS[how](store)
    report = swept(store)
    assert (report.computed, report.reused, report.recomputed) == (BLOCK, CELLS - BLOCK, BLOCK)
    assert str(report).startswith(f"computed {BLOCK} ({BLOCK} of these were damaged), reused {CELLS - BLOCK};")
    if how == "one that was not there":
        (store / "status" / "c/1/3/1").unlink()
    assert_same_store(store, whole)


def test_exchanged_chunks_are_computed_again(store, whole):
    """Each of them is as it was written, and not where."""
    exchange(store / "risk" / "c/1/3/0/0/0/0", store / "risk" / "c/1/4/0/0/0/0")
    assert swept(store).recomputed == 2 * BLOCK
    assert_same_store(store, whole)


# -- altered declarations ---------------------------------------------------------------------------------------------

DECLARED = {
    "fill value": lambda s: replace(s / "risk" / "zarr.json", '"NaN"', "0.5"),
    "dimension": lambda s: replace(s / "final_risk" / "zarr.json", '"component"', '"subspaces"'),
    "not JSON": lambda s: truncate(s / "status" / "zarr.json"),
    "removed": lambda s: (s / "ended_at" / "zarr.json").unlink(),
    "empty": lambda s: (s / "ended_at" / "zarr.json").write_bytes(b""),
    "a label's": lambda s: replace(s / "method.momentum" / "zarr.json", '"method.momentum"', '"method.batch"'),
    "a label": lambda s: flip(s / "schedule.peak" / "c/0", 0.9),
    "a label removed": lambda s: (s / "component" / "c/0").unlink(),
    "a folder removed": lambda s: shutil.rmtree(s / "subspace"),
    "group": lambda s: truncate(s / "zarr.json"),
    "group removed": lambda s: (s / "zarr.json").unlink(),
    "group of something else": lambda s: (s / "zarr.json").write_text('{"attributes": [], "node_type": "group"}'),
    "group's sweep": lambda s: replace(s / "zarr.json", "capacity", "cap_city"),
    "group's sweep, cut short": lambda s: edit_group(s, sweep="{"),
    "group's blocks": lambda s: edit_group(s, block_shape=[2, 1, 1]),
    "group's dimensions": lambda s: edit_group(s, dims=[["problem.capacity", 24]]),
    "group's variables": lambda s: edit_group(s, variables=["risk"]),
    "group's labels": lambda s: edit_group(s, labels=[]),
    "group's version": lambda s: edit_group(s, simlab_version="0"),
    "consolidated metadata": lambda s: edit_consolidated(s),
}


def edit_consolidated(store):
    """What xarray goes by: another shape of an array."""
    said = json.loads((store / "zarr.json").read_text(encoding="utf-8"))
    said["consolidated_metadata"]["metadata"]["risk"]["shape"][0] = 1
    (store / "zarr.json").write_text(json.dumps(said), encoding="utf-8")


@pytest.mark.thorough
@pytest.mark.parametrize("how", DECLARED)
def test_an_altered_declaration_is_made_again(how, store, whole):
    """And costs no cell: what the ledger says of the chunks still holds."""
    DECLARED[how](store)
    assert data_of(store) != data_of(whole)
    # A reader is told, if it can open it at all.
    with suppress(sl.InputError), Store(store) as seen:
        assert seen.altered()
    report = swept(store)
    assert (report.computed, report.reused) == (0, CELLS)
    assert_same_store(store, whole)


def test_a_store_without_its_lock_is_a_store(store, whole):
    """Names that begin with a dot get lost in copies."""
    (store / ".lock").unlink()
    assert swept(store).reused == CELLS
    assert_same_store(store, whole)


# -- altered ledgers --------------------------------------------------------------------------------------------------

STATEMENTS = {
    "status": ("UPDATE cells SET status = 'diverged' WHERE cell = 5", BLOCK),
    "message": ("UPDATE cells SET message = 'fine' WHERE cell = 5", BLOCK),
    "fingerprint": ("UPDATE cells SET fingerprint = 'x' WHERE cell = 5", BLOCK),
    "bytes": ("UPDATE cells SET status = X'FF00' WHERE cell = 5", BLOCK),
    "no text": ("UPDATE cells SET message = CAST(X'C328' AS TEXT) WHERE cell = 5", BLOCK),
    "another number": ("UPDATE cells SET cell = 900 WHERE cell = 5", BLOCK),
    "row removed": ("DELETE FROM cells WHERE cell = 5", BLOCK),
    "rows removed": ("DELETE FROM cells", CELLS),
    "digest of the data": ("UPDATE blocks SET data = 'x' WHERE block = 3", BLOCK),
    "digest of the rows": ("UPDATE blocks SET rows = NULL || 'x' WHERE block = 99", 0),
    "block removed": ("DELETE FROM blocks WHERE block = 3", BLOCK),
    "blocks exchanged": ("UPDATE blocks SET block = 500 - block", CELLS),
    "blocks removed": ("DROP TABLE blocks", CELLS),
}


@pytest.mark.thorough
@pytest.mark.parametrize("how", STATEMENTS)
def test_altered_entries_are_made_again(how, store, whole):
    statement, computed = STATEMENTS[how]
    execute(store, statement)
    report = swept(store)
    assert (report.computed, report.reused) == (computed, CELLS - computed)
    if how == "another number":
        execute(store, "DELETE FROM cells WHERE cell = 900")
    if how == "blocks exchanged":
        execute(store, "DELETE FROM blocks WHERE block > 24")
    assert_same_store(store, whole)


@pytest.mark.parametrize("content", [b"garbage", b"", b"SQLite format 3\0" + bytes(5000), None])
def test_a_ledger_that_is_none_is_put_aside(content, store, whole):
    """What it said is lost, and all is computed again; a reader is told, and changes nothing."""
    path = store / "ledger.sqlite"
    path.write_bytes(path.read_bytes()[:6000] if content is None else content)
    if content:
        kept = path.read_bytes()
        with pytest.raises(sl.InputError, match=r"^.*ledger\.sqlite is damaged \(.*\); run simlab sweep again"):
            Store(store)
        assert path.read_bytes() == kept
    report = swept(store)
    assert sorted(p.name for p in store.iterdir() if p.name.endswith("-journal")) == []
    assert (report.computed, report.reused) == (CELLS, 0)
    assert (store / "ledger.sqlite.damaged").exists() == (content != b"")
    assert_same_store(store, whole)


@pytest.mark.thorough
def test_flipped_bits_of_a_ledger(store, whole, tmp_path):
    """Wherever: it is refused, or computed again, or nothing that counts (times, calls, free space)."""
    good, rng, computed = (store / "ledger.sqlite").read_bytes(), np.random.default_rng(1), set()
    used = [j for j in range(len(good)) if good[j]]
    for j in [*range(0, 100, 9), *rng.choice(used, 25)]:
        content = bytearray(good)
        content[j] ^= 1 << int(rng.integers(8))
        (store / "ledger.sqlite").write_bytes(bytes(content))
        report = swept(store)
        computed.add(report.computed)
        assert report.left == 0
        assert data_of(store) == data_of(whole)
        rows, _ = entries_of(store)
        assert [row for row in rows if row.cell in range(CELLS)] == entries_of(whole)[0]
    assert {0, BLOCK, CELLS} <= computed
