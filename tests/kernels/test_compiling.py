"""How kernels are compiled; what is waited for a kernel is not held against the run."""

from __future__ import annotations

import time

import numpy as np
from numba import njit
from numba.core.codegen import JITCodeLibrary
from numba.core.event import trigger_event

import simlab as sl
from simlab.engines.moments.collocated import March
from simlab.kernels.compiling import hot, inlined, running_time


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


def test_what_kernels_inline_can_be_called_from_python_before_and_after_a_kernel_has_compiled_it():
    @inlined
    def twice(x):
        return 2.0 * x

    @njit
    def kernel(x):
        return twice(x) + 1.0

    assert twice(3.0) == 6.0
    assert kernel(3.0) == 7.0
    assert len(twice.overloads) == 1
    assert twice(3.0) == 6.0


def test_what_is_inlined_is_not_turned_into_machine_code_by_itself(monkeypatch):
    made: list[str] = []
    finish = JITCodeLibrary._finalize_specific

    def counted(self):
        made.append(self.name)
        finish(self)

    @hot
    def total(x):
        sum_ = 0.0
        for i in range(x.size):
            sum_ += x[i]
        return sum_

    @njit
    def kernel(x):
        return total(x)

    monkeypatch.setattr(JITCodeLibrary, "_finalize_specific", counted)
    assert kernel(np.ones(5)) == 5.0
    assert len(made) == 1
    assert made[0].endswith("kernel")
    # Nothing of it is called from the kernel.
    (code,) = kernel.inspect_llvm().values()
    assert not [line for line in code.splitlines() if "call" in line and "total" in line]
