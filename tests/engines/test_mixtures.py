"""Mixtures of domains: against the recursion of second moments in absolute coordinates, one domain, limits, states."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods, schedules
from tests.oracles.method_zoo import ZOO

T = 60
RNG = np.random.default_rng(7)


def random_domains(d=9, domains=3, noise=True):
    made = {}
    for j in range(domains):
        lam = np.sort(RNG.uniform(0.05, 1.0, d))[::-1]
        kurtosis = [3.0, 1.8, RNG.uniform(1.2, 5.0, d)][j % 3]
        made[f"domain {j}"] = sl.LinearRegression(lam, RNG.normal(size=d), 0.2 * j * noise, kurtosis)
    return made


def plain(mixture, lr, batch, steps):
    """Risk by (step, domain) of SGD, from E w and E w^2 in absolute coordinates."""
    lam, best, noise = mixture.eigenvalues, mixture.optima, mixture.noise_variance[:, None]
    mu, M = np.zeros(mixture.dim), np.zeros(mixture.dim)
    out = []
    for t in range(steps + 1):
        D = M - 2.0 * best * mu + best**2
        Q = np.sum(lam * D, axis=1, keepdims=True)
        out.append(0.5 * Q[:, 0])
        if t == steps:
            return np.array(out)
        p, w = mixture.shares(t, t + 1)[0][:, None], mixture.loss_weights(t, t + 1)[0][:, None]
        h, c = np.sum(p * w * lam, axis=0), np.sum(p * w * lam * best, axis=0)
        one = np.sum(p * w**2 * (lam * (Q + noise) + (mixture.kurtosis - 1.0) * lam**2 * D), axis=0)
        G = one / batch + (1.0 - 1.0 / batch) * (h**2 * M - 2.0 * h * c * mu + c**2)
        M = M - 2.0 * lr[t] * (h * M - c * mu) + lr[t] ** 2 * G
        mu = mu - lr[t] * (h * mu - c)


@pytest.mark.parametrize("batch", [1, 3])
def test_sgd_is_the_recursion_of_absolute_moments(batch):
    share = [np.linspace(0.7, 0.1, T), "rest", 0.2]
    mixture = sl.Mixture(random_domains(), share, [1.0, schedules.linear(T, 2.0), 0.5])
    lr = schedules.linear(T, 0.2)
    trace = sl.exact(mixture, methods.sgd(lr, batch=batch), record="all", subspaces="log_bins(2)")
    assert trace.risk.dims == ("step", "component", "domain", "subspace")
    np.testing.assert_allclose(trace.total().values, plain(mixture, lr.values(), batch, T), rtol=1e-11)


@pytest.mark.parametrize("name", ZOO)
def test_one_domain_is_a_regression(name):
    """Every linear method: bias, variance and deterministic part, by subspace and step."""
    problem = sl.LinearRegression(np.sort(RNG.uniform(0.05, 1.0, 70))[::-1], RNG.normal(size=70), 0.3, 1.8)
    batch = schedules.from_array(np.r_[np.ones(T // 2), np.full(T - T // 2, 3.0)])
    method = ZOO[name](schedules.wsd(T, 0.01), schedules.linear(T, 0.9, floor=0.5), batch)
    asked = {"record": "all", "subspaces": "log_bins(3)", "deterministic": True}
    alone = sl.exact(problem, method, **asked)
    mixed = sl.exact(sl.Mixture([problem]), method, **asked).risk.sel(domain="1")
    scale = float(np.abs(alone.risk).max())
    np.testing.assert_allclose(mixed, alone.risk, rtol=1e-11, atol=1e-14 * scale)


TWO = {
    "sgd": methods.sgd(schedules.linear(T, 0.2), batch=3),
    "heavy ball": methods.heavy_ball(schedules.linear(T, 0.05), momentum=0.8),
    "weight decay": methods.weight_decay(methods.sgd(schedules.constant(T, 0.1)), decay=0.1),
    "ema of heavy ball": methods.ema(methods.heavy_ball(schedules.linear(T, 0.05), momentum=0.8), decay=0.9),
    "ema of ema": methods.ema(methods.ema(methods.nesterov(schedules.linear(T, 0.05), 0.8), decay=0.9), decay=0.5),
}


@pytest.mark.parametrize("name", TWO)
def test_two_domains_are_three_of_which_one_is_not_drawn(name):
    """Two take a pass of their own for up to two state variables: with shares and weights that change at every step."""
    domains = dict(list(random_domains(d=70).items())[1:])
    asked = {"record": "all", "subspaces": "log_bins(2)", "deterministic": True}
    share, weights = [np.linspace(0.7, 0.1, T), "rest"], [1.0, schedules.linear(T, 2.0)]
    two = sl.exact(sl.Mixture(domains, share, weights), TWO[name], **asked).risk
    domains["no one"] = sl.LinearRegression(np.linspace(0.9, 0.1, 70), 1.0, 0.3)
    three = sl.exact(sl.Mixture(domains, [*share, 0.0], [*weights, 1.0]), TWO[name], **asked).risk
    np.testing.assert_allclose(three.sel(domain=two["domain"]), two, rtol=1e-12, atol=1e-17)


def test_a_small_risk_keeps_its_digits():
    """Weights of size one within 1e-12 of the optimum: moments in absolute coordinates would say nothing."""
    problem = sl.LinearRegression([1.0, 0.9], [1.0, -1.0], 0.0)
    method = methods.sgd(schedules.constant(300, 0.3))
    alone, mixed = (sl.exact(each, method, record="all").total() for each in (problem, sl.Mixture([problem])))
    assert float(alone[-1]) < 1e-24
    np.testing.assert_allclose(mixed.sel(domain="1"), alone, rtol=1e-12)
    # On a second domain, from whose optimum moments are not measured, to the rounding of the weights.
    second = sl.exact(sl.Mixture([ONE, problem], [0.0, 1.0]), method, record="all").total().sel(domain="2")
    np.testing.assert_allclose(second, alone, rtol=1e-9, atol=1e-30)


def test_equal_domains_are_one():
    domains = list(random_domains(domains=1).values()) * 3
    method = methods.heavy_ball(schedules.constant(T, 0.05), momentum=0.8)
    trace = sl.exact(sl.Mixture(domains, [0.2, 0.5, 0.3]), method, record="all").total()
    alone = sl.exact(domains[0], method, record="all").total()
    np.testing.assert_allclose(trace, np.repeat(alone.values[:, None], 3, axis=1), rtol=1e-12)


def test_the_full_gradient_goes_to_where_the_mean_gradient_is_zero():
    mixture = sl.Mixture(random_domains(), [0.5, 0.3, 0.2], [1.0, 2.0, 0.5])
    trace = sl.exact(mixture, methods.sgd(schedules.constant(4000, 0.5), batch=np.inf), deterministic=True)
    q = np.array([0.5, 0.6, 0.1])[:, None] * mixture.eigenvalues
    rest = np.sum(q * mixture.optima, axis=0) / q.sum(axis=0)
    wanted = 0.5 * np.sum(mixture.eigenvalues * (rest - mixture.optima) ** 2, axis=1)
    np.testing.assert_allclose(trace.total()[-1], wanted, rtol=1e-10)
    np.testing.assert_allclose(*(trace.risk.sel(component=c) for c in ("bias", "deterministic")), rtol=1e-12)


def test_directions_stay_where_they_were_given():
    """A domain whose eigenvalues are not in descending order is sorted, and put beside the first one all the same."""
    lam, error = np.array([1.0, 0.5, 0.2]), np.array([1.0, -2.0, 3.0])
    other = np.array([0.1, 0.9, 0.4])
    with pytest.warns(UserWarning, match="descending"):
        domain = sl.LinearRegression(other, error, 0.1)
    first = sl.LinearRegression(lam, error, 0.1)
    mixture = sl.Mixture([first, domain])
    np.testing.assert_array_equal(mixture.eigenvalues, [lam, other])
    np.testing.assert_array_equal(mixture.optima, [-error, -error])
    same = sl.Mixture([first, first.shifted(other / lam)])
    np.testing.assert_allclose(same.eigenvalues, mixture.eigenvalues, rtol=1e-15)


def test_a_split_run_is_the_whole_run():
    mixture = sl.Mixture(random_domains(), [np.linspace(0.7, 0.1, T), "rest", 0.2])
    inner = methods.heavy_ball(schedules.wsd(T, 0.05), momentum=0.8, batch=2)
    for method in (inner, methods.ema(inner, decay=0.9), methods.weight_decay(inner, decay=0.1)):
        asked = {"record": "all", "deterministic": True}
        whole = sl.exact(mixture, method, keep=[23], **asked)
        second = sl.exact(mixture, methods.rest(method, 23), start=whole.state_at(23), **asked)
        np.testing.assert_allclose(second.risk, whole.risk.sel(step=slice(23, None)), rtol=1e-13)


def test_a_state_goes_to_another_mixture(tmp_path):
    """Data that change at a step, as one run of shares that jump, and as a second run from a state, saved and read."""
    domains = random_domains()
    jump = np.r_[np.full(30, 0.9), np.full(30, 0.2)]
    method = methods.sgd(schedules.linear(T, 0.3), batch=2)
    whole = sl.exact(sl.Mixture(domains, [jump, "rest", 0.1]), method, record="all")
    first = sl.exact(sl.Mixture(domains, [0.9, 0.0, 0.1]), method, keep=[30])
    saved = sl.RiskTrace.load(first.save(tmp_path / "first.zarr"))
    # Another first domain: moments are measured from elsewhere.
    turned = dict(reversed(domains.items()))
    second = sl.exact(
        sl.Mixture(turned, [0.1, 0.7, 0.2]), methods.rest(method, 30), start=saved.state_at(30), record="all"
    )
    wanted = whole.risk.sel(step=slice(30, None))
    np.testing.assert_allclose(second.risk.sel(domain=wanted["domain"]), wanted, rtol=1e-12)


def test_runs_that_leave_are_results():
    trace = sl.exact(sl.Mixture(random_domains()), {"a": methods.sgd(schedules.constant(500, 5.0))}, snapshots=[0])
    assert trace.status.values.tolist() == ["diverged"]
    assert "means over the domains" in repr(trace)
    assert trace.dataset["mode_risk"].dims == ("run", "snapshot", "component", "domain", "mode")
    loss = trace.training_loss() - trace.total()
    np.testing.assert_allclose(loss.isel(run=0, step=0), [0.0, 0.1, 0.2])


# -- sampling and weighting --------------------------------------------------------------------------------------------


def test_upsampling_and_upweighting_have_one_mean_path():
    domains, share, natural = random_domains(), np.array([0.5, 0.3, 0.2]), np.array([0.8, 0.1, 0.1])
    method = methods.nesterov(schedules.linear(T, 0.05), momentum=0.9)
    drawn, weighed = (
        sl.exact(mixture, method, record="all", deterministic=True)
        for mixture in (sl.Mixture(domains, share), sl.Mixture(domains, natural, share / natural))
    )
    np.testing.assert_allclose(*(t.risk.sel(component="deterministic") for t in (drawn, weighed)), rtol=1e-12)
    assert np.all(drawn.total()[-1] < weighed.total()[-1])


def test_upweighting_wins_where_what_is_drawn_less_is_noisier():
    """Two domains of one spectrum and optimum, p = (0.8, 0.2), q = (0.5, 0.5): the sign turns at a ratio of noise."""
    from simlab import theory

    lam, error = np.arange(1.0, 9.0) ** -1.0, np.ones(8)
    excess = []
    for noise in (0.5, 3.0, 5.0, 30.0):
        domains = [sl.LinearRegression(lam, error, 0.5), sl.LinearRegression(lam, error, noise)]
        method = methods.sgd(schedules.constant(400, 0.05))
        drawn, weighed = (
            sl.exact(mixture, method).risk.sel(component="variance").sum("subspace")[-1, 0]
            for mixture in (sl.Mixture(domains, [0.8, 0.2]), sl.Mixture(domains, [0.5, 0.5], [1.6, 0.4]))
        )
        formula = theory.find("upweighting_excess")([lam] * 2, np.zeros((2, 8)), [0.5, noise], [0.8, 0.2], [0.5] * 2)
        excess.append(float(weighed - drawn))
        assert (excess[-1] > 0.0) == bool(np.all(formula > 0.0))
    assert excess[0] > 0.0 > excess[-1]


def test_clean_labels_come_last_under_a_decaying_rate():
    """Label noise by step: a second domain of the same features and target."""
    clean = sl.LinearRegression(np.arange(1.0, 31.0) ** -1.3, 1.0, 0.1)
    problem, on = {"clean": clean, "noisy": clean.shifted(noise_variance=3.0)}, np.r_[np.zeros(200), np.ones(200)]
    method = methods.sgd(schedules.linear(400, 0.2))
    last, first = (sl.exact(sl.Mixture(problem, [each, "rest"]), method).total()[-1, 0] for each in (on, on[::-1]))
    assert float(last) < 0.8 * float(first)


def test_under_a_constant_rate_and_a_full_average_order_matters_in_the_tail_alone():
    """A mode weighs a sample by what is left of the run where lr lam T is small, and all alike where it is large."""
    clean = sl.LinearRegression(np.arange(1.0, 31.0) ** -1.3, 1.0, 0.1)
    problem, on = {"clean": clean, "noisy": clean.shifted(noise_variance=3.0)}, np.repeat([0.0, 1.0], 2000)
    average = methods.average(methods.sgd(schedules.constant(4000, 0.05)))
    asked = {"subspaces": {"head": range(1, 4), "tail": range(4, 31)}, "record": 2}
    last, first = (
        sl.exact(sl.Mixture(problem, [each, "rest"]), average, **asked).risk.sel(component="variance", domain="clean")[
            -1
        ]
        for each in (on, on[::-1])
    )
    ratio = (last / first).to_series()
    assert abs(ratio["head"] - 1.0) < 0.1
    assert ratio["tail"] > 1.4


# -- refusals ----------------------------------------------------------------------------------------------------------

ONE = sl.LinearRegression([1.0, 0.5], 1.0, 0.1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (([ONE, ONE], [0.5, 0.6]), r"share sums to 1.1; give shares that sum to one"),
        (([ONE, ONE], [np.r_[np.full(7, 0.5), 0.4], 0.5]), r"share sums to 0.9 at step 7"),
        (([ONE, ONE], [np.r_[np.full(7, 0.5), 1.4], "rest"]), r"share sums to 1.4 at step 7; .* at most one"),
        (([ONE, ONE], ["rest", "rest"]), r'"rest" twice'),
        (([ONE, ONE], [1.0]), r"share has 1 entries and there are 2 domains"),
        (([ONE, ONE], [1.5, -0.5]), r"share\[1\] = -0.5"),
        (([ONE, ONE], None, [1.0, "rest"]), r"weights\[1\] = 'rest' is not a number"),
        (([ONE, sl.LinearRegression([1.0], 1.0, 0.1)],), r"domains\[1\] has 1 modes and the first domain 2"),
        (([ONE, sl.NoisyQuadratic([1.0, 0.5], 1.0, 1.0)],), r"domains\[1\] is NoisyQuadratic; give a LinearRegression"),
        (({"a": ONE, "b": sl.LinearRegression.one_hot([0.5, 0.2])},), r"domains\['b'\] is one-hot"),
        (([sl.LinearRegression.power_law(10**6, 1.5, 1.5).compress()],), r"is compressed"),
        (([],), r"domains is empty"),
    ],
)
def test_bad_mixtures_are_refused(given, said):
    with pytest.raises(sl.InputError, match=said):
        sl.Mixture(*given)


def test_what_does_not_go_together_is_refused():
    mixture = sl.Mixture([ONE, ONE], [np.full(10, 0.5), "rest"])
    method = methods.sgd(schedules.constant(20, 0.1))
    with pytest.raises(sl.InputError, match="shares or weights for 10 steps and the run has 20"):
        sl.exact(mixture, method)
    with pytest.raises(sl.InputError, match="Mixture, not a problem"):
        sl.long(mixture, method)
    state = sl.exact(ONE, method).state
    with pytest.raises(sl.InputError, match=r"is a state of simlab.exact or simlab.long"):
        sl.exact(sl.Mixture([ONE]), method, start=state)
    own = sl.exact(sl.Mixture([ONE]), method).state
    with pytest.raises(sl.InputError, match="is on a mixture"):
        own.moved(ONE, ONE)
    with pytest.raises(sl.InputError, match="covariance"):
        ONE.shifted(covariance=0.0)
    with pytest.raises(sl.InputError, match="float32"):
        sl.sample(sl.Mixture([ONE]), method, dtype="float32")
