"""What a sweep is, before any of it runs: its cells, the experiment of each, and the labels of what is kept of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from simlab._version import __version__
from simlab.arrays import IntArray
from simlab.engines.arguments import check_counters
from simlab.errors import InputError
from simlab.experiment.document import Experiment, canonical
from simlab.experiment.engine import Setting
from simlab.experiment.families import Family, family_of
from simlab.experiment.families.base import Outcome, Schema, Tick
from simlab.experiment.method import METHODS
from simlab.experiment.schedule import FROM_PROBLEM, SCHEDULES
from simlab.experiment.tables import Table, kind_of, plain, within
from simlab.methods import Method
from simlab.sweeps.plan.axes import Axis, axes_of, parse_path, refuse_twice
from simlab.sweeps.plan.cells import KEPT, Builder, Cell, Key, Representatives
from simlab.sweeps.plan.grid import Grid
from simlab.trace.recording import record_steps

__all__ = ["Checked", "Sweep"]

T = TypeVar("T")

RECORDS = 20
"""Steps kept of every run where [record] does not say."""

OF_METHODS = ("schedule", "method", "compare")
KINDS: dict[str, Mapping[str, Any]] = {"schedule": SCHEDULES, "method": METHODS}


@dataclass(frozen=True)
class Checked:
    """What is known once every cell has been built.

    schema : the labels of what is kept.  representatives : cells that stand for all others of their problem.  kinds :
    size of the state -> (a cell with it, work of all of them).  longest : the most work of a cell.
    """

    schema: Schema
    representatives: Representatives
    kinds: dict[int, tuple[int, float]]
    longest: float


class Sweep:
    """An experiment and the parameters that vary.

    Made of the tables of an experiment file with a table [sweep]. `family` is what its problems have in common: what is
    kept of a cell, and how that is computed. `grid` are its dimensions: those of the problem first, then those of the
    length of the run, so that neighbouring cells share both. With [compare] the last dimension is "run", the entries of
    it. Everything is checked by `validate`, before anything runs.
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
        self.grid = Grid(sorted((_canonical_kinds(axis, self.family.kinds) for axis in axes), key=_rank))
        self.builder = Builder(self.folder, self.family)
        first = self.grid.named(0, self._experiment)
        if first.engine == "both":
            raise InputError(' = "both" is for one run; a sweep takes "exact", "long", "limit" or "sample".', "engine")
        if not first.single:
            self.grid = Grid(self.grid.axes, list(first.runs))
        if first.setting.extras.get("snapshots"):
            raise InputError(
                " is not kept by a sweep; leave it out, and run the best cell by itself.", "record.snapshots"
            )
        for where, asked in (("start", first.start), ("record.keep", first.setting.extras.get("keep"))):
            if asked is not None:
                raise InputError(" is for one run; a sweep begins at w_0 and keeps no states: leave it out.", where)
        self.record: Any = self.base.get("record", {}).get("steps", RECORDS)
        self._setting: Setting = replace(first.setting, record=self.record)
        self._settings: dict[tuple[int, ...], Setting] = {}
        self.engine, self.device, self.partition = first.engine, first.setting.device, first.subspaces

    def _experiment(self, number: int) -> Experiment:
        """The experiment of a combination, to be looked at."""
        tree = self.tree(number)
        return Experiment({**tree, "problem": self.family.bare(tree["problem"])}, self.folder)

    def tree(self, combination: int) -> Table:
        """The tables of the experiment of a combination of the axes."""
        return self.grid.tree(self.base, combination)

    # -- the cells

    def cells(self, numbers: Iterable[int]) -> Iterator[Cell]:
        """The cells of these numbers; InputError names the one that cannot be."""
        last, tree, built = -1, Table(), list[Method]()
        problem: Key = ()
        engine: Key = ()
        for number in numbers:
            combination, run = self.grid.split(number)
            if combination != last:
                tree, labelled = self.grid.named(number, self._made)
                if self.grid.runs and list(labelled) != self.grid.runs:
                    raise InputError(
                        f"[compare] has other labels ({', '.join(labelled)}) in the cell {self.grid.spoken(number)}; "
                        f"give every entry a label of its own."
                    )
                built, last = list(labelled.values()), combination
                problem, engine = (self.grid.key(combination, (root,)) for root in ("problem", "engine"))
            yield Cell(number, tree, problem, engine, built[run])

    def _made(self, number: int) -> tuple[Table, dict[str, Method]]:
        """(the tables, the labelled methods) of the combination of a cell."""
        combination, _ = self.grid.split(number)
        tree = self.tree(combination)
        roots = (*OF_METHODS, "problem") if self._spectral else OF_METHODS
        return tree, self.builder.methods(tree, self.grid.key(combination, roots))

    @cached_property
    def _spectral(self) -> bool:
        """Whether a schedule may be made from the eigenvalues of the problem, or for it."""
        text = json.dumps(self.document).lower()
        return any(name in text for name in ("eigencurve", *FROM_PROBLEM))

    def problem(self, cell: Cell) -> Any:
        """What the engine runs the cell on; compressed, if its table says so, for all cells with this problem."""
        if self.engine in ("long", "sample"):
            return self.builder.source(cell.tree, cell.problem)

        def methods() -> list[Method]:
            return [each.method for n in self.checked.representatives.numbers(cell.problem) for each in self.cells([n])]

        return self.builder.problem(cell.tree, cell.problem, self.partition, methods)

    def setting(self, cell: Cell) -> Setting:
        """That of a cell: arguments of the sampler may vary."""
        if self.engine != "sample":
            return self._setting
        made = self._settings.get(cell.engine)
        if made is None:
            if len(self._settings) >= KEPT:
                self._settings.clear()
            options = self.family.options(cell.tree.get("engine", {}), self.folder)
            made = replace(self._setting, device=options.pop("device"), options=options)
            self._settings[cell.engine] = made
        return made

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

    # -- checked

    def validate(self) -> Schema:
        """Build every cell; the labels of what will be kept. InputError names the first cell that is refused."""
        return self.checked.schema

    @cached_property
    def checked(self) -> Checked:
        """What building every cell told, which is done once."""
        steps: dict[int, IntArray] = {}
        kinds: dict[int, tuple[int, float]] = {}
        names: dict[tuple[Key, float], list[str]] = {}
        components: dict[tuple[Key, Key], tuple[str, ...]] = {}
        heldout: set[bool] = set()
        representatives, longest = Representatives(), 0.0
        for cell in self.cells(range(self.grid.size)):
            length = cell.method.length
            if (cell.problem, cell.engine) not in components:
                components[cell.problem, cell.engine] = self._named(cell, self._components)
                heldout.add(self.family.heldout(self.builder.source(cell.tree, cell.problem)))
            if length not in steps:
                with within("record.steps", (), alias="record"):
                    steps[length] = self._named(cell, lambda c: record_steps(self.record, c.method.length))
            if self.engine == "sample":
                self._named(cell, lambda c: check_counters(c.method))
            representatives.note(cell.problem, cell.number, cell.method)
            work = self.work(cell)
            longest = max(longest, work)
            example, before = kinds.get(cell.method.state_size, (cell.number, 0.0))
            kinds[cell.method.state_size] = (example, before + work)
            time = self._time(cell)
            if (cell.problem, time) not in names:
                ranges = self._named(cell, self._ranges)
                names[cell.problem, time] = [name for name, _ in ranges]
                representatives.divide(cell.problem, cell.number, str(ranges))
        several = set(components.values())
        if len(several) > 1:
            raise InputError("problem.kind mixes a data set's own moments with other problems; sweep them apart.")
        if len(heldout) > 1:
            raise InputError("problem.holdout is given in some cells and not in others; give it in all of them.")
        subspaces, levels = _common(list(names.values())), tuple(self._setting.options.get("quantiles", ()))
        sampled = self.engine == "sample"
        schema = Schema(
            several.pop(),
            subspaces,
            dict(sorted(steps.items())),
            sampled,
            levels,
            heldout.pop(),
            self.engine in ("long", "limit"),
        )
        return Checked(schema, representatives, kinds, longest)

    def _named(self, cell: Cell, make: Callable[[Cell], T]) -> T:
        """make(cell); a refusal names the parameters of the cell that it is about."""
        return self.grid.named(cell.number, lambda n: make(cell if n == cell.number else next(self.cells([n]))))

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
        modes = self.family.modes(self._setting, self.builder.source(cell.tree, cell.problem))
        return [] if modes is None else self.partition.ranges(modes.dim, modes.count_at_least, self._time(cell))

    # -- identity

    def fingerprint(self, number: int) -> str:
        """A digest of all that the numbers of a cell depend on."""
        combination, run = self.grid.split(number)
        values = json.dumps(self.grid.values(combination), sort_keys=True)
        return hashlib.sha256(f"{self._digest} {values} {run}".encode()).hexdigest()[:32]

    @cached_property
    def _digest(self) -> str:
        """Of what all cells have in common."""
        facts = json.dumps([self.base, self.grid.runs, self._files, __version__.split(".")[:2]], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()

    @cached_property
    def document(self) -> dict[str, Any]:
        """What the sweep was asked for, JSON-able: two sweeps are the same if this is."""
        asked = {"experiment": self.base, "axes": [axis.describe() for axis in self.grid.axes], "runs": self.grid.runs}
        return {**asked, "files": self._files} if self._files else asked

    @cached_property
    def _files(self) -> dict[str, str]:
        """Digests of the files that tables name: other data make another sweep."""
        named = {str(path) for path in _named_paths([self.base, *(dict(axis.fields) for axis in self.grid.axes)])}
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
    """All strings, and strings of lists, under a key "path" or "holdout" or that ends so."""
    if isinstance(node, list):
        for item in node:
            yield from _named_paths(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key.rpartition(".")[2] in ("path", "holdout"):
                yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str))
            else:
                yield from _named_paths(value)
