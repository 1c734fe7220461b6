"""What the rooms of a sweep hand to each other: what became of cells, and what was computed of them."""

from __future__ import annotations

from dataclasses import dataclass

from simlab.experiment.families.base import Array

__all__ = ["Call", "Computed", "Row"]


@dataclass(frozen=True)
class Row:
    """What became of a cell. status : "done", "diverged", "interrupted" or "error" (with its message).  call : the one
    that made it, -1 for a cell that is in the store already.
    """

    cell: int
    status: str
    message: str
    fingerprint: str
    seconds: float
    call: int = -1


@dataclass(frozen=True)
class Call:
    """One call of an engine: the cells that it computed together, where, when and for how long."""

    engine: str
    device: str
    worker: str
    cells: int
    started: float
    seconds: float


@dataclass(frozen=True)
class Computed:
    """What is kept of some cells: arrays by variable with the cells first, their rows, the calls that made them."""

    cells: list[int]
    arrays: dict[str, Array]
    rows: list[Row]
    calls: list[Call]
