"""Any linear method at knots, forced warmups, several problems: gradients, the exact engine, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import simlab as sl
from simlab.kernels.moments.layout import NodeArrays
from simlab.optimal.adjoint import Objective
from simlab.optimal.arguments import check_weights
from simlab.optimal.knots import _Search
from simlab.optimal.lines import Lines
from simlab.optimal.parameters import Range
from simlab.optimal.recursion import Recursion
from simlab.optimal.several import Several

T = 60
PROBLEM = sl.LinearRegression.power_law(60, 2.0, 1.5, 0.01)


def exact(method, problem=PROBLEM):
    return float(sl.exact(problem, method, record=2, progress=False).total().values[-1])


FREE = {
    "heavy ball": (sl.methods.heavy_ball, ("lr", "momentum"), True),
    "qhm": (lambda lr, momentum: sl.methods.qhm(lr, momentum, 0.6), ("lr", "momentum"), True),
    "torch's momentum": (sl.methods.torch_momentum, ("lr", "momentum"), True),
    "dana": (lambda lr: sl.methods.dana(lr, 0.1), ("lr",), True),
    "lookahead of heavy ball": (
        lambda lr, momentum: sl.methods.lookahead(sl.methods.heavy_ball(lr, momentum)), ("lr", "momentum"), True,
    ),
    "weight decay": (lambda lr: sl.methods.weight_decay(sl.methods.heavy_ball(lr), 1e-3), ("lr",), True),
    "tail average": (lambda lr: sl.methods.tail_average(sl.methods.nesterov(lr)), ("lr",), True),
    "nesterov": (sl.methods.nesterov, ("lr", "momentum"), True),
    "asgd": (lambda lr, gamma: sl.methods.asgd(lr, gamma, 0.1), ("lr", "gamma"), True),
    "asgd whose long step follows": (lambda lr: sl.methods.asgd(lr, 0.5, 0.1), ("lr",), False),
    "Schedule-Free": (sl.methods.schedule_free, ("lr", "beta"), False),
    "corrected average": (
        lambda lr, decay: sl.methods.ema(sl.methods.sgd(lr), decay, bias_corrected=True), ("lr", "decay"), False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FREE)
def test_gradients_at_knots_are_those_of_the_exact_engine(name):
    make, names, local = FREE[name]
    ranges = [Range("lr", 1e-6, 0.3, "log", (0.1,), 1e-4)]
    if len(names) > 1:
        rate = names[1] == "gamma"
        ranges.append(Range(names[1], 1e-6 if rate else 0.0, 0.99, "log" if rate else "closing", (0.5,), 1e-4))

    def build(found):
        return make(found[0], **dict(zip(names[1:], found[1:], strict=True)))

    search = _Search(Recursion(NodeArrays(PROBLEM.modes())), build, ranges, Lines(T, 5))
    assert search.local == local
    x = search.start(0.1 * (1.0 - np.arange(T) / (T + 5.0)), [0.5] * (len(names) - 1))
    x += 0.1 * np.random.default_rng(1).normal(size=x.size)
    value, slope = search.gradient(x)
    assert value == pytest.approx(np.log(exact(search.method(x))), rel=1e-12)
    for i in range(x.size):
        risk = {k: search.log_risk(x + k * 2e-3 * np.eye(x.size)[i]) for k in (-3, -2, -1, 1, 2, 3)}
        sixth = (45.0 * (risk[1] - risk[-1]) - 9.0 * (risk[2] - risk[-2]) + risk[3] - risk[-3]) / (60.0 * 2e-3)
        assert slope[i] == pytest.approx(sixth, abs=(1e-10 if local else 5e-10) * np.abs(slope).max())


def test_sgd_at_knots_is_nearly_the_free_optimum():
    free, knots = sl.optimize(PROBLEM, T), sl.optimize(PROBLEM, T, knots=24)
    assert knots.converged
    assert 0.0 <= knots.risk / free.risk - 1.0 < 1e-3
    assert exact(knots.method) == pytest.approx(knots.risk, rel=1e-12)


def test_free_momentum_beats_one_that_is_held():
    held = sl.optimize(PROBLEM, T, method="nesterov", knots=16)
    free = sl.optimize(PROBLEM, T, method="nesterov", knots=16, over=("lr", "momentum"))
    assert exact(free.method) == pytest.approx(free.risk, rel=1e-12)
    assert free.risk < 0.99 * min(held.risk, sl.optimize(PROBLEM, T).risk)
    momentum = free.momentum.values()
    assert np.median(momentum[-15:]) < 0.5 * momentum.max()  # a hump
    assert free.schedule.peak() <= sl.optimize(PROBLEM, T).schedule.peak() * (1.0 + 1e-6)  # the cap is that of SGD


def test_a_method_with_a_batch_takes_it():
    found = sl.optimize(PROBLEM, T, method="nesterov", knots=8, batch=16)
    assert found.batch == 16
    assert found.risk < sl.optimize(PROBLEM, T, method="nesterov", knots=8).risk


def test_a_family_is_what_tune_finds():
    found = sl.optimize(PROBLEM, T, family="wsd", over=("peak", "cooldown"), batch=2)
    tuned = sl.tune(PROBLEM, "wsd", T, ("peak", "cooldown"), given={"batch": 2})
    assert (found.risk, found.schedule) == (tuned.risk, tuned.schedule)
    assert found.converged
    assert found.certificate.gain < 1e-6


@pytest.mark.parametrize("warmup", [6, 0.5])
def test_a_warmup_that_is_wanted_rises_in_a_line_to_free_rates(warmup):
    free, found = sl.optimize(PROBLEM, T), sl.optimize(PROBLEM, T, warmup=warmup)
    n = warmup if warmup > 1 else round(warmup * T)
    lr = found.schedule.values()
    np.testing.assert_allclose(lr[:n], lr[n] * np.arange(1, n + 1) / n, rtol=1e-12)
    assert found.converged
    assert exact(found.method) == pytest.approx(found.risk, rel=1e-12)
    assert 1.0 < found.risk / free.risk < 1.5
    critical = sl.stability(PROBLEM, found.method).critical_lr
    for factor in (0.9, 0.98, 1.02, 1.1):  # no other peak, and no other rate behind it, is better
        for moved in (slice(n + 1), slice(n + 3, n + 4)):
            other = lr.copy()
            other[moved] *= factor
            rival = exact(sl.methods.sgd(sl.schedules.from_array(other)))
            assert rival >= found.risk * (1.0 - 1e-13) or other.max() > critical


def test_a_warmup_with_weights_on_the_way():
    found = sl.optimize(PROBLEM, T, warmup=4, weights={2: 1.0, 30: 1.0, T: 2.0})
    risks = sl.exact(PROBLEM, found.method, record=[2, 30, T], progress=False).total().sel(step=[2, 30, T]).values
    assert found.risk == pytest.approx(risks @ [0.25, 0.25, 0.5], rel=1e-12)
    assert found.converged


def test_the_mean_of_several_problems_is_the_mean_of_their_risks_and_gradients():
    problems = [sl.LinearRegression.power_law(d, a, 1.5, 0.1) for d, a in ((20, 1.5), (50, 2.0), (9, 3.0))]
    weights, nu = check_weights({20: 1.0, T: 3.0}, T), np.array([0.2, 1.0, 3.0])
    each = [Objective(n, n.signal, weights, np.full(T, 0.4)) for n in (NodeArrays(p.modes()) for p in problems)]
    rng = np.random.default_rng(4)
    lr, share = rng.uniform(0.01, 0.3, T), 1.0 / rng.integers(1, 5, T)
    mean, alone = Several(each, nu).gradient(lr, share), [one.gradient(lr, share) for one in each]
    for part in ("value", "A", "H", "C"):
        expected = sum(n * getattr(one, part) for n, one in zip(nu, alone, strict=True))
        np.testing.assert_allclose(getattr(mean, part), expected, rtol=1e-12)
    last = mean.value
    for _ in range(3):
        swept = Several(each, nu).sweep(lr, share)
        falls = swept.H * (swept.lr**2 - lr**2) - 2.0 * swept.A * (swept.lr - lr)
        assert swept.value - last == pytest.approx(falls.sum(), rel=1e-9, abs=1e-12 * last)
        lr, last = swept.lr, swept.value
        assert lr.max() <= 0.4


def test_one_schedule_for_several_problems_and_its_bound():
    problems = [sl.LinearRegression.power_law(60, a, b, 1.0) for a, b in ((1.2, 1.8), (1.5, 1.2), (1.5, 2.0))]
    found = sl.optimize(problems[0], T, worst=problems[1:])
    own = [sl.optimize(one, T).risk for one in problems]
    ratios = [exact(found.method, one) / least for one, least in zip(problems, own, strict=True)]
    assert list(found.problems.ratios.values()) == pytest.approx(ratios, rel=1e-6)
    assert found.problems.worst == pytest.approx(max(ratios), rel=1e-6)
    assert found.problems.bound <= found.problems.worst
    assert found.problems.worst - found.problems.bound < 2e-3
    assert found.problems.worst > 1.01
    for lr in (sl.optimize(one, T).schedule for one in problems):  # the best of one is worse for another
        assert max(exact(sl.methods.sgd(lr), one) / least for one, least in zip(problems, own, strict=True)) > max(
            ratios
        )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"method": "adam"}, ["method = adam", "is not linear"]),
        ({"method": "signsgd"}, ["method", "not known"]),
        ({"method": 3}, ["method = 3", "nesterov"]),
        ({"method": lambda lr: 3}, ["method makes 3"]),
        ({"method": "acsgd"}, ["alpha"]),
        ({"method": "nesterov", "over": ("momentum",)}, ["over", "'lr'"]),
        ({"over": ("lr", "batch")}, ["over", "'batch'", "samples"]),
        ({"over": ("lr",), "samples": 500}, ["samples = 500", "does not go with over"]),
        ({"method": "nesterov", "over": ("lr", "momentun")}, ["over", "'momentum'"]),
        ({"method": lambda lr: sl.methods.sgd(lr), "batch": 2}, ["batch = 2", "method"]),
        ({"method": "nesterov", "start": sl.exact(PROBLEM, sl.methods.sgd([0.1]), progress=False).state}, ["start"]),
        ({"knots": 1}, ["knots = 1"]),
        ({"knots": 9, "weights": {3: 1.0}}, ["weights", "knots"]),
        ({"family": "wsd", "cap": 0.1}, ["cap = 0.1", "family"]),
        ({"family": "wds"}, ["family", "'wsd'"]),
        ({"warmup": 0}, ["warmup = 0"]),
        ({"warmup": 9}, ["warmup = 9", "T - 2"]),
        ({"warmup": 3, "monotone": True}, ["warmup", "monotone"]),
        ({"warmup": 3, "method": "ema"}, ["warmup = 3", "ema"]),
        ({"worst": []}, ["worst", "empty"]),
        ({"worst": [3]}, ["problem"]),
        ({"worst": [PROBLEM], "horizons": [3]}, ["worst", "horizons"]),
        ({"worst": [sl.LinearRegression([1e200], 1e-100, 0.1)]}, ["worst", "scales"]),
        ({"worst": [sl.LinearRegression([1.0], 0.0, 0.0)]}, ["worst", "no risk"]),
    ],
)  # fmt: skip
def test_refusals(given, words):
    with pytest.raises(sl.InputError) as caught:
        sl.optimize(**{"problem": sl.LinearRegression([1.0, 0.5], 1.0, 0.1), "steps": 10, **given})
    for word in words:
        assert word in str(caught.value), caught.value


def test_every_pair_of_what_is_asked_for_one_at_a_time_is_refused():
    special = {"samples": 20, "monotone": True, "warmup": 3, "horizons": [5], "worst": [PROBLEM]}
    for first, second in itertools.combinations(special, 2):
        with pytest.raises(sl.InputError, match="does not go with"):
            sl.optimize(PROBLEM, 10, **{first: special[first], second: special[second]})
