"""Few nodes in place of many modes: the Gauss rules themselves, and compressed against full problems."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlab as sl
from simlab import methods
from simlab.quadrature import gauss_rule_of_integers, gauss_rule_of_points
from simlab.schedules import wsd

LR = sl.LinearRegression
BINS = sl.subspaces.log_bins(6)
# Within these ranges of indices, and beside them, nothing may leak.
ODD = sl.subspaces.index_sets({"a": range(40, 60), "b": range(1000, 1007), "c": range(5000, 9000)})


# -- Gauss rules ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10**6), st.integers(1, 14))
def test_rule_of_integers_is_exact_for_polynomials(count, order):
    """Up to degree 2 order - 1, scaled to [-1, 1]; power sums of integers by Python's own arithmetic."""
    nodes, weights = gauss_rule_of_integers(count, order)
    assert nodes.size == min(count, order)
    assert np.all(weights > 0.0)
    half = max((count - 1) / 2.0, 1.0)
    x = (nodes - (count - 1) / 2.0) / half
    everyone = (np.arange(count) - (count - 1) / 2.0) / half
    for degree in range(2 * order):
        want = float(np.sum(everyone**degree)) if degree % 2 == 0 else 0.0
        assert abs(float(weights @ x**degree) - want) < 1e-11 * count


@given(st.integers(20, 2000), st.integers(2, 12), st.integers(0, 100))
def test_rule_of_points_is_exact_for_polynomials(count, order, seed):
    rng = np.random.default_rng(seed)
    points = np.sort(rng.uniform(-3.0, 2.0, count))[::-1]
    mass = rng.exponential(size=count)
    nodes, weights = gauss_rule_of_points(points, mass, order)
    assert nodes.size == order
    assert points[-1] <= nodes.min() <= nodes.max() <= points[0]
    middle, half = 0.5 * (points[0] + points[-1]), 0.5 * (points[0] - points[-1])
    for degree in range(2 * order):
        want = mass @ ((points - middle) / half) ** degree
        got = weights @ ((nodes - middle) / half) ** degree
        assert abs(got - want) < 1e-11 * mass.sum()


def test_rule_of_few_distinct_points_is_the_points():
    points = np.repeat([2.0, 1.0, -1.0], 30)
    nodes, weights = gauss_rule_of_points(points, np.ones(90), 8)
    order = np.argsort(nodes)
    np.testing.assert_allclose(nodes[order], [-1.0, 1.0, 2.0], atol=1e-12)
    np.testing.assert_allclose(weights[order], 30.0, rtol=1e-12)
    nodes, weights = gauss_rule_of_points(np.full(90, 0.5), np.ones(90), 8)
    np.testing.assert_allclose([nodes[0], weights.sum()], [0.5, 90.0], rtol=1e-13)


# -- compressed against full ------------------------------------------------------------------------------------------


def jittered(dim, seed=0):
    """A power law with noise on every eigenvalue and a random signal: nothing about it is smooth in the index."""
    rng = np.random.default_rng(seed)
    i = np.arange(1.0, dim + 1)
    lam = np.sort(i**-1.3 * np.exp(0.3 * rng.normal(size=dim)))[::-1]
    return LR(lam / lam[0], rng.normal(size=dim) * np.sqrt(i**-1.1 * lam[0] / lam), 0.1)


def sparse(dim):
    """One mode in a hundred carries the signal: the two measures live on different points."""
    rng = np.random.default_rng(1)
    return LR(np.arange(1.0, dim + 1) ** -1.2, rng.normal(size=dim) * (rng.uniform(size=dim) < 0.01), 0.1)


def clusters(dim):
    rng = np.random.default_rng(2)
    sizes = [dim // 100, dim // 2, dim - dim // 100 - dim // 2]
    pieces = [rng.uniform(a, z, n) for a, z, n in zip((0.9, 0.01, 1e-5), (1.0, 0.011, 1e-4), sizes, strict=True)]
    return LR(np.sort(np.concatenate(pieces))[::-1], 1.0, 0.1)


SPECTRA = {
    "power law": lambda d: LR.power_law(d, 1.2, 1.1, 0.1),
    "steep power law": lambda d: LR.power_law(d, 2.5, 1.5, 0.1),
    "rademacher": lambda d: LR.power_law(d, 1.2, 1.1, 0.1, kurtosis=1.0),
    "exponential": lambda d: LR.exponential(d, 100.0 / d, 0.1),
    "logarithmic": lambda d: LR.logarithmic(d, 0.1),
    "logarithmic, source": lambda d: LR.logarithmic(d, 0.1, power=3.0, source=1.05),
    "measured": jittered,
    "sparse signal": sparse,
    "clusters": clusters,
    "equal": lambda d: LR(np.repeat([1.0, 0.1, 0.01], [1, d // 2, d - 1 - d // 2]), 1.0, 0.1),
}
# Whether compress has to know the method: those whose modes oscillate.
RUNS = {
    "sgd": (lambda lr: methods.sgd(lr), False),
    "ema": (lambda lr: methods.ema(methods.sgd(lr), 0.99), False),
    "heavy_ball": (lambda lr: methods.heavy_ball(lr * 0.1, 0.9), True),
    "underdamped": (lambda lr: methods.heavy_ball(lr * 2.0, 0.99, 512), True),
    "ema_nesterov": (lambda lr: methods.ema(methods.nesterov(lr, 0.9, 64), 0.999), True),
    "asgd": (lambda lr: methods.asgd(lr, 5.0 * lr.peak(), 0.1, batch=8), True),
}


def schedule(problem, steps):
    lam, count = problem.eigenvalues, problem.multiplicity
    return wsd(steps, peak=1.0 / (lam[0] + float(lam @ count)), warmup=0.05, cooldown=0.3, shape="1-sqrt")


def worst_error(problem, compressed, method, subspaces):
    """Largest relative error over recorded steps, components and subspaces.

    Where less than 1e-12 of the largest risk is left, compress promises nothing.
    """
    got, want = (sl.exact(p, method, subspaces=subspaces, record=8).risk.values for p in (compressed, problem))
    assert got.shape == want.shape
    asked = want > 1e-12 * want.max()
    return float(np.max(np.abs(got[asked] - want[asked]) / want[asked]))


# Every spectrum and every run at each tolerance; the rest of the square on demand.
EACH = [
    pytest.param(spectrum, run, tolerance, marks=[pytest.mark.slow] * ((i + 2 * j + k) % 3 > 0))
    for i, spectrum in enumerate(SPECTRA)
    for j, run in enumerate(RUNS)
    for k, tolerance in enumerate([1e-10, 1e-6])
]


@pytest.mark.parametrize(("spectrum", "run", "tolerance"), EACH)
def test_risk_of_each_subspace_is_right_to_the_tolerance(spectrum, run, tolerance):
    problem = SPECTRA[spectrum](20_000)
    make, needs_method = RUNS[run]
    method = make(schedule(problem, 1000))
    compressed = problem.compress(tolerance, subspaces=BINS, method=method if needs_method else None)
    assert compressed.modes().eigenvalues.size < 0.1 * problem.dim
    assert worst_error(problem, compressed, method, BINS) < tolerance


@pytest.mark.thorough
@pytest.mark.parametrize("tolerance", [1e-10, 1e-6])
@pytest.mark.parametrize("run", ["sgd", "ema", "heavy_ball"])
def test_a_million_modes(run, tolerance):
    problem = LR.power_law(1_000_000, 1.7, 1.4, 0.1)
    make, needs_method = RUNS[run]
    method = make(wsd(2000, peak=0.3, warmup=0.05, cooldown=0.3, shape="1-sqrt"))
    compressed = problem.compress(tolerance, subspaces=BINS, method=method if needs_method else None)
    assert compressed.modes().eigenvalues.size < 300
    assert worst_error(problem, compressed, method, BINS) < tolerance


@pytest.mark.parametrize("spectrum", ["measured", "clusters"])
def test_a_hundred_thousand_measured_eigenvalues(spectrum):
    problem = SPECTRA[spectrum](100_000)
    method = methods.sgd(schedule(problem, 1000))
    compressed = problem.compress(subspaces=BINS)
    assert compressed.modes().eigenvalues.size < 1000
    assert worst_error(problem, compressed, method, BINS) < 1e-10


@pytest.mark.slow
def test_ten_million_measured_eigenvalues():
    problem = jittered(10_000_000)
    method = methods.sgd(schedule(problem, 300))
    compressed = problem.compress(subspaces=BINS)
    assert compressed.modes().eigenvalues.size < 2000
    assert worst_error(problem, compressed, method, BINS) < 1e-10


@pytest.mark.slow
def test_a_million_steps_compressed():
    problem = LR.power_law(100_000, 1.5, 1.2, 0.1)
    method = methods.sgd(wsd(1_000_000, peak=0.3, cooldown=0.2))
    assert worst_error(problem, problem.compress(subspaces=BINS), method, BINS) < 1e-10


@pytest.mark.parametrize("spectrum", ["power law", "measured"])
@pytest.mark.parametrize("subspaces", [ODD, sl.subspaces.head_tail(35), sl.subspaces.modes(1, 500, 20_000)], ids=repr)
def test_awkward_subspaces(spectrum, subspaces):
    problem = SPECTRA[spectrum](20_000)
    method = methods.sgd(schedule(problem, 500))
    assert worst_error(problem, problem.compress(subspaces=subspaces), method, subspaces) < 1e-10


@pytest.mark.parametrize("spectrum", ["power law", "measured"])
def test_effective_subspaces_of_a_method(spectrum):
    problem, subspaces = SPECTRA[spectrum](20_000), sl.subspaces.effective()
    method = methods.sgd(schedule(problem, 500))
    compressed = problem.compress(subspaces=subspaces, method=method)
    assert worst_error(problem, compressed, method, subspaces) < 1e-10


@pytest.mark.parametrize("subspaces", [BINS, ODD, sl.subspaces.whole()], ids=repr)
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_nodes_stay_within_their_subspace_and_count_its_modes(spectrum, subspaces):
    """Modes, signal and noise of each subspace are kept; no node straddles a boundary."""
    problem = SPECTRA[spectrum](20_000)
    full, nodes = problem.modes(), problem.compress(subspaces=subspaces).modes()
    assert nodes.stop.max() == 20_000
    for _, ranges in subspaces.ranges(problem.dim, problem.count_at_least, 0.0):
        for first, last in ranges:
            inside = (nodes.start < last) & (nodes.stop > first)
            assert np.all((nodes.start[inside] >= first) & (nodes.stop[inside] <= last))
            for name in ("signal", "drive", "multiplicity"):
                if name == "multiplicity" and spectrum in ("measured", "sparse signal", "clusters", "equal"):
                    continue  # nodes of a measured spectrum keep the noise; how many modes make it up does not matter
                want = getattr(full, name)[first:last].sum()
                assert getattr(nodes, name)[inside].sum() == pytest.approx(want, rel=1e-10)


def test_a_small_problem_is_left_as_it_is():
    problem = LR.power_law(30, 1.5, 1.2, 0.1)
    compressed = problem.compress()
    np.testing.assert_array_equal(compressed.eigenvalues, problem.eigenvalues)
    np.testing.assert_array_equal(compressed.modes().signal, problem.modes().signal)


@pytest.mark.parametrize("spectrum", ["power law", "measured"])
def test_compressing_twice_loses_little(spectrum):
    problem = SPECTRA[spectrum](20_000)
    method = methods.sgd(schedule(problem, 500))
    once = problem.compress(1e-10, subspaces=BINS)
    assert worst_error(problem, once.compress(1e-8, subspaces=BINS), method, BINS) < 1e-8


# -- beyond memory ----------------------------------------------------------------------------------------------------


def test_a_trillion_modes_never_become_an_array():
    tracemalloc.start()
    try:
        problem = LR.power_law(10**12, 1.5, 1.2, 0.1)
        compressed = problem.compress(subspaces=BINS)
        trace = sl.exact(compressed, methods.sgd(wsd(100_000, peak=0.2, cooldown=0.2)), subspaces=BINS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50e6
    assert compressed.dim == 10**12
    assert trace.status.item() == "done"
    assert compressed.modes().eigenvalues.size < 1000


def test_a_trillion_modes_start_from_the_zeta_function():
    """Initial risk 1/2 sum i^-1.2 up to 10^12 by Euler and Maclaurin, the noise sum i^-3 by zeta(3)."""
    modes = LR.power_law(10**12, 1.5, 1.2).compress().modes()
    n, s = 1e12, 1.2
    zeta_12, zeta_3 = 5.591582441177751, 1.2020569031595942
    want = zeta_12 + n ** (1 - s) / (1 - s) + 0.5 * n**-s
    assert float(modes.signal.sum()) == pytest.approx(want, rel=1e-10)
    assert float(modes.drive.sum()) == pytest.approx(zeta_3, rel=1e-10)
    assert float(modes.multiplicity.sum()) == pytest.approx(1e12, rel=1e-12)


def test_the_limit_of_many_modes_is_approached_from_below():
    """Each thousandfold of dimension adds less: 10^6, 10^9, 10^12 at the same schedule."""
    lr = wsd(1000, peak=0.2, cooldown=0.2)
    totals = [float(sl.exact(LR.power_law(10**n, 1.5, 1.3, 0.1).compress(), methods.sgd(lr)).total()[-1])
              for n in (6, 9, 12)]  # fmt: skip
    steps = np.diff(totals)
    assert np.all(steps > 0.0)
    # The tail beyond n carries n^-0.3 of the signal: a thousandfold leaves 1000^-0.3.
    assert steps[1] / steps[0] == pytest.approx(1000**-0.3, rel=1e-2)


# -- real features ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    """The digits of scikit-learn lifted to 2,000 random ReLU features, as a problem with one kurtosis."""
    data = pytest.importorskip("sklearn.datasets").load_digits()
    X = data.data / 16.0
    rng = np.random.default_rng(0)
    lifted = np.maximum(X @ rng.standard_normal((64, 2000)) / 8.0, 0.0) / np.sqrt(2000)
    measured = LR.from_data(lifted, (data.target % 2) * 2.0 - 1.0)
    return LR(measured.eigenvalues, measured.initial_error, measured.noise_variance)


@pytest.mark.thorough
@pytest.mark.parametrize("tolerance", [1e-10, 1e-6])
@pytest.mark.parametrize("run", ["sgd", "ema", "heavy_ball"])
def test_digits(digits, run, tolerance):
    make, needs_method = RUNS[run]
    method = make(schedule(digits, 3000))
    compressed = digits.compress(tolerance, subspaces=BINS, method=method if needs_method else None)
    assert compressed.modes().eigenvalues.size < 0.5 * digits.modes().eigenvalues.size
    assert worst_error(digits, compressed, method, BINS) < tolerance


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_kurtosis_per_coordinate_is_refused():
    with pytest.raises(sl.InputError, match="kurtosis differs between coordinates"):
        LR([1.0, 0.5], 1.0, 0.1, kurtosis=[1.0, 3.0]).compress()


def test_effective_needs_the_method():
    with pytest.raises(sl.InputError, match=r"effective\(\) depends on the schedule; give compress\(method"):
        LR.power_law(100, 1.5, 1.2).compress(subspaces="effective")


@pytest.mark.parametrize("tolerance", [0.0, -1e-10, 1e-15, 0.5, np.nan])
def test_tolerances_out_of_reach_are_refused(tolerance):
    with pytest.raises(sl.InputError, match="tolerance"):
        LR.power_law(100, 1.5, 1.2).compress(tolerance)


def test_a_partition_that_cuts_a_node_is_refused():
    compressed = LR.power_law(10_000, 1.5, 1.2, 0.1).compress()
    with pytest.raises(sl.InputError, match=r"cuts through .* compress the original with"):
        sl.exact(compressed, methods.sgd(wsd(10, peak=0.1)), subspaces=sl.subspaces.head_tail(777))


def test_modes_that_do_not_fit_are_refused_with_the_way_out():
    with pytest.raises(sl.InputError, match=r"call problem\.compress\(\)"):
        _ = LR.power_law(10**12, 1.5, 1.2).eigenvalues


@pytest.mark.parametrize("tolerance", [1e-4, 1e-8, 1e-12])
def test_what_compression_promises_of_a_subspace_that_dies_out(tolerance):
    """Oscillating modes that decay to nothing: right relative to themselves, below 1e-12 of the start to that much."""
    problem = sl.LinearRegression.power_law(dim=3000, capacity=1.1, source=1.3, noise_variance=0.0)
    method = sl.methods.heavy_ball(sl.schedules.constant(600, 3.0), 0.9, batch=np.inf)
    given = {"record": 60, "subspaces": "log_bins(5)", "progress": False}
    small = problem.compress(tolerance, subspaces="log_bins(5)", method=method)
    full, few = (sl.exact(each, method, **given).risk.sel(component="bias") for each in (problem, small))
    allowed = tolerance * np.maximum(full, 1e-12 * full.max("step"))
    assert few.sizes["subspace"] == 5
    assert float((full.isel(step=-1) / full.max("step")).min()) < 1e-20
    assert bool((abs(few - full) <= allowed + 4e-13 * full).all())
