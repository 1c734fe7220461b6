"""The final risk of any linear method as a function of its arrays, and its exact gradient in all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simlab.arrays import FloatArray
from simlab.methods.base import Method
from simlab.optimal.adjoint import Objective, stretch_of

if TYPE_CHECKING:
    from simlab.kernels.moments.layout import NodeArrays

__all__ = ["Gradient", "Recursion", "log_of"]


class Gradient(NamedTuple):
    """J, the risk of the last iterate, and what it gains from each array of a method of T steps and k variables.

    M (T, k, k), b and c (T, k), share (T,), of 1/B, and o (k,), of the last read-out. Where J is not finite, neither
    are these.
    """

    value: float
    M: FloatArray
    b: FloatArray
    c: FloatArray
    share: FloatArray
    o: FloatArray

    def between(self, first: Method, second: Method) -> float:
        """What J gains, to first order, from one method to the other."""
        last = second.length
        return float(self.by_step(first, second).sum()) + float(
            self.o @ (second.readout(last) - first.readout(last))[0]
        )

    def by_step(self, first: Method, second: Method) -> FloatArray:
        """The same for the arrays of each step by itself, (T,), the last read-out left out."""
        out: FloatArray = self.share * (second.inverse_batch() - first.inverse_batch())
        for slope, one, other in zip(
            (self.M, self.b, self.c), first.coefficients(), second.coefficients(), strict=True
        ):
            out += (slope * (other - one)).reshape(out.size, -1).sum(axis=1)
        return out


@dataclass(frozen=True, eq=False)
class Recursion:
    """The final risk on some nodes. Plain SGD (M = c = 1, k = 1) goes by the kernels of `Objective`.

    The equations stand in `simlab.kernels.optimal.linear`; they are derived here, and checked against complex steps of
    the recursion and against `simlab.exact`.
    """

    nodes: NodeArrays

    def value(self, method: Method) -> float:
        """J, inf where the run diverges."""
        M, b, c = method.coefficients()
        if _plain(M, c):
            return self._sgd(b[:, 0]).value(b[:, 0] * self.nodes.unit, method.inverse_batch()) * self.nodes.risk_unit
        U = self._start(method)
        self._forward((M, b * self.nodes.unit, c, method.inverse_batch()), U, method.length)
        return self._risk(U, method.readout(method.length)[0])

    def gradient(self, method: Method) -> Gradient:
        """J and its gradient."""
        M, b, c = method.coefficients()
        share, o, unit = method.inverse_batch(), method.readout(method.length)[0], self.nodes.unit
        if _plain(M, c):
            return self._of_sgd(b[:, 0] * unit, share)
        U, arrays = self._start(method), (M, b * unit, c, share)
        every, kept, s = self._forward(arrays, U, method.length)
        value = self._risk(U, o)
        shapes = M.shape, b.shape, b.shape, b.shape[:1], o.shape
        out = Gradient(value, *(np.zeros(shape) for shape in shapes))
        if math.isfinite(value):
            N, scale = self.nodes.lam.size, self.nodes.risk_unit
            L = np.repeat(0.5 * np.outer(o, o)[:, :, None], N, axis=2)
            _kernels(o.size).backward(*arrays, *self._shared, L, every, kept, s, out.M, out.b, out.c, out.share)
            out.o[:] = U.sum(axis=2) @ o
            out.b[:] *= unit
            for part in out[1:]:
                part *= scale
        return out

    def _of_sgd(self, lr: FloatArray, share: FloatArray) -> Gradient:
        at, scale = self._sgd(lr).gradient(lr, share), self.nodes.risk_unit
        shapes = (lr.size, 1, 1), (lr.size, 1), (lr.size, 1), (lr.size,), (1,)
        out = Gradient(at.value * scale, *(np.zeros(shape) for shape in shapes))
        if math.isfinite(at.value):
            out.b[:, 0] = 2.0 * (lr * at.H - at.A) * (scale * self.nodes.unit)
            out.share[:] = lr**2 * at.C * scale
        return out

    def _sgd(self, lr: FloatArray) -> Objective:
        weights = np.zeros(lr.size + 1)
        weights[-1] = 1.0
        return Objective(self.nodes, self.nodes.signal, weights, np.full(lr.size, np.inf))

    def _start(self, method: Method) -> FloatArray:
        U: FloatArray = np.outer(method.z0, method.z0)[:, :, None] * self.nodes.signal
        return U

    def _forward(self, arrays: tuple[FloatArray, ...], U: FloatArray, T: int) -> tuple[int, FloatArray, FloatArray]:
        """U to the end; the length of a stretch, U at its beginnings, and the couplings."""
        every = stretch_of(T)
        kept, s = np.empty(((T - 1) // every + 1, *U.shape)), np.empty(T)
        _kernels(U.shape[0]).forward(*arrays, *self._shared, U, every, kept, s)
        return every, kept, s

    def _risk(self, U: FloatArray, o: FloatArray) -> float:
        if not np.all(np.isfinite(U)):
            return math.inf
        return 0.5 * float(np.einsum("p,pqi,q->", o, U, o)) * self.nodes.risk_unit

    @cached_property
    def _shared(self) -> tuple[Any, ...]:
        nodes = self.nodes
        return nodes.lam, nodes.self_noise, nodes.drive, nodes.noise, nodes.coupling


def log_of(risk: float) -> float:
    """log J, inf of a run that diverges."""
    return math.log(max(risk, 1e-300)) if risk < math.inf else math.inf


def _kernels(k: int) -> ModuleType:
    """`forward` and `backward` of methods of k variables."""
    from simlab.kernels.optimal import linear, three_variables, two_variables

    return {2: two_variables, 3: three_variables}.get(k, linear)


def _plain(M: FloatArray, c: FloatArray) -> bool:
    """Whether it is SGD."""
    return M.shape[1] == 1 and bool(np.all(M == 1.0) and np.all(c == 1.0))
