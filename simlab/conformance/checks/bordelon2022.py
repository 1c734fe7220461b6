"""Every mode at every step, by the exact engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.momentum import (
    BATCHES,
    KURTOSES,
    along_finer,
    draw_fine,
    draw_regression,
    draw_schedule,
)
from simlab.conformance.draws.regression import mode_risk, sgd
from simlab.theory import Risk
from simlab.theory.bordelon2022 import homogenized_sgd
from simlab.theory.two_state import two_state_critical_lr


def _draw(rng: np.random.Generator) -> Arguments:
    """Learning rates up to the critical one; a batch schedule every third time."""
    given = draw_regression(rng)
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


def _critical(given: Arguments) -> float:
    return two_state_critical_lr(given["eigenvalues"], batch=given["batch"], kurtosis=given["kurtosis"])


def _all_steps(given: Arguments) -> Risk:
    return Risk(*mode_risk(given, sgd(given["lr"], batch=given["batch"]), range(len(given["lr"]) + 1)))


def last_step(**given: Any) -> Risk:
    """Risk of every mode at the end, (1, d)."""
    return Risk(*mode_risk(given, sgd(given["lr"], batch=given["batch"]), [len(given["lr"])]))


def _outside(given: Arguments) -> list[Arguments]:
    flat: Arguments = {"lr": np.full(20, 0.01), "batch": 2.0}
    negative = np.full(20, 0.01)
    negative[7] = -1e-9
    changes: list[Arguments] = [{"lr": negative}, {"batch": 0.5}, {"noise_variance": -1e-9}, {"lr": np.zeros(8193)}]
    return [{**flat, **change} for change in changes]


def _outside_volterra(given: Arguments) -> list[Arguments]:
    negative = {"eigenvalues": np.ones(1), "initial_error": 1.0, "lr": np.full(3, 0.51), "batch": 1.0, "kurtosis": 1.0}
    return [*_outside(given), {"kurtosis": 0.99}, negative]


def _draw_constant(rng: np.random.Generator) -> Arguments:
    given = draw_regression(rng)
    given["batch"], given["kurtosis"] = float(rng.choice(BATCHES)), float(rng.choice([1.8, 3.0, 6.0]))
    x = rng.uniform(0.02, 0.95)
    # For kurtosis < 2, q_i > 0 is a condition of its own.
    return {**given, "lr": min(x * _critical(given), 0.6 / given["eigenvalues"][0])}


def _draw_fft(rng: np.random.Generator) -> Arguments:
    return {**_draw_constant(rng), "steps": int(rng.integers(1, 1500))}


def _constant(given: Arguments) -> Risk:
    """Totals at every step."""
    bias, variance = _all_steps({**given, "lr": np.full(int(np.max(given["steps"])), given["lr"])})
    return Risk(bias.sum(axis=1), variance.sum(axis=1))


def _scaled(risk: Risk, given: Arguments, true: Risk) -> Any:
    """An FFT rounds relative to the largest value, so bias is compared on that scale."""
    bias, variance = risk.bias.reshape(true.bias.shape), risk.variance.reshape(true.bias.shape)
    return {"bias": bias / true.bias.max() + 1.0, "variance": variance[1:]}


def _draw_spectral(rng: np.random.Generator) -> Arguments:
    return {**_draw_constant(rng), "steps": np.unique(np.geomspace(1, rng.integers(10, 2000), 8).astype(int))}


def _spectral(given: Arguments) -> Any:
    lr, steps = np.full(int(given["steps"][-1]), given["lr"]), given["steps"]
    bias, variance = _all_steps({**given, "lr": lr})
    return {
        name: part.sum(axis=1)[steps]
        for name, part in (("risk", bias + variance), ("bias", bias), ("variance", variance))
    }


def _outside_constant(steps: Any) -> list[Arguments]:
    ones = {"eigenvalues": np.ones(8), "initial_error": 1.0, "lr": 0.1, "batch": 1.0, "kurtosis": 3.0, "steps": steps}
    changes: list[Arguments] = [
        {"lr": 0.0},
        {"batch": 0.5},
        {"kurtosis": 0.99},
        {"lr": 0.2 * (1.0 + 1e-9)},
        {"noise_variance": -1e-9},
    ]
    return [{**ones, **change} for change in changes]


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


def _isotropic(given: Arguments) -> Risk:
    dim, lam = given["dim"], given["eigenvalue"]
    error = np.sqrt(2.0 * given["initial_risk"] / (dim * lam))
    full = {
        **given,
        "eigenvalues": np.full(dim, lam),
        "initial_error": np.full(dim, error),
        "lr": np.full(59, given["lr"]),
    }
    bias, variance = _all_steps(full)
    return Risk(bias.sum(axis=1), variance.sum(axis=1))


def _finer(given: Arguments) -> list[FloatArray]:
    """The same sum of learning rates in 32, 128, 512 and 2048 steps."""
    out = []
    for steps in (32, 128, 512, 2048):
        lr = given["lr"][::4] if steps == 32 else np.repeat(given["lr"], steps // 128)
        out.append(lr * (128.0 / steps) * (given["lr"].sum() / (lr.sum() * 128.0 / steps)))
    return out


CHECKS = [
    Check("sgd_volterra", _draw, _all_steps, _outside_volterra, rtol=1e-11, cost=0.03),
    Check("sgd_volterra_constant", _draw_fft, _constant, _outside_constant(10), parts=_scaled, cost=0.02),
    Check(
        "sgd_spectral",
        _draw_spectral,
        _spectral,
        _outside_constant([10]),
        says=lambda risk, given: {"risk": risk.total, "bias": risk.bias.sum(-1), "variance": risk.variance.sum(-1)},
    ),
    Check(
        "sgd_isotropic",
        _draw_isotropic,
        _isotropic,
        [
            {"eigenvalue": 0.0},
            {"dim": 0},
            {"noise_variance": -1e-9},
            {"batch": 0.5},
            {"dim": 6, "batch": 1.0, "eigenvalue": 1.0, "lr": 0.25},
        ],
        says=lambda risk, given: Risk(risk.bias[:, 0], risk.variance[:, 0]),
        rtol=1e-11,
    ),
    Check(
        "homogenized_sgd",
        draw_fine,
        lambda given: along_finer(given, _finer(given), last_step),
        _outside,
        says=lambda risk, given: along_finer(given, _finer(given), homogenized_sgd),
        rtol=0.01,
        cost=0.4,
    ),
]
