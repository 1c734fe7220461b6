"""Locks between processes, which the system gives back when their holder ends, however that comes about."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["Taken", "hold"]


class Taken(Exception):
    """Somebody else holds the lock; `holder` is its process, where it could be read, or empty."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


def hold(path: Path) -> BaseFileLock:
    """The lock of the file `path`, which is made if it is not there; `release` gives it back.

    Raises Taken at once where it is held, by another process or elsewhere in this one, and OSError where the file
    cannot be made.
    """
    from filelock import FileLock, Timeout

    # Read before anything opens the file to lock it, which may empty it.
    holder = _holder(path)
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise Taken(holder) from None
    # Only to say who it is: where a lock forbids even its holder to write (Windows), nobody is told.
    with suppress(OSError):
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
    return lock


def _holder(path: Path) -> str:
    try:
        said = path.read_bytes()[:32].decode("ascii", errors="replace").strip()
    except OSError:
        return ""
    return said if said.isdigit() else ""
