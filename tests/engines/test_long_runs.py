"""Schedules and methods of 10^12 steps: nothing walks over them, and what is told in closed form is right."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import simlab as sl
import simlab.schedules as s
from simlab import methods as m
from simlab.methods import weights
from simlab.schedules import Schedule, nodes

T = 10**12
MOST = 4_000_000
OWN: dict[str, dict[str, Any]] = {
    "eigencurve": {"eigenvalues": [1.0, 0.5, 0.1]},
    "inverse_time": {"decay": 1e-3},
    "piecewise": {"knots": ((0, 0.5), (0.3, 1.0), (1.0, 0.1))},
    "scale_invariant": {"lr": 0.3, "gradient_norm": 1e-3, "weight_decay": 1e-9},
}


def family(kind: str, steps: int) -> Schedule:
    return s.make(kind, steps, **({} if kind in ("noam", "scale_invariant") else {"peak": 0.3}), **OWN.get(kind, {}))


COMBINED: dict[str, Callable[[int], Schedule]] = {
    "scaled": lambda n: 0.5 * s.cosine(n, 0.3),
    "product": lambda n: s.wsd(n, 0.3, warmup=0.1) * s.cosine(n, 1.0, floor=0.1),
    "product of three": lambda n: s.wsd(n, 0.3) * s.sgdr(n, 1.0, period=1000) * s.linear(n, 1.0),
    "join": lambda n: s.join(s.cosine(n // 2, 0.3), s.linear(n - n // 2, 0.2)),
    "slice": lambda n: s.cosine(2 * n, 0.3)[n // 3 : n // 3 + n],
    "repeat": lambda n: s.wsd(n // 1000, 0.3).repeat(1000),
    "clip": lambda n: s.cosine(n, 0.3).clip(0.05, 0.2),
    "clip of a repetition": lambda n: s.sgdr(n, 0.3, period=1000).clip(0.05, 0.2),
    "warmed": lambda n: s.cosine(n, 0.3).warmed(0.1),
    "warmed from a value": lambda n: s.cosine(n, 0.3, warmup=0.1).warmed(0.1, 0.01),
    "fading arches": lambda n: s.sine(n, 0.3, half_cycle=1000, factor=0.9999, gamma=1 - 1e-9),
    "held": lambda n: s.sampled(n, 0.3, "1-sqrt", rate=100),
}
SCHEDULES = {**{kind: (lambda n, kind=kind: family(kind, n)) for kind in s.named()}, **COMBINED}


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Numbers of values that leaves of plans were asked for."""
    counts: list[int] = []
    for leaf in (nodes.Constant, nodes.Piece, nodes.Table, nodes.Array, nodes.Interpolation):
        at = leaf.at

        def counted(self: Any, steps: Any, at: Any = at) -> Any:
            counts.append(steps.size)
            return at(self, steps)

        monkeypatch.setattr(leaf, "at", counted)
    with np.errstate(all="raise", under="ignore"):
        yield counts


@pytest.mark.parametrize("name", SCHEDULES)
def test_peak_and_total_without_a_walk(name: str, evaluated: list[int]) -> None:
    long = SCHEDULES[name](T)
    assert sum(evaluated) <= 4 * len(evaluated)  # what makes them looks at single steps
    assert 0.0 < long(long.peak_step()) == long.peak()
    assert 0.0 < long.total() <= T * long.peak()
    assert sum(evaluated) < MOST


@pytest.mark.parametrize("name", SCHEDULES)
def test_peak_and_total_are_those_of_the_values(name: str) -> None:
    short = SCHEDULES[name](300_000)
    values = short.values()
    assert short.peak() == pytest.approx(values.max(), rel=1e-9)
    assert values[short.peak_step()] == short.peak()
    assert short.total() == pytest.approx(math.fsum(values.tolist()), rel=1e-11)


def test_a_constant_is_never_looked_at(evaluated: list[int]) -> None:
    long = s.constant(T, 0.3)
    assert (long.peak(), long.total(), long.peak_step()) == (0.3, 0.3 * T, 0)
    m.torch_momentum(long, s.constant(T, 0.9), s.constant(T, 4.0), nesterov=True)
    assert sum(evaluated) <= 1


def test_periods_that_share_nothing_are_refused() -> None:
    with pytest.raises(sl.InputError, match="is not known; give periods"):
        (s.sgdr(T, 1.0, period=1001) * s.sgdr(T, 1.0, period=1003)).total()


LR = s.wsd(T, 0.1, warmup=0.01)
FRACTION = s.linear(T, 0.9, floor=0.5)
BATCH = s.step(T, 64.0, drops=(0.5,), factor=0.25)
SGD = m.sgd(LR)
METHODS: dict[str, Callable[[], m.Method]] = {
    "sgd": lambda: m.sgd(LR, BATCH),
    "heavy_ball": lambda: m.heavy_ball(LR, FRACTION, BATCH),
    "nesterov": lambda: m.nesterov(LR, FRACTION, BATCH),
    "torch_momentum": lambda: m.torch_momentum(LR, FRACTION, BATCH, FRACTION),
    "qhm": lambda: m.qhm(LR, FRACTION, FRACTION, BATCH),
    "generic": lambda: m.generic([[1.0]], [0.1], [1.0], steps=T, batch=BATCH),
    "asgd": lambda: m.asgd(LR, 0.2, 0.9, batch=BATCH),
    "acc_sgd": lambda: m.acc_sgd(LR, 4.0, 1.0, BATCH),
    "acsgd": lambda: m.acsgd(LR, 0.2, BATCH),
    "schedule_free": lambda: m.schedule_free(LR, FRACTION, BATCH, 2.0),
    "dana": lambda: m.dana(LR, 0.01, batch=BATCH),
    "ema": lambda: m.ema(SGD, FRACTION),
    "corrected ema": lambda: m.ema(SGD, s.constant(T, 1.0 - 1e-11), bias_corrected=True),
    "average": lambda: m.average(SGD, T // 2),
    "tail_average": lambda: m.tail_average(SGD, 0.3),
    "polynomial_average": lambda: m.polynomial_average(SGD),
    "merge": lambda: m.merge(SGD, [T // 2, T]),
    "weight_decay": lambda: m.weight_decay(SGD, FRACTION),
    "lookahead": lambda: m.lookahead(SGD),
}


def test_every_method_is_among_them() -> None:
    assert {name for name, kind in m.base.METHODS.items() if kind.linear} <= set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_made_and_judged_without_a_walk(name: str, evaluated: list[int]) -> None:
    method = METHODS[name]()
    assert method.length == T
    assert np.all(np.isfinite(method.test_functions()(np.array([1.0, 0.1]))))
    assert np.all(np.isfinite(method.coefficients(T - 3, T).M))
    assert sum(evaluated) < MOST


@pytest.mark.parametrize("power", [0.0, 2.0])
def test_weights_of_long_runs_are_those_of_held_ones(power: float, monkeypatch: pytest.MonkeyPatch) -> None:
    n = 150_000
    steps = np.arange(n)
    lr, alpha = s.wsd(n, 0.1, warmup=0.5, shape="1-sqrt"), s.cosine(n, 0.9999, floor=0.9)
    by_rate = 2.0 - power / 2
    held = [weights.newest_share(lr, power, by_rate)(steps), weights.corrected_weights(alpha)(steps)]
    monkeypatch.setattr(weights, "HELD", 1)
    told = [weights.newest_share(lr, power, by_rate), weights.corrected_weights(alpha)]
    for one, other in zip(held, told, strict=True):
        np.testing.assert_allclose(other(steps), one, rtol=1e-10)
        assert other(steps[60_000:140_000]).tobytes() == other(steps)[60_000:140_000].tobytes()


RISING = {
    "wsd": lambda n: s.wsd(n, 0.1, warmup=0.3, shape="1-sqrt"),
    "higher cycles": lambda n: s.join(s.triangular(n // 2, 0.1, n // 10), s.triangular(n - n // 2, 0.2, n // 10)),
    "an arch in a piece": lambda n: s.sine(n, 0.1, half_cycle=n // 3),
    "up and down": lambda n: s.piecewise(n, 0.2, knots=((0.0, 0.3), (0.2, 0.7), (0.5, 0.4), (0.8, 1.0), (1.0, 0.1))),
}


@pytest.mark.parametrize("name", RISING)
@pytest.mark.parametrize("power", [0.0, 2.0])
def test_weights_at_scattered_steps_are_those_of_held_runs(
    name: str, power: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 40_000
    lr, alpha = RISING[name](n), s.cosine(n, 0.9999, floor=0.9)
    at = np.sort(np.random.default_rng(2).integers(0, n, 40))
    at = np.concatenate([at, at[:5]])
    held = [weights.newest_share(lr, power)(at), weights.corrected_weights(alpha)(at)]
    constant = weights.corrected_weights(s.constant(n, 0.999))(at)
    monkeypatch.setattr(weights, "HELD", 1)
    monkeypatch.setattr(weights, "GRID", 500)
    told = [weights.newest_share(lr, power)(at), weights.corrected_weights(alpha)(at)]
    for one, other in zip(held, told, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9)
    np.testing.assert_allclose(weights.corrected_weights(s.constant(n, 0.999))(at), constant, rtol=1e-9)


@pytest.mark.parametrize("name", RISING)
def test_weights_have_kinks_where_a_rate_passes_the_largest_before(name: str) -> None:
    n = 40_000
    lr = RISING[name](n)
    values = lr.values()
    largest = np.maximum.accumulate(values)
    kinks = {t for t in range(1, n) if (values[t] >= largest[t]) != (values[t - 1] >= largest[t - 1])}
    method, found, t = m.schedule_free(lr), set(), 0
    while t < n:
        t = method.next_kink(t)
        found.add(t)
    late = {kink for kink in kinks if kink > 1}
    assert all(min(abs(kink - each) for each in found) <= 1 for kink in late), (sorted(late), sorted(found))
    assert m.schedule_free(lr, weight_lr_power=0.0).breaks(5) == n


TOLD = {
    "corrected ema": lambda n: m.ema(m.sgd(s.wsd(n, 0.1)), 0.9999, bias_corrected=True),
    "schedule_free, constant": lambda n: m.schedule_free(s.constant(n, 0.1)),
    "schedule_free": lambda n: m.schedule_free(s.wsd(n, 0.1, warmup=0.2), power=1.0),
    "schedule_free, higher cycles": lambda n: m.schedule_free(RISING["higher cycles"](n)),
    "corrected ema, decay varies": lambda n: m.ema(
        m.sgd(s.wsd(n, 0.1)), s.cosine(n, 0.9999, 0.99), bias_corrected=True
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_panels_take_weights_that_are_told_step_by_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in runs of more than HELD steps, of which each used to be taken exactly."""
    problem, n = sl.LinearRegression.power_law(40, 1.5, 1.3, 0.1), 100_000
    exact = sl.exact(problem, TOLD[name](n), record=40, progress=False)
    monkeypatch.setattr(weights, "HELD", 1)
    long = sl.long(problem, TOLD[name](n), record=40, progress=False)
    assert long.status.item() == "done"
    off = np.abs(long.risk.values - exact.risk.values)
    assert np.all(off <= long.dataset["risk_error"].values + 1e-9 * exact.risk.values)
    assert long.dataset["risk_error"].values.max() > 0.0  # there were panels


def test_long_batch_schedules_are_checked_by_their_stretches() -> None:
    with pytest.raises(sl.InputError, match=r"batch is 1\.5; give whole numbers"):
        m.sgd(LR, s.join(s.constant(T // 2, 4.0), s.constant(T // 2, 1.5)))
    with pytest.raises(sl.InputError, match="batch takes more than"):
        m.sgd(LR, s.linear(T, float(T)))
    assert m.sgd(LR, s.step(T // 10, 8.0, factor=0.5).repeat(10)).length == T


def test_fractions_beyond_1_are_found_in_long_schedules() -> None:
    with pytest.raises(sl.InputError, match=r"momentum reaches 1\.1"):
        m.heavy_ball(LR, s.wsd(T, 1.1))
    assert m.heavy_ball(LR, s.wsd(T, 2.0).clip(0.0, 0.9)).length == T


@pytest.mark.parametrize("values", [[0.1, 0.2], (0.1, 0.2), np.array([0.1, 0.2])])
def test_values_for_each_step_are_a_learning_rate(values: Any) -> None:
    assert m.sgd(values).learning_rate == s.from_array([0.1, 0.2])
    with pytest.raises(sl.InputError, match=r"write schedules.as_schedule\(lr, 1000\)"):
        m.sgd(lambda t: 0.1)  # type: ignore[arg-type]


def test_bins_are_bounded() -> None:
    for spec in ("log_bins(1000000000)", "log_bins(" + "9" * 5000 + ")"):
        with pytest.raises(sl.InputError) as refusal:
            sl.subspaces.from_spec(spec)
        assert len(str(refusal.value)) < 300


def test_no_notice_is_given_by_long_runs() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert s.cosine(T, 0.3, floor=0.1).total() > 0.0
