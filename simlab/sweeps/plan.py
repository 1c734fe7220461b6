"""What a sweep is, before any of it runs: its cells, the experiment of each, and what is kept of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab._version import __version__
from simlab.engines.arguments import check_counters
from simlab.errors import InputError
from simlab.experiment.compare import carried
from simlab.experiment.document import Experiment, canonical
from simlab.experiment.engine import Setting
from simlab.experiment.families import Family, family_of
from simlab.experiment.families.base import Outcome, Schema, Tick
from simlab.experiment.method import METHODS
from simlab.experiment.schedule import SCHEDULES
from simlab.experiment.tables import Table, kind_of, plain, within
from simlab.methods import Method
from simlab.sweeps.axes import Axis, assign, axes_of, check_cells, parse_path, refuse_twice
from simlab.sweeps.axes import Path as Path_
from simlab.sweeps.build import Builder, Extremes
from simlab.trace.recording import record_steps

__all__ = ["Cell", "Schema", "Sweep"]

IntArray = npt.NDArray[np.int64]

RECORDS = 20
"""Steps kept of every run where [record] does not say."""

PROBLEM_ONLY = ("problem",)
ENGINE_ONLY = ("engine",)
METHODS_ONLY = ("schedule", "method", "compare")
ROOTS_OF_METHODS = (*METHODS_ONLY, *PROBLEM_ONLY)

KINDS: dict[str, Mapping[str, Any]] = {"schedule": SCHEDULES, "method": METHODS}


@dataclass(frozen=True)
class Cell:
    """One run of a sweep: its number in the order of the dimensions, and what makes it."""

    number: int
    tree: Table
    run: int
    problem: tuple[int, ...]
    engine: tuple[int, ...]
    method: Method

    @property
    def call(self) -> tuple[Any, ...]:
        """Equal for cells that one call of the engine may compute."""
        return self.problem, self.engine, self.method.length


class Sweep:
    """An experiment and the parameters that vary.

    Made of the tables of an experiment file with a table [sweep]. `family` is what its problems have in common: what is
    kept of a cell, and how that is computed. `axes` are its dimensions: those of the problem first, then those of the
    length of the run, so that neighbouring cells share both. With [compare] the last dimension is "run", the entries of
    it. Everything is checked when `validate` is called, before anything runs; it fills `kinds`: size of the state -> (a
    cell with it, work of all of them).
    """

    def __init__(self, tree: Mapping[str, Any], folder: str | PathLike[str] = ".") -> None:
        self.folder = Path(folder).resolve()
        self.tables: Table = plain(tree, "")
        tables = dict(self.tables)
        axes = axes_of(tables.pop("sweep", {}))
        if any(path.startswith("engine.") for axis in axes for path in axis.fields):
            tables.setdefault("engine", {"kind": "sample"})
        self.base: Table = canonical(tables, self.folder)
        self.family: Family = family_of(self.base)
        axes = [_canonical_kinds(axis, self.family.kinds) for axis in axes]
        self.axes: list[Axis] = sorted(axes, key=_rank)
        self.builder = Builder(self.folder, self.family)
        self.extremes = Extremes()
        self.kinds: dict[int, tuple[int, float]] = {}
        self._work = 0.0
        self.runs: list[str] = []
        check_cells({axis.name: axis.size for axis in self.axes})
        first = self._named(0, self._experiment)
        if first.engine == "both":
            raise InputError(' = "both" is for one run; a sweep takes "exact" or "sample".', "engine")
        if not first.single:
            self.runs = list(first.runs)
            check_cells(self.dims)
        if first.setting.extras.get("snapshots"):
            raise InputError(
                " is not kept by a sweep; leave it out, and run the best cell by itself.", "record.snapshots"
            )
        self.record: Any = self.base.get("record", {}).get("steps", RECORDS)
        self._setting: Setting = replace(first.setting, record=self.record)
        self._last: tuple[Any, Setting] = None, self._setting
        self.engine, self.device, self.partition = first.engine, first.setting.device, first.subspaces

    def _experiment(self, number: int) -> Experiment:
        """The experiment of a combination, to be looked at."""
        tree = self.tree(number)
        return Experiment({**tree, "problem": self.family.bare(tree["problem"])}, self.folder)

    # -- the grid

    @property
    def dims(self) -> dict[str, int]:
        """Name -> size of every dimension, in the order of the cells (the last one fastest)."""
        sizes = {axis.name: axis.size for axis in self.axes}
        return {**sizes, "run": len(self.runs)} if self.runs else sizes

    @property
    def size(self) -> int:
        """The number of cells."""
        return int(np.prod(list(self.dims.values()), dtype=np.int64))

    def values(self, combination: int) -> dict[str, Any]:
        """Path -> value of a combination of the axes."""
        places = zip(self.axes, self._place(combination), strict=True)
        return {path: values[j] for axis, j in places for path, values in axis.fields.items()}

    def _place(self, combination: int) -> list[int]:
        """The index on every axis."""
        where = []
        for axis in reversed(self.axes):
            combination, j = divmod(combination, axis.size)
            where.append(j)
        return where[::-1]

    def tree(self, combination: int) -> Table:
        """The tables of the experiment of a combination."""
        tree, where = self.base, self._place(combination)
        for _, parts, axis, values in self._assignments:
            value = values[where[axis]]
            if parts in (("schedule", "kind"), ("method", "kind")):
                tree = {**tree, parts[0]: carried(str(parts[0]), tree.get(str(parts[0]), {}), value)}
            else:
                tree = assign(tree, parts, value)
        return tree

    @cached_property
    def _assignments(self) -> list[tuple[str, Path_, int, list[Any]]]:
        """(path, its parts, number of the axis, values) of every field, kinds first: a new kind starts from its own
        defaults, which other axes may then change.
        """
        fields = [
            (path, parse_path(path), j, values)
            for j, axis in enumerate(self.axes)
            for path, values in axis.fields.items()
        ]
        # And a whole table before the parameters in it.
        return sorted(fields, key=lambda field: (len(field[1]), field[1][-1] != "kind"))

    def _key(self, combination: int, roots: Container[str]) -> tuple[int, ...]:
        """Equal for combinations that differ in nothing below these tables."""
        where = self._place(combination)
        return tuple(where[axis] for _, parts, axis, _ in self._assignments if parts[0] in roots)

    def spoken(self, number: int) -> str:
        """A cell as a sentence names it."""
        combination, run = divmod(number, max(len(self.runs), 1))
        said = [f"{path}={value}" for path, value in self.values(combination).items()]
        return ", ".join([*said, *([f"run={self.runs[run]}"] if self.runs else [])])

    # -- the cells

    def cells(self, numbers: Iterable[int]) -> Iterator[Cell]:
        """The cells of these numbers; InputError names the one that cannot be."""
        last = -1
        built: list[Method] = []
        tree: Table = {}
        problem: tuple[int, ...] = ()
        engine: tuple[int, ...] = ()
        for number in numbers:
            combination, run = divmod(number, max(len(self.runs), 1))
            if combination != last:
                tree = self._named(number, lambda n: self.tree(self._combination(n)))
                labelled = self._named(number, partial(self._methods, {number: tree}))
                if self.runs and list(labelled) != self.runs:
                    raise InputError(
                        f"[compare] has other labels ({', '.join(labelled)}) in the cell {self.spoken(number)}; give "
                        f"every entry a label of its own."
                    )
                built, problem, last = list(labelled.values()), self._key(combination, PROBLEM_ONLY), combination
                engine = self._key(combination, ENGINE_ONLY)
            yield Cell(number, tree, run, problem, engine, built[run])

    def _combination(self, number: int) -> int:
        """The combination of the axes of a cell."""
        return number // max(len(self.runs), 1)

    def _methods(self, made: Mapping[int, Table], number: int) -> dict[str, Method]:
        """The labelled methods of the combination of a cell; `made` are tables of cells that are there already."""
        combination = self._combination(number)
        roots = ROOTS_OF_METHODS if self._spectral else METHODS_ONLY
        return self.builder.methods(made.get(number) or self.tree(combination), self._key(combination, roots))

    def problem(self, cell: Cell) -> Any:
        """What the engine runs the cell on; compressed, if its table says so, for all cells with this problem."""
        if self.engine == "sample":
            return self.builder.source(cell.tree, cell.problem)
        numbers = self.extremes.numbers
        return self.builder.problem(
            cell.tree,
            cell.problem,
            self.partition,
            lambda: [each.method for n in numbers(cell.problem) for each in self.cells([n])],
        )

    def setting(self, cell: Cell) -> Setting:
        """That of a cell: arguments of the sampler may vary."""
        if self.engine != "sample":
            return self._setting
        known, setting = self._last
        if known != cell.engine:
            options = self.family.options(cell.tree.get("engine", {}), self.folder)
            setting = replace(self._setting, device=options.pop("device"), options=options)
            self._last = cell.engine, setting
        return setting

    def modes(self, cell: Cell) -> Any:
        """What the exact engine runs of a cell, by whose modes it is recorded; None where it is not."""
        return self.family.modes(self._setting, self.problem(cell))

    def work(self, cell: Cell) -> float:
        """Node-steps of a cell, or coordinate-steps of all its replicas, roughly."""
        source = self.builder.source(cell.tree, cell.problem)
        return self.family.work(self.setting(cell), source, cell.tree["problem"], cell.method)

    def compute(self, cells: list[Cell], device: str, tick: Tick | None) -> Outcome:
        """One call of the engine for cells that may share one; raises Interrupted where `tick` returns False."""
        methods = [cell.method for cell in cells]
        return self.family.compute(self.problem(cells[0]), methods, self.setting(cells[0]), device, tick)

    def fingerprint(self, number: int) -> str:
        """A digest of all that the numbers of a cell depend on."""
        combination, run = divmod(number, max(len(self.runs), 1))
        values = json.dumps(self.values(combination), sort_keys=True)
        return hashlib.sha256(f"{self._digest} {values} {run}".encode()).hexdigest()[:32]

    @cached_property
    def _digest(self) -> str:
        """Of what all cells have in common."""
        facts = json.dumps([self.base, self.runs, self._files, __version__.split(".")[:2]], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()

    @cached_property
    def _spectral(self) -> bool:
        """Whether a schedule may be made from the eigenvalues of the problem."""
        return "eigencurve" in json.dumps(self.document)

    def _named(self, number: int, make: Callable[[int], Any]) -> Any:
        """make(number); of a refusal, which of the parameters of that cell it is about."""
        try:
            return make(number)
        except InputError as error:
            about = self._about(number, make, str(error))
            cell = f" (in the cell {', '.join(about)})" if about else ""
            raise InputError(error.said + cell, error.field) from None

    def _checked(self, cell: Cell, make: Callable[[Cell], Any]) -> Any:
        """make(cell), named as by `_named`."""
        return self._named(cell.number, lambda n: make(cell if n == cell.number else next(self.cells([n]))))

    def _about(self, number: int, make: Callable[[int], Any], refusal: str) -> list[str]:
        """The parameters of a cell without whose values it would not be refused with these words.

        Some other values of each are tried in their place; of an axis of one value there is none, and the words decide.
        """
        sizes = list(self.dims.values())
        where = [int(j) for j in np.unravel_index(number, sizes)]
        said = [
            [f"{path}={values[j]}" for path, values in a.fields.items()] for a, j in zip(self.axes, where, strict=False)
        ]
        said += [[f"run={self.runs[where[-1]]}"]] if self.runs else []
        about: list[str] = []
        for axis, size in enumerate(sizes):  # by number: the last may be that of the runs
            others = sorted({0, max(where[axis] - 1, 0), min(where[axis] + 1, size - 1), size - 1} - {where[axis]})
            moved = [tuple(other if k == axis else j for k, j in enumerate(where)) for other in others]
            numbers = [int(np.ravel_multi_index(place, sizes)) for place in moved]
            if others and all(_refusal(make, other) == refusal for other in numbers):
                continue
            words = [text.partition("=")[0].rpartition(".")[2] for text in said[axis]]
            if others or any(word in refusal for word in words):
                about += said[axis]
        return about

    def validate(self) -> Schema:
        """Build every cell; the labels of what will be kept. InputError names the first cell that is refused."""
        steps: dict[int, IntArray] = {}
        self.kinds.clear()
        checked: set[Any] = set()
        names: dict[tuple[tuple[int, ...], float], list[str]] = {}
        components: set[tuple[str, ...]] = set()
        for cell in self.cells(range(self.size)):
            length = cell.method.length
            if (cell.problem, cell.engine) not in checked:
                components.add(self._checked(cell, self._components))
                checked.add((cell.problem, cell.engine))
            if length not in steps:
                with within("record.steps", (), alias="record"):
                    steps[length] = self._checked(cell, lambda c: record_steps(self.record, c.method.length))
            if self.engine == "sample":
                self._checked(cell, lambda c: check_counters(c.method))
            self.extremes.note(cell.problem, cell.number, cell.method)
            work = self.work(cell)
            self._work = max(self._work, work)
            example, before = self.kinds.get(cell.method.state_size, (cell.number, 0.0))
            self.kinds[cell.method.state_size] = (example, before + work)
            time = self._time(cell)
            if (cell.problem, time) not in names:
                ranges = self._checked(cell, self._ranges)
                names[cell.problem, time] = [name for name, _ in ranges]
                self.extremes.divide(cell.problem, cell.number, str(ranges))
        if len(components) > 1:
            raise InputError("problem.kind mixes a data set's own moments with other problems; sweep them apart.")
        steps = dict(sorted(steps.items()))
        levels = tuple(self._setting.options.get("quantiles", ()))
        return Schema(components.pop(), _common(list(names.values())), steps, self.engine == "sample", levels)

    def _components(self, cell: Cell) -> tuple[str, ...]:
        """Labels of the components of a cell, whose engine and problem are checked."""
        source, setting = self.builder.source(cell.tree, cell.problem), self.setting(cell)
        self.family.check(source, cell.tree["problem"], setting)
        return self.family.components(setting, source)

    def _time(self, cell: Cell) -> float:
        """Sum of the learning rates, where the subspaces depend on it."""
        return cell.method.learning_rate.total() if self.partition.depends_on_schedule else 0.0

    def _ranges(self, cell: Cell) -> Any:
        """Subspaces of a cell with their ranges of modes."""
        time = self._time(cell)
        modes = self.family.modes(self._setting, self.builder.source(cell.tree, cell.problem))
        return [] if modes is None else self.partition.ranges(modes.dim, modes.count_at_least, time)

    def work_per_cell(self) -> float:
        """Of the longest one, once the sweep is validated."""
        return self._work

    # -- identity

    @cached_property
    def document(self) -> dict[str, Any]:
        """What the sweep was asked for, JSON-able: two sweeps are the same if this is."""
        asked = {"experiment": self.base, "axes": [axis.describe() for axis in self.axes], "runs": self.runs}
        return {**asked, "files": self._files} if self._files else asked

    @cached_property
    def _files(self) -> dict[str, str]:
        """Digests of the files that tables name: other data make another sweep."""
        named = {str(path) for path in _named_paths([self.base, *(dict(axis.fields) for axis in self.axes)])}
        found = {path: self.folder / path for path in sorted(named) if (self.folder / path).is_file()}
        return {path: hashlib.sha256(file.read_bytes()).hexdigest() for path, file in found.items()}


def _refusal(make: Callable[[int], Any], number: int) -> str:
    """The words with which a cell is refused; empty where it is not."""
    try:
        make(number)
    except InputError as error:
        return str(error)
    return ""


def _rank(axis: Axis) -> int:
    """Problems first, then lengths, then the rest in the order given."""
    roots = {parse_path(path)[0] for path in axis.fields}
    if "problem" in roots:
        return 0
    return 1 if any(path.endswith(".steps") for path in axis.fields) else 2


def _canonical_kinds(axis: Axis, problems: Collection[str]) -> Axis:
    """The axis with kinds by their own names; `problems` are those of the problem."""
    fields, known = dict(axis.fields), {"problem": problems, **KINDS}
    for path, values in axis.fields.items():
        parts = parse_path(path)
        if len(parts) == 2 and parts[1] == "kind" and parts[0] in known:
            where, kinds = f"sweep.{parts[0]}", known[str(parts[0])]
            fields[path] = [kind_of({"kind": value}, where, kinds) for value in values]
            if axis.name == path:
                refuse_twice(fields[path], f"{where}.kind")
    return Axis(axis.name, fields)


def _common(names: list[list[str]]) -> tuple[str, ...]:
    """The names of the subspaces where all problems agree on them, else their numbers, as many as the most have."""
    if all(each == names[0] for each in names):
        return tuple(names[0])
    return tuple(str(j) for j in range(1, max(map(len, names)) + 1))


def _named_paths(node: Any) -> Iterator[str]:
    """All strings, and strings of lists, under a key "path" or that ends so."""
    if isinstance(node, list):
        for item in node:
            yield from _named_paths(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key.rpartition(".")[2] == "path":
                yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str))
            else:
                yield from _named_paths(value)
