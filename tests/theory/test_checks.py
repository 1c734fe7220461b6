"""Every theorem of the catalogue by its kind: it holds, refuses what lies outside, and a wrong one would be caught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simlab import theory
from simlab.conformance.check import Check
from simlab.conformance.checks import bordelon2022
from simlab.conformance.validate import checks
from tests.theory.by_kind import check_by_kind, sees_errors

CHECKS = checks()
SGD = CHECKS["sgd_mass"]


def quick(name: str) -> object:
    """What takes seconds for its few seeds is thorough."""
    return pytest.param(name, marks=[pytest.mark.thorough] if CHECKS[name].cost >= 0.4 else [])


@pytest.mark.parametrize("name", [quick(name) for name in CHECKS])
def test_theorem(name):
    check = CHECKS[name]
    seeds = range(int(np.clip(0.15 / check.cost, 4, 40)))
    check_by_kind(check, seeds)
    sees_errors(check, seeds)


@pytest.mark.thorough
@pytest.mark.parametrize("name", CHECKS)
def test_theorem_at_more_seeds(name):
    check = CHECKS[name]
    check_by_kind(check, range(int(np.clip(0.8 / check.cost, 8, 80))))


def test_checks_stand_in_the_module_of_their_theorems_name():
    for name, check in CHECKS.items():
        assert theory.find(name).function.__module__.split(".")[-1] in {
            function.__module__.split(".")[-1]
            for function in (check.draw, check.true, check.says, check.parts)
            if function
        }, name


def test_the_theorem_that_is_called_is_the_one_that_is_named():
    """A check copied from another theorem's and not adapted fails."""
    given = SGD.draw(np.random.default_rng(0))
    stated = [replace(SGD, theorem=name).compare(given).stated["risk"] for name in ("sgd_mass", "nesterov_mass")]
    assert stated[0] == theory.find("sgd_mass")(given["eigenvalues"], given["lr"], given["batch"])
    assert stated[1] == theory.find("nesterov_mass")(given["eigenvalues"], given["lr"], 0.0, given["batch"])


def test_what_the_theorem_does_not_take_is_left_out():
    assert SGD.taken({"eigenvalues": [1.0], "lr": 0.1, "momentum": 0.0, "method": "sgd"}) == {
        "eigenvalues": [1.0],
        "lr": 0.1,
    }


def test_changes_are_applied_one_at_a_time():
    check = replace(SGD, outside=[{"lr": 0.0}, {"batch": 0.5}])
    given = SGD.taken(SGD.draw(np.random.default_rng(0)))
    first, second = check.cases_outside(np.random.default_rng(0))
    assert (first["lr"], first["batch"]) == (0.0, given["batch"])
    assert (second["lr"], second["batch"]) == (given["lr"], 0.5)


def _check(true, **more):
    return Check("critical_lr", lambda rng: {"eigenvalues": np.ones(2)}, true, [], **more)


def test_forms_of_what_is_true():
    """An array is the risk; parts by name; a plain statement is made of every part."""
    given = {"eigenvalues": np.ones(2)}
    stated = float(theory.find("critical_lr")(**given))
    assert _check(lambda given: 0.5).compare(given).stated["risk"] == stated
    two = _check(lambda given: {"a": [1.0, 2.0], "b": 3.0}).compare(given)
    assert two.stated["a"].tolist() == [stated, stated]
    assert two.stated["b"] == stated
    says = _check(lambda given: {"a": 1.0}, says=lambda lr, given: {"a": 2.0 * lr}).compare(given)
    assert says.stated["a"] == 2.0 * stated
    both = _check(lambda given: 0.5, parts=lambda x, given, true: {"over true": x / true}).compare(given)
    assert (both.stated["over true"], both.true["over true"]) == (stated / 0.5, 1.0)
    with pytest.raises(ValueError, match=r"critical_lr is said of \['b'\], and \['a'\] are true"):
        _check(lambda given: {"a": 1.0}, says=lambda lr, given: {"b": lr}).compare(given)
    by_mode = CHECKS["sgd_volterra"]
    drawn = by_mode.draw(np.random.default_rng(1))
    named = replace(by_mode, true=lambda given: {"risk": bordelon2022.CHECKS[0].true(given).modes}).compare(drawn)
    np.testing.assert_array_equal(named.stated["risk"], theory.find("sgd_volterra")(**by_mode.taken(drawn)).modes)
