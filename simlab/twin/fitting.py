"""`fit`: the twin of measured curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door, notice
from simlab.errors import InputError, check_number, unknown_name
from simlab.one_thread import one_thread
from simlab.twin.blocks import cut
from simlab.twin.curves import Curve, check_curves, fresh
from simlab.twin.descent import Data, Target, optima
from simlab.twin.evidence import Seen, likeliest, thinned
from simlab.twin.likelihood import Errors, check_errors, covariance_of, sandwich, white_noise
from simlab.twin.parameters import PARAMETERS, PLACE, Optimizer, fixed_by, norm_rate
from simlab.twin.posterior import Mode
from simlab.twin.transient import LEAST, Transient, starts_of, transient
from simlab.twin.twin import Twin

__all__ = ["fit"]

SMALLEST = 10.0
"""Losses fall by at least so many times what they may lie off."""


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
    curves : Curves of one model and data set; schedules and peaks may differ, and batches where the curves know them:
        gradient noise is taken to be Q times the first curve's batch over theirs, and nothing else to change.
    weight_decay : decoupled, as AdamW's: |w|^2 relaxes at 2 lr wd. None: inferred from the curves, with a wide prior.
    optimizer : "adamw", or "sgd" for a norm that does not matter.
    errors : how far losses may lie from a twin. By default curves are fitted with `Errors`, and their white noise if it
        is more, and intervals are made with the errors that the curves' evidence tells (`simlab.twin.evidence`).
    linear : without stiffening and other departures from a quadratic (see `Twin.as_problem`).

    What all curves are off alike early on is told to further runs, but for a linear twin (`simlab.twin.transient`).
    The noise floor is taken to grow with the rate, as it does far below the critical one; SGD near its critical rate,
    where noise feeds on itself, has no such twin.

    Least squares with exact derivatives from eight starts, whose L0, A and Q are projected; optima within two units of
    log-posterior of the best are mixed, by Laplace's weights. The clock lr / |w|: Liu et al. 2026, arXiv 2608.24814,
    with measured norms; here |w| follows from the recipe. Raises InputError for curves that cannot be fitted.
    """
    weight_decay = _check_recipe(weight_decay, optimizer)
    given = check_curves(curves)
    taken = fresh(given)
    white = float(np.median([white_noise(curve.losses) for curve in taken]))
    weights = replace(Errors(), noise=max(Errors.noise, white))
    if errors is not None:
        weights = check_errors(errors)
    reference = max(curve.schedule.peak() for curve in taken)
    lowest = min(curve.schedule.peak() for curve in taken)
    _check_units(taken, weight_decay, weights)
    longest = max(int(curve.steps[-1]) for curve in taken)
    priors = np.array([[p.centre for p in PARAMETERS], [p.spread for p in PARAMETERS]])
    priors[:, PLACE["log_kappa"]] = norm_rate(reference, weight_decay)
    with one_thread():
        data = []
        for curve in taken:
            blocks = cut(curve.schedule.values(0, int(curve.steps[-1])), curve.steps)
            noise = math.log(given[0].batch / curve.batch) if given[0].batch and curve.batch else 0.0
            data.append(Data(blocks, curve.losses, weights.whitener(curve.steps, len(taken)), noise))
        target = Target(data, reference, 0.33 * longest, priors, fixed_by(optimizer, linear))
        found = optima(target)
        if errors is None:
            seen = _seen(target, found[0].x, taken, weights)
            errors = likeliest(seen, *_priors(target, found[0].x), target.scale, white)
        modes = _modes(target, found, taken, errors)
        early = None if linear else _transient(target, found[0].x, taken, weights, errors)
    free = tuple(PARAMETERS[j].name for j in target.free)
    known = (modes, reference, target.span, errors, optimizer, weight_decay, priors, free)
    twin = Twin(*known, longest, lowest, given[0].batch, _doubts(given), early)
    for doubt in twin.doubts:
        notice(doubt)
    return twin


def _check_recipe(weight_decay: float | None, optimizer: Optimizer) -> float | None:
    if optimizer not in ("adamw", "sgd"):
        raise unknown_name("optimizer", optimizer, ["adamw", "sgd"])
    if weight_decay is None:
        return None
    decay = check_number("weight_decay", weight_decay, low=0.0, open_low=optimizer == "adamw")
    if optimizer == "sgd" and decay > 0.0:
        raise InputError(f" = {decay:g} belongs to optimizer = 'adamw'; leave it out of 'sgd'.", "weight_decay")
    return decay


def _check_units(curves: Sequence[Curve], weight_decay: float | None, weights: Errors) -> None:
    """Refuses a weight decay that is no AdamW's, and losses whose whole fall is as small as their errors."""
    peak = max(curve.schedule.peak() for curve in curves)
    if weight_decay is not None and weight_decay * peak >= 1.0:
        raise InputError(
            f" = {weight_decay:g} at the rate {peak:g} would undo the weights in a step; give AdamW's own.",
            "weight_decay",
        )
    fall = max(float(curve.losses[0] - curve.losses.min()) for curve in curves)
    if fall < SMALLEST * weights.misfit:
        factor = 10.0 ** np.ceil(-np.log10(max(fall, 1e-12)))
        raise InputError(
            f" fall by {fall:.2g} at most, and a loss, taken to be in nats, may lie {weights.misfit:.2g} off; multiply "
            f"losses of another unit by {factor:g}, say, or give errors = Errors(...) in theirs.",
            "curves",
        )


def _seen(
    target: Target, x: FloatArray, curves: Sequence[Curve], weights: Errors, starts: Sequence[IntArray] | None = None
) -> list[Seen]:
    """The curves about the optimum x of a fit by `weights`, in means of the records from each of `starts` on."""
    out = []
    for j, (data, curve) in enumerate(zip(target.data, curves, strict=True)):
        walk = target.run(x, data)
        slopes, steps = walk.jacobian[:, target.free], curve.steps.astype(np.float64)
        out.append(thinned(steps, data.losses - walk.loss, slopes, weights, starts[j] if starts else None))
    return out


def _priors(target: Target, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Precisions of the parameters' priors, 0 where flat, and their centres minus x."""
    precision = np.where(target.held, 1.0 / np.square(target.spreads), 0.0)
    return precision, np.where(target.held, target.centres - x, 0.0)


def _transient(target: Target, x: FloatArray, curves: Sequence[Curve], weights: Errors, errors: Errors) -> Transient:
    """What the curves have in common early on, about the optimum x of a fit by `weights`."""
    starts = starts_of([curve.steps.astype(np.float64) for curve in curves])
    seen = _seen(target, x, curves, weights, starts)
    sums = []
    for curve, own in zip(curves, starts, strict=True):
        total = np.append(0.0, np.cumsum(curve.schedule.values(0, int(curve.steps[-1])) / target.reference))
        logs = np.log(np.maximum(total[curve.steps], LEAST))
        sums.append(np.exp(np.add.reduceat(logs, own) / np.diff(np.append(own, logs.size))))
    first = float(min(curve.steps[0] for curve in curves))
    return transient(seen, sums, first, errors, *_priors(target, x), target.scale)


def _modes(target: Target, found: Sequence[Any], curves: Sequence[Curve], errors: Errors) -> tuple[Mode, ...]:
    """The optima with their covariances; their shares are Laplace's, height times volume."""
    volumes = [0.5 * np.linalg.slogdet(covariance_of(one.jac.T @ one.jac, target.scale))[1] for one in found]
    logs = np.array([volume - one.cost for one, volume in zip(found, volumes, strict=True)])
    shares = np.exp(logs - logs.max())
    out = []
    for one, share in zip(found, shares / shares.sum(), strict=True):
        covariance = np.zeros((len(PARAMETERS), len(PARAMETERS)))
        covariance[np.ix_(target.free, target.free)] = _covariance(target, one.x, curves, errors)
        out.append(Mode(target.theta(one.x), covariance, float(share)))
    return tuple(sorted(out, key=lambda mode: -mode.weight))


def _covariance(target: Target, x: FloatArray, curves: Sequence[Curve], errors: Errors) -> FloatArray:
    information, spread = np.zeros((2, x.size, x.size))
    for data, curve in zip(target.data, curves, strict=True):
        white = data.whitener @ target.run(x, data).jacobian[:, target.free]
        weighted = data.whitener.T @ white
        information += white.T @ white
        spread += weighted.T @ errors.covariance(curve.steps) @ weighted
    return sandwich(information, spread, target.prior_rows.T @ target.prior_rows, target.scale)


def _doubts(curves: Sequence[Curve]) -> tuple[str, ...]:
    """What these curves cannot tell, in a sentence each."""
    shapes = [c.schedule.values(0, int(c.steps[-1])) / c.schedule.peak() for c in curves]
    if min((float(x[-1]) for x in shapes if x.size), default=1.0) > 0.5:
        return (
            "No curve falls below half of its peak rate: the noise floor is not measured, and predictions of cooldowns "
            "rest on the prior; add a run with a cooldown.",
        )
    if len(curves) == 1 and np.mean((shapes[0] > 0.2) & (shapes[0] < 0.95)) > 0.5:
        return (
            "The one curve's rate falls all the way: noise that is forgotten and progress are hard to tell apart, and "
            "much rests on the prior; add a run with a stable phase and a cooldown.",
        )
    return ()
