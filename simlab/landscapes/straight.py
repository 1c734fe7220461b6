"""The straight river valley: a river along x, steep quadratic hills across it, and additive gradient noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, brief, check_number
from simlab.problems.base import frozen, per_mode, positive_eigenvalues, sort_descending
from simlab.problems.noisy_quadratic import NoisyQuadratic

if TYPE_CHECKING:
    from simlab.landscapes.landscape import Landscape

__all__ = ["StraightValley"]


FLAT = 2.0**-100
"""A curvature below the rounding of 1 - lr * curvature: to the recursion of the second moments, none at all."""


class StraightValley:
    """L(x, y) = R(x) + 1/2 sum_i lam_i y_i^2 with a linear river R = -s x or a quadratic one R = mu/2 (x - x*)^2.

    One sample's gradient has additive noise of the given variance along each direction, so that a batch of B has 1/B of
    it. Wen et al. 2024 (arXiv 2410.05192) for rivers and hills; the linear river over d hills is this project's.

    Parameters
    ----------
    hills : (d,) array, positive, descending (sorted with a notice if need be); lam_i, curvatures across the river.
    slope : s, fall of the loss along a linear river, per unit of x; a step of SGD gains lr s^2. Give this, or
    curvature : mu > 0 and `target` x*, of a quadratic river.
    noise : number or (d,) >= 0; variance of one sample's gradient along each hill.
    river_noise : number >= 0; the same along the river.
    hill_start : number or (d,); y_0.  river_start : x_0.

    Raises InputError for values that are refused.
    """

    @door
    def __init__(
        self,
        hills: npt.ArrayLike,
        *,
        slope: float | None = None,
        curvature: float | None = None,
        target: float | None = None,
        noise: npt.ArrayLike = 1.0,
        river_noise: float = 0.0,
        hill_start: npt.ArrayLike = 0.0,
        river_start: float = 0.0,
    ) -> None:
        lam = positive_eigenvalues(hills, "hills")
        c = per_mode("noise", noise, lam.size, low=0.0)
        start = per_mode("hill_start", hill_start, lam.size)
        lam, c, start = sort_descending(lam, c, start)
        if (slope is None) == (curvature is None):
            given = "neither" if slope is None else "both"
            raise InputError(
                f" and curvature: {given} given; give slope (linear river) or curvature (quadratic).", "slope"
            )
        if slope is not None and target is not None:
            raise InputError(f" = {brief(target)} belongs to a quadratic river; give curvature, not slope.", "target")
        self.hills: FloatArray = frozen(lam)
        self.noise: FloatArray = frozen(c)
        self.hill_start: FloatArray = frozen(start)
        self.slope = 0.0 if slope is None else check_number("slope", slope)
        self.curvature = (
            0.0
            if curvature is None
            else check_number("curvature", curvature, low=0.0, open_low=True, remedy="give mu > 0, or a slope")
        )
        self.target = check_number("target", 0.0 if target is None else target)
        self.river_noise = check_number("river_noise", river_noise, low=0.0)
        self.river_start = check_number("river_start", river_start)

    @property
    def dim(self) -> int:
        """Number of coordinates 1 + d, the river first."""
        return 1 + int(self.hills.size)

    @property
    def linear(self) -> bool:
        """Whether the river falls at a constant slope."""
        return self.curvature == 0.0

    @property
    def critical_lr(self) -> float:
        """2 / lam_1: the learning rate at which plain SGD leaves the valley, the cap on every peak."""
        return 2.0 / float(max(self.hills[0], self.curvature))

    def river_loss(self, x: npt.ArrayLike) -> FloatArray:
        """R at positions x along the river, shape of x."""
        at = np.asarray(x, dtype=np.float64)
        return -self.slope * at if self.linear else 0.5 * self.curvature * (at - self.target) ** 2

    def hill_loss(self, y: npt.ArrayLike) -> FloatArray:
        """1/2 lam_i y_i^2 by direction, y (..., d)."""
        out: FloatArray = 0.5 * self.hills * np.asarray(y, dtype=np.float64) ** 2
        return out

    def loss(self, point: npt.ArrayLike) -> FloatArray:
        """L at points (x, y_1 .. y_d), shape (..., 1 + d)."""
        at = np.asarray(point, dtype=np.float64)
        out: FloatArray = self.river_loss(at[..., 0]) + self.hill_loss(at[..., 1:]).sum(axis=-1)
        return out

    def hill_problem(self) -> NoisyQuadratic:
        """The hills alone, as the exact engine takes them."""
        return NoisyQuadratic(self.hills, self.hill_start, self.noise)

    def river_problem(self) -> NoisyQuadratic:
        """The river alone: measured from x* where it is quadratic.

        Where it is linear, the spread about its mean alone: a mode of curvature 2^-100, too flat to be felt.
        """
        if self.linear:
            return NoisyQuadratic([FLAT], 0.0, self.river_noise)
        return NoisyQuadratic([self.curvature], self.river_start - self.target, self.river_noise)

    def landscape(self) -> Landscape:
        """The same valley as a compiled landscape, for the sampling engine (`simlab.engines.descend`)."""
        from simlab.landscapes.valleys import straight_landscape

        start = np.append(self.river_start, self.hill_start)
        return straight_landscape(self.hills, self.slope, self.curvature, self.target, start)

    def describe(self) -> dict[str, Any]:
        """JSON-able provenance."""
        river = {"slope": self.slope} if self.linear else {"curvature": self.curvature, "target": self.target}
        return {
            "kind": "StraightValley",
            "dim": self.dim,
            **river,
            "steepest_hill": float(self.hills[0]),
            "gentlest_hill": float(self.hills[-1]),
            "hill_noise": float(self.noise.sum()),
            "river_noise": self.river_noise,
        }

    def __repr__(self) -> str:
        river = f"slope {self.slope:g}" if self.linear else f"curvature {self.curvature:g} about {self.target:g}"
        sizes = f"{self.hills.size} hills, curvature {self.hills[-1]:.4g} to {self.hills[0]:.4g}"
        return f"StraightValley(river of {river}; {sizes}; stable below lr {self.critical_lr:.4g})"
