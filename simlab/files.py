"""Outputs that appear whole or not at all, and never over something that exists unless told so."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simlab.errors import InputError

__all__ = ["ResultsFolder", "fresh_file", "writing"]


@contextmanager
def fresh_file(path: Path, force: bool) -> Iterator[Path]:
    """A path beside `path` to write to, of the same suffix, moved there when the block ends without an error."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file.")
    if path.exists() and not force:
        raise InputError(f"{path} exists; choose another name, or replace it with --force.")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a folder; create it first.")
    folder = _stage(path.parent, path.stem)
    try:
        partial = folder / path.name
        with writing(folder, path.parent):
            yield partial
            partial.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class ResultsFolder:
    """The folder of a run: opened before the run, so that what cannot be written is refused before any work.

    Everything is made in the hidden folder `stage` beside the target and moved there by `commit`. A target that exists
    and is not empty is refused unless `force`; even then only the names in `owned` are replaced, whatever else it holds
    stays.
    """

    def __init__(self, target: Path, owned: tuple[str, ...], force: bool) -> None:
        if target.exists() and not target.is_dir():
            raise InputError(f"{target} is a file; give the name of a folder.")
        if not force and target.is_dir() and any(target.iterdir()):
            raise InputError(f"{target} exists; choose another folder with -o, or replace its results with --force.")
        self.target = target
        self.owned = owned
        ancestor = target.absolute()
        while not ancestor.exists():
            ancestor = ancestor.parent
        if not ancestor.is_dir():
            raise InputError(f"{ancestor} is a file, so {target} cannot be a folder in it; choose another with -o.")
        self.stage = _stage(ancestor, target.name)

    def __enter__(self) -> ResultsFolder:
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self.stage, ignore_errors=True)

    def commit(self) -> list[str]:
        """Move everything to the target, in the place of what an earlier run left there. Returns the names.

        If that fails half-way, the target is put back as it was.
        """
        self.target.mkdir(parents=True, exist_ok=True)
        made = [name for name in self.owned if (self.stage / name).exists()]
        undo: list[tuple[Path, Path]] = []
        try:
            for name in self.owned:
                if (self.target / name).exists():
                    _move(self.target / name, self.stage / f"old-{name}", undo)
            for name in made:
                _move(self.stage / name, self.target / name, undo)
        except BaseException:
            for source, destination in reversed(undo):
                destination.replace(source)
            raise
        return made


def _move(source: Path, destination: Path, undo: list[tuple[Path, Path]]) -> None:
    source.replace(destination)
    undo.append((source, destination))


@contextmanager
def writing(stage: Path, target: Path) -> Iterator[None]:
    """A block that writes to `stage`: its refusals name the folder that the user named, not the hidden one."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace(str(stage), str(target))) from None
    except OSError as error:
        what = error.strerror or str(error)
        raise InputError(f"{target} cannot be written to ({what}); choose another folder with -o.") from None


def _stage(parent: Path, name: str) -> Path:
    """A new hidden folder for half-written things; InputError where nothing can be written."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{name}.partial-", dir=parent))
    except OSError as error:
        raise InputError(f"{parent} cannot be written to ({error.strerror}); choose another folder with -o.") from None
    # mkdtemp makes folders that only their owner may read; what is moved out of here must not inherit that.
    folder.chmod(0o777 & ~_umask())
    return folder


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
