"""The state of a run on disk: written whole or not at all, and never taken for that of another run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab._version import __version__
from simlab.errors import InputError
from simlab.methods.base import Method
from simlab.reading import opened

__all__ = ["Checkpoint", "fingerprint"]

CHUNK = 65_536


class Checkpoint:
    """One file `name`.npz in a folder, with the fingerprint of the run whose state it is.

    A file appears under its name only when it is complete and on the disk, so that a process killed at any moment
    leaves either the state before or the state after. Raises InputError where the folder cannot be used, or holds the
    state of another run.
    """

    def __init__(self, folder: str | os.PathLike[str], name: str, fingerprint: str) -> None:
        self.folder, self.fingerprint = Path(folder), fingerprint
        self.path = self.folder / f"{name}.npz"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._refusal(error) from None
        # What processes killed within a save have left. One that still lives loses that save and nothing else.
        for left in self.folder.glob(f"{name}.*.partial"):
            with suppress(OSError):
                left.unlink()

    def load(self) -> dict[str, npt.NDArray[Any]] | None:
        """The arrays saved last, or None where there are none yet."""
        try:
            # Opened here: NumPy leaves a file that it cannot read open.
            with opened(self.path) as file, np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except FileNotFoundError:
            return None
        except InputError as error:
            raise InputError(f" {error}", "checkpoint") from None
        except Exception as error:  # zipfile and NumPy raise of every kind over a damaged file
            raise self._damage(error) from None
        whose, *names = np.atleast_1d(arrays.pop("fingerprint", np.array(""))).tolist()
        if whose != self.fingerprint:
            raise InputError(
                f" {self.path} holds the state of another run; give another folder, or delete it (to prolong a run, "
                f"keep= its last state and start= from there).",
                "checkpoint",
            )
        if set(names) != arrays.keys():
            raise self._damage("it is not complete")
        return arrays

    def save(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Replace what was saved."""
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, fingerprint=np.array([self.fingerprint, *arrays]), **arrays)
                file.flush()
                os.fsync(file.fileno())
            # Gone if this run was started a second time meanwhile: what was saved before stands, the next save follows.
            with suppress(FileNotFoundError):
                partial.replace(self.path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise self._refusal(error) from None

    def _damage(self, reason: object) -> InputError:
        return InputError(
            f" {self.path} cannot be read ({reason}); delete it to start from the beginning.", "checkpoint"
        )

    def _refusal(self, error: OSError) -> InputError:
        return InputError(
            f" {self.folder} cannot be written ({error.strerror or error}); choose a folder you may write to.",
            "checkpoint",
        )


def fingerprint(facts: list[Any], parts: Iterable[npt.ArrayLike | bytes], method: Method, begin: int = 0) -> str:
    """A digest of all that the bits of a run from step `begin` on depend on: JSON-able facts, arrays or bytes, and the
    method's numbers.
    """
    digest = hashlib.sha256(json.dumps([__version__, method.length, *facts]).encode())
    for part in (*parts, method.z0):
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    for start in range(begin, method.length, CHUNK):
        stop = min(start + CHUNK, method.length)
        for array in (*method.numbers(start, stop), method.batches(start, stop)):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
