"""Referees of the twin: empirical laws of loss curves, fitted to the same curves.

    L(t) = L0 + A river(t) + B memory(t)

L0, A and B are least squares for every value of the other parameters, which are fitted from three starts.

    multi-power            river S^-alpha, memory - sum_k (x_{k-1} - x_k) (1 - (1 + C x_k^-gamma S_k)^-beta): Luo et al.
                           2025, arXiv 2503.12811
    annealing              river S^-alpha, memory - sum_k (x_{k-1} - x_k) (1 - lambda^(t-k)), a warmup counted as its
                           peak: Tissue, Wang and Wang 2024, arXiv 2408.11029
    functional             river (1 + S/tau)^-s, memory int (1 + (S - r)/delta)^-p x(r) dr: the form of the functional
                           scaling law of Li et al. 2025, arXiv 2509.19189, with noise that does not depend on the loss
    functional-effective   the same in the relative rate of `simlab.twin.effective`
    spectral               river (1 + S)^-q, memory int (B + D (1 + r)^-q) (1 + c (S - r))^-p x(r) dr: the surrogate of
                           seven numbers of Wang, Liu and Chen 2026, arXiv 2609.40148, at one batch size; D is a third
                           term that is linear

x = lr / reference, S its sum (intrinsic time), S_k what of it comes after the change at step k. Times count steps at
the reference rate: rivers without an onset fall from the first of them on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door
from simlab.errors import InputError, check_number, unknown_name
from simlab.one_thread import one_thread
from simlab.schedules import Schedule
from simlab.twin.blocks import Blocks
from simlab.twin.curves import Curve, as_schedule, check_curves, fresh
from simlab.twin.likelihood import Errors, check_errors
from simlab.twin.posterior import records

__all__ = ["LAWS", "Fitted", "Predicted", "fit"]

EVEN = Errors(noise=1e-3, early=0.0, misfit=0.0)
"""All points alike, as the laws' authors weigh them; held-out schedules come out better than by `Errors()`."""

LEAST = 1e-6
"""Rates relative to the reference count as at least this where they are raised to a negative power."""

POLE = 1e-8
"""How near to 1 an exponent may come whose integral has a pole there."""


class _Run(NamedTuple):
    """What a law sees of a run: lr of every step and blocks, relative to the reference; 2 reference wd."""

    lr: FloatArray
    blocks: Blocks
    kappa: float

    @property
    def sums(self) -> FloatArray:
        """S at the starts of all blocks and at the end (blocks + 1,)."""
        return np.append(0.0, np.cumsum(self.blocks.counts * self.blocks.rates))


def _power(total: FloatArray, exponent: float) -> FloatArray:
    return np.asarray(np.maximum(total, 1.0) ** -exponent)


def multi_power(p: FloatArray, run: _Run) -> tuple[FloatArray, FloatArray]:
    """p: alpha, log C, beta, gamma."""
    x, S = run.blocks.rates, run.sums
    k = np.flatnonzero(np.diff(x)) + 1
    after = np.maximum(S[run.blocks.edges][:, None] - S[k], 0.0)
    grown = math.exp(p[1]) * np.maximum(x[k], LEAST) ** -p[3] * after
    return _power(S[run.blocks.edges], p[0]), -((x[k - 1] - x[k]) * -np.expm1(-p[2] * np.log1p(grown))).sum(axis=1)


def annealing(p: FloatArray, run: _Run) -> tuple[FloatArray, FloatArray]:
    """p: alpha, log(1 - lambda)."""
    peak = int(np.argmax(run.blocks.rates >= 0.999 * run.blocks.rates.max()))
    x = run.blocks.rates.copy()
    x[:peak] = x[peak]
    S = np.append(0.0, np.cumsum(run.blocks.counts * x))
    k = np.flatnonzero(np.diff(x)) + 1
    starts = run.blocks.starts
    age = np.maximum(starts[run.blocks.edges][:, None] - starts[k], 0.0)
    kept = np.minimum(-math.log1p(-math.exp(p[1])) * age, 700.0)
    return _power(S[run.blocks.edges], p[0]), -((x[k - 1] - x[k]) * -np.expm1(-kept)).sum(axis=1)


def functional(p: FloatArray, run: _Run) -> tuple[FloatArray, FloatArray]:
    """p: s, log tau, exponent p, log delta."""
    S = run.sums
    reached = S[run.blocks.edges]
    left = 1.0 + np.maximum(reached[:, None] - S, 0.0) / math.exp(p[3])
    potential = left ** (1.0 - p[2])
    memory = (potential[:, 1:] - potential[:, :-1]) @ run.blocks.rates * math.exp(p[3]) / (p[2] - 1.0)
    return np.asarray((1.0 + reached / math.exp(p[1])) ** -p[0]), np.asarray(memory)


def functional_effective(p: FloatArray, run: _Run) -> tuple[FloatArray, FloatArray]:
    """p: those of `functional`, and log n(0)."""
    from simlab.kernels.twin.norm import effective_rates

    rates = np.empty_like(run.lr)
    effective_rates(run.lr, run.kappa, math.exp(p[4]), 1.0, rates)
    blocks = run.blocks
    means = np.add.reduceat(rates, blocks.starts[:-1]) / blocks.counts
    return functional(p, run._replace(blocks=blocks._replace(rates=means)))


def spectral(p: FloatArray, run: _Run) -> tuple[FloatArray, ...]:
    """p: q, exponent p, log c."""
    S = run.sums
    reached = S[run.blocks.edges]
    left = 1.0 + np.maximum(reached[:, None] - S, 0.0) * math.exp(p[2])
    power = 1.0 - p[1] if abs(1.0 - p[1]) > POLE else POLE
    potential = left**power / power
    kernel = (potential[:, :-1] - potential[:, 1:]) * run.blocks.rates / math.exp(p[2])
    bias = (1.0 + 0.5 * (S[1:] + S[:-1])) ** -p[0]
    return (1.0 + reached) ** -p[0], kernel.sum(axis=1), kernel @ bias


class Law(NamedTuple):
    """names, starts, low, high: of the parameters that are not linear.  terms : river and memory (K,), or more.

    linear : names of the factors of the terms, none of which is negative.
    """

    names: tuple[str, ...]
    starts: tuple[tuple[float, ...], ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    terms: Callable[[FloatArray, _Run], tuple[FloatArray, ...]]
    linear: tuple[str, ...] = ("A", "B")


_FUNCTIONAL = Law(
    ("s", "log_tau", "p", "log_delta"),
    ((0.5, 5.0, 1.5, 3.0), (0.4, 6.0, 1.2, 1.0), (0.6, 4.0, 1.8, 6.0)),
    (0.05, 0.0, 1.01, -3.0),
    (3.0, 12.0, 4.0, 12.0),
    functional,
)

LAWS: Mapping[str, Law] = {
    "multi-power": Law(
        ("alpha", "log_C", "beta", "gamma"),
        ((0.5, -2.0, 0.6, 0.6), (0.5, -4.0, 0.4, 0.8), (0.4, -1.0, 1.0, 0.4)),
        (0.05, -12.0, 0.02, 0.0),
        (3.0, 8.0, 5.0, 2.0),
        multi_power,
    ),
    "annealing": Law(
        ("alpha", "log_forgetting"),
        ((0.5, -7.0), (0.5, -5.0), (0.4, -8.5)),
        (0.05, -14.0),
        (3.0, -0.5),
        annealing,
    ),
    "functional": _FUNCTIONAL,
    "functional-effective": Law(
        (*_FUNCTIONAL.names, "log_start"),
        tuple((*start, -1.5) for start in _FUNCTIONAL.starts),
        (*_FUNCTIONAL.low, -6.0),
        (*_FUNCTIONAL.high, 3.0),
        functional_effective,
    ),
    "spectral": Law(
        ("q", "p", "log_c"),
        ((0.35, 1.05, -3.0), (0.5, 1.5, -5.0), (0.25, 0.8, -1.0)),
        (0.05, 0.05, -12.0),
        (3.0, 4.0, 5.0),
        spectral,
        ("A", "B", "D"),
    ),
}


class Predicted(NamedTuple):
    """A law's curve: steps (K,), loss (K,)."""

    steps: IntArray
    loss: FloatArray


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted law.  parameters : name -> value, L0 and linear ones with them.  cost : what least squares left."""

    law: str
    parameters: Mapping[str, float]
    reference: float
    weight_decay: float
    cost: float

    @door
    def predict(self, schedule: Schedule | npt.ArrayLike, steps: npt.ArrayLike | None = None) -> Predicted:
        """The curve under another schedule at steps (K,); default as `Twin.predict`."""
        at, run = _run_of(as_schedule(schedule), steps, self.reference, self.weight_decay)
        law = LAWS[self.law]
        terms = law.terms(np.array([self.parameters[name] for name in law.names]), run)
        parts = [self.parameters[name] * term for name, term in zip(law.linear, terms, strict=True)]
        return Predicted(at, self.parameters["L0"] + np.sum(parts, axis=0))


@door
def fit(
    curves: Sequence[Curve] | Curve,
    law: str = "multi-power",
    weight_decay: float | None = None,
    errors: Errors = EVEN,
) -> Fitted:
    """A law of `LAWS` fitted to these curves by robust least squares (soft L1 beyond two standard deviations).

    errors : the weights, 1 / deviation at each step.  weight_decay : what "functional-effective" needs. Raises
    InputError for curves that cannot be fitted.
    """
    from scipy.optimize import least_squares

    if not isinstance(law, str) or law not in LAWS:
        raise unknown_name("law", law, LAWS)
    if law == "functional-effective" and weight_decay is None:
        raise InputError(" is missing; functional-effective needs it: give weight_decay = ....", "weight_decay")
    decay = 0.0 if weight_decay is None else check_number("weight_decay", weight_decay, low=0.0)
    taken = fresh(check_curves(curves))
    reference = max(curve.schedule.peak() for curve in taken)
    runs = [_run_of(curve.schedule, curve.steps, reference, decay)[1] for curve in taken]
    check_errors(errors)
    weights = np.concatenate([1.0 / errors.deviation(curve.steps) for curve in taken])
    target = weights * np.concatenate([curve.losses for curve in taken])
    form = LAWS[law]

    def projected(p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """L0 and the factors of the terms, none of them negative, and weighted residuals."""
        terms = [np.column_stack([np.ones(run.blocks.edges.size), *form.terms(p, run)]) for run in runs]
        columns = weights[:, None] * np.concatenate(terms)
        best, kept = np.zeros(columns.shape[1]), np.ones(columns.shape[1], dtype=bool)
        while True:
            best[:] = 0.0
            best[kept] = np.linalg.lstsq(columns[:, kept], target, rcond=None)[0]
            lowest = 1 + int(np.argmin(best[1:]))
            if best[lowest] >= 0.0:
                return best, columns @ best - target
            kept[lowest] = False

    bounds = (np.array(form.low), np.array(form.high))
    with one_thread():
        found = [
            least_squares(lambda p: projected(p)[1], start, bounds=bounds, loss="soft_l1", f_scale=2.0, max_nfev=60)
            for start in form.starts
        ]
    best = min(found, key=lambda one: float(one.cost))
    linear = projected(best.x)[0]
    values = [*linear.tolist(), *best.x.tolist()]
    named = dict(zip(("L0", *form.linear, *form.names), values, strict=True))
    return Fitted(law, named, reference, decay, float(best.cost))


def _run_of(schedule: Schedule, steps: npt.ArrayLike | None, reference: float, decay: float) -> tuple[IntArray, _Run]:
    at, blocks = records(schedule, steps)
    lr = schedule.values(0, int(at[-1])) / reference
    return at, _Run(lr, blocks._replace(rates=blocks.rates / reference), 2.0 * reference * decay)
