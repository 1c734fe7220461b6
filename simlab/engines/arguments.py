"""What the public doors of the engines accept alike: a problem, methods, threads, and who hears of progress."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simlab.engines.registry import ENGINES
from simlab.errors import InputError, brief, check_count, check_entries
from simlab.methods.base import Method, require_linear
from simlab.methods.workers import team_of
from simlab.problems.mixture import Mixture
from simlab.progress import Progress
from simlab.schedules import Schedule

__all__ = [
    "MOST_STEPS",
    "MethodArgument",
    "Progress",
    "check_counters",
    "check_problem",
    "check_progress",
    "check_team",
    "named_methods",
    "worker_count",
]

MethodArgument = Method | Sequence[Method] | Mapping[str, Method]

MOST_STEPS = 2**32 - 1
MOST_SAMPLES = 2**29 - 1
"""What the words of a counter hold."""

CHUNK = 65_536


def named_methods(method: MethodArgument, engine: str) -> tuple[list[Method], list[str] | None]:
    """The methods, linear where the engine takes no others, and their labels.

    No labels for a single method, which gets no run axis.
    """

    def taken(m: Method) -> Method:
        free = ENGINES[engine].workers if m.workers else not ENGINES[engine].linear
        return m if free else require_linear(m, engine)

    if isinstance(method, Method):
        return [taken(method)], None
    given: Any = method
    if isinstance(given, Schedule):
        raise InputError(f" = {brief(given)} is a schedule; make a method of it with methods.sgd(schedule).", "method")
    if isinstance(method, Mapping):
        pairs: list[tuple[Any, Any]] = list(method.items())
    else:
        pairs = [(None, m) for m in check_entries("method", method, "methods, such as methods.sgd(schedule)")]
    if not pairs:
        raise InputError(" is an empty list; give at least one method.", "method")
    for j, (name, m) in enumerate(pairs):
        if not isinstance(m, Method):
            which = f"method[{j}]" if name is None else f"method {brief(name)}"
            raise InputError(f" is {type(m).__name__}, not a method; make one with methods.sgd(schedule).", which)
    names = [str(m) if name is None else name for name, m in pairs]
    seen: dict[str, int] = {}
    for j, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            names[j] = f"{name} #{seen[name]}"
    return [taken(m) for _, m in pairs], names


def check_problem(problem: Any, allowed: type | tuple[type, ...], names: str) -> None:
    """Refuse what is no problem of the `allowed` kinds, called `names`; a method in its place has its own remedy."""
    if isinstance(problem, allowed):
        return
    order = "; the problem comes first, the method second" if isinstance(problem, Method) else ""
    raise InputError(f" is {type(problem).__name__}, not a problem{order}; give {names}.", "problem")


def check_counters(method: Method) -> None:
    """Refuse a run whose steps or samples do not fit the words of a counter."""
    if method.length > MOST_STEPS:
        raise InputError(
            f" has {method.length} steps; the sampler takes {MOST_STEPS} at most, simlab.exact more.", "method"
        )
    for start in range(0, method.length, CHUNK):
        batch = method.batches(start, min(start + CHUNK, method.length))
        most = int(np.max(batch, where=np.isfinite(batch), initial=0.0))
        if most > MOST_SAMPLES:
            raise InputError(f" = {most} is more than {MOST_SAMPLES}; use math.inf for the full gradient.", "batch")


def check_team(problem: Any, method: Method) -> None:
    """Refuse workers with domains of their own where there are none, or not as many."""
    if method.workers == 0 or not team_of(method).own_domains:
        return
    if not isinstance(problem, Mixture):
        raise InputError(" = True is for workers on a Mixture; give one, or leave it out.", "own_domains")
    if method.workers != len(problem.names):
        raise InputError(
            f" = {method.workers} workers with domains of their own, and the mixture has {len(problem.names)}; give as "
            f"many.",
            "method",
        )


def check_progress(progress: Any) -> Progress | bool | None:
    """None, true or false, or a function of two numbers, or an InputError."""
    if progress is None or isinstance(progress, bool | np.bool_):
        return None if progress is None else bool(progress)
    remedy = "give True, False, or a function (done, total)"
    if not callable(progress):
        raise InputError(f" = {brief(progress)} is not a function; {remedy}.", "progress")
    try:
        inspect.signature(progress).bind(0, 1)
    except TypeError:
        raise InputError(f" = {brief(progress)} does not take two numbers; {remedy}.", "progress") from None
    except ValueError:  # a builtin that does not say what it takes
        pass
    report: Progress = progress
    return report


def worker_count(threads: int | None) -> int:
    """The number of threads asked for, or the processors that this process may use."""
    if threads is not None:
        return check_count("threads", threads)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
