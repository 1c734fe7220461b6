"""A chunk of steps of many replicas, shared out among threads and finished whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
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
    begun goes on to its end.
    """
    try:
        run(keep, 0, 0, *tail)
    except KeyboardInterrupt:
        return False
    return True
