"""Checks of theory.volterra: every mode at every step, by the exact engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import simlab as sl
from simlab.conformance._two_state import BATCHES, KURTOSES, draw_spectrum, mode_risks
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.theory import volterra as t
from simlab.theory.two_state import two_state_critical_lr

FloatArray = npt.NDArray[np.float64]


def draw_problem(rng: np.random.Generator, high: int = 24) -> Arguments:
    """Eigenvalues, initial error and noise."""
    lam = draw_spectrum(rng, 1, high)
    error = rng.normal(size=lam.size) * lam ** -rng.uniform(0.0, 0.5)
    return {"eigenvalues": lam, "initial_error": error, "noise_variance": rng.uniform(0.01, 2.0)}


def draw_schedule(rng: np.random.Generator, steps: int, peak: float) -> FloatArray:
    """Constant, cosine, warmup-stable-decay or jagged, with that peak."""
    u = np.arange(steps) / steps
    shapes = (
        np.ones(steps),
        0.5 * (1.0 + np.cos(np.pi * u)),
        np.minimum(1.0, 5.0 * (1.0 - u)),
        rng.uniform(size=steps),
    )
    return peak * shapes[rng.integers(4)]


def _critical(given: Arguments) -> float:
    return two_state_critical_lr(
        given["eigenvalues"], batch=given.get("batch", 1.0), kurtosis=given.get("kurtosis", 3.0)
    )


def _draw(rng: np.random.Generator) -> Arguments:
    """Learning rates up to the critical one; a batch schedule every third time."""
    given = draw_problem(rng)
    given["kurtosis"] = float(rng.choice(KURTOSES))
    given["batch"] = float(rng.choice(BATCHES))
    steps = int(rng.integers(1, 200))
    peak = rng.uniform(0.02, 1.0) * _critical(given)
    if given["kurtosis"] < 2.0:
        peak = min(peak, 0.49 / given["eigenvalues"][0])
    given["lr"] = draw_schedule(rng, steps, peak)
    if rng.uniform() < 0.3:
        given["batch"] = given["batch"] * rng.integers(1, 9, size=steps)
    return given


def engine(given: Arguments, every: bool = True) -> tuple[FloatArray, FloatArray]:
    """(bias, variance) of every mode at every step, by simlab.exact."""
    lr = given["lr"]
    problem = sl.LinearRegression(
        given["eigenvalues"], given["initial_error"], given["noise_variance"], given.get("kurtosis", 3.0)
    )
    batch = given.get("batch", 1.0)
    size: Any = batch if np.ndim(batch) == 0 else sl.schedules.from_array(batch)
    method = sl.methods.sgd(sl.schedules.from_array(lr), size)
    steps = list(range(len(lr) + 1)) if every else [len(lr)]
    bias, variance = mode_risks(problem, method, steps)
    return bias, variance


def _compare(theorem: Callable[..., Any]) -> Callable[[Arguments], Comparison]:
    def compare(given: Arguments) -> Comparison:
        bias, variance = engine(given)
        stated = theorem(**given)
        return Comparison({"bias": stated.bias, "variance": stated.variance}, {"bias": bias, "variance": variance})

    return compare


def _outside(rng: np.random.Generator) -> list[Arguments]:
    given = {**draw_problem(rng), "lr": np.full(20, 0.01), "batch": 2.0}
    negative = given["lr"].copy()
    negative[7] = -1e-9
    return [
        {**given, "lr": negative},
        {**given, "batch": 0.5},
        {**given, "noise_variance": -1e-9},
        {**given, "lr": np.zeros(8193)},
    ]


def _outside_volterra(rng: np.random.Generator) -> list[Arguments]:
    bad = _outside(rng)
    negative = {
        "eigenvalues": np.ones(1),
        "initial_error": 1.0,
        "noise_variance": 0.0,
        "lr": np.full(3, 0.51),
        "kurtosis": 1.0,
    }
    return [*bad, {**bad[0], "lr": np.full(20, 0.01), "kurtosis": 0.99}, negative]


def _draw_constant(rng: np.random.Generator) -> Arguments:
    given = draw_problem(rng)
    given["batch"], given["kurtosis"] = float(rng.choice(BATCHES)), float(rng.choice([1.8, 3.0, 6.0]))
    x = rng.uniform(0.02, 0.95)
    # For kurtosis < 2, q_i > 0 is a condition of its own.
    given["lr"] = min(x * _critical(given), 0.6 / given["eigenvalues"][0])
    return given


def _constant_lr(given: Arguments, steps: int) -> tuple[FloatArray, FloatArray]:
    return engine({**given, "lr": np.full(steps, given["lr"])})


def _draw_fft(rng: np.random.Generator) -> Arguments:
    return {**_draw_constant(rng), "steps": int(rng.integers(1, 1500))}


def _compare_fft(given: Arguments) -> Comparison:
    stated = t.sgd_volterra_constant(**given)
    steps = given["steps"]
    bias, variance = _constant_lr({k: v for k, v in given.items() if k != "steps"}, steps)
    scale = bias.sum(axis=1).max()
    # An FFT rounds relative to the largest value, so bias is compared on that scale.
    return Comparison(
        {"bias": stated.bias[:, 0] / scale + 1.0, "variance": stated.variance[1:, 0]},
        {"bias": bias.sum(axis=1) / scale + 1.0, "variance": variance.sum(axis=1)[1:]},
    )


def _draw_spectral(rng: np.random.Generator) -> Arguments:
    return {**_draw_constant(rng), "steps": np.unique(np.geomspace(1, rng.integers(10, 2000), 8).astype(int))}


def _compare_spectral(given: Arguments) -> Comparison:
    stated, steps = t.sgd_spectral(**given), given["steps"]
    bias, variance = _constant_lr({k: v for k, v in given.items() if k != "steps"}, int(steps[-1]))
    return Comparison(
        {"risk": stated.total, "bias": stated.bias.sum(axis=-1), "variance": stated.variance.sum(axis=-1)},
        {
            "risk": (bias + variance).sum(axis=1)[steps],
            "bias": bias.sum(axis=1)[steps],
            "variance": variance.sum(axis=1)[steps],
        },
    )


def _outside_constant(steps: Any) -> Callable[[np.random.Generator], list[Arguments]]:
    def outside(rng: np.random.Generator) -> list[Arguments]:
        given = {"eigenvalues": np.ones(8), "initial_error": 1.0, "noise_variance": 1.0, "lr": 0.1, "steps": steps}
        return [
            {**given, "lr": 0.0},
            {**given, "batch": 0.5},
            {**given, "kurtosis": 0.99},
            {**given, "lr": 0.2 * (1.0 + 1e-9)},
            {**given, "noise_variance": -1e-9},
        ]

    return outside


def _draw_isotropic(rng: np.random.Generator) -> Arguments:
    dim, batch, lam = int(rng.integers(1, 40)), float(rng.choice(BATCHES)), rng.uniform(0.2, 3.0)
    lr = rng.uniform(0.02, 1.04) * 2.0 * batch / ((batch + 1.0 + dim) * lam)
    return {
        "eigenvalue": lam,
        "dim": dim,
        "initial_risk": rng.uniform(0.1, 5.0),
        "noise_variance": rng.uniform(0.1, 2.0),
        "lr": lr,
        "steps": np.arange(60),
        "batch": batch,
    }


def _compare_isotropic(given: Arguments) -> Comparison:
    stated, dim, lam = t.sgd_isotropic(**given), given["dim"], given["eigenvalue"]
    error = np.sqrt(2.0 * given["initial_risk"] / (dim * lam))
    full = {
        "eigenvalues": np.full(dim, lam),
        "initial_error": np.full(dim, error),
        "noise_variance": given["noise_variance"],
    }
    bias, variance = engine({**full, "lr": np.full(59, given["lr"]), "batch": given["batch"]})
    return Comparison(
        {"bias": stated.bias[:, 0], "variance": stated.variance[:, 0]},
        {"bias": bias.sum(axis=1), "variance": variance.sum(axis=1)},
    )


def _outside_isotropic(rng: np.random.Generator) -> list[Arguments]:
    given = {"eigenvalue": 1.0, "dim": 6, "initial_risk": 1.0, "noise_variance": 1.0, "lr": 0.1, "steps": 5}
    return [
        {**given, "eigenvalue": 0.0},
        {**given, "dim": 0},
        {**given, "noise_variance": -1e-9},
        {**given, "batch": 0.5},
        {**given, "lr": 0.25},
    ]


def _draw_limit(rng: np.random.Generator) -> Arguments:
    given = draw_problem(rng)
    given["batch"] = float(rng.choice(BATCHES))
    # Not so long that the last mode has vanished: exp(-c T lr) has no limit ratio to (1 - c lr)^T where both are 0.
    peak = min(rng.uniform(0.05, 0.2) * _critical(given), 2.0 / (128.0 * given["eigenvalues"][-1]))
    given["lr"] = draw_schedule(rng, 128, peak)
    return given


def _compare_limit(given: Arguments) -> Comparison:
    """The same sum of learning rates in 32, 128, 512 and 2048 steps: risk at the end, in total and split."""
    stated: dict[str, list[float]] = {"bias": [], "variance": []}
    true: dict[str, list[float]] = {"bias": [], "variance": []}
    for steps in (32, 128, 512, 2048):
        lr = given["lr"][::4] if steps == 32 else np.repeat(given["lr"], steps // 128)
        finer = {**given, "lr": lr * (128.0 / steps) * (given["lr"].sum() / (lr.sum() * 128.0 / steps))}
        found = t.homogenized_sgd(**finer)
        bias, variance = engine(finer, every=False)
        for name, ours, theirs in (("bias", found.bias, bias), ("variance", found.variance, variance)):
            stated[name].append(float(ours[-1].sum()))
            true[name].append(float(theirs[-1].sum()))
    return Comparison(
        {name: np.array(value) for name, value in stated.items()},
        {name: np.array(value) for name, value in true.items()},
    )


CHECKS: list[Check] = [
    Check("sgd_volterra", _draw, _compare(t.sgd_volterra), _outside_volterra, rtol=1e-11, cost=0.03),
    Check("sgd_volterra_constant", _draw_fft, _compare_fft, _outside_constant(10), rtol=1e-9, cost=0.02),
    Check("sgd_spectral", _draw_spectral, _compare_spectral, _outside_constant([10]), rtol=1e-9),
    Check("sgd_isotropic", _draw_isotropic, _compare_isotropic, _outside_isotropic, rtol=1e-11),
    Check("homogenized_sgd", _draw_limit, _compare_limit, _outside, rtol=0.01, cost=0.4),
]
