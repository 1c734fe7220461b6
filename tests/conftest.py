"""What every test shares: floating-point errors raise, hypothesis repeats itself, slow suites wait to be asked for.

Numba's on-disk cache (simlab/kernels/cache.py) is kept between runs on purpose: a cold start compiles for minutes.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

# By environment and not by import: most tests never load matplotlib.
os.environ.setdefault("MPLBACKEND", "Agg")
# Workers have a processor each; threads of linear algebra beside theirs only wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    for library in ("OPENBLAS", "MKL", "OMP"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings
from numba.core import event

# A shell starts what it puts into the background deaf to Ctrl-C, and the tests' children would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.warm"]

TIERS = ("slow", "thorough")
"""Markers of tests that wait to be asked for: suites of hours, and eight minutes of what takes seconds each."""

settings.register_profile("simlab", derandomize=True, deadline=None, max_examples=50, database=None)
settings.load_profile("simlab")


def pytest_addoption(parser: pytest.Parser) -> None:
    for tier in TIERS:
        parser.addoption(f"--run-{tier}", action="store_true", help=f"run the tests marked {tier} as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left = [t for t in TIERS if not (config.getoption(f"--run-{t}") or t in config.getoption("-m"))]
    skips = {tier: pytest.mark.skip(reason=f"{tier}: run with -m {tier} or --run-{tier}") for tier in left}
    for item in items:
        for tier in left:
            if tier in item.keywords:
                item.add_marker(skips[tier])


class _OnceEach(event.Listener):
    """A kernel that is compiled again, for half a minute, because an array lies otherwise in memory, fails its test."""

    depth = 0

    def on_start(self, happened: event.Event) -> None:
        self.depth += 1
        dispatcher, given = (happened.data or {}).get("dispatcher"), str(happened.data and happened.data["args"])
        if self.depth == 1 and dispatcher and dispatcher.py_func.__module__.startswith("simlab.kernels."):
            # Fortran's order, strides, or read-only; of an argument, and within a tuple of arrays.
            odd = re.search(r"[Aa]rray\([^()]*('[AF]'|d, [AF]\)|'[CAF]', True)|readonly", given)
            assert odd is None, f"{dispatcher.py_func.__qualname__} is compiled again for {odd and odd[0]}"

    def on_end(self, _happened: event.Event) -> None:
        self.depth -= 1


event.register("numba:compile", _OnceEach())


@pytest.fixture(autouse=True)
def _floating_point_errors_raise():
    """Overflow, division by zero and NaN are errors; underflow is how a decayed mode ends.

    Worker threads of the engine keep numpy's default, a warning, which pytest's configuration turns into an error.
    """
    with np.errstate(all="raise", under="ignore"):
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real measurements beside the checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: real measurements are not shipped with the repository")
    return folder
