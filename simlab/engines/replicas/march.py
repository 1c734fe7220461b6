"""A chunk of steps of many replicas, shared out among threads and finished whatever happens."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from types import FrameType
from typing import Any

import numpy as np

__all__ = ["compile_first", "run_pieces"]


def run_pieces(
    pool: ThreadPoolExecutor,
    run: Callable[..., Any],
    keep: Any,
    tail: tuple[Any, ...],
    replicas: int,
    pieces: int,
    unit: int = 1,
) -> bool:
    """run(keep, begin, end, *tail) for about equal pieces of the replicas, cut at multiples of `unit`.

    True if Ctrl-C was pressed meanwhile. The chunk is finished even so: all replicas stand at the same step.
    """
    units = replicas // unit
    edges = np.linspace(0, units, min(units, pieces) + 1).astype(np.int64) * unit
    futures = [pool.submit(run, keep, int(lo), int(hi), *tail) for lo, hi in pairwise(edges)]
    pending, disturbed = set(futures), False
    while pending:
        try:
            _, pending = wait(pending, timeout=0.1)
        except KeyboardInterrupt:
            disturbed = True
    for future in futures:
        future.result()
    return disturbed


def compile_first(run: Callable[..., Any], keep: Any, tail: tuple[Any, ...]) -> bool:
    """Compile run(keep, begin, end, *tail) by a call for no replica at all; False if Ctrl-C was pressed meanwhile.

    In the caller's thread, the main one as a rule, which alone hears Ctrl-C: on a thread of its own a compiler that has
    begun goes on to its end. LLVM calls back into Python, where a KeyboardInterrupt is lost; so it is written down too.
    """
    pressed = []

    def hear(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        signal.default_int_handler(number, frame)

    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if ours:
            signal.signal(signal.SIGINT, hear)
        run(keep, 0, 0, *tail)
    except KeyboardInterrupt:
        return False
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    return not pressed
