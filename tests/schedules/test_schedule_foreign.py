"""What other programs hold, taken where a rate is wanted: numbers, arrays, functions of the step, PyTorch's schedulers.

The scheduler here is a stand-in that behaves as those of PyTorch do; `test_schedule_frameworks.py` has the real ones.
"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import simlab as sl
from simlab import methods, schedules

VALUES = [0.1, 0.2, 0.05]


class Optimizer:
    """Groups, state, and a `step` that a scheduler counts on."""

    def __init__(self, *rates: float) -> None:
        self.param_groups = [{"params": [object()], "lr": rate, "betas": [0.9]} for rate in rates]
        self.state = {"moments": np.ones(3)}

    def step(self) -> None: ...


class Halving:
    """Halves every rate at each step, in place, up to `last` steps; its function cannot be pickled."""

    def __init__(self, optimizer: Optimizer, last: int = 100) -> None:
        self.optimizer, self.count, self.last, self.factor = optimizer, 0, last, lambda rate: rate / 2

    def step(self) -> None:
        self.count += 1
        if self.count > self.last:
            raise ValueError("Tried to step too often\nand more")
        for group in self.optimizer.param_groups:
            group["lr"] = self.factor(group["lr"])
            group["betas"].append(0.0)


class Plateau(Halving):
    def step(self, metrics: float) -> None:  # type: ignore[override]
        raise AssertionError(metrics)


class Tensor:
    """An array of another library."""

    def __init__(self, values: Any) -> None:
        self.values, self.shape = np.asarray(values), np.shape(values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self.values, dtype)

    def __float__(self) -> float:
        return float(self.values)


@pytest.mark.parametrize("values", [VALUES, tuple(VALUES), np.array(VALUES), Tensor(VALUES), np.arange(3)])
def test_values_know_their_length(values):
    expected = schedules.from_array(values)
    assert schedules.as_schedule(values, None, "lr") == schedules.as_schedule(values, 3, "lr") == expected
    assert methods.sgd(values).learning_rate == methods.sgd(values, steps=3).learning_rate == expected
    with pytest.raises(sl.InputError, match="lr has 3 steps where the run has 4"):
        methods.sgd(values, steps=4)


@pytest.mark.parametrize(
    ("given", "values"),
    [
        (0.3, [0.3] * 4),
        (np.float32(0.5), [0.5] * 4),
        (Tensor(0.5), [0.5] * 4),
        (lambda step: 0.4 / (1 + step), [0.4, 0.2, 0.4 / 3, 0.1]),
        (lambda step: Tensor(0.5), [0.5] * 4),
        (Halving(Optimizer(0.8)), [0.8, 0.4, 0.2, 0.1]),
        (schedules.linear(4, 0.4), [0.4, 0.3, 0.2, 0.1]),
    ],
    ids=["number", "float32", "scalar tensor", "function", "function of tensors", "scheduler", "schedule"],
)
def test_what_has_no_length_is_taken_with_steps(given, values):
    method = methods.sgd(given, steps=4)
    np.testing.assert_allclose(method.learning_rate.values(), values, rtol=1e-15)
    assert repr(method) == f"sgd({method.learning_rate!r}, batch=1)"
    assert pickle.loads(pickle.dumps(method)).learning_rate == method.learning_rate
    assert schedules.as_schedule(given, 4, "lr") == method.learning_rate
    if not isinstance(given, schedules.Schedule):
        with pytest.raises(sl.InputError, match=r"lr = .* does not say how many steps the run has; give steps, or"):
            methods.sgd(given)


def test_a_long_run_is_asked_for_at_once_where_that_says_the_same():
    asked = []

    def counted(step):
        asked.append(step)
        return 0.1 / (1.0 + step)

    np.testing.assert_array_equal(schedules.from_function(counted, 10_000).values(), 0.1 / (1.0 + np.arange(10_000)))
    assert len(asked) <= 65
    for function in (
        lambda step: 0.1 if step < 5_000 else 0.05,  # refuses an array
        lambda step: 0.1,  # one number for all
        lambda step: float(np.float64(step) ** 2) * 1e-9,
        lambda step: (step**5 % 7) * 0.1,  # of an array that wraps
        lambda step: np.sort(-np.asarray(step))[::-1] * -1e-5 if np.ndim(step) else 1e-9,  # another answer
    ):
        expected = [float(function(step)) for step in range(10_000)]
        np.testing.assert_array_equal(schedules.from_function(function, 10_000).values(), expected)
    with pytest.raises(sl.InputError, match=r"values\[0\] = .*nan"):
        schedules.from_function(lambda step: step * np.nan, 10_000)


def test_other_parameters_take_them_too():
    ramp = [0.5, 0.6, 0.7, 0.8]
    base = methods.heavy_ball(0.1, ramp, lambda step: 2**step, steps=4)
    same = methods.heavy_ball(
        schedules.constant(4, 0.1), schedules.from_array(ramp), schedules.from_array([1, 2, 4, 8])
    )
    assert repr(base) == repr(same)
    wrapped = [methods.ema(base, ramp), methods.weight_decay(base, lambda step: 0.1)]
    wrapped += [methods.asgd([0.1] * 4, ramp, 0.9), methods.generic([[1.0]], [0.1], [1.0], steps=4, lr=ramp)]
    for method in wrapped:
        assert repr(pickle.loads(pickle.dumps(method))) == repr(method)
    assert wrapped[-1].learning_rate == schedules.from_array(ramp)
    problem = sl.LinearRegression([1.0, 0.1], 1.0, 0.1)
    exact = sl.exact(problem, {"these": base, "those": same}, progress=False)
    np.testing.assert_array_equal(exact.risk.sel(run="these"), exact.risk.sel(run="those"))


def test_reading_a_scheduler_changes_nothing():
    optimizer = Optimizer(0.8, 0.4)
    scheduler = Halving(optimizer)
    scheduler.step()
    before = copy.deepcopy(optimizer.param_groups[0]["betas"]), optimizer.state["moments"], optimizer.param_groups
    with pytest.warns(UserWarning, match=r"groups .* have rates of their own \(\[0.4, 0.2\]\); that of the first is"):
        rates = schedules.from_scheduler(scheduler, 3)
    assert rates.values().tolist() == [0.4, 0.2, 0.1]  # what comes next, not what has been
    after = optimizer.param_groups[0]["betas"], optimizer.state["moments"], optimizer.param_groups
    assert before[0] == after[0]
    assert before[1] is after[1]
    assert before[2] is after[2]
    assert (scheduler.count, scheduler.optimizer, optimizer.param_groups[0]["lr"]) == (1, optimizer, 0.4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a", "lr = 'a' is no number, array, function of the step or schedule"),
        (None, "lr = None is no number"),
        (True, "lr = True is no number"),
        (-0.1, "lr = -0.1 is outside"),
        ([0.1, -0.1], r"lr\[1\] = .*-0.1.* is refused"),
        (np.ones((2, 2)), r"lr has shape \(2, 2\)"),
        (["a"], "lr is not an array of numbers"),
        (np.array("a"), "lr = .* is no number; give one, or one for each step"),
        (lambda step: "a", r"function\(0\) gives no number"),
        (Halving, r"function\(0\) gives no number"),
        (Plateau(Optimizer(0.1)), "scheduler = .* waits for losses, and has no rates of its own; log a run"),
        (Halving(Optimizer(0.1), last=2), r"no rate for step 3 \(Tried to step too often\); give fewer steps"),
    ],
)
def test_what_is_none_of_these_is_refused(given, said):
    with pytest.raises(sl.InputError, match=said) as refusal:
        methods.sgd(given, steps=9)
    assert "\n" not in str(refusal.value)


def test_more_refusals():
    with pytest.raises(sl.InputError, match=r"scheduler = 0\.1 is no scheduler of PyTorch"):
        schedules.from_scheduler(0.1, 3)
    with pytest.raises(sl.InputError, match="steps = 0 is out of range"):
        methods.sgd(0.1, steps=0)
    with pytest.raises(sl.InputError, match=r"steps.*is not known|lr.*not taken|not known"):
        sl.Experiment.from_dict({
            "problem": {"kind": "isotropic", "dim": 3}, "schedule": {"kind": "constant", "steps": 9, "peak": 0.1},
            "method": {"kind": "sgd", "steps": 9},
        })  # fmt: skip
