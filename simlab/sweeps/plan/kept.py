"""What is kept of every cell of a sweep, and the labels of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.experiment.families.base import Array, Declared
from simlab.sweeps.plan.sweep import Sweep

__all__ = ["FILL", "bytes_per_cell", "labels", "variables"]

FILL: dict[str, Any] = {"float64": float("nan"), "int64": -1, "uint8": 0}
"""By dtype, what stands where nothing is."""


def variables(sweep: Sweep) -> Declared:
    """Variable -> (dimensions beyond those of the cells, their sizes, dtype)."""
    schema = sweep.validate()
    out = {**sweep.family.variables(schema), "ended_at": ((), (), "int64"), "status": ((), (), "uint8")}
    if len(schema.steps) > 1:
        out["step"] = (("record",), (schema.records,), "int64")
    return out


def bytes_per_cell(sweep: Sweep) -> int:
    """Of all variables, before compression."""
    return sum(
        int(np.prod(sizes, dtype=np.int64)) * np.dtype(dtype).itemsize for _, sizes, dtype in variables(sweep).values()
    )


def labels(sweep: Sweep) -> dict[str, tuple[str, Array]]:
    """Name -> (dimension, values) of every label of the cells and of what is kept of them."""
    schema, out = sweep.validate(), sweep.grid.labels()
    for name, words in (("component", schema.components), ("subspace", schema.subspaces)):
        if words:
            out[name] = (name, np.array(words, dtype=object))
    if len(schema.steps) == 1:
        out["step"] = ("step", next(iter(schema.steps.values())))
    if schema.sampled:
        out["quantile"] = ("quantile", np.array(schema.quantiles, dtype=np.float64))
    return out
