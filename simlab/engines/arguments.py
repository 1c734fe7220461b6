"""What the public doors of the engines accept alike: one method or several, and a number of threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from simlab.errors import InputError, check_count
from simlab.methods.base import Method

__all__ = ["MethodArgument", "Progress", "named_methods", "worker_count"]

MethodArgument = Method | Sequence[Method] | Mapping[str, Method]
Progress = Callable[[int, int], None]


def named_methods(method: MethodArgument) -> tuple[list[Method], list[str] | None]:
    """The methods and their labels; no labels for a single method, which gets no run axis."""
    if isinstance(method, Method):
        return [method], None
    pairs = list(method.items()) if isinstance(method, Mapping) else [(str(m), m) for m in method]
    if not pairs:
        raise InputError("method is an empty list; give at least one method.")
    for name, m in pairs:
        if not isinstance(m, Method):
            raise InputError(
                f"method {name!r} is {type(m).__name__}, not a method; make one with methods.sgd(schedule)."
            )
    names = [name for name, _ in pairs]
    seen: dict[str, int] = {}
    for j, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            names[j] = f"{name} #{seen[name]}"
    return [m for _, m in pairs], names


def worker_count(threads: int | None) -> int:
    """The number of threads asked for, or the processors that this process may use."""
    if threads is not None:
        return check_count("threads", threads)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
