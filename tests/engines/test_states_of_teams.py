"""Teams that begin at a state and leave one, and a regression's state that goes on in a mixture."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods, schedules

T, AT = 60, 23
RNG = np.random.default_rng(1)
PROBLEM = sl.LinearRegression.power_law(20, 1.5, 1.2, 0.3)
METHOD = methods.ema(methods.heavy_ball(schedules.linear(T, 0.05), momentum=0.8, batch=2), decay=0.9)


def domain(noise, d=12, kurtosis=3.0):
    """With eigenvalues in descending order, as `directions` need not be told then."""
    return sl.LinearRegression(np.sort(RNG.uniform(0.05, 1.0, d))[::-1], RNG.normal(size=d), noise, kurtosis)


A, B = domain(0.3, kurtosis=RNG.uniform(1.2, 4.0, 12)), domain(0.5)
PROBLEMS = {
    "regression": (PROBLEM, {}),
    "mixture": (sl.Mixture([A, B], [0.7, 0.3]), {}),
    "own domains": (sl.Mixture([A, B]), {"own_domains": True}),
}


# -- teams -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mixing", [None, "ring"])
@pytest.mark.parametrize("case", PROBLEMS)
def test_a_split_run_is_the_whole_run_where_all_have_merged(case, mixing):
    """Two workers of a ring merge as well. Exactly, and sampled to the bit."""
    problem, how = PROBLEMS[case]
    team = methods.local(METHOD, 2, merge=[10, AT, 40], mixing=mixing, **how)
    asked = {"record": [AT, 30, T], "progress": False}
    whole = sl.exact(problem, team, keep=[AT], deterministic=True, **asked)
    start = whole.state_at(AT)
    rest = sl.exact(problem, methods.rest(team, AT), start=start, deterministic=True, **asked)
    for name in ("risk", "worker_risk"):
        np.testing.assert_allclose(rest.dataset[name], whole.dataset[name].sel(step=[AT, 30, T]), rtol=1e-12)
    drawn = sl.sample(problem, team, replicas=10, keep=[AT], **asked)
    again = sl.sample(problem, methods.rest(team, AT), start=drawn.state_at(AT), **asked)
    for name in ("risk", "worker_risk"):
        np.testing.assert_array_equal(again.dataset[name], drawn.dataset[name].sel(step=[AT, 30, T]))


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_state_is_that_of_the_mean(case, tmp_path):
    """Kept between merges: what goes on alone with the full gradient has merged, and begins at the risk of the mean."""
    problem, how = PROBLEMS[case]
    team = methods.local(METHOD, 2, merge=[10, 40], **how)
    full = methods.ema(methods.heavy_ball(schedules.constant(5, 0.05), momentum=0.8, batch=np.inf), decay=0.9)
    for door, more in ((sl.exact, {}), (sl.sample, {"replicas": 6})):
        trace = door(problem, team, record=[AT], keep=[AT], progress=False, **more)
        saved = sl.RiskTrace.load(trace.save(tmp_path / door.__name__))
        on = door(problem, full, start=saved.state_at(AT), record=[AT])
        np.testing.assert_allclose(on.risk.sel(step=AT), trace.risk.sel(step=AT), rtol=1e-12)
        assert trace.branch(AT, full).final().sum() > 0.0


def test_a_run_goes_on_with_workers_and_the_mean_without():
    """A trunk, then workers that merge at every step: a larger batch from there on."""
    trunk = sl.exact(PROBLEM, METHOD, keep=[AT])
    inner = methods.heavy_ball(schedules.linear(T, 0.05), momentum=0.8)
    larger = methods.heavy_ball(schedules.linear(T, 0.05), momentum=0.8, batch=4)
    start, asked = trunk.state_at(AT), {"record": "all", "progress": False}
    team = sl.exact(PROBLEM, methods.local(inner, 4, every=1), start=start, **asked)
    np.testing.assert_allclose(team.risk, sl.exact(PROBLEM, larger, start=start, **asked).risk, rtol=1e-12)
    assert team.state.step == AT + T
    assert team.dataset["step"][0] == AT


def test_averages_of_workers_begin_at_the_iterate():
    """As those of a method by itself: what a state lacks is made of what it has."""
    start = sl.exact(PROBLEM, methods.sgd(schedules.constant(AT, 0.1))).state
    inner = methods.ema(methods.sgd(schedules.constant(T, 0.1)), decay=0.9)
    alone = sl.exact(PROBLEM, inner, start=start, record="all")
    one = sl.exact(PROBLEM, methods.local(inner, 1), start=start, record="all")
    np.testing.assert_allclose(one.risk, alone.risk, rtol=1e-12)


# -- a regression goes on in a mixture ---------------------------------------------------------------------------------

ON = np.r_[np.ones(AT), np.full(T - AT, 0.4)]


@pytest.mark.parametrize("first", ["A", "B"])
def test_a_regression_goes_on_in_a_mixture(first):
    """As one run whose share of the other domain is zero until then, whichever domain gives the order of directions."""
    pair = {"A": A, "B": B} if first == "A" else {"B": B, "A": A}
    shares = {"A": [ON, "rest"], "B": ["rest", ON]}[first]
    now = sl.Mixture(pair, [0.4, 0.6] if first == "A" else [0.6, 0.4])
    whole = sl.exact(sl.Mixture(pair, shares), METHOD, record="all").risk.sel(step=slice(AT, None))
    start = sl.exact(A, METHOD, keep=[AT], deterministic=True).state_at(AT).moved(A, now)
    rest = sl.exact(now, methods.rest(METHOD, AT), start=start, record="all").risk
    np.testing.assert_allclose(rest, whole, rtol=1e-12)


def test_equal_modes_and_other_orders_find_their_directions():
    """Modes in nodes that subspaces cut, and eigenvalues that were not given in descending order."""
    lam, error = np.array([1.0, 0.5, 0.2]), [1.0, -2.0, 0.5]
    several = sl.LinearRegression(lam, error, 0.3, multiplicity=[2, 3, 1])
    with pytest.warns(UserWarning, match="descending"):
        other = sl.LinearRegression([0.2, 0.6, 0.9, 0.3, 0.5, 1.0], [1.0, 2.0, 3.0, -1.0, -2.0, 0.4], 0.1)
    method = methods.sgd(schedules.linear(T, 0.1))
    for old, new in ((several, other), (other, several)):
        whole = sl.exact(sl.Mixture([old, new], [ON, "rest"]), method, record="all").risk
        trace = sl.exact(old, method, keep=[AT], deterministic=True, subspaces="log_bins(2)")
        for now, place in ((sl.Mixture([old, new], [0.4, 0.6]), {}), (sl.Mixture([new, old], [0.6, 0.4]), {"turn": 1})):
            rest = sl.exact(
                now, methods.rest(method, AT), start=trace.state_at(AT).moved(old, now), record="all"
            ).risk.values
            rest = rest[:, :, ::-1] if place else rest
            np.testing.assert_allclose(rest, whole.sel(step=slice(AT, None)), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("noise", [0.3, 0.0])
def test_replicas_of_a_regression_go_on_in_a_mixture(noise):
    """With the words that they would have met; label noise that only the mixture has begins there."""
    quiet = A.shifted(noise_variance=noise)
    now, law = sl.Mixture([quiet, B], [0.4, 0.6]), {"law": "three_point", "progress": False}
    whole = sl.sample(sl.Mixture([quiet, B], [ON, "rest"]), METHOD, replicas=12, record=[AT, T], **law)
    first = sl.sample(quiet, METHOD, replicas=12, keep=[AT], dtype="float64", **law)
    rest = sl.sample(now, methods.rest(METHOD, AT), start=first.state_at(AT).moved(quiet, now), record=[T], **law)
    np.testing.assert_allclose(rest.risk.sel(step=[AT, T]), whole.risk.sel(step=[AT, T]), rtol=1e-9, atol=1e-16)


def test_states_that_a_mixture_cannot_take_say_so():
    now, state = sl.Mixture([A, B]), sl.exact(A, METHOD).state
    with pytest.raises(sl.InputError, match=r"give state.moved\(regression, mixture\)"):
        sl.exact(now, METHOD, start=state)
    with pytest.raises(sl.InputError, match="keeps no mean, which a mixture asks for"):
        state.moved(A, now)
    whole = sl.exact(A, METHOD, deterministic=True).state
    with pytest.raises(sl.InputError, match="old is not the problem that the state is of"):
        whole.moved(B, now)
    with pytest.raises(sl.InputError, match="old is no LinearRegression without rows held out"):
        whole.moved(sl.NoisyQuadratic(A.eigenvalues, A.initial_error, 1.0), now)
    with pytest.raises(sl.InputError, match="new has 20 modes and the state 12"):
        whole.moved(A, sl.Mixture([PROBLEM]))
    with pytest.raises(sl.InputError, match="is on a mixture"):
        sl.exact(now, METHOD).state.moved(A, B)
