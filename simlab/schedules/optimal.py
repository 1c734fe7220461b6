"""The schedule made for a problem in closed form: `spectral`."""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol, get_args

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door, notice
from simlab.errors import InputError, brief, check_count, check_number, unknown_name
from simlab.schedules.arguments import LONGEST
from simlab.schedules.base import Schedule
from simlab.schedules.cooldowns import Knots, check_knots, interpolate
from simlab.schedules.law import Answer, Form, Law, Spectrum, least, spectrum_of

__all__ = ["check_limit", "few_modes", "from_knots", "graded", "spectral"]

MOST_MODES = 256
"""A regression of more modes is compressed."""

LOST = 1e-9
"""Relative error of a risk that compression may cost."""

RUNS = 200_000
"""Longest run that is made by default to find S; beyond, the law foretells it as well."""

STEPS = 240
"""Steps on either side of the middle of a run at which its rates are computed; of shorter runs, all."""

UNMOVED = 2.0**-53
"""Intrinsic time, in units of the first mode's, within which no moment changes in float64."""

LOOSE = 2e-7
"""Straight lines between knots may be off by so much in square, relative, over an e-fold of steps at the middle. What
noise is left is made at an even rate in time, so that rates count as the steps that they last.
"""

LOOSEST = 0.2
"""The largest relative error of a rate, towards either end."""


class Modal(Protocol):
    """A problem with independent modes (see `simlab.problems.base.Modes`)."""

    def modes(self) -> Any: ...


@door
def spectral(
    problem: Modal,
    steps: int,
    *,
    batch: int | float = 1,
    cap: float | None = None,
    form: Form = "full",
    level: Literal["risk", "formula"] | None = None,
) -> Schedule:
    """The optimal schedule of SGD's last iterate on a problem, in closed form (see `simlab.schedules.law`).

    1/lr is about sqrt(K(S - u) (F(u) + noise_variance)) / kappa in intrinsic time u = sum lr: a cooldown as fast as
    noise is forgotten (K), a warmup where the error itself is the noise (F), and a plateau below the critical rate.
    One number is left, S = sum lr.

    Parameters
    ----------
    problem : LinearRegression, NoisyQuadratic or RandomFeatures; a regression of more than 256 modes is compressed.
    steps : T, to 2^53.
    batch : samples per step, or inf.  cap : an outside limit of the rate; the critical rate is one in any case.
    form : "full", or "short", in which noise comes back at once.
    level : S by "risk", some 20 runs of the exact recursion, or by "formula", no run at all; by default by risk for
        up to 200,000 steps.

    Against the certified optimum (`simlab.optimize`) on noisy power laws the full form by risk loses some 0.001 %, the
    short one 0.1 to 1 % (1.7 % at a kurtosis of 6), and the formula's S 0.2 to 0.4 % at 1,000 steps, less from there
    on. A warning tells where F decays as fast as K and the full law is not to be trusted (isotropic, or noiseless and
    easy problems: up to tens of percent). The schedule is a chain of straight lines, as few as cost no more than a
    millionth of the risk: exportable, and fit for `simlab.long`. Raises InputError for bad input.
    """
    steps = check_count("steps", steps, high=LONGEST)
    share = 1.0 / check_batch(batch)
    if form not in get_args(Form):
        raise unknown_name("form", form, get_args(Form))
    if level not in (None, "risk", "formula"):
        raise unknown_name("level", level, ["risk", "formula"])
    modes = few_modes(problem)
    spectrum = spectrum_of(modes)
    limit = math.inf if cap is None else check_limit(cap, spectrum, steps, "give a rate, or None")
    law = Law(spectrum, steps, share, limit, form)
    answer = law.foretold()
    if level == "risk" or (level is None and steps <= RUNS):
        answer = _by_risk(law, modes, answer)
    if form == "full" and law.haste(answer).fails:
        notice(
            "the error of this problem decays as fast as its noise is forgotten, and the full law may lose some "
            "percent there; compare simlab.optimize, or give form='short'."
        )
    at = graded(steps, STEPS)
    rates = rates_of(answer, at, steps) / modes.unit
    kept = thinned(at, rates, steps)
    return from_knots(steps, form, tuple(zip(at[kept].tolist(), rates[kept].tolist(), strict=True)))


def from_knots(steps: int, form: str, knots: Knots) -> Schedule:
    """The schedule of these knots (step, rate), as `spectral` leaves and files keep it."""
    steps = check_count("steps", steps, high=LONGEST)
    knots = check_knots(knots)
    return Schedule("spectral", {"steps": steps, "form": form, "knots": knots}, interpolate(knots, steps))


def check_batch(batch: Any) -> float:
    """A batch size, a whole number of at least 1 or inf."""
    return math.inf if batch == math.inf else float(check_count("batch", batch))


def check_limit(cap: Any, spectrum: Spectrum, steps: int, remedy: str) -> float:
    """The largest rate in units of 1 / spectrum.unit; refused where it moves no mode by what float64 tells apart."""
    number = check_number("cap", cap, low=0.0, open_low=True, remedy=remedy)
    least = UNMOVED / (steps * float(spectrum.lam.max()) * spectrum.unit)
    if not number > least:
        raise InputError(f" = {brief(cap)} moves nothing in {steps} steps; give more than {least:.2g}.", "cap")
    return number * spectrum.unit


def few_modes(problem: Any) -> Any:
    """The modes of a problem, of a compressed one where there are many and it can be compressed."""
    if not callable(getattr(problem, "modes", None)):
        raise InputError(
            f" is {brief(problem)}, not a problem with modes of its own; give a LinearRegression, NoisyQuadratic or "
            "RandomFeatures.",
            "problem",
        )
    many: bool = getattr(problem, "divisible", False) and problem.node_count > MOST_MODES
    return problem.compress(LOST).modes() if many else problem.modes()


def graded(steps: int, half: int) -> IntArray:
    """Steps from 0 to T - 1, geometric from either end: all of them where there are few."""
    if steps <= 2 * half:
        return np.arange(steps)
    near = np.unique(np.rint(np.geomspace(1.0, steps / 2, half)).astype(np.int64))
    return np.unique(np.concatenate([[0], near, steps - 1 - near, [steps - 1]]))


def thinned(at: IntArray, rates: FloatArray, steps: int) -> IntArray:
    """Which of these knots to keep: from each, the furthest to which a straight line is close enough to all between."""
    left = np.minimum(at + 1, steps - at) / steps
    allowed = np.minimum(np.sqrt(LOOSE / left), LOOSEST) * rates
    kept, last = [0], at.size - 1
    while kept[-1] < last:
        i, good, step = kept[-1], kept[-1] + 1, 1
        bad = last + 1
        while bad - good > 1:  # gallop, then bisect
            j = min(good + step, bad - 1, last) if bad > last else (good + bad) // 2
            line = np.interp(at[i : j + 1], at[[i, j]], rates[[i, j]])
            close = bool(np.all(np.abs(line - rates[i : j + 1]) <= allowed[i : j + 1]))
            good, bad, step = (j, bad, 2 * step) if close else (good, j, step)
        kept.append(good)
    return np.array(kept, dtype=np.int64)


def rates_of(answer: Answer, at: IntArray, steps: int) -> FloatArray:
    """Rates of the law in the middle of the steps `at`."""
    clock = (at + 0.5) * (answer.clock[-1] / steps)
    rates: FloatArray = np.exp(np.interp(clock, answer.clock, np.log(answer.lr)))
    return rates


def _by_risk(law: Law, modes: Any, guess: Answer) -> Answer:
    """The law with the S of the least exact risk, looked for about the one foretold and, failing that, everywhere."""
    from simlab.kernels.moments.layout import NodeArrays
    from simlab.kernels.optimal.sgd import forward

    given, T = NodeArrays(modes), law.steps
    shared = given.lam, given.self_noise, given.drive, given.noise, given.coupling
    share, every, s = np.full(T, law.share), np.arange(T), np.empty(T + 1)

    def risk(x: float) -> float:
        forward(rates_of(law.at(math.exp(x)), every, T), share, *shared, given.signal.copy(), s)
        return math.log(max(s[T], 1e-300)) if np.isfinite(s[T]) else 700.0

    near = law.around(math.log(guess.u[-1]), 0.1)
    found = least(risk, near)
    if not near[0] + 0.005 < found < near[2] - 0.005:
        found = least(risk, law.span())
    return law.at(math.exp(found))
