"""Kernels compiled once for all workers of a long test run, each by one of them, before the first test.

Every worker would compile for itself what two of them need at the same time: minutes on a machine of two cores.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import simlab as sl

MANY = 2000
"""Tests from which on a run needs nearly all kernels anyway."""

PATIENCE = 300.0
"""Seconds to wait for another worker; what it has not compiled by then is compiled when it is needed."""


def _exact(method: Callable[[sl.schedules.Schedule], sl.methods.Method]) -> None:
    problem = sl.LinearRegression.power_law(64, 1.5, 1.2, 0.1)
    sl.exact(problem, method(sl.schedules.constant(20, 0.1)), record=2, deterministic=True, progress=False)


def _sample(dtype: str) -> None:
    problem = sl.LinearRegression.power_law(64, 1.5, 1.2, 0.1)
    method = sl.methods.sgd(sl.schedules.constant(20, 0.1))
    sl.sample(problem, method, replicas=4, dtype=dtype, record=2, progress=False)


def _descend(noise: str) -> None:
    method = sl.methods.sgd(sl.schedules.constant(20, 0.1))
    drawn = getattr(sl.river.noise, noise)(0.1)
    sl.descend(sl.river.curved(), method, noise=drawn, replicas=4, record=2, progress=False, warn=False)


def _long() -> None:
    problem = sl.LinearRegression.power_law(64, 1.5, 1.2, 0.1)
    sl.long(problem, sl.methods.sgd(sl.schedules.constant(40_000, 0.1)), record=3, progress=False)


def _optimal() -> None:
    problem = sl.LinearRegression.power_law(64, 1.5, 1.2, 0.1)
    sl.optimize(problem, 20, sweeps=2)
    sl.optimize(problem, 20, sweeps=2, method="heavy_ball")
    sl.tune(problem, "linear", 20, method=sl.methods.heavy_ball)


# The longest first.
JOBS: dict[str, Callable[[], None]] = {
    "moments": lambda: _exact(lambda lr: sl.methods.heavy_ball(lr, 0.9)),
    "panels": _long,
    "single": lambda: _sample("float32"),
    "double": lambda: _sample("float64"),
    "landscapes": lambda: _descend("isotropic"),
    "optimal": _optimal,
    "across": lambda: _descend("along_hills"),
    "plain": lambda: _exact(sl.methods.sgd),
}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Share the jobs out among the workers of this run, and wait for those of others."""
    given = getattr(session.config, "workerinput", None)
    if given is None or len(session.items) < MANY:
        return
    place = Path(tempfile.gettempdir()) / f"simlab-tests-{given['testrunuid']}"
    place.mkdir(exist_ok=True)
    for name, job in JOBS.items():
        with contextlib.suppress(FileExistsError):
            (place / name).touch(exist_ok=False)
            try:
                job()
            finally:
                (place / f"{name}.done").touch()
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and not all((place / f"{name}.done").exists() for name in JOBS):
        time.sleep(0.2)
