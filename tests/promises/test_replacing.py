"""Something new in the place of something old: whole at every instruction, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import simlab as sl
from simlab import replacing as module
from simlab.files import ResultsFolder, fresh_file
from simlab.locks import Taken, hold
from simlab.replacing import Stage, replacing, settle, settle_all
from simlab.sweeps import Store, Sweep, run_sweep
from simlab.sweeps.store.compact import check, compact

CALLS = ["rename", "replace", "unlink", "rmdir", "mkdir"]


def exchanges() -> bool:
    """Whether the system, and its file system for passing things, exchange two names."""
    with tempfile.TemporaryDirectory() as name:
        one, other = Path(name) / "one", Path(name) / "other"
        one.mkdir()
        other.touch()
        return module.exchange(one, other) and one.is_file() and other.is_dir()


WAYS = ["exchange", "fallback"] if exchanges() else ["fallback"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux it is known")
def test_linux_exchanges():
    assert exchanges()


class Killed(BaseException):
    """Nothing catches it, and after it the process does nothing any more."""


class Mortal:
    """File operations of which the n-th, and all after it, are not carried out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, way: str, at: int, planned: bool = False) -> None:
        """With `planned` those count that come after the plan of what goes where."""
        self.count, self.at, self.counts = 0, at, not planned
        write = module.Plan.write

        def begin(*arguments):
            write(*arguments)
            self.counts = True

        monkeypatch.setattr(module.Plan, "write", begin)
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name)))
        exchange = self._wrapped(module.exchange) if way == "exchange" else lambda one, other: False
        monkeypatch.setattr(module, "exchange", exchange)

    def _wrapped(self, act):
        def call(*arguments, **options):
            self.count += self.counts
            if self.count > self.at:
                raise Killed
            return act(*arguments, **options)

        return call


def make(path: Path, folder: bool, text: str) -> None:
    """A file, or a folder of two, that says `text`."""
    if folder:
        path.mkdir()
        (path / "one").write_text(text, encoding="utf-8")
        (path / "two").write_text(text, encoding="utf-8")
    else:
        path.write_text(text, encoding="utf-8")


def said(path: Path) -> str:
    """What a file or folder says, if it is whole."""
    if not path.is_dir():
        return path.read_text(encoding="utf-8")
    one, two = ((path / name).read_text(encoding="utf-8") for name in ("one", "two"))
    return one if one == two else "mixed"


@pytest.fixture
def no_grace(monkeypatch):
    """A kill between the making of a stage and its lock leaves an empty folder, which is nobody's only later."""
    monkeypatch.setattr(module, "GRACE", -1.0)


def hidden(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob(".*")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("old", ["file", "folder", "nothing", "link"])
@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_a_kill_at_any_operation_loses_nothing(folder, old, way, tmp_path, monkeypatch, no_grace):
    """Under its name stands the old or the new, whole; at the latest once the next comer has settled the place."""
    at, outcomes = 0, set()
    while True:
        home = tmp_path / str(at)
        home.mkdir()
        target = home / "s"
        if old == "link":
            make(home / "elsewhere", True, "old")
            target.symlink_to("elsewhere")
        elif old != "nothing":
            make(target, old == "folder", "old")
        with monkeypatch.context() as patch:
            mortal = Mortal(patch, way, at)
            try:
                with replacing(target) as new:
                    make(new, folder, "new")
            except Killed:
                pass
            done = mortal.count <= at
        if way == "exchange" and old != "nothing":
            assert said(target) in ("old", "new"), "the name never stands empty"
        settle(target)
        if old != "nothing" or target.exists():
            assert said(target) in ("old", "new")
            outcomes.add(said(target))
        assert hidden(home) == []
        if done:
            break
        at += 1
    assert said(target) == "new"
    assert outcomes == ({"new"} if old == "nothing" else {"old", "new"})
    assert at > 3


@pytest.mark.parametrize("way", WAYS)
def test_a_kill_within_a_folder_of_results(way, tmp_path, monkeypatch, no_grace):
    """All of the old or all of the new, once the next run has begun; what is not the run's own stays."""
    at, seen = 0, set()
    owned = ("trace", "table", "picture")
    while True:
        target = tmp_path / str(at) / "out"
        target.mkdir(parents=True)
        make(target / "mine", False, "mine")
        make(target / "trace", True, "old")
        make(target / "picture", False, "old")
        with monkeypatch.context() as patch:
            mortal = Mortal(patch, way, at)
            try:
                with ResultsFolder(target, owned, force=True) as results:
                    make(results.stage / "trace", True, "new")
                    make(results.stage / "table", False, "new")
                    results.commit()
            except Killed:
                pass
            done = mortal.count <= at
        if way == "exchange":
            assert said(target / "trace") in ("old", "new")
        with ResultsFolder(target, owned, force=True):
            pass
        now = said(target / "trace")
        assert now in ("old", "new")
        assert (target / "table").exists() == (now == "new")
        assert (target / "picture").exists() == (now == "old")
        assert said(target / "mine") == "mine"
        assert hidden(target.parent) == []
        seen.add(now)
        if done:
            break
        at += 1
    assert seen == {"old", "new"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", [OSError(13, "Permission denied"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_what_fails_on_the_way_is_put_back(error, way, tmp_path, monkeypatch):
    """At whichever move it happens."""
    moves = ("rename", "replace")
    at = 0
    while True:
        target = tmp_path / str(at)
        target.mkdir()
        for name in ("a", "b"):
            make(target / name, name == "a", "old")
        count = 0

        def failing(act, at=at):
            def call(*arguments, **options):
                nonlocal count
                count += 1
                if count == at + 1:
                    raise error
                return act(*arguments, **options)

            return call

        with monkeypatch.context() as patch:
            for name in moves:
                patch.setattr(os, name, failing(getattr(os, name)))
            exchange = failing(module.exchange) if way == "exchange" else lambda one, other: False
            patch.setattr(module, "exchange", exchange)
            results = ResultsFolder(target, ("a", "b", "c"), force=True)
            make(results.stage / "a", True, "new")
            make(results.stage / "b", False, "new")
            make(results.stage / "c", False, "new")
            failed = False
            try:
                with results:
                    results.commit()
            except type(error):
                failed = True
            if failed:
                assert (said(target / "a"), said(target / "b")) == ("old", "old")
                assert not (target / "c").exists()
        assert hidden(target) == []
        if count <= at:
            break
        at += 1
    assert (said(target / "a"), said(target / "b"), said(target / "c")) == ("new", "new", "new")
    assert at >= 3


# -- those who replace something


@pytest.mark.thorough
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["t.zarr", "t.nc"])
def test_a_forced_save_that_is_killed_loses_no_trace(name, way, tmp_path, monkeypatch, no_grace):
    problem = sl.LinearRegression([1.0, 0.5], 1.0, 0.1)
    old, new = (sl.exact(problem, sl.methods.sgd(sl.schedules.constant(n, 0.1)), progress=False) for n in (5, 9))
    target = tmp_path / name
    for at in range(4):
        old.save(target, force=True)
        with monkeypatch.context() as patch:
            Mortal(patch, way, at, planned=True)
            with pytest.raises(Killed):
                new.save(target, force=True)
        assert sl.RiskTrace.load(target).risk["step"].values[-1] in (5, 9)
        assert hidden(tmp_path) == []


@pytest.mark.thorough
@pytest.mark.parametrize("way", WAYS)
def test_a_compacting_that_is_killed_loses_no_store(way, tmp_path, monkeypatch):
    tree = {
        "problem": {"kind": "power_law", "dim": 12, "capacity": 1.5, "source": 1.2},
        "schedule": {"kind": "constant", "steps": 5, "peak": 0.1},
        "sweep": {"schedule.peak": [0.1, 0.2, 0.3], "problem.capacity": [1.5, 2.0]},
    }
    sweep = Sweep(tree)
    made = tmp_path / "made.zarr"
    run_sweep(sweep, made, threads=1, progress=False)
    for at in range(5):
        home = tmp_path / str(at)
        shutil.copytree(made, home / "s.zarr")
        with monkeypatch.context() as patch:
            Mortal(patch, way, at, planned=True)
            with pytest.raises(Killed):
                compact(home / "s.zarr")
        with Store(home / "s.zarr") as store:
            health = check(store)
        assert (health.good, health.damaged, health.missing) == (6, 0, 0)
        assert run_sweep(sweep, home / "s.zarr", threads=1, progress=False).reused == 6
        assert hidden(home) == [".lock"]


def test_a_schedule_that_replaces_one_is_whole(tmp_path, monkeypatch):
    target = tmp_path / "lr.csv"
    sl.schedules.to_csv(sl.schedules.constant(5, 0.1), target)
    before = target.read_bytes()
    longer = sl.schedules.constant(9, 0.1)
    monkeypatch.setattr(type(longer), "chunks", lambda self: iter([longer.values()[:3], None]))
    with pytest.raises(AttributeError):
        sl.schedules.to_csv(longer, target, overwrite=True)
    assert target.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["lr.csv"]


# -- processes


PROGRAM = """
import sys, time
from pathlib import Path
from simlab.replacing import Stage
stage = Stage(Path("s"))
(stage.path / "s").write_text("half")
print("made", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_validate_ends_with_sigterm_and_so_do_its_workers(tmp_path):
    """Within seconds, not when what is under way is done."""
    command = [sys.executable, "-m", "simlab", "validate", "-o", "v", "--processes", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    time.sleep(8.0)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - began < 10.0
    assert (process.returncode, said) == (143, "simlab: interrupted; nothing was written.\n")
    assert list(tmp_path.iterdir()) == []


def test_the_stage_of_a_process_goes_with_it_and_not_before(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "made\n"
        for _ in range(2):
            settle(tmp_path / "s")
            settle_all(tmp_path)
            assert len(hidden(tmp_path)) == 2, "it lives"
            with replacing(tmp_path / "s") as new:
                new.write_text("whole", encoding="utf-8")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    settle(tmp_path / "t")
    assert len(hidden(tmp_path)) == 2, "it is nothing of t's"
    with fresh_file(tmp_path / "s", force=True) as partial:
        partial.write_text("new", encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    assert said(tmp_path / "s") == "new"


def test_a_stage_without_an_owner_is_left_for_a_while(tmp_path):
    stage = tmp_path / ".s.partial-0123abcd"
    stage.mkdir()
    (stage / "s").write_text("half", encoding="utf-8")
    settle(tmp_path / "s")
    assert stage.exists()
    os.utime(stage, (time.time() - 2 * module.GRACE,) * 2)
    settle(tmp_path / "s")
    assert not stage.exists()


def test_settling_follows_no_link_and_leaves_the_place(tmp_path):
    """A stage that a stranger has packed beside a store: no plan leads out of the place that the user named."""
    outside, home = tmp_path / "outside", tmp_path / "home"
    outside.mkdir()
    home.mkdir()
    make(outside / "kept", False, "kept")
    (home / ".s.partial-link").symlink_to(outside)
    stage = home / ".s.partial-0123abcd"
    stage.mkdir()
    (stage / module.OWNER).touch()
    make(stage / "kept", False, "foreign")
    (stage / "x").symlink_to(outside)
    identity = (stage / "kept").stat().st_ino
    plan = '{"made": {"../../outside/kept": %d, "../outside/kept": %d}, "gone": ["../outside/kept"]}'
    (stage / module.PLAN).write_text(plan % (identity, identity), encoding="utf-8")
    settle(home / "s")
    assert said(outside / "kept") == "kept"
    assert [p.name for p in outside.iterdir()] == ["kept"]
    (stage / module.PLAN).write_text("[1, 2", encoding="utf-8")
    settle(home / "s")
    assert not stage.exists()
    assert said(outside / "kept") == "kept"


def test_a_missing_or_full_place_is_an_oserror_and_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        Stage(tmp_path / "no" / "s")

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "hold", full)
    with pytest.raises(OSError, match="No space left"):
        Stage(tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_says_that_nothing_was_written_and_only_then(tmp_path):
    def stopped(folder, commit):
        with ResultsFolder(folder, ("a",), force=False) as results:
            make(results.stage / "a", False, "new")
            if commit:
                results.commit()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as nothing:
        stopped(tmp_path / "deep" / "one", False)
    assert module.notes_of(nothing.value) == [module.UNWRITTEN]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt) as something:
        stopped(tmp_path / "deep" / "two", True)
    assert module.notes_of(something.value) == []
    assert said(tmp_path / "deep" / "two" / "a") == "new"
    assert hidden(tmp_path) == []


def test_permissions_are_those_of_any_new_file(tmp_path):
    """What is moved out of a hidden folder may be read by whom the user's mask lets read."""
    shown = os.umask(0o027)
    try:
        with replacing(tmp_path / "s") as new:
            make(new, True, "new")
        with ResultsFolder(tmp_path / "out", ("a",), force=False) as results:
            make(results.stage / "a", True, "new")
            results.commit()
    finally:
        os.umask(shown)
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "out" / "a" / "one").stat().st_mode & 0o777 == 0o640


# -- locks


def test_a_lock_is_held_once_and_says_by_whom(tmp_path):
    lock = hold(tmp_path / "lock")
    with pytest.raises(Taken, match=str(os.getpid())):
        hold(tmp_path / "lock")
    lock.release()
    hold(tmp_path / "lock").release()
    (tmp_path / "plain").touch()
    with pytest.raises(OSError, match="plain"):
        hold(tmp_path / "plain" / "lock")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
def test_a_lock_goes_with_its_holder(tmp_path):
    code = "import sys, time; from pathlib import Path; from simlab.locks import hold\n"
    code += "lock = hold(Path('lock')); print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(Taken, match=str(process.pid)):
        hold(tmp_path / "lock")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    hold(tmp_path / "lock").release()
    shutil.rmtree(tmp_path)
