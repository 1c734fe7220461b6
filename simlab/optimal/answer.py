"""What `simlab.optimize` answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from simlab.arrays import FloatArray
from simlab.methods.base import Method
from simlab.optimal.krotov import Certificate
from simlab.optimal.minimax import Shared
from simlab.schedules import Schedule

__all__ = ["Minimax", "Optimum"]


class Minimax(NamedTuple):
    """One schedule for several aims: horizons, or problems.

    ratios : horizon, or number of the problem -> risk there over that of its own optimum.  worst : the largest of them.
    bound : no schedule has a smaller worst ratio (see `simlab.optimal.minimax` for when this is one).  weights : of
    each in the mean that the schedule minimises.
    """

    ratios: dict[int, float]
    worst: float
    bound: float
    weights: dict[int, float]

    @classmethod
    def of(cls, aims: Sequence[int], found: Shared) -> Self:
        """From what was found for these aims, in their order."""
        ratios, nu = (dict(zip(aims, part.tolist(), strict=True)) for part in (found.ratios, found.nu))
        return cls(ratios, float(found.ratios.max()), found.bound, nu)


@dataclass(frozen=True, eq=False, repr=False)
class Optimum:
    """A method with its best schedules, and how far from the best it may be.

    method : for any engine.  risk : the (weighted) risk.  certificate : how far from the optimum it may be (see
    `Certificate`).  converged : whether the gradient of the certificate is at most what was asked for.  history :
    (rounds, 2), the risk after each sweep, or gradient, and how far it moved.  flat : of momenta and decays that are
    free at every step, the share of steps at which another one, 0.1 away, would change the risk by less than 1e-8, or
    than what the search has left: there it means little.  horizons, problems : where several were asked for.
    """

    method: Method
    risk: float
    certificate: Certificate
    converged: bool
    history: FloatArray
    flat: float | None = None
    horizons: Minimax | None = None
    problems: Minimax | None = None

    @classmethod
    def of(
        cls, method: Method, value: float, certificate: Certificate, tolerance: float, history: FloatArray, unit: float
    ) -> Self:
        """From what a search found, in units of the risk."""
        converged = certificate.gradient <= tolerance
        return cls(method, value * unit, certificate, converged, history * np.array([unit, 1.0]))

    @property
    def schedule(self) -> Schedule:
        """Learning rates (T,)."""
        return self.method.learning_rate

    @property
    def batch(self) -> Schedule | float:
        """Samples per step."""
        return self.method.batch

    @property
    def momentum(self) -> Schedule | None:
        """Of a method that has one."""
        return self.method.schedule("momentum")

    @property
    def decay(self) -> Schedule | None:
        """Of a method that has one."""
        return self.method.schedule("decay")

    def __repr__(self) -> str:
        c, state = self.certificate, "converged" if self.converged else "not converged"
        local = ""
        if self.flat is not None:
            other = "decay" if self.momentum is None else "momentum"
            local = f"; a local optimum, {other} ill-determined at {self.flat:.0%} of steps"
        return (
            f"Optimum: {state} after {len(self.history)} sweeps, risk {self.risk:.12g}, "
            f"peak {self.schedule.peak():.6g}; single steps could still bring {c.gain:.1e} of it, "
            f"any one of them {c.single:.1e}{local}"
        )
