"""Schedules against independently written scalars."""

from __future__ import annotations

import inspect
import math
import warnings
from typing import Any

import numpy as np
import pytest

import simlab.schedules as sl
from simlab.errors import InputError
from simlab.schedules import Schedule
from tests.schedules.drawn import MARKS

pytestmark = MARKS


def rise_then(w: int, profile: Any) -> Any:
    """Warmup over w steps, then profile(j)."""
    return lambda t: (t + 1) / w if t < w else profile(t - w)


def cos01(u: float) -> float:
    return (1.0 + math.cos(math.pi * u)) / 2.0


def cooldown(start: int, length: int, profile: Any) -> Any:
    return lambda t: 1.0 if t < start else profile((t - start) / length)


def clr(t: int, s: int) -> tuple[float, int]:
    """Smith's code: the position in the cycle, and the number of the cycle."""
    cycle = math.floor(1 + t / (2 * s))
    return max(0.0, 1.0 - abs(t / s - 2 * cycle + 1)), cycle


def restarts(t: int, period: int, multiplier: int) -> float:
    while t >= period:
        t, period = t - period, period * multiplier
    return cos01(t / period)


def eigencurve_by_steps(eigenvalues: list[float], steps: int) -> list[float]:
    """The denominator grows by mu 2^i with each step spent in stage i."""
    mu, largest = min(eigenvalues), max(eigenvalues)
    counts: dict[int, int] = {}
    for value in eigenvalues:
        i = 0
        while value >= mu * 2.0 ** (i + 1):
            i += 1
        counts[i] = counts.get(i, 0) + 1
    total = sum(math.sqrt(n) for n in counts.values())
    rates, reached = [], 0.0
    for i in sorted(counts):
        reached += math.sqrt(counts[i]) / total * steps
        rates += [mu * 2.0**i] * (round(reached) - len(rates))
    denominators = [largest]
    for rate in rates[:-1]:
        denominators.append(denominators[-1] + rate)
    return [1.0 / denominator for denominator in denominators]


def geometric_tail(t: int) -> float:
    s, n = 50, 100
    block = int((n - s) / math.log(n - s))
    lr = 1.0
    for k in range(1, t + 1):
        if k > s and (k - s) % block == 0:
            lr *= 0.5
    return lr


def step_stages(t: int, steps: int, stages: int) -> float:
    return 0.5 ** max(k for k in range(stages) if t >= k * steps / stages)


def power_law(t: int) -> float:
    def p(k: int) -> float:
        return min(0.5, 3.0 * (2.0 * (k + 1)) ** -0.7)

    if t < 10:
        return p(10) * (t + 1) / 10
    return p(t) if t < 80 else p(80) * 0.2 ** ((t - 80) / 20)


SPECTRUM = [(i + 1.0) ** -1.3 for i in range(40)]


def weights_of_no_scale(t: int, lr: float, gradient: float, decay: float) -> float:
    """The rate in effect by its recursion |w|^2 <- (1 - lr wd)^2 |w|^2 + (lr G)^2 / |w|^2, from |w| = 1."""
    squared = 1.0
    for _ in range(t):
        squared = (1.0 - lr * decay) ** 2 * squared + (lr * gradient) ** 2 / squared
    return lr / squared


def torch_anneal(t: int, steps: int, three: bool, linear: bool) -> float:
    """OneCycleLR of PyTorch as its documentation words it: 25, 1e4, 30 % of the steps upwards."""
    ends = [0.3 * steps - 1, *([2 * 0.3 * steps - 2] if three else []), steps - 1]
    levels = [1 / 25, 1.0, *([1 / 25] if three else []), 1 / 25 / 1e4]
    k = next(k for k, end in enumerate(ends) if t <= end or k == len(ends) - 1)
    begin = ends[k - 1] if k else 0.0
    u = (t - begin) / (ends[k] - begin)
    return levels[k + 1] + (levels[k] - levels[k + 1]) * ((1 - u) if linear else cos01(u))


T = 100
FORMULAS: list[tuple[Schedule, Any]] = [
    (sl.constant(T, 1.0, warmup=7), rise_then(7, lambda j: 1.0)),
    (sl.linear(T, 1.0, floor=0.1, warmup=5), rise_then(5, lambda j: 0.1 + 0.9 * (1 - j / 95))),
    (sl.linear_to_zero(T, 1.0, warmup=0.1), rise_then(10, lambda j: 1 - j / 90)),
    (sl.cosine(T, 1.0, floor=0.1, warmup=5), rise_then(5, lambda j: 0.1 + 0.9 * cos01(j / 95))),
    (sl.polynomial(T, 1.0, power=1.5), lambda t: (1 - t / T) ** 1.5),
    (sl.exponential(T, 1.0, floor=0.02), lambda t: 0.02 ** (t / T)),
    (sl.rex(T, 1.0), lambda t: (1 - t / T) / (0.5 * (1 - t / T) + 0.5)),
    (sl.rex(T, 1.0, alpha=0.9), lambda t: (1 - t / T) / (1 - 0.9 * t / T)),
    (sl.inverse_sqrt(T, 1.0, warmup=8), lambda t: min((t + 1) / 8, math.sqrt(8 / (t + 1)))),
    (sl.inverse_sqrt(T, 1.0), lambda t: 1 / math.sqrt(t + 1)),
    (sl.noam(T, 64, warmup=9, factor=2.0), lambda t: 2 / 8 * min((t + 1) ** -0.5, (t + 1) * 9**-1.5)),
    (sl.inverse_time(T, 1.0, decay=0.2, warmup=3), rise_then(3, lambda j: 1 / (1 + 0.2 * j))),
    (sl.inverse_time(T, 1.0, decay=0.2, power=0.75), lambda t: (1 + 0.2 * t) ** -0.75),
    (sl.sigmoid(T, 1.0, middle=0.4, steepness=8.0, floor=0.1), lambda t: 0.1 + 0.9 / (1 + math.exp(8 * (t / T - 0.4)))),
    (sl.uba(T, 1.0, phi=0.5), lambda t: 2 * cos01(t / T) / (0.5 + 1.5 * cos01(t / T))),
    (sl.range_test(T, 1.0, floor=1e-3), lambda t: 1e-3 ** (1 - (t + 1) / T)),
    (sl.range_test(T, 1.0, floor=0.2, curve="linear"), lambda t: 0.2 + 0.8 * (t + 1) / T),
    (sl.sine(T, 1.0, half_cycle=12, floor=0.1), lambda t: 0.1 + 0.9 * abs(math.sin(math.pi * t / 24))),
    (
        sl.sine(T, 1.0, half_cycle=12, factor=0.5, gamma=0.99),
        lambda t: abs(math.sin(math.pi * t / 24)) * 0.5 ** (t // 24) * 0.99**t,
    ),
    (sl.scale_invariant(T, 0.1, gradient_norm=3.0, norm=2.0), lambda t: 0.1 / math.sqrt(16 + 2 * 0.09 * t)),
    (sl.torch_one_cycle(T, 1.0), lambda t: torch_anneal(t, T, three=False, linear=False)),
    (
        sl.torch_one_cycle(97, 1.0, anneal_strategy="linear", three_phase=True),
        lambda t: torch_anneal(t, 97, three=True, linear=True),
    ),
    (sl.step(T, 1.0), lambda t: 0.1 ** sum(t >= k for k in (30, 60, 90))),
    (sl.step(T, 8.0, drops=(20, 0.5), factor=2.0), lambda t: 8 * 2 ** sum(t >= k for k in (20, 50))),
    (sl.multi_step(T, 1.0), lambda t: 10.0 ** (-0.5 * sum(t >= k for k in (80, 90)))),
    (sl.step_decay(T, 1.0), lambda t: step_stages(t, T, 6)),
    (sl.step_decay(T, 1.0, stages=7), lambda t: step_stages(t, T, 7)),
    (sl.tail_geometric(T, 1.0), geometric_tail),
    (sl.tail_polynomial(T, 1.0, power=0.5), lambda t: 1.0 if t < 50 else (t - 49) ** -0.5),
    (sl.wsd(T, 1.0, warmup=5, cooldown=20), lambda t: min((t + 1) / 5, 1.0, (T - t) / 20)),
    (sl.trapezoid(T, 1.0, warmup=5, cooldown=20), lambda t: min((t + 1) / 5, 1.0, (T - t) / 20)),
    (sl.wsd(T, 1.0, shape="cosine", floor=0.1), cooldown(80, 20, lambda u: 0.1 + 0.9 * cos01(u))),
    (sl.wsd(T, 1.0, shape="mirror cosine"), cooldown(80, 20, lambda u: 2 * (1 - u) - cos01(u))),
    (sl.wsd(T, 1.0, shape="1-sqrt"), cooldown(80, 20, lambda u: 1 - math.sqrt(u))),
    (sl.wsd(T, 1.0, shape="square"), cooldown(80, 20, lambda u: 1 - u * u)),
    (sl.wsd(T, 1.0, shape="power", power=3), cooldown(80, 20, lambda u: (1 - u) ** 3)),
    (sl.wsd(T, 1.0, shape="exponential", floor=0.05), cooldown(80, 20, lambda u: 0.05**u)),
    (sl.wsd(T, 1.0, shape="inverse_proportional"), cooldown(80, 20, lambda u: 1 / (u / 0.1 + 1 - u))),
    (sl.wsd(T, 1.0, shape="lowered-linear"), cooldown(80, 20, lambda u: 0.7 * (1 - u))),
    (
        sl.wsd(T, 1.0, shape="lowered-linear", factor=0.5, floor=0.1),
        cooldown(80, 20, lambda u: 0.5 * (1 - u) + 0.1 * u),
    ),
    (sl.wsd(T, 1.0, shape="uba", phi=3), cooldown(80, 20, lambda u: 2 * cos01(u) / (3 - cos01(u)))),
    (sl.wsd(T, 1.0, shape="rex", alpha=0.3), cooldown(80, 20, lambda u: (1 - u) / (1 - 0.3 * u))),
    (
        sl.wsd(T, 1.0, shape="piecewise", knots=[(0, 1), (0.5, 0.2), (1, 0)]),
        cooldown(80, 20, lambda u: 1 - 1.6 * u if u < 0.5 else 0.4 * (1 - u)),
    ),
    (
        sl.wsd_s(T, 1.0, budgets=[25, 50], cooldown=0.2),
        lambda t: {True: 1.0}.get(
            t < 20 or 25 <= t < 45 or 50 <= t < 90,
            1 / (9 * ((t - 20) / 5 if t < 25 else (t - 45) / 5 if t < 50 else (t - 90) / 10) + 1),
        ),
    ),
    (
        sl.wsdc(T, 1.0, warmup=10, cooldown=20, hold=30, floor=0.2),
        lambda t: (t + 1) / 10 if t < 10 else 1.0 if t < 50 else max(0.2, 1 - 0.8 * (t - 50) / 20),
    ),
    (
        sl.infinite(T, 1.0, warmup=10, cooldown=40, anneal=20, plateau=0.5, floor=0.05),
        lambda t: (
            (t + 1) / 10
            if t < 10
            else 0.5 + 0.5 * cos01((t - 10) / 40)
            if t < 50
            else 0.5 * (0.05 / 0.5) ** max(0.0, (t - 80) / 20)
        ),
    ),
    (
        sl.power_scheduler(T, 0.5, scale=3.0, exponent=-0.7, tokens_per_step=2, warmup=10, cooldown=20, floor=0.2),
        power_law,
    ),
    (
        sl.one_cycle(T, 1.0, up=40, down=40, floor=0.2, final=0.1),
        lambda t: (
            0.2 + 0.8 * t / 40 if t < 40 else 1 - 0.8 * (t - 40) / 40 if t < 80 else 0.2 * (1 - 0.9 * (t - 80) / 20)
        ),
    ),
    (sl.sgdr(T, 1.0, period=10), lambda t: restarts(t, 10, 1)),
    (sl.sgdr(T, 1.0, period=7, multiplier=2, floor=0.1), lambda t: 0.1 + 0.9 * restarts(t, 7, 2)),
    (sl.triangular(T, 6.0, half_cycle=15), lambda t: 1 + 5 * clr(t, 15)[0]),
    (sl.triangular2(T, 6.0, half_cycle=9), lambda t: 1 + 5 * clr(t, 9)[0] / 2 ** (clr(t, 9)[1] - 1)),
    (sl.exp_range(T, 6.0, half_cycle=9, gamma=0.97), lambda t: 1 + 5 * clr(t, 9)[0] * 0.97**t),
    (sl.eigencurve(T, eigenvalues=SPECTRUM), lambda t: eigencurve_by_steps(SPECTRUM, T)[t]),
    (sl.piecewise(T, 2.0, knots=[(10, 0.5), (0.5, 1.0)]), lambda t: 1 + min(max(t - 10, 0), 40) / 40),
    (sl.sampled(T, 1.0, "cosine", rate=7), lambda t: cos01((t - t % 7) / T)),
    (
        sl.sampled(T, 1.0, "rex", rate="33-66"),
        lambda t: {0: 1.0, 1: 0.67 / 0.835, 2: 0.34 / 0.67}[min(t // 33, 2)],
    ),
    (sl.sampled(T, 1.0, rate="every"), lambda t: 1 - t / T),
]


@pytest.mark.parametrize(("s", "formula"), FORMULAS, ids=[repr(s)[:60] for s, _ in FORMULAS])
def test_formula(s: Schedule, formula: Any) -> None:
    expected = [formula(t) for t in range(len(s))]
    np.testing.assert_allclose(s.values(), expected, rtol=1e-12, atol=1e-15)


def test_every_family_and_shape_has_a_formula() -> None:
    assert {s.kind for s, _ in FORMULAS} == set(sl.named())
    assert {s.parameters["shape"] for s, _ in FORMULAS if s.kind == "wsd"} == set(sl.cooldown_shapes())


def test_a_floor_as_a_learning_rate_is_a_fraction_of_the_peak() -> None:
    declared = [name for name in sl.named() if "floor_value" in inspect.signature(getattr(sl, name)).parameters]
    assert declared == [name for name in sl.named() if "floor" in inspect.signature(getattr(sl, name)).parameters]
    for name in declared:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            s = sl.make(name, 50, peak=3e-4, floor_value=3e-5)
        assert s == sl.make(name, 50, peak=3e-4, floor=3e-5 / 3e-4)
    assert sl.cosine(9, 0.0, floor_value=0.0) == sl.cosine(9, 0.0)
    assert sl.wsd(10**6, 0.3, shape="cosine", floor_value=0.03)(10**6 - 1) == pytest.approx(0.03, rel=1e-9)
    with pytest.raises(InputError, match=r"floor_value = 0.4 is outside \[0, 0.3\]; give a learning rate of at most"):
        sl.cosine(9, 0.3, floor_value=0.4)
    with pytest.raises(InputError, match="floor and floor_value are both given"):
        sl.cosine(9, 0.3, 0.1, floor_value=0.1)
    with pytest.raises(InputError, match="argument of constant: 'floor_value' is not known"):
        sl.make("constant", 9, peak=0.3, floor_value=0.1)


@pytest.mark.parametrize("decay", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("gradient", [0.05, 1.0])
def test_weights_of_no_scale_follow_their_recursion(gradient: float, decay: float) -> None:
    steps, lr = 3000, 0.05
    recursion = np.array([weights_of_no_scale(t, lr, gradient, decay) for t in range(0, steps, 100)])
    s = sl.scale_invariant(steps, lr, gradient, weight_decay=decay)
    off = np.abs(s.values()[::100] / recursion - 1.0)
    assert off[0] < 1e-15
    assert off.max() < 0.1 * (lr * gradient) ** 2 + 0.3 * lr * decay
    if decay == 0.0:  # as the docstring says
        q, t = (lr * gradient) ** 2, np.arange(0, steps, 100)
        np.testing.assert_allclose(off, q * np.log1p(2 * q * t) / (4 + 8 * q * t), rtol=0.01, atol=1e-14)
    elif steps * lr * decay > 20:
        assert off[-1] < 1e-12
        assert s(steps - 1) == pytest.approx(math.sqrt(1 - (1 - lr * decay) ** 2) / gradient, rel=1e-12)


def test_steep_profiles_have_closed_sums_too() -> None:
    n = 400_001
    for s in (
        sl.sigmoid(n, 0.1, steepness=500.0),
        sl.scale_invariant(n, 0.05, 0.01, weight_decay=0.01),
        sl.uba(n, 0.1, phi=1e-4),
        sl.sine(n, 0.1, half_cycle=777, factor=0.9, gamma=1 - 1e-6),
        sl.torch_one_cycle(n, 0.1, pct_start=0.123457, three_phase=True),
        sl.cosine(n, 0.1, warmup=0.1).warmed(0.1, 0.3),
    ):
        assert s.total() == pytest.approx(math.fsum(s.values()), rel=2e-14), s


def test_decays_keep_relative_accuracy_at_the_end() -> None:
    mpmath = pytest.importorskip("mpmath")
    n = 10**6
    u = 1 - mpmath.mpf(1) / n
    exact = {"cosine": (1 + mpmath.cos(mpmath.pi * u)) / 2, "1-sqrt": 1 - mpmath.sqrt(u), "square": 1 - u**2}
    for shape, value in exact.items():
        mpmath.mp.dps = 40
        assert sl.wsd(n, 1.0, cooldown=n, shape=shape)(n - 1) == pytest.approx(float(value), rel=1e-9)
    assert sl.linear(n, 1.0)(n - 1) == 1e-6
