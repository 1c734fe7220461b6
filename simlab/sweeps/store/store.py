"""A sweep on disk: one directory of zarr v3 arrays with the swept parameters as dimensions, and the ledger.

    STORE/zarr.json, risk/, status/, schedule.peak/, ..   what xarray.open_zarr(STORE) opens
    STORE/ledger.sqlite                                    what became of every cell
    STORE/.lock                                            held by the process that writes

Every array has one chunk for each block of cells, written whole or not at all. Opening a store runs no code: there is
no pickle in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
import zarr

from simlab.errors import InputError
from simlab.experiment.families.base import STATUS, Array
from simlab.locks import Taken, hold
from simlab.reading import ABSENT, Folder, check_component, digest_of_bytes, refuse_links, understood
from simlab.replacing import settle
from simlab.sweeps.plan.sweep import Sweep
from simlab.sweeps.records import Call, Computed, Row
from simlab.sweeps.store.blocks import Blocks
from simlab.sweeps.store.declare import declaration, declare
from simlab.sweeps.store.identity import LEDGER, LOCK, METADATA, attributes_of, refuse_format, refuse_others, usable
from simlab.sweeps.store.labelled import check_labelled, consolidated, sizes
from simlab.sweeps.store.ledger import Ledger, digest_of

if TYPE_CHECKING:
    from filelock import BaseFileLock


__all__ = ["REMEDY", "Store"]

REMEDY = "see what simlab store check says, and mend it with simlab sweep"


class Store:
    """A store open for reading, or (by `Store.writing`) for writing.

    `document` is what the sweep was asked for, `dims` its dimensions, `blocks` how its cells are cut into chunks,
    `variables` what is kept of a cell, `labels` the arrays that are none.

    Whatever is read is compared with the digests that the ledger has, and refused with an InputError that names the
    file; a cell whose block the ledger does not have is not there yet.
    """

    def __init__(self, path: str | os.PathLike[str], exclusive: bool = False) -> None:
        self.path = Path(path)
        settle(self.path)
        self._folder = Folder(self.path)
        said = self._folder.read(METADATA)
        attributes = attributes_of(said)
        if attributes is None:
            if (self.path / LOCK).exists() or (self.path / LEDGER).exists():
                raise self._damage(METADATA)
            raise InputError(f"{self.path} is no store of a sweep; give the folder that simlab sweep wrote.")
        refuse_format(self.path, attributes)
        self.attributes: dict[str, Any] = attributes
        self.ledger = Ledger(self.path / LEDGER, mend=exclusive)
        try:
            self._declared = self.ledger.declared()
            # A writer has declared it just now, or found it in order.
            if not exclusive and self._declared.get(METADATA) != digest_of_bytes(said):
                raise self._damage(METADATA)
            self._parse(said or b"")
        except BaseException:
            self.ledger.close()
            raise
        self._arrays: dict[str, zarr.Array[Any]] = {}

    def _parse(self, said: bytes) -> None:
        """What the group's file says, checked: a stranger may have written both it and its digest."""
        attributes = self.attributes
        with understood(self.path / METADATA, "run simlab sweep again to mend it"):
            self.version: str = str(attributes["simlab_version"])
            self.document: dict[str, Any] = json.loads(attributes["sweep"])
            self.dims, shape = sizes(attributes["dims"], attributes["block_shape"])
            self.blocks = Blocks(list(self.dims.values()), shape)
            self.variables: list[str] = [check_component(name, self.path) for name in attributes["variables"]]
            self.labels: list[str] = [check_component(name, self.path) for name in attributes["labels"]]
            self._metadata = consolidated(said, [*self.variables, *self.labels])

    def close(self) -> None:
        """Close the ledger."""
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
    def writing(cls, path: str | os.PathLike[str], sweep: Sweep) -> Iterator[Store]:
        """The store of `sweep` at `path`, made if it is not there, held by this process alone.

        Raises InputError where there is something else, another sweep, a sweep of another version, or another process
        that writes.
        """
        target = Path(path)
        with ExitStack() as held:
            try:
                settle(target)
                if not usable(target):
                    raise InputError(f"{target} exists and is no store of a sweep; choose another place with -o.")
                target.mkdir(parents=True, exist_ok=True)
                held.callback(_locked(target).release)
                refuse_others(target, sweep)
                # What a process that was killed within a write has left.
                for left in refuse_links(target):
                    if left.name.endswith(".partial"):
                        left.unlink()
                if not _intact(target):
                    _declare(target, sweep)
            except OSError as error:
                raise InputError(
                    f"{target} cannot be written to ({error.strerror or error}); choose another place with -o."
                ) from None
            yield held.enter_context(cls(target, exclusive=True))

    @classmethod
    @contextmanager
    def holding(cls, path: str | os.PathLike[str]) -> Iterator[Store]:
        """A store that is there, held by this process alone."""
        target = Path(path)
        cls(target).close()
        with ExitStack() as held:
            held.callback(_locked(target).release)
            refuse_links(target)
            yield held.enter_context(cls(target, exclusive=True))

    def put(self, block: int, computed: Computed) -> None:
        """Write the arrays of a block, then enter it in the ledger: from then on it counts as done."""
        region = self.blocks.region(block)
        shape = tuple(part.stop - part.start for part in region)
        for name, values in computed.arrays.items():
            self.array(name)[region] = values.reshape(*shape, *values.shape[1:])
        self.ledger.keep(block, self.digest(block), computed.rows, computed.calls)

    def note(self, rows: list[Row], calls: list[Call]) -> None:
        """Enter cells that were not finished."""
        self.ledger.keep(-1, "", rows, calls)

    def array(self, name: str) -> zarr.Array[Any]:
        """A variable as a zarr array that can be written to."""
        if name not in self._arrays:
            self._arrays[name] = zarr.open_array(self.path / name, mode="r+", zarr_format=3)
        return self._arrays[name]

    # -- verifying

    def _damage(self, file: str) -> InputError:
        return InputError(
            f"{self.path} is damaged ({file} is not as it was written); see what simlab store check says, and mend it "
            f"with simlab sweep."
        )

    def chunks(self, block: int) -> list[Path]:
        """The files of a block, one for each variable."""
        return [self.path / key for key in self._keys(block)]

    def _keys(self, block: int) -> list[str]:
        place = "/".join(str(j) for j in self.blocks.place(block))
        beyond = {name: len(self._metadata[name]["shape"]) - len(self.dims) for name in self.variables}
        return [f"{name}/c/{place}{'/0' * beyond[name]}" for name in self.variables]

    def digest(self, block: int) -> str:
        """SHA-256 of the chunks of a block, one after the other; of one that holds nothing but NaN there is no file."""
        return " ".join(digest_of_bytes(self._folder.read(key)) for key in self._keys(block))

    def declaration(self) -> dict[str, str]:
        """File -> digest of all that declares the store, as it is now."""
        return declaration(self._folder, self.attributes)

    def altered(self) -> list[str]:
        """Files that declare the store and are not as they were made."""
        now = self.declaration()
        return sorted(name for name in now.keys() | self._declared.keys() if now.get(name) != self._declared.get(name))

    def verified(self, sweep: Sweep | None = None) -> tuple[set[int], set[int]]:
        """(blocks whose data and ledger entries agree with their digests, blocks of the ledger that do not).

        With `sweep` they have to be those of its cells as well. Of a block that a smaller sweep has left, some cells
        may be missing: see `finished`.
        """
        good: set[int] = set()
        entered = {block: digests for block, digests in self.ledger.blocks().items() if 0 <= block < len(self.blocks)}
        for block, (data, digest) in entered.items():
            rows = self.finished(block)
            ours = sweep is None or all(row.fingerprint == sweep.fingerprint(row.cell) for row in rows)
            if ours and self.digest(block) == data and digest_of(block, rows) == digest:
                good.add(block)
        return good, entered.keys() - good

    def finished(self, block: int) -> list[Row]:
        """The rows of the cells of a block that came to an end, in order."""
        return [row for row in self.ledger.of(self.blocks.cells(block).tolist()) if row.status != "interrupted"]

    def held(self, block: int) -> Computed:
        """What there is of a block that is not whole."""
        rows = [replace(row, call=-1) for row in self.finished(block)]
        cells, region = self.blocks.cells(block), self.blocks.region(block)
        at = np.searchsorted(cells, [row.cell for row in rows])
        arrays = {name: self.flat(name, region)[at] for name in self.variables}
        return Computed([row.cell for row in rows], arrays, rows, [])

    def flat(self, name: str, region: tuple[slice, ...]) -> Array:
        """A variable of the cells of a region, (cells, ...)."""
        values = np.asarray(self.array(name)[region])
        return values.reshape(-1, *values.shape[len(region) :])

    # -- reading

    def reading(self) -> AbstractContextManager[None]:
        """A block that loads data of this store: whatever is thrown over it becomes one refusal with the remedy."""
        return understood(self.path, REMEDY)

    def dataset(self) -> xr.Dataset:
        """All of it as xarray sees it, loaded and verified when used; `status` as words.

        Raises InputError that names the file where something is not as it was written, also when it is loaded.
        """
        from simlab.reading.arrays import FolderStore

        with self.reading():
            files = self._verified_files()
            for name, said in self._metadata.items():
                if json.loads(files(f"{name}/{METADATA}") or b"") != said:
                    raise self._damage(f"{name}/{METADATA}")
            source = FolderStore(self.path, files, self._metadata)
            data: xr.Dataset = xr.open_zarr(source, zarr_format=3, chunks=None, consolidated=True)
            check_labelled(data, self.document, self.dims, self.variables)
            words = np.array(STATUS)[data["status"].values]
            return data.assign(status=(data["status"].dims, words))

    def finals(self) -> xr.Dataset:
        """What it says of its cells, loaded and verified: labels, status, ended_at, and all final_ variables.

        Raises InputError where something is not as it was written.
        """
        with self.reading():
            data = self.dataset()
            kept = ("status", "ended_at")
            return data.drop_vars(
                [n for n in data.data_vars if n not in kept and not str(n).startswith("final_")]
            ).load()

    def _verified_files(self) -> Callable[[str], bytes | None]:
        """A reader of files of this store, key -> contents, which compares each with its digest as it is now."""
        blocks, grid = self.ledger.blocks(), self.blocks.grid
        if any(not 0 <= block < len(self.blocks) for block in blocks):
            raise self._damage(LEDGER)
        entered = {block: data.split(" ") for block, (data, _) in blocks.items()}
        if any(len(digests) != len(self.variables) for digests in entered.values()):
            raise self._damage(LEDGER)
        order = {name: j for j, name in enumerate(self.variables)}

        def wanted(key: str) -> str:
            """The digest of a file; that of one which is not there, for those that the ledger does not know."""
            if key in self._declared:
                return self._declared[key]
            name, _, place = key.partition("/c/")
            if name not in order or not place:
                return ABSENT
            block = int(np.ravel_multi_index([int(j) for j in place.split("/")[: len(grid)]], grid))
            return entered[block][order[name]] if block in entered else ABSENT

        def read(key: str) -> bytes | None:
            digest = wanted(key)
            content = None if digest == ABSENT else self._folder.read(key)
            if digest_of_bytes(content) != digest:
                raise self._damage(key)
            return content

        return read


def _intact(target: Path) -> bool:
    """Whether the store is declared in whole, as it was made, and can be read so."""
    try:
        with Store(target) as store:
            store.dataset()
            return not store.altered()
    except InputError:
        return False


def _declare(target: Path, sweep: Sweep) -> None:
    """Declare the arrays of a sweep, then enter the digests of what was written in the ledger."""
    declare(target, sweep)
    with Store(target, exclusive=True) as store:
        store.ledger.declare(store.declaration())


def _locked(target: Path) -> BaseFileLock:
    """The lock of a store; the system gives it back when the process ends, however."""
    try:
        return hold(target / LOCK)
    except Taken as taken:
        raise InputError(
            f"{target} is being written by another process{f' ({taken.holder})' if taken.holder else ''}; wait for it, "
            f"or choose another place with -o."
        ) from None
