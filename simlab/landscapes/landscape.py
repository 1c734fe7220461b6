"""A landscape: a loss and its gradient, compiled, with a start and what is known of its shape.

River valleys (Wen et al. 2024, arXiv 2410.05192) are losses that are flat along one curve, the river, and steep across
it. What is measured on a landscape is its loss itself, split as loss = river loss + hill loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, brief, check_array, check_count, check_floats
from simlab.kernels.landscapes import strips
from simlab.landscapes.trial import failed, short, try_out

__all__ = ["Landscape", "Lowest", "Split", "custom", "jitted", "nearby", "short"]


CHECK_POINTS = 5
CHECK_TOLERANCE = 1e-4
"""What a gradient may differ from central differences of its loss, relative to the largest entry of either."""


class Lowest(NamedTuple):
    """The lowest eigenvalue of a Hessian, its unit eigenvector (dim,), and the gap to the next eigenvalue."""

    eigenvalue: float
    vector: FloatArray
    gap: float


class Split(NamedTuple):
    """River coordinate (n,), river loss (n,) and hill state (n, hills) of n points; hill loss = loss - river loss."""

    coordinate: FloatArray
    river_loss: FloatArray
    hills: FloatArray


@dataclass(frozen=True, eq=False)
class Landscape:
    """A loss with its gradient, both compiled by Numba.

    Attributes
    ----------
    expression : the call that makes it, for labels and provenance.
    dim : number of coordinates.
    start : (dim,) where runs begin.
    loss, gradient : compiled, loss(u, params) -> float and gradient(u, params, out) -> None, of the first
        dim - hills.size coordinates of u = rotation^T w (u = w for a landscape that is not turned).
    params : float64 array that both are given.
    code : a code of `simlab.kernels.landscapes.fields` for the built-in ones, else None.
    rotation : orthogonal (dim, dim), or (0, 0).  hills : (m,) curvatures of quadratic coordinates added behind.
    hessian_of : u -> Hessian there, or None for central differences of the gradient.
    split_of : points u (n, inner dim) -> Split, where the river is known in closed form, else None.
    inside_of : points u (n, inner dim) -> (n,) bool, the domain; None for everywhere.  domain : the same in words.
    cuda : CUDA C++ of a loss and gradient of the user's own, for a GPU, or nothing.
    """

    expression: str
    dim: int
    start: FloatArray
    loss: Any
    gradient: Any
    params: FloatArray
    code: int | None = None
    rotation: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    hills: FloatArray = field(default_factory=lambda: np.zeros(0))
    hessian_of: Callable[[FloatArray], FloatArray] | None = None
    split_of: Callable[[FloatArray], Split] | None = None
    inside_of: Callable[[FloatArray], npt.NDArray[np.bool_]] | None = None
    domain: str = ""
    cuda: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", check_array("start", self.start, length=self.dim))
        self.check_inside("start", self.start)

    @property
    def inner_dim(self) -> int:
        """How many coordinates `loss` and `gradient` take."""
        return self.dim - self.hills.size

    @property
    def turned(self) -> bool:
        """Whether w = rotation u."""
        return self.rotation.size > 0

    def value(self, points: npt.ArrayLike) -> FloatArray:
        """Loss at points (..., dim), shape (...)."""
        flat, shape = self._flat(points)
        out = np.empty(flat.shape[1])
        kernel = strips.own_losses if self.code is None else strips.losses
        self._call("loss", kernel, self._function(0), flat, self.params, self.rotation, self.hills, out)
        return out.reshape(shape)

    def slope(self, points: npt.ArrayLike) -> FloatArray:
        """Gradient at points (..., dim), of the same shape."""
        flat, shape = self._flat(points)
        out = np.empty_like(flat)
        kernel = strips.own_gradients if self.code is None else strips.gradients
        self._call("gradient", kernel, self._function(1), flat, self.params, self.rotation, self.hills, out)
        return np.ascontiguousarray(out.T).reshape(*shape, self.dim)

    def hessian(self, point: npt.ArrayLike) -> FloatArray:
        """Hessian (dim, dim) at one point; central differences of the gradient where no formula is known."""
        w = check_array("point", point, length=self.dim)
        if self.hessian_of is None:
            return self._differences(w)
        inner = np.asarray(self.hessian_of(self.own_coordinates(w)[: self.inner_dim]), dtype=np.float64)
        if not self.turned:
            return inner
        full = np.diag(np.concatenate([np.zeros(self.inner_dim), self.hills]))
        full[: self.inner_dim, : self.inner_dim] = inner
        out: FloatArray = self.rotation @ full @ self.rotation.T
        return out

    def lowest(self, point: npt.ArrayLike) -> Lowest:
        """Lowest eigenvalue of the Hessian at a point, its eigenvector and the gap to the next."""
        values, vectors = np.linalg.eigh(self.hessian(point))
        gap = float(values[1] - values[0]) if values.size > 1 else np.inf
        return Lowest(float(values[0]), vectors[:, 0], gap)

    def sharpness(self, point: npt.ArrayLike | None = None) -> float:
        """Largest eigenvalue of the Hessian at a point (default: the start): gradient descent is stable below
        2 / sharpness.
        """
        return float(np.linalg.eigvalsh(self.hessian(self.start if point is None else point))[-1])

    def split(self, points: npt.ArrayLike) -> Split:
        """River coordinate, river loss and hill state of points (n, dim) where the river is known in closed form."""
        if self.split_of is None:
            raise InputError(
                f"{self.expression} has no river in closed form; find it with simlab.river.find.river(landscape)."
            )
        u = self.own_coordinates(np.asarray(points, dtype=np.float64))
        inner = self.split_of(u[:, : self.inner_dim])
        return inner._replace(hills=np.concatenate([inner.hills, u[:, self.inner_dim :]], axis=1))

    def own_coordinates(self, points: FloatArray) -> FloatArray:
        """u = rotation^T w of points (..., dim); each the same to the bit, whatever others it comes with."""
        if not self.turned:
            return points
        flat, shape = self._flat(points)
        out = np.empty_like(flat)
        strips.turned_back(self.rotation, flat, out)
        return np.ascontiguousarray(out.T).reshape(*shape, self.dim)

    def starting_at(self, start: npt.ArrayLike) -> Landscape:
        """The same landscape with another start."""
        return replace(self, start=check_floats("start", start).copy())

    def check_inside(self, name: str, point: FloatArray) -> None:
        """Refuse a point off the domain, or where the loss is not finite."""
        u = self.own_coordinates(point)[: self.inner_dim]
        if self.inside_of is not None and not np.all(self.inside_of(u[None])):
            raise InputError(f" = {short(point)} is off the domain of {self.expression}; give {self.domain}.", name)
        if not np.isfinite(self.value(point)):
            raise InputError(f" = {short(point)} has no finite loss; give a point where the loss is defined.", name)

    def describe(self) -> dict[str, Any]:
        """JSON-able provenance (of the start the first 16 coordinates)."""
        return {"landscape": self.expression, "dim": self.dim, "start": self.start[:16].tolist()}

    def __repr__(self) -> str:
        return self.expression

    def _call(self, name: str, kernel: Callable[..., None], *arguments: Any) -> None:
        """kernel(*arguments); what a function of the user's own raises there becomes an InputError."""
        try:
            kernel(*arguments)
        except (ArithmeticError, LookupError, ValueError, RuntimeError) as error:
            raise failed(f"{name} of {self.expression}", error) from None

    def _function(self, which: int) -> Any:
        return (self.loss, self.gradient)[which] if self.code is None else self.code

    def _flat(self, points: npt.ArrayLike) -> tuple[FloatArray, tuple[int, ...]]:
        """Points as the kernels take them, (dim, n), and the shape they came in."""
        array = check_floats("points", points)
        if array.ndim == 0 or array.shape[-1] != self.dim:
            raise InputError(f" have shape {array.shape}; give (..., {self.dim}) for {self.expression}.", "points")
        return np.ascontiguousarray(array.reshape(-1, self.dim).T), array.shape[:-1]

    def _differences(self, w: FloatArray) -> FloatArray:
        step = np.cbrt(np.finfo(float).eps) * np.maximum(1.0, np.abs(w))
        # The steps that were really taken, after rounding.
        ahead, behind = w + step, w - step
        points = np.concatenate([_moved(w, ahead), _moved(w, behind)])
        slopes = self.slope(points).reshape(2, self.dim, self.dim)
        hessian = (slopes[0] - slopes[1]) / (ahead - behind)[:, None]
        out: FloatArray = 0.5 * (hessian + hessian.T)
        return out


@door
def custom(
    loss: Callable[..., Any],
    gradient: Callable[..., Any],
    dim: int,
    hessian: Callable[[FloatArray], FloatArray] | None = None,
    *,
    start: npt.ArrayLike | None = None,
    params: npt.ArrayLike = (),
    inside: Callable[[FloatArray], npt.NDArray[np.bool_]] | None = None,
    split: Callable[[FloatArray], Split] | None = None,
    cuda: str | None = None,
    name: str = "custom",
) -> Landscape:
    """A landscape of the user's own.

    Parameters
    ----------
    loss : loss(w, params) -> float, compiled by Numba or such as Numba can compile; w (dim,), params float64 arrays.
    gradient : gradient(w, params, out) -> None, writes the gradient into out (dim,).
    dim : number of coordinates.
    hessian : w -> (dim, dim), plain NumPy; default: central differences of the gradient.
    start : (dim,), default zeros.  params : numbers handed to both functions.
    inside : points (n, dim) -> (n,) bool, the domain of the loss.
    split : points (n, dim) -> Split, where the river is known.
    cuda : the same two functions in CUDA C++, for device="gpu":
        __device__ double loss(const double* w, const double* params) and
        __device__ void gradient(const double* w, const double* params, double* out).

    Raises InputError where Numba cannot compile either function, or where one of them, at the start or at points near
    it, raises or reaches beyond its arrays, or the gradient disagrees with central differences of the loss. Only a run
    on a GPU compiles `cuda`, and refuses it where it disagrees with the other two at those points.
    """
    dim = check_count("dim", dim, high=10**7)
    numbers = check_floats("params", params).ravel()
    for field_, function in (("hessian", hessian), ("inside", inside), ("split", split)):
        if function is not None and not callable(function):
            raise InputError(f" = {brief(function)} is not a function; give one of points, or leave it out.", field_)
    origin = np.zeros(dim) if start is None else check_array("start", start, length=dim)
    if cuda is not None and not (isinstance(cuda, str) and "loss" in cuda and "gradient" in cuda):
        raise InputError(f" = {brief(cuda)} is not CUDA C++ of loss and gradient; see simlab.river.custom.", "cuda")
    compiled = [_compiled(name, f) for name, f in (("loss", loss), ("gradient", gradient))]
    _try(compiled, origin, numbers)
    landscape = Landscape(
        name, dim, origin, compiled[0], compiled[1], numbers, hessian_of=hessian, split_of=split, inside_of=inside,
        domain="a point for which inside(points) holds", cuda=cuda or "",
    )  # fmt: skip
    for w in nearby(landscape)[1:]:
        _try(compiled, w, numbers)
    _check_gradient(landscape)
    return landscape


def _compiled(name: str, function: Any) -> Any:
    from numba.core.registry import CPUDispatcher

    if isinstance(function, CPUDispatcher):
        return function
    if not callable(function) or not hasattr(function, "__code__"):
        raise InputError(f" = {brief(function)} is not a function; give one that Numba can compile.", name)
    return jitted(function)


@lru_cache(maxsize=64)
def jitted(function: Callable[..., Any]) -> Any:
    """The function compiled; once for each, for the kernels are compiled anew for every compiled function."""
    from numba import njit

    return njit(nogil=True)(function)


def _try(compiled: list[Any], w: FloatArray, params: FloatArray) -> None:
    """Call both functions at a point, or say in a sentence which is at fault and why."""
    value = try_out("loss", compiled[0], (w, params), writes=False)
    if not isinstance(value, float):
        raise InputError(f" returns {type(value).__name__}; let it return one float.", "loss")
    try_out("gradient", compiled[1], (w, params, np.zeros_like(w)), writes=True)


def nearby(landscape: Landscape) -> FloatArray:
    """The start and random points near it on the domain, (n, dim): where the user's functions are looked at."""
    rng = np.random.default_rng(0)
    w0 = landscape.start
    near = w0 + 0.3 * np.maximum(1.0, np.abs(w0)) * rng.standard_normal((CHECK_POINTS, landscape.dim))
    if landscape.inside_of is not None:
        u = landscape.own_coordinates(near)[:, : landscape.inner_dim]
        near = near[np.asarray(landscape.inside_of(u), dtype=bool)]
    return np.concatenate([w0[None], near])


def _check_gradient(landscape: Landscape) -> None:
    """The gradient against central differences of the loss, at the start and at random points near it."""
    for w in nearby(landscape):
        step = np.cbrt(np.finfo(float).eps) * np.maximum(1.0, np.abs(w))
        ahead, behind = w + step, w - step
        values = landscape.value(np.concatenate([_moved(w, ahead), _moved(w, behind)])).reshape(2, -1)
        if not np.all(np.isfinite(values)):
            continue
        found, said = (values[0] - values[1]) / (ahead - behind), landscape.slope(w)
        # Rounding of the loss, divided by the step.
        floor = 1e-10 * max(1.0, float(np.max(np.abs(values))))
        allowed = CHECK_TOLERANCE * max(float(np.max(np.abs(found))), floor / CHECK_TOLERANCE, 1e-6)
        wrong = np.flatnonzero(~(np.abs(found - said) <= allowed))
        if wrong.size:
            j = int(wrong[0])
            raise InputError(
                f" = {said[j]:.6g} at w = {short(w)}, where differences of the loss give {found[j]:.6g}; "
                f"correct the one or the other.",
                f"gradient[{j}]",
            )


def _moved(w: FloatArray, to: FloatArray) -> FloatArray:
    """(dim, dim): row j is w with its j-th coordinate replaced by that of `to`."""
    rows = np.tile(w, (w.size, 1))
    np.fill_diagonal(rows, to)
    return rows
