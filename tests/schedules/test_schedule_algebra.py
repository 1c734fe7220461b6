"""Combinators, equality, copies and names of schedules."""

from __future__ import annotations

import copy
import doctest
import importlib
import json
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import simlab.schedules as sl
from simlab.errors import InputError
from tests.schedules.drawn import MARKS, nest

pytestmark = MARKS


def test_combinators_compute_what_numpy_computes() -> None:
    a, b = sl.cosine(10, 0.3), sl.linear(10, 2.0)
    x, y = a.values(), b.values()
    assert np.array_equal((a * 3).values(), x * 3)
    assert np.array_equal((3 * a).values(), x * 3)
    assert np.array_equal((np.float64(3) * a).values(), x * 3)
    np.testing.assert_allclose((a / 3).values(), x / 3, rtol=1e-15)
    assert np.array_equal((a * b).values(), x * y)
    assert np.array_equal((a + b).values(), x + y)
    assert np.array_equal((0.5 + a).values(), x + 0.5)
    assert (a + b).total() == pytest.approx(a.total() + b.total(), rel=1e-15)
    assert (a + b).peak() == pytest.approx((x + y).max(), rel=1e-15)
    assert np.array_equal(sl.join(a, b).values(), np.concatenate([x, y]))
    assert np.array_equal(a[2:7].values(), x[2:7])
    assert np.array_equal(a[-3:].values(), x[-3:])
    assert np.array_equal(a.slice(1).values(), x[1:])
    assert np.array_equal(a.repeat(3).values(), np.tile(x, 3))
    assert np.array_equal(a.clip(0.05, 0.2).values(), np.clip(x, 0.05, 0.2))
    assert np.array_equal(a.clip(0.05).values(), np.maximum(x, 0.05))
    assert sl.repeat(a, 3) == a.repeat(3)
    assert sl.clip(a, 0.05, 0.2) == a.clip(0.05, 0.2)


def test_warmed_replaces_the_first_steps() -> None:
    s = sl.cosine(10, 0.3)
    warm = s.warmed(4)
    assert len(warm) == 10
    np.testing.assert_allclose(warm.values(0, 4), s(4) * np.array([0.25, 0.5, 0.75, 1.0]), rtol=1e-15)
    assert np.array_equal(warm.values(4), s.values(4))
    from_value = sl.cosine(10, 0.3, warmup=4).warmed(4, 0.1)
    np.testing.assert_allclose(from_value.values(0, 5), [0.1, 0.15, 0.2, 0.25, 0.3], rtol=1e-15)
    assert np.array_equal(from_value.values(4), sl.cosine(10, 0.3, warmup=4).values(4))
    np.testing.assert_allclose(sl.constant(4, 0.1).warmed(2, 0.3).values(), [0.3, 0.2, 0.1, 0.1], rtol=1e-15)
    assert np.array_equal(sl.constant(4, 0.1).warmed(2, 0.1).values(), [0.1] * 4)
    assert np.array_equal(s.warmed(0).values(), s.values())
    assert s.warmed(10)(9) == s(9)
    assert np.array_equal(sl.wsd(50, 0.3).warmed(0.1).values(), sl.wsd(50, 0.3, warmup=5).values())


def test_equality_is_that_of_expressions() -> None:
    assert sl.wsd(100, 0.3) == sl.wsd(1e2, peak=0.3, cooldown=0.2, floor=0.0)
    assert sl.wsd(100, 1) == sl.wsd(100, 1.0)
    assert sl.linear(9, 0.3, warmup=1) != sl.linear(9, 0.3, warmup=1.0)  # a step, the whole run
    assert sl.linear(5, 1.0) != sl.linear(5, 2.0)
    assert sl.linear(5, 1.0) != "linear(5, peak=1.0)"
    assert sl.from_array([0.1, 0.2]) == sl.from_array(np.array([0.1, 0.2]))
    assert sl.from_array([0.0]) == sl.from_array([-0.0])
    assert len({sl.cosine(10, 0.1), sl.cosine(10, 0.1), sl.cosine(11, 0.1)}) == 2


def test_repr_of_long_arrays_is_short() -> None:
    values = np.linspace(0.0, 1.0, 1000)
    s = sl.from_array(values)
    assert repr(s).startswith("from_array(<1000 values, sha256 ")
    assert s == sl.from_array(values)
    values[-1] = 2.0
    assert s != sl.from_array(values)
    assert s(999) == 1.0
    assert len(repr(sl.eigencurve(10, eigenvalues=np.ones(100)))) < 100


def test_schedules_are_immutable() -> None:
    s = sl.from_array([0.1, 0.2])
    s.values()[0] = 7.0
    s.parameters["values"][0] = 7.0
    assert s(0) == 0.1
    with pytest.raises(AttributeError):
        s.kind = "other"  # type: ignore[misc]


def test_as_schedule() -> None:
    s = sl.cosine(10, 0.1)
    assert sl.as_schedule(s, 10, "learning_rate") is s
    assert sl.as_schedule(np.float32(0.5), 10, "momentum") == sl.constant(10, 0.5)
    with pytest.raises(InputError, match=r"learning_rate has 10 steps where the run has 11"):
        sl.as_schedule(s, 11, "learning_rate")
    with pytest.raises(InputError, match=r"momentum has 1 steps where the run has 2"):
        sl.as_schedule([0.1], 2, "momentum")
    with pytest.raises(InputError, match=r"momentum = -1 is outside"):
        sl.as_schedule(-1, 1, "momentum")


def test_make_reads_names_in_any_spelling() -> None:
    for kind in ("WSD-S", "wsd_s", "Wsd s"):
        assert sl.make(kind, 100, peak=0.1) == sl.wsd_s(100, 0.1)
    assert sl.wsd(10, 1.0, shape="Mirror_Cosine") == sl.wsd(10, 1.0, shape="mirror-cosine")


def test_fractions_fill_the_run_exactly() -> None:
    for steps in range(1, 40):
        s = sl.wsd(steps, 1.0, warmup=0.5, cooldown=0.5)
        assert len(s) == steps
    assert sl.wsd(100, 1.0, warmup=20.0).values().tobytes() == sl.wsd(100, 1.0, warmup=0.2).values().tobytes()


def test_ten_million_steps_are_walked_in_bounded_memory() -> None:
    s = sl.wsd(10**7, 0.5, cooldown=0.5)
    assert s.peak() == 0.5
    assert s.total() == pytest.approx(0.5 * (5e6 + 2.5e6 + 0.5), rel=1e-12)


def test_import_needs_only_numpy() -> None:
    package = str(Path(sl.__file__).parents[1])
    code = (
        f"import sys, types; p = types.ModuleType('simlab'); p.__path__ = [{package!r}];"
        "sys.modules['simlab'] = p; import simlab.schedules;"
        "print(*{'scipy', 'numba', 'xarray', 'torch', 'jax', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_deep_and_long_schedules_are_copied_and_pickled() -> None:
    deep = nest(64)
    assert deep.depth == 64
    for s in (deep, sl.eigencurve(10**12, eigenvalues=[1.0, 0.5])):
        assert copy.deepcopy(s) is copy.copy(s) is s
        again = pickle.loads(pickle.dumps(s))
        assert again == s
        assert sl.from_dict(json.loads(json.dumps(s.to_dict()))) == s
        assert again(2) == s(2)


@pytest.mark.parametrize("module", [m.name for m in pkgutil.iter_modules(sl.__path__)] + ["__init__"])
def test_doctests(module: str) -> None:
    name = "simlab.schedules" + ("" if module == "__init__" else f".{module}")
    loaded = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    own = [v for v in vars(loaded).values() if getattr(v, "__module__", None) == name and hasattr(v, "__name__")]
    examples = [t for value in own for t in finder.find(value, globs=dict(vars(loaded)))]
    examples += (
        finder.find(loaded.__doc__ or "", name, module=False, globs=dict(vars(loaded))) if module == "__init__" else []
    )
    runner = doctest.DocTestRunner()
    for example in examples:
        runner.run(example)
    assert runner.summarize().failed == 0
