"""The trace: its labels and coordinates, what it sums to, and how a run that ends early shows in it."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

import simlab as sl
from simlab import methods
from simlab.engines.moments import diagonal
from simlab.schedules import constant, from_array, join, linear, wsd
from simlab.trace.recording import record_steps
from tests.oracles import naive

PROBLEM = sl.LinearRegression.power_law(40, 1.5, 1.2, 0.2)
LR = wsd(100, peak=0.2, warmup=0.1, cooldown=0.3)
TRACE = sl.exact(PROBLEM, methods.sgd(LR, 2), subspaces=sl.subspaces.head_tail(5), deterministic=True, record="all")
MANY = sl.exact(
    PROBLEM,
    {"slow": methods.sgd(LR * 0.1), "fast": methods.nesterov(LR, linear(100, 0.9), 4), "short": methods.sgd(LR[:30])},
    record=10,
)


# -- labels -----------------------------------------------------------------------------------------------------------


def test_dimensions_of_one_run():
    assert TRACE.risk.dims == ("step", "component", "subspace")
    np.testing.assert_array_equal(TRACE.risk["step"], np.arange(101))
    assert list(TRACE.risk["component"].values) == ["bias", "variance", "deterministic"]
    assert list(TRACE.risk["subspace"].values) == ["head", "tail"]


def test_dimensions_of_several_runs():
    assert MANY.risk.dims == ("run", "step", "component", "subspace")
    assert list(MANY.risk["run"].values) == ["slow", "fast", "short"]
    assert list(MANY.risk["component"].values) == ["bias", "variance"]
    assert list(MANY.risk["subspace"].values) == ["all"]


def test_a_list_of_one_still_has_the_run_axis():
    assert sl.exact(PROBLEM, [methods.sgd(LR)], record=3).risk.sizes["run"] == 1


def test_equal_runs_in_a_list_are_told_apart():
    trace = sl.exact(PROBLEM, [methods.sgd(LR), methods.sgd(LR)], record=3)
    assert len(set(trace.risk["run"].values)) == 2


def test_coordinates_are_those_of_the_step_that_follows():
    method = methods.heavy_ball(LR, linear(100, 0.9), from_array(np.arange(1.0, 101.0)))
    data = sl.exact(PROBLEM, method, record="all").dataset
    np.testing.assert_array_equal(data["lr"].values[:-1], LR.values())
    np.testing.assert_array_equal(data["momentum"].values[:-1], linear(100, 0.9).values())
    np.testing.assert_array_equal(data["batch"].values[:-1], np.arange(1.0, 101.0))
    assert all(np.isnan(data[name].values[-1]) for name in ("lr", "momentum", "batch"))
    assert "momentum" not in TRACE.dataset.coords


def test_k_star_counts_the_modes_learned_so_far():
    """#{i : lam_i sum_(s < t) lr_s >= 1} at every step, by brute force; 0 at the start."""
    elapsed = np.concatenate([[0.0], np.cumsum(LR.values())])
    want = [np.count_nonzero(PROBLEM.eigenvalues * time >= 1.0) for time in elapsed]
    np.testing.assert_array_equal(TRACE.dataset["k_star"].values, want)
    assert want[0] == 0
    assert want[-1] > 2


@pytest.mark.parametrize("steps", [70_000, 131_072])
def test_k_star_of_long_runs(steps):
    """Learning rates are summed in pieces of 65,536."""
    lr = linear(steps, 0.3)
    problem = sl.LinearRegression.power_law(1000, 1.1, 1.2)
    data = sl.exact(problem, methods.sgd(lr), record=[65_535, 65_536, 65_537]).dataset
    for step, k in zip(data["step"].values, data["k_star"].values, strict=True):
        assert k == np.count_nonzero(problem.eigenvalues * lr.values()[:step].sum() >= 1.0 - 1e-12)


def test_shorter_runs_are_empty_after_their_end():
    short = MANY.risk.sel(run="short")
    assert np.all(np.isfinite(short.sel(step=slice(None, 30)).values[[0, -1]]))
    assert np.all(np.isnan(short.sel(step=slice(31, None)).values))
    assert np.isnan(MANY.dataset["lr"].sel(run="short", step=100))
    assert list(MANY.dataset["ended_at"].values) == [100, 100, 30]


# -- sums -------------------------------------------------------------------------------------------------------------


def test_total_is_bias_and_variance_of_all_subspaces():
    parts = TRACE.risk.sel(component=["bias", "variance"])
    np.testing.assert_array_equal(TRACE.by_component().values, parts.sum("subspace").values)
    np.testing.assert_allclose(TRACE.total().values, parts.values.sum(axis=(1, 2)), rtol=1e-15)
    assert TRACE.total().dims == ("step",)


def test_final_is_the_last_step_that_each_run_reached():
    for name, last in (("slow", 100), ("fast", 100), ("short", 30)):
        np.testing.assert_array_equal(MANY.final().sel(run=name).values, MANY.risk.sel(run=name, step=last).values)
    np.testing.assert_array_equal(TRACE.final().values, TRACE.risk.values[-1])


def test_repr_says_how_it_ended():
    text = repr(TRACE)
    assert "101 recorded steps up to 100, 2 subspaces" in text
    assert f"done at step 100, risk {float(TRACE.total()[-1]):.6g}" in text
    assert all(name in repr(MANY) for name in ("slow", "fast", "short", "3 runs"))


def test_provenance():
    attributes = TRACE.dataset.attrs
    assert attributes["simlab_version"] == sl.__version__
    assert attributes["engine"] == "exact"
    assert attributes["subspaces"] == "head_tail(5)"
    assert attributes["method"] == repr(methods.sgd(LR, 2))
    assert "E (w - w*)" in attributes["units"]
    problem = json.loads(attributes["problem"])
    assert (problem["builder"], problem["dim"], problem["noise_variance"]) == ("power_law", 40, 0.2)
    assert [m["steps"] for m in json.loads(MANY.dataset.attrs["method"])] == [100, 100, 30]


# -- what is recorded -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 50, 10**6])
def test_recorded_steps_hold_both_ends(length):
    for record in (None, 2, 7, "all" if length < 100 else None, [0], [length], [length // 2]):
        steps = record_steps(record, length)
        assert (steps[0], steps[-1]) == (0, length)
        assert np.all(np.diff(steps) > 0)


def test_default_is_about_two_hundred_log_spaced_steps():
    steps = record_steps(None, 10**6)
    assert 150 < steps.size <= 200
    ratios = steps[-50:] / steps[-51:-1]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)


def test_steps_asked_for_are_recorded_once():
    np.testing.assert_array_equal(record_steps([5, 3, 5], 10), [0, 3, 5, 10])
    np.testing.assert_array_equal(record_steps("all", 3), [0, 1, 2, 3])


# -- runs that end early ----------------------------------------------------------------------------------------------

WILD = constant(400, 0.9)
SMALL = sl.LinearRegression([1.0, 0.6, 0.5, 0.4], [1.0, -1.0, 2.0, 0.5], 0.3)


def first_step_beyond(method, factor=1e6):
    """The first step at which naive's risk passes `factor` times max(initial risk, sigma^2 / 2)."""
    risks = naive.risks([1.0, 0.6, 0.5, 0.4], np.array([1.0, -1.0, 2.0, 0.5]), 0.3, 3.0, method)
    total = risks[:, :2].sum(axis=(1, 2))
    return int(np.argmax(total > factor * max(total[0], 0.15))), total


@pytest.mark.parametrize("record", [None, "all", [3]])
@pytest.mark.parametrize(
    "method", [methods.sgd(WILD), methods.heavy_ball(WILD * 0.5, 0.9, 4), methods.torch_momentum(WILD, 0.5)], ids=repr
)
def test_divergence_is_a_result(method, record):
    """Status, the right step, finite values up to there and nothing after."""
    step, total = first_step_beyond(method)
    trace = sl.exact(SMALL, method, record=record)
    assert (trace.status.item(), int(trace.dataset["ended_at"])) == ("diverged", step)
    assert int(trace.risk["step"][-1]) == step
    assert float(trace.final().sum()) == pytest.approx(total[step], rel=1e-10)
    assert np.all(np.isfinite(trace.risk.values))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_divergence_is_seen_at_any_step_of_a_chunk(size, monkeypatch):
    """Also at its last, where the kernel has already come back."""
    monkeypatch.setattr(diagonal, "MAX_CHUNK", size)
    step, _ = first_step_beyond(methods.sgd(WILD))
    assert int(sl.exact(SMALL, methods.sgd(WILD)).dataset["ended_at"]) == step


def test_divergence_at_the_very_last_step():
    step, _ = first_step_beyond(methods.sgd(WILD))
    statuses = [sl.exact(SMALL, methods.sgd(WILD[:n])).status.item() for n in (step - 1, step)]
    assert statuses == ["done", "diverged"]


def test_one_run_diverges_and_the_others_do_not():
    step, _ = first_step_beyond(methods.sgd(WILD))
    trace = sl.exact(SMALL, {"wild": methods.sgd(WILD), "tame": methods.sgd(WILD * 0.1)}, record=[2, step - 1, 300])
    assert list(trace.status.values) == ["diverged", "done"]
    assert list(trace.dataset["ended_at"].values) == [step, 400]
    wild = trace.risk.sel(run="wild")
    assert np.all(np.isfinite(wild.sel(step=[2, step - 1]).values))
    assert np.all(np.isnan(wild.sel(step=[300, 400]).values))
    assert np.all(np.isfinite(trace.risk.sel(run="tame").values))
    assert float(trace.final().sel(run="wild").sum()) > 1e6 * float(trace.total().sel(run="wild")[0])
    assert "wild: diverged at step" in repr(trace)


def test_overflow_is_divergence_and_not_nan():
    """A single step from 1 to beyond the range of a float."""
    trace = sl.exact(SMALL, methods.sgd(join(constant(5, 0.1), constant(5, 1e200))), record="all")
    assert (trace.status.item(), int(trace.dataset["ended_at"])) == ("diverged", 6)
    assert np.all(np.isfinite(trace.risk.sel(step=slice(0, 5)).values))
    assert not np.any(np.isnan(trace.final().values))


def test_overflow_on_the_real_rows():
    rows = np.random.default_rng(0).standard_normal((8, 2))
    problem = sl.EmpiricalRegression(rows, rows[:, 0] + rows[:, 1] ** 2)
    trace = sl.exact(problem, methods.sgd(join(constant(5, 0.1), constant(5, 1e200))))
    assert (trace.status.item(), int(trace.dataset["ended_at"])) == ("diverged", 6)
    assert not np.any(np.isnan(trace.final().values))


def test_a_problem_without_error_or_noise_stays_at_zero():
    trace = sl.exact(sl.LinearRegression([1.0, 0.5], 0.0, 0.0), methods.sgd(WILD))
    assert trace.status.item() == "done"
    assert np.all(trace.risk.values == 0.0)


def test_snapshots_of_runs_that_ended_before_them():
    """What all runs reached is kept; a snapshot beyond the end of one is left out, not an error."""
    wild, tame = methods.sgd(WILD), methods.sgd(WILD * 0.1)
    for order in ([wild, tame], [tame, wild]):
        data = sl.exact(SMALL, order, snapshots=[300]).dataset
        assert "mode_risk" not in data or data.sizes["snapshot"] == 0
        data = sl.exact(SMALL, order, snapshots=[1, 300]).dataset
        assert list(data["snapshot"].values) == [1]
        assert data["mode_risk"].shape == (2, 1, 2, 4)


class Interrupt:
    """A progress callable that is Ctrl-C at its nth call."""

    def __init__(self, at):
        self.calls, self.at = 0, at

    def __call__(self, done, total):
        self.calls += 1
        if self.calls >= self.at:
            raise KeyboardInterrupt


def long_run(runs):
    """Some seconds of work that nothing but an interrupt ends, in chunks of 16 steps."""
    problem = sl.LinearRegression(np.linspace(1.0, 0.9, 200_000), 1.0, 0.1, np.linspace(2.0, 3.0, 200_000))
    many = [methods.ema(methods.heavy_ball(constant(100_000, 1e-7), 0.5), 0.9) for _ in range(runs)]
    return problem, many


@pytest.mark.parametrize("runs", [1, 2])
def test_interrupted_runs_keep_what_they_have(runs):
    problem, many = long_run(runs)
    method = many[0] if runs == 1 else many
    trace = sl.exact(problem, method, progress=Interrupt(3), record=[1, 2, 4, 8, 16])
    ended = np.atleast_1d(trace.dataset["ended_at"].values)
    assert set(np.atleast_1d(trace.status.values)) == {"interrupted"}
    assert np.all((ended >= 16) & (ended < 100_000))
    assert np.all(np.isfinite(trace.risk.sel(step=[0, 1, 2, 4, 8, 16]).values))
    assert np.all(np.isfinite(trace.final().values))
    if runs == 1:
        assert int(trace.risk["step"][-1]) == ended[0]
    assert "interrupted at step" in repr(trace)


def test_errors_in_a_progress_callable_are_not_swallowed():
    def broken(done, total):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        sl.exact(PROBLEM, methods.sgd(LR), progress=broken)


def test_progress_ends_at_all_of_the_work():
    seen = []
    sl.exact(PROBLEM, [methods.sgd(LR), methods.sgd(LR)], progress=lambda done, total: seen.append((done, total)))
    assert seen
    assert seen[-1][0] == seen[-1][1] > 0
    assert all(a <= b for a, b in itertools.pairwise(seen))
