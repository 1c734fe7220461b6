"""A spectrum from a file: columns of numbers in text, csv, npy or npz."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from simlab.arrays import FloatArray
from simlab.delimited import read_rows, text_of
from simlab.errors import InputError, brief, unknown_name

__all__ = ["read_spectrum"]

KINDS = (".txt", ".dat", ".csv", ".tsv", ".npy", ".npz")
Columns = dict[str, FloatArray]


def read_spectrum(path: Path, column: str | int | None, weight: str | int | None) -> tuple[FloatArray, Any]:
    """(eigenvalues, weights or None), (n,) each: the columns of these names or numbers (from 0; the first by default).

    A npz has arrays for columns. Raises InputError that names the file, the line and the remedy.
    """
    suffix = path.suffix.lower()
    if suffix not in KINDS:
        raise InputError(
            f" = {brief(str(path))} ends in none of {', '.join(KINDS)}; give a file of such a kind.", "path"
        )
    if suffix in (".npy", ".npz"):
        columns = _arrays(path)
    else:
        columns = _from_csv(path) if suffix in (".csv", ".tsv") else _from_text(path)
    values = columns[_name(columns, 0 if column is None else column, "column", path)]
    return values, None if weight is None else columns[_name(columns, weight, "weight", path)]


def _name(columns: Columns, wanted: str | int, field: str, path: Path) -> str:
    names = list(columns)
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        if not -len(names) <= wanted < len(names):
            raise InputError(f" = {wanted} is no column of {path.name}; give one from 0 to {len(names) - 1}.", field)
        return names[wanted]
    if wanted not in columns:
        raise unknown_name(f"{field} (columns of {path.name})", wanted, names)
    return str(wanted)


def _arrays(path: Path) -> Columns:
    try:
        with path.open("rb"):
            pass
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            matrix = np.atleast_2d(loaded.T)
            return {str(j): np.asarray(row, dtype=np.float64) for j, row in enumerate(matrix)}
        with loaded as archive:
            return {name: np.asarray(archive[name], dtype=np.float64).ravel() for name in archive.files}
    except OSError as error:
        raise InputError(
            f" = {brief(str(path))} cannot be read ({error.strerror or error}); give a file of numbers.", "path"
        ) from None
    except (ValueError, TypeError, EOFError, KeyError, BadZipFile, NotImplementedError, MemoryError, zlib.error):
        raise InputError(
            f" = {brief(str(path))} holds no arrays of numbers; give one written by numpy.save or savez.", "path"
        ) from None


def _from_csv(path: Path) -> Columns:
    table = read_rows(path)
    if not table.rows:
        raise InputError(f" = {brief(str(path))} is empty; give a file with rows of numbers.", "path")
    first = table.rows[0][1]
    bare = all(math.isfinite(table.number(cell)) for cell in first)
    header = [str(j) for j in range(len(first))] if bare else first
    rows = table.rows if bare else table.rows[1:]
    matrix = np.array([[table.number(cell) for cell in cells] for _, cells in rows]).reshape(len(rows), len(header))
    return {name: _finite(matrix[:, j], [line for line, _ in rows], path, name) for j, name in enumerate(header)}


def _from_text(path: Path) -> Columns:
    """Numbers parted by blanks or commas, as numpy.savetxt writes them; # begins a comment."""
    rows: list[list[float]] = []
    lines: list[int] = []
    for line, text in enumerate(text_of(path).splitlines(), 1):
        cells = text.partition("#")[0].replace(",", " ").split()
        if not cells:
            continue
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            raise InputError(f"{path} line {line}: {brief(text.strip())} is no row of numbers; correct it.") from None
        if rows and len(row) != len(rows[0]):
            raise InputError(f"{path} line {line} has {len(row)} numbers where the first row has {len(rows[0])}.")
        rows.append(row)
        lines.append(line)
    if not rows:
        raise InputError(f" = {brief(str(path))} is empty; give a file with rows of numbers.", "path")
    matrix = np.array(rows)
    return {str(j): _finite(matrix[:, j], lines, path, str(j)) for j in range(matrix.shape[1])}


def _finite(values: FloatArray, lines: list[int], path: Path, name: str) -> FloatArray:
    """A column of finite numbers; one of words, which nobody may want, is NaN throughout and refused when taken."""
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size and bad.size < values.size:
        raise InputError(f"{path} line {lines[bad[0]]} has no number in its column {brief(name)}; correct that row.")
    return values
