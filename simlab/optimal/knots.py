"""Hyper-parameters of any linear method, free at graded knots: L-BFGS with the exact gradient.

The adjoint says what J gains from each array of each step; what a hyper-parameter of a step does to these is the
difference of two methods. Where the arrays of a step depend on that step's values alone, one difference serves all
steps; else (weights of what came before, as Schedule-Free's) there is one for each knot.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.errors import InputError, brief
from simlab.methods.base import Method, batch_of, require_linear
from simlab.optimal.answer import Optimum
from simlab.optimal.arguments import Takes, check_cap, maker_of, sizes_of
from simlab.optimal.descent import certified, lowest
from simlab.optimal.krotov import Certificate
from simlab.optimal.lines import Lines
from simlab.optimal.parameters import CLOSING, Range, range_of
from simlab.optimal.recursion import Gradient, Recursion, log_of
from simlab.problems.base import DiagonalProblem
from simlab.schedules import Schedule, from_array
from simlab.schedules.law import Law, critical_rate, spectrum_of
from simlab.schedules.optimal import few_modes, rates_of

__all__ = ["by_knots"]

APART = 1e-4
"""Half the difference of two rates, relative, or of two fractions: arrays are polynomials of low degree in these."""

CLOSER = 2e-5
"""The same at a knot, where arrays are no polynomials in it: rounding and a third derivative cost 1e-10 together."""

HALVED = 12
"""How often rates are halved in search of a start."""

LOWEST = 1e-8
"""The smallest rate, of the largest."""

SETTLED = 1e-12
"""A search ends where a step of it brings less than this share of log J."""


def by_knots(
    problem: DiagonalProblem, T: int, method: Any, names: Sequence[str], knots: int, batch: Any, cap: Any,
    tolerance: float, gradients: int,
) -> Optimum:  # fmt: skip
    """The best schedules, at so many knots, of what is named of a method; `gradients` bounds the search."""
    from simlab.kernels.moments.layout import NodeArrays

    if "lr" not in names:
        raise InputError(f" = {brief(names)} leaves the rates out; add 'lr', or take simlab.tune.", "over")
    if "batch" in names:
        raise InputError(" holds 'batch', which has no best without a budget; give samples, of SGD.", "over")
    make, others = maker_of(method, names), [name for name in names if name != "lr"]
    size, share = batch_of(batch, T), 1.0 / sizes_of(batch, T)
    more = {"batch": size} if "batch" in Takes(make) else {}
    if batch != 1 and not more:
        raise InputError(f" = {brief(batch)} is not taken by the method; let it have a batch of its own.", "batch")

    def build(schedules: Sequence[Schedule]) -> Method:
        made: Any = make(schedules[0], **dict(zip(others, schedules[1:], strict=True)), **more)
        if not isinstance(made, Method):
            raise InputError(f" makes {brief(made)}, not a method; let it return one.", "method")
        return require_linear(made, "optimize")

    modes = few_modes(problem)
    spectrum = spectrum_of(modes)
    critical = critical_rate(spectrum, float(share.max()))
    top = min(check_cap(cap, critical, spectrum, T), 1e2 * critical) / modes.unit
    lr = rates_of(Law(spectrum, T, float(share.mean())).foretold(), np.arange(T), T) / modes.unit
    ranges = [Range("lr", LOWEST * top, top, "log", (top,), APART)]
    ranges += [_range(name, make, critical / modes.unit, T) for name in others]
    search = _Search(Recursion(NodeArrays(modes)), build, ranges, Lines(T, (knots + 1) // 2))
    x, certificate = search.best(lr, gradients)
    history = np.array(search.history).reshape(-1, 2)
    return Optimum.of(search.method(x), math.exp(search.log_risk(x)), certificate, tolerance, history, 1.0)


def _range(name: str, make: Any, critical: float, T: int) -> Range:
    """Where a hyper-parameter is looked for: fractions by what is left of them, others as rates."""
    if name in CLOSING:
        return range_of(name, {}, critical, T)
    if name in getattr(make, "fractions", ()):
        return range_of(name, {name: (0.0, 1.0)}, critical, T)
    return Range(name, LOWEST * critical, 1e4 * critical, "log", (2.0 * critical,), APART)


@dataclass
class _Search:
    """x (n K,), the values of n hyper-parameters at K knots on the scales of their ranges."""

    recursion: Recursion
    build: Callable[[Sequence[Schedule]], Method]
    ranges: Sequence[Range]
    lines: Lines
    history: list[tuple[float, float]] = field(default_factory=list)

    def best(self, lr: FloatArray, gradients: int) -> tuple[FloatArray, Certificate]:
        """x and its certificate, from rates of SGD (T,) and less."""
        others = list(itertools.product(*(each.starts for each in self.ranges[1:])))
        groups = [[self.start(lr * 2.0**-j, other) for j in range(HALVED)] for other in others]
        self.method(groups[0][0])  # what is wrong with it for good is said here
        found = lowest(self.log_risk, self.gradient, groups, self.ends, gradients, SETTLED)
        if found is None:
            raise InputError(" diverges wherever a search may begin; give a smaller cap.", "method")
        slope = self.gradient(found.x)[1]
        low, high = np.array(self.ends).T
        held = ((found.x <= low) & (slope > 0.0)) | ((found.x >= high) & (slope < 0.0))
        return np.asarray(found.x), certified(np.where(held, 0.0, slope), found.hess_inv.todense())

    @property
    def ends(self) -> list[tuple[float, float]]:
        return [each.ends for each in self.ranges for _ in self.lines.at]

    def start(self, lr: FloatArray, others: Sequence[float]) -> FloatArray:
        """These rates (T,), and others that do not change."""
        rate, size = self.ranges[0], self.lines.at.size
        rows = [rate.x(np.clip(lr[self.lines.at], rate.low, rate.high))]
        rows += [np.full(size, each.x(value)) for each, value in zip(self.ranges[1:], others, strict=True)]
        return np.concatenate(rows)

    def values(self, x: FloatArray) -> list[FloatArray]:
        """Every hyper-parameter at every step, (T,)."""
        rows = x.reshape(len(self.ranges), -1)
        return [each.value(self.lines.up(row)) for each, row in zip(self.ranges, rows, strict=True)]

    def made(self, values: Sequence[FloatArray]) -> Method:
        return self.build([from_array(part) for part in values])

    def method(self, x: FloatArray) -> Method:
        return self.made(self.values(x))

    def log_risk(self, x: FloatArray) -> float:
        return log_of(self.recursion.value(self.method(x)))

    def gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """log J and its gradient; (inf, zeros) where the run diverges."""
        values = self.values(x)
        at = self.recursion.gradient(self.made(values))
        if not 0.0 < at.value < math.inf:
            return log_of(at.value), np.zeros(x.size)
        slopes = self._by_step(at, values) if self.local else self._by_knot(at, x)
        slope = slopes / at.value
        self.history.append((at.value, float(np.linalg.norm(slope))))
        return math.log(at.value), slope

    @cached_property
    def local(self) -> bool:
        """Whether the arrays of a step depend on the values of that step alone, as bits tell."""
        values = self.values(self.start(np.full(self.lines.part.size, self.ranges[0].high), self._middle()))
        base = self.made(values)
        for j, part in enumerate(values):
            for moved, others in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
                changed = part.copy()
                changed[moved] *= 1.001 if self.ranges[j].scale == "log" else 0.999  # a rate's peak moves as well
                other = self.made([*values[:j], changed, *values[j + 1 :]])
                same = zip(base.coefficients(), other.coefficients(), strict=True)
                if not all(np.array_equal(a[others], b[others]) for a, b in same):
                    return False
                if not np.array_equal(base.readout(base.length), other.readout(base.length)):
                    return False
        return True

    def _middle(self) -> list[float]:
        return [each.starts[0] for each in self.ranges[1:]]

    def _by_step(self, at: Gradient, values: Sequence[FloatArray]) -> FloatArray:
        """dJ/dx from one difference of every hyper-parameter, at all steps at once."""
        out = []
        for j, (each, part) in enumerate(zip(self.ranges, values, strict=True)):
            apart = APART * (part if each.scale == "log" else 1.0)
            low, high = np.maximum(part - apart, each.low), np.minimum(part + apart, each.high)
            first, second = (self.made([*values[:j], side, *values[j + 1 :]]) for side in (low, high))
            out.append(self.lines.down(at.by_step(first, second) / (high - low) * each.slope(part)))
        return np.concatenate(out)

    def _by_knot(self, at: Gradient, x: FloatArray) -> FloatArray:
        """dJ/dx from one difference for every knot."""
        out = np.zeros(x.size)
        for i, (low, high) in enumerate(self.ends):
            sides = [min(max(x[i] + sign * CLOSER, low), high) for sign in (-1.0, 1.0)]
            first, second = (self.method(np.concatenate([x[:i], [side], x[i + 1 :]])) for side in sides)
            out[i] = at.between(first, second) / (sides[1] - sides[0])
        return out
