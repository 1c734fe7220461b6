"""The door `optimize`: the certified optimal schedule of a problem."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.engines.arguments import check_problem
from simlab.errors import InputError, brief, check_array, check_count, check_entries, check_number, unknown_name
from simlab.methods.averaging import ema
from simlab.methods.base import Method, batch_of
from simlab.methods.gradient import heavy_ball, sgd
from simlab.optimal.adjoint import Objective
from simlab.optimal.answer import Horizons, Optimum
from simlab.optimal.batches import with_batches
from simlab.optimal.horizons import shared
from simlab.optimal.krotov import Found, free_rates
from simlab.optimal.monotone import never_rising
from simlab.optimal.pairs import KINDS, Pair, free_pairs
from simlab.problems.base import DiagonalProblem, Modes
from simlab.schedules import Schedule, constant, from_array
from simlab.schedules.law import Law, spectrum_of
from simlab.schedules.optimal import few_modes, rates_of
from simlab.trace.state import State, at_nodes

if TYPE_CHECKING:
    from simlab.kernels.moments.layout import NodeArrays

__all__ = ["optimize"]

PROBLEMS = "a LinearRegression, NoisyQuadratic or RandomFeatures"

SWEEPS = {"sgd": 200, "heavy_ball": 2000, "ema": 1000}
"""Methods whose rates can be free, and most sweeps by default."""

MOST_STEPS = 10**7
"""Longest run with a free rate at every step: its arrays, and some 20 of them, are to fit into memory."""


@door
def optimize(
    problem: DiagonalProblem,
    steps: int,
    *,
    method: Literal["sgd", "heavy_ball", "ema"] = "sgd",
    batch: int | float | Schedule = 1,
    samples: int | None = None,
    cap: float | Literal["critical"] | None = "critical",
    monotone: bool = False,
    weights: Mapping[int, float] | npt.ArrayLike | None = None,
    horizons: Sequence[int] | None = None,
    start: State | None = None,
    tolerance: float = 1e-6,
    sweeps: int | None = None,
) -> Optimum:
    """The learning rates, one for each step, with the least exact risk of the last iterate, and a certificate.

    Krotov's sweep (see `simlab.optimal.krotov`): no step size, never a worse schedule, and caps are met exactly. The
    risk is that of `simlab.exact`, the gradient its adjoint. At batch 1 every start has led to one optimum (convexity
    is proved for Gaussian data without coupling and noise only); at large batches there are many local ones, and this
    is one of them.

    Parameters
    ----------
    problem : LinearRegression, NoisyQuadratic or RandomFeatures; a regression of more than 256 modes is compressed.
    steps : T, to 10^7.
    method : "sgd"; "heavy_ball", rates and momenta together; or "ema", rates of SGD and decays of an average of its
        iterates together. Of the last two there are local optima: the best of three starts is followed, and that of
        heavy ball seldom converges.
    batch : samples per step: a whole number, inf, or a schedule of T such.
    samples : a budget in place of `batch` (SGD): rates and batch sizes are chosen together, whole numbers of that sum.
    cap : the largest rate: "critical" for the one at which all noise comes back (at the smallest batch; at the mean one
        under a budget of samples), which at batch 1 costs less than 0.02 %; a number; or None. Without one the first
        step of a steep spectrum may let the risk rise so far that `simlab.exact` calls the run diverging.
    monotone : the best schedule that never rises (SGD): what a warmup is worth is the difference.
    weights : of the risks on the way, {step: weight} or (T + 1,), scaled to the sum one; by default the last iterate
        alone.
    horizons : other steps, beside T, at which the run may be asked to stop (SGD): the largest ratio to the optimum of
        each horizon by itself is made least, and bounded from below (`Optimum.horizons`); `risk` is a weighted mean.
    start : a state that `exact` kept: the best rest of a run. SGD takes the iterate of whatever method it is of.
    tolerance : of the certificate's gradient; tolerance^2 / 2 is the share of the risk that is then left.
    sweeps : most sweeps (200; 2000 of heavy ball, 1000 of an average). A search that has not converged says so; it has
        the best schedule seen.

    Raises InputError for bad input.
    """
    check_problem(problem, DiagonalProblem, PROBLEMS)
    T = check_count("steps", steps, high=MOST_STEPS)
    tolerance = check_number("tolerance", tolerance, low=1e-12, high=0.1)
    if method not in list(SWEEPS):
        raise unknown_name("method", method, SWEEPS)
    most = SWEEPS[method] if sweeps is None else check_count("sweeps", sweeps)
    if start is not None and not isinstance(start, State):
        raise InputError(f" = {brief(start)} is not a state; give trace.state, or trace.state_at(step).", "start")
    if not isinstance(monotone, bool):
        raise InputError(f" = {brief(monotone)} is neither; give True or False.", "monotone")
    if monotone and (method != "sgd" or samples is not None or horizons is not None):
        raise InputError(" goes with neither samples, horizons nor another method; leave those out.", "monotone")
    asked = check_horizons(horizons, T, weights, samples, method)
    objective, law = _objective(problem, T, *_batches(batch, samples, T), cap, weights, start)
    if method in KINDS:
        if samples is not None:
            raise InputError(f" = {brief(samples)} is for SGD alone; give a batch.", "samples")
        return _with_another(method, objective, law, batch, start, tolerance, most)
    if start is not None:
        objective = replace(objective, begin=_begin(start.weights(), sgd(constant(T, 1.0)), objective.nodes)[0])
    lr = _first_guess(objective, law)
    size: Schedule | float
    if asked:
        return _for_horizons(objective, law, lr, batch, asked, tolerance, most)
    if samples is None:
        size, share = batch_of(batch, T), 1.0 / _sizes(batch, T)
    else:
        lr, sizes = with_batches(objective, lr, samples, tolerance, most)
        size, share = from_array(sizes), 1.0 / sizes
    search = never_rising if monotone else free_rates
    return _optimum(objective.nodes, search(objective, lr, share, tolerance, most), size, tolerance)


def _for_horizons(
    objective: Objective, law: Law, lr: FloatArray, batch: Any, horizons: Sequence[int], tolerance: float, sweeps: int
) -> Optimum:
    share, least = 1.0 / _sizes(batch, objective.steps), []
    for steps in horizons:
        own = replace(objective, weights=check_weights(None, steps), cap=objective.cap[:steps])
        guess = _first_guess(own, replace(law, steps=steps))
        least.append(free_rates(own, guess, share[:steps], tolerance, sweeps).value)
    at = shared(objective, lr, share, horizons, np.array(least), tolerance, sweeps)
    made = _optimum(objective.nodes, at.found, batch_of(batch, objective.steps), tolerance)
    ratios, nu = (dict(zip(horizons, part.tolist(), strict=True)) for part in (at.ratios, at.nu))
    mean = float(at.nu @ (at.ratios * least)) * objective.nodes.risk_unit
    return replace(made, risk=mean, horizons=Horizons(ratios, float(at.ratios.max()), at.bound, nu))


def _with_another(
    name: str, objective: Objective, law: Law, batch: Any, start: State | None, tolerance: float, sweeps: int
) -> Optimum:
    """Heavy ball, or an average of SGD."""
    T, nodes, rates = objective.steps, objective.nodes, constant(objective.steps, 1.0)
    begin = _begin(start, heavy_ball(rates) if name == "heavy_ball" else ema(sgd(rates)), nodes)
    lr = _first_guess(replace(objective, begin=begin[0]), law)
    found = free_pairs(KINDS[name], objective, begin, lr, 1.0 / _sizes(batch, T), tolerance, sweeps)
    made = _optimum(nodes, found, batch_of(batch, T), tolerance)
    if name == "heavy_ball":
        return replace(made, momentum=from_array(found.other), flat=found.flat)
    return replace(made, decay=from_array(1.0 - found.other), flat=found.flat)


def _optimum(nodes: NodeArrays, found: Found | Pair, size: Schedule | float, tolerance: float) -> Optimum:
    return Optimum(
        from_array(found.lr / nodes.unit),
        size,
        found.value * nodes.risk_unit,
        found.certificate,
        found.certificate.gradient <= tolerance,
        found.history * np.array([nodes.risk_unit, 1.0]),
    )


def _batches(batch: Any, samples: Any, T: int) -> tuple[float, float]:
    """1/B of the smallest batch, for the cap, and the mean of 1/B, for the first guess."""
    if samples is None:
        values = _sizes(batch, T)
        return 1.0 / float(values.min()), float((1.0 / values).mean())
    if not (isinstance(batch, int) and batch == 1):
        raise InputError(f" = {brief(batch)} is given beside samples, which says what they are; omit it.", "batch")
    budget = check_count("samples", samples)
    if budget < T:
        raise InputError(f" = {budget} are fewer than the {T} steps; give at least one for each.", "samples")
    return T / budget, T / budget


def _sizes(batch: Any, T: int) -> FloatArray:
    """Batch sizes (T,)."""
    size = batch_of(batch, T)
    return size.values() if isinstance(size, Schedule) else np.full(T, size)


def _objective(
    problem: DiagonalProblem, T: int, most: float, share: float, cap: Any, weights: Any, start: Any
) -> tuple[Objective, Law]:
    """The objective and the law of its problem, at the mean 1/B = `share`; the critical rate at the largest, `most`."""
    from simlab.kernels.moments.layout import NodeArrays

    modes: Modes = problem.modes() if start is not None else few_modes(problem)
    nodes, spectrum = NodeArrays(modes), spectrum_of(modes)
    limit = math.inf
    if cap == "critical":
        limit = Law(spectrum, T, most).critical
    elif cap is not None:
        given = "give 'critical', a rate, or None"
        limit = check_number("cap", cap, low=0.0, open_low=True, remedy=given) * modes.unit
    objective = Objective(nodes, nodes.signal, check_weights(weights, T), np.full(T, limit))
    return objective, Law(spectrum, T, share, limit)


def _begin(start: State | None, method: Method, nodes: NodeArrays) -> FloatArray:
    """The moments of a state in the coordinates of a method, (entries, N): bias and variance together."""
    from simlab.kernels.moments.layout import packed_outer

    u: FloatArray = packed_outer(method.z0)[:, None] * nodes.signal
    if start is None:
        return u
    second, _ = at_nodes(start.require("moments", "optimize").of(method), nodes)
    u[:, : nodes.size] = second.sum(axis=0)[:, nodes.order] / nodes.risk_unit
    return u


def check_weights(weights: Any, T: int) -> FloatArray:
    """Weights of the risks of the iterates 0 .. T, (T + 1,), non-negative and of sum one, or an InputError."""
    if weights is None:
        w = np.zeros(T + 1)
        w[T] = 1.0
        return w
    if isinstance(weights, Mapping):
        w = np.zeros(T + 1)
        for step, weight in weights.items():
            at = check_count("weights: a step", step, low=0, high=T)
            w[at] = check_number(f"weights[{at}]", weight, low=0.0)
    else:
        check_entries("weights", weights)
        w = check_array("weights", weights, low=0.0)
        if w.size != T + 1:
            raise InputError(f" has {w.size} entries where the {T + 1} iterates 0 .. T have one each.", "weights")
    if not w[1:].sum() > 0.0:
        raise InputError(" sum to zero over the iterates after the first; give one of them a weight.", "weights")
    scaled: FloatArray = w / w.sum()
    return scaled


def check_horizons(horizons: Any, T: int, weights: Any, samples: Any, method: str) -> list[int]:
    """Ascending horizons with T at their end, none where none are asked for, or an InputError."""
    if horizons is None:
        return []
    given = check_entries("horizons", horizons, "steps")
    steps = sorted({*(check_count(f"horizons[{j}]", step, high=T) for j, step in enumerate(given)), T})
    if len(steps) == 1:
        raise InputError(f" = {brief(horizons)} names no step beside the end; give steps before {T}.", "horizons")
    if weights is not None or samples is not None or method != "sgd":
        raise InputError(" goes with neither weights, samples nor another method; leave those out.", "horizons")
    return steps


def _first_guess(objective: Objective, law: Law) -> FloatArray:
    """Rates of the law, as many times halved as it takes for a finite risk."""
    T = objective.steps
    lr = np.minimum(rates_of(law.foretold(), np.arange(T), T), objective.cap)
    share = np.full(T, law.share)
    while not math.isfinite(objective.value(lr, share)):
        lr = 0.5 * lr
    return lr
