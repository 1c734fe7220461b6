"""Mixtures whose tail goes many steps at a time: against every direction stepped, and 80-bit steps."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods, schedules
from simlab.engines.moments import mixture, tails
from simlab.engines.moments.representatives import representatives

T = 3000
ONE = sl.LinearRegression.power_law(dim=400, capacity=1.5, source=1.2, noise_variance=0.1)
TURNED = ONE.shifted([1.5, 0.6], 0.5, 0.3)
CURVED = sl.LinearRegression.power_law(dim=400, capacity=1.1, source=1.4, noise_variance=0.3, kurtosis=1.8)
RATE = schedules.wsd(T, peak=0.1, warmup=0.05, cooldown=0.3)
STEEP = sl.LinearRegression.power_law(dim=400, capacity=1.8, source=1.3, noise_variance=0.2, kurtosis=4.0)
MOVING = {"share": [np.linspace(1.0, 0.2, T), "rest"], "weights": [1.0, schedules.linear(T, 2.0)]}
BATCH = schedules.from_array(np.r_[np.ones(T // 2), np.full(T - T // 2, 3.0)])


@pytest.fixture
def counted(monkeypatch):
    """Steps that went in blocks, by the step they began at; in runs so short and so small it would not pay."""
    monkeypatch.setattr(tails, "PER_SEARCH", 0.0)
    monkeypatch.setattr(tails, "WORTH", 0.0)
    monkeypatch.setattr(tails, "costs_of", lambda k, domains: (1.0, 80.0, 20.0))
    steps = {}
    inner = mixture.advance_in_blocks

    def counting(first, *others):
        done, steep = inner(first, *others)
        steps[first] = steps.get(first, 0) + done
        return done, steep

    monkeypatch.setattr(mixture, "advance_in_blocks", counting)
    return steps


def stepped(problem, method, **asked):
    """The same run with every direction stepped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixture, "tail_of", lambda *_: None)
        return sl.exact(problem, method, **asked)


METHODS = {
    "sgd": lambda: methods.sgd(RATE, batch=BATCH),
    "heavy ball": lambda: methods.heavy_ball(RATE * 0.1, momentum=0.9, batch=BATCH),
    "nesterov": lambda: methods.nesterov(RATE * 0.1, momentum=schedules.linear(T, 0.9, floor=0.5)),
    "ema": lambda: methods.ema(methods.sgd(RATE, batch=2), decay=0.99),
    "schedule free": lambda: methods.schedule_free(RATE),
    "weight decay": lambda: methods.weight_decay(methods.sgd(RATE), decay=0.1),
}


thorough = pytest.mark.thorough


def mixture_of(domains):
    """Shares and loss weights that change at every step, of any number of domains; one of three has a share of zero at
    last.
    """
    if domains == 1:
        return sl.Mixture([CURVED], weights=[schedules.linear(T, 2.0, floor=0.5)])
    several = [ONE, CURVED, TURNED, STEEP, ONE.shifted([0.8, 1.3], 0.2, 0.4)][:domains]
    falling = [np.linspace(0.5, 0.0, T) / (domains - 2) for _ in several[2:]]
    return sl.Mixture(several, [0.2, "rest", *falling], [1.0, schedules.linear(T, 2.0), 0.7, 1.0, 1.5][:domains])


TWO = [sl.Mixture([ONE, TURNED], **MOVING), sl.Mixture([ONE, CURVED], **MOVING)]
CASES = [
    pytest.param(problem, name, id=f"{which}-{name}")
    for problem, which in zip(TWO, ("turned", "curved"), strict=True)
    for name in METHODS
]
# A kernel is compiled for every number of domains, and of state variables.
CASES += [pytest.param(mixture_of(1), "sgd", id="one-sgd"), pytest.param(mixture_of(3), "sgd", id="three-sgd")]
CASES += [pytest.param(mixture_of(3), name, id=f"three-{name}") for name in ("heavy ball", "ema")]
CASES += [pytest.param(mixture_of(1), name, id=f"one-{name}", marks=thorough) for name in METHODS if name != "sgd"]
CASES += [pytest.param(mixture_of(5), name, id=f"five-{name}", marks=thorough) for name in METHODS]


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_blocks_are_steps(problem, name, counted):
    method = METHODS[name]()
    asked = {"record": 40, "subspaces": "log_bins(5)", "deterministic": True, "snapshots": [1000]}
    trace, wanted = sl.exact(problem, method, **asked), stepped(problem, method, **asked)
    assert sum(counted.values()) > 0.9 * T
    np.testing.assert_allclose(trace.risk, wanted.risk, rtol=2e-13)
    modes, theirs = (each.dataset["mode_risk"].transpose("component", ...).values for each in (trace, wanted))
    np.testing.assert_allclose(modes[:2], theirs[:2], rtol=5e-13)
    # The square of a mean, which crosses zero: to the digits of the bias that it is part of.
    np.testing.assert_array_less(np.abs(modes[2] - theirs[2]), 5e-13 * theirs[0])
    ours, theirs = trace.state_at(T).arrays, wanted.state_at(T).arrays
    np.testing.assert_allclose(ours["mean"], theirs["mean"], rtol=1e-12, atol=1e-15)
    scale = np.abs(theirs["second"]).max(axis=(0, 2), keepdims=True)
    np.testing.assert_allclose(ours["second"], theirs["second"], rtol=1e-12, atol=1e-15 * float(scale.max()))


def test_what_is_recorded_changes_no_bit(counted):
    problem, method = sl.Mixture([ONE, TURNED], **MOVING), METHODS["heavy ball"]()
    few, many = (sl.exact(problem, method, record=each, subspaces="log_bins(3)").risk for each in (2, 300))
    np.testing.assert_array_equal(few[-1], many[-1])
    assert sum(counted.values()) > 1.8 * T


def test_a_small_risk_on_either_domain_keeps_its_digits(counted):
    """Weights within 1e-6 of an optimum: as a difference of absolute moments, its square were lost to rounding."""
    # Under the full gradient of one domain a direction contracts alike for all: nothing but the other's optimum is far.
    lam = np.repeat([1.0, 0.02], [64, 336])
    error = np.random.default_rng(3).normal(size=400)
    first = sl.LinearRegression(lam, error, 0.0)
    second = sl.LinearRegression(lam * 0.8, error[::-1].copy(), 0.0)
    method = methods.sgd(schedules.constant(8000, 0.1), batch=10**6)
    for share in ([1.0, 0.0], [0.0, 1.0]):
        at = share.index(1.0)
        trace = sl.exact(sl.Mixture([first, second], share), method, record=5).total()[:, at]
        alone = sl.exact([first, second][at], method, record=5).total()
        assert float(alone[-1] / alone[0]) < 1e-10
        np.testing.assert_allclose(trace, alone, rtol=1e-9)
    assert sum(counted.values()) > 10_000


def test_a_run_that_leaves_leaves_at_the_same_step(counted):
    """The batch falls to one at a rate that a larger batch took."""
    batch = schedules.from_array(np.r_[np.full(1000, 1000.0), np.ones(2000)])
    problem, method = sl.Mixture([ONE, TURNED]), methods.sgd(schedules.constant(T, 0.9), batch=batch)
    trace, wanted = sl.exact(problem, method, record=10), stepped(problem, method, record=10)
    assert trace.status.item() == wanted.status.item() == "diverged"
    assert trace.dataset["ended_at"].item() == wanted.dataset["ended_at"].item()
    assert 0 < sum(counted.values()) < T
    np.testing.assert_allclose(trace.risk, wanted.risk, rtol=1e-11)


def test_a_run_from_a_state_is_the_rest_of_the_whole(counted):
    problem, method = sl.Mixture([ONE, CURVED], **MOVING), METHODS["ema"]()
    whole = sl.exact(problem, method, keep=[1234], record=[1234, 2000, T])
    rest = sl.exact(problem, methods.rest(method, 1234), start=whole.state_at(1234), record=[1234, 2000, T])
    np.testing.assert_allclose(rest.risk, whole.risk.sel(step=rest.risk["step"]), rtol=1e-13)
    assert sum(counted.values()) > T


def test_a_wrong_combination_is_seen(counted, monkeypatch):
    """One part in 10^9 of how nodes stand for directions."""
    inner = tails.representatives

    def off(*given):
        found = inner(*given)
        return found._replace(L=found.L * (1.0 + 1e-9))

    problem, method = sl.Mixture([ONE, TURNED]), METHODS["sgd"]()
    wanted = stepped(problem, method).risk
    monkeypatch.setattr(tails, "representatives", off)
    assert np.max(np.abs(sl.exact(problem, method).risk / wanted - 1.0)) > 1e-11


def test_where_blocks_do_not_hold_every_direction_is_stepped(counted):
    """Kurtosis that differs within a domain; spectra that are no curves; rates beyond what a block takes."""
    rng = np.random.default_rng(1)
    several = ONE.shifted(1.0, 0.5)
    several = sl.LinearRegression(ONE.eigenvalues, -ONE.initial_error, 0.1, rng.uniform(2.0, 4.0, 400))
    scattered = ONE.shifted(rng.uniform(0.2, 5.0, 400))
    method = methods.sgd(schedules.constant(400, 0.05))
    for others in ([several], [scattered], [CURVED, scattered]):
        problem = sl.Mixture([ONE, *others])
        np.testing.assert_array_equal(sl.exact(problem, method).risk, stepped(problem, method).risk)
    assert not counted


def functions(x):
    """What a block makes of directions: decays, and what they leave of kicks, for smooth spectra in [0, 1]."""
    for a, b in ([1.0, 0.0], [0.3, 0.7], [0.0, 0.9], [0.05, 0.01]):
        decay = np.exp(-a * x[0] - b * x[-1])
        yield from (-np.expm1(-a * x[0] - b * x[-1]), x[0] * decay, x[-1] * decay, x[-1] ** 2 * decay)


@pytest.mark.parametrize(
    "exponents", [(1.5,), (1.5, 1.5), (1.5, 1.1), (2.0, 3.0), (1.2, 1.6, 2.0), (1.1, 1.3, 1.5, 1.7, 1.9)], ids=str
)
def test_representatives_stand_for_all(exponents):
    i = np.arange(1.0, 40_001.0)
    x = np.array([i**-a for a in exponents])
    nodes, L = representatives(x, 1.0, 48)
    assert nodes.size <= 32
    for f in functions(x):
        assert np.max(np.abs(f[nodes] @ L - f) / x.sum(axis=0)) < 1e-13
    assert representatives(np.random.default_rng(0).uniform(size=(2, 500)), 1.0, 12) is None


def test_rates_hold_what_momentum_adds_up():
    M, b, c = methods.heavy_ball(schedules.constant(3, 0.1), momentum=0.9).coefficients(0, 3)
    np.testing.assert_allclose(tails.rates_of(M, b, c), 1.0, rtol=1e-12)
    M, b, c = methods.sgd(schedules.linear(3, 0.1)).coefficients(0, 3)
    np.testing.assert_allclose(tails.rates_of(M, b, c), [0.1, 0.2 / 3, 0.1 / 3], rtol=1e-12)
    assert np.isinf(tails.rates_of(0.0 * M, b, c)).all()


def test_three_domains_leave_and_go_on_as_two_do(counted):
    """A run that leaves at the same step, and one that goes on from a state within it."""
    problem = mixture_of(3)
    batch = schedules.from_array(np.r_[np.full(1000, 1000.0), np.ones(2000)])
    leaves = methods.sgd(schedules.constant(T, 0.9), batch=batch)
    trace, wanted = sl.exact(problem, leaves, record=10), stepped(problem, leaves, record=10)
    assert trace.status.item() == wanted.status.item() == "diverged"
    assert trace.dataset["ended_at"].item() == wanted.dataset["ended_at"].item()
    np.testing.assert_allclose(trace.risk, wanted.risk, rtol=1e-11)
    method = METHODS["sgd"]()
    whole = sl.exact(problem, method, keep=[1234], record=[1234, 2000, T])
    rest = sl.exact(problem, methods.rest(method, 1234), start=whole.state_at(1234), record=[1234, 2000, T])
    np.testing.assert_allclose(rest.risk, whole.risk.sel(step=rest.risk["step"]), rtol=1e-13)
    assert sum(counted.values()) > T


def at_80_bits(problem, lr, batch, steps):
    """Risk (2, K) at the end, bias and variance, of SGD at a constant rate, in steps of longdouble."""
    wide = np.longdouble
    lam, kurtosis = problem.eigenvalues.astype(wide), problem.kurtosis.astype(wide) - 1
    origin = problem.optima[0].astype(wide)
    delta, noise = origin - problem.optima, problem.noise_variance.astype(wide)
    # No products of matrices, which take long at 80 bits.
    q, one = problem.shares(0, 1)[0].astype(wide), wide(1) / wide(batch)
    own = one * (q[:, None] * kurtosis * lam**2)
    h, m = (q[:, None] * lam).sum(axis=0), -origin
    factor = (1 - wide(lr) * h) ** 2 + wide(lr) ** 2 * (own.sum(axis=0) - one * h * h)
    C, D = np.zeros_like(h), np.zeros_like(h)
    for _ in range(steps):
        y = m + delta
        square, g = y * y, (q[:, None] * lam * y).sum(axis=0)
        pull = (lam * (C + square)).sum(axis=1), (lam * D).sum(axis=1) + noise
        added = (own * square).sum(axis=0) - one * g * g + one * ((q * pull[0])[:, None] * lam).sum(axis=0)
        kick = wide(lr) ** 2 * one * ((q * pull[1])[:, None] * lam).sum(axis=0)
        C, D = factor * C + wide(lr) ** 2 * added, factor * D + kick
        m = m - wide(lr) * g
    return 0.5 * np.array([(lam * (C + (m + delta) ** 2)).sum(axis=1), (lam * D).sum(axis=1)])


@pytest.mark.thorough
@pytest.mark.parametrize(
    "problem",
    [sl.Mixture([ONE]), sl.Mixture([ONE, TURNED], [0.3, 0.7]), sl.Mixture([ONE, CURVED, STEEP], [0.5, 0.2, 0.3])],
    ids=["one", "two", "three"],
)
def test_against_80_bit_steps(problem):
    trace = sl.exact(problem, methods.sgd(schedules.constant(20_000, 0.1), batch=2))
    np.testing.assert_allclose(trace.risk[-1, ..., 0], at_80_bits(problem, 0.1, 2, 20_000).astype(float), rtol=5e-14)
