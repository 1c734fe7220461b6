"""Whether what a store declares fits together: its dimensions, labels and variables, before an answer relies on it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from simlab.experiment.families import family_of
from simlab.reading import check_component
from simlab.sweeps.plan.axes import MOST_CELLS

__all__ = ["check_labelled", "consolidated", "sizes"]


def sizes(dims: Any, block_shape: Any) -> tuple[dict[str, int], list[int]]:
    """(dimension -> size, shape of a block), or ValueError where these are no sizes of a sweep and its blocks."""
    whole = {str(name): size for name, size in dims}
    counts = [*whole.values(), *block_shape]
    if len(whole) != len(block_shape) or not all(type(size) is int and size > 0 for size in counts):
        raise ValueError("its dimensions are no sizes")
    if math.prod(whole.values()) > MOST_CELLS:
        raise ValueError(f"it has more than {MOST_CELLS} cells")
    return whole, list(block_shape)


def consolidated(said: bytes, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Name -> metadata of every array, from the contents of the group's file.

    Raises ValueError where these are not arrays of the given names, whole numbers in their shapes.
    """
    metadata: dict[str, dict[str, Any]] = json.loads(said)["consolidated_metadata"]["metadata"]
    if metadata.keys() != set(names):
        raise ValueError("its arrays are not those that it names")
    for name, array in metadata.items():
        check_component(name, "zarr.json")
        if array["node_type"] != "array" or not all(isinstance(size, int) for size in array["shape"]):
            raise ValueError(f"{name} is no array")
    return metadata


def check_labelled(
    data: xr.Dataset, document: Mapping[str, Any], dims: Mapping[str, int], variables: Sequence[str]
) -> None:
    """Raise ValueError where variables do not have the dimensions of the cells, or those no labels."""
    for name in variables:
        if name not in data or data[name].dims[: len(dims)] != tuple(dims):
            raise ValueError(f"{name} is not labelled by {', '.join(dims)}")
    if {name: data.sizes[name] for name in dims} != dict(dims) or data["status"].dims != tuple(dims):
        raise ValueError("its cells are not as many as it says")
    if data["status"].dtype != "uint8" or data["ended_at"].dtype.kind != "i" or data["ended_at"].dims != tuple(dims):
        raise ValueError("status or ended_at are not what they should be")
    axes = {str(axis["name"]): list(axis["fields"]) for axis in document["axes"]}
    if list(dims) != [*axes, *(["run"] if document["runs"] else [])]:
        raise ValueError("its dimensions are not those of the sweep")
    for dim, fields in axes.items():
        for path in fields:
            if path not in data.coords or data[path].dims != (dim,):
                raise ValueError(f"{path} is no label of {dim}")
    for name in ("run", "component", "subspace", "quantile"):
        if name in data.dims and (name not in data.coords or not data.indexes[name].is_unique):
            raise ValueError(f"{name} has no labels of its own")
    if any(name not in data for name in family_of(document["experiment"]).needed):
        raise ValueError("it holds no final risk")
