"""Cells and what they are made of, each made once: cells differ in few parameters, and share the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any

from simlab.experiment.compare import runs_of
from simlab.experiment.families import Family
from simlab.experiment.schedule import Asked, asks, build_schedule
from simlab.experiment.tables import Table
from simlab.methods import Method
from simlab.schedules import Schedule
from simlab.subspaces import Subspaces

__all__ = ["Builder", "Cell", "Representatives"]

KEPT = 50_000
"""Methods, or settings, kept for the second time they are asked for (they are checked before they run): 150 MB."""

Runs = dict[str, Method]
Key = tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """One run of a sweep: its number in the order of the dimensions, and what makes it.

    problem, engine : equal for cells that share a problem, or the arguments of the sampler.
    """

    number: int
    tree: Table
    problem: Key
    engine: Key
    method: Method

    @property
    def call(self) -> tuple[Key, Key, int]:
        """Equal for cells that one call of the engine may compute."""
        return self.problem, self.engine, self.method.length


class Builder:
    """Makes what cells are made of from their tables, and remembers it."""

    def __init__(self, folder: Path, family: Family) -> None:
        self.folder, self.family = folder, family
        self._schedules: dict[str, Schedule] = {}
        self._runs: dict[Key, Runs] = {}
        self._sources: dict[Key, Any] = {}
        self._compressed: dict[Key, Any] = {}
        self._lock = RLock()

    # -- methods

    def methods(self, tree: Table, key: Key) -> Runs:
        """The labelled methods of the tables of a cell; `key` is equal for cells that share them."""
        if key not in self._runs:
            if len(self._runs) >= KEPT:
                self._runs.clear()
            self._runs[key] = runs_of(tree, self.folder, partial(self._schedule, tree))
        return self._runs[key]

    def _schedule(self, tree: Table, table: Table, path: str) -> Schedule:
        key = json.dumps([table, tree["problem"] if asks(table) else None])
        if key not in self._schedules:
            if len(self._schedules) >= KEPT:
                self._schedules.clear()
            self._schedules[key] = build_schedule(table, path, self.folder, self._asked(tree))
        return self._schedules[key]

    def _asked(self, tree: Table) -> Asked:
        def source() -> Any:
            return self.family.source(tree["problem"], self.folder)

        return Asked(lambda: self.family.eigenvalues(source()), lambda: self.family.modal(source()))

    # -- problems

    def source(self, tree: Table, key: Key) -> Any:
        """The problem of a cell as it is before any compression; `key` is equal for cells that share it."""
        with self._lock:
            if key in self._sources:
                return self._sources[key]
            # One at a time: neighbouring cells share it, and a long spectrum is large.
            made = self.family.source(tree["problem"], self.folder)
            self._sources = {key: made}
            return made

    def problem(self, tree: Table, key: Key, partition: Subspaces, methods: Callable[[], list[Method]]) -> Any:
        """The problem of a cell, compressed if its table says so for all of `methods`."""
        with self._lock:  # it takes a second: one thread does it, the others wait
            if key in self._compressed:
                return self._compressed[key]
            source = self.source(tree, key)
            made = self.family.problem(source, tree["problem"], partition, methods)
            if made is not source:
                self._compressed[key] = made
            return made


class Representatives:
    """Which cells of each problem stand for all of them where its spectrum is compressed.

    Of methods of one kind and length those with the smallest and the largest peak learning rate, and entries of M, b
    and c halfway, do: the functions of the eigenvalue that a run sums depend on these, and hardly on the shape of the
    schedule. And one cell for every partition into subspaces does, for no node may straddle a boundary of any.
    """

    def __init__(self) -> None:
        self._kept: dict[Key, dict[str, tuple[float, int]]] = {}

    def note(self, problem: Key, number: int, method: Method) -> None:
        """Take note that `method` runs on this problem in the cell `number`."""
        kept = self._kept.setdefault(problem, {})
        kind = " ".join(type(each).__name__ for each in method.layers())
        numbers = [method.learning_rate.peak()]
        if method.linear and method.state_size > 1:
            middle = method.length // 2
            for entries in method.coefficients(middle, middle + 1):
                numbers += entries[0].ravel().tolist()
        for j, value in enumerate(numbers):
            low, high = (f"{kind} {method.length} {j} {end}" for end in ("low", "high"))
            if low not in kept or value < kept[low][0]:
                kept[low] = (value, number)
            if high not in kept or value > kept[high][0]:
                kept[high] = (value, number)

    def divide(self, problem: Key, number: int, ranges: str) -> None:
        """Take note that the cell `number` is the first of its problem with this partition into subspaces."""
        self._kept.setdefault(problem, {}).setdefault(ranges, (0.0, number))

    def numbers(self, problem: Key) -> list[int]:
        """The cells that stand for all of this problem."""
        return sorted({number for _, number in self._kept[problem].values()})
