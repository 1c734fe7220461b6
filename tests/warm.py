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

PATIENCE = 300.0
"""Seconds to wait for another worker; what it has not compiled by then is compiled when it is needed."""

PROBLEM = {"dim": 64, "capacity": 1.5, "source": 1.2, "noise_variance": 0.1}
LR = {"steps": 20, "peak": 0.1}


def _exact(method: Callable[[sl.schedules.Schedule], sl.methods.Method]) -> None:
    problem = sl.LinearRegression.power_law(**PROBLEM)
    sl.exact(problem, method(sl.schedules.constant(**LR)), record=2, deterministic=True, progress=False)


def _sample(dtype: str) -> None:
    problem = sl.LinearRegression.power_law(**PROBLEM)
    method = sl.methods.sgd(sl.schedules.constant(**LR))
    sl.sample(problem, method, replicas=4, dtype=dtype, record=2, progress=False)


def _descend(landscape: str, noise: str) -> None:
    method = sl.methods.sgd(sl.schedules.constant(**LR))
    drawn, ground = getattr(sl.river.noise, noise)(0.1), getattr(sl.river, landscape)()
    sl.descend(ground, method, noise=drawn, replicas=4, record=2, progress=False, warn=False)


def _long() -> None:
    problem = sl.LinearRegression.power_law(**PROBLEM)
    sl.long(problem, sl.methods.sgd(sl.schedules.constant(40_000, 0.1)), record=3, progress=False)


def _averaged(lr: sl.schedules.Schedule) -> sl.methods.Method:
    return sl.methods.ema(sl.methods.heavy_ball(lr), 0.9)


def _optimal() -> None:
    problem = sl.LinearRegression.power_law(**PROBLEM)
    sl.optimize(problem, 20, sweeps=2)
    for method in ("heavy_ball", "ema"):
        sl.optimize(problem, 20, sweeps=2, method=method)
    sl.optimize(problem, 20, sweeps=2, horizons=[10, 20])
    sl.tune(problem, "linear", 20, method=sl.methods.heavy_ball)
    sl.tune(problem, "linear", 20, method=_averaged)
    sl.tune(problem, "linear", 20, method=lambda lr: sl.methods.ema(_averaged(lr), 0.9))


def _rules() -> None:
    problem, flat = sl.LinearRegression.power_law(**PROBLEM), sl.schedules.constant(**LR)
    for method in (sl.methods.adam(flat), sl.methods.closed_loop(sl.methods.sgd(flat), sl.feedback.adagrad_norm(1.0))):
        sl.sample(problem, method, replicas=4, basis="eigen", record=2, progress=False)


def _rules_on_landscapes() -> None:
    method = sl.methods.adam(sl.schedules.constant(**LR))
    sl.descend(sl.river.curved(), method, replicas=4, record=2, progress=False, warn=False)


def _mixtures() -> None:
    domain = sl.LinearRegression.power_law(**PROBLEM)
    method = sl.methods.sgd(sl.schedules.constant(**LR))
    mixture = sl.Mixture([domain, domain], share=[0.5, 0.5])
    sl.exact(mixture, method, record=2, progress=False)
    sl.sample(mixture, method, replicas=4, record=2, progress=False)


def _mixtures_in_blocks() -> None:
    """Enough directions and steps for blocks to pay; one kernel for each number of domains and of state variables."""
    domain = sl.LinearRegression.power_law(**{**PROBLEM, "dim": 1024})
    lr = sl.schedules.constant(20_000, 0.1)
    for method in (sl.methods.sgd(lr), sl.methods.heavy_ball(lr * 0.1)):
        for domains in (2, 3):
            shifted = [domain.shifted(0.5)] * (domains - 1)
            sl.exact(sl.Mixture([domain, *shifted]), method, record=2, progress=False)


# The longest first.
JOBS: dict[str, Callable[[], None]] = {
    "panels": _long,
    "moments": lambda: _exact(lambda lr: sl.methods.heavy_ball(lr, 0.9)),
    "rules": _rules,
    "single": lambda: _sample("float32"),
    "landscapes": lambda: _descend("curved", "isotropic"),
    "double": lambda: _sample("float64"),
    "optimal": _optimal,
    "mixtures": _mixtures,
    "mixtures in blocks": _mixtures_in_blocks,
    "rules on landscapes": _rules_on_landscapes,
    "across": lambda: _descend("hyperbolic", "along_hills"),
}


def whole(config: pytest.Config) -> bool:
    """Whether a run is of all tests, which need nearly all kernels."""
    return list(config.args) == config.getini("testpaths") and not config.option.keyword


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Share the jobs out among the workers of this run, and wait for those of others.

    Before tests are collected: some modules compute while they are imported, each worker for itself.
    """
    given = getattr(session.config, "workerinput", None)
    if given is None or not whole(session.config):
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
