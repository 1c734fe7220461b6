"""What a sweep is, before any of it runs: its cells, the experiment of each, and what is kept of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab._version import __version__
from simlab.engines.recording import record_steps
from simlab.engines.sampling import check_counters
from simlab.errors import InputError
from simlab.experiment.document import canonical
from simlab.experiment.method import METHODS
from simlab.experiment.schedule import SCHEDULES
from simlab.experiment.tables import Table, kind_of, plain, within
from simlab.experiment.valley import is_river
from simlab.methods import Method
from simlab.sweeps.axes import Axis, assign, axes_of, parse_path, refuse_twice
from simlab.sweeps.axes import Path as Path_
from simlab.sweeps.build import Builder, Extremes, carried
from simlab.sweeps.risks import Risks
from simlab.sweeps.schema import Cell, Family, Schema
from simlab.sweeps.valleys import Valleys

__all__ = ["Cell", "Schema", "Sweep"]

IntArray = npt.NDArray[np.int64]

RECORDS = 20
"""Steps kept of every run where [record] does not say."""

PROBLEM_ONLY = ("problem",)
ENGINE_ONLY = ("engine",)
METHODS_ONLY = ("schedule", "method", "compare")
ROOTS_OF_METHODS = (*METHODS_ONLY, *PROBLEM_ONLY)

KINDS: dict[str, Mapping[str, Any]] = {"schedule": SCHEDULES, "method": METHODS}


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
        self.family: Family = Valleys() if is_river(tables) else Risks()
        axes = [_canonical_kinds(axis, self.family.kinds) for axis in axes_of(tables.pop("sweep", {}))]
        self.axes: list[Axis] = sorted(axes, key=_rank)
        if any(path.startswith("engine.") for axis in self.axes for path in axis.fields):
            tables.setdefault("engine", {"kind": "sample"})
        self.base: Table = canonical(tables, self.folder, tuple(self.family.kinds))
        self.builder = Builder(self.folder, self.family)
        self.extremes = Extremes()
        self.kinds: dict[int, tuple[int, float]] = {}
        self._work = 0.0
        self.runs: list[str] = []
        first = self._named(0, lambda: self.family.experiment(self.tree(0), self.folder))
        if first.engine == "both":
            raise InputError('engine = "both" is for one run; a sweep takes "exact" or "sample".')
        self.engine = first.engine
        self.device = str(self.base.get("engine", {}).get("device", self.family.device(self.engine)))
        if not first.single:
            self.runs = list(first.runs)
        record = self.base.get("record", {})
        if record.get("snapshots"):
            raise InputError("record.snapshots is not kept by a sweep; leave it out, and run the best cell by itself.")
        self.record: Any = record.get("steps", RECORDS)
        self.partition = first.subspaces
        self.deterministic = bool(record.get("deterministic", False))

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
                tree = self._named(number, lambda c=combination: self.tree(c))
                roots = ROOTS_OF_METHODS if self._spectral else METHODS_ONLY
                key = self._key(combination, roots)
                labelled = self._named(number, lambda t=tree, k=key: self.builder.methods(t, k))
                if self.runs and list(labelled) != self.runs:
                    raise InputError(
                        f"[compare] has other labels ({', '.join(labelled)}) in the cell {self.spoken(number)}; give "
                        f"every entry a label of its own."
                    )
                built, problem, last = list(labelled.values()), self._key(combination, PROBLEM_ONLY), combination
                engine = self._key(combination, ENGINE_ONLY)
            yield Cell(number, tree, run, problem, engine, built[run])

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

    def _named(self, number: int, make: Any) -> Any:
        try:
            return make()
        except InputError as error:
            raise InputError(f"{error} (in the cell {self.spoken(number)})") from None

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
                source = self._named(cell.number, lambda c=cell: self.family.checked(self, c))
                components.add(self.family.components(self, source))
                checked.add((cell.problem, cell.engine))
            if length not in steps:
                with within("record.steps", ()):
                    steps[length] = self._named(cell.number, lambda n=length: record_steps(self.record, n))
            if self.engine == "sample":
                self._named(cell.number, lambda m=cell.method: check_counters(m))
            self.extremes.note(cell.problem, cell.number, cell.method)
            work = self.family.work(self, cell)
            self._work = max(self._work, work)
            example, before = self.kinds.get(cell.method.state_size, (cell.number, 0.0))
            self.kinds[cell.method.state_size] = (example, before + work)
            time = cell.method.learning_rate.total() if self.partition.expression == "effective()" else 0.0
            if (cell.problem, time) not in names:
                ranges = self._named(cell.number, lambda c=cell, t=time: self._ranges(c, t))
                names[cell.problem, time] = [name for name, _ in ranges]
                self.extremes.divide(cell.problem, cell.number, str(ranges))
        if len(components) > 1:
            raise InputError("problem.kind mixes a data set's own moments with other problems; sweep them apart.")
        steps = dict(sorted(steps.items()))
        return Schema(components.pop(), _common(list(names.values())), steps, self.engine == "sample")

    def _ranges(self, cell: Cell, time: float) -> Any:
        """Subspaces of a cell with their ranges of modes."""
        modes = self.family.modes(self, self.builder.source(cell.tree, cell.problem))
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
