"""Convex functions on which the subgradient method is run, to hold last-iterate bounds against.

Nothing here knows a bound: a function is its affine pieces, a run takes the piece that is largest where it stands.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np

from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments
from simlab.theory.hard_instance import HardInstance, hard_instance

__all__ = [
    "Pieces", "bad_runs", "double_sum", "draw_lr", "draw_norms", "draw_run", "fixed", "hard_pieces", "hard_run",
    "random_pieces", "random_run", "run", "worst_case", "wsd_profile",
]  # fmt: skip


class Pieces(NamedTuple):
    """f(x) = max_j slopes_j . x + offsets_j, with minimum 0 at `minimiser`; the run starts at the origin."""

    slopes: FloatArray
    offsets: FloatArray
    minimiser: FloatArray


def draw_lr(rng: np.random.Generator, low: int, high: int) -> FloatArray:
    """A schedule of low .. high steps: a named shape, roughened or not, of random height."""
    steps = int(rng.integers(low, high + 1))
    u = np.arange(steps) / steps
    cooldown = np.clip((1.0 - u) / rng.uniform(0.1, 1.0), 0.0, 1.0)
    shapes = [np.ones(steps), 1.0 - u, cooldown, 0.5 + 0.5 * np.cos(np.pi * u), 1.0 / np.sqrt(1.0 + steps * u)]
    rough = np.exp(rng.choice([0.0, 0.1, 1.0]) * rng.standard_normal(steps))
    out: FloatArray = shapes[rng.integers(len(shapes))] * rough * 10.0 ** rng.uniform(-3.0, 1.0)
    return out


def draw_norms(rng: np.random.Generator, steps: int) -> FloatArray | float:
    """Gradient norms: one number, a power of the step, or scattered."""
    kind = int(rng.integers(3))
    if kind == 0:
        return float(10.0 ** rng.uniform(-1.0, 1.0))
    rough = np.exp(0.3 * rng.standard_normal(steps)) if kind == 2 else np.ones(steps)
    norms: FloatArray = np.arange(1.0, steps + 1.0) ** rng.choice([-0.5, 0.0, 0.3]) * rough
    return norms


def draw_run(rng: np.random.Generator, longest: int, furthest: float) -> Arguments:
    """A schedule, gradient norms, and a distance of 10^-2 .. 10^furthest of what the run can cover."""
    lr = draw_lr(rng, 1, longest)
    norms = draw_norms(rng, lr.size)
    distance = float(np.sum(lr) * np.min(norms) * 10.0 ** rng.uniform(-2.0, furthest))
    return {"lr": lr, "gradient_norms": norms, "distance": distance}


def wsd_profile(steps: int, cooldown: int, shape: str = "linear") -> FloatArray:
    """Ones, then `cooldown` steps from 1 towards 0, sampled at j / cooldown."""
    u = np.arange(cooldown) / cooldown
    tail = 1.0 - (u if shape == "linear" else np.sqrt(u))
    return np.concatenate([np.ones(steps - cooldown), tail])


def double_sum(lr: FloatArray, gradient_norms: FloatArray, distance: float, horizon: int) -> float:
    """Omega_t of Schaipp et al. 2025 as printed, with its sums taken from the right."""
    eta = lr[:horizon]
    square = np.square(eta * np.broadcast_to(gradient_norms, lr.shape)[:horizon])
    S, Q = np.cumsum(eta[::-1])[::-1], np.cumsum(square[::-1])[::-1]
    inner = np.sum(eta[:-1] / S[1:] * Q[:-1] / S[:-1])
    return float(0.5 * (distance**2 + Q[0]) / S[0] + 0.5 * inner)


def fixed(arguments: Arguments) -> np.random.Generator:
    """A generator that depends on the arguments alone, so that a comparison is a function of them."""
    digest = hashlib.sha256(b"".join(np.asarray(value).tobytes() for value in arguments.values())).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def random_pieces(rng: np.random.Generator, norm: float, distance: float) -> Pieces:
    """A random cone max_j a_j . (x - x*), |a_j| <= norm, |x*| = distance, in 1 to 6 dimensions."""
    dim = int(rng.integers(1, 7))
    slopes: FloatArray = rng.standard_normal((4 * dim, dim))
    slopes = np.concatenate([slopes, -slopes])  # zero lies among their convex combinations: the cone is >= 0
    slopes *= norm * rng.uniform(0.3, 1.0, (8 * dim, 1)) / np.linalg.norm(slopes, axis=1, keepdims=True)
    slopes[0] *= norm / np.linalg.norm(slopes[0])
    minimiser = rng.standard_normal(dim)
    minimiser *= distance / np.linalg.norm(minimiser)
    return Pieces(slopes, -slopes @ minimiser, minimiser)


def hard_pieces(instance: HardInstance, lr: FloatArray) -> Pieces:
    """The function that an instance describes by its Gram matrix, in coordinates; the last piece is 0."""
    size, vectors = np.linalg.eigh(instance.gram)
    slopes = vectors * np.sqrt(np.maximum(size, 0.0))
    at = -np.concatenate([np.zeros((1, slopes.shape[1])), np.cumsum(lr[:-1, None] * slopes[:-1], axis=0)])
    offsets = instance.values - np.einsum("td,td->t", slopes, at)
    zero = np.zeros((1, slopes.shape[1]))
    return Pieces(
        np.concatenate([slopes, zero]),
        np.append(offsets, 0.0),
        -np.asarray(instance.weights @ slopes, dtype=np.float64),
    )


def run(pieces: Pieces, lr: FloatArray, in_turn: bool = False) -> tuple[FloatArray, FloatArray]:
    """f(x_t) and |g_t| for t = 1 .. T. With `in_turn` step t takes piece t where that one is largest to rounding."""
    x = np.zeros(pieces.slopes.shape[1])
    values, norms = np.empty(lr.size), np.empty(lr.size)
    for t, rate in enumerate(lr):
        heights = pieces.slopes @ x + pieces.offsets
        j = int(np.argmax(heights))
        values[t] = heights[j]
        if in_turn and heights[t] >= heights[j] - 1e-7 * (abs(heights[j]) + np.abs(heights).max()):
            j = t
        norms[t] = np.linalg.norm(pieces.slopes[j])
        x = x - rate * pieces.slopes[j]
    return values, norms


def random_run(given: Arguments, lr: FloatArray) -> FloatArray:
    """f(x_t) on a random function with the smallest of the gradient norms."""
    return run(random_pieces(fixed(given), float(np.min(given["gradient_norms"])), given["distance"]), lr)[0]


def hard_run(lr: FloatArray, norms: Any, distance: float) -> tuple[Pieces, FloatArray, FloatArray]:
    """The worst function of this schedule, and f(x_t) and |g_t| of the run on it."""
    pieces = hard_pieces(hard_instance(lr, norms, distance), lr)
    return pieces, *run(pieces, lr, in_turn=True)


def worst_case(lr: FloatArray, norm: float, distance: float) -> float:
    """f(x_T) of a run on the worst function of this schedule, which is checked on the way.

    Checked: |g_t| <= norm, the minimum 0 is attained at the stated distance.
    """
    pieces, values, norms = hard_run(lr, norm, distance)
    at_minimiser = pieces.slopes @ pieces.minimiser + pieces.offsets
    honest = (
        np.all(norms <= norm * (1.0 + 1e-9))
        and abs(np.linalg.norm(pieces.minimiser) / distance - 1.0) < 1e-7
        and np.max(at_minimiser) <= 1e-7 * max(values[0], norm * distance)
    )
    return float(values[-1]) if honest else np.nan


def bad_runs(good: Arguments, norms: str = "gradient_norms", rate: str = "lr") -> list[Arguments]:
    """A learning rate, a distance and norms that are not positive."""
    lr = np.array(good[rate], dtype=np.float64)
    lr[lr.size // 2] = 0.0
    return [{rate: lr}, {"distance": 0.0}, {norms: np.asarray(good[norms], dtype=np.float64) * 0.0}]
