"""The mean risk of several problems that share the rates of SGD, and Krotov's sweep of it: arrays in, arrays out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.optimal.adjoint import Objective, Sweep, inner, stretch_of

__all__ = ["Several"]


@dataclass(frozen=True, eq=False)
class Several:
    """J = sum_j nu_j J_j of objectives with weights and caps in common, nu (P,) >= 0."""

    each: Sequence[Objective]
    nu: FloatArray

    @property
    def cap(self) -> FloatArray:
        """(T,), the largest rates allowed."""
        return self.each[0].cap

    def gradient(self, lr: FloatArray, share: FloatArray) -> Sweep:
        """J and A, H, C of these rates; nothing moves."""
        return self._sweep(lr, share, 0.0)

    def sweep(self, lr: FloatArray, share: FloatArray) -> Sweep:
        """Each rate to the minimum of its parabola, J never up."""
        return self._sweep(lr, share, 1.0)

    def _sweep(self, lr: FloatArray, share: FloatArray, relax: float) -> Sweep:
        from simlab.kernels.optimal.several import sweep

        T, lr, weights = lr.size, lr.copy(), self.each[0].weights
        s, A, H, C = np.empty((len(self.each), T + 1)), np.empty(T), np.empty(T), np.empty(T)
        nodes = self._arrays
        sweep(lr, share, self.cap, relax, self.nu, *nodes[:-1], weights, stretch_of(T), nodes[-1].copy(), s, A, H, C)
        value = math.inf
        if np.all(np.isfinite(s[:, -1])):
            value = 0.5 * inner(self.nu, np.array([inner(weights, row) for row in s]))
        return Sweep(lr, share, value, A, H, C)

    @cached_property
    def _arrays(self) -> tuple[Any, ...]:
        """lam, own, drive (P, N), noise, coupling (P,) and the moments at first (P, N)."""
        nodes, N = [one.nodes for one in self.each], max(one.nodes.lam.size for one in self.each)
        rows = zip(*((n.lam, n.self_noise, n.drive, one.begin) for n, one in zip(nodes, self.each, strict=True)),
                   strict=True)  # fmt: skip
        lam, own, drive, begin = (np.array([np.pad(row, (0, N - row.size)) for row in part]) for part in rows)
        return lam, own, drive, np.array([n.noise for n in nodes]), np.array([n.coupling for n in nodes]), begin
