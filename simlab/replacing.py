"""Something new in the place of something old, so that a process killed at any instruction loses neither.

What is new is made in a *stage*, a hidden folder `.NAME.partial-XXXX` near its place, of which its maker holds the
lock. It is then moved there: where the system exchanges two names in one act (Linux, macOS) the name never stands
empty; elsewhere what was there waits in the stage until its successor is in place. A plan, written first, says what
goes where. Whoever opens the place next calls `settle`, which carries out the plans of processes that are gone, puts
back what they had set aside, and removes what they left behind.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simlab.locks import Taken, hold

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["UNWRITTEN", "Stage", "notes_of", "replacing", "settle", "settle_all"]

MARK = ".partial-"
OWNER, PLAN, ASIDE = ".owner", ".plan", ".aside"
"""In a stage, beside what is made there: the lock of its maker, the plan, and the folder of what was set aside."""
UNWRITTEN = "nothing was written"
"""Noted on an interrupt that came before anything was moved to its place."""
GRACE = 600.0
"""Seconds after which a stage without a lock is nobody's: its maker takes the lock at once."""


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to make a new file or folder at, which takes the place of `target` when the block ends without an error.

    Raises OSError where the folder of `target` cannot be written to.
    """
    with Stage(target) as stage:
        yield stage.path / target.name
        stage.commit()


class Stage:
    """A hidden folder `path` for what is to stand at `target` (made as path / target.name).

    With `names` the target is a folder, of which things of these names are made and replaced, whatever else it holds.
    Raises OSError where the stage cannot be made.
    """

    def __init__(self, target: Path, names: Sequence[str] | None = None) -> None:
        self.target, self.names = target, names
        inside = names is not None and target.is_dir()
        self.committed = False
        self._lock, self.path = _opened(target if inside else target.parent, target.name)

    def commit(self, retire: Sequence[str] = ()) -> list[str]:
        """Move what was made to its place, and take things called `retire` away from there; the names moved.

        If a move fails, or is interrupted, everything is put back as it was.
        """
        places = _places(self.target, self.names)
        made = {name: _identity(self.path / name) for name in places if os.path.lexists(self.path / name)}
        plan = Plan(made, [name for name in retire if name not in made])
        try:
            plan.write(self.path / PLAN)
            _carry_out(self.path, places, plan)
        except BaseException:
            # If that fails too, plan and stage stay, for `settle`.
            _put_back(self.path, places, plan)
            (self.path / PLAN).unlink(missing_ok=True)
            raise
        (self.path / PLAN).unlink()
        self.committed = True
        # What was there before, which an exchange has left under the names of what is new.
        _empty(self.path)
        return list(made)

    def close(self) -> None:
        """Remove the stage, and with it what was made and not moved."""
        try:
            with suppress(OSError):
                if not (self.path / PLAN).exists():
                    _empty(self.path)
        finally:
            self._lock.release()
        with suppress(OSError):
            _remove(self.path)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close()
        if isinstance(error, KeyboardInterrupt) and not self.committed and UNWRITTEN not in notes_of(error):
            error.add_note(UNWRITTEN)


def notes_of(error: BaseException) -> list[str]:
    """What has been noted on an exception on its way."""
    return list(getattr(error, "__notes__", []))


@dataclass(frozen=True)
class Plan:
    """What is to be moved to its place (name -> what tells it from what was there), and taken away."""

    made: Mapping[str, int]
    gone: Sequence[str]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps({"made": dict(self.made), "gone": list(self.gone)}), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Plan:
        """A plan; one that is not there, or not whole, was not begun."""
        try:
            plan = json.loads(path.read_text(encoding="utf-8"))
            return cls({name: int(identity) for name, identity in plan["made"].items()}, list(plan["gone"]))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls({}, [])


def settle(target: Path, names: Sequence[str] | None = None) -> None:
    """Finish, put back or remove what processes that are gone have left on their way to `target` (see `Stage`).

    Does nothing where there is nothing to do, or no leave to do it. The stage of a process that runs is not touched.
    """
    folders = [target.parent] if names is None else [target.parent, target]
    for folder in folders:
        for stage in _stages(folder, target.name):
            _settle(stage, _places(target, names))


def settle_all(folder: Path) -> None:
    """`settle` for everything that stands, or is to stand, in a folder."""
    for name in {stage.name[1:].rpartition(MARK)[0] for stage in _stages(folder)}:
        settle(folder / name)


# -- stages


def _opened(parent: Path, name: str) -> tuple[BaseFileLock, Path]:
    """A new stage, and its lock."""
    while True:
        stage = parent / f".{name}{MARK}{secrets.token_hex(4)}"
        stage.mkdir()
        try:
            lock = hold(stage / OWNER)
            if (stage / OWNER).exists():
                return lock, stage
            lock.release()
        except (Taken, FileNotFoundError):
            # Another process looked whether the stage had an owner before it had one.
            continue
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            raise


def _stages(folder: Path, name: str = "") -> list[Path]:
    """The stages of a name in a folder, or all of them; folders themselves, not links to such."""
    begin = f".{name}{MARK}" if name else "."
    try:
        with os.scandir(folder) as entries:
            found = [e.name for e in entries if e.name.startswith(begin) and MARK in e.name and _is_folder(e)]
    except OSError:
        return []
    return [folder / each for each in sorted(found) if not name or MARK not in each.removeprefix(begin)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _settle(stage: Path, places: Mapping[str, Path]) -> None:
    with suppress(OSError):
        if not (stage / OWNER).exists():
            if time.time() - stage.stat().st_mtime > GRACE:
                _empty(stage)
                _remove(stage)
            return
        try:
            lock = hold(stage / OWNER)
        except Taken:
            return
        try:
            plan = Plan.read(stage / PLAN)
            if not {*plan.made, *plan.gone} <= places.keys():  # of a folder of things, and this is about one
                return
            _carry_out(stage, places, plan)
            for name in plan.made:
                if os.path.lexists(stage / ASIDE / name) and not os.path.lexists(places[name]):
                    (stage / ASIDE / name).rename(places[name])
            _empty(stage)
        finally:
            lock.release()
        _remove(stage)


def _empty(stage: Path) -> None:
    """Take everything out of a stage but its lock."""
    for each in stage.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each, ignore_errors=True)
        elif each.name != OWNER:
            with suppress(OSError):
                each.unlink()


def _remove(stage: Path) -> None:
    """Remove an empty stage, whose lock has been given back: Windows deletes no file that is open."""
    if [each.name for each in stage.iterdir()] in ([OWNER], []):
        (stage / OWNER).unlink(missing_ok=True)
        stage.rmdir()


# -- moving


def _places(target: Path, names: Sequence[str] | None) -> dict[str, Path]:
    """Where what stands in a stage belongs. Names come from the program, never from the disk."""
    return {target.name: target} if names is None else {name: target / name for name in names}


def _identity(path: Path) -> int:
    """What tells a thing that was made from one that took its name in an exchange."""
    return path.lstat().st_ino


def _carry_out(stage: Path, places: Mapping[str, Path], plan: Plan) -> None:
    """Take away what is to go and move what was made, as far as that is not done yet."""
    for name in plan.gone:
        if os.path.lexists(places[name]):
            places[name].rename(_aside(stage, name))
    for name, identity in plan.made.items():
        new, place = stage / name, places[name]
        if not _is(new, identity):
            continue
        if not os.path.lexists(place):
            new.rename(place)
        elif exchange(new, place):
            continue
        elif len(places) == 1 and not _any_folder(new, place):
            new.replace(place)
        else:
            place.rename(_aside(stage, name))
            new.rename(place)


def _put_back(stage: Path, places: Mapping[str, Path], plan: Plan) -> None:
    """Undo `_carry_out`, however far it went."""
    for name, identity in plan.made.items():
        new, place = stage / name, places[name]
        if not _is(place, identity):
            continue
        if os.path.lexists(new):
            if not exchange(new, place):
                raise OSError(errno.EIO, "what was replaced cannot be put back", str(place))
        elif len(places) > 1 or os.path.lexists(stage / ASIDE / name):
            place.rename(new)
    for name in (*plan.made, *plan.gone):
        if os.path.lexists(stage / ASIDE / name):
            (stage / ASIDE / name).rename(places[name])


def _is(path: Path, identity: int) -> bool:
    return os.path.lexists(path) and _identity(path) == identity


def _any_folder(*paths: Path) -> bool:
    return any(stat.S_ISDIR(path.lstat().st_mode) for path in paths)


def _aside(stage: Path, name: str) -> Path:
    (stage / ASIDE).mkdir(exist_ok=True)
    return stage / ASIDE / name


AT_FDCWD, RENAME_EXCHANGE, RENAME_SWAP = -100, 2, 2


def exchange(one: Path, other: Path) -> bool:
    """Exchange what two names stand for, in one act; False, and nothing is changed, where the system cannot.

    renameat2 of Linux, renamex_np of macOS: of both the file systems that people use know it, and some others do not.
    """
    if sys.platform == "win32":
        return False
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        libc = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return bool(libc.renamex_np(first, second, ctypes.c_uint(RENAME_SWAP)) == 0)
        return bool(libc.renameat2(AT_FDCWD, first, AT_FDCWD, second, ctypes.c_uint(RENAME_EXCHANGE)) == 0)
    except (AttributeError, OSError):  # a C library without the call
        return False
