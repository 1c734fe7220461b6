"""Text in files is of variable length, which zarr's specification and NetCDF know; that of NumPy is of fixed length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["with_text"]


def with_text(dataset: xr.Dataset, kind: type = object) -> xr.Dataset:
    """The same dataset with all of its text stored as `kind`: object (variable length), or str (fixed)."""
    text: dict[Any, Any] = {
        name: (variable.dims, variable.values.astype(object).astype(kind), variable.attrs)
        for name, variable in dataset.variables.items()
        if variable.dtype.kind in "UTO"
    }
    labels = {name: text.pop(name) for name in list(text) if name in dataset.coords}
    return dataset.assign_coords(labels).assign(text)
