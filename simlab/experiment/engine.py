"""The table [engine] and what else a run is given besides problem and methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simlab.checkpoint import Checkpoint
from simlab.engines.gpu.devices import choose
from simlab.errors import InputError
from simlab.experiment.tables import Table, check_keys, kind_of, shown
from simlab.subspaces import Subspaces
from simlab.trace.state import State

__all__ = ["KINDS", "OWN_KEYS", "Setting", "engine_table", "legs_of"]

KINDS = ("exact", "long", "limit", "sample", "both")
"""What engine.kind may be."""

OWN_KEYS = {"exact": ("device",), "long": ("tolerance", "budget"), "limit": ()}
"""Keys of [engine] where nothing is sampled."""

REFEREED = ("exact", "long")
"""What samples may be held against, by `against` of engine.kind = "both"."""


@dataclass(frozen=True)
class Setting:
    """What runs are given besides problem and methods, read once from the tables [engine] and [record].

    folder : what paths are relative to.  engine, device : as the file says.  record : the steps.  partition : of the
    modes.  single : whether there is one run and no [compare].  options : the other arguments of the sampler.  extras :
    what else of [record] the exact engine takes.  legs : the engines that run, in turn.  bounds : tolerance and budget
    of the long one.
    """

    folder: Path
    engine: str
    device: str
    record: Any
    partition: Subspaces
    single: bool
    options: Mapping[str, Any]
    extras: Mapping[str, Any]
    start: State | None = None
    legs: tuple[str, ...] = ("exact",)
    bounds: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sampled(self) -> bool:
        """Whether there is a sampled leg."""
        return "sample" in self.legs

    def check_sampler(self) -> None:
        """Refuse what would stop the sampled leg of a run only after the exact one: its device, its folder of state."""
        choose(self.device)
        if self.options["checkpoint"] is not None:
            Checkpoint(self.options["checkpoint"], "run-0", "")


def engine_table(value: Any) -> Table:
    """The table of `engine = "both"` or of [engine], with its kind by its own name; checked."""
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, dict):
        raise InputError(
            f' = {shown(value)} is not known; give "exact", "long", "limit", "sample" or "both", or a table [engine].',
            "engine",
        )
    table = {**value, "kind": kind_of({"kind": "sample", **value}, "engine", KINDS)}
    if table["kind"] in OWN_KEYS:
        check_keys(table, "engine", ("kind", *OWN_KEYS[table["kind"]]))
    if table["kind"] == "both":
        _check_both(table)
    return table


def _check_both(table: Table) -> None:
    """Refuse what samples cannot be held against, and keys of the long engine where they are not held against it."""
    if table.get("against", "exact") not in REFEREED:
        raise InputError(f" = {shown(table['against'])} is not known; give 'exact' or 'long'.", "engine.against")
    for key in OWN_KEYS["long"]:
        if key in table and table.get("against") != "long":
            raise InputError(" is for the long engine; leave it out, or add against = 'long'.", f"engine.{key}")


def legs_of(table: Table) -> tuple[str, ...]:
    """The methods of a family (`simlab.experiment.families`) that a checked table [engine] stands for, in turn."""
    return (table.get("against", "exact"), "sample") if table["kind"] == "both" else (table["kind"],)
