"""Independent tasks in worker processes, any one of which may fail or die without the others noticing.

concurrent.futures gives up all that is left when one process is killed (by a lack of memory, say), and leaves its
workers behind when the parent is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any

__all__ = ["Died", "in_processes"]

TICK = 0.25
"""Seconds between two looks at the clock while tasks are under way."""
THREADS = tuple(f"{library}_NUM_THREADS" for library in ("OPENBLAS", "MKL", "OMP"))
"""What tells libraries of linear algebra how many threads to take, in a process that is started."""


@dataclass(frozen=True)
class Died:
    """In place of a result: the process ended in the middle of the task."""

    exit_code: int | None


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    task: int | None = None
    began: float = 0.0


def in_processes(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    count: int,
    clock: Callable[[dict[int, float]], None] = lambda running: None,
) -> Iterator[tuple[int, Any]]:
    """(number of the task, function(*task) or `Died`) as they are finished, `count` at a time, in fresh (spawned)
    interpreters.

    `clock` is called now and then with the seconds that every task under way has taken. `function` has to be found by
    its name in a module, and should catch what it raises.
    """
    waiting = list(range(len(tasks)))[::-1]
    alone = min(count, len(tasks)) == 1
    workers = [_start(function, alone) for _ in range(min(count, len(tasks)))]
    try:
        for worker in workers:
            _give(worker, waiting, tasks)
        while busy := [worker for worker in workers if worker.task is not None]:
            ready = wait([worker.pipe for worker in busy], timeout=TICK)
            now = time.monotonic()
            clock({worker.task: now - worker.began for worker in busy if worker.task is not None})
            for worker in busy:
                if worker.pipe not in ready or worker.task is None:
                    continue
                number, result = worker.task, _receive(worker)
                if isinstance(result, Died):
                    fresh = _start(function, alone)
                    worker.process, worker.pipe = fresh.process, fresh.pipe
                worker.task = None
                _give(worker, waiting, tasks)
                yield number, result
    finally:
        for worker in workers:
            worker.process.terminate()
            worker.process.join()
            worker.pipe.close()


def _start(function: Callable[..., Any], alone: bool) -> _Worker:
    """A worker; one that is not alone has one thread for linear algebra, unless the environment says otherwise."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(function, theirs), daemon=True)
    told = [] if alone else [name for name in THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(told, "1"))
    try:
        process.start()
    finally:
        for name in told:
            del os.environ[name]
    theirs.close()
    return _Worker(process, ours)


def _give(worker: _Worker, waiting: list[int], tasks: Sequence[tuple[Any, ...]]) -> None:
    if waiting:
        worker.task, worker.began = waiting.pop(), time.monotonic()
        # A process that is dead already says so when it is listened to.
        with contextlib.suppress(BrokenPipeError):
            worker.pipe.send(tasks[worker.task])


def _receive(worker: _Worker) -> Any:
    try:
        return worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        worker.pipe.close()
        return Died(worker.process.exitcode)


def _serve(function: Callable[..., Any], pipe: Connection) -> None:
    """What a worker does: one task after the other, until its parent is gone."""
    # Ctrl-C reaches the whole group of processes; the parent is the one that answers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(function(*task))


def _leave_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
