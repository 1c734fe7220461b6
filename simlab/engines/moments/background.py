"""Work on threads that nobody has to wait for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import TypeVar

from simlab.progress import Progress, ProgressBar
from simlab.trace.recording import RunResult, Tick

__all__ = ["Job", "run_all", "run_in_background"]

T = TypeVar("T")

PATIENCE = 1.0
"""Seconds that runs have for their first chunk of steps after Ctrl-C."""

Job = Callable[[Tick], list[RunResult]]


def run_in_background(calls: Sequence[Callable[[], T]], workers: int) -> list[Future[T]]:
    """Start the calls, in order and `workers` at a time; a future of each.

    The threads are daemons, unlike those of a ThreadPoolExecutor, for which the interpreter waits before it exits: so a
    caller that gives up is heard though one of them is compiling.
    """
    futures: list[Future[T]] = [Future() for _ in calls]
    waiting: queue.SimpleQueue[tuple[Future[T], Callable[[], T]]] = queue.SimpleQueue()
    for pair in zip(futures, calls, strict=True):
        waiting.put(pair)

    def work() -> None:
        while True:
            try:
                future, call = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)

    for _ in range(min(workers, len(futures))):
        threading.Thread(target=work, daemon=True).start()
    return futures


def run_all(
    jobs: list[Job], total: int, workers: int, progress: Progress | bool | None, engine: str, unit: str
) -> list[RunResult]:
    """Run the jobs on threads (the kernels release the GIL); the main thread stays free for Ctrl-C and the bar.

    Ctrl-C ends every run after its chunk of steps. Where none has finished one, kernels are being compiled, which may
    take a minute and cannot be told to stop: then, and at a second Ctrl-C, KeyboardInterrupt is raised.
    """
    stop = threading.Event()
    lock = threading.Lock()
    done = 0

    def tick(amount: int) -> bool:
        nonlocal done
        with lock:
            done += amount
        return not stop.is_set()

    bar = ProgressBar(engine, unit, progress)
    futures = run_in_background([partial(job, tick) for job in jobs], workers)
    pending = set(futures)
    try:
        while pending:
            _, pending = wait(pending, timeout=0.1)
            bar(min(done, total), total)
    except KeyboardInterrupt:
        stop.set()
        if wait(futures, timeout=PATIENCE).not_done and done == 0:
            raise
        wait(futures)
    except BaseException:
        stop.set()
        wait(futures)
        raise
    finally:
        bar.close()
    return [result for future in futures for result in future.result()]
