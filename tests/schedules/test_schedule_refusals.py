"""What schedules refuse, and what they warn of."""

from __future__ import annotations

import inspect
import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import simlab.schedules as sl
from simlab.errors import InputError
from tests.schedules.drawn import DRAWS, LONG, MARKS, WITHOUT_PEAK, nest

pytestmark = MARKS


S = sl.linear(10, 1.0)
REFUSED: list[tuple[Any, str]] = [
    (lambda: sl.linear(0, 1.0), "steps = 0 is out of range"),
    (lambda: sl.linear(2.5, 1.0), "steps = 2.5 is not a whole number"),
    (lambda: sl.linear(True, 1.0), "steps = True is not a whole number"),
    (lambda: sl.linear(10, -1.0), r"peak = -1.0 is outside \[0, inf\)"),
    (lambda: sl.linear(10, math.nan), "peak = nan"),
    (lambda: sl.linear(10, "1"), "peak = '1' is not a number"),
    (lambda: sl.linear(10, 1.0, floor=1.1), r"floor = 1.1 is outside \[0, 1\]"),
    (lambda: sl.linear(10, 1.0, warmup=11), r"warmup = 11 steps do not fit into a run of 10"),
    (lambda: sl.linear(10, 1.0, warmup=1.5), r"warmup = 1.5 is neither"),
    (lambda: sl.linear(10, 1.0, warmup=-0.5), r"warmup = -0.5 is neither"),
    (lambda: sl.linear(10, 1.0, warmup=-5), r"warmup = -5 is out of range"),
    (lambda: sl.linear(10, 1.0, warmup=True), r"warmup = True is not a number"),
    (lambda: sl.linear(10, 1.0, warmup=math.nan), r"warmup = nan is neither"),
    (
        lambda: sl.wsd(10, 1.0, warmup=6, cooldown=5),
        r"warmup \+ cooldown = 6 \+ 5 = 11 steps do not fit into",
    ),
    (lambda: sl.wsd(10, 1.0, warmup=0.6, cooldown=0.6), r"warmup \+ cooldown = 6 \+ 6 = 12 steps do not fit"),
    (lambda: sl.wsd(10, 1.0, shape="linaer"), "shape: 'linaer' is not known; did you mean 'linear'"),
    (lambda: sl.wsd(10, 1.0, shape="power", pwer=2), "'pwer' is not known; did you mean 'power'"),
    (lambda: sl.wsd(10, 1.0, power=2), "power = 2 is not a parameter of shape 'linear'"),
    (lambda: sl.wsd(10, 1.0, shape="power", power=0), "power = 0 is outside"),
    (lambda: sl.wsd(10, 1.0, shape="exponential", floor=0), "floor = 0.0 cannot end the shape 'exponential'"),
    (lambda: sl.wsd(10, 1.0, shape="rex", alpha=1), "alpha = 1.0 makes the rex profile constant"),
    (lambda: sl.wsd(10, 1.0, shape="lowered-linear", factor=0.1, floor=0.2), "factor = 0.1 is outside"),
    (lambda: sl.wsd(10, 1.0, shape="piecewise"), "knots = None is not a sequence"),
    (lambda: sl.wsd(10, 1.0, shape="piecewise", knots=[(0, 2)]), "knots: a cooldown cannot exceed the peak"),
    (lambda: sl.piecewise(10, knots=[]), "knots is empty"),
    (lambda: sl.piecewise(10, knots=[3]), r"knots\[0\] = 3 is not a pair"),
    (lambda: sl.piecewise(10, knots=[(5, 1), (0.5, 0)]), r"knots\[1\]\[0\] = 0.5 falls on step 5"),
    (lambda: sl.step(10, 1.0, drops=(5, 3)), r"drops\[1\] = 3 comes before"),
    (lambda: sl.step(10, 1.0, drops=(11,)), r"drops\[0\] = 11 is beyond the run"),
    (lambda: sl.step(10, 1.0, drops=0.5), "drops = 0.5 is not a sequence"),
    (lambda: sl.step(10, 1.0, warmup=4), r"drops\[0\] = 0.3 lies inside the warmup of 4 steps"),
    (lambda: sl.wsd_s(10, 1.0, budgets=[2], cooldown=3), r"warmup \+ cooldown = 0 \+ 3 steps do not fit"),
    (lambda: sl.wsd_s(10, 1.0, budgets=[0, 5]), r"do not fit|budgets"),
    (lambda: sl.infinite(10, 1.0, plateau=0.2, floor=0.3), "floor = 0.3 is outside"),
    (lambda: sl.sampled(10, 1.0, rate="50-40"), "rate = '50-40' is not a sampling rate"),
    (lambda: sl.sampled(10, 1.0, rate="often"), "rate = 'often' is not a sampling rate"),
    (lambda: sl.sampled(10, 1.0, "cosin"), "profile: 'cosin' is not known; did you mean 'cosine'"),
    (lambda: sl.eigencurve(10, eigenvalues=[1.0, 0.0]), "eigenvalues: the least is"),
    (lambda: sl.eigencurve(10, eigenvalues=[[1.0]]), r"eigenvalues has shape \(1, 1\)"),
    (lambda: sl.from_array([]), r"values has shape \(0,\)"),
    (lambda: sl.from_array([0.1, -0.1]), r"values\[1\] = .*-0.1"),
    (lambda: sl.from_array([0.1, math.inf]), r"values\[1\] = .*inf"),
    (lambda: sl.make("wds", 10, peak=1.0), "schedule kind: 'wds' is not known; did you mean 'wsd'"),
    (
        lambda: sl.make("cosine", 10, peek=1.0),
        "argument of cosine: 'peek' is not known; did you mean 'peak'",
    ),
    (lambda: sl.make("cosine", 10), "peak is missing; cosine needs it"),
    (lambda: sl.cosine(10, lr=0.1), "argument of cosine: 'lr' is called 'peak' here; write that"),
    (lambda: sl.wsd(10, 0.1, decay_steps=2), "argument of wsd: 'decay_steps' is called 'cooldown' here"),
    (lambda: sl.step(10, 0.1, milestones=[2], gamma=0.1), "argument of step: 'milestones' is called 'drops' here"),
    (lambda: sl.linear(10, 0.1, eta_min=0.0), "argument of linear: 'eta_min' is called 'floor_value' here"),
    (lambda: sl.constant(10, 0.1, eta_min=0.0), "argument of constant: 'eta_min' is not known"),
    (lambda: sl.step(10, 1.0, factor=1e300), "factor = 1e.300 to the power 3 is beyond a float"),
    (lambda: sl.wsd(10, 0.1, cooldwn=0.1), "argument of wsd: 'cooldwn' is not known; did you mean 'cooldown'"),
    (lambda: sl.linear(2**63, 1.0), "steps = 9223372036854775808 is out of range.* at most 9007199254740992"),
    (lambda: sl.linear(10, 10**400), "peak = .* is outside"),
    (lambda: sl.linear(10, 1.0, warmup=Fraction(10**400, 3)), "warmup = .* is neither"),
    (lambda: sl.linear(2**52, 1.0).repeat(4), "repeat has 18014398509481984 steps; at most"),
    (lambda: sl.step(10, 1.0, drops=sl.constant(10**12, 1.0)), "drops holds more than 100000 positions"),
    (lambda: sl.step_decay(10**12, 1.0, stages=10**9), "stages = 1000000000 is out of range"),
    (lambda: sl.repeat(None, 3), "schedule = None is not a schedule"),  # type: ignore[arg-type]
    (lambda: sl.from_function(0.1, 3), "function = 0.1 cannot be called"),  # type: ignore[arg-type]
    (lambda: sl.from_function(lambda t: "a", 3), r"function\(0\) gives no number"),
    (lambda: sl.make("w" * 5000, 10), r"schedule kind: 'w{10,40}\.\.\."),
    (lambda: nest(65), "more than 64 deep"),
    (lambda: sl.from_dict([1]), "is not a table"),  # type: ignore[arg-type]
    (lambda: sl.from_dict({"steps": 10}), "schedule has no kind"),
    (lambda: sl.from_dict({"kind": "cosin", "steps": 1}), "'cosin' is not known; did you mean 'cosine'"),
    (lambda: sl.from_dict({"kind": "cosine", "peak": 1}), "steps is missing"),
    (lambda: sl.from_dict({"kind": "scaled", "factor": 1}), "schedule is missing; scaled needs"),
    (lambda: sl.from_dict({"kind": "scaled", "facter": 1}), "'facter' is not known; did you mean 'factor'"),
    (lambda: sl.from_dict({"kind": "join", "parts": 3}), "parts is not a list"),
    (lambda: sl.join(), "there is nothing to join"),
    (lambda: sl.join(S, 3), "argument 1 is a int, not a schedule"),  # type: ignore[arg-type]
    (lambda: S(10), "step = 10 is outside the schedule; give steps from 0 to 9"),
    (lambda: S(-1), "step = -1 is outside"),
    (lambda: S(1.5), "step = 1.5 is not an integer"),  # type: ignore[call-overload]
    (lambda: S(True), "step = True is not an integer"),
    (lambda: S([0, 10]), "step = 10 is outside"),
    (lambda: S.values(0, 11), "stop = 11 is out of range"),
    (lambda: S.values(5, 3), "start = 5 is out of range"),
    (lambda: S * -1, "factor = -1 is outside"),
    (lambda: S * math.inf, "factor = inf is outside"),
    (lambda: S / 0, "divisor = 0 is outside"),
    (lambda: S / 1e-320, "divisor = inf"),
    (lambda: S * sl.linear(9, 1.0), "the schedules have 10 and 9 steps"),
    (lambda: (S * 1e300) * 1e300, "reaches values or a sum beyond the range"),
    (lambda: S[3], r"\[3\] is not a range of steps"),  # type: ignore[index]
    (lambda: S[::2], "is not a range of steps"),
    (lambda: S[5:5], r"\[5:5\] holds no step"),
    (lambda: S[0:11], "stop = 11 is out of range"),
    (lambda: S.repeat(0), "times = 0 is out of range"),
    (lambda: S.clip(0.5, 0.1), "high = 0.1 is outside"),
    (lambda: S.warmed(1, -0.1), "start = -0.1 is outside"),
    (lambda: sl.torch_one_cycle(9, 1.0, anneal_strategy="cosine"), "'cosine' is not known; did you mean 'cos'"),
    (lambda: sl.range_test(9, 1.0, curve="cubic"), "curve: 'cubic' is not known"),
    (lambda: sl.range_test(9, 1.0, floor=0.0), "floor = 0.0 is outside"),
    (lambda: sl.scale_invariant(9, 1.0, 1.0, weight_decay=1.0), "weight_decay = 1.0 times lr is at least 1"),
    (lambda: sl.scale_invariant(9, 1.0, 1e60), "gradient_norm = 1e.60 multiplies"),
    (lambda: sl.scale_invariant(9, 1.0, 0.0, weight_decay=0.1), "gradient_norm = 0 with weight decay lets"),
    (lambda: S.warmed(11), "warmup = 11 steps do not fit into a run of 10"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_refusals_are_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        call()
    text = str(refusal.value)
    assert text[-1] in ".?)"
    assert "\n" not in text


def test_foreign_operands_are_left_to_python() -> None:
    for call in (lambda: S * "a", lambda: np.ones(10) * S, lambda: S / S, lambda: "a" * S):
        with pytest.raises(TypeError):
            call()  # type: ignore[no-untyped-call]


def test_a_floor_that_looks_like_a_learning_rate_gets_a_notice() -> None:
    with pytest.warns(
        UserWarning, match=r"floor = 3e-05 is a fraction of the peak.* ends near 9e-09; give floor_value = 3e-05 if"
    ):
        sl.cosine(100, 3e-4, floor=3e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sl.cosine(100, 3e-4, floor=0.01)
        sl.cosine(100, 1.0, floor=1e-3)


ODD = [None, "x", math.nan, math.inf, -1, 0, 1e-320, 1e308, 10**30, 10**400, "9" * 5000, [], {}, True, 1j, [1e308, -1]]


@pytest.mark.parametrize("kind", sorted(DRAWS))
def test_odd_values_are_refused_in_our_words_or_work(kind: str) -> None:
    good = {"steps": 50, **LONG.get(kind, {})} | ({} if kind in WITHOUT_PEAK else {"peak": 0.3})
    said: list[str] = []
    for name in inspect.signature(getattr(sl, kind)).parameters:
        for odd in ODD:
            try:
                s = getattr(sl, kind)(**{**good, name: odd})
                assert np.all(np.isfinite(s(np.array([0, len(s) // 2, len(s) - 1]))))
                assert math.isfinite(s.total())
            except InputError as refusal:
                said.append(str(refusal))
    assert said
    assert max(map(len, said)) < 400
    assert not any("ufunc" in text for text in said)
