"""Searches in a few parameters: over an edge, along a bent valley, at the ends of the box, in whole steps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simlab.optimal.descent import certified
from simlab.optimal.trust import Region, along, best_of, least_within, updated


class Counted:
    """A function of x with its gradient, inf and no gradient beyond an edge of the first coordinate."""

    def __init__(self, function, slope, edge=math.inf):
        self.function, self.slope, self.edge = function, slope, edge
        self.values = self.gradients = 0

    def value(self, x):
        self.values += 1
        return float(self.function(x)) if x[0] < self.edge else math.inf

    def gradient(self, x):
        self.gradients += 1
        return (float(self.function(x)), self.slope(x)) if x[0] < self.edge else (math.inf, np.zeros(x.size))


def region(counted, low, high, grain=0.0):
    low, high = np.array(low, float), np.array(high, float)
    ones = np.ones(low.size)
    return Region(
        counted.value, counted.gradient, low, high, ones, np.broadcast_to(grain, low.shape) * ones, 0.05 * ones
    )


def bent(x):
    """Rosenbrock's valley, its least value 0 at (1, 1)."""
    return 10.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2


def bent_slope(x):
    fall = x[1] - x[0] ** 2
    return np.array([-40.0 * x[0] * fall - 2.0 * (1.0 - x[0]), 20.0 * fall])


def test_a_bent_valley_is_followed_to_its_end():
    counted = Counted(bent, bent_slope)
    found = region(counted, [-3.0, -3.0], [3.0, 3.0]).descend(np.array([-1.2, 1.0]), 60)
    np.testing.assert_allclose(found.x, 1.0, atol=1e-4)
    assert counted.gradients <= 40


def test_just_below_an_edge_few_gradients_do():
    """A minimum 0.01 below a wall of divergence, as that of log J in a peak."""

    def function(x):
        return -0.2 * x[0] + math.exp(40.0 * (x[0] + 0.1)) + (x[1] - 0.3) ** 2

    def slope(x):
        return np.array([-0.2 + 40.0 * math.exp(40.0 * (x[0] + 0.1)), 2.0 * (x[1] - 0.3)])

    least = math.log(0.2 / 40.0) / 40.0 - 0.1
    counted = Counted(function, slope, edge=least + 0.01)
    found = region(counted, [-5.0, 0.0], [5.0, 1.0]).descend(np.array([-0.8, 0.9]), 60)
    np.testing.assert_allclose(found.x, [least, 0.3], atol=2e-4)
    assert counted.gradients <= 20


def test_ends_of_the_box_hold_what_leans_on_them():
    counted = Counted(bent, bent_slope)
    found = region(counted, [-3.0, -3.0], [0.5, 3.0]).descend(np.array([-1.0, 2.0]), 60)
    np.testing.assert_allclose(found.x, [0.5, 0.25], atol=1e-4)
    assert found.x[0] == 0.5


@pytest.mark.parametrize("grain", [0.25, 0.07, 0.01])
def test_whole_steps_are_kept_and_none_beside_them_is_better(grain):
    counted = Counted(bent, bent_slope)
    where = region(counted, [-3.0, -3.0], [3.0, 3.0], [grain, 0.0])
    found = where.descend(np.array([-0.9, 0.4]), 80)
    assert found.x[0] / grain == pytest.approx(round(found.x[0] / grain), abs=1e-9)
    for side in (-grain, 0.0, grain):  # the best of the other coordinate on each line is its bottom
        first = found.x[0] + side
        assert bent([first, first**2]) >= found.value - 1e-8


def test_the_step_is_the_least_within_its_length():
    rng = np.random.default_rng(3)
    for _ in range(30):
        half = rng.normal(size=(3, 3))
        curved, slope, units = half + half.T, rng.normal(size=3), np.exp(rng.normal(size=3))
        step = least_within(curved, slope, units, 0.7)
        assert np.linalg.norm(step / units) <= 0.7 * (1.0 + 1e-2)
        value = slope @ step + 0.5 * step @ curved @ step
        others = rng.normal(size=(3, 4000))
        others *= units[:, None] * 0.7 * rng.uniform(size=4000) ** (1 / 3) / np.linalg.norm(others, axis=0)
        rivals = slope @ others + 0.5 * np.einsum("in,ij,jn->n", others, curved, others)
        assert rivals.min() >= value - 1e-2 * abs(value)


def test_rank_one_updates_learn_a_quadratic():
    rng = np.random.default_rng(5)
    half = rng.normal(size=(4, 4))
    true, known = half + half.T, np.zeros((4, 4))
    for _ in range(4):
        move = rng.normal(size=4)
        known = updated(known, move, true @ move)
    np.testing.assert_allclose(known, true, atol=1e-9)
    np.testing.assert_array_equal(updated(known, np.zeros(4), np.zeros(4)), known)


def test_a_line_of_starts_is_searched_between_its_points():
    best, x = along(lambda x: abs(x[0] - 0.8), [np.array([float(each)]) for each in (3, 2, 1, 0)])
    assert best < 0.1
    assert abs(x[0] - 0.8) == best
    assert along(lambda x: math.inf, [np.zeros(1)])[0] == math.inf
    best, x = along(lambda x: x[0] if x[0] > 0.9 else math.inf, [np.array([float(each)]) for each in (3, 2, 1, 0)])
    assert best <= 1.0


def test_two_starts_are_followed_and_the_lower_wins():
    """Two wells: the start that begins lower ends higher."""

    def function(x):
        return -math.exp(-8.0 * (x[0] + 1.0) ** 2) - 2.0 * math.exp(-2.0 * (x[0] - 1.0) ** 2)

    def slope(x):
        return np.array(
            [
                16.0 * (x[0] + 1.0) * math.exp(-8.0 * (x[0] + 1.0) ** 2)
                + 8.0 * (x[0] - 1.0) * math.exp(-2.0 * (x[0] - 1.0) ** 2)
            ]
        )

    counted = Counted(function, slope)
    where = region(counted, [-3.0], [3.0])
    found = best_of(where, [[np.array([-1.05])], [np.array([1.8])]], 40)
    assert found.x[0] == pytest.approx(1.0, abs=1e-3)
    nowhere = Counted(function, slope, edge=-10.0)
    assert best_of(region(nowhere, [-3.0], [3.0]), [[np.zeros(1)], [np.ones(1)]], 40) is None


def test_a_certificate_tells_what_all_and_what_one_alone_could_bring():
    """Of a parabola in five numbers, two of which pull against each other."""
    rng = np.random.default_rng(2)
    root, slope = rng.normal(size=(5, 5)), rng.normal(size=5)
    curved = root @ root.T + 0.1 * np.eye(5)
    found = certified(slope, np.linalg.inv(curved))
    move = np.linspace(-3.0, 3.0, 6001)
    alone = [-(slope[j] * move + 0.5 * curved[j, j] * move**2).min() for j in range(5)]
    assert found.single == pytest.approx(max(alone), rel=1e-5)
    best = np.linalg.solve(curved, -slope)
    assert found.gain == pytest.approx(-(slope @ best + 0.5 * best @ curved @ best), rel=1e-9)
    assert found.single <= found.gain == pytest.approx(0.5 * found.gradient**2, rel=1e-12)
    saddle = certified(np.ones(2), np.diag([1.0, -1.0]))
    assert saddle == (math.inf, math.inf, math.inf)
    assert certified(np.array([1.0, 0.0]), np.diag([0.5, 0.0])).single == pytest.approx(0.25)
