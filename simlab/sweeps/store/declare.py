"""How a store is declared: its arrays and labels, and the digests that tell whether they are as they were made."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr

from simlab._version import __version__
from simlab.experiment.families.base import STATUS
from simlab.reading import Folder, digest_of_bytes
from simlab.sweeps.plan.kept import FILL, bytes_per_cell, labels, variables
from simlab.sweeps.plan.sweep import Sweep
from simlab.sweeps.store.blocks import block_shape
from simlab.sweeps.store.identity import FORMAT, IDENTITY, METADATA, identity

__all__ = ["declaration", "declare", "declare_group"]


def declare(target: Path, sweep: Sweep) -> None:
    """Declare the arrays; the group's own file comes last, so that a store is there or is not.

    Chunks stay as they are, and the ledger says which of them are good: what is damaged costs no more than itself.
    """
    declared, coordinates, dims = variables(sweep), labels(sweep), sweep.grid.dims
    shape = block_shape(list(dims.values()), bytes_per_cell(sweep), sweep.checked.longest)
    for name in (*declared, *coordinates, "."):
        (target / name / METADATA).unlink(missing_ok=True)
    # What is no dimension by itself is a coordinate by this attribute (CF conventions, section 5).
    besides = " ".join(name for name, (dim, _) in coordinates.items() if name != dim)
    for name, (extra, sizes, dtype) in declared.items():
        units = sweep.family.units(name)
        attributes: dict[str, Any] = {"units": units} if units else {}
        if besides:
            attributes["coordinates"] = besides
        if name == "status":
            attributes |= {"flag_values": list(range(len(STATUS))), "flag_meanings": " ".join(STATUS)}
        zarr.create_array(
            target / name, shape=(*dims.values(), *sizes), chunks=(*shape, *(max(n, 1) for n in sizes)), dtype=dtype,
            fill_value=FILL[dtype], dimension_names=[*dims, *extra], attributes=attributes, zarr_format=3,
        )  # fmt: skip
    for name, (dim, values) in coordinates.items():
        array = zarr.create_array(
            target / name, shape=values.shape, chunks=(max(values.size, 1),),
            dtype=str if values.dtype.kind == "O" else values.dtype, dimension_names=[dim], zarr_format=3,
        )  # fmt: skip
        array[:] = values
    declare_group(
        target,
        {
            "simlab_format": FORMAT,
            "simlab_version": __version__,
            "dims": [[name, size] for name, size in dims.items()],
            "block_shape": list(shape),
            "variables": list(declared),
            "labels": list(coordinates),
            "sweep": json.dumps(sweep.document, sort_keys=True),
        },
    )


def declare_group(target: Path, attributes: Mapping[str, Any]) -> None:
    """Write the group over the arrays that are there: from then on the folder is a store."""
    zarr.create_group(target, zarr_format=3)
    with warnings.catch_warnings():
        # Consolidated metadata is zarr's own, not the specification's; without it readers would list the folder, and
        # remark upon the ledger. The ledger is not theirs, either way.
        warnings.simplefilter("ignore")
        group = zarr.consolidate_metadata(target, zarr_format=3)
    group.update_attributes(dict(attributes))


def declaration(folder: Folder, attributes: Mapping[str, Any]) -> dict[str, str]:
    """File -> digest of all that declares a store: the group, its arrays, and labels with their values.

    And under `IDENTITY` a digest of what the sweep is.
    """
    labels: list[str] = attributes["labels"]
    names = [METADATA, *(f"{name}/{METADATA}" for name in [*attributes["variables"], *labels])]
    names += [f"{name}/c/0" for name in labels]
    digests = {name: digest_of_bytes(folder.read(name)) for name in names}
    return {**digests, IDENTITY: identity(json.loads(attributes["sweep"]), attributes["simlab_version"])}
