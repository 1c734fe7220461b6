"""The door `optimize`: the certified optimal schedule of a problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.engines.arguments import check_problem
from simlab.errors import InputError, brief, check_count, check_number
from simlab.methods.averaging import ema
from simlab.methods.base import Method, batch_of
from simlab.methods.gradient import heavy_ball, sgd
from simlab.optimal.adjoint import Objective
from simlab.optimal.answer import Minimax, Optimum
from simlab.optimal.arguments import (
    PROBLEMS,
    check_budget,
    check_cap,
    check_horizons,
    check_over,
    check_problems,
    check_together,
    check_weights,
    sizes_of,
)
from simlab.optimal.batches import with_batches
from simlab.optimal.knots import by_knots
from simlab.optimal.krotov import Found, free_rates
from simlab.optimal.minimax import shared
from simlab.optimal.monotone import never_rising
from simlab.optimal.pairs import KINDS, free_pairs
from simlab.optimal.several import Several
from simlab.optimal.tune import tune
from simlab.optimal.warmup import warmed
from simlab.problems.base import DiagonalProblem, Modes
from simlab.schedules import Schedule, constant, from_array
from simlab.schedules.arguments import Phases
from simlab.schedules.law import Law, spectrum_of
from simlab.schedules.optimal import few_modes, rates_of
from simlab.trace.state import State, at_nodes

if TYPE_CHECKING:
    from simlab.kernels.moments.layout import NodeArrays

__all__ = ["optimize"]

SWEEPS = {"sgd": 200, "heavy_ball": 2000, "ema": 1000}
"""Methods whose hyper-parameters can be free at every step, and most sweeps by default."""

GRADIENTS = 400
"""Most gradients by default, where they are free at knots."""

SPECIAL = ("samples", "monotone", "warmup", "horizons", "worst")
"""What SGD can be asked for, one at a time."""

MOST_STEPS = 10**7
"""Longest run with a free rate at every step: its arrays, and some 20 of them, are to fit into memory."""


@door
def optimize(
    problem: DiagonalProblem,
    steps: int,
    *,
    method: str | Callable[..., Method] = "sgd",
    over: Sequence[str] | None = None,
    knots: int | None = None,
    family: str | Callable[..., Schedule] | None = None,
    batch: int | float | Schedule = 1,
    samples: int | None = None,
    cap: float | Literal["critical"] | None = "critical",
    monotone: bool = False,
    warmup: int | float | None = None,
    weights: Mapping[int, float] | npt.ArrayLike | None = None,
    horizons: Sequence[int] | None = None,
    worst: Sequence[DiagonalProblem] | None = None,
    start: State | None = None,
    tolerance: float | None = None,
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
    method : "sgd"; "heavy_ball", rates and momenta together; "ema", rates of SGD and decays of an average of its
        iterates together; by L-BFGS at knots any other linear method, by name ("nesterov") or as lr, **schedules ->
        Method. Of all but SGD there are local optima: the best of some starts is followed, and that of heavy ball
        seldom converges.
    over : what is free of a method at knots, and sgd, heavy_ball and ema too where it is given: "lr", and others of its
        schedules ("momentum", "decay", "beta"). By default "lr".
    knots : how many, graded towards both ends (48); between them logarithms are straight. Heavy ball's at 32 cost 0.1
        to 4 % of the risk at batch 1, as its best momenta are ragged.
    family : the best member of a named family in place of free rates, `over` its parameters (("peak",)): see
        `simlab.tune`, which says more of it.
    batch : samples per step: a whole number, inf, or a schedule of T such.
    samples : a budget in place of `batch` (SGD): rates and batch sizes are chosen together, whole numbers of that sum
        (which `over` may say, as ("lr", "batch")).
    cap : the largest rate: "critical" for the one at which all noise comes back (at the smallest batch; at the mean one
        under a budget of samples), which at batch 1 costs less than 0.02 %; a number; or None. Without one the first
        step of a steep spectrum may let the risk rise so far that `simlab.exact` calls the run diverging.
    monotone : the best schedule that never rises (SGD): what a warmup is worth is the difference.
    warmup : a linear warmup that is wanted (SGD), a number of steps or a fraction of the run, to the first of the free
        rates: what it costs is the difference.
    weights : of the risks on the way, {step: weight} or (T + 1,), scaled to the sum one; by default the last iterate
        alone.
    horizons : other steps, beside T, at which the run may be asked to stop (SGD): the largest ratio to the optimum of
        each horizon by itself is made least, and bounded from below (`Optimum.horizons`); `risk` is a weighted mean.
    worst : other problems, beside this one, that the schedule is for (SGD): the largest ratio to the optimum of each
        problem by itself is made least, and bounded from below (`Optimum.problems`, in this order); `risk` is a
        weighted mean. The cap is the smallest.
    start : a state that `exact` kept: the best rest of a run. SGD takes the iterate of whatever method it is of.
    tolerance : of the certificate's gradient (1e-6; 1e-3 at knots and of families); tolerance^2 / 2 is the share of the
        risk that is then left.
    sweeps : most sweeps (200; 2000 of heavy ball, 1000 of an average; 400 gradients at knots). A search that has not
        converged says so; it has the best schedule seen.

    Raises InputError for bad input.
    """
    check_problem(problem, DiagonalProblem, PROBLEMS)
    T = check_count("steps", steps, high=MOST_STEPS)
    if not isinstance(monotone, bool):
        raise InputError(f" = {brief(monotone)} is neither; give True or False.", "monotone")
    if start is not None and not isinstance(start, State):
        raise InputError(f" = {brief(start)} is not a state; give trace.state, or trace.state_at(step).", "start")
    given = {"samples": samples, "warmup": warmup, "weights": weights, "horizons": horizons, "worst": worst,
             "monotone": monotone or None, "knots": knots, "over": over, "start": start, "sweeps": sweeps,
             "cap": None if cap == "critical" else cap}  # fmt: skip
    asked = {name: value for name, value in given.items() if value is not None}
    names = None if over is None else check_over(over)
    if "samples" in asked and method == "sgd" and set(names or ()) == {"lr", "batch"}:
        del asked["over"]
        names = None
    swept = isinstance(method, str) and method in SWEEPS and names is None and knots is None and family is None
    usual = 1e-6 if swept else 1e-3
    tolerance = usual if tolerance is None else check_number("tolerance", tolerance, low=1e-12, high=0.1)
    if family is not None:
        check_together(asked, ("over",), "a family")
        return _of_family(problem, family, T, names or ("peak",), method, batch, tolerance)
    most = (SWEEPS[str(method)] if swept else GRADIENTS) if sweeps is None else check_count("sweeps", sweeps)
    if not swept:
        way = "over" if knots is None and over is not None else "knots"
        check_together(asked, ("over", "knots", "cap", "sweeps"), way)
        many = 48 if knots is None else check_count("knots", knots, low=2)
        return by_knots(problem, T, method, names or ("lr",), many, batch, cap, tolerance, most)
    chosen = [name for name in SPECIAL if name in asked]
    if method in KINDS:
        check_together(asked, ("weights", "start", "cap", "sweeps"), f"{method}")
    elif chosen:
        fits = {"samples": ("weights", "start"), "horizons": (), "worst": ("weights",)}
        check_together(asked, (chosen[0], *fits.get(chosen[0], ("weights", "start")), "cap", "sweeps"), chosen[0])
    search = _Search.of(problem, T, batch, samples, cap, check_weights(weights, T), start, tolerance, most)
    if method in KINDS:
        return search.pair(str(method), start)
    if horizons is not None:
        return search.for_horizons(check_horizons(horizons, T))
    if worst is not None:
        others = [_Search.of(one, T, batch, None, cap, check_weights(weights, T), None, tolerance, most)
                  for one in check_problems(worst)]  # fmt: skip
        return search.for_problems(others)
    if samples is not None:
        return search.with_budget(samples)
    if warmup is not None:
        return search.with_warmup(Phases.of(T, warmup=warmup).lengths[0])
    return search.free(never_rising if monotone else free_rates)


@dataclass(frozen=True)
class _Search:
    """Sweeps of SGD and its relatives on one problem: what is lowered, where from, and how far.

    begin : moments (entries, N) at first.  share : 1 / B (T,).  size : B.
    """

    objective: Objective
    law: Law
    share: FloatArray
    size: Schedule | float
    tolerance: float
    sweeps: int

    @classmethod
    def of(
        cls, problem: DiagonalProblem, T: int, batch: Any, samples: Any, cap: Any, weights: FloatArray,
        start: State | None, tolerance: float, sweeps: int,
    ) -> _Search:  # fmt: skip
        """From what the door was given; the critical rate is that at the smallest batch, the law's at the mean 1/B."""
        from simlab.kernels.moments.layout import NodeArrays

        many = None if samples is None else check_budget(samples, batch, T)
        share = 1.0 / sizes_of(batch, T) if many is None else np.full(T, T / many)
        modes: Modes = problem.modes() if start is not None else few_modes(problem)
        nodes, spectrum = NodeArrays(modes), spectrum_of(modes)
        limit = check_cap(cap, Law(spectrum, T, float(share.max())).critical, spectrum, T)
        begin = nodes.signal if start is None else begun(start.weights(), sgd(constant(T, 1.0)), nodes)[0]
        objective = Objective(nodes, begin, weights, np.full(T, limit))
        return cls(
            objective, Law(spectrum, T, float(share.mean()), limit), share, batch_of(batch, T), tolerance, sweeps
        )

    @property
    def first_guess(self) -> FloatArray:
        """Rates of the law, as many times halved as it takes for a finite risk."""
        objective, T = self.objective, self.objective.steps
        lr = np.minimum(rates_of(self.law.foretold(), np.arange(T), T), objective.cap)
        share = np.full(T, self.law.share)
        while not math.isfinite(objective.value(lr, share)):
            lr = 0.5 * lr
        return lr

    def free(self, search: Callable[..., Found] = free_rates) -> Optimum:
        return self.answer(search(self.objective, self.first_guess, self.share, self.tolerance, self.sweeps))

    def answer(self, found: Found) -> Optimum:
        nodes = self.objective.nodes
        method = sgd(from_array(found.lr / nodes.unit), batch=self.size)
        return Optimum.of(method, found.value, found.certificate, self.tolerance, found.history, nodes.risk_unit)

    def with_warmup(self, steps: int) -> Optimum:
        """Steps 0 .. w - 1 rise in a line to the rate of the step w."""
        if not 0 < steps < self.objective.steps - 1:
            raise InputError(f" = {steps} steps leave nothing free; give from 1 to T - 2 steps.", "warmup")
        args = self.first_guess, self.share, steps, self.tolerance, self.sweeps
        return self.answer(warmed(self.objective, *args))

    def with_budget(self, samples: int) -> Optimum:
        """Rates and whole batch sizes of that sum."""
        lr, sizes = with_batches(self.objective, self.first_guess, samples, self.tolerance, self.sweeps)
        share = 1.0 / sizes
        found = free_rates(self.objective, lr, share, self.tolerance, self.sweeps)
        return replace(self, share=share, size=from_array(sizes)).answer(found)

    def pair(self, name: str, start: State | None) -> Optimum:
        """Heavy ball, or an average of SGD."""
        nodes, rates = self.objective.nodes, constant(self.objective.steps, 1.0)
        begin = begun(start, heavy_ball(rates) if name == "heavy_ball" else ema(sgd(rates)), nodes)
        guess = replace(self, objective=replace(self.objective, begin=begin[0])).first_guess
        found = free_pairs(KINDS[name], self.objective, begin, guess, self.share, self.tolerance, self.sweeps)
        lr = from_array(found.lr / nodes.unit)
        if name == "heavy_ball":
            method: Method = heavy_ball(lr, from_array(found.other), batch=self.size)
        else:
            method = ema(sgd(lr, batch=self.size), from_array(1.0 - found.other))
        made = Optimum.of(method, found.value, found.certificate, self.tolerance, found.history, nodes.risk_unit)
        return replace(made, flat=found.flat)

    def for_horizons(self, horizons: Sequence[int]) -> Optimum:
        objective, least = self.objective, []
        for steps in horizons:
            own = replace(objective, weights=check_weights(None, steps), cap=objective.cap[:steps])
            alone = replace(self, objective=own, law=replace(self.law, steps=steps), share=self.share[:steps])
            least.append(free_rates(own, alone.first_guess, alone.share, self.tolerance, self.sweeps).value)
        at = list(horizons)

        def mean(nu: FloatArray) -> Objective:
            weights = np.zeros(objective.steps + 1)
            weights[at] = nu / least
            return replace(objective, weights=weights)

        def ratios(lr: FloatArray) -> FloatArray:
            return objective.risks(lr, self.share)[at] / least

        found = shared(mean, ratios, len(at), self.first_guess, self.share, self.tolerance, self.sweeps)
        risk = float(found.nu @ (found.ratios * least)) * objective.nodes.risk_unit
        return replace(self.answer(found.found), risk=risk, horizons=Minimax.of(at, found))

    def for_problems(self, others: Sequence[_Search]) -> Optimum:
        """The least worst ratio over this problem and others."""
        each = [self, *others]
        units = {(one.objective.nodes.unit, one.objective.nodes.risk_unit) for one in each}
        if len(units) > 1:
            raise InputError(
                " are of scales that differ too far; give problems of like eigenvalues and risks.", "worst"
            )
        own = [free_rates(one.objective, one.first_guess, self.share, self.tolerance, self.sweeps) for one in each]
        least = np.array([one.value for one in own])
        if not least.min() > 0.0:
            raise InputError(" holds one whose optimum has no risk at all; leave it out, or give it noise.", "worst")
        cap = np.min([one.objective.cap for one in each], axis=0)
        aims = [replace(one.objective, cap=cap) for one in each]

        def mean(nu: FloatArray) -> Several:
            return Several(aims, nu / least)

        def ratios(lr: FloatArray) -> FloatArray:
            each: FloatArray = np.array([one.value(lr, self.share) for one in aims]) / least
            return each

        guess = np.minimum(min((one.lr for one in own), key=lambda lr: float(ratios(np.minimum(lr, cap)).max())), cap)
        while not np.all(np.isfinite(ratios(guess))):
            guess = 0.5 * guess
        found = shared(mean, ratios, len(aims), guess, self.share, self.tolerance, self.sweeps)
        risk = float(found.nu @ (found.ratios * least)) * self.objective.nodes.risk_unit
        return replace(self.answer(found.found), risk=risk, problems=Minimax.of(range(len(aims)), found))


def begun(start: State | None, method: Method, nodes: NodeArrays) -> FloatArray:
    """The moments of a state in the coordinates of a method, (entries, N): bias and variance together."""
    from simlab.kernels.moments.layout import packed_outer

    u: FloatArray = packed_outer(method.z0)[:, None] * nodes.signal
    if start is None:
        return u
    second, _ = at_nodes(start.require("moments", "optimize").of(method), nodes)
    u[:, : nodes.size] = second.sum(axis=0)[:, nodes.order] / nodes.risk_unit
    return u


def _of_family(
    problem: DiagonalProblem, family: Any, T: int, names: Sequence[str], method: Any, batch: Any, tolerance: float
) -> Optimum:
    """The best member of a family."""
    found = tune(problem, family, T, names, method=method, given={} if batch == 1 else {"batch": batch})
    history = np.empty((0, 2))
    return Optimum.of(found.method, found.risk, found.certificate, tolerance, history, 1.0)
