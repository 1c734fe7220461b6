"""Where the posterior of a twin is highest: whitened residuals with their Jacobian, and descents from eight starts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.twin.blocks import Blocks
from simlab.twin.model import Walk, run
from simlab.twin.parameters import PARAMETERS, PLACE, noisier

__all__ = ["Data", "Target", "optima"]

EVALUATIONS = 100
"""The most that a descent may take."""

WILD = 1e3
"""A loss beyond this has diverged: a trial of the fit that is given up."""

NEAR = 2.0
"""Optima within so many units of log-posterior of the best are mixed."""

ROBUST = 2.0
"""Residuals beyond so many standard deviations count in proportion to their size (soft L1)."""


@dataclass(frozen=True)
class Data:
    """One curve as the fit sees it.

    losses (n,).  whitener (n, n) : of residuals.  noise : log of what its gradient noise is of the reference's.
    """

    blocks: Blocks
    losses: FloatArray
    whitener: FloatArray
    noise: float = 0.0


class Target:
    """Whitened residuals of all curves and of the priors, and their Jacobian, by the free parameters."""

    def __init__(
        self, data: Sequence[Data], reference: float, span: float, priors: FloatArray, fixed: Mapping[str, float]
    ) -> None:
        self.data, self.reference, self.span = data, reference, span
        self.base = np.array([fixed.get(p.name, p.start) for p in PARAMETERS])
        self.free = np.array([j for j, p in enumerate(PARAMETERS) if p.name not in fixed])
        self.low, self.high, self.scale = (
            np.array([getattr(PARAMETERS[j], field) for j in self.free]) for field in ("low", "high", "scale")
        )
        self.centres, self.spreads = priors[0][self.free], priors[1][self.free]
        self.held = np.isfinite(self.spreads)
        self.prior_rows = np.diag(1.0 / self.spreads)[self.held]
        self._last: tuple[bytes, FloatArray, FloatArray] | None = None

    def theta(self, x: FloatArray) -> FloatArray:
        theta = self.base.copy()
        theta[self.free] = x
        return theta

    def run(self, x: FloatArray, data: Data, derivatives: bool = True) -> Walk:
        """The curve of x under the conditions of data."""
        return run(noisier(self.theta(x), data.noise), data.blocks, self.reference, self.span, derivatives=derivatives)

    def at(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Residuals and Jacobian; the last ones are kept, as least_squares asks for each in turn."""
        key = x.tobytes()
        if self._last is None or self._last[0] != key:
            rows, slopes = [], []
            for data in self.data:
                walk = self.run(x, data)
                if not np.all(np.abs(walk.loss) < WILD):
                    size = sum(data.losses.size for data in self.data) + int(self.held.sum())
                    self._last = (key, np.full(size, WILD), np.zeros((size, self.free.size)))
                    return self._last[1], self._last[2]
                rows.append(data.whitener @ (walk.loss - data.losses))
                slopes.append(data.whitener @ walk.jacobian[:, self.free])
            rows.append((x - self.centres)[self.held] / self.spreads[self.held])
            self._last = (key, np.concatenate(rows), np.concatenate([*slopes, self.prior_rows]))
        return self._last[1], self._last[2]

    def projected(self, x: FloatArray) -> FloatArray:
        """x with L0, A and Q at their least squares for the shapes of river and valley there."""
        columns, targets = [], []
        for data in self.data:
            walk = self.run(x, data, derivatives=False)
            shapes = np.column_stack([np.ones_like(walk.loss), walk.river, walk.valley.sum(axis=1)])
            columns.append(data.whitener @ shapes)
            targets.append(data.whitener @ data.losses)
        found = np.linalg.lstsq(np.concatenate(columns), np.concatenate(targets), rcond=None)[0]
        out = x.copy()
        place = {int(j): k for k, j in enumerate(self.free)}
        if found[1] > 0.05 and found[2] > 0.05:
            out[place[PLACE["floor"]]] = found[0]
            out[place[PLACE["log_river"]]] += math.log(found[1])
            out[place[PLACE["log_noise"]]] += math.log(found[2])
        return np.clip(out, self.low + 1e-6, self.high - 1e-6)

    def descend(self, x: FloatArray) -> Any:
        """Scipy's result of a robust least-squares fit from x."""
        from scipy.optimize import least_squares

        return least_squares(
            lambda x: self.at(x)[0],
            x,
            lambda x: self.at(x)[1],
            bounds=(self.low, self.high),
            loss="soft_l1",
            f_scale=ROBUST,
            x_scale=self.scale,
            max_nfev=EVALUATIONS,
            ftol=1e-6,
            xtol=1e-6,
            gtol=None,
        )

    def starts(self) -> Iterator[FloatArray]:
        """Eight: the centres, an early river and a sharp valley, kappa lower and higher, four over the prior."""
        base = np.array([PARAMETERS[j].start for j in self.free])
        place = {PARAMETERS[j].name: k for k, j in enumerate(self.free)}
        base[self.held] = np.where(np.isin(self.free, [PLACE["log_kappa"]]), self.centres, base)[self.held]
        base[place["floor"]] = 0.95 * min(float(data.losses.min()) for data in self.data)

        def moved(**by: float) -> FloatArray:
            x = base.copy()
            for name, value in by.items():
                if name in place:
                    x[place[name]] += value
            return x

        yield base
        yield moved(log_cutoff=1.5, log_onset=1.5, tilt=-0.1)
        yield moved(log_kappa=-1.3)
        yield moved(log_kappa=1.5)
        share = 1.0 / _golden(int(self.held.sum())) ** np.arange(1, self.held.sum() + 1)
        for j in range(1, 5):
            x = base.copy()
            x[self.held] += (2.0 * ((0.5 + j * share) % 1.0) - 1.0) * 1.2 * self.spreads[self.held]
            yield x


def _golden(dimension: int) -> float:
    """The root of g^(d+1) = g + 1: multiples of its powers fill the cube evenly (Roberts 2018)."""
    g = 2.0
    for _ in range(60):
        g = (1.0 + g) ** (1.0 / (dimension + 1))
    return g


def optima(target: Target) -> list[Any]:
    """The distinct optima within NEAR of the best, ascending in cost."""
    found = [target.descend(target.projected(x)) for x in target.starts()]
    found.sort(key=lambda one: float(one.cost))
    kept: list[Any] = []
    for one in found:
        far = all(np.max(np.abs(one.x - other.x) / target.scale) > 1.0 for other in kept)
        if one.cost < found[0].cost + NEAR and far:
            kept.append(one)
    return kept
