"""The river of any landscape: against closed forms, projection, the eigengap, and where it is not found."""

from __future__ import annotations

import numpy as np
import pytest

from simlab import InputError, methods, river, schedules
from simlab.engines.descend import descend
from simlab.engines.limits import gradient_flow
from simlab.landscapes.river.find import river as find


def misalignment(curve, nodes):
    """|(I - v v^T) grad L| at some nodes, from scratch."""
    landscape, out = curve.landscape, []
    for w in curve.points[nodes]:
        v = np.linalg.eigh(landscape.hessian(w))[1][:, 0]
        g = landscape.slope(w)
        out.append(np.linalg.norm(g - v * (v @ g)))
    return np.array(out)


def test_the_straight_river_is_the_axis():
    valley = river.straight_landscape([1.0, 3.0], slope=0.1, start=[0.0, 0.5, -0.2])
    curve = find(valley, length=5.0, points=51)
    np.testing.assert_allclose(curve.points, np.outer(np.linspace(0.0, 5.0, 51), [1.0, 0.0, 0.0]), atol=1e-14)
    np.testing.assert_allclose(curve.arc, np.linspace(0.0, 5.0, 51), atol=1e-13)
    np.testing.assert_allclose(curve.loss, -0.1 * curve.arc, atol=1e-14)
    np.testing.assert_allclose(curve.gap, 1.0)
    assert curve.ended == "length"


def test_a_quadratic_river_ends_at_its_minimum():
    valley = river.straight_landscape([1.0, 3.0], mu=0.1, target=5.0, start=[0.0, 0.5, -0.2])
    curve = find(valley, length=50.0, points=501)
    assert curve.ended == "minimum"
    np.testing.assert_allclose(curve.points[-1], [5.0, 0.0, 0.0], atol=0.11)
    np.testing.assert_allclose(curve.points[:, 1:], 0.0, atol=1e-13)


@pytest.mark.parametrize("slope", [0.1, 0.01, 0.001])
def test_the_curved_river_at_small_slope(slope):
    """y - a sin kx = -(s / lam) t / (1 + t^2) + O(s^2), t = a k cos kx (derived: grad L parallel to (1, t))."""
    valley = river.curved(mu=0.0, slope=slope, start=[0.3, 0.6])
    curve = find(valley, length=12.0, upstream=1.0)
    x, y = curve.points.T
    t = 0.5 * np.cos(0.5 * x)
    expected = -(slope / 10.0) * t / (1.0 + t**2)
    assert np.abs(y - np.sin(0.5 * x) - expected).max() < 0.02 * slope**2
    assert np.abs(expected).max() > 0.03 * slope
    assert misalignment(curve, slice(0, 200, 25)).max() < 1e-10
    assert curve.gap.min() == pytest.approx(10.0, abs=0.01)
    assert curve.arc[0] == pytest.approx(-1.0, abs=0.01)


def test_the_hyperbolic_river():
    """w1 w2 - 1 = p w2 / (w1^2 + w2^2) + O(p^2), p = 1 / (1 + exp(w1)), the slope of the river (derived as above)."""
    curve = find(river.hyperbolic(), length=12.0)
    w1, w2 = curve.points.T
    p = 1.0 / (1.0 + np.exp(w1))
    first = p * w2 / (w1**2 + w2**2)
    assert np.all(np.abs(w1 * w2 - 1.0 - first) <= 1.0 * p**2 + 1e-11)
    assert misalignment(curve, slice(0, 200, 25)).max() < 1e-9
    assert abs(w1[-1] * w2[-1] - 1.0) < 1e-6
    assert w1[-1] > 12.0
    assert np.all(np.diff(curve.loss) < 0.0)


@pytest.mark.parametrize("make", [river.narrowing, river.widening])
def test_where_hills_change_the_river_stays_on_the_floor(make):
    valley = make(slope=0.1, start=[0.0, 0.1])
    curve = find(valley, length=12.0)
    np.testing.assert_allclose(curve.points[:, 1], 0.0, atol=1e-12)
    steeper = curve.gap[-1] > curve.gap[0]
    assert steeper == (make is river.narrowing)


@pytest.mark.thorough
def test_among_hills_it_is_the_same_river_turned():
    inner = river.curved(mu=0.0, slope=0.1, start=[0.3, 0.6])
    turned = river.embedded(inner, np.linspace(2.0, 30.0, 30), seed=1)
    u = turned.own_coordinates(find(turned, length=5.0).points)
    np.testing.assert_allclose(u[:, :2], find(inner, length=5.0).points, atol=1e-9)
    np.testing.assert_allclose(u[:, 2:], 0.0, atol=1e-12)


def bent(w, params):
    return -params[0] * w[0] + 0.5 * params[1] * (w[1] - np.sin(0.5 * w[0])) ** 2


def bent_gradient(w, params, out):
    steep = params[1] * (w[1] - np.sin(0.5 * w[0]))
    out[0] = -params[0] - 0.5 * steep * np.cos(0.5 * w[0])
    out[1] = steep


@pytest.mark.thorough
def test_without_a_hessian_it_is_found_by_differences():
    own = river.custom(bent, bent_gradient, 2, start=[0.3, 0.6], params=[0.1, 10.0])
    curve, known = find(own, length=5.0), find(river.curved(mu=0.0, slope=0.1, start=[0.3, 0.6]), length=5.0)
    np.testing.assert_allclose(curve.points, known.points, atol=1e-6)


# -- projection --------------------------------------------------------------------------------------------------------


def test_points_are_projected_along_the_hills():
    """w = r(s) + sum_i c_i e_i(s), e_i the hills' eigenvectors: s comes back, and so do the losses."""
    valley = river.embedded(river.curved(mu=0.0, slope=0.1), [3.0, 20.0], seed=2)
    curve = find(valley, length=8.0, points=401)
    rng = np.random.default_rng(0)
    node = rng.integers(20, 380, 500)
    height = 0.1 * rng.standard_normal((500, 3))
    w = curve.points[node] + np.einsum("njk,nk->nj", curve.eigenvectors[node][:, :, 1:], height)
    split = curve.split(w)
    np.testing.assert_allclose(split.coordinate, curve.arc[node], atol=1e-9)
    np.testing.assert_allclose(split.river_loss, curve.loss[node], atol=1e-9)
    np.testing.assert_allclose(split.hills, height, atol=1e-8)


def test_a_straight_river_projects_exactly_and_goes_on_beyond_its_ends():
    valley = river.straight_landscape([1.0, 3.0], slope=0.1)
    curve = find(valley, length=5.0, points=11)
    w = np.random.default_rng(0).uniform(-3.0, 9.0, (200, 3))
    split = curve.split(w)
    np.testing.assert_allclose(split.coordinate, w[:, 0], atol=1e-12)
    np.testing.assert_allclose(split.river_loss, -0.1 * w[:, 0], atol=1e-12)
    np.testing.assert_allclose(np.sort(np.abs(split.hills)), np.sort(np.abs(w[:, 1:])), atol=1e-12)


def test_a_run_is_split_by_a_river_that_was_found():
    """River + hill = loss at every record; the hill loss is that of the closed form but for terms of order slope."""
    valley = river.curved(mu=0.0, slope=0.05)
    curve = find(valley, length=20.0, upstream=5.0, points=401)
    run = {"replicas": 500, "noise": river.noise.isotropic(0.3), "record": [500, 1000], "paths": True}
    method = methods.sgd(schedules.constant(1000, 0.05))
    found, known = descend(valley, method, river=curve, **run), descend(valley, method, **run)
    each = found["replica_total"].values
    parts = found["replica_river_loss"].values + found["replica_hill_loss"].values
    np.testing.assert_allclose(parts, each, rtol=0.0, atol=1e-15)
    np.testing.assert_array_equal(each, known["replica_total"].values)
    pair = [t["hill_loss"].values[1:] for t in (found, known)]
    np.testing.assert_allclose(pair[0], pair[1], rtol=0.05)
    # The distance made along the river is longer than that in x, where it is not straight.
    ahead = found["river"].values[-1] - found["river"].values[0]
    assert 1.0 < ahead / known["river"].values[-1] < 1.25


def test_gradient_flow_runs_into_the_river_and_stays():
    valley = river.curved(mu=0.0, slope=0.1, start=[0.3, 0.6])
    curve = find(valley, length=6.0)
    flow = gradient_flow(valley, np.linspace(0.0, 30.0, 31), river=curve)
    away = np.abs(curve.split(flow["iterate"].values).hills).max(axis=1)
    assert away[0] > 0.3
    assert away[2:].max() < 2e-3
    assert np.all(np.diff(flow["coordinate"]) > 0.0)


# -- not found ---------------------------------------------------------------------------------------------------------


def test_a_gap_that_closes_is_refused():
    valley = river.narrowing([1.0], [0.3], slope=0.0, mu=0.6, target=20.0)
    with pytest.raises(InputError, match=r"eigen|lost at w = \("):
        find(valley, length=15.0)


def test_no_gap_at_the_start_is_refused():
    with pytest.raises(InputError, match=r"river ends at w = \(0, 0, .*eigengap closes there .*shorten the length"):
        find(river.bigram([1.0, 0.0]).landscape)


def peak(w, params):
    return np.sin(3.0 * w[0]) * np.sin(3.0 * w[1]) + 0.3 * w[0]


def peak_gradient(w, params, out):
    out[0] = 3.0 * np.cos(3.0 * w[0]) * np.sin(3.0 * w[1]) + 0.3
    out[1] = 3.0 * np.sin(3.0 * w[0]) * np.cos(3.0 * w[1])


@pytest.mark.thorough
def test_where_there_is_no_valley_one_sentence_says_so():
    egg_box = river.custom(peak, peak_gradient, 2, start=[0.3, 0.9])
    with pytest.raises(
        InputError, match=r"^river not found near start = \(0\.3, 0\.9\) .*; give a start nearer to the floor"
    ):
        find(egg_box, length=20.0)
    with pytest.raises(InputError, match=r"^river ends at w = .*eigengap closes"):
        find(egg_box, start=[0.52, 0.52], length=20.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"length": 0.0}, "length = 0.0"),
        ({"points": 2}, "points = 2"),
        ({"upstream": -1.0}, "upstream = -1.0"),
        ({"start": [1.0]}, "start has 1 entries"),
    ],
)
def test_bad_input_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        find(river.curved(slope=0.1), **change)
