"""Methods as records: their fields, their registry, and the one refusal of what is not linear."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

import simlab as sl
from simlab import methods, river, schedules
from simlab.errors import InputError
from simlab.experiment.method import METHODS as KINDS
from simlab.experiment.method import WRAPPERS
from simlab.experiment.problem import PROBLEMS as IN_FILES
from simlab.methods.averaging import _Average
from simlab.methods.base import METHODS, Coefficients, Number, Rated, Steps, arrays, record
from simlab.problems.base import PROBLEMS
from tests.oracles.method_zoo import ZOO

RATE = schedules.wsd(12, peak=0.1)
MOMENTUM = schedules.linear(12, 0.9, floor=0.3)
PROBLEM = sl.LinearRegression([1.0, 0.5], 1.0, 0.1)


def test_the_registry_is_what_is_public_and_what_files_know():
    assert set(METHODS) <= set(methods.__all__)
    assert {name: getattr(methods, name) for name in METHODS} == METHODS
    assert {**KINDS, **WRAPPERS, "generic": methods.generic, "custom": methods.custom} == METHODS
    assert PROBLEMS.keys() <= IN_FILES.keys()
    classes = {kind for kind in PROBLEMS.values() if inspect.isclass(kind)}
    assert classes == {sl.LinearRegression, sl.NoisyQuadratic, sl.RandomFeatures}


def test_every_method_is_in_the_zoo():
    seen = {type(layer).__name__ for make in ZOO.values() for layer in make(RATE, MOMENTUM, 2).layers()}
    # Several workers are no single recursion (tests/engines/test_workers.py), rules that are not linear none at all
    # (tests/methods/test_adaptive_rules.py).
    assert seen == {name for name, kind in METHODS.items() if kind.linear}


@pytest.mark.parametrize("name", METHODS)
def test_fields_are_the_arguments(name):
    kind = METHODS[name]
    rated = issubclass(kind, Rated)  # their steps are only for what does not say its length
    assert list(inspect.signature(kind).parameters) == [field.name for field in fields(kind)] + ["steps"] * rated
    assert kind.__doc__


@pytest.mark.parametrize("name", ZOO)
def test_a_record_is_frozen_and_may_be_replaced(name):
    method = ZOO[name](RATE, MOMENTUM, 2)
    with pytest.raises(FrozenInstanceError):
        setattr(method, fields(method)[0].name, None)
    again = replace(method)
    assert repr(again) == repr(method)
    for one, other in zip(again.coefficients(), method.coefficients(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ZOO)
def test_kernels_get_arrays_of_one_kind(name):
    method = ZOO[name](RATE, MOMENTUM, 2)
    for array in (*method.coefficients(), method.readout(), *method.coefficients(3, 7), method.readout(0, 1)):
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.dtype == np.float64


@record
class delayed(Rated):
    """w <- w - lr g(the iterate before): a method in one class."""

    batch: Number = 1
    z0, iterate = np.ones(2), np.array([1.0, 0.0])

    def recursion(self, t: Steps) -> Coefficients:
        return arrays(t.size, [[1.0, 0.0], [1.0, 0.0]], [self.at("lr", t), 0.0], [0.0, 1.0])


def test_a_new_method_is_one_class():
    new = delayed(RATE, batch=2)
    b = np.stack([RATE.values(), np.zeros(12)], axis=1)
    same = methods.generic([[1.0, 0.0], [1.0, 0.0]], b, [0.0, 1.0], steps=12, batch=2)
    one, other = (sl.exact(PROBLEM, m, progress=False).dataset["risk"].values for m in (new, same))
    np.testing.assert_array_equal(one, other)
    assert repr(new.rescale(2.0)) == "delayed(wsd(12, peak=0.1) * 2.0, batch=2)"
    with pytest.raises(sl.InputError, match="'bath' is not known; did you mean 'batch'"):
        delayed(RATE, bath=2)


@record
class crooked(methods.sgd):
    """A method that is not linear."""

    linear = False


VALLEY = river.StraightValley([4.0, 1.0], slope=0.2)
REFUSED = {
    "exact": lambda m: sl.exact(PROBLEM, m),
    "exact of many": lambda m: sl.exact(PROBLEM, {"a": methods.sgd(RATE), "b": m}),
    "long": lambda m: sl.long(PROBLEM, m),
    "exact_valley": lambda m: sl.exact_valley(VALLEY, m),
    "stability": lambda m: sl.stability(PROBLEM, m),
    "compress": lambda m: PROBLEM.compress(method=m),
    "wrapper": lambda m: methods.ema(m),
}


@pytest.mark.parametrize("door", REFUSED)
def test_what_needs_a_linear_method_refuses_others(door):
    with pytest.raises(sl.InputError, match=r"method = crooked\(.*\) is not linear, and .* needs a linear one"):
        REFUSED[door](crooked(RATE))


def test_stability_of_a_method_is_deprecated():
    with pytest.warns(DeprecationWarning, match=r"simlab\.stability\(problem, method\)") as told:
        found = methods.sgd(RATE).stability(PROBLEM)
    assert found == sl.stability(PROBLEM, methods.sgd(RATE))
    assert told[0].filename == __file__


def test_a_problem_compressed_for_many_methods_serves_each():
    """Its boundaries are those of every run, and so are its rules."""
    long = sl.LinearRegression.power_law(10_000, 1.5, 1.2, 0.1)
    runs = [methods.heavy_ball(schedules.constant(steps, 0.1), 0.9) for steps in (30, 300)]
    small = long.compress(1e-8, "effective", runs)
    for run in runs:
        ends = [sl.exact(p, run, record=[run.length], subspaces="effective", progress=False) for p in (small, long)]
        got, want = (end.dataset["risk"].values for end in ends)
        np.testing.assert_allclose(got, want, rtol=1e-7)


LOOP = methods.closed_loop(methods.sgd(RATE), sl.feedback.polyak())
RULES = [
    kind(RATE)
    for kind in METHODS.values()
    if not kind.linear and issubclass(kind, Rated) and kind is not methods.custom
]


@pytest.mark.parametrize("unfit", [*RULES, LOOP], ids=lambda one: type(one).__name__)
def test_arrays_of_what_has_no_recursion_are_refused(unfit):
    for ask in (unfit.coefficients, lambda: unfit.increments(np.arange(3))):
        with pytest.raises(InputError, match="a recursion needs a linear one"):
            ask()


def test_a_loop_has_no_rates_to_multiply():
    with pytest.raises(InputError, match="makes its rates itself"):
        LOOP.rescale(2.0)


def test_a_plain_function_is_told_how_it_becomes_a_feedback():
    with pytest.raises(InputError, match=r"is not a feedback; give such as feedback.polyak\(\), or feedback.custom of"):
        methods.closed_loop(methods.sgd(RATE), sl.feedback.polyak)
    with pytest.raises(InputError, match=r"is not a feedback; give such as feedback.polyak\(\)\."):
        methods.closed_loop(methods.sgd(RATE), 1.0)


def test_a_method_of_ones_own_without_its_formula_says_so():
    with pytest.raises(TypeError, match="declared linear and has no recursion"):
        type("Bare", (Rated,), {"batch": 1})(RATE).coefficients()
    with pytest.raises(TypeError, match="abstract method"):
        type("Bare", (_Average,), {})(methods.sgd(RATE))
