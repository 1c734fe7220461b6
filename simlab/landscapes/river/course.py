"""A river that was found, and what lies beside it: points projected onto it along the hills."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.landscapes.landscape import Landscape, Split

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["River"]


PORTION = 1 << 22
"""Distances held at a time."""
REFINEMENTS = 4


@dataclass(frozen=True, eq=False)
class River:
    """A curve r(s) by its m nodes.

    Attributes
    ----------
    landscape : whose river it is.
    arc : (m,) arc length s, 0 at the start and growing downstream.
    points : (m, dim).
    eigenvalues : (m, dim) of the Hessian there, ascending.
    eigenvectors : (m, dim, dim), column 0 along the river, signs continuous.
    ended : "minimum" where the river loss has its minimum, else "length".
    """

    landscape: Landscape
    arc: FloatArray
    points: FloatArray
    eigenvalues: FloatArray
    eigenvectors: FloatArray
    ended: str

    @property
    def gap(self) -> FloatArray:
        """Eigengap lam_2 - lam_1 along it (m,)."""
        out: FloatArray = self.eigenvalues[:, 1] - self.eigenvalues[:, 0]
        return out

    @property
    def loss(self) -> FloatArray:
        """River loss L(r(s)) at the nodes (m,)."""
        return self.landscape.value(self.points)

    def at(self, arc: npt.ArrayLike) -> FloatArray:
        """Points r(s) (n, dim) at arc lengths s (n,); the curve goes on straight beyond its ends."""
        return self._position(np.asarray(arc, dtype=np.float64))[0]

    def project(self, points: npt.ArrayLike) -> FloatArray:
        """River coordinate s (n,) of points w (n, dim): where v(s) . (w - r(s)) = 0, nearest to w.

        v is the lowest eigenvector, so that w - r(s) lies within the span of the hills there.
        """
        w = np.asarray(points, dtype=np.float64)
        s = np.empty(len(w))
        share = max(1, PORTION // self.arc.size)
        for first in range(0, len(w), share):
            part = w[first : first + share]
            guess = self._nearest(part)
            s[first : first + share] = self._refined(part, guess)
        return s

    def split(self, points: FloatArray) -> Split:
        """River coordinate, river loss L(r(s)), and hill state of points (n, dim): components of w - r(s) along the
        hills' eigenvectors at the nearest node (n, dim - 1), gentlest first.
        """
        w = np.asarray(points, dtype=np.float64)
        s = self.project(w)
        floor = self._position(s)[0]
        hills = np.empty((len(w), self.points.shape[1] - 1))
        middles = 0.5 * (self.arc[1:] + self.arc[:-1])
        node = np.searchsorted(middles, s)
        for j in np.unique(node):
            mine = node == j
            hills[mine] = (w[mine] - floor[mine]) @ self.eigenvectors[j][:, 1:]
        return Split(s, self.landscape.value(floor), hills)

    def dataset(self) -> xr.Dataset:
        """The nodes with loss, eigenvalues and gap as an xarray.Dataset by arc length."""
        import xarray as xr

        variables = {
            "point": (("arc", "index"), self.points),
            "loss": (("arc",), self.loss),
            "eigenvalue": (("arc", "direction"), self.eigenvalues),
            "gap": (("arc",), self.gap),
        }
        return xr.Dataset(variables, {"arc": self.arc}, {"landscape": self.landscape.expression, "ended": self.ended})

    def __repr__(self) -> str:
        return (
            f"River({self.landscape.expression}, {self.arc.size} points, arc {self.arc[0]:.6g} to {self.arc[-1]:.6g}, "
            f"from {self.points[0].tolist()[:3]})"
        )

    @cached_property
    def _splines(self) -> tuple[Any, Any]:
        """r(s) and v(s) as cubic splines."""
        from scipy.interpolate import CubicSpline

        return CubicSpline(self.arc, self.points), CubicSpline(self.arc, self.eigenvectors[:, :, 0])

    def _position(self, s: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """r, r' and v (n, dim) at s (n,); straight on beyond the ends."""
        curve, lowest = self._splines
        inside = np.clip(s, self.arc[0], self.arc[-1])
        tangent = curve(inside, 1)
        return curve(inside) + (s - inside)[:, None] * tangent, tangent, lowest(inside)

    def _nearest(self, w: FloatArray) -> FloatArray:
        """Arc length of the nearest node of each point."""
        squares = np.sum(self.points**2, axis=1) - 2.0 * (w @ self.points.T)
        out: FloatArray = self.arc[np.argmin(squares, axis=1)]
        return out

    def _refined(self, w: FloatArray, s: FloatArray) -> FloatArray:
        """Newton's method on v(s) . (w - r(s)) = 0, v held fixed in the derivative; at most two nodes a step."""
        reach = 2.0 * float(np.max(np.diff(self.arc)))
        outer = np.maximum(np.linalg.norm(w - self._position(s)[0], axis=1), reach)
        for _ in range(REFINEMENTS + 8):
            r, tangent, v = self._position(s)
            ahead = np.einsum("ij,ij->i", v, w - r) / np.einsum("ij,ij->i", v, tangent)
            s = s + np.clip(ahead, -outer, outer)
            if np.all(np.abs(ahead) < 1e-13 * (1.0 + np.abs(s))):
                break
        return s
