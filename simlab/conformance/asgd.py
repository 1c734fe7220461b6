"""Checks of theory.asgd: eigenvalues of simlab's own matrices, Lyapunov equations, long exact runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import simlab as sl
from simlab.conformance._two_state import constant, draw_spectrum, lyapunov_response
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.theory import asgd as t
from simlab.theory.two_state import TwoState

FloatArray = npt.NDArray[np.float64]
LONG = 60_000


def draw_parameters(rng: np.random.Generator, lam: FloatArray) -> Arguments:
    """delta and gamma well inside stability, beta from fast to slow averaging."""
    delta = rng.uniform(0.05, 1.0) / (2.0 * 3.0 * lam.sum())
    gamma = delta * 10.0 ** rng.uniform(0.0, 2.0)
    beta = min(delta / (3.0 * rng.integers(1, lam.size + 2) * gamma) * 10.0 ** rng.uniform(-0.5, 0.3), 0.9)
    return {"eigenvalues": lam, "delta": delta, "gamma": gamma, "beta": beta}


def roots(given: Arguments) -> npt.NDArray[np.complex128]:
    """Eigenvalues (d, 2) of M - lam b c^T, from simlab's asgd."""
    method = sl.methods.asgd(constant(1, given["delta"]), given["gamma"], given["beta"])
    M, b, c = (part[0] for part in method.coefficients())
    out = np.linalg.eigvals(M[None] - given["eigenvalues"][:, None, None] * np.outer(b, c)[None])
    return out.astype(np.complex128)


def _draw(rng: np.random.Generator) -> Arguments:
    return draw_parameters(rng, draw_spectrum(rng, 2))


def _draw_steps(rng: np.random.Generator) -> Arguments:
    return {**_draw(rng), "steps": np.geomspace(1, 1e6, 7).astype(int)}


def _outside_rule(rng: np.random.Generator) -> list[Arguments]:
    given = _draw(rng)
    return [
        {**given, "beta": 0.0},
        {**given, "beta": 1.0},
        {**given, "gamma": given["delta"] * (1.0 - 1e-9)},
        {**given, "delta": 0.0},
    ]


def _outside_bands(rng: np.random.Generator) -> list[Arguments]:
    given = _draw(rng)
    top = given["eigenvalues"][0]
    fast = {**given, "delta": 0.1 / top, "gamma": 1000.0 / top, "beta": 0.1}
    return [*_outside_rule(rng), fast, {**given, "delta": 1.001 / top, "gamma": 1.001 / top}]


def _outside_steps(rng: np.random.Generator) -> list[Arguments]:
    return [*_outside_bands(rng), {**_draw(rng), "steps": 0}]


def _compare_cutoffs(given: Arguments) -> Comparison:
    """Bands counted on the eigenvalues of simlab's matrices; k_star by the definition, one step count at a time."""
    found = roots(given)
    lam, delta = given["eigenvalues"], given["delta"]
    complex_ = np.flatnonzero(np.abs(found[:, 0].imag) > 0.0)
    stated = t.asgd_cutoffs(**given)
    names = ("k_hat", "k_star")
    true = [np.sum(np.abs(found).max(axis=1) > (1.0 - delta * lam) * (1.0 + 1e-9))]
    star = [np.sum(lam * (given["gamma"] + delta) * n >= 1.0) for n in given["steps"]]
    parts = dict(zip(names, (np.array(true, float), np.array(star, float)), strict=True))
    claims = dict(zip(names, (np.array([stated.k_hat], float), stated.k_star.astype(float)), strict=True))
    if complex_.size:
        parts["band"] = np.array([complex_[0], complex_[-1] + 1], dtype=np.float64)
        claims["band"] = np.array([stated.k_ddagger, stated.k_dagger], dtype=np.float64)
    else:
        parts["band"], claims["band"] = np.zeros(1), np.array([stated.k_dagger - stated.k_ddagger], dtype=np.float64)
    return Comparison(claims, parts)


def _compare_rate(given: Arguments) -> Comparison:
    edge = t.asgd_cutoffs(**given).k_dagger
    stated, true = t.asgd_rate_upper(**given), np.abs(roots(given)).max(axis=1)
    return _split(stated, true, edge)


def _split(stated: FloatArray, true: FloatArray, edge: int) -> Comparison:
    slices = {"head": slice(0, edge), "tail": slice(edge, None)}
    kept = {name: part for name, part in slices.items() if true[part].size}
    return Comparison({n: stated[p] for n, p in kept.items()}, {n: true[p] for n, p in kept.items()})


def _draw_load(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng, 2)
    k = int(rng.integers(1, lam.size))
    rule = t.li_2024_rule(lam, k, psi=3.0)
    given = {"delta": rule.delta, "gamma": rule.gamma, "beta": rule.beta}
    if rng.uniform() < 0.5:
        given = {name: value for name, value in draw_parameters(rng, lam).items() if name != "eigenvalues"}
    return {"eigenvalues": lam, "effective_dim": k, **given, "batch": float(rng.choice([1.0, 4.0]))}


def _compare_load(given: Arguments) -> Comparison:
    lam, k = given["eigenvalues"], given["effective_dim"]
    numbers = TwoState.asgd(given["delta"], given["gamma"], given["beta"])
    load = lam**2 * lyapunov_response(numbers, lam) / given["batch"]
    stated = t.asgd_noise_load_upper(**given)
    return Comparison(
        {"head": np.array([stated.head]), "tail": np.array([stated.tail])},
        {"head": np.array([load[:k].sum()]), "tail": np.array([load[k:].sum()])},
    )


def _outside_load(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_load(rng)
    more = {"effective_dim": given["effective_dim"]}
    far = {**given, "delta": 2.001 / given["eigenvalues"][0], "gamma": 2.001 / given["eigenvalues"][0]}
    return [{**bad, **more} for bad in _outside_rule(rng)] + [{**given, "effective_dim": 0}, far]


def _draw_amplification(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng, 2, 16, condition=20.0)
    rule = t.li_2024_rule(lam, int(rng.integers(1, lam.size)), psi=rng.uniform(2.0, 4.0))
    return {
        "eigenvalues": lam,
        "delta": rule.delta,
        "gamma": rule.gamma,
        "beta": rule.beta,
        "batch": float(rng.choice([1.0, 4.0])),
        "kurtosis": float(rng.choice([1.8, 3.0])),
    }


def _compare_amplification(given: Arguments) -> Comparison:
    """(R + sigma^2)/sigma^2 after 60,000 steps, R at the point u where the gradient is taken."""
    problem = sl.LinearRegression(given["eigenvalues"], 1.0, 1.0, given["kurtosis"])
    inner = sl.methods.asgd(constant(1, given["delta"]), given["gamma"], given["beta"])
    M, b, c = (part[0] for part in inner.coefficients())
    method = sl.methods.generic(M, b, c, o=c, steps=LONG, batch=given["batch"])
    trace = sl.exact(problem, method, record=[LONG], threads=1, progress=False)
    variance = float(trace.dataset["final_risk"].sel(component="variance").sum())
    return Comparison(
        {"risk": np.array([t.asgd_noise_amplification(**given)])}, {"risk": np.array([1.0 + 2.0 * variance])}
    )


def _outside_amplification(rng: np.random.Generator) -> list[Arguments]:
    lam = np.ones(8)
    return [*_outside_rule(rng), {"eigenvalues": lam, "delta": 0.2, "gamma": 0.2 + 1e-9, "beta": 0.5}]


def _draw_heavy_ball(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng)
    c = float(rng.choice([0.0, 0.5, 0.9, 0.999]) * rng.uniform(0.9, 1.0))
    return {"eigenvalues": lam, "lr": rng.uniform(0.001, 1.0) * (1.0 + np.sqrt(c)) ** 2 / lam[0], "momentum": c}


def _rates(given: Arguments) -> FloatArray:
    method = sl.methods.heavy_ball(constant(1, given["lr"]), given["momentum"])
    M, b, c = (part[0] for part in method.coefficients())
    A = M[None] - given["eigenvalues"][:, None, None] * np.outer(b, c)[None]
    rates: FloatArray = np.abs(np.linalg.eigvals(A)).max(axis=1)
    return rates


def _outside_heavy_ball(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_heavy_ball(rng)
    return [{**given, "momentum": 1.0}, {**given, "momentum": -1e-9}, {**given, "lr": 0.0}]


def _outside_fast(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_heavy_ball(rng)
    edge = (1.0 + np.sqrt(given["momentum"])) ** 2 / given["eigenvalues"][0]
    return [*_outside_heavy_ball(rng), {**given, "lr": edge * (1.0 + 1e-9)}]


CHECKS: list[Check] = [
    Check("asgd_cutoffs", _draw_steps, _compare_cutoffs, _outside_steps, rtol=1e-12),
    Check("asgd_rate_upper", _draw, _compare_rate, _outside_bands, rtol=1e-7),
    Check("asgd_noise_load_upper", _draw_load, _compare_load, _outside_load, rtol=1e-10),
    Check("asgd_noise_amplification", _draw_amplification, _compare_amplification, _outside_amplification, cost=0.06),
    Check(
        "heavy_ball_rate_lower",
        _draw_heavy_ball,
        lambda given: Comparison({"bias": t.heavy_ball_rate_lower(**given)}, {"bias": _rates(given)}),
        _outside_heavy_ball,
        rtol=1e-7,
    ),
    Check(
        "heavy_ball_rate_upper",
        _draw_heavy_ball,
        lambda given: Comparison({"bias": t.heavy_ball_rate_upper(**given)}, {"bias": _rates(given)}),
        _outside_fast,
        rtol=1e-7,
    ),
]
