"""Checks of theory.river: straight valleys and noisy quadratics through the exact engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab import methods, schedules
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.engines.exact import exact
from simlab.engines.exact_valley import exact_valley
from simlab.methods import Method
from simlab.problems import NoisyQuadratic
from simlab.river.straight import StraightValley
from simlab.theory import river as t

__all__ = ["CHECKS", "draw_hills", "mode_losses"]

FloatArray = npt.NDArray[np.float64]


def draw_hills(rng: np.random.Generator, condition: float = 20.0) -> Arguments:
    """1 to 30 hills, descending, within `condition` of one another, and their noise."""
    d = int(rng.integers(1, 31))
    lam = np.sort(np.exp(rng.uniform(0.0, np.log(condition), d)))[::-1] * 10.0 ** rng.uniform(-1.0, 1.0)
    return {"hills": lam, "noise": lam ** rng.choice([0.0, 1.0]) * rng.uniform(0.1, 2.0, d)}


def mode_losses(hills: Any, noise: Any, method: Method, start: Any = 0.0) -> FloatArray:
    """Loss of every hill at the end of the run by the exact engine, (d,), bias and variance together."""
    problem = NoisyQuadratic(hills, start, noise)
    end = method.length
    trace = exact(problem, method, snapshots=[end], record=[end], threads=1, progress=False)
    out: FloatArray = trace.dataset["mode_risk"].sel(component=["bias", "variance"]).sum("component").values[0]
    return out


def _long(lr: float, lam: FloatArray) -> int:
    """Steps after which every hill has forgotten its start: (1 - lr lam)^2 steps below e^-40, either side of 1."""
    left = np.minimum(lr * lam, 2.0 - lr * lam).min()
    return int(np.ceil(20.0 / -np.log1p(-left))) + 2 if left < 1.0 else 4


def _settled(arguments: Arguments) -> FloatArray:
    lam, lr = arguments["hills"], float(arguments["lr"])
    return mode_losses(lam, arguments["noise"], methods.sgd(schedules.constant(_long(lr, lam), lr)))


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


def _compare_stationary(given: Arguments) -> Comparison:
    return Comparison({"hills": t.river_hills_stationary(**given)}, {"hills": _settled(given)})


def _compare_asymptotic(given: Arguments) -> Comparison:
    true = [_settled({**given, "lr": lr}) for lr in given["lr"]]
    return Comparison({"hills": t.river_hills_asymptotic(**given).T}, {"hills": np.array(true).T})


def _compare_upper(given: Arguments) -> Comparison:
    return Comparison({"hills": t.river_hills_upper(**given)}, {"hills": np.asarray(_settled(given).sum())})


def _outside(
    draw: Callable[[np.random.Generator], Arguments], *changes: Callable[[Arguments], Arguments]
) -> Callable[[np.random.Generator], list[Arguments]]:
    def outside(rng: np.random.Generator) -> list[Arguments]:
        given = draw(rng)
        usual: list[Arguments] = [{"hills": -given["hills"]}, {"noise": -given["noise"]}, {"lr": 0.0 * given["lr"]}]
        return [{**given, **change} for change in [*usual, *(change(given) for change in changes)]]

    return outside


# -- river, segment, functional ----------------------------------------------------------------------------------------


def _draw_progress(rng: np.random.Generator) -> Arguments:
    T = int(rng.integers(1, 400))
    lr = rng.uniform(0.0, 1.0, T) if rng.random() < 0.5 else schedules.wsd(T, 0.3, cooldown=0.3).values()
    return {"slope": rng.uniform(0.1, 3.0), "lr": lr, "start": rng.uniform(0.5, 2.0)}


def _compare_progress(given: Arguments) -> Comparison:
    valley = StraightValley([1.0], slope=given["slope"], river_start=given["start"], river_noise=1.0)
    trace = exact_valley(
        valley, methods.sgd(schedules.from_array(given["lr"])), record="all", threads=1, progress=False
    )
    return Comparison({"river": t.river_progress(**given)}, {"river": trace["river"].values})


def _draw_dip(rng: np.random.Generator) -> Arguments:
    given = _draw_stationary(rng)
    v = 2.0 * t.river_hills_stationary(**given) / given["hills"]
    return {"hills": given["hills"], "variance": v, "position": rng.uniform(0.05, 0.95, 3)}


def _compare_dip(given: Arguments) -> Comparison:
    """Two runs that share nothing mix to one with u^2 + (1-u)^2 of the noise: the chord minus that is the dip."""
    lam, v, u = given["hills"], given["variance"], given["position"]
    lr = 0.5 / lam[0]
    noise = v * lam * (2.0 - lr * lam) / lr
    method = methods.sgd(schedules.constant(_long(lr, lam), lr))
    ends = mode_losses(lam, noise, method).sum()
    between = [mode_losses(lam, noise * (p**2 + (1.0 - p) ** 2), method).sum() for p in u]
    return Comparison({"dip": t.river_segment_dip(**given)}, {"dip": ends - np.array(between)})


def _draw_functional(rng: np.random.Generator) -> Arguments:
    given = draw_hills(rng)
    shape = str(rng.choice(["linear", "cosine", "1-sqrt", "square"]))
    whole = rng.uniform(0.5, 5.0) / given["hills"][-1]
    lr = schedules.wsd(400, 1.0, cooldown=rng.uniform(0.1, 1.0), shape=shape).values()
    return {**given, "lr": lr * whole / lr.sum()}


def _compare_functional(given: Arguments) -> Comparison:
    """Each learning rate split into 4, 16, .. equal ones: the same schedule in training time, in smaller steps."""
    lr = given["lr"] / max(1.0, given["lr"].max() * given["hills"][0])
    rows = []
    for split in (1, 4, 16, 64):
        fine = np.repeat(lr / split, split)
        stated = float(t.river_noise_functional(given["hills"], given["noise"], fine))
        true = mode_losses(given["hills"], given["noise"], methods.sgd(schedules.from_array(fine))).sum()
        rows.append((stated, true))
    stated_row, true_row = np.array(rows).T
    return Comparison({"hills": stated_row}, {"hills": true_row})


# -- momentum and the bigram model -------------------------------------------------------------------------------------


def _draw_momentum(rng: np.random.Generator) -> Arguments:
    momentum = float(rng.choice([0.0, rng.uniform(0.0, 0.95)]))
    given = draw_hills(rng, 5.0)
    room = 2.0 * (1.0 + momentum) / (1.0 - momentum)
    return {**given, "lr": rng.uniform(0.05, 0.9) * room / given["hills"][0], "momentum": momentum}


def _compare_momentum(given: Arguments) -> Comparison:
    lam, beta = given["hills"], given["momentum"]
    # m <- beta m + (1 - beta) g at a constant rate is heavy ball at (1 - beta) times the rate.
    method = methods.heavy_ball(schedules.constant(20_000, (1.0 - beta) * float(given["lr"])), beta)
    variance = 2.0 * mode_losses(lam, given["noise"], method) / lam
    return Comparison({"variance": t.ema_momentum_variance(**given)}, {"variance": variance})


def _outside_momentum(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_momentum(rng)
    room = 2.0 * (1.0 + given["momentum"]) / (1.0 - given["momentum"])
    too_high = {**given, "lr": 1.0001 * room / given["hills"][0]}
    return [*_outside(_draw_momentum)(rng), {**given, "momentum": 1.0}, {**given, "momentum": -0.1}, too_high]


def _draw_bigram(rng: np.random.Generator) -> Arguments:
    m = int(rng.integers(2, 12))
    return {"probabilities": rng.dirichlet(np.full(m, rng.choice([0.1, 1.0, 10.0])), size=3)}


def _compare_bigram(given: Arguments) -> Comparison:
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
    return Comparison({"trace": t.bigram_hessian_trace(p)}, {"trace": trace})


CHECKS: list[Check] = [
    Check(
        "river_hills_stationary",
        _draw_stationary,
        _compare_stationary,
        _outside(_draw_stationary, lambda given: {"lr": 2.0001 / given["hills"][0]}),
        rtol=1e-9,
    ),
    Check("river_hills_asymptotic", _draw_asymptotic, _compare_asymptotic, _outside(_draw_asymptotic), rtol=0.005),
    Check(
        "river_hills_upper",
        _draw_upper,
        _compare_upper,
        _outside(_draw_upper, lambda given: {"lr": 1.0001 * given["hills"][-1] / (2.0 * given["hills"][0] ** 2)}),
    ),
    Check("river_progress", _draw_progress, _compare_progress, lambda rng: [{"slope": 1.0, "lr": [0.1, -0.1]}], 1e-12),
    Check(
        "river_segment_dip",
        _draw_dip,
        _compare_dip,
        lambda rng: [
            {"hills": [0.0], "variance": [1.0]},
            {"hills": [1.0], "variance": [-1.0]},
            {"hills": [1.0], "variance": [1.0], "position": 1.01},
        ],
        rtol=1e-9,
        cost=0.02,
    ),
    Check(
        "river_noise_functional", _draw_functional, _compare_functional, _outside(_draw_functional), rtol=0.02, cost=0.1
    ),
    Check("ema_momentum_variance", _draw_momentum, _compare_momentum, _outside_momentum, rtol=1e-9, cost=0.05),
    Check(
        "bigram_hessian_trace",
        _draw_bigram,
        _compare_bigram,
        lambda rng: [{"probabilities": [0.5, 0.4]}, {"probabilities": [1.5, -0.5]}],
        rtol=1e-9,
    ),
]
