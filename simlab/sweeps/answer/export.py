"""A store as one table for other programs: a row for each cell, with the final risk by component and subspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simlab.errors import InputError, unknown_name
from simlab.experiment.families import family_of
from simlab.extras import install
from simlab.files import fresh_file
from simlab.sweeps.answer.best import risk_of
from simlab.sweeps.store.store import Store
from simlab.trace.text import with_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "export", "frame"]

FORMATS = (".csv", ".parquet", ".nc")


def frame(store: Store) -> pd.DataFrame:
    """One row for each cell: the swept parameters, status, ended_at, risk, and the parts of the final risk.

    Columns of the parts are called "variance 1-32", by component and subspace. Of river valleys `loss` stands in the
    place of risk, and its parts are "river_loss", "hill_loss 1-32", "river" (the coordinate), with errors of samples.
    """
    import pandas as pd

    data = store.finals()
    fields = {axis["name"]: list(axis["fields"]) for axis in store.document["axes"]}
    where = np.unravel_index(np.arange(store.size), list(store.dims.values()))
    columns: dict[str, object] = {}
    for dim, indices in zip(store.dims, where, strict=True):
        for path in fields.get(dim, [dim]):
            columns[path] = data[path].values[indices]
    for name in ("status", "ended_at"):
        columns[name] = data[name].transpose(*store.dims).values.ravel()
    family = family_of(store.document["experiment"])
    columns[family.risk] = risk_of(family, data).transpose(*store.dims).values.ravel()
    return pd.DataFrame(columns | family.columns(data, list(store.dims)))


def export(store: Store, path: Path, force: bool = False) -> None:
    """Write the store as csv or parquet (see `frame`), or with all recorded steps as NetCDF, by the suffix of `path`.

    Raises InputError for another suffix, where the format's package is missing, and where the file exists.
    """
    if path.suffix not in FORMATS:
        raise unknown_name("format (suffix of the file)", path.suffix, FORMATS)
    with fresh_file(path, force) as partial:
        try:
            if path.suffix == ".nc":
                with store.reading():
                    data = store.dataset().load()
                data = with_text(data)
                data.attrs = {k: v for k, v in data.attrs.items() if k in ("simlab_format", "simlab_version", "sweep")}
                data.to_netcdf(partial, engine="h5netcdf")
            elif path.suffix == ".csv":
                frame(store).to_csv(partial, index=False)
            else:
                frame(store).to_parquet(partial, index=False)
        except ImportError:
            extra = "netcdf" if path.suffix == ".nc" else "parquet"
            raise InputError(f"{path} needs more packages; {install(extra)}, or choose a .csv file.") from None
