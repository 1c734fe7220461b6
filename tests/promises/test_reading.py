"""The door for files that are read back: no links, no devices, no names that lead elsewhere, and one sentence."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from simlab.figures.gallery.kept import read_tables, write_tables

import simlab as sl
from simlab import methods
from simlab.checkpoint import Checkpoint
from simlab.reading import Folder, check_component, opened, refuse_links, understood
from simlab.schedules import constant

NAMES = ["", ".", "..", "a/b", "/etc", "a\\b", "C:x", "a\0b", "x" * 256, 3, None]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_no_component(name):
    with pytest.raises(sl.InputError, match="which is no name of a file in it"):
        check_component(name, "store")
    assert check_component("method.wrap[0].decay", "store") == "method.wrap[0].decay"


def special(path, what):
    if what == "link":
        path.symlink_to("/dev/zero")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    return path


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "huge"])
def test_what_is_no_plain_file_is_not_read(what, tmp_path):
    special(tmp_path / "x", what)
    with pytest.raises(sl.InputError, match=r"x (is a link|is no plain file|has \d+ bytes)"), opened(tmp_path / "x"):
        pass
    if what in ("link", "pipe"):
        with pytest.raises(sl.InputError, match="remove it"):
            refuse_links(tmp_path)


def test_a_folder_is_read_and_left_by_no_link(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"1")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    folder = Folder(tmp_path)
    assert (folder.read("a/x"), folder.read("a/y"), folder.read("z/x"), folder.read("a/x/y")) == (
        b"1",
        None,
        None,
        None,
    )
    with pytest.raises(sl.InputError, match="is a link, and links are not followed"):
        folder.read("b/x")
    with pytest.raises(sl.InputError, match="no name of a file in it"):
        folder.read("a/../a/x")
    (tmp_path / "c").symlink_to(tmp_path / "a")
    assert Folder(tmp_path / "c").read("x") == b"1", "a folder that the caller names by a link is the caller's"


@pytest.mark.parametrize(
    "error", [KeyError("x"), RuntimeError("Zstd\nfailed"), RecursionError(), MemoryError(), OSError(5, "io")]
)
def test_whatever_is_thrown_is_a_sentence(error):
    with (
        pytest.raises(sl.InputError, match=r"^s\.zarr cannot be read \([^\n]+\); mend it\.$"),
        understood("s.zarr", "mend it"),
    ):
        raise error
    with pytest.raises(KeyboardInterrupt), understood("s.zarr", "mend it"):
        raise KeyboardInterrupt


# -- who goes through it ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trace():
    problem = sl.LinearRegression.power_law(10, 1.5, 1.2, 0.1)
    return sl.exact(problem, methods.sgd(constant(20, 0.1)), record=3, progress=False)


@pytest.mark.parametrize("name", ["risk/c/0/0/0", "component/c/0", "risk/zarr.json", "zarr.json"])
def test_a_trace_with_a_link_in_it(name, trace, tmp_path):
    path = trace.save(tmp_path / "t.zarr")
    (path / name).unlink()
    (path / name).symlink_to("/dev/zero")
    with pytest.raises(sl.InputError, match="is a link, and links are not followed"):
        sl.RiskTrace.load(path)


@pytest.mark.thorough
def test_a_trace_with_any_byte_changed_is_refused_or_read(trace, tmp_path):
    """In a sentence that names it; a trace holds no digests, so that not every change can be seen."""
    path, rng, refused = trace.save(tmp_path / "t.zarr"), np.random.default_rng(0), 0
    files = [each for each in sorted(path.rglob("*")) if each.is_file()]
    for file in files:
        good = file.read_bytes()
        for at in rng.integers(len(good), size=3):
            content = bytearray(good)
            content[at] ^= 0xFF
            file.write_bytes(bytes(content))
            try:
                repr(sl.RiskTrace.load(path))
            except sl.InputError as error:
                refused += str(path) in str(error)
        file.write_bytes(good)
    assert refused > len(files)


def test_a_trace_without_a_part_of_it(trace, tmp_path):
    sl.RiskTrace(trace.dataset.drop_vars("ended_at")).save(tmp_path / "t.zarr")
    with pytest.raises(sl.InputError, match=r"t\.zarr holds no 'ended_at'"):
        sl.RiskTrace.load(tmp_path / "t.zarr")


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "huge"])
def test_a_checkpoint_that_is_no_file(what, tmp_path):
    special(tmp_path / "run.npz", what)
    with pytest.raises(sl.InputError, match=r"^checkpoint .*run\.npz (is a link|is no plain file|has \d+ bytes)"):
        Checkpoint(tmp_path, "run", "me").load()


def test_flipped_bytes_of_a_checkpoint_are_seen(tmp_path):
    """Its archive has a checksum of every array; what is not seen changes nothing."""
    kept = Checkpoint(tmp_path, "run", "me")
    arrays = {"a": np.arange(50.0), "b": np.array([3])}
    kept.save(arrays)
    good, refused = kept.path.read_bytes(), 0
    for at in range(0, len(good), 7):
        content = bytearray(good)
        content[at] ^= 0xFF
        kept.path.write_bytes(bytes(content))
        try:
            back = kept.load()
        except sl.InputError:
            refused += 1
        else:
            assert {name: values.tolist() for name, values in back.items()} == {
                n: v.tolist() for n, v in arrays.items()
            }
    assert refused > len(good) / 7 / 2


def test_tables_of_a_kept_figure(tmp_path):
    kinds = write_tables({"t": {"x": np.arange(3)}}, tmp_path)
    assert read_tables(tmp_path, kinds)["t"]["x"].tolist() == [0, 1, 2]
    with pytest.raises(sl.InputError, match="no name of a file in it"):
        read_tables(tmp_path, {"../t": kinds["t"]})
    (tmp_path / "t.csv").write_text("x\nhello\n", encoding="utf-8")
    with pytest.raises(sl.InputError, match=r"t\.csv cannot be read .*; make the figure again"):
        read_tables(tmp_path, kinds)
    special_path = tmp_path / "t.csv"
    special_path.unlink()
    special(special_path, "link")
    with pytest.raises(sl.InputError, match="is a link"):
        read_tables(tmp_path, kinds)


def test_a_journal_of_several_databases_is_not_played_back(tmp_path):
    """SQLite would look for the file that it names, and delete it."""
    from simlab.sweeps.store.ledger import OF_SEVERAL, Ledger

    Ledger(tmp_path / "ledger.sqlite").close()
    (tmp_path / "ledger.sqlite-journal").write_bytes(b"x" * 100 + OF_SEVERAL)
    for mend in (True, False):
        with pytest.raises(sl.InputError, match="is no journal of this ledger; delete it"):
            Ledger(tmp_path / "ledger.sqlite", mend=mend)


BESIDE = """
import time, numpy, zarr
from simlab.errors import InputError
from simlab.reading import Folder
from simlab.reading.arrays import FolderStore
zarr.create_array("a.zarr", shape=64, chunks=1, dtype="f8")[:] = numpy.arange(64.0)
folder = Folder("a.zarr")
def read(key):
    if key == "c/3":
        raise InputError("c/3 is refused.")
    time.sleep(0.002 * key.startswith("c/"))
    return folder.read(key)
try:
    zarr.open_array(FolderStore(folder.root, read), mode="r")[:]
except InputError as refusal:
    print(refusal)
"""


@pytest.mark.thorough
def test_files_that_are_read_beside_a_refused_one_say_nothing(tmp_path):
    """A process that ends while zarr reads on printed some forty lines of asyncio's below the refusal."""
    done = subprocess.run(
        [sys.executable, "-c", BESIDE], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("c/3 is refused.\n", "", 0)
