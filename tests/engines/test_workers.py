"""Several workers that are merged: identities, refutations on random problems, and copies that are sampled."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import simlab as sl
from simlab import methods, schedules
from tests.oracles.method_zoo import ZOO

T = 60
PROBLEM = sl.LinearRegression(np.arange(1.0, 41.0) ** -1.5, 1.0, 0.3)
METHODS = {
    "sgd": methods.sgd(schedules.linear(T, 0.2), batch=2),
    "ema of heavy ball": methods.ema(methods.heavy_ball(schedules.linear(T, 0.05), momentum=0.8), decay=0.9),
}


def everything(problem, method, **asked):
    return sl.exact(problem, method, record="all", subspaces="log_bins(2)", deterministic=True, **asked)


@pytest.mark.parametrize("name", ZOO)
def test_merged_once(name):
    """1/N of the risk of one worker and the rest of the run without sampling, mode by mode, at any time."""
    method, full = (ZOO[name](schedules.wsd(T, 0.02), schedules.constant(T, 0.8), b) for b in (2.0, np.inf))
    merged = everything(PROBLEM, methods.local(method, 4))
    one, noiseless = everything(PROBLEM, method).risk, everything(PROBLEM, full).risk
    np.testing.assert_allclose(merged.risk, one / 4.0 + 0.75 * noiseless, rtol=1e-10, atol=1e-16)
    np.testing.assert_allclose(merged.dataset["worker_risk"], one, rtol=1e-10, atol=1e-16)


@pytest.mark.parametrize("every", [1, 7, T])
def test_under_additive_noise_merging_is_a_larger_batch(every):
    problem = sl.NoisyQuadratic(PROBLEM.eigenvalues, 1.0, 0.3)
    method = methods.heavy_ball(schedules.linear(T, 0.1), momentum=0.8, batch=3)
    larger = methods.heavy_ball(schedules.linear(T, 0.1), momentum=0.8, batch=12)
    merged = everything(problem, methods.local(method, 4, every=every)).risk
    np.testing.assert_allclose(merged, everything(problem, larger).risk, rtol=1e-12, atol=1e-16)


def test_merged_at_every_step_is_a_mini_batch():
    merged = everything(PROBLEM, methods.local(METHODS["sgd"], 4, every=1))
    batch = everything(PROBLEM, methods.sgd(schedules.linear(T, 0.2), batch=8))
    np.testing.assert_allclose(merged.risk, batch.risk, rtol=1e-12)


def test_a_single_worker_is_the_method():
    merged = everything(PROBLEM, methods.local(METHODS["sgd"], 1, every=5))
    np.testing.assert_allclose(merged.risk, everything(PROBLEM, METHODS["sgd"]).risk, rtol=1e-13)


@pytest.mark.parametrize("every", [None, 7])
@pytest.mark.parametrize("name", METHODS)
def test_a_mixture_of_one_domain_and_equal_domains_of_their_own(name, every):
    """Three codes: a regression, a mixture that all draw from, and a domain for each worker."""
    method = methods.local(METHODS[name], 3, every=every)
    alone = everything(PROBLEM, method)
    mixed = everything(sl.Mixture([PROBLEM]), method)
    apart = everything(sl.Mixture([PROBLEM] * 3), methods.local(METHODS[name], 3, every=every, own_domains=True))
    for trace, worker in ((mixed, {}), (apart, {"worker": 2})):
        np.testing.assert_allclose(trace.risk.sel(domain="1"), alone.risk, rtol=1e-11, atol=1e-16)
        own = trace.dataset["worker_risk"].isel(worker).sel(domain="1")
        np.testing.assert_allclose(own, alone.dataset["worker_risk"], rtol=1e-11, atol=1e-16)


def test_merging_once_is_never_better_than_a_mini_batch():
    """200 random problems: merged once over the mini-batch of the same samples, never below one."""
    rng, ratios = np.random.default_rng(11), []
    for _ in range(200):
        d, workers = int(rng.integers(5, 60)), int(rng.integers(2, 17))
        lam = np.arange(1.0, d + 1) ** -rng.uniform(1.0, 2.0)
        problem = sl.LinearRegression(lam, rng.standard_normal(d), 10.0 ** rng.uniform(-2.0, 1.0))
        lr = schedules.constant(int(rng.integers(20, 400)), rng.uniform(0.05, 0.9) / lam.sum())
        once = sl.exact(problem, methods.local(methods.sgd(lr), workers), record=2, progress=False)
        batch = sl.exact(problem, methods.sgd(lr, batch=workers), record=2, progress=False)
        ratios.append(float(once.total()[-1] / batch.total()[-1]))
    assert min(ratios) > 1.0 - 1e-12
    assert max(ratios) > 1.5


def test_merging_more_often_is_better_and_late_beats_early():
    method = methods.sgd(schedules.constant(240, 0.1))
    ends = [float(sl.exact(PROBLEM, methods.local(method, 4, every=e)).total()[-1]) for e in (1, 8, 40, 240)]
    assert np.all(np.diff(ends) > 0.0)
    early, late = (
        float(sl.exact(PROBLEM, methods.local(method, 4, merge=steps)).total()[-1])
        for steps in ([10, 20, 30, 240], [180, 200, 220, 240])
    )
    assert ends[2] < early
    assert late < early


def sampled(lam, best, noise, lr, batch, merges, copies, record, seed):
    """Mean and standard error of the risk of the merged model on each domain, (records, domains), from worker copies.

    lam, best (workers, d), noise (workers,).
    """
    rng = np.random.default_rng(seed)
    workers, d = lam.shape
    w = np.zeros((copies, workers, d))
    out = []
    for t in range(lr.size + 1):
        if t in merges:
            w[:] = w.mean(axis=1, keepdims=True)
        if t in record:
            off = w.mean(axis=1)[:, None] - best
            out.append(0.5 * np.sum(lam * off**2, axis=2))
        if t < lr.size:
            x = rng.standard_normal((copies, workers, batch, d)) * np.sqrt(lam)[:, None]
            eps = rng.standard_normal((copies, workers, batch)) * np.sqrt(noise)[:, None]
            residual = np.einsum("cwbd,cwd->cwb", x, w - best) - eps
            w -= lr[t] / batch * np.einsum("cwb,cwbd->cwd", residual, x)
    risks = np.array(out)
    return risks.mean(axis=1), risks.std(axis=1, ddof=1) / np.sqrt(copies)


@pytest.mark.parametrize("apart", [False, True])
def test_copies_that_are_sampled(apart):
    """z-scores of the merged risk at five times; right code fails by chance once in a million, 1 % is seen by most."""
    rng, workers, steps = np.random.default_rng(3), 3, 40
    lam = np.stack([np.sort(rng.uniform(0.05, 1.0, 8))[::-1] for _ in range(workers)])
    best, noise = rng.standard_normal((workers, 8)), np.array([0.2, 0.5, 1.0])
    if not apart:
        lam, best, noise = (np.repeat(each[:1], workers, axis=0) for each in (lam, best, noise))
    domains = [sl.LinearRegression(l, -w, float(s)) for l, w, s in zip(lam, best, noise, strict=True)]
    lr, record = schedules.linear(steps, 0.08), [5, 15, 16, 30, 40]
    method = methods.local(methods.sgd(lr, batch=2), workers, merge=[15, 30], own_domains=apart)
    known = sl.exact(sl.Mixture(domains), method, record=record).total().sel(step=record).values
    mean, error = sampled(lam, best, noise, lr.values(), 2, (15, 30), 8000, record, seed=1)
    z = (mean - known) / error
    assert np.abs(z).max() < norm.isf(1e-6 / z.size / 2.0)
    assert np.median(error / known) < 0.01


# -- sampled -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("merges", [{"merge": [15, 30]}, {"every": 7}, {}], ids=str)
@pytest.mark.parametrize("name", ["sgd", "averaged"])
def test_the_sampler_has_the_risks_of_the_moments(name, merges):
    """Of the mean and of one worker; right code fails by chance once in a million."""
    lr, record = schedules.linear(40, 0.08), [5, 15, 16, 30, 40]
    inner = {"sgd": methods.sgd(lr, batch=2), "averaged": methods.ema(methods.heavy_ball(lr, 0.5), 0.9)}[name]
    team = methods.local(inner, 3, **merges)
    problem = sl.LinearRegression.power_law(20, 1.5, 1.2, 0.3)
    known = sl.exact(problem, team, record=record)
    got = sl.sample(problem, team, replicas=2000, record=record, seed=3, progress=False)
    z = ((got.risk - known.risk) / got.dataset["standard_error"]).sel(component=["bias", "variance"]).values[1:]
    assert np.abs(z).max() < norm.isf(1e-6 / z.size / 2.0)
    whole = got.total().values
    assert np.median(got.dataset["total_error"].values / whole) < 0.01
    one, wanted = (each.dataset["worker_risk"].sel(component="variance").values[1:] for each in (got, known))
    np.testing.assert_allclose(one, wanted, rtol=0.03)
    assert np.all(one >= got.risk.sel(component="variance").values[1:] * (1.0 - 1e-12))


def test_one_sampled_worker_is_the_sampler_and_two_are_its_replicas():
    problem, method = sl.LinearRegression.power_law(20, 1.5, 1.2, 0.3), methods.sgd(schedules.constant(40, 0.1))
    how = {"record": [5, 40], "dtype": "float64", "progress": False}
    alone = sl.sample(problem, method, replicas=8, **how)
    one = sl.sample(problem, methods.local(method, 1), replicas=8, **how)
    np.testing.assert_array_equal(one.risk.values, alone.risk.values)
    two = sl.sample(problem, methods.local(method, 2), replicas=4, **how)
    both = two.dataset["worker_risk"].values
    np.testing.assert_allclose(both, alone.risk.values, rtol=1e-12, atol=1e-15)


def test_how_sampled_workers_are_cut_changes_no_bit(tmp_path):
    problem = sl.LinearRegression.power_law(20, 1.5, 1.2, 0.3)
    team = methods.local(methods.sgd(schedules.linear(90, 0.1), batch=3), 3, merge=[20, 45])
    how = {"replicas": 21, "record": [5, 45, 90], "coordinates": [1, 4], "progress": False}
    whole = sl.sample(problem, team, threads=1, **how)
    cut = sl.sample(problem, team, threads=2, block=5, **how)
    assert cut.dataset.drop_attrs().identical(whole.dataset.drop_attrs())

    def stop(done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    # Before anything is recorded: a mean over no replica, and no warning.
    at_once = sl.sample(problem, team, **how | {"every": 5, "block": 4, "progress": lambda done, total: stop(1, 0)})
    assert at_once.status.item() == "interrupted"
    assert np.all(np.isnan(at_once.dataset["worker_risk"]))
    how |= {"checkpoint": tmp_path / "kept", "every": 10, "block": 5}
    assert sl.sample(problem, team, **how | {"progress": stop}).status.item() == "interrupted"
    again = sl.sample(problem, team, **how)
    assert again.dataset.drop_attrs().identical(whole.dataset.drop_attrs())


def test_sampled_workers_that_leave_are_results():
    problem = sl.LinearRegression.power_law(20, 1.5, 1.2, 0.3)
    team = methods.local(methods.sgd(schedules.constant(400, 6.0)), 4)
    assert sl.sample(problem, team, replicas=8, progress=False).status.item() == "diverged"


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"workers": 0}, "workers = 0"),
        ({"workers": 2, "merge": [10], "every": 5}, "merge and every are both given"),
        ({"workers": 2, "merge": [10, T + 1]}, rf"merge\[1\] = {T + 1} is out of range"),
        ({"workers": 2, "every": T + 1}, f"every = {T + 1} is out of range"),
        ({"workers": 2, "own_domains": "yes"}, "own_domains = 'yes' is neither"),
    ],
)
def test_bad_workers_are_refused(given, said):
    with pytest.raises(sl.InputError, match=said):
        methods.local(METHODS["sgd"], **given)


def test_who_does_not_know_several_workers_says_so():
    team = methods.local(METHODS["sgd"], 4)
    with pytest.raises(sl.InputError, match=r"is of several workers, and long needs a linear one"):
        sl.long(PROBLEM, team)
    with pytest.raises(sl.InputError, match=r"rest\(5\) is of several workers, and long needs a linear one"):
        sl.long(PROBLEM, methods.rest(team, 5))
    with pytest.raises(sl.InputError, match="is of several workers"):
        methods.ema(team, decay=0.9)
    with pytest.raises(sl.InputError, match="snapshots is not known for methods of several workers"):
        sl.exact(PROBLEM, team, snapshots=[5])
    own = methods.local(METHODS["sgd"], 4, own_domains=True)
    for door in (sl.exact, sl.sample):
        with pytest.raises(sl.InputError, match="4 workers with domains of their own, and the mixture has 1"):
            door(sl.Mixture([PROBLEM]), own)
        with pytest.raises(sl.InputError, match="own_domains = True is for workers on a Mixture"):
            door(PROBLEM, own)
    with pytest.raises(sl.InputError, match=r"replicas = 4294967295 of 4 workers are more than"):
        sl.sample(PROBLEM, team, replicas=2**32 - 1)
    with pytest.raises(sl.InputError, match="on which several workers are not known"):
        sl.exact(sl.EmpiricalRegression(np.eye(3), np.ones(3)), team)


@pytest.mark.parametrize("lr", [4.0, 1.05])
def test_workers_leave_where_one_by_itself_does(lr):
    """Whatever becomes of it later: here the rate falls again, and the moments stay numbers."""
    method = methods.sgd(schedules.from_array(np.r_[np.full(30, lr), np.full(370, 0.1)]))
    alone = sl.exact(PROBLEM, method)
    assert alone.status.item() == "diverged"
    for problem, own in ((PROBLEM, False), (sl.Mixture([PROBLEM]), False), (sl.Mixture([PROBLEM] * 3), True)):
        trace = sl.exact(problem, methods.local(method, 3 if own else 1, own_domains=own))
        assert trace.status.item() == "diverged"
        assert int(trace.dataset["ended_at"]) == int(alone.dataset["ended_at"])
        assert np.all(np.isfinite(trace.final()))


def test_a_mixture_that_leaves_at_its_last_step_has_left():
    method = methods.sgd(schedules.constant(4, 4.0))
    for problem in (PROBLEM, sl.Mixture([PROBLEM])):
        assert sl.exact(problem, method).status.item() == "diverged"
