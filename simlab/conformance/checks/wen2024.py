"""Straight valleys and noisy quadratics through the exact engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab import methods, schedules
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import constant
from simlab.conformance.draws.valleys import draw_hills, mode_losses, settled, settling_run
from simlab.engines.exact_valley import exact_valley
from simlab.landscapes.straight import StraightValley
from simlab.theory.wen2024 import river_hills_stationary, river_noise_functional

# -- stationary hill loss ----------------------------------------------------------------------------------------------


def _draw_stationary(rng: np.random.Generator) -> Arguments:
    given = draw_hills(rng)
    return {**given, "lr": rng.uniform(0.02, 1.95) / given["hills"][0]}


def _draw_asymptotic(rng: np.random.Generator) -> Arguments:
    given = draw_hills(rng)
    return {**given, "lr": 2.0 ** -np.arange(1.0, 9.0) / given["hills"][0]}


def _draw_upper(rng: np.random.Generator) -> Arguments:
    given = draw_hills(rng, 8.0)
    lam = given["hills"]
    return {**given, "lr": rng.uniform(0.1, 0.999) * lam[-1] / (2.0 * lam[0] ** 2)}


def _settled(given: Arguments) -> Any:
    return {"hills": settled(given, float(given["lr"]))}


def _outside(given: Arguments) -> list[Arguments]:
    return [{"hills": -given["hills"]}, {"noise": -given["noise"]}, {"lr": 0.0 * given["lr"]}]


def _outside_upper(given: Arguments) -> list[Arguments]:
    lam = given["hills"]
    return [*_outside(given), {"lr": 1.0001 * lam[-1] / (2.0 * lam[0] ** 2)}]


# -- river, segment, functional ----------------------------------------------------------------------------------------


def _draw_progress(rng: np.random.Generator) -> Arguments:
    T = int(rng.integers(1, 400))
    lr = rng.uniform(0.0, 1.0, T) if rng.random() < 0.5 else schedules.wsd(T, 0.3, cooldown=0.3).values()
    return {"slope": rng.uniform(0.1, 3.0), "lr": lr, "start": rng.uniform(0.5, 2.0)}


def _progress(given: Arguments) -> Any:
    valley = StraightValley([1.0], slope=given["slope"], river_start=given["start"], river_noise=1.0)
    method = methods.sgd(schedules.from_array(given["lr"]))
    return {"river": exact_valley(valley, method, record="all", threads=1, progress=False)["river"].values}


def _draw_dip(rng: np.random.Generator) -> Arguments:
    given = _draw_stationary(rng)
    v = 2.0 * river_hills_stationary(**given) / given["hills"]
    return {"hills": given["hills"], "variance": v, "position": rng.uniform(0.05, 0.95, 3)}


def _dip(given: Arguments) -> Any:
    """Two runs that share nothing mix to one with u^2 + (1-u)^2 of the noise: the chord minus that is the dip."""
    lam, v, u = given["hills"], given["variance"], given["position"]
    lr = 0.5 / lam[0]
    noise = v * lam * (2.0 - lr * lam) / lr
    method = settling_run(lr, lam)
    ends = mode_losses(lam, noise, method).sum()
    return {"dip": [ends - mode_losses(lam, noise * (p**2 + (1.0 - p) ** 2), method).sum() for p in u]}


def _draw_functional(rng: np.random.Generator) -> Arguments:
    given = draw_hills(rng)
    shape = str(rng.choice(["linear", "cosine", "1-sqrt", "square"]))
    whole = rng.uniform(0.5, 5.0) / given["hills"][-1]
    lr = schedules.wsd(400, 1.0, cooldown=rng.uniform(0.1, 1.0), shape=shape).values()
    return {**given, "lr": lr * whole / lr.sum()}


def _finer(given: Arguments) -> list[Any]:
    """Each learning rate split into 4, 16, .. equal ones: the same schedule in training time, in smaller steps."""
    lr = given["lr"] / max(1.0, given["lr"].max() * given["hills"][0])
    return [np.repeat(lr / split, split) for split in (1, 4, 16, 64)]


def _functional(given: Arguments) -> Any:
    runs = [methods.sgd(schedules.from_array(lr)) for lr in _finer(given)]
    return {"hills": [mode_losses(given["hills"], given["noise"], run).sum() for run in runs]}


def _functionals(stated: Any, given: Arguments) -> Any:
    return {"hills": [river_noise_functional(given["hills"], given["noise"], lr) for lr in _finer(given)]}


# -- momentum and the bigram model -------------------------------------------------------------------------------------


def _draw_momentum(rng: np.random.Generator) -> Arguments:
    momentum = float(rng.choice([0.0, rng.uniform(0.0, 0.95)]))
    given = draw_hills(rng, 5.0)
    room = 2.0 * (1.0 + momentum) / (1.0 - momentum)
    return {**given, "lr": rng.uniform(0.05, 0.9) * room / given["hills"][0], "momentum": momentum}


def _momentum(given: Arguments) -> Any:
    lam, beta = given["hills"], given["momentum"]
    # m <- beta m + (1 - beta) g at a constant rate is heavy ball at (1 - beta) times the rate.
    method = methods.heavy_ball(constant(20_000, (1.0 - beta) * float(given["lr"])), beta)
    return {"variance": 2.0 * mode_losses(lam, given["noise"], method) / lam}


def _outside_momentum(given: Arguments) -> list[Arguments]:
    room = 2.0 * (1.0 + given["momentum"]) / (1.0 - given["momentum"])
    return [*_outside(given), {"momentum": 1.0}, {"momentum": -0.1}, {"lr": 1.0001 * room / given["hills"][0]}]


def _draw_bigram(rng: np.random.Generator) -> Arguments:
    m = int(rng.integers(2, 12))
    return {"probabilities": rng.dirichlet(np.full(m, rng.choice([0.1, 1.0, 10.0])), size=3)}


def _trace(given: Arguments) -> Any:
    """The Hessian of cross entropy in the logits is the Jacobian of the softmax, here by the complex step.

    Its columns sum to 0, so that the trace is minus the sum of all else: no difference of numbers near 1.
    """
    p = given["probabilities"]
    h, trace = 1e-30, np.zeros(p.shape[0])
    for row, z in enumerate(np.log(np.maximum(p, 1e-300))):
        for j in range(z.size):
            moved = z.astype(np.complex128)
            moved[j] += 1j * h
            e = np.exp(moved - z.max())
            slopes = (e / e.sum()).imag / h
            trace[row] -= np.delete(slopes, j).sum()
    return {"trace": trace}


CHECKS = [
    Check(
        "river_hills_stationary",
        _draw_stationary,
        _settled,
        lambda given: [*_outside(given), {"lr": 2.0001 / given["hills"][0]}],
    ),
    Check(
        "river_hills_asymptotic",
        _draw_asymptotic,
        lambda given: {"hills": np.array([settled(given, lr) for lr in given["lr"]]).T},
        _outside,
        says=lambda hills, given: {"hills": hills.T},
        rtol=0.005,
    ),
    Check("river_hills_upper", _draw_upper, lambda given: {"hills": _settled(given)["hills"].sum()}, _outside_upper),
    Check("river_progress", _draw_progress, _progress, [{"lr": [0.1, -0.1]}], rtol=1e-12),
    Check(
        "river_segment_dip",
        _draw_dip,
        _dip,
        [{"hills": [0.0], "variance": [1.0]}, {"hills": [1.0], "variance": [-1.0]}, {"position": 1.01}],
        cost=0.02,
    ),
    Check("river_noise_functional", _draw_functional, _functional, _outside, says=_functionals, rtol=0.02, cost=0.1),
    Check("ema_momentum_variance", _draw_momentum, _momentum, _outside_momentum, cost=0.05),
    Check(
        "bigram_hessian_trace",
        _draw_bigram,
        _trace,
        [{"probabilities": [0.5, 0.4]}, {"probabilities": [1.5, -0.5]}],
    ),
]
