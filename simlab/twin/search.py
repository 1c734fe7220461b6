"""The schedule that a twin ends lowest with, among all that run through a few knots."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.one_thread import one_thread
from simlab.schedules import Schedule, constant, cosine, from_array, join, linear, wsd
from simlab.twin.blocks import Blocks, cut
from simlab.twin.parameters import PARAMETERS
from simlab.twin.posterior import Difference, Posterior

__all__ = ["Best", "Rival", "best_schedule"]

LOWEST = 1e-3
"""Least sqrt(lr / peak) at a knot: a rate of a millionth of the peak."""


class Rival(NamedTuple):
    """A usual schedule: its final loss, and how far it lies above the optimum's, with the interval."""

    schedule: Schedule
    loss: float
    above: Difference


class Best(NamedTuple):
    """What `Twin.optimize` answers.

    schedule : through the knots.  loss : its final loss.  gain : the final loss of a cosine to a tenth minus its own.
    rivals : usual schedules of the same length and peak, the best first.  as_good : those that lie above it by no more
    than their interval or 0.001.
    """

    schedule: Schedule
    loss: float
    gain: Difference
    rivals: tuple[Rival, ...]

    @property
    def as_good(self) -> tuple[Rival, ...]:
        return tuple(r for r in self.rivals if r.above.lower <= 0.0 or r.above.difference <= 1e-3)

    def __repr__(self) -> str:
        lines = [
            f"final loss {self.loss:.4f}; {self.gain.difference:.4f} [{self.gain.lower:.4f}, {self.gain.upper:.4f}] "
            "below a cosine to a tenth"
        ]
        lines += [
            f"  {r.above.difference:+.4f} [{r.above.lower:+.4f}, {r.above.upper:+.4f}] {r.schedule!r}"
            for r in self.rivals
        ]
        return "\n".join(lines)


class _Knots(NamedTuple):
    """Knots at u in [0, 1] of the steps after the warmup, between which sqrt(lr) is linear."""

    steps: int
    peak: float
    warmup: int
    at: FloatArray

    def shares(self, steps: npt.NDArray[Any]) -> FloatArray:
        """(n, knots): what each knot adds to sqrt(lr / peak) at steps behind the warmup."""
        u = (steps - self.warmup) / (self.steps - self.warmup)
        return np.column_stack([np.interp(u, self.at, row) for row in np.eye(self.at.size)])

    def schedule(self, heights: FloatArray) -> Schedule:
        rest = self.shares(np.arange(self.warmup, self.steps)) @ heights
        tail = from_array(self.peak * rest**2)
        if not self.warmup:
            return tail
        return join(constant(self.warmup, self.peak * float(rest[0]) ** 2, warmup=self.warmup), tail)


def best_schedule(posterior: Posterior, steps: int, peak: float, warmup: int, knots: int, level: float) -> Best:
    """The best of two descents (L-BFGS-B, exact gradients), from a WSD and from a linear decay, beside usual schedules.

    Knots lie closer together towards the end. Nothing asks the rate to fall, and the peak bounds it.
    """
    from scipy.optimize import minimize

    way = _Knots(steps, peak, warmup, np.sin(0.5 * math.pi * np.linspace(0.0, 1.0, knots)))
    blocks = cut(constant(steps, peak, warmup=warmup).values(), np.array([steps]))
    middles = 0.5 * (blocks.starts[1:] + blocks.starts[:-1])
    ramped = middles < warmup
    shares = way.shares(np.maximum(middles, warmup))
    lift = np.where(ramped, middles / max(warmup, 1), 1.0)

    def cost(heights: FloatArray) -> tuple[float, FloatArray]:
        root = shares @ heights
        slopes = 2.0 * (lift * root)[:, None] * shares * (peak / posterior.reference)
        run = Blocks(blocks.starts, blocks.counts, peak * lift * root**2, blocks.edges)
        total, gradient = 0.0, np.zeros(knots)
        for mode in posterior.modes:
            walk = posterior.walk(mode, run, slopes)
            total += mode.weight * float(walk.loss[0])
            gradient += mode.weight * walk.jacobian[0, len(PARAMETERS) :]
        return total, gradient

    starts = [np.clip((1.0 - way.at) / 0.25, LOWEST, 1.0) ** 0.5, np.clip(1.0 - way.at, LOWEST, 1.0) ** 0.5]
    bounds = [(LOWEST, 1.0)] * knots
    options = {"maxiter": 400, "ftol": 1e-12, "gtol": 1e-8}
    with one_thread():
        found = [minimize(cost, x, jac=True, method="L-BFGS-B", bounds=bounds, options=options) for x in starts]
    schedule = way.schedule(min(found, key=lambda one: float(one.fun)).x)
    own = posterior.ends(schedule)
    rivals = []
    for usual in _usual(steps, peak, warmup):
        walks = posterior.ends(usual, quiet=True)
        loss = float(posterior.mixed(walks)[0][0])
        rivals.append(Rival(usual, loss, posterior.difference(walks, own, level)))
    gain = posterior.difference(posterior.ends(cosine(steps, peak, floor=0.1, warmup=warmup), quiet=True), own, level)
    return Best(
        schedule, float(posterior.mixed(own)[0][0]), gain, tuple(sorted(rivals, key=lambda r: r.above.difference))
    )


def _usual(steps: int, peak: float, warmup: int) -> list[Schedule]:
    out = [
        wsd(steps, peak, warmup=warmup, cooldown=share, shape=shape)
        for shape in ("linear", "1-sqrt")
        for share in (0.1, 0.2, 0.3, 0.4)
    ]
    return [
        *out,
        cosine(steps, peak, warmup=warmup),
        cosine(steps, peak, floor=0.1, warmup=warmup),
        linear(steps, peak, warmup=warmup),
    ]
