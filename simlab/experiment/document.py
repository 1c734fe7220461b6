"""The class `Experiment`: from a file or a dict to a problem, labelled methods and a trace."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Collection, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simlab.doors import door
from simlab.engines.recording import record_steps
from simlab.errors import InputError, brief, check_count, check_path
from simlab.experiment.compare import variants
from simlab.experiment.engine import check_sampler, engine_table, sampling
from simlab.experiment.method import METHODS, WRAPPERS, build_method, wrappers_of
from simlab.experiment.problem import PROBLEMS, Problem, build_problem, compress
from simlab.experiment.schedule import SCHEDULES, build_schedule
from simlab.experiment.tables import check_keys, kind_of, plain, shown, table_at, within
from simlab.methods import Method
from simlab.schedules import Schedule
from simlab.subspaces import Subspaces, from_spec

if TYPE_CHECKING:
    from simlab.trace import RiskTrace

__all__ = ["Experiment", "canonical", "read_toml"]

TABLES = ("problem", "schedule", "method", "record", "compare", "engine")
RECORD = ("steps", "subspaces", "deterministic", "snapshots")


class Experiment:
    """A problem, the methods to run on it side by side, and what to record.

    Make one with `from_file` or `from_dict`; everything is checked and built there, and InputError names the TOML path,
    the value and the remedy. `problem` is the problem (compressed if the file says so), `runs` maps labels to methods,
    `schedule` is the table [schedule] by itself (None where every run brings its own), `folder` is what relative paths
    are relative to. `engine` is "exact", "sample" or "both".
    """

    @door
    def __init__(self, tree: Mapping[str, Any], folder: str | PathLike[str] = ".") -> None:
        self.folder = check_path("folder", folder).resolve()
        self._tree = canonical(tree, self.folder)
        problem = self._tree["problem"]
        self._source = source = build_problem(problem, self.folder)
        measured = problem["kind"] == "data"
        self._digest = hashlib.sha256(Path(problem["path"]).read_bytes()).hexdigest() if measured else ""
        self.schedule: Schedule | None = self._build_schedule()
        self.runs: dict[str, Method] = self._build_runs()
        self._record: dict[str, Any] = self._build_record()
        self.engine: str = self._tree["engine"]["kind"] if "engine" in self._tree else "exact"
        self._sampling = sampling(self._tree["engine"], self.folder) if self.engine != "exact" else {}
        if self._sampling:
            self._check_sampling()
        self.problem: Problem = compress(source, problem, self._record["subspaces"], list(self.runs.values()))

    @classmethod
    @door
    def from_dict(cls, tree: Mapping[str, Any], folder: str | PathLike[str] = ".") -> Experiment:
        """The experiment of tables {"problem": {...}, ...}, as `to_dict` gives them."""
        return cls(tree, folder)

    @classmethod
    @door
    def from_file(cls, path: str | PathLike[str]) -> Experiment:
        """The experiment of a TOML file; paths in it are relative to its folder."""
        source = check_path("path", path)
        return cls(read_toml(source), source.resolve().parent)

    def to_dict(self) -> dict[str, Any]:
        """The canonical tables, a fresh JSON-able copy: what was given, kinds by their own names, paths absolute.

        A parameter is addressed by its path: "schedule.peak", "method.wrap[0].decay", "compare.schedules[1].cooldown".
        """
        copy: dict[str, Any] = plain(self._tree, "")
        return copy

    @door
    def run(self, progress: Callable[[int, int], None] | bool | None = None, threads: int | None = None) -> RiskTrace:
        """The risk of all runs: exact (`simlab.exact`), or sampled where engine = "sample"; `sample` adds the other
        leg of engine = "both".

        Attribute "experiment" of the dataset holds `to_dict` as JSON. One run gives a trace without a "run" axis,
        several give one with their labels. Of measured data the attribute "data_sha256" identifies the file.
        """
        if self.engine == "sample":
            return self.sample(progress, threads)
        from simlab.engines.exact import exact

        if self.engine == "both":
            check_sampler(self._sampling)

        # Of engine = "both", `device` is the sampler's.
        device = (
            self._tree["engine"].get("device", "cpu") if self.engine == "exact" and "engine" in self._tree else "cpu"
        )
        given = {**self._record, "device": device, "threads": threads, "progress": progress}
        return self._signed(exact(self.problem, self._methods, **given))

    @door
    def sample(
        self, progress: Callable[[int, int], None] | bool | None = None, threads: int | None = None
    ) -> RiskTrace:
        """The same runs by sampled trajectories (`simlab.sample`), of the problem as it is before any compression."""
        from simlab.engines.sample import sample

        given = {name: self._record[name] for name in ("record", "subspaces")}
        options = {**given, **self._sampling, "threads": threads, "progress": progress}
        return self._signed(sample(self._source, self._methods, **options))

    @property
    def subspaces(self) -> Subspaces:
        """The partition that is recorded."""
        partition: Subspaces = self._record["subspaces"]
        return partition

    @property
    def _methods(self) -> Method | dict[str, Method]:
        return next(iter(self.runs.values())) if self.single else self.runs

    def _signed(self, trace: RiskTrace) -> RiskTrace:
        """The trace with the experiment that it comes from."""
        trace.dataset.attrs["experiment"] = json.dumps(self._tree)
        if self._digest:
            trace.dataset.attrs["data_sha256"] = self._digest
        return trace

    @property
    def single(self) -> bool:
        """Whether there is one run and no [compare]."""
        return not self._tree.get("compare")

    def __repr__(self) -> str:
        return f"Experiment({self.problem!r}, runs: {', '.join(self.runs)})"

    # -- building

    def _build_schedule(self) -> Schedule | None:
        """The table [schedule] by itself, which has to be complete if it names a kind."""
        table = self._tree.get("schedule", {})
        if "kind" not in table:
            return None
        return build_schedule(table, "schedule", self.folder, self._eigenvalues)

    def _eigenvalues(self) -> Any:
        return self._source.modes().eigenvalues if hasattr(self._source, "modes") else self._source.eigenvalues

    def _build_runs(self) -> dict[str, Method]:
        runs: dict[str, Method] = {}
        methods = variants(self._tree, "method")
        for schedule in variants(self._tree, "schedule"):
            lr = build_schedule(schedule.table, schedule.path, self.folder, self._eigenvalues)
            for method in methods:
                label = ", ".join(part for part in (schedule.label, method.label) if part)
                if label in runs:
                    raise InputError(f"compare has two runs with the label {label!r}; give the entries other labels.")
                built = build_method(method.table, method.path, lr, self.folder)
                runs[label or str(method.table["kind"])] = built
        return runs

    def _build_record(self) -> dict[str, Any]:
        """The arguments of the engine, checked against the problem and all runs."""
        table = table_at(self._tree, "record", "record")
        check_keys(table, "record", RECORD)
        deterministic = table.get("deterministic", False)
        if not isinstance(deterministic, bool):
            raise InputError(f" = {shown(deterministic)} is neither; give true or false.", "record.deterministic")
        for method in self.runs.values():
            with within("record.steps", (), alias="record"):
                record_steps(table.get("steps"), method.length)
        return {
            "record": table.get("steps"),
            "subspaces": self._build_subspaces(table.get("subspaces")),
            "deterministic": deterministic,
            "snapshots": self._build_snapshots(table.get("snapshots")),
        }

    def _check_sampling(self) -> None:
        """The arguments of the sampler against the problem and all runs, before anything is computed."""
        from simlab.engines.sample import check_sampling
        from simlab.engines.sampling import check_counters

        with within("engine", self._sampling):
            draws, _, _ = check_sampling(self._source, **self._sampling)
            for method in self.runs.values():
                check_counters(method)
        if self.engine == "both" and draws.law == "epochs":
            raise InputError(
                " = 'epochs' has no exact engine to be held against, which is that of rows drawn with "
                "replacement; take law = 'rows', or kind = 'sample'.",
                "engine.law",
            )

    def _build_subspaces(self, value: Any) -> Subspaces:
        """The partition, resolved once for every run so that it is refused here if it does not fit."""
        if not isinstance(value, str | dict | None):
            raise InputError(f' = {shown(value)} is not known; give "log_bins(8)" or index sets.', "record.subspaces")
        with within("record.subspaces", (), alias="subspaces"):
            partition = from_spec(value)
            for method in self.runs.values():
                time = method.learning_rate.total() if partition.expression == "effective()" else 0.0
                partition.ranges(self._source.dim, self._source.count_at_least, time)
        return partition

    def _build_snapshots(self, value: Any) -> list[int] | None:
        if value is None:
            return None
        if not isinstance(value, list):
            raise InputError(f" = {shown(value)} is not a list; give steps such as [0, 100].", "record.snapshots")
        shortest = min(method.length for method in self.runs.values())
        return [check_count(f"record.snapshots[{j}]", s, low=0, high=shortest) for j, s in enumerate(value)] or None


def read_toml(path: str | PathLike[str]) -> dict[str, Any]:
    """The tables of a TOML file; InputError names the line and column where it does not parse."""
    try:
        return tomllib.loads(check_path("path", path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}); give the path of an experiment file."
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8 (byte {error.start}); save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {' '.join(str(error).split())}; correct it there.") from None
    except RecursionError:
        raise InputError(f"{path} nests its tables and lists too deeply; write it flatter.") from None
    except ValueError:  # Python does not read whole numbers of more than some thousand digits
        raise InputError(f"{path} holds a whole number of thousands of digits; give one that can be used.") from None


# -- the canonical form


def canonical(tree: Mapping[str, Any], folder: Path, kinds: Collection[str] = tuple(PROBLEMS)) -> dict[str, Any]:
    """A plain copy of the tables with canonical kinds, absolute paths and the default method; `kinds` of problems."""
    if not isinstance(tree, Mapping):
        raise InputError(f" = {shown(tree)} is not a dict of tables; give {{'problem': {{...}}, ...}}.", "experiment")
    copy: dict[str, Any] = plain(tree, "")
    if "sweep" in copy:
        raise InputError("[sweep] makes many experiments of this one; run them with simlab sweep, or take it out.")
    check_keys(copy, "", TABLES)
    if "engine" in copy:
        copy["engine"] = engine_table(copy["engine"])
    for name in TABLES:
        table_at(copy, name, name)
    if not copy.get("problem"):
        raise InputError(f"[problem] is missing; add it with a kind: {', '.join(kinds)}.")
    compare = copy.get("compare", {})
    if not copy.get("method") and "methods" not in compare:
        copy["method"] = {"kind": "sgd"}
    problem = copy["problem"]
    if kinds == tuple(PROBLEMS) and str(problem.get("kind")).lower().startswith("river"):
        raise InputError(
            f" = {brief(problem['kind'])} is a river valley; give the file to simlab run or sweep.", "problem.kind"
        )
    problem["kind"] = kind_of(problem, "problem", kinds)
    if problem["kind"] == "data" and isinstance(problem.get("path"), str):
        problem["path"] = _absolute(folder, problem["path"], "problem.path")
    _canonical_schedule(copy.get("schedule"), "schedule", folder)
    _canonical_method(copy.get("method"), "method", folder)
    for part, canonical in (("schedules", _canonical_schedule), ("methods", _canonical_method)):
        entries = compare.get(part)
        for j, entry in enumerate(entries if isinstance(entries, list) else []):
            canonical(entry, f"compare.{part}[{j}]", folder)
    return {name: copy[name] for name in TABLES if name in copy}


def _absolute(folder: Path, name: str, field: str) -> str:
    return str((folder / check_path(field, name)).resolve())


def _canonical_schedule(table: Any, path: str, folder: Path) -> None:
    if isinstance(table, dict) and "kind" in table:
        table["kind"] = kind_of(table, path, SCHEDULES)
        if table["kind"] == "csv" and isinstance(table.get("path"), str):
            table["path"] = _absolute(folder, table["path"], f"{path}.path")


def _canonical_method(table: Any, path: str, folder: Path) -> None:
    if not isinstance(table, dict):
        return
    if "kind" in table:
        table["kind"] = kind_of(table, path, METHODS)
    for j, wrapper in enumerate(wrappers_of(table, path)):
        where = f"{path}.wrap[{j}]"
        wrapper["kind"] = kind_of(wrapper, where, WRAPPERS)
        for key, value in wrapper.items():
            _canonical_schedule(value, f"{where}.{key}", folder)
    for key, value in table.items():
        _canonical_schedule(value, f"{path}.{key}", folder)
