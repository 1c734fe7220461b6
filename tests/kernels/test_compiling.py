"""What is waited for a kernel is not held against the run."""

from __future__ import annotations

import time

from numba.core.event import trigger_event

import simlab as sl
from simlab.engines.moments.collocated import March
from simlab.kernels.compiling import running_time


def test_the_clock_stands_still_while_kernels_are_compiled():
    with running_time() as clock:
        time.sleep(0.05)
        with trigger_event("numba:compile"), trigger_event("numba:compile"):
            time.sleep(0.3)
        assert 0.05 <= clock() < 0.3


def test_a_run_is_given_its_whole_budget_however_late_a_kernel_is_compiled(monkeypatch):
    problem = sl.LinearRegression.power_law(60, 1.5, 1.2, 0.1)
    method = sl.methods.sgd(sl.schedules.constant(30_000, 0.1))
    sl.long(problem, method, record=3, progress=False)  # from here on all is compiled
    pieces = March.pieces

    def late(self, *arguments):
        for n, piece in enumerate(pieces(self, *arguments)):
            if n == 1:
                with trigger_event("numba:compile"):
                    time.sleep(1.0)
            yield piece

    monkeypatch.setattr(March, "pieces", late)
    assert sl.long(problem, method, record=3, budget=0.9, progress=False).status == "done"
    monkeypatch.setattr(March, "pieces", lambda self, *rest: (time.sleep(0.02) or each for each in pieces(self, *rest)))
    assert sl.long(problem, method, record=3, budget=0.01, progress=False).status == "interrupted"
