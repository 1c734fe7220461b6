"""What is handed out to be computed, and to whom: here to threads, in `simlab.sweeps.work.cluster` to a scheduler."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from simlab.experiment.families.base import Interrupted
from simlab.sweeps.plan.sweep import Sweep
from simlab.sweeps.records import Computed
from simlab.sweeps.work.compute import compute

__all__ = ["Pool", "Task", "ThreadedPool"]


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


class ThreadedPool:
    """A pool of `workers` threads of this process, each of which computes one task at a time.

    The kernels release the GIL, so that Python prepares while they run.
    """

    def __init__(self, sweep: Sweep, workers: int, device: str) -> None:
        self.sweep, self.device = sweep, device
        # One more than are computed, so that no thread waits for the next while results are written.
        self.width = workers + 1
        self._stopped = threading.Event()
        self._executor = ThreadPoolExecutor(max_workers=workers)
        self._running: dict[Future[Computed], Task] = {}

    def submit(self, task: Task) -> None:
        """Begin a task."""
        self._running[self._executor.submit(self._compute, task)] = task

    def _compute(self, task: Task) -> Computed:
        name = threading.current_thread().name
        return compute(self.sweep, task.cells, name, self.device, self._going)

    def _going(self, amount: int) -> bool:
        return not self._stopped.is_set()

    def collect(self, seconds: float) -> list[tuple[Task, Computed | Exception]]:
        """What has finished by now, waiting for the first for so long at most."""
        finished, _ = wait(self._running, timeout=seconds, return_when=FIRST_COMPLETED)
        out: list[tuple[Task, Computed | Exception]] = []
        for future in finished:
            task = self._running.pop(future)
            # Nothing but a stop or a bug raises here: what a cell raises ends in its status.
            if not isinstance(future.exception(), Interrupted):
                out.append((task, future.result()))
        return out

    def stop(self) -> None:
        """Give up what is under way, and wait until it is."""
        self._stopped.set()
        self._executor.shutdown(wait=True, cancel_futures=True)
