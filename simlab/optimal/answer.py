"""What `simlab.optimize` answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from simlab.arrays import FloatArray
from simlab.methods.averaging import ema
from simlab.methods.base import Method
from simlab.methods.gradient import heavy_ball, sgd
from simlab.optimal.krotov import Certificate
from simlab.schedules import Schedule

__all__ = ["Horizons", "Optimum"]


class Horizons(NamedTuple):
    """One schedule for several horizons.

    ratios : horizon -> risk there over that of its own optimum.  worst : the largest of them.  bound : no schedule has
    a smaller worst ratio (see `simlab.optimal.horizons` for when this is one).  weights : horizon -> its weight.
    """

    ratios: dict[int, float]
    worst: float
    bound: float
    weights: dict[int, float]


@dataclass(frozen=True, eq=False, repr=False)
class Optimum:
    """A schedule, and how far from the best it may be.

    schedule : learning rates (T,).  momentum : of heavy ball.  decay : of an average of SGD.  batch : samples per step,
    a number or a schedule.  risk : the (weighted) risk.  certificate : how far from the optimum it may be (see
    `Certificate`).  converged : whether the gradient of the certificate is at most what was asked for.  history :
    (sweeps, 2), the risk after each sweep and how far it moved.  flat : the share of steps at which another momentum or
    decay, 0.1 away, would change the risk by less than 1e-8, or than what the search has left: there it means little.
    horizons : where several were asked for.
    """

    schedule: Schedule
    batch: Schedule | float
    risk: float
    certificate: Certificate
    converged: bool
    history: FloatArray
    momentum: Schedule | None = None
    decay: Schedule | None = None
    flat: float = 0.0
    horizons: Horizons | None = None

    @property
    def method(self) -> Method:
        """SGD, heavy ball or an average of SGD, with these rates and batches, for any engine."""
        if self.momentum is not None:
            return heavy_ball(self.schedule, self.momentum, batch=self.batch)
        plain = sgd(self.schedule, batch=self.batch)
        return plain if self.decay is None else ema(plain, self.decay)

    def __repr__(self) -> str:
        c, sweeps = self.certificate, len(self.history)
        state = "converged" if self.converged else "not converged"
        other = "momentum" if self.momentum is not None else "" if self.decay is None else "decay"
        local = f"; a local optimum, {other} ill-determined at {self.flat:.0%} of steps" if other else ""
        return (
            f"Optimum: {state} after {sweeps} sweeps, risk {self.risk:.12g}, peak {self.schedule.peak():.6g}; "
            f"single steps could still bring {c.gain:.1e} of it, any one of them {c.single:.1e}{local}"
        )
