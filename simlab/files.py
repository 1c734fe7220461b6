"""Outputs that appear whole or not at all, and never over something that exists unless told so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from simlab.errors import InputError
from simlab.replacing import Stage, replacing, settle

__all__ = ["ResultsFolder", "fresh_file", "writing"]


@contextmanager
def fresh_file(path: Path, force: bool) -> Iterator[Path]:
    """A path beside `path` to write to, of the same name, moved there when the block ends without an error."""
    settle(path)
    if path.is_dir():
        raise InputError(" is a folder; give the name of a file.", path)
    if path.exists() and not force:
        raise InputError(" exists; choose another name, or replace it with --force.", path)
    if not path.parent.is_dir():
        raise InputError(" is not a folder; create it first.", path.parent)
    try:
        with replacing(path) as partial, writing(partial.parent, path.parent):
            yield partial
    except OSError as error:  # of the move
        raise _refusal(path.parent, error) from None


class ResultsFolder:
    """The folder of a run: opened before the run, so that what cannot be written is refused before any work.

    Everything is made in the hidden folder `stage` and moved to the target by `commit`. A target that exists and is not
    empty is refused unless `force`; even then only the names in `owned` are replaced, whatever else it holds stays.
    """

    def __init__(self, target: Path, owned: tuple[str, ...], force: bool) -> None:
        settle(target, owned)
        if target.exists() and not target.is_dir():
            raise InputError(" is a file; give the name of a folder.", target)
        if not force and target.is_dir() and any(target.iterdir()):
            raise InputError(" exists; choose another folder with -o, or replace its results with --force.", target)
        self.target = target
        self.owned = owned
        self._made_parents: list[Path] = []
        try:
            self._make_parents()
            self._stage = Stage(target, owned)
        except BaseException as error:
            self._remove_parents()
            if not isinstance(error, OSError):
                raise
            raise _refusal(self._existing(), error) from None

    @property
    def stage(self) -> Path:
        """Where everything is made."""
        return self._stage.path

    def __enter__(self) -> ResultsFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._stage.__exit__(kind, error, trace)
        if not self._stage.committed:
            self._remove_parents()

    def commit(self) -> list[str]:
        """Move everything made so far to the target. Returns the names.

        The first time what an earlier run left there goes. If a move fails, the target is put back as it was.
        """
        new = not self.target.exists()
        self.target.mkdir(exist_ok=True)
        try:
            return self._stage.commit(() if self._stage.committed else self.owned)
        except BaseException:
            if new:
                with suppress(OSError):
                    self.target.rmdir()
            raise

    @contextmanager
    def drawing(self, what: str) -> Iterator[None]:
        """A block that makes pictures, `what`, of numbers that are committed: whatever befalls it, those stay.

        A failure is an InputError that says where they are, an interrupt is told it.
        """
        try:
            yield
        except KeyboardInterrupt as error:
            error.add_note(f"{what} not drawn, the results are in {self.target}")
            raise
        except Exception as error:  # of whatever kind Matplotlib's may be
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
            reason = reason.rstrip(".").replace(str(self.stage), str(self.target))
            raise InputError(f"{what} could not be drawn ({reason}); the results are in {self.target}.") from None

    def _existing(self) -> Path:
        """The nearest folder of the target that there is."""
        return next(path for path in (self.target.absolute(), *self.target.absolute().parents) if path.exists())

    def _make_parents(self) -> None:
        nearest = self._existing()
        if not nearest.is_dir():
            raise InputError(f" is a file, so {self.target} cannot be a folder in it; choose another with -o.", nearest)
        missing = [path for path in self.target.absolute().parents if not path.exists()]
        for path in reversed(missing):
            path.mkdir()
            self._made_parents.append(path)

    def _remove_parents(self) -> None:
        with suppress(OSError):
            for path in reversed(self._made_parents):
                path.rmdir()


@contextmanager
def writing(stage: Path, target: Path) -> Iterator[None]:
    """A block that writes to `stage`: its refusals name the folder that the user named, not the hidden one."""
    try:
        yield
    except InputError as error:
        named = Path(error.field)
        if not named.is_relative_to(stage):
            raise
        raise InputError(error.said, target / named.relative_to(stage)) from None
    except OSError as error:
        raise _refusal(target, error) from None


def _refusal(target: Path, error: OSError) -> InputError:
    return InputError(f" cannot be written to ({error.strerror or error}); choose another folder with -o.", target)
