"""Care of a store: what in it can be trusted, and fewer files for what is finished."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zarr

from simlab.errors import InputError
from simlab.replacing import replacing, settle
from simlab.sweeps.store.blocks import Blocks, shape_within
from simlab.sweeps.store.declare import declare_group
from simlab.sweeps.store.identity import LEDGER, LOCK
from simlab.sweeps.store.ledger import Ledger
from simlab.sweeps.store.store import Store

__all__ = ["Health", "check", "compact"]

MOST_BYTES = 32 << 20


@dataclass(frozen=True)
class Health:
    """What `check` found: cells in good order, damaged, and not there yet; files of the declaration that changed."""

    good: int
    damaged: int
    missing: int
    altered: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.good} cells verified, {self.damaged} damaged, {self.missing} not there yet"
        if self.altered:
            text += f"; {', '.join(self.altered)} altered"
        return text if not (self.damaged or self.altered) else f"{text}: simlab sweep computes them again"


def check(store: Store) -> Health:
    """Compare every file with the digest that the ledger holds of it; nothing is changed.

    Raises InputError for a store that is in order by its digests and cannot be read all the same.
    """
    good, bad = store.verified()
    sizes = [len(store.finished(block)) for block in sorted(good)]
    damaged = sum(store.blocks.cells(block).size for block in bad)
    altered = store.altered()
    if not damaged and not altered:
        store.finals()
    return Health(sum(sizes), damaged, store.size - sum(sizes) - damaged, tuple(altered))


def compact(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Rewrite a finished store in larger chunks and shrink its ledger; (files before, files after).

    Everything is verified first, made beside the store and put in its place. Raises InputError for a store that is not
    finished or not in order.
    """
    target = Path(path)
    settle(target)
    with Store.holding(target) as store:
        health = check(store)
        if health.good < store.size or health.altered:
            raise InputError(f"{target} is not finished or not in order ({health}); run simlab sweep first.")
        before, shape = _files(target), _larger(store)
    with replacing(target) as stage:
        # Let go of again before it is moved: Windows moves no folder of which a file is open.
        _remake(target, shape, stage)
    return before, _files(target)


def _files(folder: Path) -> int:
    return sum(1 for each in folder.rglob("*") if each.is_file())


def _larger(store: Store) -> tuple[int, ...]:
    """The shape of blocks of some 32 MB of the largest variable."""
    dims = list(store.dims.values())
    arrays = [store.array(name) for name in store.variables]
    bytes_per_cell = max(math.prod(array.shape[len(dims) :]) * array.dtype.itemsize for array in arrays)
    return shape_within(dims, MOST_BYTES // max(bytes_per_cell, 1))


def _remake(target: Path, shape: tuple[int, ...], stage: Path) -> None:
    """The same store with blocks of another shape, made at `stage`."""
    stage.mkdir()
    with Store.holding(target) as store:
        (stage / LOCK).touch()
        for name in store.labels:
            shutil.copytree(target / name, stage / name)
        for name in store.variables:
            _rechunk(store.array(name), stage / name, shape)
        declare_group(stage, {**store.attributes, "block_shape": list(shape)})
        shutil.copy(target / LEDGER, stage / LEDGER)
        with Store(stage, exclusive=True) as made:
            _enter(made, made.ledger)


def _rechunk(array: zarr.Array[Any], path: Path, shape: tuple[int, ...]) -> None:
    """A copy of an array with one chunk for each block, a block at a time."""
    dims = array.shape[: len(shape)]
    copy = zarr.create_array(
        path, shape=array.shape, chunks=(*shape, *array.chunks[len(shape) :]), dtype=array.dtype,
        fill_value=array.fill_value, dimension_names=array.metadata.dimension_names,  # type: ignore[union-attr]
        attributes=array.attrs.asdict(), zarr_format=3,
    )  # fmt: skip
    blocks = Blocks(dims, shape)
    for block in range(len(blocks)):
        region = blocks.region(block)
        copy[region] = array[region]


def _enter(made: Store, ledger: Ledger) -> None:
    """The new declaration and the new blocks, with the rows that the ledger has of their cells."""
    ledger.declare(made.declaration())
    ledger.replace_blocks(
        (block, made.digest(block), ledger.of(made.blocks.cells(block).tolist())) for block in range(len(made.blocks))
    )
    ledger.vacuum()
