"""The weighted risk of SGD as a function of its rates and batches, and its exact gradient: arrays in, arrays out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simlab.arrays import FloatArray

if TYPE_CHECKING:
    from simlab.kernels.moments.layout import NodeArrays

__all__ = ["Objective", "Sweep", "inner", "stretch_of"]

STRETCH = 64
"""Shortest stretch between costates that are kept: what lies in the cache beside the nodes."""


def inner(first: FloatArray, *others: FloatArray) -> float:
    """sum_t of the products, without BLAS: its threads cost more than they bring where processors are busy."""
    return float(np.einsum(",".join("t" * (1 + len(others))) + "->", first, *others))


def stretch_of(steps: int) -> int:
    """Steps from one costate that is kept to the next."""
    return min(steps, max(STRETCH, math.isqrt(steps) // 2))


class Sweep(NamedTuple):
    """What one sweep hands back.

    lr, share : (T,) rates and 1/B after it.  value : J of these.  A, H, C : (T,) with A / H the best single rate,
    dJ/dlr = 2 (lr H - A) and dJ/d(1/B) = lr^2 C: the gradient where nothing moved.
    """

    lr: FloatArray
    share: FloatArray
    value: float
    A: FloatArray
    H: FloatArray
    C: FloatArray


@dataclass(frozen=True, eq=False)
class Objective:
    """J = sum_t weights_t risk_t of SGD on some nodes, from the moments `begin` (N,) on.

    weights : (T + 1,), of the iterates 0 .. T.  cap : (T,), the largest rates allowed (inf for none). Rates are in
    units of 1 / nodes.unit and risks in units of nodes.risk_unit, which are 1 but at extreme scales.
    """

    nodes: NodeArrays
    begin: FloatArray
    weights: FloatArray
    cap: FloatArray

    @property
    def steps(self) -> int:
        """T."""
        return self.cap.size

    def risks(self, lr: FloatArray, share: FloatArray) -> FloatArray:
        """The risk of every iterate, (T + 1,); not finite where the run diverges."""
        return self.walked(lr, share)[0]

    def walked(self, lr: FloatArray, share: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The risks of the iterates of these steps, and the moments (N,) after them."""
        from simlab.kernels.optimal.sgd import forward

        s, u = np.empty(lr.size + 1), self.begin.copy()
        forward(lr, share, *self._arguments, u, s)
        return 0.5 * s, u

    def value(self, lr: FloatArray, share: FloatArray) -> float:
        """J, inf where the run diverges."""
        return self._weighted(self.risks(lr, share))

    def gradient(self, lr: FloatArray, share: FloatArray) -> Sweep:
        """J and A, H, C of these rates; nothing moves."""
        return self._sweep(lr, share, 0.0, 0.0, np.inf)

    def sweep(
        self, lr: FloatArray, share: FloatArray, relax: float = 1.0, price: float = 0.0, most: float = np.inf
    ) -> Sweep:
        """Krotov's sweep: each rate to the minimum of its parabola, J never up, for relax in (0, 2).

        With a price of a sample > 0 each batch goes to its minimum of J + price B, within [1, most], as well.
        """
        return self._sweep(lr, share, relax, price, most)

    def _sweep(self, lr: FloatArray, share: FloatArray, relax: float, price: float, most: float) -> Sweep:
        from simlab.kernels.optimal.sgd import sweep

        T = lr.size
        lr, share, s = lr.copy(), share.copy(), np.empty(T + 1)
        A, H, C = np.empty(T), np.empty(T), np.empty(T)
        how = self.cap, relax, price, most, *self._arguments, self.weights, stretch_of(T)
        sweep(lr, share, *how, self.begin.copy(), s, A, H, C)
        return Sweep(lr, share, self._weighted(0.5 * s), A, H, C)

    def _weighted(self, risks: FloatArray) -> float:
        if not np.isfinite(risks[-1]):  # from a divergence on, none is
            return math.inf
        return inner(self.weights, risks)

    @property
    def _arguments(self) -> tuple[Any, ...]:
        nodes = self.nodes
        return nodes.lam, nodes.self_noise, nodes.drive, nodes.noise, nodes.coupling
