"""Gossip of workers by its consensus modes, on one domain and on domains of their own, against matrices and samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import simlab as sl
from simlab import methods, schedules
from simlab.methods.mixing import consensus, mixing_matrix

T = 40
RNG = np.random.default_rng(3)
PROBLEM = sl.LinearRegression(np.arange(1.0, 21.0) ** -1.5, 1.0, 0.3)
SGD = methods.sgd(schedules.linear(T, 0.15), batch=2)
AVERAGED = methods.ema(methods.heavy_ball(schedules.linear(T, 0.05), momentum=0.7), decay=0.9)


STAR = np.array([[0.2, 0.4, 0.4], [0.4, 0.6, 0.0], [0.4, 0.0, 0.6]])
PATH = np.array([[0.6, 0.4, 0.0, 0.0], [0.4, 0.3, 0.3, 0.0], [0.0, 0.3, 0.3, 0.4], [0.0, 0.0, 0.4, 0.6]])


def doubly_stochastic(workers):
    """A random one, without symmetry: a mean of permutations."""
    share = RNG.dirichlet(np.ones(5))
    return sum(p * np.eye(workers)[RNG.permutation(workers)] for p in share)


def domains(count, d=6):
    noise, kurtosis = RNG.uniform(0.1, 1.0, count), RNG.uniform(1.2, 4.0, (count, d))
    lam = np.sort(RNG.uniform(0.05, 1.0, (count, d)))[:, ::-1]
    best = RNG.normal(size=(count, d))
    return [sl.LinearRegression(*each) for each in zip(lam, best, noise.tolist(), kurtosis, strict=True)]


# -- matrices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 5, 6, 7, 12])
@pytest.mark.parametrize("graph", ["ring", "torus"])
def test_graphs_are_of_workers_that_are_alike(graph, workers):
    W = mixing_matrix(graph, workers)
    np.testing.assert_allclose(W.sum(axis=0), 1.0)
    np.testing.assert_array_equal(W, W.T)
    degree = {"ring": 2, "torus": 4}[graph]
    assert np.all(np.count_nonzero(W, axis=1) <= 1 + degree)
    if graph == "torus" and workers == 12:  # three rows of four
        assert np.all(np.count_nonzero(W, axis=1) == 5)
    modes = consensus(W)
    # What is left of independent noise after a round: the trace of W W^T over N, with the mean's 1/N.
    np.testing.assert_allclose(1.0 / workers + modes.kept @ modes.share, np.trace(W @ W.T) / workers)


def test_modes_of_a_ring_are_cosines():
    modes = consensus(mixing_matrix("ring", 8))
    known = ((1.0 + 2.0 * np.cos(2.0 * np.pi * np.arange(1, 5) / 8)) / 3.0) ** 2
    np.testing.assert_allclose(np.sort(modes.kept), np.unique(np.round(known, 14)), rtol=1e-12)


def test_workers_that_stand_out_have_no_modes():
    assert consensus(STAR) is None
    # Neither does the second moment of noise stay what it was where W is not normal: here W W^T is of equal workers.
    apart = np.kron(np.array([[0.5, 0.5], [0.5, 0.5]]), np.eye(3)) @ np.eye(6)[[0, 1, 2, 4, 5, 3]]
    assert consensus(apart) is None
    assert consensus(np.roll(np.eye(5), 1, axis=1) * 0.5 + np.eye(5) * 0.5) is not None  # a ring of one direction


# -- risks -------------------------------------------------------------------------------------------------------------


def everything(problem, method, **asked):
    return sl.exact(problem, method, record="all", subspaces="log_bins(2)", deterministic=True, **asked)


@pytest.mark.parametrize("method", [SGD, AVERAGED], ids=["sgd", "averaged"])
@pytest.mark.parametrize("graph", ["ring", "torus", "one way", "nobody"])
def test_equal_domains_of_their_own_gossip_as_one(graph, method):
    """Two codes: consensus modes, and the covariances of all pairs of workers."""
    one_way = 0.7 * np.eye(6) + 0.3 * np.roll(np.eye(6), 1, axis=1)
    mixing = {"one way": one_way, "nobody": np.eye(6)}.get(graph, graph)
    modes = everything(PROBLEM, methods.local(method, 6, every=7, mixing=mixing))
    own = methods.local(method, 6, every=7, mixing=mixing, own_domains=True)
    pairs = everything(sl.Mixture([PROBLEM] * 6), own)
    np.testing.assert_allclose(pairs.risk.sel(domain="1"), modes.risk, rtol=1e-11, atol=1e-16)
    for worker in (0, 5):
        each = pairs.dataset["worker_risk"].isel(worker=worker).sel(domain="1")
        np.testing.assert_allclose(each, modes.dataset["worker_risk"], rtol=1e-11, atol=1e-16)
    mixed = everything(sl.Mixture([PROBLEM]), methods.local(method, 6, every=7, mixing=mixing))
    np.testing.assert_allclose(mixed.risk.sel(domain="1"), modes.risk, rtol=1e-11, atol=1e-16)


def test_a_complete_graph_merges_and_nobody_does_not():
    given = {"ring": "ring", "array": np.full((3, 3), 1.0 / 3.0), "complete": "complete"}
    merged = everything(PROBLEM, methods.local(SGD, 3, every=7)).risk
    for mixing in given.values():
        gossip = everything(PROBLEM, methods.local(SGD, 3, every=7, mixing=mixing))
        np.testing.assert_allclose(gossip.risk, merged, rtol=1e-11, atol=1e-16)
    alone = everything(PROBLEM, methods.local(SGD, 3))
    nobody = everything(PROBLEM, methods.local(SGD, 3, every=7, mixing=np.eye(3)))
    np.testing.assert_allclose(nobody.dataset["worker_risk"], alone.dataset["worker_risk"], rtol=1e-12, atol=1e-16)


def test_under_additive_noise_the_mean_knows_no_graph():
    """It is a mini-batch of all samples whoever talks to whom, and one worker is the better, the more do."""
    problem = sl.NoisyQuadratic(PROBLEM.eigenvalues, 1.0, 0.3)
    larger = everything(problem, methods.sgd(schedules.linear(T, 0.15), batch=24)).risk
    one = []
    for mixing in ("complete", "torus", "ring", np.eye(12)):
        trace = everything(problem, methods.local(SGD, 12, every=4, mixing=mixing))
        np.testing.assert_allclose(trace.risk, larger, rtol=1e-11, atol=1e-16)
        one.append(float(trace.dataset["worker_risk"].sel(component="variance", step=T).sum()))
    assert np.all(np.diff(one) > 0.0)


CASES = {
    "ring": (PROBLEM, {"workers": 5, "mixing": "ring"}),
    "one of a mixture": (sl.Mixture(domains(3), [np.linspace(0.7, 0.1, T), "rest", 0.2]), {"workers": 4}),
    "torus on a mixture": (sl.Mixture(domains(2), weights=[1.0, 2.0]), {"workers": 6, "mixing": "torus"}),
    "own": (sl.Mixture(domains(3), weights=[1.0, 0.5, schedules.linear(T, 2.0)]), {"workers": 3, "own_domains": True}),
    "own gossip": (
        sl.Mixture(domains(4)),
        {"workers": 4, "own_domains": True, "mixing": doubly_stochastic(4)},
    ),
    "star": (PROBLEM, {"workers": 3, "mixing": STAR}),
    "path on a mixture": (sl.Mixture(domains(2), [0.3, "rest"], [1.0, 2.0]), {"workers": 4, "mixing": PATH}),
}


@pytest.mark.parametrize("case", CASES)
def test_teams_have_the_risks_of_the_moments(case):
    """z-scores of the risk of the mean, and of one worker; right code fails by chance once in a million.

    The errors of the risk of one worker are those of its mean over N, which are no larger than of one by itself.
    """
    problem, how = CASES[case]
    team = methods.local(SGD, merge=[9, 18, 27], **how)
    asked = {"record": [5, 9, 19, T], "progress": False}
    known = sl.exact(problem, team, **asked)
    got = sl.sample(problem, team, replicas=1500, seed=4, **asked)
    z = ((got.risk - known.risk) / got.dataset["standard_error"]).sel(component=["bias", "variance"]).values[1:]
    assert np.nanmax(np.abs(z)) < norm.isf(1e-6 / z.size / 2.0)
    assert np.median(got.dataset["total_error"] / got.total()) < 0.01
    one, wanted = (each.dataset["worker_risk"].sel(component="variance")[1:] for each in (got, known))
    assert one.dims == wanted.dims
    np.testing.assert_allclose(one, wanted, rtol=0.1)


@pytest.mark.parametrize("wrong", ["graph", "own domains", "weights"])
def test_a_wrong_team_is_caught(wrong):
    problem = sl.Mixture(domains(4), weights=[1.0, 0.5, 1.5, 1.0])
    how = {"merge": [9, 18, 27], "mixing": "ring", "own_domains": True}
    other = {"graph": {**how, "mixing": "complete"}, "own domains": {**how, "own_domains": False}}.get(wrong, how)
    false = sl.Mixture(problem.domains) if wrong == "weights" else problem
    asked = {"record": [19, T], "progress": False}
    known = sl.exact(false, methods.local(SGD, 4, **other), **asked)
    got = sl.sample(problem, methods.local(SGD, 4, **how), replicas=1500, seed=4, **asked)
    z = ((got.risk - known.risk) / got.dataset["standard_error"]).sel(component=["bias", "variance"]).values[1:]
    assert np.nanmax(np.abs(z)) > norm.isf(1e-6 / z.size / 2.0)


def test_how_teams_on_a_mixture_are_cut_changes_no_bit(tmp_path):
    problem = sl.Mixture(domains(3), [np.linspace(0.7, 0.1, T), "rest", 0.2])
    team = methods.local(SGD, 3, merge=[9, T], mixing=doubly_stochastic(3), own_domains=True)
    how = {"replicas": 11, "record": [5, 9, T], "coordinates": [1, 4], "progress": False}
    whole = sl.sample(problem, team, threads=1, **how).dataset.drop_attrs()
    assert sl.sample(problem, team, threads=2, block=4, **how).dataset.drop_attrs().identical(whole)

    def stop(done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    how |= {"checkpoint": tmp_path / "kept", "every": 10, "block": 5}
    assert sl.sample(problem, team, **how | {"progress": stop}).status.item() == "interrupted"
    assert sl.sample(problem, team, **how).dataset.drop_attrs().identical(whole)
    other = methods.local(SGD, 3, merge=[9, T], mixing=np.eye(3), own_domains=True)
    with pytest.raises(sl.InputError, match="another"):
        sl.sample(problem, other, **how)


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mixing", "said"),
    [
        ("rings", r"mixing: 'rings' is not known; did you mean 'ring'\?"),
        (3, "mixing is no matrix of finite numbers"),
        ([["a", "b"]], "is no matrix; give complete, ring, torus, or an array"),
        ([[1.0, np.nan], [0.0, 1.0]], "no matrix of finite numbers of at least 0"),
        ([[1.5, -0.5], [-0.5, 1.5]], "no matrix of finite numbers of at least 0"),
        (np.eye(2), r"has shape \(2, 2\) and there are 3 workers"),
        ([[1.0, 0.0, 0.0]] * 3, "is not doubly stochastic: column 0 sums to 3"),
        (np.eye(3) * 0.9, "is not doubly stochastic: row 0 sums to 0.9"),
    ],
)
def test_bad_matrices_are_refused(mixing, said):
    with pytest.raises(sl.InputError, match=said):
        methods.local(SGD, 3, mixing=mixing)


def test_gossip_of_too_many_numbers_is_refused():
    wide = sl.LinearRegression.power_law(10**6, 1.5, 1.2)
    with pytest.raises(sl.InputError, match="mixing keeps 4 GiB of moments for so many workers"):
        sl.exact(wide, methods.local(SGD, 512, every=5, mixing="ring"))
    with pytest.raises(sl.InputError, match="mixing keeps 12 GiB"):
        sl.exact(wide, methods.local(SGD, 20, every=5, mixing=doubly_stochastic(20)))
    with pytest.raises(sl.InputError, match="mixing keeps 2 GiB"):
        sl.exact(
            sl.Mixture([sl.LinearRegression.power_law(3000, 1.5, 1.2)] * 200),
            methods.local(SGD, 200, every=5, mixing="ring", own_domains=True),
        )
