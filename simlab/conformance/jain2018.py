"""Mini-batches, tail averages, doubling and model averaging of Jain et al. 2018 against the exact engine."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from simlab import methods, schedules
from simlab.conformance._sgd import draw_problem, mode_risk, sgd
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.engines.stability import stability
from simlab.problems import LinearRegression
from simlab.theory.jain2018 import (
    jain_batch_doubling_upper,
    jain_batch_threshold,
    jain_final_iterate_upper,
    jain_lr_max,
    jain_model_average_upper,
    jain_tail_average_upper,
)
from simlab.theory.statement import Risk

__all__ = ["CHECKS"]

_Draw = Callable[[np.random.Generator], Arguments]


def _problem(rng: np.random.Generator) -> Arguments:
    """A problem whose condition number a run of some hundred steps can beat, often enough."""
    problem = draw_problem(rng, 32)
    lam = problem["eigenvalues"]
    floor = lam[0] / 10.0 ** rng.uniform(0.0, 2.5)
    return {**problem, "eigenvalues": np.maximum(lam, floor)}


def _draw(rng: np.random.Generator) -> Arguments:
    problem = _problem(rng)
    batch = float(rng.choice([1, 3, 10, 100]))
    lr = 0.5 * float(jain_lr_max(problem["eigenvalues"], batch)) * rng.choice([1.0, rng.uniform(0.05, 1.0)])
    return {**problem, "lr": lr, "steps": int(10.0 ** rng.uniform(0.0, 3.3)), "batch": batch}


def _draw_tail(rng: np.random.Generator) -> Arguments:
    arguments = _draw(rng)
    return {**arguments, "hold": int(arguments["steps"] * rng.uniform(0.0, 0.95))}


def _draw_machines(rng: np.random.Generator) -> Arguments:
    return {**_draw_tail(rng), "machines": int(rng.choice([1, 2, 8, 64]))}


def _totals(stated: Risk, bias: float, variance: float) -> Comparison:
    return Comparison(
        {"risk": stated.total, "bias": stated.bias.sum(axis=-1), "variance": stated.variance.sum(axis=-1)},
        {"risk": np.asarray(bias + variance), "bias": np.asarray(bias), "variance": np.asarray(variance)},
    )


def _compare_tail(arguments: Arguments) -> Comparison:
    inner = sgd(arguments["lr"], arguments["steps"], arguments["batch"])
    bias, variance = mode_risk(arguments, methods.average(inner, start=arguments["hold"] + 1))
    return _totals(jain_tail_average_upper(**arguments), bias.sum(), variance.sum())


def _compare_final(arguments: Arguments) -> Comparison:
    bias, variance = mode_risk(arguments, sgd(arguments["lr"], arguments["steps"], arguments["batch"]))
    return _totals(jain_final_iterate_upper(**arguments), bias.sum(), variance.sum())


def _compare_machines(arguments: Arguments) -> Comparison:
    inner = sgd(arguments["lr"], arguments["steps"], arguments["batch"])
    average = methods.average(inner, start=arguments["hold"] + 1)
    bias, variance, mean = mode_risk(arguments, average, components=("bias", "variance", "deterministic"))
    # Machines share nothing but their mean path: E |average of P|^2 = mean^2 + (second moment - mean^2) / P.
    p = arguments["machines"]
    bias = mean.sum() + (bias.sum() - mean.sum()) / p
    return _totals(jain_model_average_upper(**arguments), float(bias), variance.sum() / p)


def _draw_doubling(rng: np.random.Generator) -> Arguments:
    problem = draw_problem(rng, 16)
    kappa = rng.uniform(2.0, 8.0)
    lam = np.geomspace(1.0, 1.0 / kappa, problem["eigenvalues"].size + 1)
    error = rng.normal(size=lam.size) * 10.0 ** rng.uniform(-1.0, 2.0)
    epoch = math.ceil(24.0 * kappa * math.log(kappa) * rng.uniform(1.0, 1.5))
    return {
        "eigenvalues": lam,
        "initial_error": error,
        "noise_variance": problem["noise_variance"],
        "epoch": epoch + 1,
        "epochs": int(rng.integers(1, 6)),
    }


def _compare_doubling(arguments: Arguments) -> Comparison:
    lam, t, epochs = arguments["eigenvalues"], arguments["epoch"], arguments["epochs"]
    batch = math.ceil(float(jain_batch_threshold(lam)))
    lr = 0.5 * float(jain_lr_max(lam, batch))
    sizes = np.repeat(batch * 2.0 ** np.arange(epochs), t)
    inner = methods.sgd(schedules.constant(t * epochs, lr), batch=schedules.from_array(sizes))
    bias, variance = mode_risk(arguments, methods.tail_average(inner, window=t // 2))
    return _totals(jain_batch_doubling_upper(**arguments), bias.sum(), variance.sum())


def _draw_lr(rng: np.random.Generator) -> Arguments:
    return {"eigenvalues": draw_problem(rng)["eigenvalues"], "batch": float(rng.choice([1, 2, 10, 100, 1000]))}


def _compare_lr(arguments: Arguments) -> Comparison:
    stated = jain_lr_max(**arguments)
    found = stability(LinearRegression(arguments["eigenvalues"], 1.0, 1.0), sgd(stated, 1, arguments["batch"]))
    return Comparison({"risk": stated}, {"risk": np.asarray(found.critical_lr)})


def _compare_threshold(arguments: Arguments) -> Comparison:
    stated = jain_batch_threshold(**arguments)
    # There gamma_{b,max} is half of b gamma_{1,max}.
    half = float(jain_lr_max(arguments["eigenvalues"], stated) / jain_lr_max(arguments["eigenvalues"], 1.0))
    return Comparison({"risk": stated}, {"risk": np.asarray(2.0 * half)})


def _outside(draw: _Draw) -> Callable[[np.random.Generator], list[Arguments]]:
    def outside(rng: np.random.Generator) -> list[Arguments]:
        arguments = draw(rng)
        lam, batch = arguments["eigenvalues"], arguments["batch"]
        bad: list[Arguments] = [
            {"eigenvalues": lam - lam.min()},
            {"lr": 0.0},
            {"batch": 0.9},
            {"lr": 0.5001 * float(jain_lr_max(lam, batch))},
            {"steps": 0},
        ]
        bad += [{"hold": arguments["steps"]}, {"hold": -1}] if "hold" in arguments else []
        bad += [{"machines": 0}] if "machines" in arguments else []
        return [{**arguments, **one} for one in bad]

    return outside


def _outside_doubling(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw_doubling(rng)
    lam = arguments["eigenvalues"]
    natural = lam[0] / lam[-1] * math.log(lam[0] / lam[-1])
    bad: list[Arguments] = [
        {"eigenvalues": -lam},
        {"eigenvalues": np.linspace(1.0, 0.501, lam.size)},
        {"epoch": math.ceil(24.0 * natural) - 1},
        {"epochs": 0},
    ]
    return [{**arguments, **one} for one in bad]


def _outside_lr(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw_lr(rng)
    return [{**arguments, "eigenvalues": np.zeros(3)}, {**arguments, "batch": 0.9}]


CHECKS: list[Check] = [
    Check("jain_lr_max", _draw_lr, _compare_lr, _outside_lr, cost=0.005),
    Check(
        "jain_batch_threshold",
        lambda rng: {"eigenvalues": _draw_lr(rng)["eigenvalues"]},
        _compare_threshold,
        lambda rng: [{"eigenvalues": np.array([1.0, -0.1])}],
        cost=0.001,
    ),
    Check("jain_tail_average_upper", _draw_tail, _compare_tail, _outside(_draw_tail)),
    Check("jain_final_iterate_upper", _draw, _compare_final, _outside(_draw)),
    Check("jain_model_average_upper", _draw_machines, _compare_machines, _outside(_draw_machines)),
    Check("jain_batch_doubling_upper", _draw_doubling, _compare_doubling, _outside_doubling),
]
