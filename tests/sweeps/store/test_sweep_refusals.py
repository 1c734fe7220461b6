"""What is no store of this sweep is left as it is: another sweep's, another version's, somebody's files."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import traceback

import numpy as np
import pytest

import simlab as sl
from tests.engines.test_checkpoints import forked
from tests.sweeps.store_bytes import (
    AXES,
    CELLS,
    PROBLEM,
    TABLES,
    assert_same_store,
    compile_kernels,
    edit_group,
    refusal,
    swept,
)  # fmt: skip


def everything(folder):
    """All files with their bytes, but for who looked at it last."""
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".lock"}


DIM = {**TABLES, "problem": {**PROBLEM, "dim": 61}}
BATCH = {**TABLES, "method": {**TABLES["method"], "batch": 2}}
RECORD = {**TABLES, "record": {"steps": 10}}
FEWER = {key: AXES[key] for key in list(AXES)[:2]}

OTHERS = {
    "value": (
        TABLES,
        AXES | {"method.momentum": [0.3, 0.7]},
        r"fields\.method\.momentum\[1\] is 0\.6 there and 0\.7 here",
    ),
    "values": (
        TABLES,
        AXES | {"method.momentum": [0.3]},
        r"method\.momentum is \[0\.3, 0\.6\] there and \[0\.3\] here",
    ),
    "problem": (DIM, AXES, r"experiment\.problem\.dim is 60 there and 61 here"),
    "parameter": (BATCH, AXES, r"experiment\.method\.batch is nothing there and something here"),
    "record": (RECORD, AXES, r"experiment\.record\.subspaces is something there and nothing here"),
    "axes": (TABLES, FEWER, r"axes is .* there and .* here"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_store_of_another_sweep_is_refused(other, store):
    tables, axes, said = OTHERS[other]
    before = everything(store)
    with pytest.raises(sl.InputError, match=rf"store holds another sweep: .*{said}.*; choose another place with -o\.$"):
        swept(store, tables, axes)
    assert everything(store) == before


def test_a_damaged_store_of_another_sweep_is_refused(store):
    """By the fingerprints of its cells, where its own file does not say what it is."""
    (store / "zarr.json").unlink()
    before = everything(store)
    assert "is damaged (zarr.json) and its ledger is that of another sweep" in refusal(store, DIM)
    assert everything(store) == before


def test_cells_of_another_sweep_are_never_taken_for_those_of_this_one(store, tmp_path, monkeypatch):
    """Had a hand put the ledger and chunks of one sweep under the declarations of another."""
    swept(tmp_path / "other", DIM)
    shutil.copy(tmp_path / "other" / "zarr.json", store / "zarr.json")
    assert swept(store, DIM).reused == 0
    assert_same_store(store, tmp_path / "other")


def test_a_file_with_other_contents_makes_another_sweep(tmp_path):
    """Of measured data and schedules the name is not enough."""
    rng = np.random.default_rng(0)
    tables = {**TABLES, "problem": {"kind": "data", "path": str(tmp_path / "d.npz")}, "record": {"steps": 4}}
    for seed in range(2):
        np.savez(tmp_path / "d.npz", X=rng.standard_normal((9, 4)), y=rng.standard_normal(9))
        if seed == 0:
            swept(tmp_path / "store", tables, {"method.momentum": [0.1, 0.2]})
    assert "holds another sweep: files." in refusal(tmp_path / "store", tables, {"method.momentum": [0.1, 0.2]})


@pytest.mark.parametrize(("version", "refused"), [("9.9.9", True), ("0.0.1", True), (f"{sl.__version__}.post1", False)])
def test_a_store_of_another_version(version, refused, store, monkeypatch):
    """Numbers may differ between minor versions; within one they do not."""
    before = everything(store)
    for module in ("store.identity", "plan.sweep"):
        monkeypatch.setattr(f"simlab.sweeps.{module}.__version__", version)
    if refused:
        said = refusal(store)
        assert f"was written by simlab {sl.__version__}, this is {version}; choose another place" in said
        assert everything(store) == before
    else:
        assert swept(store).reused == CELLS


def test_a_store_of_another_format(store):
    edit_group(store, simlab_format=9)
    before = everything(store)
    assert "has format 9, this simlab reads 2; use the version that wrote it" in refusal(store)
    assert everything(store) == before


@pytest.mark.parametrize("name", ["notes.txt", "zarr.json", "ledger.sqlite"])
def test_a_folder_with_other_files_is_refused(name, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).write_text("mine")
    before = everything(tmp_path)
    said = f"{tmp_path / 'folder'} exists and is no store of a sweep; choose another place with -o."
    assert refusal(tmp_path / "folder") == said
    assert everything(tmp_path) == before
    assert [p.name for p in (tmp_path / "folder").iterdir()] == [name]


def test_a_file_in_its_place(tmp_path):
    (tmp_path / "plain").write_text("mine")
    assert "exists and is no store of a sweep" in refusal(tmp_path / "plain")
    assert "cannot be written to" in refusal(tmp_path / "plain" / "below")
    assert (tmp_path / "plain").read_text() == "mine"


def as_nobody(*paths):
    """What is said of these places to a user who may write nowhere, and may not read where we import from."""
    compile_kernels()
    importlib.import_module("filelock")
    read, write = os.pipe()

    def child():
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        for path in paths:
            try:
                said = str(swept(path))
            except sl.InputError as error:
                said = str(error)
            except Exception:
                said = traceback.format_exc().replace("\n", " | ")
            os.write(write, said.encode() + b"\n")
        os._exit(0)

    process = forked(child)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        said = told.read().decode().splitlines()
    return said, os.waitpid(process, 0)[1]


def test_a_read_only_folder(killer, store, tmp_path):
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.getuid() and folder.name.startswith("pytest-"):
            folder.chmod(0o755)
    for path in (tmp_path, store, *store.rglob("*")):
        path.chmod(0o444 if path.is_file() else 0o555)
    try:
        said, status = killer(as_nobody, store, tmp_path / "new")
    finally:
        for path in (tmp_path, store, *store.rglob("*")):
            path.chmod(0o644 if path.is_file() else 0o755)
    assert said == [
        f"{path} cannot be written to (Permission denied); choose another place with -o."
        for path in (store, tmp_path / "new")
    ]
    assert status == 0


# -- two writers ------------------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from tests.sweeps.store_bytes import swept

def wait(done, total):
    if not waited:
        waited.append(print("writing", flush=True) or sys.stdin.readline())

waited = []
print(swept(Path(sys.argv[1]), progress=wait))
"""


@pytest.mark.thorough
def test_a_second_writer_is_sent_away(whole, tmp_path):
    """By the process that holds the lock, named in one sentence; the first goes on undisturbed."""
    path = tmp_path / "store"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], **pipes) as first:
        assert first.stdout.readline() == "writing\n"
        said = (
            f"{path} is being written by another process ({first.pid}); wait for it, or choose another place with -o."
        )
        assert refusal(path) == said
        first.stdin.write("go on\n")
        first.stdin.close()
        assert first.stdout.read() == "computed 24, reused 0; 4 diverged, 20 done\n"
    assert swept(path).reused == CELLS, "the lock is free again"
    assert_same_store(path, whole)
