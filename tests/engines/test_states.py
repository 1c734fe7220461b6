"""A run that goes on from a state: the split of a run at any step is the whole run, whoever takes over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simlab as sl
from simlab import methods, schedules
from tests.oracles.method_zoo import BASE, WRAPPED

ZOO = {**BASE, **WRAPPED}
T = 60
RNG = np.random.default_rng(0)
PROBLEMS = {
    "regression": sl.LinearRegression.power_law(30, 1.5, 1.3, noise_variance=0.1),
    "equal modes": sl.LinearRegression(np.repeat([1.0, 0.1], 10), 1.0, 0.3),
    "additive": sl.NoisyQuadratic(np.arange(1.0, 9.0) ** -1.0, 1.0, gradient_covariance=np.arange(1.0, 9.0) ** -1.0),
    "data": sl.EmpiricalRegression(RNG.standard_normal((30, 5)), RNG.standard_normal(30)),
}
SHORT = PROBLEMS["regression"]


def a_method(name, steps=T):
    batch = schedules.from_array(np.r_[np.ones(steps // 2), np.full(steps - steps // 2, 3.0)])
    return ZOO[name](schedules.wsd(steps, 0.05), schedules.linear(steps, 0.9, floor=0.5), batch)


def square(problems):
    """Every method with one of the problems, by turns; the rest of the square on demand."""
    return [
        pytest.param(name, problem, marks=[pytest.mark.slow] * ((i + j) % len(problems) > 0))
        for i, name in enumerate(ZOO)
        for j, problem in enumerate(problems)
    ]


def sgd(steps, lr=0.05):
    return methods.sgd(schedules.linear(steps, lr))


# -- the whole ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "problem"), square(list(PROBLEMS)))
def test_split_is_whole_exactly(name, problem):
    """Bias, variance and the deterministic part, by subspace, which cut the nodes of the second half alone."""
    method, asked = a_method(name), {"record": "all", "progress": False, "deterministic": True}
    at = 1 + sum(map(ord, name + problem)) % (T - 1)
    whole = sl.exact(PROBLEMS[problem], method, subspaces="log_bins(3)", **asked)
    first = sl.exact(PROBLEMS[problem], method, keep=[at], **asked)
    rest = methods.rest(method, at)
    second = sl.exact(PROBLEMS[problem], rest, start=first.state_at(at), subspaces="log_bins(3)", **asked)
    wanted = whole.dataset.sel(step=slice(at, None))
    np.testing.assert_array_equal(second.risk["step"], wanted["step"])
    scale = float(np.abs(whole.risk).max())
    np.testing.assert_allclose(second.risk, wanted["risk"], rtol=1e-12, atol=1e-13 * scale)
    for coordinate in ("lr", "batch", "momentum", "k_star"):
        if coordinate in wanted:
            np.testing.assert_allclose(second.dataset[coordinate], wanted[coordinate], rtol=1e-14)


@pytest.mark.parametrize(("name", "problem"), square(["regression", "additive", "data"]))
def test_split_is_whole_to_the_bit_when_sampled(name, problem):
    method, asked = a_method(name), {"record": "all", "progress": False, "device": "cpu"}
    law = {"law": "epochs"} if problem == "data" else {}
    at = 1 + sum(map(ord, name)) % (T - 1)
    whole = sl.sample(PROBLEMS[problem], method, replicas=9, seed=3, **law, **asked)
    first = sl.sample(PROBLEMS[problem], method, replicas=9, seed=3, keep=[at], block=4, **law, **asked)
    rest = methods.rest(method, at)
    second = sl.sample(PROBLEMS[problem], rest, start=first.state_at(at), block=5, **law, **asked)
    wanted = whole.dataset.sel(step=slice(at, None))
    for variable in ("risk", "standard_error", "total_quantile", "final_risk"):
        np.testing.assert_array_equal(second.dataset[variable], wanted[variable])
    assert second.dataset.attrs["dtype"] == whole.dataset.attrs["dtype"]
    assert second.dataset.attrs["seed"] == 3


@settings(max_examples=25)
@given(st.sampled_from(sorted(ZOO)), st.integers(1, 2_999), st.integers(0, 2**31))
def test_split_anywhere_of_random_runs(name, at, seed):
    """With blocks of steps in both parts, whose borders are others."""
    rng = np.random.default_rng(seed)
    problem = sl.LinearRegression.power_law(200, rng.uniform(1.1, 2.0), rng.uniform(1.0, 2.0), rng.uniform(0.0, 1.0))
    method = a_method(name, 3_000)
    whole = sl.exact(problem, method, record=[at, 3_000], progress=False)
    state = sl.exact(problem, method, record=2, keep=[at], progress=False).state
    second = sl.exact(problem, methods.rest(method, at), start=state, record=2, progress=False)
    np.testing.assert_allclose(second.final(), whole.final(), rtol=1e-11, atol=1e-14 * float(whole.risk.max()))


def test_a_sampled_run_is_prolonged_with_the_bits_of_a_longer_one():
    constant, decay = schedules.constant(700, 0.1), schedules.linear(900, 0.1)
    trunk = sl.sample(SHORT, methods.sgd(constant), replicas=8, keep=[700], progress=False)
    longer = sl.sample(SHORT, methods.sgd(decay), start=trunk.state, record=[1_100], progress=False)
    whole = sl.sample(SHORT, methods.sgd(schedules.join(constant, decay)), replicas=8, record=[1_100], progress=False)
    steps = [1_100, 1_600]
    np.testing.assert_array_equal(longer.risk.sel(step=steps), whole.risk.sel(step=steps))


def test_replicas_that_had_diverged_stay_so():
    wild = methods.sgd(schedules.join(schedules.constant(40, 1.8), schedules.constant(40, 0.1)))
    problem, asked = sl.LinearRegression([1.0, 0.1], 1.0, 1.0), {"record": "all", "progress": False}
    whole = sl.sample(problem, wild, replicas=64, **asked)
    gone = whole.dataset["diverged"].values
    assert 0 < gone[-1] < 64
    state = sl.sample(problem, wild, replicas=64, keep=[40], **asked).state
    rest = sl.sample(problem, methods.rest(wild, 40), start=state, **asked)
    np.testing.assert_array_equal(rest.dataset["diverged"], gone[40:])


def test_checkpoints_of_a_continued_run(tmp_path):
    trunk = sl.sample(SHORT, sgd(100), replicas=6, keep=[100], progress=False)
    plain = sl.sample(SHORT, sgd(400), start=trunk.state, progress=False)

    def stop(done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    asked = {"start": trunk.state, "checkpoint": tmp_path, "every": 32, "block": 4}
    assert str(sl.sample(SHORT, sgd(400), progress=stop, **asked).status.values) == "interrupted"
    np.testing.assert_array_equal(sl.sample(SHORT, sgd(400), progress=False, **asked).risk, plain.risk)
    other = replace(trunk.state, step=101)
    with pytest.raises(sl.InputError, match="state of another run"):
        sl.sample(SHORT, sgd(400), progress=False, **{**asked, "start": other})


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_state_is_kept_through_an_interruption(tmp_path, share):
    """Of blocks that had passed its step before, and of the one in motion."""

    def stop(done, total):
        if done > share * total:
            raise KeyboardInterrupt

    asked = {"replicas": 10, "keep": [100, 300], "block": 4, "checkpoint": tmp_path, "every": 32, "threads": 1}
    assert str(sl.sample(SHORT, sgd(400), progress=stop, **asked).status.values) == "interrupted"
    resumed = sl.sample(SHORT, sgd(400), progress=False, **asked)
    plain = sl.sample(SHORT, sgd(400), replicas=10, keep=[100, 300], progress=False)
    for step in (100, 300):
        for name, array in plain.state_at(step).arrays.items():
            np.testing.assert_array_equal(resumed.state_at(step).arrays[name], array)


# -- branches ----------------------------------------------------------------------------------------------------------


def test_branches_are_runs_from_the_start():
    stable = schedules.constant(2_000, 0.05)
    trunk = sl.exact(SHORT, methods.heavy_ball(stable, 0.9), keep=range(200, 2_001, 200), progress=False)
    for step in range(200, 2_001, 200):
        cooldown = schedules.linear(step // 4, 0.05)
        branch = trunk.branch(step, methods.heavy_ball(cooldown, 0.9), record=2, progress=False)
        whole = methods.heavy_ball(schedules.join(stable.slice(0, step), cooldown), 0.9)
        np.testing.assert_allclose(branch.final(), sl.exact(SHORT, whole, record=2, progress=False).final(), rtol=1e-12)
        assert branch.dataset.attrs["started_from"].startswith(f"step {step} of heavy_ball")


def test_a_branch_with_noise_of_its_own():
    trunk = sl.sample(SHORT, sgd(50), replicas=6, keep=[50], progress=False)
    same, other = (sl.sample(SHORT, sgd(50), start=s, progress=False) for s in (trunk.state, trunk.state.reseeded(1)))
    np.testing.assert_array_equal(same.risk.isel(step=0), other.risk.isel(step=0))
    assert np.all(same.total().values[1:] != other.total().values[1:])


# -- another method, another problem -----------------------------------------------------------------------------------


def test_an_average_begins_at_the_iterate():
    trunk = sl.exact(SHORT, sgd(300), progress=False)
    tail = methods.average(methods.sgd(schedules.constant(200, 0.05)))
    branch = trunk.branch(300, tail, progress=False)
    whole = methods.sgd(schedules.join(schedules.linear(300, 0.05), schedules.constant(200, 0.05)))
    known = sl.exact(SHORT, methods.average(whole, start=300), progress=False)
    np.testing.assert_allclose(branch.final(), known.final(), rtol=1e-12)


def test_the_rest_of_an_averaged_method_takes_over_from_a_plain_one():
    """What is wrapped is seen through the rest of it: the average starts at the iterate, at the rest's own weights."""
    trunk = sl.exact(SHORT, sgd(50), progress=False)
    longer = methods.ema(methods.sgd(schedules.join(schedules.linear(50, 0.05), schedules.constant(90, 0.05))), 0.9)
    branch = trunk.branch(50, methods.rest(longer, 50), record=2, progress=False)
    known = trunk.branch(50, methods.ema(methods.sgd(schedules.constant(90, 0.05)), 0.9), record=2, progress=False)
    np.testing.assert_allclose(branch.final(), known.final(), rtol=1e-13)


def test_an_average_is_dropped_and_momentum_kept():
    lr = schedules.constant(300, 0.05)
    trunk = sl.exact(SHORT, methods.ema(methods.heavy_ball(lr, 0.9), 0.99), progress=False)
    branch = trunk.branch(300, methods.nesterov(schedules.linear(100, 0.05), 0.8), record=[301], progress=False)
    plain = sl.exact(SHORT, methods.heavy_ball(lr, 0.9), progress=False)
    known = plain.branch(300, methods.nesterov(schedules.linear(100, 0.05), 0.8), record=[301], progress=False)
    np.testing.assert_allclose(branch.risk, known.risk, rtol=1e-12)


@pytest.mark.parametrize("door", [sl.exact, sl.sample])
def test_weights_alone_start_any_method(door):
    """SGD to its end, then heavy ball from the risk there: as heavy ball whose buffer is at rest."""
    noiseless = sl.LinearRegression([1.0, 0.3], [1.0, 2.0], 0.0)
    full = {"batch": np.inf}
    trunk = door(noiseless, methods.sgd(schedules.constant(3, 0.5), **full), keep=[3], progress=False)
    ball = methods.heavy_ball(schedules.constant(20, 0.2), 0.9, **full)
    branch = door(noiseless, ball, start=trunk.state.weights(), progress=False)
    left = np.array([1.0, 2.0]) * (1.0 - 0.5 * np.array([1.0, 0.3])) ** 3
    known = sl.exact(sl.LinearRegression([1.0, 0.3], left, 0.0), ball, progress=False)
    near = 1e-5 if door is sl.sample else 1e-12
    np.testing.assert_allclose(branch.total().values[-1], known.total().values[-1], rtol=near)


def test_another_spectrum_takes_over():
    """w - w* stays what it is: after a run to (w - w*)^2 = S the risk elsewhere is 1/2 lam S."""
    old, new = np.array([1.0, 0.5, 0.1]), np.array([0.8, 0.7, 0.6])
    trunk = sl.exact(sl.LinearRegression(old, 1.0, 0.2), sgd(30), snapshots=[30], progress=False)
    there = sl.exact(sl.LinearRegression(new, 1.0, 0.2), sgd(30), start=trunk.state, progress=False)
    squares = 2.0 * trunk.dataset["mode_risk"].sel(snapshot=30) / old
    np.testing.assert_allclose(there.risk.isel(step=0, subspace=0), (0.5 * new * squares).sum("mode"), rtol=1e-12)
    sampled = sl.sample(sl.LinearRegression(old, 1.0, 0.2), sgd(30), replicas=4000, keep=[30], progress=False)
    again = sl.sample(sl.LinearRegression(new, 1.0, 0.2), sgd(30), start=sampled.state, progress=False)
    assert float(np.abs(again.z_scores(there)).max()) < 5.0


def test_nodes_of_equal_modes_are_cut_anew():
    problem = PROBLEMS["equal modes"]
    asked = {"progress": False, "subspaces": "log_bins(3)", "record": 2}
    fine = sl.exact(problem, sgd(50), keep=[20], **asked)
    coarse = sl.exact(problem, sgd(50), keep=[20], record=2, progress=False)
    for state in (fine.state_at(20), coarse.state_at(20)):
        for subspaces in ("log_bins(3)", "log_bins(7)", "whole()"):
            rest = sl.exact(problem, methods.rest(sgd(50), 20), start=state, progress=False, subspaces=subspaces)
            whole = sl.exact(problem, sgd(50), progress=False, subspaces=subspaces)
            np.testing.assert_allclose(rest.final(), whole.final(), rtol=1e-12)


# -- kept in files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trace.zarr", "trace.nc"])
@pytest.mark.parametrize("door", [sl.exact, sl.sample])
def test_states_are_saved_with_their_trace(tmp_path, name, door):
    trunk = door(SHORT, sgd(50), keep=[20, 50], progress=False)
    trunk.save(tmp_path / name)
    back = sl.RiskTrace.load(tmp_path / name)
    assert set(back.dataset.variables) == set(trunk.dataset.variables)
    assert back.dataset.attrs == trunk.dataset.attrs
    for at in (20, 50):
        ours, theirs = (door(SHORT, sgd(9), start=t.state_at(at), progress=False).risk for t in (trunk, back))
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(sl.InputError, match=r"read from a file, which holds no problem; write simlab.exact"):
        back.branch(20, sgd(9))


@pytest.mark.thorough
def test_an_altered_state_is_refused(tmp_path):
    sl.exact(SHORT, sgd(50), progress=False).save(tmp_path / "t.zarr")
    chunk = tmp_path / "t.zarr/state_0_signal/c/0"
    whole = chunk.read_bytes()
    refused = 0
    for at in range(len(whole)):
        chunk.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        try:
            sl.RiskTrace.load(tmp_path / "t.zarr")
        except sl.InputError:
            refused += 1
    assert refused == len(whole)


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def state():
    return sl.exact(SHORT, sgd(50), progress=False).state


@pytest.mark.parametrize(
    ("door", "problem", "method", "more", "said"),
    [
        (sl.exact, SHORT, methods.heavy_ball(schedules.constant(5, 0.1)), {}, "start has no 'velocity'"),
        (sl.exact, SHORT, methods.weight_decay(sgd(5), 0.1), {}, "start has no 'origin'"),
        (sl.exact, sl.LinearRegression([1.0, 0.1], 1.0, 0.1), sgd(5), {}, "start has 30 modes and the problem has 2"),
        (sl.exact, SHORT, sgd(5), {"record": [3]}, "give steps between 50 and 55"),
        (sl.exact, SHORT, sgd(5), {"keep": [3]}, "keep = 3 is out of range"),
        (sl.exact, SHORT, sgd(5), {"deterministic": True}, "start keeps no deterministic part"),
        (sl.exact, PROBLEMS["data"], sgd(5), {}, "goes on from those of simlab.exact on a data set"),
        (sl.sample, SHORT, sgd(5), {}, "is a state of simlab.exact or simlab.long, and simlab.sample goes on"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(state, door, problem, method, more, said):
    with pytest.raises(sl.InputError, match=said) as raised:
        door(problem, method, start=state, progress=False, **more)
    assert str(raised.value).endswith(".")


def test_a_state_that_was_not_kept_is_asked_for():
    several = sl.exact(SHORT, {"a": sgd(5), "b": sgd(9)}, keep=[2], progress=False)
    assert several.state_at(2, run="b").step == 2
    for call, said in (
        (lambda: sl.exact(SHORT, {"a": sgd(5), "b": sgd(9)}, progress=False).state, "trace has kept no state"),
        (lambda: several.state, "run is missing, and there are 2 runs; give one of a, b"),
        (lambda: several.state_at(2, run="c"), "'c' is not known"),
        (lambda: several.state_at(3, run="a"), r"step = 3 is none whose state was kept \(those are 2\)"),
        (lambda: sl.exact(SHORT, sgd(5), start=3, progress=False), "start = 3 is not a state"),
        (lambda: sl.sample(SHORT, sgd(5), progress=False).state, "trace has kept no state"),
        (lambda: methods.rest(sgd(5), 5), "step = 5 is out of range"),
    ):
        with pytest.raises(sl.InputError, match=said):
            call()


def test_nodes_of_a_compressed_problem_are_its_own():
    long = sl.LinearRegression.power_law(3_000, 1.5, 1.3, noise_variance=0.1)
    short = long.compress(1e-6)
    whole = sl.exact(short, sgd(90), record=2, progress=False)
    state = sl.exact(short, sgd(90), keep=[40], progress=False).state
    rest = sl.exact(short, methods.rest(sgd(90), 40), start=state, progress=False)
    np.testing.assert_allclose(rest.final(), whole.final(), rtol=1e-12)
    with pytest.raises(sl.InputError, match="the problem is compressed, and their nodes are not the same"):
        sl.exact(long, sgd(5), start=state, progress=False)
    with pytest.raises(sl.InputError, match="the problem is compressed"):
        sl.exact(short, sgd(5), start=sl.exact(long, sgd(5), progress=False).state, progress=False)


def test_a_state_of_other_parts_is_refused():
    split = sl.sample(SHORT, sgd(5), replicas=3, keep=[5], progress=False).state
    with pytest.raises(sl.InputError, match="runs bias and variance otherwise"):
        sl.sample(SHORT, sgd(5), start=split, split=False, progress=False)
    with pytest.raises(sl.InputError, match="start has 30 modes"):
        sl.sample(sl.LinearRegression([1.0], 1.0, 0.1), sgd(5), start=split, progress=False)
