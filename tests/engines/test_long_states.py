"""Runs of the long engine that begin from a state and leave one: the parts are the whole, to what is reported."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods as M
from simlab import schedules as S
from tests.engines.test_long import a_case

BIG = sl.LinearRegression.power_law(10**12, 1.5, 1.3, noise_variance=0.1)


def holds(got, known, tolerance=1e-6, steps=None):
    """Every number within what is reported of it, and that within the tolerance; exact steps round as well."""
    steps = got.risk["step"].values if steps is None else steps
    risk, error = got.risk.sel(step=steps), got.dataset["risk_error"].sel(step=steps)
    truth = known.risk.sel(step=steps, component=["bias", "variance"])
    slack = (1e-13 + 4e-16 * float(steps[-1])) * np.abs(truth).sum("subspace")
    assert got.status == "done"
    assert bool((np.abs(risk - truth) <= error + slack).all())
    total = np.maximum(np.abs(risk).sum("subspace"), 1e-20 * float(np.abs(truth).max()))
    assert float((error / np.maximum(np.abs(risk), 1e-3 * total)).max()) <= 1.001 * tolerance


@pytest.mark.parametrize("seed", range(12))
def test_the_parts_against_exact(seed):
    """Cut anywhere, in two places; of the second part the whole error is told, that of the first included."""
    case, T = a_case(seed, 60_000), 60_000
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.integers(1, T, 2)).tolist()
    asked = {"subspaces": "log_bins(3)", "progress": False}
    exact = sl.exact(case.problem, case.method, record=cuts, **asked)
    first = sl.long(case.problem, case.method, keep=cuts, record=cuts, **asked)
    holds(first, exact, steps=[*cuts, T])
    second = sl.long(case.problem, M.rest(case.method, cuts[0]), start=first.state_at(cuts[0]), keep=[cuts[1]], **asked)
    third = sl.long(case.problem, M.rest(case.method, cuts[1]), start=second.state_at(cuts[1]), record=2, **asked)
    holds(third, exact, steps=[cuts[1], T])


@pytest.mark.parametrize("cut", [10**9 + 7, 4 * 10**11])
@pytest.mark.parametrize("name", ["sgd", "ema", "heavy_ball"])
def test_a_trillion_modes_and_steps(name, cut):
    """On the nodes of one compression; the cooldown of a run that was kept in the middle."""
    T = 10**12
    lr = S.join(S.constant(cut, 0.1), S.linear(T - cut, 0.1))
    method = {
        "sgd": lambda lr: M.sgd(lr), "ema": lambda lr: M.ema(M.sgd(lr), 1.0 - 1e-8),
        "heavy_ball": lambda lr: M.heavy_ball(0.1 * lr, 0.9),
    }[name]  # fmt: skip
    asked = {"record": 5, "progress": False, "subspaces": "log_bins(3)"}
    whole = sl.long(BIG, method(lr), **asked)
    trunk = sl.long(BIG, method(S.constant(cut, 0.1)), keep=[cut // 2, cut], **asked)
    branch = trunk.branch(cut, method(S.linear(T - cut, 0.1)), **asked)
    assert (whole.status, branch.status) == ("done", "done")
    ends = [t.risk.isel(step=-1) for t in (whole, branch)]
    errors = sum(t.dataset["risk_error"].isel(step=-1) for t in (whole, branch))
    # The compression, a hundredth of the tolerance, is the same for both.
    assert bool((np.abs(ends[0] - ends[1]) <= errors).all())
    assert branch.dataset.attrs["started_from"].startswith(f"step {cut} of ")
    half = sl.long(BIG, M.rest(method(S.constant(cut, 0.1)), cut // 2), start=trunk.state_at(cut // 2), **asked)
    gap = np.abs(half.risk.isel(step=-1) - trunk.risk.isel(step=-1))
    assert bool((gap <= half.dataset["risk_error"].isel(step=-1) + trunk.dataset["risk_error"].isel(step=-1)).all())


def test_among_equal_cycles():
    """A state is kept within one of thousands of them, which otherwise go by powers."""
    problem, cycles = sl.LinearRegression.power_law(20, 1.5, 1.3, noise_variance=0.1), 400
    method = M.sgd(S.cosine(10_000, 0.2, floor=0.1).repeat(cycles))
    asked = {"record": 3, "progress": False}
    whole = sl.long(problem, method, **asked)
    cut = 10_000 * 150 + 3_333
    first = sl.long(problem, method, keep=[cut], **asked)
    rest = sl.long(problem, M.rest(method, cut), start=first.state_at(cut), **asked)
    for got in (first, rest):
        gap = np.abs(got.risk.isel(step=-1) - whole.risk.isel(step=-1))
        assert bool((gap <= got.dataset["risk_error"].isel(step=-1) + whole.dataset["risk_error"].isel(step=-1)).all())


def test_from_exact_and_to_exact():
    problem, lr = sl.LinearRegression.power_law(300, 1.5, 1.3, noise_variance=0.1), S.constant(50_000, 0.1)
    ball, cooldown = (M.heavy_ball(each * 0.1, 0.9) for each in (lr, S.linear(50_000, 0.1)))
    asked = {"record": 3, "progress": False}
    known = sl.exact(problem, ball, **asked).branch(50_000, cooldown, **asked)
    begun = sl.long(problem, cooldown, start=sl.exact(problem, ball, **asked).state, **asked)
    holds(begun, known)
    trunk = sl.long(problem, ball, **asked)
    ended = sl.exact(problem, cooldown, start=trunk.state, **asked)
    np.testing.assert_allclose(ended.final(), known.final(), rtol=1e-6)
    assert ended.dataset.attrs["started_from"].endswith(", as simlab.long knows it")
    averaged = M.ema(cooldown, 0.999)
    holds(
        sl.long(problem, averaged, start=trunk.state, **asked), sl.exact(problem, averaged, start=trunk.state, **asked)
    )


def test_what_a_state_may_be_off_by_is_carried_on():
    """A loose trunk makes a loose branch, however tight its own tolerance."""
    problem = sl.LinearRegression.power_law(100, 1.5, 1.3, noise_variance=0.1)
    asked, few = {"record": 2, "progress": False}, M.sgd(S.constant(10, 1e-3))
    trunk = sl.long(problem, M.sgd(S.linear(10**5, 0.2)), tolerance=0.1, **asked)
    branch = sl.long(problem, few, start=trunk.state, tolerance=1e-9, **asked)
    assert branch.status == "inaccurate"
    ends = [t.dataset["risk_error"].isel(step=j) for t, j in ((trunk, -1), (branch, 0), (branch, 1))]
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-6)
    np.testing.assert_allclose(ends[2], ends[0], rtol=0.05)
    assert sl.long(problem, few, start=trunk.state, tolerance=0.1, **asked).status == "done"


def test_a_run_in_two_parts_is_as_accurate_as_in_one():
    """A bias of 1e-40 of the start is known to no digit, and counts for nothing, also in a part that begins with it."""
    problem, rate = sl.LinearRegression.power_law(100, 1.5, 1.3, 0.1), sl.schedules.constant(2_000_000, 0.1)
    first = sl.long(problem, sl.methods.sgd(rate[:1_000_000]), progress=False)
    assert 0.0 < float(first.final().sel(component="bias").sum()) < 1e-30
    rest = sl.long(problem, sl.methods.sgd(rate), start=first.state, progress=False)
    whole = sl.long(problem, sl.methods.sgd(rate), progress=False)
    assert str(rest.status.values) == str(whole.status.values) == "done"
    np.testing.assert_allclose(rest.total()[-1], whole.total()[-1], rtol=1e-13)


def test_a_state_is_saved_with_its_trace(tmp_path):
    trunk = sl.long(BIG, M.sgd(S.constant(10**9, 0.1)), record=2, progress=False)
    trunk.save(tmp_path / "t.zarr")
    back = sl.RiskTrace.load(tmp_path / "t.zarr").state
    for name, array in trunk.state.arrays.items():
        np.testing.assert_array_equal(back.arrays[name], array)


def test_several_runs_and_a_diverging_one():
    problem = sl.LinearRegression.power_law(50, 1.5, 1.3, noise_variance=0.1)
    runs = {"a": M.sgd(S.constant(10_000, 0.1)), "b": M.sgd(S.constant(10_000, 0.2))}
    trace = sl.long(problem, runs, keep=[5_000], record=2, progress=False)
    assert trace.state_at(5_000, "b").step == 5_000
    with pytest.raises(sl.InputError, match="a run that diverged keeps none"):
        _ = sl.long(problem, M.sgd(S.constant(10_000, 5.0)), record=2, progress=False).state


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"tolerance": 1e-4},
            r"start is on other nodes .*the tolerance and the subspaces that the state was made with",
        ),
        ({"subspaces": "log_bins(4)"}, "start is on other nodes"),
        ({"record": [5]}, "give steps between 1000000000 and"),
        ({"keep": [5]}, "keep = 5 is out of range"),
    ],
)
def test_refusals(more, said):
    trunk = sl.long(BIG, M.sgd(S.constant(10**9, 0.1)), record=2, progress=False)
    with pytest.raises(sl.InputError, match=said):
        sl.long(BIG, M.sgd(S.constant(10, 0.1)), start=trunk.state, progress=False, **more)


def test_states_of_other_engines():
    problem = sl.LinearRegression([1.0, 0.1], 1.0, 0.1)
    sampled = sl.sample(problem, M.sgd(S.constant(5, 0.1)), replicas=2, keep=[5], progress=False).state
    with pytest.raises(sl.InputError, match=r"start is a state of simlab\.sample, and simlab\.long goes on from"):
        sl.long(problem, M.sgd(S.constant(5, 0.1)), start=sampled, progress=False)
