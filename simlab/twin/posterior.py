"""What a fit leaves: optima with their covariances, and the curves that follow from them with their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door, notice
from simlab.errors import InputError, check_array, check_number
from simlab.schedules import Schedule
from simlab.twin.blocks import WIDTH, Blocks, cut
from simlab.twin.curves import as_schedule
from simlab.twin.likelihood import Errors
from simlab.twin.model import Walk, run
from simlab.twin.parameters import NODES, PARAMETERS, Optimizer, noisier
from simlab.twin.table import table
from simlab.twin.transient import Transient

__all__ = ["Band", "Difference", "Mode", "Posterior", "records"]

OCTAVES: IntArray = np.unique(np.floor(np.log2(NODES)).astype(np.int64))
"""k of the octaves [2^k, 2^(k+1)) of curvature."""

BEYOND = 1.05
"""A peak of so many times the trained ones is an extrapolation."""


BELOW = 1.25
"""So is a peak this many times lower: at 0.7 of it small models were 0.03 off and at half 0.07, a 124M one 0.006."""


AFAR = 4.0
"""So is a run of so many times the longest: three times as long was missed by 0.006, at 25M."""


class Mode(NamedTuple):
    """One optimum: theta (16,), its covariance (16, 16), and its share in predictions."""

    theta: FloatArray
    covariance: FloatArray
    weight: float


@dataclass(frozen=True, eq=False)
class Band:
    """A predicted curve.

    steps (K,).  loss (K,): mean.  lower, upper (K,): where a measured loss lies with probability `level`.  deviation
    (K,): standard deviation of the mean curve alone.  floor : the loss at the end of the river.  river (K,), valley
    (K, octaves): what is above it, the river with the transient of all runs; floor + river + sum of valley = loss.
    octaves : k of [2^k, 2^(k+1)), of curvature times the reference rate.  beyond : how the schedule leaves what was
    trained on, in a sentence, or "".
    """

    steps: IntArray
    loss: FloatArray
    lower: FloatArray
    upper: FloatArray
    deviation: FloatArray
    level: float
    floor: float
    river: FloatArray
    valley: FloatArray
    octaves: IntArray
    beyond: str = ""

    def __repr__(self) -> str:
        low, high = float(self.lower[-1]), float(self.upper[-1])
        return f"Band: {self.loss[-1]:.4f} [{low:.4f}, {high:.4f}] after {self.steps[-1]} steps, level {self.level:g}"


class Difference(NamedTuple):
    """The final loss of one schedule minus that of another, and its interval."""

    difference: float
    lower: float
    upper: float


@dataclass(frozen=True, eq=False, repr=False)
class Posterior:
    """Where the parameters are, and how well they are known.

    modes : optima with their shares, the largest first.  reference : the learning rate that is 1, the highest trained.
    span : S_ref.  priors (2, 16): centres and spreads.  free : names of the parameters that were fitted.  longest :
    steps of the longest curve.  lowest : the lowest peak of a curve.  batch : the one that all predictions are for,
    None where the curves did not tell it.  doubts : what its curves cannot tell.  transient : what all
    runs are off early on, or None.
    """

    modes: tuple[Mode, ...]
    reference: float
    span: float
    errors: Errors
    optimizer: Optimizer
    weight_decay: float | None
    priors: FloatArray
    free: tuple[str, ...]
    longest: int
    lowest: float
    batch: float | None = None
    doubts: tuple[str, ...] = ()
    transient: Transient | None = None

    @property
    def parameters(self) -> dict[str, tuple[float, float]]:
        """name -> value and standard deviation at the best optimum, of what is free."""
        theta, covariance, _ = self.modes[0]
        out = {}
        for j, p in enumerate(PARAMETERS):
            if p.name in self.free:
                out[p.name] = (float(theta[j]), float(np.sqrt(max(covariance[j, j], 0.0))))
        return out

    @door
    def at_batch(self, batch: float) -> Self:
        """The same twin for runs of another batch: gradient noise goes as 1 / batch, and nothing else changes.

        So it is for SGD. Of Adam, whose normalised step changes with the noise, it is the part at a given rate.
        Raises InputError where the curves did not tell their batch.
        """
        batch = check_number("batch", batch, low=0.0, open_low=True)
        if self.batch is None:
            raise InputError(" of the curves is not known; fit curves that have one: Curve(..., batch = ...).", "batch")
        log = math.log(self.batch / batch)
        modes = tuple(mode._replace(theta=noisier(mode.theta, log)) for mode in self.modes)
        return replace(self, modes=modes, batch=batch)

    @door
    def predict(
        self, schedule: Schedule | npt.ArrayLike, level: float = 0.9, steps: npt.ArrayLike | None = None
    ) -> Band:
        """The curve under another schedule, with an interval for a measured loss.

        schedule : a Schedule or learning rates (T,), warmup included.  steps (K,) ascending, 0 .. T; default every
        64th (of long runs less often: some 500), and the end.  Means and variances of several optima are mixed.
        Raises InputError for steps beyond the schedule.
        """
        taken = as_schedule(schedule)
        level = check_number("level", level, low=0.0, high=0.9999, open_low=True)
        at, blocks = records(taken, steps)
        walks = [self.walk(mode, blocks) for mode in self.modes]
        mean, variance = self.mixed(walks)
        half = _quantile(level) * np.sqrt(variance + self.errors.misfit**2 + self.errors.deviation(at) ** 2)
        river, valley = np.zeros(at.size), np.zeros((at.size, OCTAVES.size))
        member = np.floor(np.log2(NODES)).astype(np.int64)[:, None] == OCTAVES
        for mode, walk in zip(self.modes, walks, strict=True):
            river += mode.weight * walk.river
            valley += mode.weight * (walk.valley @ member)
        floor = sum(mode.weight * float(mode.theta[0]) for mode in self.modes)
        beyond = self.beyond(taken)
        if beyond:
            notice(beyond)
        deviation = np.sqrt(variance)
        parts = (floor, river, valley, OCTAVES)
        return Band(at, mean, mean - half, mean + half, deviation, level, *parts, beyond)

    def walk(self, mode: Mode, blocks: Blocks, slopes: FloatArray | None = None, derivatives: bool = True) -> Walk:
        """The curve of one optimum at the blocks' edges (see `simlab.twin.model.run`); its river has what is common."""
        walk = run(mode.theta, blocks, self.reference, self.span, slopes, derivatives)
        if self.transient is None:
            return walk
        tangents = np.zeros((blocks.counts.size, 0)) if slopes is None else slopes
        value, ways = self.transient.along(blocks, self.reference, self.errors, tangents)
        if derivatives:
            walk.jacobian[:, len(PARAMETERS) :] += ways
        return walk._replace(loss=walk.loss + value, river=walk.river + value)

    def mixed(self, walks: list[Walk]) -> tuple[FloatArray, FloatArray]:
        """Mean and variance (K,) of the mean curve over all optima."""
        mean = np.zeros_like(walks[0].loss)
        square = np.zeros_like(mean)
        for mode, walk in zip(self.modes, walks, strict=True):
            jacobian = walk.jacobian[:, : len(PARAMETERS)]
            mean += mode.weight * walk.loss
            own = np.maximum(((jacobian @ mode.covariance) * jacobian).sum(axis=1), 0.0)
            square += mode.weight * (own + (walk.loss - walks[0].loss) ** 2)
        return mean, np.maximum(square - (mean - walks[0].loss) ** 2, 0.0)

    def ends(self, schedule: Schedule, quiet: bool = False) -> list[Walk]:
        """The last loss under a schedule, of each optimum; a notice, unless quiet, where it is beyond the trained."""
        beyond = "" if quiet else self.beyond(schedule)
        if beyond:
            notice(beyond)
        steps = np.array([len(schedule)])
        blocks = cut(schedule.values(), steps)
        return [self.walk(mode, blocks) for mode in self.modes]

    def difference(self, first: list[Walk], second: list[Walk], level: float) -> Difference:
        """Of two schedules' `ends`: what they have in common cancels in its interval."""
        size = len(PARAMETERS)
        pairs = [
            Walk(a.loss - b.loss, a.river, a.valley, a.jacobian[:, :size] - b.jacobian[:, :size])
            for a, b in zip(first, second, strict=True)
        ]
        mean, variance = self.mixed(pairs)
        middle, half = float(mean[0]), _quantile(level) * float(np.sqrt(variance[0]))
        return Difference(middle, middle - half, middle + half)

    @door
    def beyond(self, schedule: Schedule | npt.ArrayLike) -> str:
        """How a schedule leaves what was trained on, in a sentence or two, or ""."""
        taken = as_schedule(schedule)
        peak, said = taken.peak(), []
        if peak < self.lowest / BELOW:
            said.append(
                f"The schedule's peak {peak:.4g} lies below {self.lowest:.4g}, the lowest that was trained at; a short "
                f"run there tells most of it."
            )
        if peak > BEYOND * self.reference:
            said.append(
                f"The schedule's peak {peak:.4g} lies above {self.reference:.4g}, the highest that was trained at; the "
                f"twin knows nothing of instabilities there."
            )
        if len(taken) > AFAR * self.longest:
            said.append(f"The schedule's {len(taken)} steps are far more than {self.longest}, the most trained for.")
        return " ".join(said)

    def __repr__(self) -> str:
        theta, covariance, _ = self.modes[0]
        several = f", the best of {len(self.modes)} optima" if len(self.modes) > 1 else ""
        batch = f" and batch {self.batch:g}" if self.batch is not None else ""
        head = f"{type(self).__name__} ({self.optimizer}) at the reference rate {self.reference:.4g}{batch}{several}"
        return "\n".join([head, table(theta, covariance, self.priors[1], self.free), *self.doubts])


def records(schedule: Schedule, steps: Any = None) -> tuple[IntArray, Blocks]:
    """The steps (K,) at which a curve is told, and the blocks up to the last of them."""
    length = len(schedule)
    if steps is None:
        every = WIDTH * max(1, round(length / (500 * WIDTH)))
        at = np.append(np.arange(0, length, every), length).astype(np.int64)
    else:
        given = check_array("steps", steps, low=0.0)
        if np.any(given != np.floor(given)) or np.any(np.diff(given) <= 0.0) or given[-1] > length:
            raise InputError(f" are not whole numbers in ascending order from 0 to {length}; give such.", "steps")
        at = given.astype(np.int64)
    return at, cut(schedule.values(0, int(at[-1])), at)


def _quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + 0.5 * level))
