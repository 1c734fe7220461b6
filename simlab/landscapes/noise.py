"""Noise of one sample's gradient on a landscape; a batch of B divides its variance by B, an infinite one has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, brief, check_array, check_floats, check_kind, check_number
from simlab.kernels.landscapes.descent import DIAGONAL, FACTOR, NO_NOISE, SHAPED, Noisy
from simlab.kernels.landscapes.fields import CURVED
from simlab.kernels.landscapes.river_noise import Across
from simlab.landscapes.direction import along_river, plane, runs_straight
from simlab.landscapes.landscape import Landscape, jitted
from simlab.landscapes.trial import try_out

__all__ = ["Noise", "along_hills", "amplified", "custom", "diagonal", "isotropic", "like_hessian", "none", "with_loss"]


@dataclass(frozen=True, eq=False)
class Noise:
    """What is subtracted from a gradient: some linear or user-given function of standard normals (dim,).

    expression : the call that makes it.  make : landscape -> the arrays of it there.  known : (landscape, point) -> the
    covariance (dim, dim), where it differs from point to point and is known.
    """

    expression: str
    make: Callable[[Landscape], Noisy] = field(repr=False)
    known: Callable[[Landscape, FloatArray], FloatArray] | None = field(default=None, repr=False)

    def on(self, landscape: Landscape) -> Noisy:
        """The arrays of this noise on a landscape, or an InputError."""
        return self.make(landscape)

    def covariance(self, landscape: Landscape, point: npt.ArrayLike | None = None) -> FloatArray:
        """Covariance (dim, dim) of one sample's gradient at a point (default: the start)."""
        noisy = self.on(landscape)
        at = landscape.start if point is None else check_array("point", point, length=landscape.dim)
        factor = np.diag(noisy.diagonal) if noisy.kind == DIAGONAL else noisy.factor
        base = np.zeros((landscape.dim, landscape.dim))
        if noisy.kind == SHAPED:
            if self.known is None:
                raise InputError(
                    f" = {self.expression} is a function of its own, whose covariance is not known.", "noise"
                )
            base = self.known(landscape, at)
        elif noisy.kind != NO_NOISE:
            base = factor @ factor.T
        if noisy.by_loss > 0.0:
            base = base * noisy.by_loss * max(float(landscape.value(at)) - noisy.floor, 0.0)
        out: FloatArray = base
        return out

    def __repr__(self) -> str:
        return self.expression


def none() -> Noise:
    """The full gradient."""
    return Noise("none()", _none)


@door
def isotropic(sigma: float = 1.0) -> Noise:
    """Standard deviation sigma in every coordinate."""
    sigma = check_number("sigma", sigma, low=0.0)
    return Noise(f"isotropic({sigma:g})", partial(_isotropic, sigma))


@door
def diagonal(sigma: npt.ArrayLike) -> Noise:
    """Standard deviation sigma_i in coordinate i; sigma (dim,)."""
    sizes = check_array("sigma", sigma, low=0.0)
    return Noise(f"diagonal(sigma[{sizes.size}])", partial(_diagonal, sizes))


@door
def like_hessian(scale: float = 1.0, at: npt.ArrayLike | None = None) -> Noise:
    """Covariance scale^2 H, H the Hessian at the point `at` (default: the start), its negative part left out.

    The law of label noise near a minimum, where the covariance of the gradient is the Hessian (Fisher information).
    """
    scale = check_number("scale", scale, low=0.0)
    return Noise(f"like_hessian({scale:g})", partial(_like_hessian, scale, at))


@door
def along_hills(sigma: float = 1.0, at: npt.ArrayLike | None = None) -> Noise:
    """Standard deviation sigma in every direction but one, that of the river: covariance sigma^2 (I - t t^T).

    t is the unit tangent of the river at the river coordinate of the point where the gradient is taken
    (`simlab.landscapes.direction.along_river`), so that the noise turns with a river that bends: in a straight,
    narrowing, widening, curved or hyperbolic valley, embedded or not. Elsewhere the course of the river is not known,
    which is refused. With `at`, a point (dim,), t is the lowest eigenvector of the Hessian there, everywhere.
    """
    sigma = check_number("sigma", sigma, low=0.0)
    make, known = partial(_along_hills, sigma, at), partial(_across_river, sigma)
    return Noise(f"along_hills({sigma:g}{'' if at is None else ', at'})", make, known)


@door
def with_loss(scale: float = 1.0, floor: float = 0.0, of: Noise | None = None) -> Noise:
    """Variance scale^2 max(L(w) - floor, 0) times that of another noise (default: of variance 1 in every coordinate).

    Noise that dies out as the loss falls to `floor`, as in interpolation.
    """
    scale, floor = check_number("scale", scale, low=0.0), check_number("floor", floor)
    base = isotropic(1.0) if of is None else check_kind("of", of, Noise, "a noise", "make one with isotropic(1.0), say")
    make = partial(_with_loss, scale, floor, base)
    return Noise(f"with_loss({scale:g}, floor={floor:g}, of={base.expression})", make, base.known)


@door
def custom(shape: Callable[..., Any], params: npt.ArrayLike = (), name: str = "custom") -> Noise:
    """State-dependent noise: shape(w, params, xi, out) writes it into out (dim,) from standard normals xi (dim,).

    `shape` is compiled by Numba, or such as Numba can compile. It is tried at a landscape's start, and refused where it
    raises or reaches beyond its arrays.
    """
    numbers = check_floats("params", params).ravel()
    if not callable(shape):
        raise InputError(f" = {brief(shape)} is not a function; give one that Numba can compile.", "shape")
    return Noise(f"{name}(params[{numbers.size}])", partial(_custom, shape, numbers, name))


# What makes the arrays are functions of a module, which pickle finds again, with their numbers.


def _none(landscape: Landscape) -> Noisy:
    return _noisy(NO_NOISE)


def _isotropic(sigma: float, landscape: Landscape) -> Noisy:
    return _noisy(DIAGONAL, np.full(landscape.dim, sigma))


def _diagonal(sizes: FloatArray, landscape: Landscape) -> Noisy:
    if sizes.size != landscape.dim:
        raise InputError(f" has {sizes.size} entries and {landscape.expression} {landscape.dim} coordinates.", "sigma")
    return _noisy(DIAGONAL, sizes)


def _like_hessian(scale: float, at: npt.ArrayLike | None, landscape: Landscape) -> Noisy:
    values, vectors = np.linalg.eigh(landscape.hessian(landscape.start if at is None else at))
    return _noisy(FACTOR, factor=(vectors * (scale * np.sqrt(np.maximum(values, 0.0)))) @ vectors.T)


def _along_hills(sigma: float, at: npt.ArrayLike | None, landscape: Landscape) -> Noisy:
    if at is None:
        if runs_straight(landscape) and not landscape.turned:
            return _noisy(DIAGONAL, np.append(0.0, np.full(landscape.dim - 1, sigma)))
        if runs_straight(landscape):
            tangent = plane(landscape)[0]
            return _noisy(FACTOR, factor=sigma * (np.eye(landscape.dim) - np.outer(tangent, tangent)))
        bend = landscape.params[4:6] if landscape.code == CURVED else np.zeros(2)
        if landscape.dim == 2 and landscape.code == CURVED and not landscape.turned:
            return _noisy(SHAPED)._replace(params=np.append(sigma, bend))
        return _noisy(SHAPED)._replace(
            shape=Across(int(landscape.code or 0)), params=np.concatenate([[sigma], bend, *plane(landscape)])
        )
    lowest = landscape.lowest(at)
    if not lowest.gap > 0.0:
        raise InputError(" along the hills needs a lowest eigenvector; the eigengap is 0 at this point.", "noise")
    return _noisy(FACTOR, factor=sigma * (np.eye(landscape.dim) - np.outer(lowest.vector, lowest.vector)))


def _across_river(sigma: float, landscape: Landscape, point: FloatArray) -> FloatArray:
    tangent = along_river(landscape, point)[0]
    out: FloatArray = sigma**2 * (np.eye(landscape.dim) - np.outer(tangent, tangent))
    return out


def _with_loss(scale: float, floor: float, base: Noise, landscape: Landscape) -> Noisy:
    return base.on(landscape)._replace(by_loss=scale**2, floor=floor) if scale > 0.0 else _noisy(NO_NOISE)


def _custom(shape: Callable[..., Any], numbers: FloatArray, name: str, landscape: Landscape) -> Noisy:
    from numba.core.registry import CPUDispatcher

    compiled: Any = shape if isinstance(shape, CPUDispatcher) else jitted(shape)
    ones = np.ones(landscape.dim)
    try_out(f"noise {name}", compiled, (landscape.start, numbers, ones, np.zeros_like(ones)), writes=True)
    return _noisy(SHAPED)._replace(shape=compiled, params=numbers)


def _noisy(kind: int, sizes: FloatArray | None = None, factor: FloatArray | None = None) -> Noisy:
    return Noisy(
        kind,
        np.zeros(0) if sizes is None else np.ascontiguousarray(sizes),
        np.zeros((0, 0)) if factor is None else np.ascontiguousarray(factor),
        0.0,
        0.0,
        0,
        np.zeros(0),
    )


@door
def amplified(noisy: Noisy, factor: float) -> Noisy:
    """The same noise with its variance multiplied by `factor`."""
    check_kind("noisy", noisy, Noisy, "a noise on a landscape", "make one with noise.on(landscape)")
    root = float(np.sqrt(check_number("factor", factor, low=0.0)))
    if noisy.kind == SHAPED and not callable(noisy.shape):
        # sigma, of what is built in.
        return noisy._replace(params=np.append(noisy.params[0] * root, noisy.params[1:]))
    if noisy.kind == SHAPED:
        raise InputError(" of the user's own cannot be scaled; let its params hold the scale.", "noise")
    return noisy._replace(diagonal=noisy.diagonal * root, factor=noisy.factor * root)
