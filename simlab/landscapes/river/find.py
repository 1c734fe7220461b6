"""The river of any landscape: the curve on which the gradient is aligned with the Hessian's lowest eigenvector.

Definition: Wen et al. 2024 (arXiv 2410.05192). Curves on which the gradient is an eigenvector of the Hessian are the
gradient extremals of Hoffman, Nord and Ruedenberg 1986 (Theor. Chim. Acta 69). Followed here by continuation: a step
along the secant, then a corrector in the plane across it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, check_array, check_count, check_kind, check_number
from simlab.landscapes.landscape import Landscape
from simlab.landscapes.river.course import River

__all__ = ["River", "river"]


LEAST_GAP = 1e-3
"""Least eigengap, relative to the larger of the two lowest eigenvalues in magnitude."""
TOLERANCE = 1e-12
"""What is left of the gradient across the river, relative to the gradient at the start and the steepest hill."""
ROUNDING = 1e-10
"""An eigengap below this share of the largest eigenvalue is rounding."""
MOST_CORRECTIONS = 60
SHARPEST_TURN = 0.9
"""Least cosine between neighbouring steps, and between neighbouring eigenvectors; steps are halved to reach it."""
MOST_HALVINGS = 12


class _Node(NamedTuple):
    """A point of the river, with the gradient there and the Hessian's eigenvalues and eigenvectors, lowest first."""

    point: FloatArray
    slope: FloatArray
    values: FloatArray
    vectors: FloatArray

    @property
    def lowest(self) -> FloatArray:
        return self.vectors[:, 0]


@door
def river(
    landscape: Landscape,
    start: npt.ArrayLike | None = None,
    length: float = 10.0,
    *,
    points: int = 201,
    upstream: float = 0.0,
    least_gap: float = LEAST_GAP,
) -> River:
    """Follow the river from the point of it nearest to `start`, downhill.

    On the river (I - v v^T) grad L = 0, v the unit eigenvector of the Hessian's lowest eigenvalue.

    Parameters
    ----------
    start : (dim,), default the landscape's; it is moved onto the river across the hills first.
    length : how far to follow it, as arc length; it ends earlier at a minimum of the river loss.
    points : nodes of the curve, equally spaced but where it turns sharply.
    upstream : how far to follow it uphill as well; arc length is negative there.
    least_gap : relative eigengap (lam_2 - lam_1) / max(|lam_1|, |lam_2|) at which the river ceases to be defined.

    Raises InputError where the gap closes or no river is found, with the point.
    """
    check_kind("landscape", landscape, Landscape, "a landscape", "make one with simlab.river.curved(), say")
    origin = landscape.start if start is None else check_array("start", start, length=landscape.dim)
    landscape.check_inside("start", origin)
    length = check_number("length", length, low=0.0, open_low=True)
    upstream = check_number("upstream", upstream, low=0.0)
    spacing = (length + upstream) / (check_count("points", points, low=3, high=10**6) - 1)
    tracer = _Tracer(landscape, check_number("least_gap", least_gap, low=0.0), spacing)
    first = tracer.onto_river(origin)
    downhill = -np.sign(first.slope @ first.lowest) or 1.0
    ahead, ended = tracer.follow(first, downhill * first.lowest, length, downhill=True)
    behind: list[_Node] = []
    if upstream > 0.0:
        behind, _ = tracer.follow(first, -downhill * first.lowest, upstream, downhill=False)
    nodes = [*behind[::-1], first, *ahead]
    if len(nodes) < 3:
        raise InputError(
            f" = {length:g} leaves {len(nodes)} points of the river before its minimum; give a start further "
            f"upstream, or more points.",
            "length",
        )
    return _curve(landscape, nodes, len(behind), ended)


class _Tracer:
    def __init__(self, landscape: Landscape, least_gap: float, spacing: float) -> None:
        self.landscape, self.least_gap, self.spacing = landscape, least_gap, spacing
        self.scale = 0.0

    def node(self, point: FloatArray) -> _Node:
        """The landscape's derivatives at a point; refused where the eigengap is closed."""
        hessian, slope = self.landscape.hessian(point), self.landscape.slope(point)
        if not (np.all(np.isfinite(hessian)) and np.all(np.isfinite(slope))):
            raise _Lost(f"the loss is not finite near w = {_short(point)}")
        values, vectors = np.linalg.eigh(hessian)
        if values.size < 2:
            raise InputError(" has a single coordinate; a river needs at least one hill.", "landscape")
        gap, size = values[1] - values[0], max(abs(values[0]), abs(values[1]))
        if not gap > max(self.least_gap * size, ROUNDING * float(np.max(np.abs(values)))):
            raise InputError(
                f" ends at w = {_short(point)}: the eigengap closes there (lam_1 = {values[0]:.4g}, lam_2 = "
                f"{values[1]:.4g}); shorten the length, or lower least_gap.",
                "river",
            )
        return _Node(point, slope, values, vectors)

    def onto_river(self, point: FloatArray) -> _Node:
        """The point of the river from which `point` is reached across the hills."""
        node = self.node(point)
        self.scale = float(np.linalg.norm(node.slope))
        try:
            for _ in range(8):
                node = self.corrected(node.point, node.lowest)
                # Until the plane that was searched is the plane across the river itself.
                if abs(node.lowest @ (point - node.point)) < 1e-9 * (1.0 + float(np.linalg.norm(point))):
                    break
                node = self.node(node.point + node.lowest * (node.lowest @ (point - node.point)))
            return self.corrected(node.point, node.lowest)
        except _Lost as lost:
            raise InputError(
                f" not found near start = {_short(point)} ({lost}); give a start nearer to the floor.", "river"
            ) from None

    def corrected(self, guess: FloatArray, tangent: FloatArray) -> _Node:
        """The point of the river in the plane through `guess` across `tangent`.

        Newton's method with the derivative of v left out, whose error shrinks by a factor of about |grad| |dv/dw| / gap
        each time; steps that don't help are halved.
        """
        point, node = guess, self.node(guess)
        left = _across(node)
        floor = TOLERANCE * (self.scale + abs(float(node.values[-1])))
        for _ in range(MOST_CORRECTIONS):
            size = float(np.linalg.norm(left))
            if size <= floor:
                break
            v = node.lowest
            matrix = (node.vectors * node.values) @ node.vectors.T
            matrix = matrix - np.outer(v, v @ matrix) + np.outer(v, tangent) * max(abs(float(node.values[-1])), 1e-300)
            try:
                move = np.linalg.solve(matrix, -left)
            except np.linalg.LinAlgError:
                raise _Lost(f"the hills are flat near w = {_short(point)}") from None
            for halving in range(MOST_HALVINGS):
                trial = self.node(point + move * 0.5**halving)
                remains = _across(trial)
                if float(np.linalg.norm(remains)) < size:
                    break
            else:
                # Rounding is as far as one gets, or this is no river.
                if size <= 1e4 * floor:
                    break
                raise _Lost(f"the gradient across the river stays at {size:.3g} near w = {_short(point)}")
            point, node, left = trial.point, trial, remains
        else:
            raise _Lost(f"no convergence near w = {_short(point)}")
        return node

    def follow(self, first: _Node, tangent: FloatArray, length: float, downhill: bool) -> tuple[list[_Node], str]:
        """Nodes behind `first` along `tangent` up to an arc length, and why they end."""
        nodes, done, step, halvings = [first], 0.0, self.spacing, 0
        while done < length - 1e-9 * self.spacing:
            here = nodes[-1]
            step = min(step, length - done)
            trial = self._step(here, tangent, step)
            if trial is None:
                halvings += 1
                if halvings > MOST_HALVINGS:
                    raise InputError(
                        f" is lost at w = {_short(here.point)}, where it turns or its eigenvector jumps; shorten "
                        f"the length, or give more points.",
                        "river",
                    )
                step *= 0.5
                continue
            forward = trial.point - here.point
            if downhill and trial.slope @ forward >= 0.0:
                return nodes[1:], "minimum"
            nodes.append(trial)
            moved = float(np.linalg.norm(forward))
            done += moved
            tangent, step, halvings = forward / moved, min(2.0 * step, self.spacing), 0
        return nodes[1:], "length"

    def _step(self, here: _Node, tangent: FloatArray, step: float) -> _Node | None:
        """The next node, or None where a shorter step should be tried."""
        try:
            trial = self.corrected(here.point + step * tangent, tangent)
        except _Lost:
            return None
        forward = trial.point - here.point
        turn = float(forward @ tangent) / float(np.linalg.norm(forward))
        if turn < SHARPEST_TURN or abs(float(trial.lowest @ here.lowest)) < SHARPEST_TURN:
            return None
        return trial


class _Lost(Exception):
    """No point of the river where it was looked for."""


def _across(node: _Node) -> FloatArray:
    """The gradient across the river, (I - v v^T) g."""
    out: FloatArray = node.slope - node.lowest * float(node.lowest @ node.slope)
    return out


def _curve(landscape: Landscape, nodes: list[_Node], origin: int, ended: str) -> River:
    """The nodes as arrays, with eigenvectors whose signs go on from node to node, the lowest one downstream."""
    points = np.array([node.point for node in nodes])
    vectors = np.array([node.vectors for node in nodes])
    pieces = np.linalg.norm(np.diff(points, axis=0), axis=1)
    arc = np.concatenate([[0.0], np.cumsum(pieces)])
    vectors[0, :, 0] *= np.sign(vectors[0, :, 0] @ (points[1] - points[0])) or 1.0
    for j in range(1, len(nodes)):
        signs = np.sign(np.einsum("ij,ij->j", vectors[j - 1], vectors[j]))
        vectors[j] *= np.where(signs == 0.0, 1.0, signs)
    values = np.array([node.values for node in nodes])
    return River(landscape, arc - arc[origin], points, values, vectors, ended)


def _short(point: FloatArray) -> str:
    shown = ", ".join(f"{value:.4g}" for value in point[:4])
    return f"({shown}{', ...' if point.size > 4 else ''})"
