"""Runs that go on towards another optimum: fine-tuning. Both problems' initial errors are those of one w_0."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods
from simlab.schedules import constant, linear
from tests.oracles.method_zoo import BASE, WRAPPED

LAM = np.array([1.0, 0.5, 0.1])
FIRST, SECOND = np.array([1.0, -2.0, 0.5]), np.array([0.5, 1.0, -1.0])
"""w_0 - w* of either problem."""
ZOO = {name: make for name, make in {**BASE, **WRAPPED}.items() if "generic" not in name}
AT, T = 13, 40


def a_method(name, steps, batch):
    return ZOO[name](linear(steps, 0.1), linear(steps, 0.9, floor=0.5), batch)


@pytest.mark.parametrize("name", sorted(ZOO))
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_full_gradients_in_the_users_own_coordinates(name, decay):
    """w itself, from w_0 = 0, with the gradient lam (w - w*) of one problem and then of the other."""
    method = a_method(name, T, np.inf)
    if decay:
        method = methods.weight_decay(method, decay)
        if method.coordinates[-1] != "origin":
            pytest.skip("weight decay is within")
    M, b, c = method.coefficients()
    o, k = method.readout(), method.state_size - bool(decay)
    z, risks = np.zeros((k, 3)), []
    for t in range(T + 1):
        optimum = -FIRST if t < AT else -SECOND
        if t >= AT:
            risks.append(0.5 * LAM * (o[t, :k] @ z - optimum) ** 2)
        if t < T:
            z = M[t, :k, :k] @ z - np.outer(b[t, :k], LAM * (c[t, :k] @ z - optimum))
    problems = [sl.LinearRegression(LAM, error, 0.0) for error in (FIRST, SECOND)]
    asked = {"progress": False, "deterministic": True}
    trunk = sl.exact(problems[0], method, keep=[AT], **asked)
    rest = sl.exact(
        problems[1], methods.rest(method, AT), start=trunk.state.moved(*problems), record="all",
        subspaces=sl.subspaces.modes(1, 2, 3), **asked,
    )  # fmt: skip
    for component in ("bias", "deterministic"):
        np.testing.assert_allclose(rest.risk.sel(component=component), risks, rtol=1e-10, atol=1e-14)


RNG = np.random.default_rng(3)
X = RNG.standard_normal((12, 3))
TARGETS = [X @ RNG.standard_normal(3) + X[:, 0] ** 2 + RNG.standard_normal(12) for _ in range(3)]
PROBLEMS = {
    "regression": [sl.LinearRegression(LAM, error, 0.3) for error in (FIRST, SECOND, FIRST + 1.0)],
    "additive": [sl.NoisyQuadratic(LAM, error, gradient_covariance=LAM) for error in (FIRST, SECOND, FIRST + 1.0)],
    "data": [sl.EmpiricalRegression(X, y) for y in TARGETS],
}


@pytest.mark.thorough
@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("name", ["sgd", "heavy_ball", "ema_schedule_free"])
def test_exact_against_sampled(kind, name):
    """Three optima one after the other: some 60 z-scores a case, the seed fixed."""
    method, problems = a_method(name, 60, 1.0), PROBLEMS[kind]
    asked = {"progress": False, "record": 6}
    for door, more in ((sl.exact, {"deterministic": True}), (sl.sample, {"replicas": 6_000})):
        state, traces = None, []
        for j, problem in enumerate(problems):
            own = methods.rest(method, 20 * j) if j else method
            known = {} if door is sl.sample and j else more
            traces.append(door(problem, own, start=state, keep=[20 * j + 20] if j < 2 else [60], **asked, **known))
            state = traces[-1].state_at(20 * j + 20) if j < 2 else None
            state = state.moved(problem, problems[j + 1]) if j < 2 else None
        if door is sl.exact:
            exact = traces
    for j, (sampled, known) in enumerate(zip(traces, exact, strict=True)):
        z = np.abs(sampled.z_scores(known))
        assert float(z.max()) < 4.5, j
    if kind != "data":
        return
    assert float(np.abs(exact[2].risk.sel(component="cross")).max()) > 1e-3


def test_it_is_what_it_was_where_nothing_moves():
    problem = PROBLEMS["regression"][0]
    state = sl.exact(problem, methods.sgd(constant(20, 0.1)), deterministic=True, progress=False).state
    same = state.moved(problem, problem)
    for name, array in state.arrays.items():
        np.testing.assert_allclose(same.arrays[name], array, rtol=1e-14)


def test_equal_modes_and_cut_nodes():
    """One node that stands for five modes, cut by the subspaces of the first run."""
    problems = [sl.LinearRegression([0.5], [e], 0.2, multiplicity=[5]) for e in (2.0, -1.0)]
    alone = [sl.LinearRegression(np.full(5, 0.5), e, 0.2) for e in (2.0, -1.0)]
    method, finals = methods.sgd(constant(30, 0.1)), []
    for pair in (problems, alone):
        trunk = sl.exact(pair[0], method, deterministic=True, subspaces="log_bins(2)", progress=False)
        finals.append(sl.exact(pair[1], method, start=trunk.state.moved(*pair), progress=False).final())
    np.testing.assert_allclose(*finals, rtol=1e-12)


def test_a_state_from_a_file_moves(tmp_path):
    old, new = PROBLEMS["regression"][:2]
    trunk = sl.exact(old, methods.heavy_ball(constant(20, 0.1), 0.9), deterministic=True, progress=False)
    trunk.save(tmp_path / "t.zarr")
    back = sl.RiskTrace.load(tmp_path / "t.zarr").state.moved(old, new)
    np.testing.assert_array_equal(back.arrays["second"], trunk.state.moved(old, new).arrays["second"])


LR = constant(10, 0.1)


@pytest.mark.parametrize(
    ("method", "more", "pair", "said"),
    [
        (methods.sgd(LR), {}, PROBLEMS["regression"], "state keeps no mean, .* by a run with deterministic=True"),
        (methods.sgd(LR), {"deterministic": True}, PROBLEMS["regression"][::-1], "old is not the problem that the"),
        (
            methods.sgd(LR), {"deterministic": True}, [PROBLEMS["regression"][0], sl.LinearRegression([1.0], 1.0, 0.0)],
            "new has 1 modes and the state 3",
        ),
        (methods.sgd(LR), {"deterministic": True}, [PROBLEMS["regression"][0], 3], "new is no problem with an initial"),
        (
            methods.sgd(LR), {"deterministic": True},
            [PROBLEMS["regression"][0], sl.LinearRegression.power_law(3, 1.5, 1.2).compress()], "new is compressed",
        ),
        (methods.generic([[0.5]], [0.1], [1.0], steps=10), {"deterministic": True}, PROBLEMS["regression"],
         "state is of methods.generic"),
    ],
)  # fmt: skip
def test_refusals(method, more, pair, said):
    state = sl.exact(PROBLEMS["regression"][0], method, progress=False, **more).state
    with pytest.raises(sl.InputError, match=said):
        state.moved(*pair[:2])


def test_refusals_of_data_sets():
    state = sl.exact(PROBLEMS["data"][0], methods.sgd(LR), progress=False).state
    with pytest.raises(sl.InputError, match="new is of other features than the state"):
        state.moved(PROBLEMS["data"][0], sl.EmpiricalRegression(X[:11], TARGETS[0][:11]))
    with pytest.raises(sl.InputError, match="new has 2 outputs and the state 1"):
        state.moved(PROBLEMS["data"][0], sl.EmpiricalRegression(X, np.stack(TARGETS[:2], axis=1)))
    several = sl.LinearRegression.from_data(X, np.stack(TARGETS, axis=1))
    state = sl.exact(several, methods.sgd(LR), deterministic=True, progress=False).state
    with pytest.raises(sl.InputError, match="old has 3 outputs, and the mean of each is not kept"):
        state.moved(several, several)
    held = sl.LinearRegression.from_data(X, TARGETS[0], holdout=0.2)
    state = sl.exact(held, methods.sgd(LR), progress=False).state
    with pytest.raises(sl.InputError, match="state keeps moments between modes of one w"):
        state.moved(held, held)


def test_the_deterministic_part_needs_a_unit():
    """It is kept in units of the initial error, which here is 0 where the run is not."""
    old, new = sl.LinearRegression(LAM, FIRST, 0.1), sl.LinearRegression(LAM, [0.0, 1.0, 1.0], 0.1)
    state = sl.exact(old, methods.sgd(LR), deterministic=True, progress=False).state.moved(old, new)
    sl.exact(new, methods.sgd(LR), start=state, progress=False)
    with pytest.raises(sl.InputError, match=r"start is away from w\* in modes where the problem's initial error is 0"):
        sl.exact(new, methods.sgd(LR), start=state, deterministic=True, progress=False)
