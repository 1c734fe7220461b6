"""Noise along the hills turns with the river: covariance of draws, the slow twin, and where no river is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from simlab import InputError, methods, river, schedules
from simlab.engines.descend import descend
from simlab.engines.limits import diffusion
from simlab.landscapes.direction import along_river, runs_straight
from tests.oracles import naive_descent

SIGMA = 0.7
CURVE = {"amplitude": 1.3, "wavenumber": 0.8, "slope": 0.1, "mu": 0.0, "lam": 6.0}

# name -> (landscape, points off its floor in its own coordinates, tangent there in these)
CASES = {
    "straight": (
        lambda: river.straight_landscape([3.0, 1.0], slope=0.2),
        [[0.3, 0.7, -1.0], [4.0, 0.0, 0.2]],
        lambda u: [1.0, 0.0, 0.0],
    ),
    "curved": (
        lambda: river.curved(**CURVE),
        [[0.3, 0.7], [2.0, 0.1], [-5.0, 3.0]],
        lambda u: [1.0, 1.3 * 0.8 * np.cos(0.8 * u[0])],
    ),
    "narrowing": (lambda: river.narrowing(2.0, 9.0), [[4.0, 1.0], [6.0, -0.5]], lambda u: [1.0, 0.0]),
    "hyperbolic": (lambda: river.hyperbolic(), [[2.0, 2.0], [0.5, 1.0]], lambda u: [1.0, -1.0 / u[0] ** 2]),
    "curved, embedded": (
        lambda: river.embedded(river.curved(**CURVE), [5.0, 2.0, 1.0], seed=4),
        [[0.3, 0.7, 0.1, -1.0, 0.3], [3.0, 0.0, 0.0, 0.5, 0.0]],
        lambda u: [1.0, 1.3 * 0.8 * np.cos(0.8 * u[0]), 0.0, 0.0, 0.0],
    ),
    "hyperbolic, embedded": (
        lambda: river.embedded(river.hyperbolic(), [4.0], seed=1),
        [[1.5, 1.0, 0.2]],
        lambda u: [1.0, -1.0 / u[0] ** 2, 0.0],
    ),
    "narrowing, embedded": (
        lambda: river.embedded(river.narrowing(2.0, 9.0), [4.0, 1.0], seed=2),
        [[4.0, 1.0, 0.3, -0.2]],
        lambda u: [1.0, 0.0, 0.0, 0.0],
    ),
}


def case(name):
    """(landscape, points (n, dim), unit tangents (n, dim)), turned where the landscape is."""
    make, own, tangent = CASES[name]
    landscape = make()
    u, t = np.array(own), np.array([tangent(point) for point in own])
    t /= np.linalg.norm(t, axis=1, keepdims=True)
    turn = landscape.rotation if landscape.turned else np.eye(landscape.dim)
    return landscape, u @ turn.T, t @ turn.T


@pytest.mark.parametrize("name", CASES)
def test_the_river_runs_where_its_floor_does(name):
    """The tangent in words above, and by differences of points of the floor: where the hills are 0."""
    landscape, points, tangents = case(name)
    np.testing.assert_allclose(along_river(landscape, points), tangents, rtol=1e-12, atol=1e-14)
    for point, tangent in zip(points, tangents, strict=True):
        # Newton's method onto the floor at the same coordinate, then a step along the tangent: hills stay at 0.
        own = landscape.own_coordinates(point).copy()
        own[2:] = 0.0
        x = own[0]
        floors = {"curved": lambda x: 1.3 * np.sin(0.8 * x), "hyperbolic": lambda x: 1.0 / x}
        own[1] = next((floor(x) for kind, floor in floors.items() if name.startswith(kind)), 0.0)
        floor = landscape.rotation @ own if landscape.turned else own
        assert np.abs(landscape.split(floor[None]).hills).max() < 1e-14
        h = 1e-5
        ahead, behind = (landscape.split((floor + s * h * tangent)[None]).hills for s in (1.0, -1.0))
        assert np.abs(ahead - behind).max() / (2.0 * h) < 1e-8


@pytest.mark.thorough
@pytest.mark.parametrize("name", CASES)
def test_draws_have_the_covariance_of_the_projector(name):
    """One step from a point, with and without noise, R = 40,000: all entries of the covariance by z-scores.

    An entry of a Gaussian sample covariance has variance (C_ii C_jj + C_ij^2) / R. Right noise fails with a probability
    below 2e-6 (|z| > 6, under 1,000 entries in all); a projector off by 0.05 in an entry of 1 has z = 7 and is seen.
    Along the river nothing is drawn at all.
    """
    R, eta = 40_000, 0.01
    landscape, points, tangents = case(name)
    noise = river.noise.along_hills(SIGMA)
    for j, (point, t) in enumerate(zip(points, tangents, strict=True)):
        here = landscape.starting_at(point)
        run = methods.sgd(schedules.constant(1, eta))
        step = descend(here, run, replicas=R, seed=j, noise=noise, paths=True, device="cpu", warn=False)
        drift = point - eta * landscape.slope(point)
        xi = (step["iterate"].values[-1] - drift) / eta
        expected = SIGMA**2 * (np.eye(point.size) - np.outer(t, t))
        np.testing.assert_allclose(noise.covariance(landscape, point), expected, atol=1e-14)
        diagonal = np.diag(expected)
        error = np.sqrt((np.multiply.outer(diagonal, diagonal) + expected**2) / R)
        got = xi.T @ xi / R
        drawn = error > 1e-12
        assert np.abs((got - expected)[drawn] / error[drawn]).max() < 6.0
        assert np.abs((got - expected)[~drawn]).max(initial=0.0) < 1e-12
        assert np.abs(xi @ t).max() < 1e-9
        assert np.abs(xi.mean(axis=0) / np.sqrt(np.maximum(diagonal, 1e-30) / R))[diagonal > 1e-12].max() < 6.0


def test_a_direction_that_stays_is_told_from_one_that_turns():
    """The control: on a bend the lowest eigenvector at the start is not the direction of the river ahead."""
    valley = river.embedded(river.curved(**CURVE), [5.0], seed=4)
    ahead = valley.rotation @ np.array([3.0, 0.0, 0.0])
    fixed = river.noise.along_hills(SIGMA, at=valley.start).covariance(valley, ahead)
    assert np.abs(fixed - river.noise.along_hills(SIGMA).covariance(valley, ahead)).max() > 0.1


@pytest.mark.parametrize("name", CASES)
def test_the_slow_twin_takes_the_same_steps(name):
    landscape, points, _ = case(name)
    landscape = landscape.starting_at(points[0])
    turn = landscape.rotation if landscape.turned else np.eye(landscape.dim)

    def noise(w, xi):
        u = w @ turn
        t = np.array([CASES[name][2](point) for point in u])
        t = (t / np.linalg.norm(t, axis=1, keepdims=True)) @ turn.T
        return SIGMA * (xi - t * np.sum(t * xi, axis=1, keepdims=True))

    method = methods.heavy_ball(schedules.linear(40, 0.03), 0.6, batch=2)
    slow = naive_descent.trajectories(landscape.slope, landscape.start, method, 70, 9, noise)
    options = {"replicas": 70, "seed": 9, "record": "all", "paths": True, "device": "cpu"}
    fast = descend(landscape, method, noise=river.noise.along_hills(SIGMA), **options)["iterate"].values
    np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-11)


def test_it_is_the_same_among_no_more_hills():
    """The fast way on the plain curve and the general one: a valley embedded without a rotation, its hill left at 0."""
    plain = river.curved(**CURVE, start=[0.4, 1.0])
    among = river.embedded(plain, [2.0], rotate=False)
    method = methods.sgd(schedules.constant(30, 0.05))
    options = {"replicas": 64, "noise": river.noise.along_hills(SIGMA), "paths": True, "record": "all", "device": "cpu"}
    one, other = (descend(valley, method, **options)["iterate"].values for valley in (plain, among))
    np.testing.assert_allclose(other[..., :2], one, rtol=1e-12, atol=1e-13)
    assert np.std(other[-1, :, 2]) > 0.05


def test_threads_and_blocks_change_no_bit():
    valley = river.embedded(river.curved(**CURVE), [5.0, 2.0], seed=4)
    method = methods.sgd(schedules.constant(40, 0.02))
    options = {"replicas": 200, "noise": river.noise.along_hills(1.0), "paths": True, "device": "cpu"}
    runs = [descend(valley, method, threads=n, block=b, **options) for n, b in ((1, None), (2, 64))]
    np.testing.assert_array_equal(runs[0]["iterate"].values, runs[1]["iterate"].values)


def test_the_sde_and_noise_that_dies_out_take_it_too():
    valley = river.embedded(river.curved(**CURVE, start=[0.0, 1.0]), [5.0], seed=4)
    dying = river.noise.with_loss(0.5, floor=-1.0, of=river.noise.along_hills(2.0))
    level = 0.25 * (float(valley.value(valley.start)) + 1.0)
    np.testing.assert_allclose(
        dying.covariance(valley), level * river.noise.along_hills(2.0).covariance(valley), rtol=1e-12
    )
    lr = schedules.constant(20, 0.02)
    trace = diffusion(valley, lr, river.noise.along_hills(SIGMA), substeps=4, replicas=64, device="cpu")
    assert np.isfinite(trace["total"].values).all()


def test_where_the_river_is_not_known_it_is_refused():
    bigram = river.bigram([1.0, 0.3]).landscape
    with pytest.raises(
        InputError, match=r"^noise along the hills of bigram.* not known in closed form; give `at`, .*\.$"
    ):
        river.noise.along_hills(1.0).on(bigram)
    # Of a landscape of the user's own, all that is looked at is that it has no code.
    own = SimpleNamespace(code=None, expression="custom")
    with pytest.raises(InputError, match="cannot turn with its river"):
        river.noise.along_hills(1.0).on(own)
    with pytest.raises(InputError, match="cannot turn with its river"):
        runs_straight(own)
    valley = river.curved(amplitude=0.0, mu=0.1, lam=6.0)
    fixed = river.noise.along_hills(2.0, at=[0.0, 0.0])
    np.testing.assert_allclose(fixed.covariance(valley, [5.0, 5.0]), [[0.0, 0.0], [0.0, 4.0]], atol=1e-14)
