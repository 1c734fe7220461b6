"""`fit`: the twin of measured curves, from several starts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.doors import door, notice
from simlab.errors import InputError, check_number, unknown_name
from simlab.twin.blocks import Blocks, cut
from simlab.twin.curves import Curve, check_curves, fresh
from simlab.twin.likelihood import Errors, covariance_of, sandwich, white_noise
from simlab.twin.model import run
from simlab.twin.parameters import PARAMETERS, Optimizer, fixed_by, norm_rate
from simlab.twin.posterior import Mode
from simlab.twin.twin import Twin

__all__ = ["fit"]

NAMES = [p.name for p in PARAMETERS]
PLACE = {name: j for j, name in enumerate(NAMES)}
LINEAR = ("floor", "log_river", "log_noise")

LOOK, CLOSE = 12, 80
"""Evaluations after which the starts are compared, and the most that those go on with."""

WILD = 1e3
"""A loss beyond this has diverged: a trial of the fit that is given up."""

KEPT = 3
"""Starts that go on."""

NEAR = 2.0
"""Optima within so many units of log-posterior of the best are mixed."""

ROBUST = 2.0
"""Residuals beyond so many standard deviations count in proportion to their size (soft L1)."""


@dataclass(frozen=True)
class _Data:
    """One curve as the fit sees it: losses (n,), and the matrix (n, n) or vector (n,) that whitens residuals."""

    blocks: Blocks
    losses: FloatArray
    whitener: FloatArray

    def white(self, values: FloatArray) -> FloatArray:
        if self.whitener.ndim == 2:
            return np.asarray(self.whitener @ values)
        return (values.T * self.whitener).T


class _Target:
    """Whitened residuals of all curves and of the priors, and their Jacobian, by the free parameters."""

    def __init__(
        self, data: Sequence[_Data], reference: float, span: float, priors: FloatArray, fixed: Mapping[str, float]
    ) -> None:
        self.data, self.reference, self.span = data, reference, span
        self.base = np.array([fixed.get(p.name, p.start) for p in PARAMETERS])
        self.free = np.array([j for j, name in enumerate(NAMES) if name not in fixed])
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

    def at(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Residuals and Jacobian; the last ones are kept, as least_squares asks for each in turn."""
        key = x.tobytes()
        if self._last is None or self._last[0] != key:
            theta, rows, slopes = self.theta(x), [], []
            for data in self.data:
                walk = run(theta, data.blocks, self.reference, self.span)
                if not np.all(np.abs(walk.loss) < WILD):
                    size = sum(data.losses.size for data in self.data) + int(self.held.sum())
                    self._last = (key, np.full(size, WILD), np.zeros((size, self.free.size)))
                    return self._last[1], self._last[2]
                rows.append(data.white(walk.loss - data.losses))
                slopes.append(data.white(walk.jacobian[:, self.free]))
            rows.append((x - self.centres)[self.held] / self.spreads[self.held])
            self._last = (key, np.concatenate(rows), np.concatenate([*slopes, self.prior_rows]))
        return self._last[1], self._last[2]

    def projected(self, x: FloatArray) -> FloatArray:
        """x with L0, A and Q at their least squares for the shapes of river and valley there."""
        theta, columns, targets = self.theta(x), [], []
        for data in self.data:
            walk = run(theta, data.blocks, self.reference, self.span, derivatives=False)
            shapes = np.column_stack([np.ones_like(walk.loss), walk.river, walk.valley.sum(axis=1)])
            columns.append(data.white(shapes))
            targets.append(data.white(data.losses))
        found = np.linalg.lstsq(np.concatenate(columns), np.concatenate(targets), rcond=None)[0]
        out = x.copy()
        place = {int(j): k for k, j in enumerate(self.free)}
        if found[1] > 0.05 and found[2] > 0.05:
            out[place[PLACE["floor"]]] = found[0]
            out[place[PLACE["log_river"]]] += math.log(found[1])
            out[place[PLACE["log_noise"]]] += math.log(found[2])
        return np.clip(out, self.low + 1e-6, self.high - 1e-6)

    def descend(self, x: FloatArray, evaluations: int, tolerance: float = 1e-6) -> Any:
        from scipy.optimize import least_squares

        return least_squares(
            lambda x: self.at(x)[0],
            x,
            lambda x: self.at(x)[1],
            bounds=(self.low, self.high),
            loss="soft_l1",
            f_scale=ROBUST,
            x_scale=self.scale,
            max_nfev=evaluations,
            ftol=tolerance,
            xtol=tolerance,
            gtol=None,
        )

    def starts(self) -> Iterator[FloatArray]:
        """Eight: the centres, an early river and a sharp valley, kappa lower and higher, four over the prior."""
        base = np.array([PARAMETERS[j].start for j in self.free])
        place = {NAMES[j]: k for k, j in enumerate(self.free)}
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


@door
def fit(
    curves: Sequence[Curve] | Curve,
    weight_decay: float | None = None,
    optimizer: Optimizer = "adamw",
    errors: Errors | None = None,
    linear: bool = False,
) -> Twin:
    """The twin of these curves: power laws of bias and noise under SGD in AdamW's relative learning rate lr / |w|.

    Parameters
    ----------
    curves : Curves of one model, batch and data set; schedules and peaks may differ.
    weight_decay : decoupled, as AdamW's: |w|^2 relaxes at 2 lr wd. None: inferred from the curves, with a wide prior.
    optimizer : "adamw", or "sgd" for a norm that does not matter.
    errors : how far losses may lie from a twin; by default `Errors`, with the white noise of the curves if it is more.
    linear : without stiffening and other departures from a quadratic (see `Twin.as_problem`).

    The noise floor is taken to grow with the rate, as it does far below the critical one; SGD near its critical rate,
    where noise feeds on itself, has no such twin.

    Least squares with exact derivatives from eight starts, whose L0, A and Q are projected; the best three go on, and
    optima within two units of log-posterior are mixed. The clock lr / |w|: Liu et al. 2026, arXiv 2608.24814, with
    measured norms; here |w| follows from the recipe. Raises InputError for curves that cannot be fitted.
    """
    if optimizer not in ("adamw", "sgd"):
        raise unknown_name("optimizer", optimizer, ["adamw", "sgd"])
    if weight_decay is not None:
        weight_decay = check_number("weight_decay", weight_decay, low=0.0, open_low=optimizer == "adamw")
        if optimizer == "sgd" and weight_decay > 0.0:
            raise InputError(
                f" = {weight_decay:g} belongs to optimizer = 'adamw'; leave it out of 'sgd'.", "weight_decay"
            )
    given = check_curves(curves)
    taken = fresh(given)
    if errors is None:
        white = float(np.median([white_noise(curve.losses) for curve in taken]))
        errors = replace(Errors(), noise=max(Errors.noise, white))
    reference = max(curve.schedule.peak() for curve in taken)
    span = 0.33 * max(int(curve.steps[-1]) for curve in taken)
    priors = np.array([[p.centre for p in PARAMETERS], [p.spread for p in PARAMETERS]])
    priors[:, PLACE["log_kappa"]] = norm_rate(reference, weight_decay)
    fixed = fixed_by(optimizer, linear)

    single = len(taken) == 1
    data = []
    for curve in taken:
        blocks = cut(curve.schedule.values(0, int(curve.steps[-1])), curve.steps)
        whitener = 1.0 / errors.deviation(curve.steps) if single else errors.whitener(curve.steps)
        data.append(_Data(blocks, curve.losses, whitener))
    target = _Target(data, reference, span, priors, fixed)
    best = _optima(target)
    modes = []
    for found in best:
        covariance = np.zeros((len(PARAMETERS), len(PARAMETERS)))
        if single:
            inner = _pointwise(target, found.x, taken[0], errors)
        else:
            inner = covariance_of(found.jac.T @ found.jac, target.scale)
        covariance[np.ix_(target.free, target.free)] = inner
        modes.append(Mode(target.theta(found.x), covariance, math.exp(best[0].cost - found.cost)))
    total = sum(mode.weight for mode in modes)
    twin = Twin(
        tuple(mode._replace(weight=mode.weight / total) for mode in modes),
        reference,
        span,
        errors,
        optimizer,
        weight_decay,
        priors,
        tuple(NAMES[j] for j in target.free),
        max(int(curve.steps[-1]) for curve in taken),
        _doubts(given),
    )
    for doubt in twin.doubts:
        notice(doubt)
    return twin


def _optima(target: _Target) -> list[Any]:
    """The distinct optima within NEAR of the best, ascending in cost."""
    looks = [target.descend(target.projected(x), LOOK, 1e-4) for x in target.starts()]
    looks.sort(key=lambda found: float(found.cost))
    found = [target.descend(look.x, CLOSE) for look in looks[:KEPT]]
    found.sort(key=lambda one: float(one.cost))
    kept: list[Any] = []
    for one in found:
        far = all(np.max(np.abs(one.x - other.x) / target.scale) > 1.0 for other in kept)
        if one.cost < found[0].cost + NEAR and far:
            kept.append(one)
    return kept


def _pointwise(target: _Target, x: FloatArray, curve: Curve, errors: Errors) -> FloatArray:
    (data,) = target.data
    jacobian = run(target.theta(x), data.blocks, target.reference, target.span).jacobian[:, target.free]
    prior = target.prior_rows.T @ target.prior_rows
    covariance = errors.of_one_run(curve.steps)
    return sandwich(jacobian, errors.deviation(curve.steps), covariance, prior, target.scale)


def _doubts(curves: Sequence[Curve]) -> tuple[str, ...]:
    """What these curves cannot tell, in a sentence each."""
    ends = [float(c.schedule(int(c.steps[-1]) - 1)) / c.schedule.peak() for c in curves if c.steps[-1] > 0]
    if min(ends, default=1.0) > 0.5:
        return (
            "No curve falls below half of its peak rate: the noise floor is not measured, and predictions of cooldowns "
            "rest on the prior; add a run with a cooldown.",
        )
    return ()
