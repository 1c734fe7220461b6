"""The cells of a sweep by number: index arithmetic, labels, and which parameters of a cell a refusal is about."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from simlab.errors import InputError
from simlab.experiment.compare import carried
from simlab.experiment.families.base import Array
from simlab.experiment.tables import Table
from simlab.sweeps.plan.axes import Address, Axis, assign, check_cells, parse_path

__all__ = ["Grid"]

T = TypeVar("T")


@dataclass(frozen=True)
class Grid:
    """All combinations of the values of `axes`, and in each the labelled `runs` of [compare], if there are any.

    Cells are numbered with the last dimension fastest. Raises InputError where there are too many.
    """

    axes: list[Axis]
    runs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_cells(self.dims)

    @cached_property
    def dims(self) -> dict[str, int]:
        """Name -> size of every dimension, in the order of the cells."""
        sizes = {axis.name: axis.size for axis in self.axes}
        return {**sizes, "run": len(self.runs)} if self.runs else sizes

    @cached_property
    def size(self) -> int:
        """The number of cells."""
        return math.prod(self.dims.values())

    def split(self, number: int) -> tuple[int, int]:
        """(combination of the axes, run) of a cell."""
        return divmod(number, max(len(self.runs), 1))

    def place(self, combination: int) -> list[int]:
        """The index on every axis."""
        where = []
        for axis in reversed(self.axes):
            combination, j = divmod(combination, axis.size)
            where.append(j)
        return where[::-1]

    # -- what is at a place

    def values(self, combination: int) -> dict[str, Any]:
        """Path -> value of a combination of the axes."""
        places = zip(self.axes, self.place(combination), strict=True)
        return {path: values[j] for axis, j in places for path, values in axis.fields.items()}

    def said(self, number: int) -> list[list[str]]:
        """Of a cell, what is said of its place on every dimension."""
        combination, run = self.split(number)
        places = zip(self.axes, self.place(combination), strict=True)
        said = [[f"{path}={values[j]}" for path, values in axis.fields.items()] for axis, j in places]
        return [*said, [f"run={self.runs[run]}"]] if self.runs else said

    def spoken(self, number: int) -> str:
        """A cell as a sentence names it."""
        return ", ".join(word for words in self.said(number) for word in words)

    def tree(self, base: Table, combination: int) -> Table:
        """The tables of the experiment of a combination: `base` with its values assigned."""
        tree, where = base, self.place(combination)
        for parts, axis, values in self._assignments:
            value = values[where[axis]]
            if parts in (("schedule", "kind"), ("method", "kind")):
                tree = {**tree, parts[0]: carried(str(parts[0]), tree.get(str(parts[0]), {}), value)}
            else:
                tree = assign(tree, parts, value)
        return tree

    def key(self, combination: int, roots: Container[str]) -> tuple[int, ...]:
        """Equal for combinations that differ in nothing below these tables."""
        where = self.place(combination)
        return tuple(where[axis] for parts, axis, _ in self._assignments if parts[0] in roots)

    @cached_property
    def _assignments(self) -> list[tuple[Address, int, list[Any]]]:
        """(address, number of the axis, values) of every field, whole tables before the parameters in them, and kinds
        first: a new kind starts from its own defaults, which other axes may then change.
        """
        fields = [
            (parse_path(path), j, values) for j, axis in enumerate(self.axes) for path, values in axis.fields.items()
        ]
        return sorted(fields, key=lambda field: (len(field[0]), field[0][-1] != "kind"))

    def labels(self) -> dict[str, tuple[str, Array]]:
        """Name -> (dimension, values) of all that labels the cells."""
        out: dict[str, tuple[str, Array]] = {}
        for axis in self.axes:
            out.update({path: (axis.name, _labels(values)) for path, values in axis.fields.items()})
            out.setdefault(axis.name, (axis.name, np.arange(axis.size)))
        if self.runs:
            out["run"] = ("run", np.array(self.runs, dtype=object))
        return out

    # -- refusals

    def named(self, number: int, make: Callable[[int], T]) -> T:
        """make(number); of a refusal, which of the parameters of that cell it is about."""
        try:
            return make(number)
        except InputError as error:
            about = self._about(number, make, str(error))
            cell = f" (in the cell {', '.join(about)})" if about else ""
            raise InputError(error.said + cell, error.field) from None

    def _about(self, number: int, make: Callable[[int], Any], refusal: str) -> list[str]:
        """The parameters of a cell without whose values it would not be refused with these words.

        Some other values of each are tried in their place; of an axis of one value there is none, and the words decide.
        """
        sizes, about = list(self.dims.values()), []
        where = [int(j) for j in np.unravel_index(number, sizes)]
        for axis, (size, j, said) in enumerate(zip(sizes, where, self.said(number), strict=True)):
            others = sorted({0, max(j - 1, 0), min(j + 1, size - 1), size - 1} - {j})
            stride = math.prod(sizes[axis + 1 :])
            if others and all(_refusal(make, number + (other - j) * stride) == refusal for other in others):
                continue
            if others or any(text.partition("=")[0].rpartition(".")[2] in refusal for text in said):
                about += said
        return about


def _refusal(make: Callable[[int], Any], number: int) -> str:
    """The words with which a cell is refused; empty where it is not."""
    try:
        make(number)
    except InputError as error:
        return str(error)
    return ""


def _labels(values: list[Any]) -> Array:
    """Numbers as numbers, words as words, and all else (lists, tables) as JSON."""
    if all(isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63 for value in values):
        return np.array(values, dtype=np.int64)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return np.array(values, dtype=np.float64)
    words = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return np.array(words, dtype=object)
