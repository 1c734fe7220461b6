"""Workers whom gossip tells apart, on data that all share, against the joint second moments of all, held densely."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods, schedules
from simlab.methods import workers as teams

T = 23
LR = schedules.linear(T, 0.12)
STAR = np.array([[0.2, 0.4, 0.4], [0.4, 0.6, 0.0], [0.4, 0.0, 0.6]])
MADE = {
    "sgd": methods.sgd(LR, batch=2),
    "heavy ball": methods.heavy_ball(LR, momentum=0.6, batch=1),
    "averaged": methods.ema(methods.heavy_ball(LR, momentum=0.6), decay=0.8),
    "decayed": methods.weight_decay(methods.nesterov(LR, momentum=0.5), 0.1),
}


def any_matrix(workers, seed):
    """A mean of permutations, without symmetry."""
    rng = np.random.default_rng(seed)
    return sum(p * np.eye(workers)[rng.permutation(workers)] for p in rng.dirichlet(np.ones(4)))


def joint(problem, method, W, merges):
    """Risk of the mean (step,), and of each worker (step, N): S (d, N, k, N, k) of all workers together, stepped."""
    lam, N = problem.eigenvalues, W.shape[0]
    z = np.einsum("n,k,d->dnk", np.ones(N), method.z0, problem.initial_error)
    S = np.einsum("dnk,dml->dnkml", z, z)
    mean, each = [], []
    for t in range(T + 1):
        if t in merges:
            S = np.einsum("ab,dbkcl,ec->dakel", W, S, W)
        o = method.readout(t, t + 1)[0]
        between = 0.5 * np.einsum("d,k,dnkml,l->nm", lam, o, S, o)
        mean.append(between.mean())
        each.append(np.diag(between).copy())
        if t == T:
            return np.array(mean), np.array(each)
        M, b, c = (a[0] for a in method.coefficients(t, t + 1))
        alone = np.einsum("k,dnknl,l->dn", c, S, c)
        pull = lam @ alone + problem.noise_variance
        noise = lam[:, None] ** 2 * (problem.kurtosis[:, None] - 2.0) * alone + lam[:, None] * pull
        A = M - lam[:, None, None] * np.outer(b, c)
        S = np.einsum("dij,dnjml,dkl->dnimk", A, S, A)
        for n in range(N):
            S[:, n, :, n] += method.inverse_batch(t, t + 1)[0] * noise[:, n, None, None] * np.outer(b, b)


def regression(seed, d=7):
    rng = np.random.default_rng(seed)
    lam = np.sort(rng.uniform(0.05, 1.0, d))[::-1]
    return sl.LinearRegression(lam, rng.normal(size=d), 0.4, rng.uniform(1.2, 5.0, d))


@pytest.mark.parametrize("made", MADE)
def test_unlike_workers_are_their_joint_moments(made):
    for seed, (W, merges) in enumerate([(STAR, [5, 10, 20]), (any_matrix(4, 1), [1, 2, T]), (any_matrix(5, 2), [9])]):
        problem, method = regression(seed), MADE[made]
        team = methods.local(method, W.shape[0], merge=merges, mixing=W)
        assert not teams.team_of(team).alike
        mean, each = joint(problem, method, W, merges)
        trace = sl.exact(problem, team, record="all")
        np.testing.assert_allclose(trace.total(), mean, rtol=1e-12)
        own = trace.dataset["worker_risk"].sum(["component", "subspace"])
        np.testing.assert_allclose(own.transpose("step", "worker"), each, rtol=1e-12)
        mixed = sl.exact(sl.Mixture([problem]), team, record="all")
        np.testing.assert_allclose(mixed.total().squeeze("domain"), mean, rtol=1e-12)


def test_a_pair_that_is_not_mixed_is_seen():
    """The dense code with workers mixed and their products not, as if they had nothing in common but the start."""
    problem, team = regression(0), methods.local(MADE["sgd"], 3, merge=[5, 10, 20], mixing=STAR)
    _, each = joint(problem, MADE["sgd"], STAR, [5, 10])
    own = sl.exact(problem, team, record="all").dataset["worker_risk"].sum(["component", "subspace"])
    assert np.max(np.abs(own.transpose("step", "worker").values / each - 1.0)) > 0.01


@pytest.mark.parametrize("method", [MADE["sgd"], MADE["averaged"]], ids=["sgd", "averaged"])
@pytest.mark.parametrize("graph", ["ring", "torus"])
def test_workers_that_are_alike_by_pairs_as_by_modes(graph, method, monkeypatch):
    """Two codes: consensus modes, and every pair; with the deterministic part, subspaces, and a state to go on from."""
    problem, team = regression(3), methods.local(method, 6, every=7, mixing=graph)
    asked = {"record": "all", "subspaces": "log_bins(2)", "deterministic": True}
    modes = sl.exact(problem, team, **asked)
    monkeypatch.setattr(teams, "consensus", lambda W: None)
    pairs = sl.exact(problem, team, **asked)
    np.testing.assert_allclose(pairs.risk, modes.risk, rtol=1e-12, atol=1e-17)
    for worker in range(6):
        own = pairs.dataset["worker_risk"].isel(worker=worker)
        np.testing.assert_allclose(own, modes.dataset["worker_risk"], rtol=1e-12, atol=1e-17)
    for name, values in modes.state.arrays.items():
        np.testing.assert_allclose(pairs.state.arrays[name], values, rtol=1e-11, atol=1e-17)


def test_a_worker_that_leaves_first_ends_the_run_wherever_it_is_looked_at():
    team = methods.local(methods.sgd(schedules.constant(T, 4.5), batch=2), 3, merge=[4, 8], mixing=STAR)
    for problem in (regression(0), sl.Mixture([regression(0)])):
        often, once = (sl.exact(problem, team, record=record) for record in ("all", [0, T]))
        assert often.status.item() == once.status.item() == "diverged"
        assert often.dataset["ended_at"].item() == once.dataset["ended_at"].item() < T
        np.testing.assert_allclose(once.final(), often.final(), rtol=1e-12)


def test_runs_of_one_trace_keep_what_they_have():
    """Workers that are alike beside some that are not, fewer of them, and a method of none."""
    problem, sgd = regression(0), MADE["sgd"]
    runs = {"sgd": sgd, "ring": methods.local(sgd, 4, every=5, mixing="ring")}
    runs["star"] = methods.local(sgd, 3, every=5, mixing=STAR)
    for door, asked in ((sl.exact, {}), (sl.sample, {"replicas": 3, "progress": False})):
        all_of_them = door(problem, runs, record=5, **asked).dataset["worker_risk"]
        assert all_of_them.dims == ("run", "step", "worker", "component", "subspace")
        assert all_of_them.sizes["worker"] == 4
        assert np.all(np.isnan(all_of_them.sel(run="sgd")))
        assert np.all(np.isnan(all_of_them.sel(run="star")[:, 3]))
        for name in ("ring", "star"):
            alone = door(problem, runs[name], record=5, **asked).dataset["worker_risk"]
            np.testing.assert_array_equal(*np.broadcast_arrays(
                all_of_them.sel(run=name)[:, :3], alone if "worker" in alone.dims else alone.expand_dims("worker", 1)
            ))  # fmt: skip
