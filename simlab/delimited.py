"""Delimited text as programs and people write it: semicolons, tabs, quotes, decimal commas, byte-order marks."""

from __future__ import annotations

import codecs
import csv
import io
import math
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from simlab.errors import InputError, brief

__all__ = ["Rows", "read_rows", "text_of"]

DELIMITERS = (";", "\t", ",")
"""In order of trust: a semicolon or a tab in the first line is no accident, a comma may be that of a number."""


@dataclass(frozen=True)
class Rows:
    """The rows of a file that hold anything: (number of the line, cells without blanks around), all as wide as the
    first.
    """

    path: Path
    delimiter: str
    rows: list[tuple[int, list[str]]]

    def number(self, text: str) -> float:
        """The number that a cell holds, NaN where it holds none; a comma is a point unless commas part the cells."""
        try:
            return float(text if self.delimiter == "," else text.replace(",", "."))
        except ValueError:
            return math.nan


def read_rows(path: str | PathLike[str]) -> Rows:
    """The rows of a csv file in UTF-8 (or UTF-16 with its mark), the delimiter found out by the first line.

    Rows that are shorter than the first are filled up with empty cells. Raises `InputError` for a file that cannot be
    read, is no text or holds a row of more cells than the first: decimal commas between commas, as a rule.
    """
    text = text_of(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = next((d for d in DELIMITERS if len(next(csv.reader([first[:100_000]], delimiter=d), [])) > 1), ",")
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            row = [cell.strip() for cell in cells]
            if any(row):
                rows.append((reader.line_num, row))
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: {error}; give a file of short cells.") from None
    width = len(rows[0][1]) if rows else 0
    for line, row in rows:
        if any(row[width:]):
            raise InputError(
                f"{path} line {line} has {len(row)} cells where the first row has {width}; write decimals with a "
                "point, or part the cells by semicolons."
            )
        row[width:] = []
        row += [""] * (width - len(row))
    return Rows(Path(path), delimiter, rows)


def text_of(path: str | PathLike[str]) -> str:
    """The text of a file in UTF-8, or in what its byte-order mark says, or an InputError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{brief(str(path))} cannot be read ({error.strerror}); give the path of a file.") from None
    except (TypeError, ValueError):  # what is no path, and a path with a NUL
        raise InputError(f"{brief(path)} is not the name of a file; give the path of a file.") from None
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8; give a file of text.") from None
