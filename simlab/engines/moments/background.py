"""Work on threads that nobody has to wait for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["run_in_background"]

T = TypeVar("T")


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
