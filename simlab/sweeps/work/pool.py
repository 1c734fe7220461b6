"""What is handed out to be computed, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from simlab.sweeps.records import Computed

__all__ = ["Pool", "Task"]


@dataclass(frozen=True)
class Task:
    """Cells of one block that are computed together, for the so-manieth time."""

    block: int
    cells: tuple[int, ...]
    attempt: int = 1


class Pool(Protocol):
    """Where tasks are computed. `width` of them are best under way at a time."""

    @property
    def width(self) -> int: ...
    def submit(self, task: Task) -> None: ...
    def collect(self, seconds: float) -> list[tuple[Task, Computed | Exception]]:
        """What has finished, after waiting for so long at most. An exception means that a worker was lost."""
        ...

    def stop(self) -> None:
        """Give up what is under way."""
        ...
