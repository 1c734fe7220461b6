"""Mixtures, sampled against exact: random domains x methods x shares, and wrong mixtures that are caught.

The exact engine knows moments, the sampler draws domains: where they agree, both are right. The verdict fails right
code once in a million seeds, if means over the replicas are normal.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import simlab as sl
from simlab import methods, schedules

T, REPLICAS, FAMILY_RATE = 40, 1500, 1e-6
SHARES = {"numbers": [0.5, 0.3, "rest"], "schedules": [np.linspace(0.7, 0.1, T), "rest", schedules.constant(T, 0.2)]}
WEIGHTS = [1.0, 0.5, schedules.linear(T, 2.0)]


def domains(seed, d=12):
    rng = np.random.default_rng(seed)
    made = []
    for noise, kurtosis in ((0.0, 3.0), (0.3, 1.8), (1.0, rng.uniform(1.2, 4.0, d))):
        lam = np.sort(rng.uniform(0.05, 1.0, d))[::-1]
        made.append(sl.LinearRegression(lam, 0.5 * rng.standard_normal(d), noise, kurtosis))
    return made


METHODS = {
    "sgd": methods.sgd(schedules.linear(T, 0.06), batch=schedules.from_array(np.r_[np.ones(20), np.full(20, 3.0)])),
    "heavy ball": methods.heavy_ball(schedules.linear(T, 0.015), momentum=0.8),
    "ema of nesterov": methods.ema(methods.nesterov(schedules.linear(T, 0.015), momentum=0.8, batch=2), decay=0.9),
    "weight decay": methods.weight_decay(methods.sgd(schedules.constant(T, 0.04)), decay=0.1),
    "full gradient": methods.sgd(schedules.constant(T, 0.2), batch=np.inf),
}


def scores(mixture, known, seed=2, **asked):
    asked = {"record": [1, 10, 25, T], "subspaces": "log_bins(2)", **asked}
    drawn = sl.sample(mixture, METHODS, replicas=REPLICAS, seed=seed, progress=False, **asked)
    return drawn, drawn.z_scores(sl.exact(known, METHODS, record=asked["record"], subspaces=asked["subspaces"]))


@pytest.mark.thorough
@pytest.mark.parametrize("shares", SHARES)
def test_risks_by_domain(shares):
    mixture = sl.Mixture(domains(5), SHARES[shares], WEIGHTS)
    drawn, z = scores(mixture, mixture)
    assert set(z.dims) == {"run", "step", "component", "domain", "subspace"}
    assert float(np.abs(z).max()) < norm.isf(FAMILY_RATE / int(z.count()) / 2.0)
    error = (drawn.dataset["total_error"] / drawn.total()).sel(run="sgd", step=T)
    assert np.all(error < 0.02)
    assert drawn.risk.sizes["domain"] == drawn.dataset["total_quantile"].sizes["domain"] == 3


@pytest.mark.parametrize("wrong", ["shares", "weights", "targets", "noise", "kurtosis"])
def test_a_wrong_mixture_is_caught(wrong):
    """What differs by one of the ingredients differs beyond the verdict."""
    right = sl.Mixture(domains(5), SHARES["numbers"], WEIGHTS)
    parts, shares, weights = domains(5), [0.5, 0.4, "rest"] if wrong == "shares" else SHARES["numbers"], WEIGHTS
    first, *others = parts
    if wrong == "weights":
        weights = [1.0, 0.5, 1.0]
    if wrong == "targets":
        parts = [first.shifted(optimum=0.1), *others]
    if wrong == "noise":
        parts = [first.shifted(noise_variance=0.2), *others]
    if wrong == "kurtosis":
        parts = [sl.LinearRegression(first.eigenvalues, first.initial_error, 0.0, 40.0), *others]
    _, z = scores(right, sl.Mixture(parts, shares, weights))
    assert float(np.abs(z).max()) > norm.isf(FAMILY_RATE / int(z.count()) / 2.0)


def test_the_same_bits_for_threads_and_blocks_and_from_a_state():
    mixture = sl.Mixture(domains(5), SHARES["schedules"], WEIGHTS)
    method, asked = METHODS["ema of nesterov"], {"replicas": 20, "record": [10, T], "progress": False}
    whole = sl.sample(mixture, method, threads=1, keep=[17], **asked)
    cut = sl.sample(mixture, method, threads=2, block=7, **asked)
    np.testing.assert_array_equal(whole.risk, cut.risk)
    second = sl.sample(mixture, methods.rest(method, 17), start=whole.state_at(17), record=[T], progress=False)
    np.testing.assert_array_equal(second.risk.sel(step=T), whole.risk.sel(step=T))


def test_a_run_goes_on_after_it_was_stopped(tmp_path):
    mixture = sl.Mixture(domains(5), SHARES["numbers"])
    asked = {"replicas": 16, "record": [T], "every": 10, "block": 8}
    whole = sl.sample(mixture, METHODS["sgd"], **asked)

    def press(done, total):
        if done >= 20 * 8:
            raise KeyboardInterrupt

    stopped = sl.sample(mixture, METHODS["sgd"], checkpoint=tmp_path, progress=press, **asked)
    assert stopped.status.item() == "interrupted"
    resumed = sl.sample(mixture, METHODS["sgd"], checkpoint=tmp_path, **asked)
    np.testing.assert_array_equal(resumed.risk, whole.risk)


def test_one_trajectory_and_no_noise():
    """Without a split, and where there is nothing to split."""
    mixture, quiet = (sl.Mixture(domains(5)[j : j + 1] * 2) for j in (1, 0))
    asked = {"replicas": 64, "record": [T], "progress": False}
    split, joint = (sl.sample(mixture, METHODS["sgd"], split=s, coordinates=[1], **asked) for s in (True, False))
    np.testing.assert_allclose(split.total(), joint.total(), rtol=1e-12)
    np.testing.assert_allclose(*(t.dataset["trajectory"] for t in (split, joint)), rtol=1e-11, atol=1e-14)
    assert float(sl.sample(quiet, METHODS["sgd"], **asked).risk.sel(component="variance").max()) == 0.0
    full = sl.sample(quiet, METHODS["full gradient"], **asked).total()
    exact = sl.exact(quiet, METHODS["full gradient"], record=[T]).total()
    np.testing.assert_allclose(full, exact, rtol=1e-11)
