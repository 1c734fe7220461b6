"""Accelerated SGD: eigenvalues of simlab's own matrices, Lyapunov equations, long exact runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import simlab as sl
from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.momentum import draw_spectrum, lyapunov_response
from simlab.conformance.draws.regression import constant, head_and_tail
from simlab.methods import Method
from simlab.theory.li2024 import Cutoffs, asgd_cutoffs, li_2024_rule
from simlab.theory.two_state import TwoState

LONG = 60_000


def draw_parameters(rng: np.random.Generator, lam: FloatArray) -> Arguments:
    """delta and gamma well inside stability, beta from fast to slow averaging."""
    delta = rng.uniform(0.05, 1.0) / (2.0 * 3.0 * lam.sum())
    gamma = delta * 10.0 ** rng.uniform(0.0, 2.0)
    beta = min(delta / (3.0 * rng.integers(1, lam.size + 2) * gamma) * 10.0 ** rng.uniform(-0.5, 0.3), 0.9)
    return {"eigenvalues": lam, "delta": delta, "gamma": gamma, "beta": beta}


def _roots(method: Method, lam: FloatArray) -> npt.NDArray[Any]:
    """Eigenvalues (d, 2) of M - lam b c^T."""
    M, b, c = (part[0] for part in method.coefficients())
    return np.linalg.eigvals(M[None] - lam[:, None, None] * np.outer(b, c)[None])


def roots(given: Arguments) -> npt.NDArray[np.complex128]:
    """Eigenvalues (d, 2) of one step of simlab's asgd."""
    method = sl.methods.asgd(constant(1, given["delta"]), given["gamma"], given["beta"])
    return _roots(method, given["eigenvalues"]).astype(np.complex128)


def _draw(rng: np.random.Generator) -> Arguments:
    return {**draw_parameters(rng, draw_spectrum(rng, 2)), "steps": np.geomspace(1, 1e6, 7).astype(int)}


def _outside(given: Arguments) -> list[Arguments]:
    return [{"beta": 0.0}, {"beta": 1.0}, {"gamma": given["delta"] * (1.0 - 1e-9)}, {"delta": 0.0}]


def _outside_bands(given: Arguments) -> list[Arguments]:
    top = given["eigenvalues"][0]
    fast = {"delta": 0.1 / top, "gamma": 1000.0 / top, "beta": 0.1}
    return [*_outside(given), fast, {"delta": 1.001 / top, "gamma": 1.001 / top}]


def _cutoffs(given: Arguments) -> Any:
    """Bands counted on the eigenvalues of simlab's matrices; k_star by the definition, one step count at a time."""
    found = roots(given)
    lam, delta = given["eigenvalues"], given["delta"]
    band = np.flatnonzero(np.abs(found[:, 0].imag) > 0.0)
    return {
        "k_hat": np.sum(np.abs(found).max(axis=1) > (1.0 - delta * lam) * (1.0 + 1e-9)),
        "k_star": [np.sum(lam * (given["gamma"] + delta) * n >= 1.0) for n in given["steps"]],
        "band": [band[0], band[-1] + 1] if band.size else [0],
    }


def _stated_cutoffs(cut: Cutoffs | dict[str, Any], given: Arguments, true: Any) -> Any:
    """The ends of the band of complex roots, and where there are none that it is empty."""
    if isinstance(cut, dict):
        return cut
    band = [cut.k_ddagger, cut.k_dagger] if len(true["band"]) == 2 else [cut.k_dagger - cut.k_ddagger]
    return {"k_hat": cut.k_hat, "k_star": cut.k_star, "band": band}


def _by_band(rates: FloatArray, given: Arguments, true: Any) -> Any:
    return head_and_tail(
        rates, asgd_cutoffs(given["eigenvalues"], given["delta"], given["gamma"], given["beta"]).k_dagger
    )


def _draw_load(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng, 2)
    k = int(rng.integers(1, lam.size))
    rule = li_2024_rule(lam, k, psi=3.0)
    given = {"eigenvalues": lam, "delta": rule.delta, "gamma": rule.gamma, "beta": rule.beta}
    if rng.uniform() < 0.5:
        given = draw_parameters(rng, lam)
    return {**given, "effective_dim": k, "batch": float(rng.choice([1.0, 4.0]))}


def _load(given: Arguments) -> Any:
    lam, k = given["eigenvalues"], given["effective_dim"]
    numbers = TwoState.asgd(given["delta"], given["gamma"], given["beta"])
    load = lam**2 * lyapunov_response(numbers, lam) / given["batch"]
    return {"head": load[:k].sum(), "tail": load[k:].sum()}


def _outside_load(given: Arguments) -> list[Arguments]:
    far = 2.001 / given["eigenvalues"][0]
    return [*_outside(given), {"effective_dim": 0}, {"delta": far, "gamma": far}]


def _draw_amplification(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng, 2, 16, condition=20.0)
    rule = li_2024_rule(lam, int(rng.integers(1, lam.size)), psi=rng.uniform(2.0, 4.0))
    return {
        "eigenvalues": lam,
        "delta": rule.delta,
        "gamma": rule.gamma,
        "beta": rule.beta,
        "batch": float(rng.choice([1.0, 4.0])),
        "kurtosis": float(rng.choice([1.8, 3.0])),
    }


def _amplification(given: Arguments) -> float:
    """(R + sigma^2)/sigma^2 after 60,000 steps, R at the point u where the gradient is taken."""
    problem = sl.LinearRegression(given["eigenvalues"], 1.0, 1.0, given["kurtosis"])
    inner = sl.methods.asgd(constant(1, given["delta"]), given["gamma"], given["beta"])
    M, b, c = (part[0] for part in inner.coefficients())
    method = sl.methods.generic(M, b, c, o=c, steps=LONG, batch=given["batch"])
    trace = sl.exact(problem, method, record=[LONG], threads=1, progress=False)
    return 1.0 + 2.0 * float(trace.dataset["final_risk"].sel(component="variance").sum())


def _outside_amplification(given: Arguments) -> list[Arguments]:
    unstable = {
        "eigenvalues": np.ones(8),
        "delta": 0.2,
        "gamma": 0.2 + 1e-9,
        "beta": 0.5,
        "batch": 1.0,
        "kurtosis": 3.0,
    }
    return [*_outside(given), unstable]


def _draw_heavy_ball(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng)
    c = float(rng.choice([0.0, 0.5, 0.9, 0.999]) * rng.uniform(0.9, 1.0))
    return {"eigenvalues": lam, "lr": rng.uniform(0.001, 1.0) * (1.0 + np.sqrt(c)) ** 2 / lam[0], "momentum": c}


def _rates(given: Arguments) -> Any:
    method = sl.methods.heavy_ball(constant(1, given["lr"]), given["momentum"])
    return {"bias": np.abs(_roots(method, given["eigenvalues"])).max(axis=1)}


def _outside_fast(given: Arguments) -> list[Arguments]:
    edge = (1.0 + np.sqrt(given["momentum"])) ** 2 / given["eigenvalues"][0]
    return [*HEAVY_BALL, {"lr": edge * (1.0 + 1e-9)}]


HEAVY_BALL: list[Arguments] = [{"momentum": 1.0}, {"momentum": -1e-9}, {"lr": 0.0}]
CHECKS = [
    Check(
        "asgd_cutoffs",
        _draw,
        _cutoffs,
        lambda given: [*_outside_bands(given), {"steps": 0}],
        parts=_stated_cutoffs,
        rtol=1e-12,
    ),
    Check(
        "asgd_rate_upper",
        _draw,
        lambda given: np.abs(roots(given)).max(axis=1),
        _outside_bands,
        parts=_by_band,
        rtol=1e-7,
    ),
    Check("asgd_noise_load_upper", _draw_load, _load, _outside_load, rtol=1e-10),
    Check("asgd_noise_amplification", _draw_amplification, _amplification, _outside_amplification, cost=0.06),
    Check("heavy_ball_rate_lower", _draw_heavy_ball, _rates, HEAVY_BALL, rtol=1e-7),
    Check("heavy_ball_rate_upper", _draw_heavy_ball, _rates, _outside_fast, rtol=1e-7),
]
