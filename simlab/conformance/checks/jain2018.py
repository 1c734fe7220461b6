"""Mini-batches, tail averages, doubling and model averaging of Jain et al. 2018 against the exact engine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simlab import methods, schedules
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import draw_problem, mode_risk, sgd, split, totals
from simlab.engines.stability import stability
from simlab.methods import Method
from simlab.problems import LinearRegression
from simlab.theory.jain2018 import jain_batch_threshold, jain_lr_max


def _draw(rng: np.random.Generator) -> Arguments:
    """A problem whose condition number a run of some hundred steps can beat, often enough."""
    problem = draw_problem(rng, 32)
    lam = problem["eigenvalues"]
    lam = np.maximum(lam, lam[0] / 10.0 ** rng.uniform(0.0, 2.5))
    batch = float(rng.choice([1, 3, 10, 100]))
    lr = 0.5 * float(jain_lr_max(lam, batch)) * rng.choice([1.0, rng.uniform(0.05, 1.0)])
    return {**problem, "eigenvalues": lam, "lr": lr, "steps": int(10.0 ** rng.uniform(0.0, 3.3)), "batch": batch}


def _draw_tail(rng: np.random.Generator) -> Arguments:
    given = _draw(rng)
    return {**given, "hold": int(given["steps"] * rng.uniform(0.0, 0.95))}


def _draw_machines(rng: np.random.Generator) -> Arguments:
    return {**_draw_tail(rng), "machines": int(rng.choice([1, 2, 8, 64]))}


def _sums(given: Arguments, method: Method) -> Any:
    bias, variance = mode_risk(given, method)
    return split(bias.sum(), variance.sum())


def _inner(given: Arguments) -> Method:
    return sgd(given["lr"], given["steps"], given["batch"])


def _tail(given: Arguments) -> Any:
    return _sums(given, methods.average(_inner(given), start=given["hold"] + 1))


def _final(given: Arguments) -> Any:
    return _sums(given, _inner(given))


def _machines(given: Arguments) -> Any:
    average = methods.average(_inner(given), start=given["hold"] + 1)
    bias, variance, mean = mode_risk(given, average, components=("bias", "variance", "deterministic"))
    # Machines share nothing but their mean path: E |average of P|^2 = mean^2 + (second moment - mean^2) / P.
    p = given["machines"]
    return split(mean.sum() + (bias.sum() - mean.sum()) / p, variance.sum() / p)


def _draw_doubling(rng: np.random.Generator) -> Arguments:
    problem = draw_problem(rng, 16)
    kappa = rng.uniform(2.0, 8.0)
    lam = np.geomspace(1.0, 1.0 / kappa, problem["eigenvalues"].size + 1)
    error = rng.normal(size=lam.size) * 10.0 ** rng.uniform(-1.0, 2.0)
    epoch = math.ceil(24.0 * kappa * math.log(kappa) * rng.uniform(1.0, 1.5))
    return {
        **problem,
        "eigenvalues": lam,
        "initial_error": error,
        "epoch": epoch + 1,
        "epochs": int(rng.integers(1, 6)),
    }


def _doubling(given: Arguments) -> Any:
    lam, t, epochs = given["eigenvalues"], given["epoch"], given["epochs"]
    batch = math.ceil(float(jain_batch_threshold(lam)))
    lr = 0.5 * float(jain_lr_max(lam, batch))
    sizes = np.repeat(batch * 2.0 ** np.arange(epochs), t)
    inner = methods.sgd(schedules.constant(t * epochs, lr), batch=schedules.from_array(sizes))
    return _sums(given, methods.tail_average(inner, window=t // 2))


def _draw_lr(rng: np.random.Generator) -> Arguments:
    return {"eigenvalues": draw_problem(rng)["eigenvalues"], "batch": float(rng.choice([1, 2, 10, 100, 1000]))}


def _critical(given: Arguments) -> float:
    method = sgd(jain_lr_max(**given), 1, given["batch"])
    return stability(LinearRegression(given["eigenvalues"], 1.0, 1.0), method).critical_lr


def _threshold(given: Arguments) -> float:
    """There gamma_{b,max} is half of b gamma_{1,max}."""
    lam = given["eigenvalues"]
    return 2.0 * float(jain_lr_max(lam, jain_batch_threshold(lam)) / jain_lr_max(lam, 1.0))


def _outside(given: Arguments) -> list[Arguments]:
    lam, batch = given["eigenvalues"], given["batch"]
    bad: list[Arguments] = [
        {"eigenvalues": lam - lam.min()},
        {"lr": 0.0},
        {"batch": 0.9},
        {"lr": 0.5001 * float(jain_lr_max(lam, batch))},
        {"steps": 0},
    ]
    bad += [{"hold": given["steps"]}, {"hold": -1}] if "hold" in given else []
    return [*bad, {"machines": 0}] if "machines" in given else bad


def _outside_doubling(given: Arguments) -> list[Arguments]:
    lam = given["eigenvalues"]
    natural = lam[0] / lam[-1] * math.log(lam[0] / lam[-1])
    return [
        {"eigenvalues": -lam},
        {"eigenvalues": np.linspace(1.0, 0.501, lam.size)},
        {"epoch": math.ceil(24.0 * natural) - 1},
        {"epochs": 0},
    ]


CHECKS = [
    Check("jain_lr_max", _draw_lr, _critical, [{"eigenvalues": np.zeros(3)}, {"batch": 0.9}], cost=0.005),
    Check("jain_batch_threshold", _draw_lr, _threshold, [{"eigenvalues": np.array([1.0, -0.1])}], cost=0.001),
    Check("jain_tail_average_upper", _draw_tail, _tail, _outside, says=totals),
    Check("jain_final_iterate_upper", _draw, _final, _outside, says=totals),
    Check("jain_model_average_upper", _draw_machines, _machines, _outside, says=totals),
    Check("jain_batch_doubling_upper", _draw_doubling, _doubling, _outside_doubling, says=totals),
]
