"""Checks of theory.defazio: subgradient runs on random and worst functions, numerical minimisation over weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

import simlab.theory.defazio as own
from simlab.conformance._convex import bad_runs, draw_lr, draw_norms, fixed, hard_pieces, random_pieces, run
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.conformance.sharper_last_iterate import worst_case
from simlab.theory.hard_instance import hard_instance

__all__ = ["CHECKS"]

FloatArray = npt.NDArray[np.float64]


def _draw(rng: np.random.Generator) -> Arguments:
    lr = draw_lr(rng, 1, 60)
    norms = draw_norms(rng, lr.size)
    distance = float(np.sum(lr) * np.min(norms) * 10.0 ** rng.uniform(-2.0, 0.5))
    return {"lr": lr, "gradient_norms": norms, "distance": distance}


def _gaps(lr: FloatArray, arguments: Arguments, stated: float) -> Comparison:
    """The last iterate on a random function with the smallest of the norms, and on the worst one."""
    norm, distance = float(np.min(arguments["gradient_norms"])), arguments["distance"]
    random = run(random_pieces(fixed(arguments), norm, distance), lr)[0][-1:]
    worst = np.array([worst_case(lr, norm, distance)])
    bound = np.array([stated])
    return Comparison({"gap": bound, "worst case": bound}, {"gap": random, "worst case": worst})


def _compare_any(arguments: Arguments) -> Comparison:
    return _gaps(arguments["lr"], arguments, own.defazio_last_iterate(**arguments))


def _draw_weights(rng: np.random.Generator) -> Arguments:
    drawn = _draw(rng)
    weights = drawn.pop("lr") * 10.0 ** rng.uniform(-1.0, 1.0)
    return {"weights": weights, **drawn}


def _compare_weights(arguments: Arguments) -> Comparison:
    lr = own.weights_to_lr(arguments["weights"])
    lr[-1] = 1.0  # not used: no step follows the last iterate
    return _gaps(lr, arguments, own.defazio_weighted(**arguments))


def _draw_linear(rng: np.random.Generator) -> Arguments:
    return {
        "steps": int(rng.integers(1, 60)),
        "gradient_norm": rng.uniform(0.1, 5.0),
        "distance": rng.uniform(0.1, 5.0),
    }


def _compare_linear(arguments: Arguments) -> Comparison:
    """The worst function of linear decay is orthogonal gradients; the run on it ends at the bound."""
    steps, norm, distance = arguments.values()
    lr = distance / (norm * np.sqrt(steps)) * np.append(1.0 - np.arange(1, steps) / steps, 1.0)
    values, _ = run(hard_pieces(hard_instance(lr, norm, distance), lr), lr, in_turn=True)
    return Comparison({"gap": np.array([own.linear_decay(**arguments)])}, {"gap": values[-1:]})


def _draw_norms(rng: np.random.Generator) -> Arguments:
    norms = np.exp(0.5 * rng.standard_normal(int(rng.integers(1, 9))))
    return {"gradient_norms": norms, "distance": float(rng.uniform(0.1, 10.0))}


def _compare_refined(arguments: Arguments) -> Comparison:
    """The least bound over the logarithms of the weights, by a numerical search."""
    norms, distance = arguments["gradient_norms"], arguments["distance"]

    def value(logs: FloatArray) -> tuple[float, FloatArray]:
        w = np.exp(logs)
        total, top = float(np.sum(w)), float(distance**2 + np.sum(np.square(w * norms)))
        slope = w * (2.0 * w * norms**2 / total - top / total**2) / 2.0
        return top / (2.0 * total), slope

    best = minimize(value, np.zeros(norms.size), jac=True, method="BFGS", options={"gtol": 1e-10})
    lr = own.defazio_refined_lr(norms, distance)
    w = lr_to_weights(lr, distance, norms)
    stated = own.defazio_refined(**arguments)
    return Comparison(
        {"bound": np.array([stated]), "bound of the schedule": np.array([stated])},
        {"bound": np.array([best.fun]), "bound of the schedule": np.array([value(np.log(w))[0]])},
    )


def lr_to_weights(lr: FloatArray, distance: float, norms: FloatArray) -> FloatArray:
    """The weights behind a refined schedule, from its last step backwards; the last weight is distance / (G^2
    |1/G|)."""
    last = distance / (norms[-1] ** 2 * np.linalg.norm(1.0 / norms))
    total = distance * np.linalg.norm(1.0 / norms)
    weights, tail = [last], last
    for rate in lr[-2::-1]:
        weights.append(rate * total / tail)
        tail += weights[-1]
    return np.array(weights[::-1])


def _bad_norms(rng: np.random.Generator) -> list[Arguments]:
    good = _draw_norms(rng)
    return [{**good, "distance": 0.0}, {**good, "gradient_norms": -good["gradient_norms"]}]


CHECKS: list[Check] = [
    Check("defazio_last_iterate", _draw, _compare_any, lambda rng: bad_runs(_draw(rng)), rtol=1e-7),
    Check(
        "defazio_weighted",
        _draw_weights,
        _compare_weights,
        lambda rng: bad_runs(_draw_weights(rng), rate="weights"),
        rtol=1e-7,
    ),
    Check(
        "linear_decay",
        _draw_linear,
        _compare_linear,
        lambda rng: [{"steps": 0}, {"steps": 3, "distance": 0.0}, {"steps": 3, "gradient_norm": -1.0}],
        rtol=1e-7,
    ),
    Check("defazio_refined", _draw_norms, _compare_refined, _bad_norms, rtol=1e-8),
]
