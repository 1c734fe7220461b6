"""Whether single precision is enough for a sampled run: what rounding does to the slowest motions of its state.

Every step rounds every coordinate, by up to eps / 2 of it (eps = 2^-23). Where a step moves a coordinate by many times
that, and by a different amount each time, the roundings average out. Where it moves it by less, they do not: rounding
to nearest takes a part f of the motion away, all of it in the end, and no number of replicas shows it, for they all
stall alike. With s the size of a step over eps / 2, measured on x x^T products of a Gaussian, f is about 0.2 s^-1.5,
and always below 1 / (2 m), m being the mean motion over eps / 2. An average a <- a + q (w - a) stalls in the same way
at q |w - a|; and a coefficient within eps of 1 is itself rounded, which moves its rate.

What is lost this way is summed over a run, for each mode in proportion to it, and compared with the standard error of
the mean of all modes like it; that is a matter of a few dozen steps and modes and costs milliseconds. Against float32
and float64 runs on the same words the estimate was right within a factor of three for plain steps and up to ten times
too large for averages and weight decay.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.methods.base import Coefficients, Method
from simlab.methods.response import active_states
from simlab.problems.draws import Draws

__all__ = ["Loss", "rounding_loss"]


HALF = 2.0**-24
"""eps / 2 of float32: what a rounding may take of a number."""
STRETCHES, MODES = 64, 48
"""Steps and modes that are looked at, each for those around it."""
SYSTEMATIC = 0.5 * HALF
"""What it takes on average where it takes the same at every step."""
LEAST = 1e-5
"""A loss below this is none, relative to the coordinate."""
FEWEST_REPLICAS = 1024
"""The standard error is that of so many replicas where there are fewer: a replica's bits do not depend on the others'
number."""
SPENT = 10.0
"""A mode that has decayed by exp(-SPENT) is what later noise makes of it: what was lost before is forgotten."""
WILD = 1e3
"""A step that multiplies a mode by this lets the run diverge, in any precision."""
RANGE = 1e30
"""float32 ends at 3e38 and 1e-38; products of two numbers must stay within."""
STILL = 1e-14
"""An eigenvalue as close to 1 as this is a coordinate that does not move."""


class Loss(NamedTuple):
    """What float32 loses of the mode (counted from 1) that suffers most.

    share : of its risk, relatively.  rate : the slowest relative motion of it in a step.  allowed : the `share` that
    would not show.
    """

    share: float
    mode: int
    rate: float
    allowed: float

    @property
    def shows(self) -> bool:
        """Whether float32 would be seen to be wrong."""
        return self.share > self.allowed


class _Modes(NamedTuple):
    """Groups of modes, each by its slowest, the last: index and lam of it, (n,).

    Beside these their number, and the largest and the sum of squares of their whitened starts, sqrt(lam) times the
    initial error.
    """

    last: npt.NDArray[np.int64]
    lam: FloatArray
    number: npt.NDArray[np.int64]
    start: FloatArray
    power: FloatArray


def rounding_loss(draws: Draws, method: Method, whole: bool, replicas: int) -> Loss:
    """What single precision takes away in a run of `method`; `whole`: the noise is in the trajectory of the start."""
    with np.errstate(all="ignore"):
        return _loss(draws, method, whole, replicas)


def _loss(draws: Draws, method: Method, whole: bool, replicas: int) -> Loss:
    weight, at = _stretches(method.length)
    parts = [method.coefficients(t, t + 1) for t in at]
    double = Coefficients(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    single = _rounded(double)
    mask = np.any([active_states(*step) for step in zip(*double, strict=True)], axis=0)
    modes = _groups(draws, float(np.abs(method.z0).max()))
    nothing = Loss(0.0, 1, 0.0, LEAST)
    if not mask.any() or not modes.last.size:
        return nothing
    rate, radius, shift = _motion(_active(double, mask), _active(single, mask), modes.lam)
    if not np.all(radius < WILD):
        return nothing
    largest = [draws.eigenvalues[0], modes.start.max(), *(np.abs(part).max() for part in double)]
    if not all(1.0 / RANGE < value < RANGE for value in largest):
        return Loss(1.0, 1, float(rate.min()), LEAST)
    decay = np.maximum(-np.log(np.maximum(radius, 1e-300)), 0.0)
    age = np.cumsum(weight[:, None] * decay, axis=0) - weight[:, None] * decay
    steps = np.clip((SPENT - age) / np.maximum(decay, 1e-300), 0.0, weight[:, None])
    noise, kick = _random_part(draws, modes, age, whole)
    inverse_batch = np.array([method.inverse_batch(t, t + 1)[0] for t in at])[:, None]
    jump = rate * noise * np.sqrt(inverse_batch)
    lost = steps * (rate * _part_lost(jump, rate * kick, steps.sum(axis=0)) + shift)
    error = np.sqrt(2.0 * np.sum(steps * jump**2, axis=0) / max(replicas, FEWEST_REPLICAS))
    moved = np.sum(steps * rate, axis=0)
    sway = np.sqrt(0.5 * rate) * noise * np.sqrt(inverse_batch)
    loss = lost.sum(axis=0) + np.minimum(_lost_by_averages(double, single, mask, weight, decay, sway), moved)
    allowed = np.maximum(LEAST, 0.5 * error / np.sqrt(modes.number))
    worst = int(np.argmax(loss / allowed))
    slowest = float(rate[int(np.argmax(lost[:, worst])), worst])
    return Loss(float(2.0 * loss[worst]), int(modes.last[worst]) + 1, slowest, float(2.0 * allowed[worst]))


def _stretches(length: int) -> tuple[FloatArray, list[int]]:
    """Steps in each of up to STRETCHES equal parts of a run, and the step in the middle of each."""
    edges = [j * length // min(STRETCHES, length) for j in range(min(STRETCHES, length) + 1)]
    return np.diff(edges).astype(np.float64), [(a + b - 1) // 2 for a, b in pairwise(edges)]


def _groups(draws: Draws, scale: float) -> _Modes:
    """Modes in groups of neighbours, of those that start somewhere."""
    last = np.unique(np.round(np.geomspace(1, draws.eigenvalues.size, MODES)).astype(np.int64)) - 1
    first = np.concatenate([[0], last[:-1] + 1])
    size = np.sqrt(draws.eigenvalues) * np.abs(draws.initial_error) * scale
    start, power = np.maximum.reduceat(size, first), np.add.reduceat(size**2, first)
    some = start > 0.0
    return _Modes(last[some], draws.eigenvalues[last[some]], (last - first + 1)[some], start[some], power[some])


def _rounded(coefficients: Coefficients) -> Coefficients:
    """The coefficients of single precision, and with a product's own rounding where a coordinate is not kept whole."""
    M, b, c = (array.astype(np.float32).astype(np.float64) for array in coefficients)
    own = np.einsum("tii->ti", M)
    whole = np.isin(own, (0.0, 1.0))
    own *= np.where(whole, 1.0, 1.0 + np.where(own > np.einsum("tii->ti", coefficients.M), HALF, -HALF))
    return Coefficients(M, b, c)


def _active(coefficients: Coefficients, mask: npt.NDArray[np.bool_]) -> Coefficients:
    M, b, c = coefficients
    return Coefficients(M[:, mask][:, :, mask], b[:, mask], c[:, mask])


def _gaps(A: FloatArray) -> tuple[FloatArray, FloatArray]:
    """|1 - mu| of the eigenvalues mu of matrices (..., k, k), ascending, and the largest |mu|; NaN where not finite."""
    good = np.all(np.isfinite(A), axis=(-2, -1))
    mu = np.full(A.shape[:-1], np.nan, dtype=np.complex128)
    mu[good] = A[good][..., 0] if A.shape[-1] == 1 else np.linalg.eigvals(A[good])
    return np.sort(np.abs(1.0 - mu), axis=-1), np.abs(mu).max(axis=-1)


def _slowest(gaps: FloatArray, rounded: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The smallest gap that moves at all (0: none), and how far the coefficients' own rounding shifts it."""
    which = np.argmax(gaps > STILL, axis=-1)[..., None]
    slow, other = (np.take_along_axis(array, which, axis=-1)[..., 0] for array in (gaps, rounded))
    moves = slow > STILL
    return np.where(moves, slow, 0.0), np.where(moves, np.abs(other - slow), 0.0)


def _motion(double: Coefficients, single: Coefficients, lam: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(rate, radius, shift), each (stretches, modes), of A = M - lam b c^T in exact and in rounded coefficients."""
    gaps, radius = _gaps(_steps_of(double, lam))
    rate, shift = _slowest(gaps, _gaps(_steps_of(single, lam))[0])
    return rate, radius, shift


def _steps_of(coefficients: Coefficients, lam: FloatArray) -> FloatArray:
    M, b, c = coefficients
    out: FloatArray = M[:, None] - lam[None, :, None, None] * (b[:, :, None] * c[:, None, :])[:, None]
    return out


def _random_part(draws: Draws, modes: _Modes, age: FloatArray, whole: bool) -> tuple[FloatArray, FloatArray]:
    """What a step multiplies the mean motion of a coordinate by at random (standard deviation), and where it acts.

    The inner product of a sample's features with the state pushes every coordinate, by as much as all of them are off;
    modes that have not decayed keep those that have from standing still. One-hot features push one at a time, harder.
    """
    left = modes.start * np.exp(-np.minimum(age, 300.0))
    if draws.law == "one_hot":
        kick = np.broadcast_to(draws.kurtosis[modes.last], age.shape)
        return np.zeros_like(age), kick
    if draws.law == "additive":
        own = draws.gradient_noise[modes.last] / np.sqrt(modes.lam) if whole else np.zeros(modes.last.size)
        return own / left, np.ones_like(age)
    noise = draws.noise**2 + (float(np.mean(draws.residual**2)) if draws.residual.size else 0.0)
    total = np.sum(modes.power * np.exp(-2.0 * np.minimum(age, 300.0)), axis=1, keepdims=True)
    return np.sqrt(total + (noise if whole else 0.0)) / left, np.ones_like(age)


def _part_lost(jump: FloatArray, motion: FloatArray, steps: FloatArray) -> FloatArray:
    """The part f of a motion that rounding takes away; jump and motion are relative to the coordinate.

    Without anything random the part of a step that is lost changes only as the coordinate itself does, a full turn in
    2 HALF / motion^2 steps: over many turns it is lost and found.
    """
    motion = np.maximum(motion, 1e-30)
    turns = np.maximum(steps * motion**2 / (2.0 * HALF), 1.0)
    return np.minimum(_dithered(jump), SYSTEMATIC / motion / np.sqrt(turns))


def _dithered(jump: FloatArray) -> FloatArray:
    return np.minimum(1.0, 0.2 * (np.maximum(jump, 1e-30) / HALF) ** -1.5)


def _lost_by_averages(
    double: Coefficients,
    single: Coefficients,
    mask: npt.NDArray[np.bool_],
    weight: FloatArray,
    decay: FloatArray,
    sway: FloatArray,
) -> FloatArray:
    """What coordinates that only average lose, as far as they remember it in the end; (modes,).

    `decay` (stretches, modes) is that of what they average: where it is the faster, an average lives on its past, and
    forgets nothing of it.
    """
    if mask.all():
        return np.zeros(sway.shape[1])
    blocks = [part.M[:, ~mask][:, :, ~mask] for part in (double, single)]
    rate, shift = (array[:, None] for array in _slowest(*(_gaps(block)[0] for block in blocks)))
    fresh = np.maximum(rate - decay, 1e-30)
    spent = weight[:, None] * fresh
    memory = np.exp(-(spent[::-1].cumsum(axis=0)[::-1] - spent))
    steps = np.where(rate > 0.0, memory * -np.expm1(-spent) / fresh, 0.0)
    held = np.where(rate > decay, _dithered(rate * sway), 1.0)
    # Where the rate changes, so does what is rounded away: see `_part_lost`.
    turns = np.maximum(np.abs(np.diff(rate, axis=0, append=rate[-1:])) / (2.0 * HALF), 1.0)
    out: FloatArray = np.sum(steps * (SYSTEMATIC * held + shift) / np.sqrt(turns), axis=0)
    return out
