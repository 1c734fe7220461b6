"""Problems: the formulas of the builders, random features and measured data against direct constructions."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods
from simlab.problems import DiagonalProblem
from simlab.schedules import constant

LR = sl.LinearRegression
INDEX = np.arange(1.0, 101.0)

# name -> (problem, eigenvalues, lam * error^2), each formula written out again.
BUILT = {
    "power_law": (LR.power_law(100, 1.5, 1.2), INDEX**-1.5, INDEX**-1.2),
    "power_law, flat": (LR.power_law(100, 0.0, -0.5), np.ones(100), INDEX**0.5),
    "exponential": (LR.exponential(100, 0.2, initial_error=3.0), np.exp(-0.2 * (INDEX - 1)), None),
    "exponential, source": (LR.exponential(100, 0.2, source=1.3), np.exp(-0.2 * (INDEX - 1)), INDEX**-1.3),
    "logarithmic": (LR.logarithmic(100), 1.0 / (INDEX * np.log(INDEX + 1) ** 2), None),
    "logarithmic, power": (LR.logarithmic(100, power=3.5), 1.0 / (INDEX * np.log(INDEX + 1) ** 3.5), None),
    "logarithmic, source": (LR.logarithmic(100, source=1.1), 1.0 / (INDEX * np.log(INDEX + 1) ** 2), INDEX**-1.1),
}


@pytest.mark.parametrize("name", BUILT)
def test_families(name):
    problem, lam, signal = BUILT[name]
    if signal is None:
        signal = lam * (9.0 if name == "exponential" else 1.0)
    np.testing.assert_allclose(problem.eigenvalues, lam, rtol=1e-13)
    np.testing.assert_allclose(problem.eigenvalues * problem.initial_error**2, signal, rtol=1e-13)
    assert problem.dim == 100
    assert problem.modes().signal.shape == (100,)


@pytest.mark.parametrize("name", BUILT)
def test_counting_eigenvalues(name):
    problem, lam, _ = BUILT[name]
    for threshold in (*problem.eigenvalues[[0, 3, 50, 99]], 2.0 * lam[0], 0.999 * lam[-1], 0.5 * (lam[3] + lam[4])):
        assert problem.count_at_least(threshold) == np.count_nonzero(problem.eigenvalues >= threshold)


def test_two_level():
    problem = LR.two_level(3, 17, 50.0, noise_variance=0.2, initial_error=(1.0, 2.0))
    assert problem.dim == 20
    np.testing.assert_array_equal(problem.multiplicity, [3, 17])
    np.testing.assert_allclose(problem.eigenvalues, [1.0, 0.02])
    np.testing.assert_allclose(problem.modes().signal, [3.0, 17 * 0.02 * 4.0])
    assert [problem.count_at_least(x) for x in (1.5, 1.0, 0.5, 0.02, 0.0)] == [0, 3, 3, 20, 20]


def test_isotropic():
    problem = LR.isotropic(40, noise_variance=0.3, eigenvalue=0.5, initial_error=2.0)
    assert (problem.dim, problem.noise_variance) == (40, 0.3)
    assert float(problem.modes().signal.sum()) == pytest.approx(40 * 0.5 * 4.0)


def test_one_hot_sorts_by_eigenvalue_and_keeps_each_coordinate_together():
    p, error, scale = [0.2, 0.5, 0.3], [1.0, 2.0, 3.0], [2.0, 1.0, 1.0]
    problem = LR.one_hot(p, error, 0.1, scale)
    np.testing.assert_allclose(problem.eigenvalues, [0.8, 0.5, 0.3])
    np.testing.assert_allclose(problem.initial_error, [1.0, 2.0, 3.0])
    np.testing.assert_allclose(problem.kurtosis, [5.0, 2.0, 1.0 / 0.3])
    assert problem.modes().coupling == 0.0


def test_initial_risk_is_half_the_signal():
    problem = LR([1.0, 0.5], [2.0, -3.0], 0.1)
    assert float(sl.exact(problem, methods.sgd(constant(1, 0.1))).total()[0]) == 0.5 * (4.0 + 0.5 * 9.0)


def test_problems_cannot_be_changed():
    for array in (BUILT["power_law"][0].eigenvalues, LR([1.0], [1.0], 0.0).initial_error):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 2.0


def test_the_users_arrays_stay_as_they_are():
    lam, error = np.array([0.5, 1.0]), np.array([1.0, 2.0])
    with pytest.warns(UserWarning, match="sorted"):
        LR(lam, error, 0.1)
    np.testing.assert_array_equal(lam, [0.5, 1.0])
    np.testing.assert_array_equal(error, [1.0, 2.0])
    lam[0] = 0.25  # still writable


@pytest.mark.parametrize(
    "problem",
    [
        LR([1.0, 0.5], 1.0, 0.1),
        LR.power_law(10, 1.5, 1.2, 0.1),
        sl.NoisyQuadratic([1.0, 0.5], 1.0, 0.2),
        sl.RandomFeatures(1.0, 0.7, 20, 5, seed=3),
    ],
    ids=lambda p: type(p).__name__,
)
def test_what_engines_rely_on(problem):
    import json

    assert isinstance(problem, DiagonalProblem)
    assert json.loads(json.dumps(problem.describe()))["dim"] == problem.dim
    assert str(problem.dim) in repr(problem)
    modes = problem.modes()
    np.testing.assert_array_equal(modes.stop - modes.start, 1)
    assert modes.stop[-1] == problem.dim


# -- Marchenko-Pastur -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.05, 0.5, 1.0])
def test_marchenko_pastur_moments(ratio):
    """Mean 1, second moment 1 + r, third 1 + 3 r + r^2 (Narayana polynomials), up to the error of 4,000 quantiles."""
    lam = LR.marchenko_pastur(4000, ratio).eigenvalues
    moments = [np.mean(lam**k) for k in (1, 2, 3)]
    np.testing.assert_allclose(moments, [1.0, 1.0 + ratio, 1.0 + 3.0 * ratio + ratio**2], rtol=1e-4)


@pytest.mark.parametrize("ratio", [0.05, 0.5, 1.0])
def test_marchenko_pastur_lies_within_its_edges(ratio):
    lam = LR.marchenko_pastur(500, ratio).eigenvalues
    assert np.all(np.diff(lam) < 0.0)
    assert lam[0] < (1.0 + np.sqrt(ratio)) ** 2
    assert lam[-1] > max((1.0 - np.sqrt(ratio)) ** 2, 0.0)
    assert lam[0] > (1.0 + np.sqrt(ratio)) ** 2 - 0.1


def test_marchenko_pastur_is_the_spectrum_of_white_data():
    """A sample of 1,600 rows and 400 columns: eigenvalues are rigid, so that even a single draw is close."""
    rows = np.random.default_rng(0).standard_normal((1600, 400))
    sampled = np.sort(np.linalg.eigvalsh(rows.T @ rows / 1600))[::-1]
    assert np.max(np.abs(sampled - LR.marchenko_pastur(400, 0.25).eigenvalues)) < 0.03
    assert np.max(np.abs(sampled - LR.marchenko_pastur(400, 0.3).eigenvalues)) > 0.1


# -- random features --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "beta", "ambient", "features"), [(1.0, 0.7, 60, 12), (0.6, 1.2, 40, 40)])
def test_random_features_against_direct_construction(alpha, beta, ambient, features):
    problem = sl.RandomFeatures(alpha, beta, ambient, features, seed=5)
    j = np.arange(1.0, ambient + 1)
    D, target = np.diag(j ** (-2 * alpha)), j**-beta
    W = np.random.default_rng(5).standard_normal((ambient, features)) / np.sqrt(features)
    K = W.T @ D @ W
    np.testing.assert_allclose(problem.eigenvalues, np.sort(np.linalg.eigvalsh(K))[::-1], rtol=1e-6)
    # Least squares by brute force: the risk that is left, and where its minimum lies.
    half = np.sqrt(D)
    best = np.linalg.lstsq(half @ W, half @ target, rcond=None)[0]
    left = half @ (target - W @ best)
    assert problem.irreducible_risk == pytest.approx(0.5 * left @ left, rel=1e-8, abs=1e-20)
    assert problem.noise_variance == 2.0 * problem.irreducible_risk
    # The signal lam_i w*_i^2 by eigenvector, whose sign does not matter.
    lam, V = np.linalg.eigh(K)
    signal = (lam * (V.T @ best) ** 2)[::-1]
    np.testing.assert_allclose(problem.modes().signal, signal, rtol=1e-5, atol=1e-12)


def test_random_features_risk_at_zero_is_the_targets_energy():
    problem = sl.RandomFeatures(0.8, 0.6, 200, 30, seed=1)
    j = np.arange(1.0, 201.0)
    trace = sl.exact(problem, methods.sgd(constant(1, 0.1)))
    got = float(trace.total()[0]) + problem.irreducible_risk
    assert got == pytest.approx(0.5 * float(np.sum(j**-1.6 * j**-1.2)), rel=1e-12)


def test_random_features_are_a_function_of_the_seed():
    a, b, c = (sl.RandomFeatures(1.0, 0.7, 30, 5, seed=s).eigenvalues for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert np.all(a != c)


# -- measured data ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured():
    """120 rows, 7 columns of which one repeats another: rank 6."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((120, 7)) * np.array([3.0, 1.0, 2.0, 0.5, 0.1, 1.0, 1.0]) + 0.3
    X[:, 6] = X[:, 1]
    return X, X @ rng.standard_normal(7) + rng.laplace(size=120) + 1.0


def test_from_data_gaussian(measured):
    X, y = measured
    problem = LR.from_data(X, y)
    lam, V = np.linalg.eigh(X.T @ X / 120)
    lam, V = lam[::-1][:6], V[:, ::-1][:, :6]
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    assert problem.dim == 6
    np.testing.assert_allclose(problem.eigenvalues, lam, rtol=1e-10)
    np.testing.assert_allclose(problem.initial_error**2, (V.T @ best) ** 2, rtol=1e-8)
    assert problem.noise_variance == pytest.approx(np.mean((y - X @ best) ** 2), rel=1e-12)
    np.testing.assert_allclose(problem.kurtosis, np.mean((X @ V) ** 4, axis=0) / lam**2, rtol=1e-8)


def test_test_loss_at_the_start_is_the_mean_square_of_the_targets(measured):
    """Risk + sigma^2 / 2 = 1/2 mean y^2 for w_0 = 0: nothing was centred or lost."""
    X, y = measured
    problem = LR.from_data(X, y)
    risk = float(sl.exact(problem, methods.sgd(constant(1, 0.1))).total()[0])
    assert risk + 0.5 * problem.noise_variance == pytest.approx(0.5 * np.mean(y**2), rel=1e-12)


def test_from_data_drops_what_is_below_the_tolerance(measured):
    X, y = measured
    lam = LR.from_data(X, y).eigenvalues
    with pytest.warns(
        UserWarning, match=r"2 of 7 directions of X were dropped, below rank_tolerance; .* % of the mean"
    ):
        kept = LR.from_data(X, y, rank_tolerance=0.5 * (lam[-1] + lam[-2]) / lam[0])
    np.testing.assert_array_equal(kept.eigenvalues, lam[:-1])


@pytest.mark.parametrize("moments", ["gaussian", "empirical"])
def test_from_data_keeps_the_small_directions_that_least_squares_keeps(moments):
    """One column in units of a millionth, and no noise at all: nothing is dropped, and nothing is left for noise."""
    X = np.array([[1, 1e-6], [1, -1e-6], [-1, 1e-6], [-1, -1e-6]])
    y = X @ [1.0, 1e6]
    problem = LR.from_data(X, y, moments)
    assert problem.dim == np.linalg.matrix_rank(X) == 2
    assert problem.noise_variance == 0.0
    assert 0.5 * problem.eigenvalues @ problem.initial_error**2 == pytest.approx(0.5 * np.mean(y**2), rel=1e-12)


def test_a_column_too_small_for_least_squares_is_named():
    X = np.array([[1, 1e-20], [1, -1e-20], [-1, 1e-20], [-1, -1e-20]])
    with pytest.warns(UserWarning, match=r"1 of 2 directions .* column 1 is too small beside the others; 50 % of the"):
        problem = LR.from_data(X, X @ [1.0, 1e20])
    assert problem.dim == 1


def test_gaussian_moments_are_exact_for_a_full_gradient(measured):
    """Without sampling the moments do not matter: gradient descent on the rows themselves."""
    X, y = measured
    w, losses = np.zeros(7), []
    for _ in range(30):
        losses.append(0.5 * np.mean((X @ w - y) ** 2))
        w -= 0.05 * X.T @ (X @ w - y) / 120
    problem = LR.from_data(X, y)
    trace = sl.exact(problem, methods.sgd(constant(29, 0.05), np.inf), record="all")
    np.testing.assert_allclose(trace.total().values + 0.5 * problem.noise_variance, losses, rtol=1e-11)


def test_real_measurements_are_a_problem(shared_data):
    """The Hessian density of a ResNet: positive eigenvalues weighted by their density."""
    table = np.loadtxt(shared_data / "hessian_spectra" / "resnet-18_cifar10.txt", delimiter=None)
    lam, density = table[:, 0], table[:, 1]
    kept = (lam > 1e-3 * lam.max()) & (density > 0.0)
    order = np.argsort(-lam[kept])
    lam, weight = lam[kept][order], density[kept][order]
    problem = LR(lam / lam[0], 1.0, 0.1, multiplicity=weight / weight.min())
    trace = sl.exact(problem, methods.sgd(constant(1000, 1e-8)))
    assert trace.status.item() == "done"
    assert float(trace.total()[-1]) < float(trace.total()[0])
