"""Benchmarks: `pytest tests/benchmarks --benchmark-enable`. Ratios within one run are what counts; they are printed
last.
"""

from __future__ import annotations

import sys

import pytest


def pytest_terminal_summary(terminalreporter, config):
    """For every group, how many times as long as the test named `simlab` the others take (medians of one run)."""
    session = getattr(config, "_benchmarksession", None)
    groups: dict[str, dict[str, float]] = {}
    for bench in getattr(session, "benchmarks", []):
        if bench.group and not bench.has_error:
            label = (bench.params or {}).get("who", bench.name)
            groups.setdefault(bench.group, {})[label] = bench.stats.median
    for group, medians in groups.items():
        own = medians.get("simlab")
        if own is None:
            continue
        others = ", ".join(f"{who} {value / own:.1f} x" for who, value in medians.items() if who != "simlab")
        terminalreporter.write_line(f"{group}: simlab {own * 1e3:.2f} ms; {others}")


@pytest.fixture(autouse=True)
def _precision_of_jax_is_put_back():
    """Peers in double precision say so to the whole process; the tests of optax, in the same one, want single."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", False)


@pytest.fixture
def asked_for(request):
    """Some are timed whether or not pytest-benchmark times them: only where it is asked for."""
    if not request.config.getoption("--benchmark-enable"):
        pytest.skip("a timing: run with --benchmark-enable")
