"""The state of a run on disk: written whole or not at all, and never taken for that of another run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from simlab.errors import InputError

__all__ = ["Checkpoint"]


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

    def load(self) -> dict[str, npt.NDArray[Any]] | None:
        """The arrays saved last, or None where there are none yet."""
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise InputError(
                f"checkpoint {self.path} cannot be read ({error}); delete it to start from the beginning."
            ) from None
        if str(arrays.pop("fingerprint", "")) != self.fingerprint:
            raise InputError(
                f"checkpoint {self.path} holds the state of another run; give another folder, or delete it."
            )
        return arrays

    def save(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Replace what was saved."""
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, fingerprint=np.array(self.fingerprint), **arrays)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise self._refusal(error) from None

    def _refusal(self, error: OSError) -> InputError:
        return InputError(
            f"checkpoint {self.folder} cannot be written ({error.strerror or error}); choose a folder you may write to."
        )
