"""A sweep that is killed, even within a write to the disk, goes on and ends with the bytes of one that never was."""

from __future__ import annotations

import os
import signal
import sqlite3
import struct
import time

import numpy as np
import pytest
from zarr.storage import _local

from simlab.sweeps.store import blocks, ledger
from tests.engines.test_checkpoints import ended_by_kill, forked
from tests.sweeps.store_bytes import BLOCK, CELLS, MANY, TABLES, assert_same_store, compile_kernels, swept

LONG = {**TABLES, "schedule": {**TABLES["schedule"], "steps": 25_000}}
ALL, FEWEST = 6 * CELLS, blocks.FEWEST_BLOCKS


def killed_at(path, shares, delays):
    """Start the long sweep again and again; kill it `delay` seconds after that share of it is seen to be done.

    Returns for every start (whether it was killed at work, the cells that it left in its ledger), and whether the last
    start, which is left alone, came to its end.
    """
    compile_kernels()
    starts, blocks.FEWEST_BLOCKS = [], ALL
    for share, delay in zip(shares, delays, strict=True):
        read, write = os.pipe()

        def child(write=write):
            # Cells done in all: those of this start and those from before.
            before = cells_kept(path)

            def report(cells, total, write=write, before=before):
                os.write(write, struct.pack("q", cells + before))

            swept(path, LONG, MANY, progress=report)

        process = forked(child)
        os.close(write)
        with os.fdopen(read, "rb") as told:
            done = 0
            while done < share * ALL:
                done = struct.unpack("q", told.read(8))[0]
            time.sleep(delay)
            os.kill(process, signal.SIGKILL)
        starts.append((ended_by_kill(process), cells_kept(path)))
    process = forked(lambda: swept(path, LONG, MANY).left or os._exit(0))
    blocks.FEWEST_BLOCKS = FEWEST
    return starts, os.waitpid(process, 0)[1] == 0


def cells_kept(path):
    if not (path / "ledger.sqlite").exists():
        return 0
    with sqlite3.connect(path / "ledger.sqlite", timeout=30) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
        return connection.execute("SELECT count(*) FROM cells").fetchone()[0] if "cells" in tables else 0


@pytest.mark.thorough
def test_twenty_kills_at_random_moments(killer, tmp_path, monkeypatch):
    """Every cell a block of its own, so that there are many moments to be killed at."""
    rng = np.random.default_rng(4)
    shares, delays = np.sort(rng.uniform(0.0, 0.85, 20)), rng.uniform(0.0, 0.02, 20)
    starts, finished = killer(killed_at, tmp_path / "killed", shares.tolist(), delays.tolist())
    assert [killed for killed, _ in starts] == [True] * 20
    assert finished
    kept = [cells for _, cells in starts]
    assert kept == sorted(kept)
    assert len(set(kept)) >= 15, "kills at different cells"
    assert 0.5 < kept[-1] / ALL < 1.0, "work is kept, and was left to do"
    monkeypatch.setattr(blocks, "FEWEST_BLOCKS", ALL)
    swept(tmp_path / "whole", LONG, MANY)
    assert_same_store(tmp_path / "killed", tmp_path / "whole")


def killed_in_file(folder, how, numbers):
    """Kill a sweep at its n-th file of the arrays, and start it again; one store for every n.

    how : "half" (half of it is written, and not moved to its place) or "after" (it is there, the ledger knows nothing).
    """
    compile_kernels()
    ends, put = [], _local._put
    for number in numbers:
        path = folder / str(number)

        def child(number=number, path=path):
            count = 0

            def dying(target, value, exclusive=False):
                nonlocal count
                count += 1
                if count == number and how == "half":
                    content = bytes(value.as_buffer_like())
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.with_suffix(".0123.partial").write_bytes(content[: len(content) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                written = put(target, value, exclusive)
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return written

            _local._put = dying
            swept(path)
            os._exit(0)

        killed = ended_by_kill(forked(child))
        left = any(path.rglob("*.partial"))
        again = forked(lambda path=path: swept(path).left or os._exit(0))
        ends.append((killed, left, os.waitpid(again, 0)[1]))
    return ends


@pytest.mark.slow
@pytest.mark.parametrize("how", ["half", "after"])
def test_kills_within_the_writing_of_a_file(how, killer, whole, tmp_path):
    """Declarations of arrays, labels, the group, its contents, its seal, chunks: of each of them some."""
    numbers = [1, 2, 8, 13, 15, 16, 17, 18, 19, 23, 50]
    ends = killer(killed_in_file, tmp_path, how, numbers)
    assert ends == [(True, how == "half", 0)] * len(numbers)
    for number in numbers:
        assert_same_store(tmp_path / str(number), whole)


def killed_in_ledger(path, moment, numbers):
    """Kill a start within its n-th entry in the ledger: its data are all there, and it is half made, or just made."""
    compile_kernels()
    ends, keep, digest_of = [], ledger.Ledger.keep, ledger.digest_of
    for number in numbers:

        def child(number=number):
            count = 0

            def counted(function, last):
                def patched(*arguments):
                    nonlocal count
                    count += 1
                    if count == number and not last:
                        os.kill(os.getpid(), signal.SIGKILL)
                    result = function(*arguments)
                    if count == number:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return result

                return patched

            if moment == "within":
                ledger.digest_of = counted(digest_of, False)
            else:
                ledger.Ledger.keep = counted(keep, moment == "after")
            swept(path)
            os._exit(0)

        ends.append((ended_by_kill(forked(child)), cells_kept(path)))
    return ends, os.waitpid(forked(lambda: swept(path).left or os._exit(0)), 0)[1] == 0


@pytest.mark.thorough
@pytest.mark.parametrize("moment", ["before", "within", "after"])
def test_kills_between_data_and_ledger(moment, killer, whole, tmp_path):
    """An entry that is half made is none, and one that is made counts."""
    ends, finished = killer(killed_in_ledger, tmp_path / "store", moment, [1, 3, 2, 2])
    made = np.cumsum([1, 3, 2, 2] if moment == "after" else [0, 2, 1, 1]) * BLOCK
    assert ends == [(True, cells) for cells in made]
    assert finished
    assert_same_store(tmp_path / "store", whole)
