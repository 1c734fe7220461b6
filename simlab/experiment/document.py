"""The class `Experiment`: from a file or a dict to a problem, labelled methods and a trace."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from simlab.doors import door
from simlab.engines.arguments import check_counters, named_methods
from simlab.errors import InputError, check_count, check_path
from simlab.experiment.compare import runs_of
from simlab.experiment.engine import OWN_KEYS, Setting, engine_table, legs_of
from simlab.experiment.families import FAMILIES, Family, family_of
from simlab.experiment.method import METHODS, WRAPPERS, wrappers_of
from simlab.experiment.problem import LAZY
from simlab.experiment.schedule import FROM_FILES, SCHEDULES, Asked, build_schedule
from simlab.experiment.start import read_start, started
from simlab.experiment.tables import Table, check_keys, kind_of, plain, shown, table_at, within
from simlab.methods import Method
from simlab.schedules import Schedule
from simlab.subspaces import Subspaces, from_spec
from simlab.trace.recording import record_steps
from simlab.trace.state import State

__all__ = ["Experiment", "canonical", "parse_toml", "read_toml", "text_of"]

TABLES = ("problem", "schedule", "method", "record", "compare", "engine", "start")
Progress = Callable[[int, int], None] | bool | None


class Experiment:
    """A problem, the methods to run on it side by side, and what to record.

    Make one with `from_file` or `from_dict`; everything is checked and built there, and InputError names the TOML path,
    the value and the remedy. `problem` is the problem (compressed if the file says so), `runs` maps labels to methods,
    `schedule` is the table [schedule] by itself (None where every run brings its own), `folder` is what relative paths
    are relative to. `engine` is "exact", "long", "limit", "sample" or "both". `family` is what is known of problems of
    this kind; `text` the file that was read, empty for a dict.
    """

    @door
    def __init__(self, tree: Mapping[str, Any], folder: str | PathLike[str] = ".") -> None:
        self.text = ""
        self.folder = check_path("folder", folder).resolve()
        self._tree = canonical(tree, self.folder)
        problem = self._tree["problem"]
        self.family: Family = family_of(self._tree)
        self._source = source = self.family.source(problem, self.folder)
        self._facts = self.family.facts(problem)
        asked = Asked(lambda: self.family.eigenvalues(source), lambda: self.family.modal(source))
        made: dict[str, Schedule] = {}

        def make(table: Table, path: str) -> Schedule:
            """The same table is the same schedule: some take a search."""
            key = json.dumps(table)
            if key not in made:
                made[key] = build_schedule(table, path, self.folder, asked)
            return made[key]

        table = self._tree.get("schedule", {})
        # By itself it has to be complete if it names a kind.
        self.schedule: Schedule | None = make(table, "schedule") if "kind" in table else None
        self.runs: dict[str, Method] = runs_of(self._tree, self.folder, make)
        self.start: State | None = read_start(self._tree.get("start", {}))
        self.setting: Setting = self._read_setting()
        self._check()
        methods = list(self.runs.values())
        # The long engine makes nodes of its own, for the error that it is asked for.
        own = self.setting.legs[0] == "long"
        made = source if own else self.family.problem(source, problem, self.setting.partition, lambda: methods)
        self.problem: Any = made

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
        text = text_of(source)
        made = cls(parse_toml(text, source), source.resolve().parent)
        made.text = text
        return made

    def to_dict(self) -> dict[str, Any]:
        """The canonical tables, a fresh JSON-able copy: what was given, kinds by their own names, paths absolute.

        A parameter is addressed by its path: "schedule.peak", "method.wrap[0].decay", "compare.schedules[1].cooldown".
        """
        copy: dict[str, Any] = plain(self._tree, "")
        return copy

    @door
    def run(self, progress: Progress = None, threads: int | None = None) -> Any:
        """The trace of all runs: that of the first leg of "both", whose other one `sample` adds.

        A RiskTrace (`simlab.exact`, `simlab.sample`), with a "run" axis where there is [compare]; of a river valley
        a Dataset of its loss, river and hills by run and step (`simlab.exact_valley`), sampled ones with errors.
        Attribute "experiment" of the dataset holds `to_dict` as JSON. Of measured data the attribute "data_sha256"
        identifies the file.
        """
        first, *others = self.setting.legs
        if others:
            self.setting.check_sampler()
        if first == "sample":
            return self.sample(progress, threads)
        leg = getattr(self.family, first)
        return self._signed(leg(self.problem, self.runs, self.setting, progress=progress, threads=threads))

    @door
    def sample(self, progress: Progress = None, threads: int | None = None) -> Any:
        """The same runs by sampled trajectories, of the problem as it is before any compression."""
        setting = self.setting
        if not setting.sampled:  # the file says nothing of samples: by default
            options = self.family.options({}, self.folder)
            setting = replace(setting, device=options.pop("device"), options=options)
        return self._signed(self.family.sample(self._source, self.runs, setting, progress=progress, threads=threads))

    def _signed(self, trace: Any) -> Any:
        """The trace with the experiment that it comes from."""
        getattr(trace, "dataset", trace).attrs.update({"experiment": json.dumps(self._tree)}, **self._facts)
        return trace

    @property
    def engine(self) -> str:
        """ "exact", "long", "limit", "sample" or "both"."""
        return self.setting.engine

    @property
    def subspaces(self) -> Subspaces:
        """The partition that is recorded."""
        return self.setting.partition

    @property
    def single(self) -> bool:
        """Whether there is one run and no [compare]."""
        return not self._tree.get("compare")

    def __repr__(self) -> str:
        return f"Experiment({self.problem!r}, runs: {', '.join(self.runs)})"

    # -- building

    def _read_setting(self) -> Setting:
        """The tables [engine] and [record]; the latter checked against all runs."""
        record, family = table_at(self._tree, "record", "record"), self.family
        check_keys(record, "record", family.recorded)
        begin = 0 if self.start is None else self.start.step
        steps, extras = record.get("steps"), _extras(record, self.runs, begin)
        for method in self.runs.values():
            with within("record.steps", (), alias="record"):
                record_steps(steps, begin + method.length, begin)
        partition = record.get("subspaces")
        if not isinstance(partition, str | dict | None):
            raise InputError(
                f' = {shown(partition)} is not known; give "log_bins(8)" or index sets.', "record.subspaces"
            )
        with within("record.subspaces", (), alias="subspaces"):
            partition = from_spec(partition)
        table = self._tree.get("engine", {"kind": family.default(self._source)})
        legs, bounds = legs_of(table), {}
        if "long" in legs:
            bounds = {key: table[key] for key in OWN_KEYS["long"] if key in table}
        if "sample" in legs:
            other = {"against", *bounds} if table["kind"] == "both" else set()
            options = family.options({key: table[key] for key in table if key not in other}, self.folder)
        else:
            options = {"device": table.get("device", "cpu")}
        return Setting(
            self.folder, table["kind"], options.pop("device"), steps, partition, self.single, options,
            {name: value for name, value in extras.items() if name in family.recorded}, self.start, legs, bounds,
        )  # fmt: skip

    def _check(self) -> None:
        """What the engine would refuse, before anything is computed."""
        for leg in self.setting.legs:
            engine = self.family.engines.get(leg)
            if engine is not None:
                named_methods(list(self.runs.values()), engine.name)
        self.family.check(self._source, self._tree["problem"], self.setting)
        modes, partition = self.family.modes(self.setting, self._source), self.setting.partition
        for method in self.runs.values():
            if self.setting.sampled:
                with within("engine", ()):
                    check_counters(method)
            if modes is not None:
                time = method.learning_rate.total() if partition.depends_on_schedule else 0.0
                with within("record.subspaces", (), alias="subspaces"):
                    partition.ranges(modes.dim, modes.count_at_least, time)


def _extras(record: Mapping[str, Any], runs: Mapping[str, Method], begin: int) -> dict[str, Any]:
    """What of [record] is for risks alone; steps are those of runs that begin at the step `begin`."""
    deterministic = record.get("deterministic", False)
    if not isinstance(deterministic, bool):
        raise InputError(f" = {shown(deterministic)} is neither; give true or false.", "record.deterministic")
    shortest = begin + min(method.length for method in runs.values())
    found: dict[str, Any] = {"deterministic": deterministic}
    for name in ("snapshots", "keep"):
        steps = record.get(name)
        if not isinstance(steps, list | None):
            raise InputError(f" = {shown(steps)} is not a list; give steps such as [0, 100].", f"record.{name}")
        named = enumerate(steps or [])
        found[name] = [check_count(f"record.{name}[{j}]", s, low=begin, high=shortest) for j, s in named] or None
    return found


def read_toml(path: str | PathLike[str]) -> dict[str, Any]:
    """The tables of a TOML file; InputError names the line and column where it does not parse."""
    return parse_toml(text_of(path), path)


def text_of(path: str | PathLike[str]) -> str:
    """The text of a file in UTF-8, or an InputError."""
    try:
        return check_path("path", path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f" cannot be read ({error.strerror or error}); give an experiment file; simlab init writes one.",
            path,
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f" is not text in UTF-8 (byte {error.start}); save it as UTF-8.", path) from None


def parse_toml(text: str, path: str | PathLike[str]) -> dict[str, Any]:
    """The tables of the text of the file `path`, or an InputError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f" is not valid TOML: {' '.join(str(error).split())}; correct it there.", path) from None
    except RecursionError:
        raise InputError(" nests its tables and lists too deeply; write it flatter.", path) from None
    except ValueError:  # Python does not read whole numbers of more than some thousand digits
        raise InputError(" holds a whole number of thousands of digits; give one that can be used.", path) from None


# -- the canonical form


def canonical(tree: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A plain copy of the tables with canonical kinds, absolute paths and the default method."""
    if not isinstance(tree, Mapping):
        raise InputError(f" = {shown(tree)} is not a dict of tables; give {{'problem': {{...}}, ...}}.", "experiment")
    copy: dict[str, Any] = plain(tree, "")
    if "sweep" in copy:
        raise InputError("[sweep] makes many experiments of this one; run them with simlab sweep, or take it out.")
    copy.pop("optimize", None)  # what `simlab optimize` reads
    check_keys(copy, "", TABLES)
    if "engine" in copy:
        copy["engine"] = engine_table(copy["engine"])
    for name in TABLES:
        table_at(copy, name, name)
    if not copy.get("problem"):
        raise InputError(f"[problem] is missing; add it with a kind: {', '.join(FAMILIES)}.")
    compare = copy.get("compare", {})
    if not copy.get("method") and "methods" not in compare:
        copy["method"] = {"kind": "sgd"}
    problem = copy["problem"]
    problem["kind"] = kind_of(problem, "problem", FAMILIES)
    if copy.get("engine", {}).get("kind") == "long" and problem["kind"] in LAZY:
        problem.setdefault("compress", True)  # it makes nodes of its own, and needs no array of the modes
    copy["problem"] = family_of(copy).located(problem, folder)
    if "start" in copy:
        copy["start"] = started(copy["start"], folder)
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
    """Kinds by their own names, files by whole paths, in the table and in those that stand in it."""
    if isinstance(table, dict) and "kind" in table:
        table["kind"] = kind_of(table, path, SCHEDULES)
        if table["kind"] in FROM_FILES and isinstance(table.get("path"), str):
            table["path"] = _absolute(folder, table["path"], f"{path}.path")
    if not isinstance(table, dict):
        return
    for key, value in table.items():
        for j, item in enumerate(value if isinstance(value, list) else []):
            if isinstance(item, dict):
                _canonical_schedule(item, f"{path}.{key}[{j}]", folder)
        if isinstance(value, dict):
            _canonical_schedule(value, f"{path}.{key}", folder)


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
