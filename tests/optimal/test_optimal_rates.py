"""The certified optimum of SGD: its gradient, its sweeps, closed forms, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlab as sl
from simlab.kernels.moments.layout import NodeArrays
from simlab.optimal.adjoint import Objective
from simlab.optimal.arguments import check_weights
from simlab.optimal.batches import price_of, rounded
from simlab.optimal.krotov import certify, free_rates


def risks(modes, lr, share):
    """The risk of every iterate by the recursion as it stands in the textbook; complex rates as well."""
    u = modes.signal.astype(lr.dtype)
    out = [0.5 * u.sum()]
    for e, r in zip(lr, share, strict=True):
        factor = (1.0 - e * modes.eigenvalues) ** 2 + r * e**2 * modes.self_noise
        u = factor * u + r * e**2 * modes.drive * (modes.coupling * u.sum() + modes.noise)
        out.append(0.5 * u.sum())
    return np.array(out)


def drawn(rng):
    """A random problem, rates, 1/B and weights."""
    d, T = int(rng.integers(1, 40)), int(rng.integers(1, 60))
    lam, error = np.sort(rng.uniform(0.02, 1.0, d))[::-1], rng.normal(size=d)
    if rng.uniform() < 0.3:
        problem = sl.NoisyQuadratic(lam, error, rng.uniform(0.0, 1.0, d))
    else:
        problem = sl.LinearRegression(lam, error, rng.choice([0.0, 0.1, 2.0]), rng.choice([1.0, 3.0, 6.0]))
    lr = rng.uniform(0.1, 1.0, T) / lam.sum()
    return problem, lr, 1.0 / rng.integers(1, 9, T), check_weights(rng.uniform(size=T + 1), T)


def objective_of(problem, weights, cap=math.inf):
    nodes = NodeArrays(problem.modes())
    return Objective(nodes, nodes.signal, weights, np.full(weights.size - 1, cap))


def power_law(dim, capacity, source, noise):
    return sl.LinearRegression.power_law(dim, capacity, source, noise)


@pytest.mark.parametrize("seed", range(12))
def test_gradients_against_a_complex_step(seed):
    problem, lr, share, weights = drawn(np.random.default_rng(seed))
    modes, at = problem.modes(), objective_of(problem, weights).gradient(lr, share)
    value = weights @ risks(modes, lr, share)
    assert at.value == pytest.approx(value, rel=1e-13)
    np.testing.assert_array_equal(at.lr, lr)
    scale = np.abs(2.0 * lr * at.H).max() + 1e-300
    for t in range(lr.size):
        off = np.zeros(lr.size, dtype=complex)
        off[t] = 1e-30j
        by_lr = (weights @ risks(modes, lr + off, share)).imag / 1e-30
        by_share = (weights @ risks(modes, lr + 0j, share + off)).imag / 1e-30
        assert 2.0 * (lr[t] * at.H[t] - at.A[t]) == pytest.approx(by_lr, rel=1e-10, abs=1e-12 * scale)
        assert lr[t] ** 2 * at.C[t] == pytest.approx(by_share, rel=1e-10)


@given(seed=st.integers(0, 10**6), relax=st.floats(0.1, 1.95), cap=st.sampled_from([math.inf, 0.5, 0.05]))
def test_every_sweep_lowers_the_risk_by_the_falls_of_its_parabolas(seed, relax, cap):
    problem, lr, share, weights = drawn(np.random.default_rng(seed))
    objective = objective_of(problem, weights, cap)
    lr = np.minimum(lr, cap)
    before = objective.value(lr, share)
    new = objective.sweep(lr, share, relax)
    falls = new.H * (new.lr**2 - lr**2) - 2.0 * new.A * (new.lr - lr)
    assert np.all(falls <= 1e-13 * before)
    assert new.value - before == pytest.approx(falls.sum(), rel=1e-9, abs=1e-12 * before)
    assert new.lr.max() <= cap


@pytest.mark.parametrize(("d", "kurtosis", "batch"), [(1, 3.0, 1), (1, 6.0, 4), (50, 3.0, 1), (50, 1.0, 2)])
def test_one_eigenvalue_is_solved_by_the_greedy_rate(d, kurtosis, batch):
    """s <- s ((1 - z)^2 + (kurtosis - 2) z^2 / B) + d z^2 (s + noise) / B, z = lr lam: each z to its own minimum."""
    problem = sl.LinearRegression.isotropic(d, 0.3, eigenvalue=2.0, kurtosis=kurtosis)
    s, r, greedy = 2.0 * d, 1.0 / batch, []
    for _ in range(40):
        z = s / (s * (1.0 + r * (kurtosis - 2.0 + d)) + r * d * 0.3)
        s = s * ((1.0 - z) ** 2 + r * (kurtosis - 2.0) * z**2) + r * d * z**2 * (s + 0.3)
        greedy.append(z / 2.0)
    found = sl.optimize(problem, 40, batch=batch, cap=None)
    np.testing.assert_allclose(found.schedule.values(), greedy, rtol=1e-12)
    assert found.risk == pytest.approx(0.5 * s, rel=1e-12)
    assert len(found.history) <= 3


def test_one_hill_with_additive_noise_halves_the_rate_at_once():
    """From the stationary state of lr = 0.2 the first rate is half of it, and 1/lr grows by lam (river valleys)."""
    lam, rate = 1.0, 0.2
    floor = rate**2 / (1.0 - (1.0 - rate * lam) ** 2)
    problem = sl.NoisyQuadratic([lam], math.sqrt(floor), 1.0)
    found = sl.optimize(problem, 30, cap=None)
    lr = found.schedule.values()
    assert lr[0] == pytest.approx(floor / (floor + 1.0), rel=1e-12)
    np.testing.assert_allclose(np.diff(1.0 / lr), lam, rtol=1e-9)


@pytest.mark.parametrize(("capacity", "source", "noise"), [(1.5, 1.2, 1.0), (2.0, 1.5, 0.01), (1.5, 2.5, 0.01)])
def test_random_starts_end_at_one_optimum(capacity, source, noise):
    problem, T, rng = power_law(60, capacity, source, noise), 200, np.random.default_rng(5)
    known = sl.optimize(problem, T, tolerance=1e-8)
    top = sl.stability(problem, sl.methods.sgd(sl.schedules.constant(T, 0.1))).critical_lr
    weights, share = check_weights(None, T), np.ones(T)
    for _ in range(24):
        steps = np.repeat(rng.uniform(0.01, 1.0, 8), 25)
        found = free_rates(objective_of(problem, weights, top), top * steps, share, 1e-8)
        assert found.certificate.gradient <= 1e-8
        assert np.all(np.diff(found.history[:, 0]) <= 1e-14 * found.value)  # mixed points that rise are dropped
        assert found.value == pytest.approx(known.risk, rel=1e-12)


def test_the_optimum_is_what_the_exact_engine_says_and_no_single_rate_improves_it():
    problem, T = power_law(100, 1.5, 1.5, 0.1), 300
    found = sl.optimize(problem, T)
    assert found.converged
    exact = sl.exact(problem, found.method, progress=False).total().values[-1]
    assert found.risk == pytest.approx(exact, rel=1e-12)
    lr, top = found.schedule.values(), found.schedule.peak()
    objective = objective_of(problem, check_weights(None, T))
    for t in (0, 10, 150, 298, 299):
        for factor in (0.5, 0.99, 1.01, 2.0):
            other = lr.copy()
            other[t] = min(factor * lr[t], top)  # the cap is not met, but for its rounding
            assert objective.value(other, np.ones(T)) >= found.risk * (1.0 - 1e-14)
    for schedule in (sl.schedules.linear, sl.schedules.cosine):
        for peak in np.geomspace(0.05, 1.0, 12):
            rival = sl.exact(problem, sl.methods.sgd(schedule(T, peak)), progress=False).total().values[-1]
            assert not rival <= 1.01 * found.risk


def test_many_modes_are_compressed_and_cost_no_accuracy():
    problem, T = power_law(3000, 1.5, 1.2, 0.5), 400
    found = sl.optimize(problem, T)
    exact = sl.exact(problem, found.method, progress=False).total().values[-1]
    assert found.risk == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(
    ("capacity", "source", "noise", "least", "most"),
    [(1.5, 2.5, 0.01, 0.02, 0.05), (1.5, 2.5, 1.0, 1e-5, 1e-3), (2.0, 1.5, 0.01, -1e-9, 3e-5)],
)
def test_what_never_rises_loses_what_a_warmup_is_worth(capacity, source, noise, least, most):
    """Easy and low noise: percents, as the error itself is the noise at first; hard: nothing."""
    problem, T = power_law(150, capacity, source, noise), 60
    free, falling = sl.optimize(problem, T), sl.optimize(problem, T, monotone=True, tolerance=1e-4)
    assert falling.converged
    lr = falling.schedule.values()
    assert np.all(np.diff(lr) <= 0.0)
    assert least <= falling.risk / free.risk - 1.0 <= most
    assert falling.risk == pytest.approx(
        sl.exact(problem, falling.method, progress=False).total().values[-1], rel=1e-10
    )
    rng = np.random.default_rng(2)
    for _ in range(20):  # no schedule near it that never rises is better
        other = np.minimum.accumulate(lr * np.exp(0.02 * rng.normal(size=T)))
        rival = sl.exact(problem, sl.methods.sgd(sl.schedules.from_array(other)), record=2, progress=False)
        assert rival.total().values[-1] >= falling.risk


def test_a_cap_is_met_and_never_passed():
    problem = sl.NoisyQuadratic(np.arange(1.0, 30.0) ** -1.0, 1.0, 0.1)
    free, capped = (sl.optimize(problem, 200, cap=cap) for cap in (None, 0.1))
    assert free.schedule.peak() > 0.1 == capped.schedule.peak()
    assert capped.converged
    assert capped.risk > free.risk
    critical = sl.optimize(power_law(80, 3.0, 1.2, 0.001), 100)
    method = sl.methods.sgd(sl.schedules.constant(10, 0.1))
    top = sl.stability(power_law(80, 3.0, 1.2, 0.001), method).critical_lr
    assert critical.schedule.peak() <= top * (1.0 + 1e-9)


def test_the_rest_of_an_optimal_run_is_the_optimum_of_the_rest():
    problem, T = power_law(120, 1.5, 1.5, 0.2), 300
    whole = sl.optimize(problem, T, batch=2, tolerance=1e-8)
    begun = sl.exact(problem, sl.methods.sgd(whole.schedule[:100], batch=2), progress=False)
    rest = sl.optimize(problem, T - 100, batch=2, start=begun.state, tolerance=1e-8)
    np.testing.assert_allclose(rest.schedule.values(), whole.schedule.values()[100:], rtol=1e-4)
    assert rest.risk == pytest.approx(whole.risk, rel=1e-12)
    ended = sl.exact(problem, rest.method, start=begun.state, progress=False)
    assert ended.total().values[-1] == pytest.approx(rest.risk, rel=1e-12)


def test_two_horizons_share_a_schedule():
    problem = power_law(80, 1.5, 1.5, 0.5)
    both = sl.optimize(problem, 400, weights={100: 1.0, 400: 1.0})
    trace = sl.exact(problem, both.method, record=[100, 400], progress=False).total().sel(step=[100, 400]).values
    assert both.risk == pytest.approx(trace.mean(), rel=1e-12)
    for horizon, risk in zip((100, 400), trace, strict=True):
        assert 1.0 < risk / sl.optimize(problem, horizon).risk < 1.1
    lr = both.schedule.values()
    assert lr[99] < 0.5 * lr[110]  # it cools down for the first one


@pytest.mark.thorough
@pytest.mark.parametrize(("capacity", "source", "noise"), [(1.5, 1.2, 1.0), (2.0, 2.5, 1.0)])
def test_the_least_worst_ratio_over_horizons_and_its_bound(capacity, source, noise):
    problem, steps = power_law(100, capacity, source, noise), [20, 60, 200]
    both = sl.optimize(problem, 200, horizons=steps[:2])
    found, own = both.horizons, {T: sl.optimize(problem, T).risk for T in steps}
    assert found.bound <= found.worst * (1.0 + 1e-9)
    assert found.worst - found.bound < 2e-3
    assert 1.005 < found.worst < 1.2
    assert max(found.ratios.values()) == found.worst
    assert sum(found.weights.values()) == pytest.approx(1.0)

    def ratios(method):
        risks = sl.exact(problem, method, record=steps, progress=False).total()
        return {T: float(risks.sel(step=T)) / own[T] for T in steps}

    assert ratios(both.method) == pytest.approx(found.ratios, rel=1e-6)
    for weights in ({20: 1.0, 60: 1.0, 200: 1.0}, {200: 1.0}):  # no other schedule comes below the bound
        assert max(ratios(sl.optimize(problem, 200, weights=weights).method).values()) >= found.bound


def test_rates_and_batches_share_a_budget():
    problem, T = power_law(100, 2.0, 1.5, 0.01), 200
    found = sl.optimize(problem, T, samples=3200)
    batch = found.batch.values()
    assert batch.sum() == 3200
    assert batch.min() >= 1.0
    assert found.risk == pytest.approx(sl.exact(problem, found.method, progress=False).total().values[-1], rel=1e-12)
    assert found.risk < 0.99 * sl.optimize(problem, T, batch=16).risk
    assert batch[-20:].mean() > 2.0 * batch[:100].mean()  # where the cap binds, batches grow
    assert np.all(sl.optimize(problem, T, samples=T).batch.values() == 1.0)
    assert sl.optimize(problem, T, over=("lr", "batch"), samples=3200).risk == found.risk


@given(sizes=st.lists(st.floats(1.0, 50.0), min_size=1, max_size=40), spare=st.integers(0, 500))
def test_rounded_batches_keep_their_sum(sizes, spare):
    whole = rounded(np.array(sizes), len(sizes) + spare)
    assert whole.sum() == len(sizes) + spare
    assert np.all(whole >= 1.0)
    assert np.all(whole == np.rint(whole))


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30), st.integers(1, 40))
def test_the_price_of_a_sample_spends_the_budget(gains, mean):
    samples = mean * len(gains)
    roots = np.sqrt(np.array(gains) / price_of(np.array(gains), samples))
    assert np.clip(roots, 1.0, samples).sum() == pytest.approx(samples, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1e6, 1e200, 1e-200])
def test_units_do_not_matter(scale):
    lam = np.arange(1.0, 20.0) ** -1.5
    one = sl.optimize(sl.LinearRegression(lam, 1.0, 0.1), 50)
    other = sl.optimize(sl.LinearRegression(scale * lam, 1.0 / math.sqrt(scale), 0.1), 50)
    np.testing.assert_allclose(other.schedule.values() * scale, one.schedule.values(), rtol=1e-5)
    assert other.risk == pytest.approx(one.risk, rel=1e-11)


def test_a_search_cut_short_says_so():
    problem = power_law(100, 2.0, 1.5, 0.01)
    found = sl.optimize(problem, 500, sweeps=1)
    assert not found.converged
    assert "not converged after 1 sweeps" in repr(found)
    assert found.certificate.gradient > 1e-6
    assert found.risk >= sl.optimize(problem, 500).risk


def test_no_error_no_noise_and_a_single_step_have_an_optimum():
    assert sl.optimize(sl.LinearRegression([1.0, 0.5], 0.0, 0.0), 5).risk == 0.0
    assert sl.optimize(sl.LinearRegression([1.0, 0.5], 1.0, 0.1), 1).converged
    exact = sl.optimize(sl.LinearRegression([1.0], 1.0, 0.1), 3, batch=math.inf)
    assert exact.risk < 1e-6  # the full gradient: one step of 1 / lam would do


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"problem": sl.methods}, ["problem", "not a problem"]),
        ({"steps": 0}, ["steps = 0"]),
        ({"steps": 10**8}, ["steps", "at most 10000000"]),
        ({"cap": -1.0}, ["cap = -1.0", "critical"]),
        ({"cap": "crit"}, ["cap = 'crit'", "critical"]),
        ({"cap": 1e-300}, ["cap = 1e-300 moves nothing in 10 steps", "more than 1.1e-17"]),
        ({"cap": 1e-17, "method": "heavy_ball"}, ["cap = 1e-17 moves nothing"]),
        ({"cap": 1e-17, "knots": 4}, ["cap = 1e-17 moves nothing"]),
        ({"weights": [0.0] * 11}, ["weights", "sum to zero"]),
        ({"weights": {0: 1.0}}, ["weights", "sum to zero"]),
        ({"weights": [1.0]}, ["weights", "11 iterates"]),
        ({"weights": {11: 1.0}}, ["weights", "11"]),
        ({"horizons": [10]}, ["horizons", "before 10"]),
        ({"horizons": [0]}, ["horizons[0] = 0"]),
        ({"horizons": 5}, ["horizons = 5"]),
        ({"horizons": [5], "weights": {5: 1.0}}, ["horizons", "weights"]),
        ({"monotone": 1}, ["monotone = 1"]),
        ({"monotone": True, "samples": 20}, ["monotone", "samples"]),
        ({"samples": 9}, ["samples = 9", "10 steps"]),
        ({"samples": 20, "batch": 2}, ["batch = 2", "samples"]),
        ({"batch": 0.5}, ["batch = 0.5"]),
        ({"batch": sl.schedules.constant(9, 2)}, ["batch", "9 steps"]),
        ({"start": 3}, ["start = 3", "state"]),
        ({"tolerance": 0.0}, ["tolerance"]),
    ],
)
def test_refusals(given, words):
    with pytest.raises(sl.InputError) as caught:
        sl.optimize(**{"problem": sl.LinearRegression([1.0, 0.5], 1.0, 0.1), "steps": 10, **given})
    for word in words:
        assert word in str(caught.value), caught.value


def test_a_certificate_tells_a_bad_schedule_from_the_best():
    problem, T = power_law(60, 1.5, 1.2, 1.0), 100
    best = sl.optimize(problem, T)
    objective = objective_of(problem, check_weights(None, T))
    bad = certify(objective, np.full(T, 0.1), np.ones(T))
    assert bad.gain > 0.1 > 1e-12 > best.certificate.gain
    assert bad.single > 1e-3 > 1e-12 > best.certificate.single
    assert bad.gain == pytest.approx(0.5 * bad.gradient**2, rel=1e-12)


@pytest.mark.slow
def test_a_million_steps_of_the_hard_low_noise_problem():
    """J to 13 digits as two other programs have it, on another compression of the spectrum."""
    found = sl.optimize(power_law(10**8, 2.0, 1.5, 0.01), 10**6, tolerance=5e-7)
    assert found.converged
    assert found.risk == pytest.approx(0.02821434657029, rel=1e-9)
