"""simlab's one-hot problems, radii of second-moment operators, a search for the best."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import simlab as sl
from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.momentum import matrices
from simlab.conformance.draws.regression import risks, sgd
from simlab.theory import Risk
from simlab.theory.two_state import TwoState


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


def _one_hot(given: Arguments) -> Risk:
    p = 1.0 / given["kurtosis"]
    scale = np.sqrt(given["eigenvalues"] / p)
    problem = sl.LinearRegression.one_hot(p, given["initial_error"], given["noise_variance"], scale)
    steps = list(given["steps"])
    return Risk(*risks(problem, sgd(given["lr"], steps[-1], given["batch"]), steps))


def _draw_instance(rng: np.random.Generator) -> Arguments:
    sigma = rng.uniform(0.5, 2.0)
    return {
        "sigma_1": sigma,
        "sigma_2": sigma * 10.0 ** -rng.uniform(0.0, 2.0),
        "c": 2.0 * 10.0 ** rng.uniform(0.0, 1.0),
    }


def _draw_upper(rng: np.random.Generator) -> Arguments:
    return {**_draw_instance(rng), "initial_error": rng.normal(size=2), "steps": np.array([0, 1, 10, 100, 2000])}


def _instance(given: Arguments) -> Any:
    """Two coordinates that come with probability 1/c each have the instance's second and fourth moments."""
    c, sigma = given["c"], np.array([given["sigma_1"], given["sigma_2"]])
    problem = sl.LinearRegression.one_hot(np.full(2, 1.0 / c), given["initial_error"], 0.0, sigma * np.sqrt(c))
    steps = list(given["steps"])
    bias, _ = risks(problem, sgd(1.0 / (c * sigma[0] ** 2), steps[-1]), steps)
    return {"head": bias[:, 0], "tail": bias[:, 1]}


def _draw_heavy_ball(rng: np.random.Generator) -> Arguments:
    given = _draw_instance(rng)
    momentum = 1.0 - 10.0 ** -rng.uniform(0.0, 4.0)
    top = 2.0 / ((given["c"] - 1.0) + (1.0 - momentum) / (1.0 + momentum))
    lr = rng.uniform(0.0, 1.2) * top * (1.0 - momentum) / given["sigma_1"] ** 2
    return {**given, "lr": lr, "momentum": momentum}


def _radius(given: Arguments) -> float:
    lam = np.array([given["sigma_1"], given["sigma_2"]]) ** 2
    return radius(TwoState.polyak(given["lr"], given["momentum"]), lam, given["c"])


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


def _exponent(given: Arguments) -> Any:
    """Slope of log(1/rate) between condition numbers 4 ratio, ratio = 2^9 and 2^12."""
    ratios = 2.0 ** np.array([9.0, 12.0])
    rates = [best_rate(given["method"], ratio) for ratio in ratios]
    return {"bias": np.log(rates[0] / rates[1]) / np.log(ratios[1] / ratios[0])}


FLAT = {"eigenvalues": np.ones(1), "initial_error": 1.0, "kurtosis": 2.0, "lr": 1.0, "batch": 1.0}
TWO: Arguments = {"sigma_1": 1.0, "sigma_2": 0.1, "c": 3.0}
INSTANCE: list[Arguments] = [{**TWO, "sigma_2": 1.01}, {"sigma_2": 0.0}, {"c": 1.99}]
HEAVY_BALL: list[Arguments] = [*INSTANCE, {"lr": -1e-9}, {"momentum": 1.0}]
CHECKS = [
    Check(
        "one_hot_sgd", _draw_sgd, _one_hot, [{"lr": 0.0}, {"batch": 0.5}, {"noise_variance": -1e-9}, FLAT], rtol=1e-10
    ),
    Check(
        "kidambi_sgd_upper",
        _draw_upper,
        _instance,
        [*INSTANCE, {"steps": -1}],
        says=lambda risk, given: {"head": risk.bias[:, 0], "tail": risk.bias[:, 1]},
        rtol=1e-12,
    ),
    Check("kidambi_heavy_ball_rate_lower", _draw_heavy_ball, _radius, HEAVY_BALL),
    Check("kidambi_heavy_ball_rate_sharp", _draw_heavy_ball, _radius, HEAVY_BALL),
    Check(
        "condition_exponent",
        lambda rng: {"method": str(rng.choice(["sgd", "heavy_ball", "asgd"]))},
        _exponent,
        [{"method": "adam"}],
        rtol=0.1,
        cost=0.6,
    ),
]
