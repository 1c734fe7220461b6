"""A sweep with more values on its axes takes over the cells of the store that it grew from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from simlab.arrays import IntArray
from simlab.errors import InputError
from simlab.experiment.families.base import Array
from simlab.reading import Folder
from simlab.replacing import replacing, settle
from simlab.sweeps.plan.kept import FILL, labels, variables
from simlab.sweeps.plan.sweep import Sweep
from simlab.sweeps.records import Row
from simlab.sweeps.store.declare import declare
from simlab.sweeps.store.identity import LOCK, METADATA, attributes_of, minor_of
from simlab.sweeps.store.store import Store

__all__ = ["extend"]

LISTED = ("component", "subspace", "quantile")
"""Labels of what is kept of a cell, which old cells have to share with new ones."""


def extend(path: str | PathLike[str], sweep: Sweep) -> bool:
    """Put a store of `sweep` in the place of one whose cells are among those of it; whether there was one.

    Cells keep their bits. The new store is made beside the old one, with every cell that was finished and verified; a
    block of which some cells are missing is entered as far as it goes. Nothing is changed where the store at `target`
    is that of this sweep, or of none that it extends. Raises InputError where cells would be kept by other labels,
    and where the place cannot be written to.
    """
    target = Path(path)
    try:
        settle(target)
        attributes = attributes_of(Folder(target).read(METADATA)) if target.is_dir() else None
    except OSError:  # who opens it says why
        return False
    if attributes is None or minor_of(str(attributes["simlab_version"])) != minor_of():
        return False
    places = None
    with suppress(ValueError, LookupError, TypeError, AttributeError):  # of an altered file, which opening it tells of
        places = _places(json.loads(attributes["sweep"]), sweep.document)
    if places is None:
        return False
    try:
        with replacing(target) as stage:
            _grown(target, sweep, places, stage)
    except OSError as error:
        raise InputError(
            f"{target} cannot be written to ({error.strerror or error}); choose another place with -o."
        ) from None
    return True


def _grown(target: Path, sweep: Sweep, places: list[IntArray], stage: Path) -> None:
    """The store of `sweep` with the cells of the one at `target`, made at `stage`.

    The old one is let go of again before it is replaced: Windows moves no folder of which a file is open.
    """
    with Store.holding(target) as old:
        _refuse_other_labels(old, sweep)
        stage.mkdir()
        (stage / LOCK).touch()
        declare(stage, sweep)
        with Store(stage, exclusive=True) as new:
            new.ledger.declare(new.declaration())
            _carry(old, new, sweep, _numbers(old, new, places))


def _places(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[IntArray] | None:
    """On every axis, where the old values stand among the new; None where this is no larger sweep of the same kind."""
    same = all(old.get(key) == new.get(key) for key in ("experiment", "runs", "files"))
    ours, theirs = new["axes"], old["axes"]
    if not same or ours == theirs or [_shape(axis) for axis in ours] != [_shape(axis) for axis in theirs]:
        return None
    places = []
    for mine, other in zip(ours, theirs, strict=True):
        at = {point: j for j, point in enumerate(_points(mine))}
        found = [at.get(point, -1) for point in _points(other)]
        if -1 in found:
            return None
        places.append(np.array(found, dtype=np.int64))
    return places


def _shape(axis: Mapping[str, Any]) -> tuple[str, list[str]]:
    return axis["name"], sorted(axis["fields"])


def _points(axis: Mapping[str, Any]) -> list[str]:
    fields = [values for _, values in sorted(axis["fields"].items())]
    return [json.dumps(point, sort_keys=True) for point in zip(*fields, strict=True)]


def _numbers(old: Store, new: Store, places: list[IntArray]) -> IntArray:
    """(old cells,) : the number that each has in the new store."""
    runs = [np.arange(size) for size in list(old.dims.values())[len(places) :]]
    where = np.meshgrid(*places, *runs, indexing="ij")
    numbers: IntArray = np.ravel_multi_index(where, tuple(new.dims.values())).ravel().astype(np.int64)
    return numbers


def _refuse_other_labels(old: Store, sweep: Sweep) -> None:
    """InputError where the new values change by what labels, or in how many numbers, a cell is kept."""
    ours = labels(sweep)
    data = old.dataset()
    for name in LISTED:
        here = ours[name][1].tolist() if name in ours else []
        there = data[name].values.tolist() if name in data.coords else []
        if here != there:
            raise InputError(
                f"{old.path} holds another sweep: the new values change its {name}s (now {', '.join(map(str, here))}); "
                f"choose another place with -o."
            )


def _carry(old: Store, new: Store, sweep: Sweep, numbers: IntArray) -> None:
    """Write the cells of the old store that are good into the new one, and enter them in its ledger."""
    good = sorted(old.verified()[0])
    rows: dict[int, Row] = {}
    source = np.full(new.size, -1, dtype=np.int64)
    for row in (row for block in good for row in old.finished(block)):
        number = int(numbers[row.cell])
        if row.fingerprint == sweep.fingerprint(number):
            rows[number], source[number] = replace(row, cell=number), row.cell
    blocks = [block for block in range(len(new.blocks)) if np.any(source[new.blocks.cells(block)] >= 0)]
    for name, (_, sizes, dtype) in variables(sweep).items():
        values = np.full((old.size, *sizes), FILL[dtype], dtype)
        for block in good:
            part = _part(old, name, block)
            # With room for more records.
            corner: tuple[Any, ...] = (old.blocks.cells(block), *(slice(0, n) for n in part.shape[1:]))
            values[corner] = part
        array = new.array(name)
        for block in blocks:
            of, region = source[new.blocks.cells(block)], new.blocks.region(block)
            part = np.where((of >= 0).reshape(-1, *(1 for _ in sizes)), values[of], FILL[dtype]).astype(dtype)
            array[region] = part.reshape(*(each.stop - each.start for each in region), *sizes)
    held = [[rows[n] for n in new.blocks.cells(block).tolist() if n in rows] for block in blocks]
    new.ledger.adopt(
        old.ledger.calls(), [(block, new.digest(block), part) for block, part in zip(blocks, held, strict=True)]
    )


def _part(old: Store, name: str, block: int) -> Array:
    """A variable of the cells of a block, (cells, ...); the steps of each, where all runs had the same."""
    if name in old.variables:
        return old.flat(name, old.blocks.region(block))
    steps = old.dataset()["step"].values
    return np.broadcast_to(steps, (old.blocks.cells(block).size, steps.size))
