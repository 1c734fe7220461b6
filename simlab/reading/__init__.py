"""The one door for files that are read back: stores, traces, checkpoints, kept figures.

What lies in a folder may be damaged, or a stranger's. So names are single path components, links are not followed, what
is no plain file is not opened, nothing is read before its size is known, and whatever a library throws over the
contents becomes one sentence that names the file and the remedy.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from simlab.errors import InputError

__all__ = ["ABSENT", "Folder", "check_component", "digest_of_bytes", "opened", "refuse_links", "understood"]

MOST_BYTES = 4 << 30
"""Of one file; a block of a sweep has some 8 MB, of a compacted one 32 MB for each variable."""

ABSENT = "-"
"""Stands for the digest of a file that is not there."""

# O_NONBLOCK: to open a pipe would wait for its other end.
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def check_component(name: object, where: object) -> str:
    """`name`, if it names a file or folder right below another, or an InputError: no path, no "..", no drive."""
    plain = isinstance(name, str) and 0 < len(name) <= 255 and name not in (".", "..")
    if not plain or set("/\\:\0") & set(str(name)):
        raise InputError(
            f"{where} names {str(name)[:60]!r}, which is no name of a file in it; take it from its maker anew."
        )
    return str(name)


def digest_of_bytes(content: bytes | None) -> str:
    """SHA-256 in hexadecimal; `ABSENT` for None."""
    return ABSENT if content is None else hashlib.sha256(content).hexdigest()


@contextmanager
def opened(path: str | os.PathLike[str], most: int = MOST_BYTES) -> Iterator[BinaryIO]:
    """A plain file, open for reading, of at most so many bytes.

    Raises FileNotFoundError where there is none, InputError for a link, a folder, a device or what is larger.
    """
    path = Path(path)
    _refuse_special(path, path.lstat(), most)
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        _refuse_special(path, os.fstat(file.fileno()), most)
        yield file


def _refuse_special(path: Path, found: os.stat_result, most: int) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise InputError(f"{path} is a link, and links are not followed; put the file itself there.")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} is no plain file; put the file itself there.")
    if found.st_size > most:
        raise InputError(f"{path} has {found.st_size} bytes, and at most {most} are read; it is not what was written.")


class Folder:
    """The files below a folder, which may itself be given as a link; nothing in it may be one."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._plain: set[str] = set()

    def read(self, name: str) -> bytes | None:
        """The contents of the file `name` ("risk/c/0/1"); None where there is none.

        Raises InputError for a name that leads elsewhere and for anything that is no plain file in plain folders.
        """
        *parents, last = [check_component(part, self.root) for part in name.split("/")]
        below = ""
        for part in parents:
            below += f"{part}/"
            if not self._is_plain(below):
                return None
        try:
            with opened(self.root / below / last) as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _is_plain(self, below: str) -> bool:
        """Whether there is such a folder; each is looked at once."""
        if below not in self._plain:
            place = self.root / below
            try:
                mode = place.lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                return False
            if stat.S_ISLNK(mode):
                raise InputError(f"{place} is a link, and links are not followed; put the folder itself there.")
            if not stat.S_ISDIR(mode):
                return False
            self._plain.add(below)
        return True


def refuse_links(root: Path) -> list[Path]:
    """All files below a folder; InputError where something in it is a link, a device or a pipe."""
    found: list[Path] = []
    waiting = [root]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                    continue
                if not entry.is_file(follow_symlinks=False):
                    what = "a link, and links are not followed" if entry.is_symlink() else "no plain file"
                    raise InputError(f"{entry.path} is {what}; remove it.")
                found.append(Path(entry.path))
    return found


@contextmanager
def understood(what: object, remedy: str, kind: str = "") -> Iterator[None]:
    """A block that reads `what`, as a `kind`: all that is thrown over its contents becomes one InputError."""
    as_kind = kind and f" as {kind}"
    try:
        yield
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{what} cannot be read{as_kind} (it does not fit into memory); {remedy}.") from None
    except OSError as error:
        raise InputError(f"{what} cannot be read{as_kind} ({error.strerror or _line(error)}); {remedy}.") from None
    except Exception as error:  # zarr, numcodecs, zipfile, json, sqlite, pandas raise of every kind
        raise InputError(f"{what} cannot be read{as_kind} ({_line(error)}); {remedy}.") from None


def _line(error: Exception) -> str:
    """What an exception says, on one line, and of which kind it is where that is little."""
    said = " ".join(str(error).split())[:160].rstrip(". ")
    return said if " " in said else f"{type(error).__name__} {said}".rstrip()
