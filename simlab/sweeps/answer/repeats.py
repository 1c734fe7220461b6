"""Risks of cells, and their means over repeats: a dimension of seeds tells runs apart that differ in nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from simlab.experiment.families import Family

__all__ = ["averaged", "is_repeat", "risk_of"]


def is_repeat(paths: Sequence[str]) -> bool:
    """Whether the parameters of a dimension make repeats of one cell."""
    return list(paths) == ["engine.seed"]


def risk_of(family: Family, data: xr.Dataset) -> xr.DataArray:
    """The value by which cells are compared: infinite where one diverged, NaN where it is not finished."""
    status = data["status"]
    # Infinite where it diverged, whatever the value it ended with.
    risk: xr.DataArray = family.whole(data).where(status != "diverged", np.inf).where(status.isin(["done", "diverged"]))
    return risk


def averaged(risk: xr.DataArray, data: xr.Dataset, dim: str) -> tuple[xr.DataArray, xr.DataArray, xr.Dataset]:
    """(mean risk over `dim`, its standard error, the means of all that the cells ended with).

    Over the repeats that are finished; infinite where one of them diverged. The error is that of a mean of n values,
    their standard deviation over sqrt(n), NaN below two.
    """
    finished = risk.notnull()
    count = finished.sum(dim)
    some = count.where(count > 0, 1)
    diverged: xr.DataArray = (risk == np.inf).any(dim)
    values = risk.where(np.isfinite(risk), 0.0)
    mean = values.sum(dim) / some
    squares = ((values - mean) ** 2).where(finished, 0.0).sum(dim)
    several = (count > 1) & ~diverged
    error: xr.DataArray = ((squares / (some * (some - 1)).where(several, 1)) ** 0.5).where(several)
    means: dict[str, xr.DataArray] = {}
    for name, variable in data.data_vars.items():
        if dim not in variable.dims or not str(name).startswith("final_"):
            continue
        own = variable.where(finished, 0.0)
        if str(name).endswith("_error"):
            means[str(name)] = (own**2).sum(dim) ** 0.5 / some
        else:
            # What is not there of any (padding) is not there of the mean.
            means[str(name)] = own.sum(dim, skipna=False) / some
    kept = data.drop_vars([name for name, variable in data.variables.items() if dim in variable.dims])
    return mean.where(~diverged, np.inf).where(count > 0), error, kept.assign(means)
