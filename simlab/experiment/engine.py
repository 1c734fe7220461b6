"""The table [engine]: exact moments, sampled trajectories, or both, and how many of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simlab.checkpoint import Checkpoint
from simlab.engines.devices import choose
from simlab.errors import InputError, check_path
from simlab.experiment.tables import Table, call, check_keys, kind_of, shown

__all__ = ["ENGINES", "check_sampler", "engine_table", "sampling"]

ENGINES = ("exact", "sample", "both")


def options(
    replicas: int = 256,
    seed: int = 0,
    law: str | None = None,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    coordinates: Sequence[int] | None = None,
    split: bool = True,
    device: str = "auto",
    dtype: str | None = None,
    block: int | None = None,
    checkpoint: str | None = None,
    every: int | None = None,
) -> dict[str, Any]:
    """The arguments of `simlab.sample` that an experiment file may give; see there."""
    return dict(locals())


def engine_table(value: Any) -> Table:
    """The table of `engine = "both"` or of [engine], with its kind by its own name; checked."""
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, dict):
        raise InputError(
            f' = {shown(value)} is not known; give "exact", "sample" or "both", or a table [engine].', "engine"
        )
    table = {**value, "kind": kind_of({"kind": "sample", **value}, "engine", ENGINES)}
    if table["kind"] == "exact":
        check_keys(table, "engine", ("kind", "device"))
    return table


def check_sampler(options: Mapping[str, Any]) -> None:
    """Refuse what would stop the sampled leg of a run only after the exact one: its device, the folder of its state."""
    choose(options["device"])
    if options["checkpoint"] is not None:
        Checkpoint(options["checkpoint"], "run-0", "")


def sampling(table: Table, folder: Path) -> dict[str, Any]:
    """The keyword arguments for `simlab.sample`; a checkpoint folder is relative to the experiment's."""
    arguments: dict[str, Any] = call(options, table, "engine", {})
    if arguments["checkpoint"] is not None:
        arguments["checkpoint"] = folder / check_path("engine.checkpoint", arguments["checkpoint"])
    return arguments
