"""What a family of problems has to know, for a run of its own and for sweeps, and the register of families by kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from simlab.arrays import IntArray
from simlab.engines.registry import Engine
from simlab.errors import InputError
from simlab.experiment.engine import Setting
from simlab.experiment.tables import Table, arguments
from simlab.methods import Method

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FAMILIES",
    "STATUS",
    "Array",
    "Declared",
    "Family",
    "Interrupted",
    "Outcome",
    "Runs",
    "Schema",
    "Tick",
    "family",
    "family_of",
]

Array = npt.NDArray[Any]
Runs = dict[str, Method]
Tick = Callable[[int], bool]
"""Called with the node-steps or replica-steps done; False asks to stop."""
Outcome = dict[str, Array]
"""Variable -> values with the cells of a call first."""
Declared = dict[str, tuple[tuple[str, ...], tuple[int, ...], str]]
"""Variable -> (dimensions beyond those of the cells, their sizes, dtype)."""

STATUS = ("pending", "done", "diverged", "interrupted", "error")

NOT_OF_FILES = frozenset(
    [
        "problem",
        "landscape",
        "method",
        "noise",
        "record",
        "subspaces",
        "river",
        "paths",
        "threads",
        "progress",
        "warn",
        "start",
        "keep",
    ]
)
"""Arguments of the samplers that are no keys of [engine]: they come from other tables, or are not for files."""


class Interrupted(Exception):
    """The tick said to stop."""


@dataclass(frozen=True)
class Schema:
    """The labels of what is kept of a cell. steps : of each length of run, as many rows as the longest has records.

    components, subspaces : empty where the family of the sweep has none.  quantiles : of a sampled sweep.  heldout :
    whether there are rows whose loss is kept as well.  estimated : whether every risk has an error estimated beside it.
    """

    components: tuple[str, ...]
    subspaces: tuple[str, ...]
    steps: Mapping[int, IntArray]
    sampled: bool
    quantiles: tuple[float, ...] = ()
    heldout: bool = False
    estimated: bool = False

    @property
    def records(self) -> int:
        """Steps that are kept of a run, at most."""
        return max(steps.size for steps in self.steps.values())

    @property
    def lead(self) -> str:
        """The dimension of the records: the step itself where all runs are equally long."""
        return "step" if len(self.steps) == 1 else "record"


class Family(ABC):
    """One kind of problem, or several that are run alike; all else (tables, cells, blocks, stores) is shared.

    kinds : what problem.kind may be.  engines : of "exact" and of "sample".  recorded : keys of [record].  withheld :
    arguments of the sampler that a file may not give.  A *source* is what a table [problem] stands for, a *problem*
    what the exact engine runs of it. Traces are what the doors of the engines return.

    Of a sweep: risk, unit : what the final value by which cells are compared is called, and its unit on a picture;
    differences : whether it may be 0 or less, so that its ratios mean nothing; needed : what a store holds at least.
    """

    kinds: Collection[str]
    engines: ClassVar[Mapping[str, Engine]]
    recorded: ClassVar[tuple[str, ...]] = ("steps", "subspaces")
    withheld: ClassVar[frozenset[str]] = frozenset()
    risk: ClassVar[str]
    unit: ClassVar[str]
    differences: ClassVar[bool] = False
    needed: ClassVar[tuple[str, ...]]

    # -- the problem

    @abstractmethod
    def source(self, table: Table, folder: Path) -> Any:
        """What a table [problem] stands for, or an InputError."""

    def located(self, table: Table, folder: Path) -> Table:
        """The table with the paths of files in it made absolute."""
        return table

    def facts(self, table: Table) -> dict[str, str]:
        """What tells two problems of one table apart, such as the digest of a file: attributes of the traces."""
        return {}

    def bare(self, table: Table) -> Table:
        """The table of a problem that is looked at and not run: without what costs time."""
        return table

    def default(self, source: Any) -> str:
        """The engine where the file names none."""
        return "exact"

    @abstractmethod
    def eigenvalues(self, source: Any) -> npt.ArrayLike:
        """For a schedule that is made of them, or an InputError."""

    def modal(self, source: Any) -> Any:
        """For a schedule that is made for a problem with modes of its own, or an InputError."""
        raise InputError("the schedule is made for linear regression and noisy quadratics; take another kind.")

    @abstractmethod
    def modes(self, setting: Setting, source: Any) -> Any:
        """The problem whose modes are recorded by subspace and run by the exact engine; None without subspaces."""

    @abstractmethod
    def check(self, source: Any, table: Table, setting: Setting) -> None:
        """Refuse what the engine of this setting cannot run, or not as the tables say."""

    def problem(self, source: Any, table: Table, partition: Any, methods: Callable[[], Sequence[Method]]) -> Any:
        """What the exact engine runs for all of `methods`."""
        return source

    # -- a run of its own

    def options(self, table: Table, folder: Path) -> dict[str, Any]:
        """The arguments of the sampler of a table [engine]; a checkpoint's folder is relative to `folder`."""
        from simlab.errors import check_path

        given = arguments(self.engines["sample"].door, table, "engine", NOT_OF_FILES | self.withheld)
        if given["checkpoint"] is not None:
            given["checkpoint"] = folder / check_path("engine.checkpoint", given["checkpoint"])
        return given

    @abstractmethod
    def exact(self, problem: Any, runs: Runs, setting: Setting, **how: Any) -> Any:
        """The trace of the exact engine; how : threads and progress."""

    @abstractmethod
    def sample(self, source: Any, runs: Runs, setting: Setting, **how: Any) -> Any:
        """The trace of the sampler, of the problem as it is before any compression; how : threads and progress."""

    @abstractmethod
    def final_table(self, trace: Any) -> str:
        """What a trace ends with, as text."""

    @abstractmethod
    def z_table(self, sampled: Any, exact: Any) -> str:
        """How far the two are apart, as text."""

    @abstractmethod
    def figure(self, source: Any, trace: Any, sampled: Any) -> Figure:
        """Of a trace; of both, where there is a sampled one as well."""

    @abstractmethod
    def save(self, trace: Any, path: Path) -> None:
        """Write the trace as a zarr folder."""

    # -- cells of a sweep

    def components(self, setting: Setting, source: Any) -> tuple[str, ...]:
        """Labels of the dimension "component"; none where the parts are variables of their own."""
        return ()

    def heldout(self, source: Any) -> bool:
        """Whether rows are held out from a problem."""
        return False

    @abstractmethod
    def work(self, setting: Setting, source: Any, table: Table, method: Method) -> float:
        """Node-steps of a cell, or coordinate-steps of all its replicas, roughly."""

    @abstractmethod
    def variables(self, schema: Schema) -> Declared:
        """What is kept of a cell besides status, ended_at and step."""

    @abstractmethod
    def units(self, name: str) -> str:
        """Of a variable; empty for none."""

    @abstractmethod
    def compute(
        self, problem: Any, methods: Sequence[Method], setting: Setting, device: str, tick: Tick | None
    ) -> Outcome:
        """One call of the engine; raises Interrupted where `tick` returns False."""

    # -- the answer of a sweep, from the final values of its cells

    @abstractmethod
    def whole(self, data: xr.Dataset) -> xr.DataArray:
        """The value by which cells are compared."""

    @abstractmethod
    def composition(self, cells: Sequence[tuple[str, xr.Dataset]]) -> tuple[str, list[str], list[list[str]]]:
        """What some named cells are made of, as a table: its title, heads and rows."""

    @abstractmethod
    def bars(self, axes: Axes, cells: Sequence[xr.Dataset]) -> None:
        """What some cells are made of, as bars at the heights 0, 1, .. and the label of the axis below them."""

    @abstractmethod
    def legend(self, data: xr.Dataset) -> dict[str, Any]:
        """Of the bars: handles, ncols, and a title if it needs one."""

    @abstractmethod
    def columns(self, data: xr.Dataset, dims: Sequence[str]) -> dict[str, Array]:
        """The parts of the final value, a flat array each in the order of the cells, by the name of a column."""


FAMILIES: dict[str, Family] = {}
"""Kind of problem -> its family."""


def family(cls: type[Family]) -> type[Family]:
    """Enter a family under its kinds."""
    made = cls()
    FAMILIES.update(dict.fromkeys(made.kinds, made))
    return cls


def family_of(tree: Mapping[str, Any]) -> Family:
    """The family of canonical tables."""
    return FAMILIES[tree["problem"]["kind"]]


def sampling(setting: Setting, device: str, tick: Tick | None) -> dict[str, Any]:
    """The arguments of a sampler for cells: on one thread, without a file, stopped where `tick` returns False."""

    def report(done: int, total: int) -> None:
        if tick is not None and not tick(0):
            raise KeyboardInterrupt

    return {**setting.options, "checkpoint": None, "every": None, "device": device, "threads": 1, "progress": report}


def statuses(names: Any) -> Array:
    """Numbers of statuses by name; raises Interrupted where a run was stopped."""
    if "interrupted" in names:
        raise Interrupted
    return np.array([STATUS.index(str(name)) for name in names])
