"""The table [start]: the state of another run, from whose saved trace this one goes on."""

from __future__ import annotations

from pathlib import Path

from simlab.errors import check_count, check_path
from simlab.experiment.tables import Table, check_keys, within
from simlab.trace.risk import saved
from simlab.trace.state import State
from simlab.trace.stored import pick

__all__ = ["read_start", "started"]

KEYS = ("trace", "step", "run")


def started(table: Table, folder: Path) -> Table:
    """The table with the path of its trace made absolute, or an InputError."""
    check_keys(table, "start", KEYS)
    return {**table, "trace": str((folder / check_path("start.trace", table.get("trace"))).resolve())} if table else {}


def read_start(table: Table) -> State | None:
    """The state kept in `start.trace` at `start.step` (default: the last one kept), of `start.run` among several."""
    if not table:
        return None
    with within("start", KEYS):
        step = None if table.get("step") is None else check_count("step", table["step"], low=0)
        _, states = saved(Path(table["trace"]))
        return pick(states, step, table.get("run"))
