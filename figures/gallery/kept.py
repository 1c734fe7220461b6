"""Data of a figure as CSV files, one a table, read back as exactly what was written."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from simlab.figures.reproduction import Data

from simlab.reading import check_component, opened, understood

__all__ = ["Kinds", "read_tables", "write_tables"]

Kinds = dict[str, dict[str, str]]
"""Table -> column -> NumPy kind: what the text of a CSV file leaves open ("1" the number, or the word)."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def write_tables(data: Data, folder: Path) -> Kinds:
    """One CSV file for each table, numbers to their last digit; ValueError for what is no table."""
    kinds: Kinds = {}
    for name, table in data.items():
        if not _PLAIN.fullmatch(name):
            raise ValueError(f"table {name!r} cannot name a file; use letters, digits and underscores.")
        columns = {title: np.asarray(values) for title, values in table.items()}
        kinds[name] = {title: values.dtype.kind for title, values in columns.items()}
        _check(name, columns)
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            # tolist() gives Python's own numbers, whose repr has all digits.
            writer.writerows(zip(*(_words(values) for values in columns.values()), strict=True))
    return kinds


def read_tables(folder: Path, kinds: Kinds) -> dict[str, dict[str, npt.NDArray[np.generic]]]:
    """What `write_tables` wrote there; InputError for what is no such table."""
    out: dict[str, dict[str, npt.NDArray[np.generic]]] = {}
    for name, columns in kinds.items():
        check_component(f"{name}.csv", folder)
        path = folder / f"{name}.csv"
        with understood(path, "make the figure again"), opened(path) as file:
            text = io.StringIO(file.read().decode("utf-8"), newline="")
            _, *rows = list(csv.reader(text))
            out[name] = {t: _column([row[j] for row in rows], kind) for j, (t, kind) in enumerate(columns.items())}
    return out


def _check(name: str, columns: Mapping[str, npt.NDArray[np.generic]]) -> None:
    shapes = {title: values.shape for title, values in columns.items()}
    if not shapes:
        raise ValueError(f"table {name!r} has no column.")
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise ValueError(f"table {name!r} needs columns of one length, not {shapes}.")
    bad = [title for title, values in columns.items() if values.dtype.kind not in "biufU"]
    if bad:
        raise ValueError(f"table {name!r}: column {bad[0]!r} holds neither numbers nor words.")


def _words(values: npt.NDArray[np.generic]) -> list[str]:
    return [value if isinstance(value, str) else repr(value) for value in values.tolist()]


def _column(words: list[str], kind: str) -> npt.NDArray[np.generic]:
    if kind == "b":
        return np.array([word == "True" for word in words], dtype=np.bool_)
    if kind in "iu":
        return np.array([int(word) for word in words], dtype=np.int64 if kind == "i" else np.uint64)
    return np.array(words, dtype=np.float64 if kind == "f" else np.str_)
