"""The sampler at its door: the form of its trace, its statistics, divergence, laws, memory and progress."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import xarray as xr

import simlab as sl
from simlab import methods, subspaces
from simlab.engines.gpu import devices
from simlab.engines.replicas import march, regression
from simlab.schedules import constant, from_array, join, linear

LAM = np.array([1.0, 0.61, 0.35, 0.08, 0.011])
ERROR = np.array([0.7, -1.2, 0.4, 2.5, -3.0])
REGRESSION = sl.LinearRegression(LAM, ERROR, 0.3)
STEPS, REPLICAS = 60, 30
LR, MOMENTUM = linear(STEPS, peak=0.2, warmup=10), linear(STEPS, peak=0.9)
HEAVY_BALL = methods.heavy_ball(LR, MOMENTUM, from_array(np.resize([1.0, 2.0], STEPS)))
SEVERAL = {"a run": HEAVY_BALL, "méthode β": methods.nesterov(LR[:20], 0.5)}
LEVELS = [0.0, 0.07, 0.1, 0.25, 0.5, 0.9, 1.0]
SHORT = methods.sgd(constant(10, 0.1))
ROWS = sl.EmpiricalRegression([[1.0, 2.0], [0.5, -1.0], [1.0, 1.0]], [1.0, 0.0, 2.0])
LINE = sl.LinearRegression([1.0], 1.0, 0.0)


def take(problem=REGRESSION, method=HEAVY_BALL, **options):
    return sl.sample(problem, method, **({"device": "cpu", "replicas": REPLICAS, "seed": 3} | options))


# -- form -------------------------------------------------------------------------------------------------------------

STATISTICS = {
    "standard_error": ("component", "subspace"),
    "risk_error": ("subspace",),
    "total_error": (),
    "risk_quantile": ("quantile", "subspace"),
    "total_quantile": ("quantile",),
    "replicas": (),
    "diverged": (),
}


@pytest.mark.parametrize("method", [HEAVY_BALL, SEVERAL, [HEAVY_BALL]], ids=["one", "several", "list of one"])
def test_the_trace_has_the_form_of_an_exact_one(method):
    options = {"record": 7, "subspaces": "head_tail(2)"}
    exact, sampled = sl.exact(REGRESSION, method, **options), take(method=method, coordinates=[4, 1], **options)
    lead = ("step",) if isinstance(method, methods.Method) else ("run", "step")
    assert sampled.risk.dims == exact.risk.dims == (*lead, "component", "subspace")
    assert list(sampled.risk["component"].values) == ["bias", "variance", "cross"]
    for name, coordinate in exact.dataset.coords.items():
        if name != "component":
            xr.testing.assert_identical(sampled.dataset[name].variable, coordinate.variable)
    assert set(sampled.dataset.coords) - set(exact.dataset.coords) == {"quantile", "replica", "coordinate"}
    assert set(sampled.dataset) == {*exact.dataset, *STATISTICS, "trajectory"}
    for name, dims in (STATISTICS | {"trajectory": ("replica", "coordinate")}).items():
        assert sampled.dataset[name].dims == (*lead, *dims), name
    assert sampled.dataset["trajectory"].shape[-2:] == (REPLICAS, 2)
    assert list(sampled.dataset["coordinate"].values) == [4, 1]
    assert list(sampled.dataset["quantile"].values) == [0.1, 0.5, 0.9]
    for name, value in exact.dataset.attrs.items():
        assert sampled.dataset.attrs[name] == value or name == "engine"
    own = {"engine": "sample", "seed": 3, "replicas": REPLICAS, "law": "gaussian", "dtype": "float32", "device": "cpu"}
    assert own.items() <= sampled.dataset.attrs.items()


@pytest.mark.parametrize("record", [None, 5, "linear", "all", [3, 20]])
def test_records_are_those_of_exact(record):
    exact = sl.exact(REGRESSION, SEVERAL, record=record)
    np.testing.assert_array_equal(take(method=SEVERAL, record=record).risk["step"], exact.risk["step"])


@pytest.mark.parametrize(
    "partition", [None, "modes(2, 4)", subspaces.effective(), {"odd": [1, 3, 5]}, subspaces.log_bins(2)]
)
def test_subspaces_are_those_of_exact(partition):
    """At the start, where nothing is random, also in value."""
    exact, sampled = (f(REGRESSION, HEAVY_BALL, subspaces=partition) for f in (sl.exact, sl.sample))
    assert list(sampled.risk["subspace"].values) == list(exact.risk["subspace"].values)
    names = ["bias", "variance"]
    got, want = (t.risk.sel(component=names).isel(step=0).values for t in (sampled, exact))
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_one_trajectory_is_the_sum_of_the_two():
    both, one = (take(split=split, dtype="float64", coordinates=[1, 5]) for split in (True, False))
    assert list(one.risk["component"].values) == ["total"]
    np.testing.assert_allclose(one.total().values, both.total().values, rtol=1e-12)
    for name in ("trajectory", "risk_error", "total_error", "total_quantile"):
        np.testing.assert_allclose(one.dataset[name].values, both.dataset[name].values, rtol=1e-9, atol=1e-14)
    np.testing.assert_array_equal(one.dataset["standard_error"].sel(component="total"), one.dataset["risk_error"])


def test_parts_that_cannot_move_are_zero():
    noiseless = take(sl.LinearRegression(LAM, ERROR, 0.0)).risk
    assert np.all(noiseless.sel(component=["variance", "cross"]).values == 0.0)
    assert np.all(noiseless.sel(component="bias").values > 0.0)
    at_rest = take(sl.LinearRegression(LAM, 0.0, 0.3)).risk
    assert np.all(at_rest.sel(component=["bias", "cross"]).values == 0.0)
    assert np.all(at_rest.sel(component="variance").values[1:] > 0.0)


@pytest.mark.parametrize("file", ["trace.zarr", "trace.nc"])
@pytest.mark.parametrize("method", [HEAVY_BALL, SEVERAL], ids=["one", "several"])
def test_round_trip_is_identical(method, file, tmp_path):
    if file.endswith(".nc"):
        pytest.importorskip("h5netcdf")
    trace = take(method=method, coordinates=[2], subspaces="log_bins(2)")
    back = sl.RiskTrace.load(trace.save(tmp_path / file))
    xr.testing.assert_identical(back.dataset, trace.dataset)
    assert repr(back) == repr(trace)


# -- statistics -------------------------------------------------------------------------------------------------------


def from_paths(data, index):
    """Risk (steps, replicas) of the eigen-indices (from 0) by the trajectories of a trace that kept them all."""
    return 0.5 * (data["trajectory"].values[..., index] ** 2) @ LAM[index]


def order_statistics(values, levels):
    """The smallest value with at least that share at or below it; the share as it is written."""
    ranks = [max(1, math.ceil(Fraction(str(level)) * values.shape[1])) for level in levels]
    return np.sort(values, axis=1)[:, np.array(ranks) - 1]


@pytest.mark.parametrize("replicas", [2, 30, 100])
def test_statistics_are_those_of_the_trajectories(replicas):
    everything = {"record": "all", "coordinates": range(1, 6), "quantiles": LEVELS, "dtype": "float64"}
    data = take(replicas=replicas, subspaces="head_tail(2)", **everything).dataset
    error = {"axis": 1, "ddof": 1}
    for j, index in enumerate([[0, 1], [2, 3, 4]]):
        risk = from_paths(data, index)
        # bias, variance and cross term of a subspace may cancel, to rounding of the larger ones.
        np.testing.assert_allclose(data["risk"].sum("component").values[:, j], risk.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(data["risk_error"].values[1:, j], np.std(risk[1:], **error) / replicas**0.5, 1e-10)
        np.testing.assert_allclose(data["risk_quantile"].values[:, :, j], order_statistics(risk, LEVELS), rtol=1e-9)
    whole = from_paths(data, [0, 1, 2, 3, 4])
    np.testing.assert_allclose(sl.RiskTrace(data).total().values, whole.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(data["total_error"].values[1:], np.std(whole[1:], **error) / replicas**0.5, 1e-10)
    np.testing.assert_allclose(data["total_quantile"].values, order_statistics(whole, LEVELS), rtol=1e-9)
    np.testing.assert_array_equal(data["replicas"].values, np.full(STEPS + 1, float(replicas)))
    np.testing.assert_array_equal(data["diverged"].values, np.zeros(STEPS + 1))


@pytest.mark.parametrize("part", ["bias", "variance"])
def test_standard_errors_of_components(part):
    problem = sl.LinearRegression(LAM, ERROR if part == "bias" else 0.0, 0.3 if part == "variance" else 0.0)
    data = take(problem, record="all", coordinates=range(1, 6), dtype="float64").dataset
    risk = from_paths(data, [0, 1, 2, 3, 4])
    want = np.std(risk[1:], axis=1, ddof=1) / REPLICAS**0.5
    got = data["standard_error"].isel(subspace=0)
    np.testing.assert_allclose(got.sel(component=part).values[1:], want, rtol=1e-10)
    assert np.all(got.drop_sel(component=part).values == 0.0)


def test_parts_of_a_replica_add_up_to_its_risk():
    """The standard error of their sum is that of the risk, which those of three independent parts would miss."""
    data = take(record=[STEPS]).dataset.isel(step=-1, subspace=0)
    assert np.sqrt((data["standard_error"] ** 2).sum()) != pytest.approx(float(data["risk_error"]), rel=1e-3)
    assert float(data["risk_error"]) == pytest.approx(float(data["total_error"]), rel=1e-12)


def test_one_replica_has_a_mean_and_no_error():
    data = take(replicas=1, coordinates=range(1, 6), dtype="float64", quantiles=LEVELS).dataset
    risk = from_paths(data, [0, 1, 2, 3, 4])
    np.testing.assert_allclose(sl.RiskTrace(data).total().values, risk[:, 0], rtol=1e-12)
    np.testing.assert_allclose(data["total_quantile"].values, np.repeat(risk, len(LEVELS), axis=1), rtol=1e-12)
    for name in ("standard_error", "risk_error", "total_error"):
        assert np.all(np.isnan(data[name].values))


def test_no_quantiles():
    assert take(quantiles=[]).dataset["total_quantile"].sizes["quantile"] == 0


def test_single_and_double_precision_follow_the_same_draws():
    single, double = (take(record="all", coordinates=range(1, 6), dtype=t).dataset for t in ("float32", "float64"))
    for name in ("trajectory", "risk", "total_error", "total_quantile"):
        a, b = single[name].values, double[name].values
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())
        assert not np.array_equal(a, b)


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("problem", [REGRESSION, ROWS], ids=["regression", "rows"])
def test_z_scores(problem, split):
    """(sampled - exact) / standard error; "risk" is the sum of all components; NaN where nothing is random."""
    options = {"record": [1, 2, 10], "subspaces": "modes(1, 2)"}
    exact, sampled = sl.exact(problem, SHORT, **options), take(problem, SHORT, split=split, **options)
    z = sampled.z_scores(exact)
    shared = [n for n in ("bias", "variance", "cross") if n in exact.risk["component"].values] if split else []
    assert list(z["component"].values) == [*shared, "risk"]
    assert z.dims == ("step", "component", "subspace")
    np.testing.assert_array_equal(z["step"], [0, 1, 2, 10])
    assert np.all(np.isnan(z.values[0]))
    data = sampled.dataset
    for name in shared:
        part = {"component": name}
        want = (data["risk"].sel(part) - exact.risk.sel(part)) / data["standard_error"].sel(part)
        # The variance is not random at the first step from 0, but for its rounding.
        random = data["standard_error"].sel(part) > 1e-6 * np.abs(exact.risk.sel(part))
        np.testing.assert_array_equal(z.sel(part).values, want.where(random).values)
    want = (data["risk"].sum("component") - exact.risk.sum("component")) / data["risk_error"]
    np.testing.assert_allclose(z.sel(component="risk").values[1:, :], want.values[1:, :], rtol=1e-9)
    assert np.all(np.isfinite(z.values[2:]))
    with pytest.raises(sl.InputError, match=r"no standard_error; take z-scores of a trace by simlab\.sample"):
        exact.z_scores(sampled)


# -- instability ------------------------------------------------------------------------------------------------------


def test_the_median_lies_far_below_an_unstable_mean():
    """Rate 0.75: E (1 - lr x^2)^2 = 1.19, so that the mean grows, while nearly every run goes to 0."""
    method = methods.sgd(constant(40, 0.75))
    exact = sl.exact(LINE, method, record=[20, 40]).total().values
    trace = take(LINE, method, replicas=400, record=[20, 40])
    median = trace.dataset["total_quantile"].sel(quantile=0.5).values
    assert trace.status.item() == "done"
    assert exact[0] < exact[1] < exact[2]
    assert median[0] > 1e6 * median[1] > 1e12 * median[2]
    assert trace.total().values[1] > 1e4 * median[1]
    # The mean of an ensemble does not find the growth, which is that of a rare few: a reason to look at quantiles.
    assert trace.total().values[2] < 1e-3 * exact[2]


def test_some_replicas_diverge():
    """Their order statistics are infinite, and so is the mean; those of the others stay."""
    n = 400
    levels = np.arange(1, n + 1) / n
    method = methods.sgd(constant(60, 2.0))
    trace = take(LINE, method, replicas=n, record=[20, 40, 60], coordinates=[1], quantiles=levels, dtype="float64")
    data = trace.dataset
    gone = np.isnan(data["trajectory"].values[:, :, 0])
    assert (trace.status.item(), int(data["ended_at"])) == ("done", 60)
    assert 5 < gone[3].sum() < 100
    order = data["total_quantile"].values
    np.testing.assert_array_equal(np.isinf(order).sum(axis=1), gone.sum(axis=1))
    for step in range(4):
        left = 0.5 * data["trajectory"].values[step, ~gone[step], 0] ** 2
        np.testing.assert_allclose(order[step, : left.size], np.sort(left), rtol=1e-12)
    # One that diverges at a record still has its risk there, and counts.
    beyond = np.count_nonzero(order > 0.5e6, axis=1)
    np.testing.assert_array_equal(data["diverged"].values, beyond)
    assert np.all(np.diff(data["diverged"].values) > 0)
    for name in ("risk_error", "total_error"):
        assert np.all(np.isinf(data[name].values[gone.any(axis=1)]))
    assert np.all(np.isinf(trace.total().values[gone.any(axis=1)]))
    np.testing.assert_array_equal(data["replicas"].values, np.full(4, float(n)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("wild", [constant(200, 30.0), join(constant(5, 0.1), constant(195, 1e200))], ids=repr)
def test_divergence_is_a_result(wild, dtype):
    """No warning, no NaN: the run ends where more than half have left, and is infinite from there on."""
    runs = {"wild": methods.heavy_ball(wild, 0.5), "tame": methods.sgd(constant(200, 0.1))}
    trace = take(method=runs, record="all", dtype=dtype, coordinates=[1])
    data = trace.dataset.sel(run="wild")
    end = int(data["ended_at"])
    assert list(trace.status.values) == ["diverged", "done"]
    assert 0 < end < 100
    share = data["diverged"].values / REPLICAS
    assert share[end - 1] <= 0.5 < share[end]
    assert share[-1] == 1.0
    for name in ("risk", "total_quantile", "total_error"):
        assert np.all(np.isinf(data[name].values[-50:])), name
    assert np.all(np.isnan(data["trajectory"].values[-50:]))
    assert not np.any(np.isnan(data["risk"].values))
    assert np.all(np.isfinite(trace.risk.sel(run="tame").values))
    alone = take(method=runs["wild"], dtype=dtype, record="all")
    assert (alone.status.item(), int(alone.risk["step"][-1])) == ("diverged", end)


# -- laws, devices, memory, progress ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kurtosis", "law"),
    [(3.0, "gaussian"), (1.0, "rademacher"), (1.8, "uniform"), (6.0, "laplace"), (2.0, "three_point"),
     (7.0, "three_point"), ([3.0, 1.0, 3.0, 3.0, 3.0], "three_point"), ([3.0] * 5, "gaussian")],
)  # fmt: skip
def test_the_law_that_a_kurtosis_implies(kurtosis, law):
    problem = sl.LinearRegression(LAM, ERROR, 0.3, kurtosis)
    implied, named = (take(problem, SHORT, law=name) for name in (None, law))
    assert implied.dataset.attrs["law"] == law
    xr.testing.assert_identical(implied.dataset, named.dataset)


def test_laws_of_other_problems():
    for problem, law in [
        (ROWS, "rows"),
        (sl.NoisyQuadratic([1.0], 1.0, 1.0), "additive"),
        (sl.LinearRegression.one_hot([0.5, 0.4]), "one_hot"),
        (sl.RandomFeatures(1.0, 1.0, 20, 5), "gaussian"),
    ]:
        assert take(problem, SHORT).dataset.attrs["law"] == law
    assert take(ROWS, SHORT, law="epochs").dataset.attrs["law"] == "epochs"
    heavy = sl.LinearRegression(LAM, ERROR, 0.3, 9.0)
    assert take(heavy, SHORT, law="student_t").dataset.attrs["law"] == "student_t"
    assert float(take(heavy, SHORT, law="student_t").total()[-1]) != float(take(heavy, SHORT).total()[-1])


def test_auto_is_the_processor_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(devices, "missing", lambda: "CuPy is not installed")
    assert take(device="auto").dataset.attrs["device"] == "cpu"
    with pytest.raises(sl.InputError, match=r"^device = 'gpu': CuPy is not installed; run pip install .* device='cpu'"):
        take(device="gpu")


def test_what_does_not_fit_runs_in_blocks_by_itself(monkeypatch):
    """A third of the free memory holds seven replicas: five blocks for thirty."""
    whole, sizes = take(record=[STEPS]), []
    state = regression.Regression.state

    def counted(self, first, replicas):
        sizes.append(replicas)
        return state(self, first, replicas)

    monkeypatch.setattr(regression.Regression, "state", counted)
    each = 2 * 2 * 256 * 4  # two trajectories of heavy ball in float32, padded to 256 coordinates
    monkeypatch.setattr(march, "free_memory", lambda: 3 * each * 7 + 1)
    xr.testing.assert_identical(take(record=[STEPS]).dataset, whole.dataset)
    assert sizes == [7, 7, 7, 7, 2]
    monkeypatch.setattr(march, "free_memory", lambda: 3 * each * 1000)
    sizes.clear()
    take(record=[STEPS])
    assert sizes == [REPLICAS]


def test_records_beyond_memory_are_refused_before_a_step_is_taken():
    calls = []
    pattern = r"^record keeps [\d.]+ GiB \(61 steps, 4000000000 replicas\), more .*; record fewer steps or"
    with pytest.raises(sl.InputError, match=pattern):
        take(record="all", replicas=4e9, progress=lambda *now: calls.append(now))
    assert not calls


@pytest.mark.parametrize("block", [None, 7])
def test_progress_is_told_of_all_the_work(block):
    seen = []
    take(method=SEVERAL, block=block, progress=lambda done, total: seen.append((done, total)))
    assert {total for _, total in seen} == {REPLICAS * (STEPS + 20)}
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1]
    assert all(a <= b for (a, _), (b, _) in itertools.pairwise(seen))
    assert len(seen) >= (4 if block is None else 10)


def test_the_largest_counts_that_are_taken():
    assert take(seed=2**64 - 1).status.item() == "done"
    assert take(quantiles=[0.0, 1.0]).status.item() == "done"
    assert take(REGRESSION, methods.sgd(SHORT.learning_rate, np.inf), replicas=2).status.item() == "done"
