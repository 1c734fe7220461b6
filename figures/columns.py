"""Tables of many curves in one: columns of equal length, one row a point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["first", "stack"]


def stack(parts: Iterable[Mapping[str, Any]]) -> dict[str, npt.NDArray[Any]]:
    """The rows of all parts below one another; in each part, numbers and words are repeated to its longest column."""
    columns: dict[str, list[npt.NDArray[Any]]] = {}
    for part in parts:
        arrays = {name: np.atleast_1d(np.asarray(values)) for name, values in part.items()}
        length = max(array.size for array in arrays.values())
        for name, array in arrays.items():
            columns.setdefault(name, []).append(np.broadcast_to(array, (length,)))
    return {name: np.concatenate(pieces) for name, pieces in columns.items()}


def first(values: npt.ArrayLike) -> list[Any]:
    """Distinct values in the order of their first appearance."""
    return list(dict.fromkeys(np.asarray(values).tolist()))
