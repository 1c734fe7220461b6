"""What is kept of a cell, in names and sizes, and what a family of problems has to know for a sweep to be about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from simlab.experiment.tables import Table
from simlab.methods import Method

if TYPE_CHECKING:
    from simlab.experiment import Experiment
    from simlab.sweeps.plan import Sweep

__all__ = [
    "STATUS",
    "Array",
    "Cell",
    "Declared",
    "Family",
    "Interrupted",
    "Outcome",
    "Schema",
    "Tick",
    "lead",
    "ticking",
]

IntArray = npt.NDArray[np.int64]
Array = npt.NDArray[Any]
Tick = Callable[[int], bool]
"""Called with the node-steps or replica-steps done; False asks to stop."""
Outcome = dict[str, Array]
"""Variable -> values with the cells of a call first."""
Declared = dict[str, tuple[tuple[str, ...], tuple[int, ...], str]]
"""Variable -> (dimensions beyond those of the cells, their sizes, dtype)."""

STATUS = ("pending", "done", "diverged", "interrupted", "error")


class Interrupted(Exception):
    """The tick said to stop."""


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


@dataclass(frozen=True)
class Schema:
    """The labels of what is kept of a cell. steps : of each length of run, as many rows as the longest has records.

    components, subspaces : empty where the family of the sweep has none.
    """

    components: tuple[str, ...]
    subspaces: tuple[str, ...]
    steps: Mapping[int, IntArray]
    sampled: bool

    @property
    def records(self) -> int:
        """Steps that are kept of a run, at most."""
        return max(steps.size for steps in self.steps.values())


def lead(schema: Schema) -> str:
    """The dimension of the records: the step itself where all runs are equally long."""
    return "step" if len(schema.steps) == 1 else "record"


def ticking(tick: Tick | None) -> Callable[[int, int], None]:
    """A `progress` for the doors of the engines that stops them, as Ctrl-C would, where `tick` returns False."""

    def report(done: int, total: int) -> None:
        if tick is not None and not tick(0):
            raise KeyboardInterrupt

    return report


class Family(Protocol):
    """What differs between sweeps of risks and of river valleys; all else (cells, blocks, store, ledger) is shared."""

    @property
    def kinds(self) -> Collection[str]:
        """What problem.kind may be."""
        ...

    def experiment(self, tree: Table, folder: Path) -> Experiment:
        """One cell's experiment, for what its tables say when all of it is checked."""
        ...

    def device(self, engine: str) -> str:
        """Where cells are computed unless [engine] says."""
        ...

    def source(self, table: Table, folder: Path) -> Any:
        """What a table [problem] stands for."""
        ...

    def eigenvalues(self, source: Any) -> npt.ArrayLike:
        """For a schedule that is made of them."""
        ...

    def modes(self, sweep: Sweep, source: Any) -> Any:
        """The problem whose modes are recorded by subspace and run by the exact engine; None without subspaces."""
        ...

    def checked(self, sweep: Sweep, cell: Cell) -> Any:
        """The source of a cell, if it can be run as its tables say, or an InputError."""
        ...

    def components(self, sweep: Sweep, source: Any) -> tuple[str, ...]:
        """Labels of the dimension "component"."""
        ...

    def work(self, sweep: Sweep, cell: Cell) -> float:
        """Node-steps of a cell, or coordinate-steps of all its replicas, roughly."""
        ...

    def variables(self, sweep: Sweep, schema: Schema) -> Declared:
        """What is kept of a cell besides status, ended_at and step."""
        ...

    def units(self, name: str) -> str:
        """Of a variable; empty for none."""
        ...

    def quantiles(self, sweep: Sweep) -> list[float]:
        """Labels of the dimension "quantile" of a sampled sweep."""
        ...

    def run(self, sweep: Sweep, cells: list[Cell], device: str, tick: Tick | None) -> Outcome:
        """One call of the engine; raises Interrupted where `tick` returns False."""
        ...
