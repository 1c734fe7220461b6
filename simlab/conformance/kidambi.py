"""Checks of theory.kidambi: simlab's one-hot problems, radii of second-moment operators, a search for the best."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

import simlab as sl
from simlab.conformance._two_state import constant, matrices, mode_risks
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.theory import kidambi as t
from simlab.theory.two_state import TwoState

FloatArray = npt.NDArray[np.float64]


def radius(method: TwoState, lam: FloatArray, kurtosis: float) -> float:
    """Of P -> A P A^T + (kurtosis - 1) lam^2 (c^T P c) b b^T, the largest over the modes of one-hot data."""
    M, b, c = matrices(method)
    A = M[None] - lam[:, None, None] * np.outer(b, c)[None]
    own = np.outer(np.kron(b, b), np.kron(c, c))[None] * ((kurtosis - 1.0) * lam**2)[:, None, None]
    operator = np.einsum("nij,nkl->nikjl", A, A).reshape(-1, 4, 4) + own
    return float(np.abs(np.linalg.eigvals(operator)).max())


def _draw_sgd(rng: np.random.Generator) -> Arguments:
    d = int(rng.integers(1, 12))
    p = np.sort(rng.dirichlet(np.ones(d)) * rng.uniform(0.5, 1.0))[::-1]
    lam = p * np.sort(rng.uniform(0.5, 2.0, size=d))[::-1] ** 2
    return {
        "eigenvalues": lam,
        "initial_error": rng.normal(size=d),
        "noise_variance": rng.uniform(0.0, 1.0),
        "kurtosis": 1.0 / p,
        "lr": rng.uniform(0.01, 1.0) / (lam / p).max(),
        "steps": np.array([0, 1, 2, 10, 100, 700]),
        "batch": float(rng.choice([1.0, 4.0])),
    }


def _compare_sgd(given: Arguments) -> Comparison:
    p = 1.0 / given["kurtosis"]
    scale = np.sqrt(given["eigenvalues"] / p)
    problem = sl.LinearRegression.one_hot(p, given["initial_error"], given["noise_variance"], scale)
    steps = list(given["steps"])
    bias, variance = mode_risks(problem, sl.methods.sgd(constant(steps[-1], given["lr"]), given["batch"]), steps)
    stated = t.one_hot_sgd(**given)
    return Comparison({"bias": stated.bias, "variance": stated.variance}, {"bias": bias, "variance": variance})


def _outside_sgd(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_sgd(rng)
    flat = {**given, "eigenvalues": np.ones(1), "initial_error": 1.0, "kurtosis": 2.0, "lr": 1.0, "batch": 1.0}
    return [{**given, "lr": 0.0}, {**given, "batch": 0.5}, {**given, "noise_variance": -1e-9}, flat]


def _draw_instance(rng: np.random.Generator) -> Arguments:
    sigma = rng.uniform(0.5, 2.0)
    return {
        "sigma_1": sigma,
        "sigma_2": sigma * 10.0 ** -rng.uniform(0.0, 2.0),
        "c": 2.0 * 10.0 ** rng.uniform(0.0, 1.0),
    }


def _draw_upper(rng: np.random.Generator) -> Arguments:
    return {**_draw_instance(rng), "initial_error": rng.normal(size=2), "steps": np.array([0, 1, 10, 100, 2000])}


def _compare_upper(given: Arguments) -> Comparison:
    """Two coordinates that come with probability 1/c each have the instance's second and fourth moments."""
    c, sigma = given["c"], np.array([given["sigma_1"], given["sigma_2"]])
    problem = sl.LinearRegression.one_hot(np.full(2, 1.0 / c), given["initial_error"], 0.0, sigma * np.sqrt(c))
    steps = list(given["steps"])
    bias, _ = mode_risks(problem, sl.methods.sgd(constant(steps[-1], 1.0 / (c * sigma[0] ** 2))), steps)
    stated = t.kidambi_sgd_upper(**given).bias
    return Comparison({"head": stated[:, 0], "tail": stated[:, 1]}, {"head": bias[:, 0], "tail": bias[:, 1]})


def _outside_instance(rng: np.random.Generator, **more: object) -> list[Arguments]:
    given = {"sigma_1": 1.0, "sigma_2": 0.1, "c": 3.0, **more}
    return [{**given, "sigma_2": 1.01}, {**given, "sigma_2": 0.0}, {**given, "c": 1.99}]


def _outside_upper(rng: np.random.Generator) -> list[Arguments]:
    more = {"initial_error": [1.0, 1.0], "steps": 3}
    return [*_outside_instance(rng, **more), {**_draw_upper(rng), "steps": -1}]


def _draw_heavy_ball(rng: np.random.Generator) -> Arguments:
    given = _draw_instance(rng)
    momentum = 1.0 - 10.0 ** -rng.uniform(0.0, 4.0)
    top = 2.0 / ((given["c"] - 1.0) + (1.0 - momentum) / (1.0 + momentum))
    lr = rng.uniform(0.0, 1.2) * top * (1.0 - momentum) / given["sigma_1"] ** 2
    return {**given, "lr": lr, "momentum": momentum}


def _compare_heavy_ball(theorem: Callable[..., float]) -> Callable[[Arguments], Comparison]:
    def compare(given: Arguments) -> Comparison:
        lam = np.array([given["sigma_1"], given["sigma_2"]]) ** 2
        true = radius(TwoState.polyak(given["lr"], given["momentum"]), lam, given["c"])
        return Comparison({"risk": np.array([theorem(**given)])}, {"risk": np.array([true])})

    return compare


def _outside_heavy_ball(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_heavy_ball(rng)
    more = {"lr": 0.1, "momentum": 0.5}
    return [*_outside_instance(rng, **more), {**given, "lr": -1e-9}, {**given, "momentum": 1.0}]


def best_rate(name: str, ratio: float, c: float = 2.0) -> float:
    """log(1/radius) of the best parameters on lam = (1, 1/ratio), by a grid in their logarithms, refined twice."""
    lam = np.array([1.0, 1.0 / ratio])
    make: dict[str, Callable[..., TwoState]] = {
        "sgd": lambda lr: TwoState.sgd(lr),
        "heavy_ball": lambda lr, damping: TwoState.polyak(lr * damping, 1.0 - damping),
        "asgd": lambda delta, gain, beta: TwoState.asgd(delta, delta * gain, beta),
    }
    box = {
        "sgd": [(1e-3, 2.0)],
        "heavy_ball": [(1e-2, 3.0), (1e-4, 1.0)],
        "asgd": [(0.05, 1.0), (1.0, ratio), (1.0 / ratio, 0.99)],
    }[name]
    count = {1: 60, 2: 20, 3: 10}[len(box)]
    best, centre = -np.inf, [0.5 * (np.log(low) + np.log(high)) for low, high in box]
    width = [0.5 * (np.log(high) - np.log(low)) for low, high in box]
    for _ in range(4):
        axes = [np.linspace(m - w, min(m + w, np.log(b[1])), count) for m, w, b in zip(centre, width, box, strict=True)]
        for point in itertools.product(*axes):
            rate = -np.log(max(radius(make[name](*np.exp(point)), lam, c), 1e-300))
            if rate > best:
                best, centre = float(rate), list(point)
        width = [3.0 * w / count for w in width]
    return best


def _compare_exponent(given: Arguments) -> Comparison:
    """Slope of log(1/rate) between condition numbers 4 ratio, ratio = 2^9 and 2^12."""
    ratios = 2.0 ** np.array([9.0, 12.0])
    rates = [best_rate(given["method"], ratio) for ratio in ratios]
    slope = np.log(rates[0] / rates[1]) / np.log(ratios[1] / ratios[0])
    return Comparison({"bias": np.array([t.condition_exponent(**given)])}, {"bias": np.array([slope])})


CHECKS: list[Check] = [
    Check("one_hot_sgd", _draw_sgd, _compare_sgd, _outside_sgd, rtol=1e-10),
    Check("kidambi_sgd_upper", _draw_upper, _compare_upper, _outside_upper, rtol=1e-12),
    Check(
        "kidambi_heavy_ball_rate_lower",
        _draw_heavy_ball,
        _compare_heavy_ball(t.kidambi_heavy_ball_rate_lower),
        _outside_heavy_ball,
        rtol=1e-9,
    ),
    Check(
        "kidambi_heavy_ball_rate_sharp",
        _draw_heavy_ball,
        _compare_heavy_ball(t.kidambi_heavy_ball_rate_sharp),
        _outside_heavy_ball,
        rtol=1e-9,
    ),
    Check(
        "condition_exponent",
        lambda rng: {"method": str(rng.choice(["sgd", "heavy_ball", "asgd"]))},
        _compare_exponent,
        lambda rng: [{"method": "adam"}],
        rtol=0.1,
        cost=0.6,
    ),
]
