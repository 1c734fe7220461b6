"""The table [compare]: entries merged over [schedule] and [method], the labels of the runs, and the runs themselves.

The rule: an entry takes everything from the base table and overrides what it names. If it changes `kind`, it takes over
from the base what means the same everywhere (`CARRIED`), and that only if the new kind has such a parameter; all else
starts from the new kind's own defaults. A base without a kind may hold nothing but such parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unicodedata import category

from simlab.errors import InputError, brief
from simlab.experiment.method import METHODS, build_method, method_parameters
from simlab.experiment.schedule import SCHEDULES, schedule_parameters
from simlab.experiment.tables import Table, check_keys, kind_of, shown, table_at
from simlab.methods import Method
from simlab.schedules import Schedule

__all__ = ["CARRIED", "Variant", "carried", "runs_of", "variants"]

CARRIED = {"schedule": ("steps", "peak", "warmup"), "method": ("batch", "momentum", "wrap")}
"""What an entry of another kind takes over from the base table."""

KINDS: dict[str, tuple[Callable[[str], set[str]], Any]] = {
    "schedule": (schedule_parameters, SCHEDULES),
    "method": (method_parameters, METHODS),
}


UNPRINTED = ("Cc", "Cs", "Zl", "Zp")
"""Categories of characters that no label has: control characters, halves of surrogates, ends of lines."""


class Variant:
    """One entry: its label (empty for the base alone), the merged table, and where it stands in the file."""

    def __init__(self, label: str, table: Table, path: str) -> None:
        self.label, self.table, self.path = label, table, path


def variants(tree: Table, part: str) -> list[Variant]:
    """The base table `part` ("schedule", "method") alone, or the entries of [compare] merged over it."""
    base, listed = table_at(tree, part, part), f"{part}s"
    compare = table_at(tree, "compare", "compare")
    check_keys(compare, "compare", ("schedules", "methods"))
    if listed not in compare:
        if not base:
            raise InputError(f"[{part}] is missing; add it with a kind and its parameters.")
        return [Variant("", base, part)]
    entries = compare[listed]
    path = f"compare.{listed}"
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(
            f" = {shown(entries)} is not a list of one table or more; write [[{path}]] and what differs.", path
        )
    merged = [_merge(base, entry, part, f"{path}[{j}]") for j, entry in enumerate(entries)]
    labels = _labels(entries, merged, path)
    return [Variant(label, table, f"{path}[{j}]") for j, (label, table) in enumerate(zip(labels, merged, strict=True))]


def _merge(base: Table, entry: Table, part: str, path: str) -> Table:
    _, kinds = KINDS[part]
    own = {key: value for key, value in entry.items() if key != "label"}
    if "kind" not in own and "kind" not in base:
        raise InputError(f" is missing, and [{part}] has none either; give one of the two a kind.", f"{path}.kind")
    if "kind" not in base:
        for key in base:
            if key not in CARRIED[part]:
                raise InputError(f" is given without a kind of [{part}]; add the kind it belongs to.", f"{part}.{key}")
    kind = kind_of(own, path, kinds) if "kind" in own else base["kind"]
    return {**carried(part, base, kind), **own}


def carried(part: str, base: Table, kind: str) -> Table:
    """The base table `part` ("schedule", "method") with another kind: what means the same everywhere stays."""
    if kind == base.get("kind"):
        return base
    takes, _ = KINDS[part]
    return {"kind": kind, **{key: base[key] for key in CARRIED[part] if key in base and key in takes(kind)}}


def runs_of(tree: Table, folder: Path, schedule: Callable[[Table, str], Schedule]) -> dict[str, Method]:
    """The labelled methods of the tables, every schedule with every method; `schedule` makes that of a table."""
    runs: dict[str, Method] = {}
    methods = variants(tree, "method")
    for variant in variants(tree, "schedule"):
        lr = schedule(variant.table, variant.path)
        for method in methods:
            label = ", ".join(part for part in (variant.label, method.label) if part)
            if label in runs:
                raise InputError(f"compare has two runs with the label {brief(label)}; give the entries other labels.")
            runs[label or str(method.table["kind"])] = build_method(method.table, method.path, lr, folder)
    return runs


def _labels(entries: Sequence[Table], merged: Sequence[Table], path: str) -> list[str]:
    """The labels given, and for the others the kind, with what the entry overrides where kinds repeat."""
    kinds = [str(table["kind"]) for table in merged]
    labels: list[str] = []
    for j, (entry, kind) in enumerate(zip(entries, kinds, strict=True)):
        label = entry.get("label", kind)
        if not isinstance(label, str) or not label.strip() or any(category(c) in UNPRINTED for c in label):
            raise InputError(f" = {shown(label)} is no label; give one line of text that prints.", f"{path}[{j}].label")
        if "label" not in entry and kinds.count(kind) > 1:
            changed = [f"{key}={_brief(value)}" for key, value in entry.items() if key != "kind"]
            label = " ".join([kind, *changed])
        if label in labels:
            raise InputError(
                f" = {brief(label)} is the label of another entry; give each its own.", f"{path}[{j}].label"
            )
        labels.append(label)
    return labels


def _brief(value: Any) -> str:
    """A value as a label shows it."""
    if isinstance(value, dict):
        return str(value.get("kind", "table"))
    if isinstance(value, list):
        return "+".join(_brief(item) for item in value) or "none"
    return str(value)
