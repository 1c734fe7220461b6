"""Checkpoints of sampled runs: what is refused of them, and what a kill leaves.

A run that was killed, even within a write to the disk, goes on from its checkpoint and ends with the bits of one that
never was.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import struct
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import simlab as sl
from simlab import methods
from simlab.checkpoint import Checkpoint
from simlab.schedules import constant
from tests.engines.test_sample_reproducibility import (
    ERROR,
    HEAVY_BALL,
    LAM,
    LR,
    MOMENTUM,
    REGRESSION,
    assert_same_bits,
    take,
)

# -- what is refused of a checkpoint ----------------------------------------------------------------------------------

OTHERS = {
    "seed": (REGRESSION, HEAVY_BALL, {"seed": 1}),
    "replicas": (REGRESSION, HEAVY_BALL, {"replicas": 24}),
    "precision": (REGRESSION, HEAVY_BALL, {"dtype": "float64"}),
    "one trajectory": (REGRESSION, HEAVY_BALL, {"split": False}),
    "record": (REGRESSION, HEAVY_BALL, {"record": [7]}),
    "subspaces": (REGRESSION, HEAVY_BALL, {"subspaces": "log_bins(2)"}),
    "method": (REGRESSION, methods.sgd(LR), {}),
    "rate": (REGRESSION, methods.heavy_ball(LR * (1.0 + 1e-12), MOMENTUM), {}),
    "batch": (REGRESSION, methods.heavy_ball(LR, MOMENTUM, 2), {}),
    "spectrum": (sl.LinearRegression(LAM * (1.0 + 1e-12), ERROR, 0.3), HEAVY_BALL, {}),
    "error": (sl.LinearRegression(LAM, -ERROR, 0.3), HEAVY_BALL, {}),
    "noise": (sl.LinearRegression(LAM, ERROR, 0.31), HEAVY_BALL, {}),
    "law": (sl.LinearRegression(LAM, ERROR, 0.3, 1.8), HEAVY_BALL, {}),
}


@pytest.mark.thorough
@pytest.mark.parametrize("other", OTHERS)
def test_the_state_of_another_run_is_refused(other, tmp_path):
    take(REGRESSION, HEAVY_BALL, checkpoint=tmp_path)
    before = (tmp_path / "run-0.npz").read_bytes()
    problem, method, options = OTHERS[other]
    with pytest.raises(sl.InputError, match=r"^checkpoint .*run-0\.npz holds .* another run; give another folder, or"):
        take(problem, method, checkpoint=tmp_path, **options)
    assert (tmp_path / "run-0.npz").read_bytes() == before


def test_a_damaged_file_is_one_sentence(tmp_path):
    """Cut short anywhere, or one byte of it changed: a refusal, or (in bytes that say nothing) the same state."""
    store = Checkpoint(tmp_path, "run-0", "fingerprint")
    store.save({"risk": np.arange(30.0).reshape(5, 6), "position": np.array([0, 7]), "state": np.ones((2, 3), "f4")})
    good, kept, refusals = store.path.read_bytes(), store.load(), []
    rng = np.random.default_rng(0)
    damaged = [good[:n] for n in range(0, len(good), 25)] + [b"text", bytes(100)]
    damaged += [good[:i] + bytes([good[i] ^ int(rng.integers(1, 256))]) + good[i + 1 :] for i in range(len(good))]
    for content in damaged:
        store.path.write_bytes(content)
        try:
            got = store.load()
        except sl.InputError as error:
            refusals.append(str(error))
            continue
        assert got.keys() == kept.keys()
        for name, array in kept.items():
            np.testing.assert_array_equal(got[name], array)
    assert len(refusals) > 0.6 * len(damaged)
    for message in refusals:
        assert message.startswith(f"checkpoint {store.path} ")
        assert message.endswith(("delete it to start from the beginning.", "give another folder, or delete it."))
        assert "\n" not in message


def test_a_damaged_checkpoint_is_refused_at_the_door(tmp_path):
    take(REGRESSION, HEAVY_BALL, checkpoint=tmp_path)
    path = tmp_path / "run-0.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(sl.InputError, match=r"^checkpoint .*run-0\.npz cannot be read .*; delete it to start from the"):
        take(REGRESSION, HEAVY_BALL, checkpoint=tmp_path)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "plain").write_text("a file")
    for folder in (tmp_path / "plain", tmp_path / "plain" / "below"):
        with pytest.raises(sl.InputError, match=r"^checkpoint .*plain.* cannot be written .*; choose a folder you may"):
            take(REGRESSION, HEAVY_BALL, checkpoint=folder)


def test_what_killed_processes_left_is_taken_away(tmp_path):
    """Theirs of this run only; and a process that lives loses no more than the save that it was at."""
    for name in ("run-0.1234.partial", "run-0.99.partial", "run-1.7.partial", "run-00.5.partial", "notes.txt"):
        (tmp_path / name).write_bytes(b"half")
    store = Checkpoint(tmp_path, "run-0", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt", "run-00.5.partial", "run-1.7.partial"]
    store.save({"a": np.ones(1)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: Checkpoint(tmp_path, "run-0", "x"))
        store.save({"a": np.zeros(1)})
    np.testing.assert_array_equal(store.load()["a"], [1.0])
    store.save({"a": np.full(1, 2.0)})
    np.testing.assert_array_equal(store.load()["a"], [2.0])


# -- kills ------------------------------------------------------------------------------------------------------------

LONG = 60_000
LONG_RUN = ([methods.sgd(constant(LONG, 0.05)), methods.heavy_ball(constant(LONG, 0.02), 0.8)], 12)
SHORT_RUN = (HEAVY_BALL, 6)


def checkpointed(run, folder, progress=None):
    method, replicas = run
    every, block = (300, 5) if run is LONG_RUN else (10, None)
    return take(REGRESSION, method, replicas=replicas, threads=2, record=20, checkpoint=folder, every=every,
                block=block, progress=progress)  # fmt: skip


def forked(child):
    """The id of a process that does `child` and nothing more. No thread may be alive in the one that calls this."""
    process = os.fork()
    if process == 0:
        try:
            child()
        finally:
            os._exit(1)
    return process


def ended_by_kill(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


def work_kept(folder):
    work = 0
    for path in folder.glob("*.npz"):
        with np.load(path) as state:
            first, at = state["position"]
            work += int(first * LONG + at * len(state["state"]))
    return work


def killed_at(folder, shares, delays):
    """Start the long run again and again; kill it `delay` seconds after that share of the work is seen to be done.

    Returns for every start (whether it was killed at work, the work that it left in its checkpoint), and whether the
    last start, which is left alone, came to its end.
    """
    take(REGRESSION, HEAVY_BALL, replicas=1)  # compiles, so that no child has to
    total, starts = 2 * 12 * LONG, []
    for share, delay in zip(shares, delays, strict=True):
        read, write = os.pipe()
        process = forked(
            lambda: checkpointed(LONG_RUN, folder, lambda done, of: os.write(write, struct.pack("q", done)))  # noqa: B023
        )
        os.close(write)
        with os.fdopen(read, "rb") as told:
            done = struct.unpack("q", told.read(8))[0]
            while done < share * total:
                done = struct.unpack("q", told.read(8))[0]
            time.sleep(delay)
            os.kill(process, signal.SIGKILL)
        starts.append((ended_by_kill(process), work_kept(folder)))
    process = forked(lambda: checkpointed(LONG_RUN, folder).save(folder / "trace.zarr") and os._exit(0))
    return starts, os.waitpid(process, 0)[1] == 0


MOMENTS = ["half written", "written", "synced", "replaced"]


def killed_in_save(folder, moment, number):
    """Kill the short run within its save of that number; returns whether it was, and the files that it left."""
    take(REGRESSION, HEAVY_BALL, replicas=1)
    saves = 0

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def savez(file, **arrays):
        nonlocal saves
        saves += 1
        write(file, **arrays)
        if saves == number and moment == "half written":
            file.truncate(file.tell() // 2)
            die()

    def fsync(descriptor):
        if saves == number and moment == "written":
            die()
        sync(descriptor)

    def replace(path, target):
        if saves == number and moment == "synced":
            die()
        move(path, target)
        if saves == number and moment == "replaced":
            die()

    write, sync, move = np.savez, os.fsync, Path.replace

    def child():
        np.savez, os.fsync, Path.replace = savez, fsync, replace
        checkpointed(SHORT_RUN, folder)

    return ended_by_kill(forked(child)), sorted(p.suffix for p in folder.iterdir())


@pytest.fixture(scope="module")
def killer():
    """A process without threads that forks and kills: those of a test runner may not be copied."""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_NUM_THREADS", "1")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            yield lambda *task: pool.submit(*task).result(timeout=300)


def test_twenty_kills_at_random_moments(killer, tmp_path):
    rng = np.random.default_rng(20)
    shares, delays = np.sort(rng.uniform(0.0, 0.95, 20)), rng.uniform(0.0, 0.02, 20)
    starts, finished = killer(killed_at, tmp_path, shares.tolist(), delays.tolist())
    kept = [work for _, work in starts]
    assert [killed for killed, _ in starts] == [True] * 20
    assert finished
    assert kept == sorted(kept)
    assert len(set(kept)) >= 15, "kills at different steps"
    assert 0.5 < kept[-1] / (2 * 12 * LONG) < 1.0, "work is kept, and was left to do"
    assert not list(tmp_path.glob("*.partial"))
    method, replicas = LONG_RUN
    whole = take(REGRESSION, method, replicas=replicas, threads=2, record=20)
    assert_same_bits(sl.RiskTrace.load(tmp_path / "trace.zarr"), whole)


@pytest.mark.parametrize("moment", MOMENTS)
def test_kills_within_a_save(moment, killer, tmp_path):
    """At the fifth: until the file is in its place the state before it counts, and from then on the new one."""
    killed, left = killer(killed_in_save, tmp_path, moment, 5)
    assert killed
    assert left == ([".npz"] if moment == "replaced" else [".npz", ".partial"])
    with np.load(tmp_path / "run-0.npz") as state:
        assert list(state["position"]) == [0, 50 if moment == "replaced" else 40]
    seen = []
    trace = checkpointed(SHORT_RUN, tmp_path, lambda done, total: seen.append(done))
    assert seen[0] == 6 * (50 if moment == "replaced" else 40)
    assert [p.name for p in tmp_path.iterdir()] == ["run-0.npz"]
    assert_same_bits(trace, take(REGRESSION, HEAVY_BALL, replicas=6, record=20))


@pytest.mark.thorough
def test_a_kill_within_the_first_save_leaves_a_clean_start(killer, tmp_path):
    killed, left = killer(killed_in_save, tmp_path, "half written", 1)
    assert (killed, left) == (True, [".partial"])
    trace = checkpointed(SHORT_RUN, tmp_path)
    assert_same_bits(trace, take(REGRESSION, HEAVY_BALL, replicas=6, record=20))
    assert [p.name for p in tmp_path.iterdir()] == ["run-0.npz"]
