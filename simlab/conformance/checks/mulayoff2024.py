"""The second-moment operator averaged over every batch there is."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy.optimize import brentq

from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check


def batches(n: int, batch: int, sampling: str) -> tuple[FloatArray, FloatArray]:
    """(weights of the n terms, shape (m, n); probability, shape (m,)) of every batch of the sampling rule."""
    if sampling == "without":
        rows = [np.isin(np.arange(n), pick) / batch for pick in itertools.combinations(range(n), batch)]
        return np.array(rows), np.full(len(rows), 1.0 / len(rows))
    if sampling == "with":
        picks = itertools.product(range(n), repeat=batch)
        rows = [np.bincount(pick, minlength=n) / batch for pick in picks]
        return np.array(rows), np.full(len(rows), 1.0 / len(rows))
    kept = np.array(list(itertools.product([0.0, 1.0], repeat=n)))
    count = kept.sum(axis=1)
    return kept / batch, (batch / n) ** count * (1.0 - batch / n) ** (n - count)


def second_moments(hessians: FloatArray, lr: float, batch: int, sampling: str) -> FloatArray:
    """E[J (x) J] over all batches, J = I - lr sum_i weight_i H_i."""
    weights, chance = batches(len(hessians), batch, sampling)
    J = np.eye(hessians.shape[1]) - lr * np.einsum("mn,nab->mab", weights, hessians)
    d = hessians.shape[1]
    operator: FloatArray = np.einsum("m,mab,mcd->acbd", chance, J, J).reshape(d * d, d * d)
    return operator


def critical(hessians: FloatArray, batch: int, sampling: str) -> float:
    """The learning rate at which the spectral radius on the range of H crosses 1, by bisection."""
    values, vectors = np.linalg.eigh(hessians.mean(axis=0))
    basis = vectors[:, values > 1e-10 * values[-1]]
    reduced = np.einsum("ab,nac,cd->nbd", basis, hessians, basis)

    def excess(lr: float) -> float:
        return float(np.abs(np.linalg.eigvals(second_moments(reduced, lr, batch, sampling))).max()) - 1.0

    high = 1.0
    while excess(high) > 0.0:
        high *= 0.5
    while excess(high) < 0.0:
        high *= 2.0
    return float(brentq(excess, 0.5 * high, high, rtol=1e-13))


def draw_hessians(rng: np.random.Generator) -> FloatArray:
    """3 .. 5 PSD matrices of size 1 .. 3: random ranks, orthogonal or identical rank one."""
    n, d = int(rng.integers(3, 6)), int(rng.integers(1, 4))
    kind = rng.integers(4)
    if kind == 0:
        return float(rng.uniform(0.5, 2.0)) * np.repeat(np.ones((1, 1, 1)), n, axis=0)
    if kind == 1:
        return np.array([rng.uniform(0.2, 3.0) * np.outer(e, e) for e in np.eye(n)[:, :n]])[:, :4, :4][:4]
    rank = 1 if kind == 2 else d
    roots = rng.normal(size=(n, d, rank)) * 10.0 ** rng.uniform(-1.0, 0.5, size=(n, 1, 1))
    out: FloatArray = roots @ roots.transpose(0, 2, 1)
    return out


def _draw(rng: np.random.Generator) -> Arguments:
    hessians = draw_hessians(rng)
    return {"hessians": hessians, "batch": int(rng.integers(1, len(hessians) + 1))}


def _draw_sampling(rng: np.random.Generator) -> Arguments:
    return {**_draw(rng), "sampling": str(rng.choice(["without", "with", "bernoulli"]))}


def _threshold(given: Arguments) -> float:
    return critical(given["hessians"], given["batch"], given.get("sampling", "without"))


def _bernoulli(given: Arguments) -> float:
    return critical(given["hessians"], given["batch"], "bernoulli")


def _draw_covariance(rng: np.random.Generator) -> Arguments:
    hessians = draw_hessians(rng) + 0.1 * np.eye(1)
    d = hessians.shape[1]
    hessians = hessians + 0.1 * np.eye(d)
    n = len(hessians)
    batch = int(rng.integers(1, n))
    g = rng.normal(size=(n, d))
    lr = rng.uniform(0.1, 0.9) * critical(hessians, batch, "without")
    return {"hessians": hessians, "gradients": g - g.mean(axis=0), "lr": lr, "batch": batch}


def _fixed_point(given: Arguments) -> FloatArray:
    """Of E[w w^T] under all batches, with their gradients."""
    hessians, lr, batch, g = (given[name] for name in ("hessians", "lr", "batch", "gradients"))
    weights, chance = batches(len(hessians), batch, "without")
    d = hessians.shape[1]
    mean = weights @ g
    noise = lr**2 * np.einsum("m,ma,mb->ab", chance, mean, mean).ravel()
    return np.linalg.solve(np.eye(d * d) - second_moments(hessians, lr, batch, "without"), noise).reshape(d, d)


def _scaled(covariance: FloatArray, given: Arguments, true: FloatArray) -> Any:
    """Correlations may vanish, and are compared on their scale."""
    return {"risk": covariance / np.sqrt(np.outer(np.diag(true), np.diag(true))) + 2.0}


def _outside_covariance(given: Arguments) -> list[Arguments]:
    n, d = given["gradients"].shape
    flat = np.zeros((n, d + 1, d + 1))
    flat[:, :d, :d] = given["hessians"]
    wide = np.hstack([given["gradients"], np.zeros((n, 1))])
    edge = critical(given["hessians"], given["batch"], "without") * (1.0 + 1e-6)
    more = {"gradients": np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]), "lr": 0.1}
    return [
        *({**bad, **more} for bad in OUTSIDE),
        {"gradients": given["gradients"] + 1e-6},
        {"hessians": flat, "gradients": wide},
        {"lr": edge},
        {"lr": 0.0},
    ]


THREE = np.array([np.eye(2), 2.0 * np.eye(2), np.diag([1.0, 0.0])])
SPOT = np.zeros((3, 2, 2))
SPOT[0, 0, 1] = 1e-6
OUTSIDE: list[Arguments] = [
    {"hessians": THREE - (1.0 + 1e-6) * np.eye(2) * np.eye(3)[0, :, None, None], "batch": 1},
    {"hessians": THREE + SPOT, "batch": 1},
    {"hessians": np.zeros((3, 2, 2)), "batch": 1},
    {"hessians": THREE, "batch": 0.99},
    {"hessians": THREE, "batch": 3.01},
]
WHOLE: list[Arguments] = [*OUTSIDE, {"hessians": np.array([np.eye(2)] * 3), "batch": 1.5}]
CHECKS = [
    Check(
        "finite_sum_critical_lr",
        _draw_sampling,
        _threshold,
        [*OUTSIDE, {"sampling": "cyclic"}],
        rtol=1e-8,
        cost=0.05,
    ),
    Check("mulayoff_direction_upper", _draw, _threshold, WHOLE, cost=0.02),
    Check("mulayoff_trace_upper", _draw, _threshold, WHOLE, cost=0.02),
    Check(
        "finite_sum_covariance",
        _draw_covariance,
        _fixed_point,
        _outside_covariance,
        parts=_scaled,
        rtol=1e-8,
        cost=0.02,
    ),
    Check("dexter_coherence_upper", _draw, _bernoulli, OUTSIDE, cost=0.02),
    Check("single_hessian_upper", _draw, _bernoulli, OUTSIDE, cost=0.02),
]
