"""A sweep on disk: one directory of zarr v3 arrays with the swept parameters as dimensions, and the ledger.

    STORE/zarr.json, risk/, status/, schedule.peak/, ..   what xarray.open_zarr(STORE) opens
    STORE/ledger.sqlite                                    what became of every cell
    STORE/.lock                                            held by the process that writes

Every array has one chunk for each block of cells, written whole or not at all. Opening a store runs no code: there is
no pickle in it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
import zarr

from simlab._version import __version__
from simlab.errors import InputError
from simlab.locks import Taken, hold
from simlab.replacing import settle
from simlab.sweeps.blocks import Blocks
from simlab.sweeps.compute import Computed
from simlab.sweeps.declare import FORMAT, METADATA, attributes_of, declaration_digest, declare, intact, seal_of
from simlab.sweeps.ledger import Ledger, digest_of
from simlab.sweeps.plan import Schema, Sweep
from simlab.sweeps.schema import STATUS

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from simlab.sweeps.ledger import Call, Row

__all__ = ["FORMAT", "LEDGER", "LOCK", "Store"]

LEDGER, LOCK = "ledger.sqlite", ".lock"


class Store:
    """A store open for reading, or (by `Store.writing`) for writing.

    `document` is what the sweep was asked for, `dims` its dimensions, `blocks` how its cells are cut into chunks.
    """

    def __init__(self, path: str | os.PathLike[str], exclusive: bool = False) -> None:
        self.path = Path(path)
        settle(self.path)
        attributes = attributes_of(self.path)
        if attributes is None:
            raise InputError(f"{self.path} is no store of a sweep; give the folder that simlab sweep wrote.")
        _refuse_format(self.path, attributes)
        self.attributes: dict[str, Any] = attributes
        try:
            self.version: str = attributes["simlab_version"]
            self.document: dict[str, Any] = json.loads(attributes["sweep"])
            self.dims: dict[str, int] = dict(attributes["dims"])
            self.blocks = Blocks(list(self.dims.values()), attributes["block_shape"])
            self.variables: list[str] = list(attributes["variables"])
        except (TypeError, ValueError):
            raise InputError(f"{self.path} is damaged ({METADATA}); run simlab sweep again to mend it.") from None
        self._arrays: dict[str, zarr.Array[Any]] = {}
        there = (self.path / LEDGER).exists()
        self.ledger = Ledger(self.path / LEDGER, mend=exclusive) if exclusive or there else None

    def close(self) -> None:
        """Close the ledger."""
        if self.ledger is not None:
            self.ledger.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        """The number of cells."""
        return int(np.prod(list(self.dims.values()), dtype=np.int64))

    # -- writing

    @classmethod
    @contextmanager
    def writing(cls, path: str | os.PathLike[str], sweep: Sweep, schema: Schema) -> Iterator[Store]:
        """The store of `sweep` at `path`, made if it is not there, held by this process alone.

        Raises InputError where there is something else, another sweep, a sweep of another version, or another process
        that writes.
        """
        target = Path(path)
        settle(target)
        try:
            if not _usable(target):
                raise InputError(f"{target} exists and is no store of a sweep; choose another place with -o.")
            target.mkdir(parents=True, exist_ok=True)
            lock = _locked(target)
        except OSError as error:
            raise _unwritable(target, error) from None
        try:
            _refuse_others(target, sweep)
            try:
                # What a process that was killed within a write has left.
                for left in target.rglob("*.partial"):
                    left.unlink()
                if not intact(target):
                    declare(target, sweep, schema)
            except OSError as error:
                raise _unwritable(target, error) from None
            with cls(target, exclusive=True) as store:
                yield store
        finally:
            lock.release()

    @classmethod
    @contextmanager
    def holding(cls, path: str | os.PathLike[str]) -> Iterator[Store]:
        """A store that is there, held by this process alone."""
        target = Path(path)
        cls(target).close()
        lock = _locked(target)
        try:
            with cls(target, exclusive=True) as store:
                yield store
        finally:
            lock.release()

    def put(self, block: int, computed: Computed) -> None:
        """Write the arrays of a block, then enter it in the ledger: from then on it counts as done."""
        assert self.ledger is not None
        region = self.blocks.region(block)
        shape = tuple(part.stop - part.start for part in region)
        for name, values in computed.arrays.items():
            self.array(name)[region] = values.reshape(*shape, *values.shape[1:])
        self.ledger.keep(block, self.digest(block), computed.rows, computed.calls)

    def note(self, rows: list[Row], calls: list[Call]) -> None:
        """Enter cells that were not finished."""
        assert self.ledger is not None
        self.ledger.keep(-1, "", rows, calls)

    def array(self, name: str) -> zarr.Array[Any]:
        """A variable as a zarr array."""
        if name not in self._arrays:
            self._arrays[name] = zarr.open_array(self.path / name, mode="r+", zarr_format=3)
        return self._arrays[name]

    # -- verifying

    def chunks(self, block: int) -> list[Path]:
        """The files of a block, one for each variable."""
        place = self.blocks.place(block)
        out = []
        for name in self.variables:
            array = self.array(name)
            key = array.metadata.encode_chunk_key((*place, *(0,) * (array.ndim - len(place))))
            out.append(self.path / name / key)
        return out

    def digest(self, block: int) -> str:
        """SHA-256 of the chunks of a block; one that is not there (it would hold nothing but NaN) is empty."""
        digest = hashlib.sha256()
        for path in self.chunks(block):
            with suppress(FileNotFoundError):
                digest.update(path.read_bytes())
            digest.update(b"|")
        return digest.hexdigest()

    def altered(self) -> list[str]:
        """Arrays that are not declared as the store was made, and the group's own file if it is not as it was."""
        digests = self.attributes["metadata"]
        names = [
            name for name, digest in digests.items() if declaration_digest(self.path, name, self.variables) != digest
        ]
        return names if self.attributes["seal"] == seal_of(self.path) else [*names, METADATA]

    def verified(self, sweep: Sweep | None = None) -> tuple[set[int], set[int]]:
        """(blocks whose data and ledger entries agree with their digests, blocks of the ledger that do not).

        With `sweep` they have to be those of its cells as well.
        """
        assert self.ledger is not None
        good: set[int] = set()
        entered = {block: digests for block, digests in self.ledger.blocks().items() if 0 <= block < len(self.blocks)}
        for block, (data, digest) in entered.items():
            rows = self.ledger.of(self.blocks.cells(block).tolist())
            ours = sweep is None or all(row.fingerprint == sweep.fingerprint(row.cell) for row in rows)
            if ours and self.digest(block) == data and digest_of(block, rows) == digest:
                good.add(block)
        return good, entered.keys() - good

    # -- reading

    def dataset(self) -> xr.Dataset:
        """All of it as xarray sees it, loaded when used; `status` as words."""
        data = xr.open_zarr(self.path, zarr_format=3, chunks=None)
        words = np.array(STATUS)[data["status"].values]
        out: xr.Dataset = data.assign(status=(data["status"].dims, words))
        return out


# -- identity


def _usable(target: Path) -> bool:
    """Whether there is nothing at this place, or a store."""
    if not target.exists():
        return True
    there = (target / LOCK).exists() or attributes_of(target) is not None
    return target.is_dir() and (there or not any(target.iterdir()))


def _refuse_others(target: Path, sweep: Sweep) -> None:
    """Never mix two sweeps, or what two versions have computed. Raises InputError, and changes nothing."""
    attributes = attributes_of(target)
    if attributes is not None:
        _refuse_format(target, attributes)
    if attributes is not None and attributes["seal"] == seal_of(target):
        difference = _first_difference(json.loads(attributes["sweep"]), sweep.document)
        if difference:
            raise InputError(f"{target} holds another sweep: {difference}; choose another place with -o.")
        version = attributes["simlab_version"]
        if _minor(version) != _minor(__version__):
            raise InputError(
                f"{target} was written by simlab {version}, this is {__version__}; choose another place with -o, or "
                f"use that version."
            )
    elif not _has_cells_of(target / LEDGER, sweep):
        raise InputError(
            f"{target} is damaged ({METADATA}) and its ledger is that of another sweep; choose another place with -o."
        )


def _has_cells_of(ledger: Path, sweep: Sweep) -> bool:
    """Whether a ledger is of this sweep, as far as it can be read: of a damaged declaration it has to say."""
    if not ledger.exists():
        return True
    try:
        with closing(Ledger(ledger, mend=False)) as there:
            rows = there.rows()
    except InputError:
        return True
    return not rows or any(row.fingerprint == sweep.fingerprint(row.cell) for row in rows if row.cell < sweep.size)


def _refuse_format(target: Path, attributes: Mapping[str, Any]) -> None:
    if attributes["simlab_format"] != FORMAT:
        raise InputError(
            f"{target} has format {attributes['simlab_format']}, this simlab reads {FORMAT}; use the version that "
            f"wrote it ({attributes['simlab_version']})."
        )


def _unwritable(target: Path, error: OSError) -> InputError:
    return InputError(f"{target} cannot be written to ({error.strerror or error}); choose another place with -o.")


def _first_difference(old: Any, new: Any, path: str = "") -> str:
    """Where two documents differ first, in words; empty where they do not."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            where = f"{path}.{key}" if path else str(key)
            if key not in old or key not in new:
                there, here = ("nothing", "something") if key not in old else ("something", "nothing")
                return f"{where} is {there} there and {here} here"
            found = _first_difference(old[key], new[key], where)
            if found:
                return found
        return ""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return next((found for j, (a, b) in pairs if (found := _first_difference(a, b, f"{path}[{j}]"))), "")
    return "" if old == new else f"{path} is {_brief(old)} there and {_brief(new)} here"


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _locked(target: Path) -> BaseFileLock:
    """The lock of a store; the system gives it back when the process ends, however."""
    try:
        return hold(target / LOCK)
    except Taken as taken:
        raise InputError(
            f"{target} is being written by another process{f' ({taken.holder})' if taken.holder else ''}; wait for it, "
            f"or choose another place with -o."
        ) from None
