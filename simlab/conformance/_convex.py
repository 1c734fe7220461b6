"""Convex functions on which the subgradient method is run, to hold last-iterate bounds against.

Nothing here knows a bound: a function is its affine pieces, a run takes the piece that is largest where it stands.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.conformance.check import Arguments
from simlab.theory.hard_instance import HardInstance

__all__ = ["Pieces", "bad_runs", "draw_lr", "draw_norms", "fixed", "hard_pieces", "random_pieces", "run"]

FloatArray = npt.NDArray[np.float64]


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


def bad_runs(good: Arguments, norms: str | None = "gradient_norms", rate: str = "lr") -> list[Arguments]:
    """The arguments with a learning rate, a norm and a distance that are not positive."""
    lr = np.array(good[rate], dtype=np.float64)
    lr[lr.size // 2] = 0.0
    changed: list[dict[str, Any]] = [{rate: lr}, {"distance": 0.0}]
    if norms is not None:
        changed.append({norms: np.asarray(good[norms], dtype=np.float64) * 0.0})
    return [{**good, **change} for change in changed]
