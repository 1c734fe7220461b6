"""The built-in river valleys: straight, curved, narrowing or widening, hyperbolic, and any of them among more hills."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, check_array, check_count, check_floats, check_kind, check_number
from simlab.kernels.landscapes import fields
from simlab.landscapes.landscape import Landscape, Split

__all__ = ["curved", "embedded", "hyperbolic", "narrowing", "straight_landscape", "widening"]


@door
def straight_landscape(
    hills: npt.ArrayLike, slope: float = 0.0, mu: float = 0.0, target: float = 0.0, start: npt.ArrayLike | None = None
) -> Landscape:
    """Straight valley: L = -s x + mu/2 (x - x*)^2 + 1/2 sum_i lam_i y_i^2, w = (x, y_1 .. y_d).

    Parameters
    ----------
    hills : (d,) curvatures lam_i > 0.  slope : s.  mu >= 0, target : curvature of the river and its minimum x*.
    start : (1 + d,), default zeros.

    The river is the x axis; river loss -s x + mu/2 (x - x*)^2, coordinate x.
    """
    lam = _curvatures("hills", hills)
    river = _river_numbers(slope, mu, target)
    params = np.concatenate([river, lam])
    hessian, split = partial(_straight_hessian, river, lam), partial(_straight_split, river)
    name = f"straight_landscape(hills[{lam.size}], slope={slope:g}, mu={mu:g}, target={target:g})"
    return _built_in(name, fields.STRAIGHT, 1 + lam.size, start, params, hessian, split)


@door
def curved(
    mu: float = 0.1,
    lam: float = 10.0,
    amplitude: float = 1.0,
    wavenumber: float = 0.5,
    target: float = 5.0,
    slope: float = 0.0,
    start: npt.ArrayLike | None = None,
) -> Landscape:
    """Curved valley: L = -s x + mu/2 (x - x*)^2 + lam/2 (y - a sin kx)^2, w = (x, y).

    River coordinate x; hill
    state y - a sin kx, hill loss lam/2 of its square. The curve y = a sin kx is where the hill loss is 0; the river in
    the sense of Wen et al. (gradient along the lowest eigenvector) leaves it where the river bends, by O(slope): see
    `simlab.river.find`.
    """
    river = _river_numbers(slope, mu, target)
    lam = check_number("lam", lam, low=0.0, open_low=True)
    a, k = check_number("amplitude", amplitude), check_number("wavenumber", wavenumber)
    params = np.array([*river, lam, a, k])
    hessian, split = partial(_curved_hessian, river, lam, a, k), partial(_curved_split, river, a, k)
    name = f"curved(mu={mu:g}, lam={lam:g}, amplitude={a:g}, wavenumber={k:g}, target={target:g}, slope={slope:g})"
    return _built_in(name, fields.CURVED, 2, start, params, hessian, split)


@door
def narrowing(
    first: npt.ArrayLike = 1.0,
    last: npt.ArrayLike = 20.0,
    centre: float = 5.0,
    width: float = 2.0,
    slope: float = 0.1,
    mu: float = 0.0,
    target: float = 0.0,
    start: npt.ArrayLike | None = None,
) -> Landscape:
    """Valley whose hills steepen along the river: L = -s x + mu/2 (x - x*)^2 + 1/2 sum_i lam_i(x) y_i^2 (derived here).

    lam_i(x) = first_i + (last_i - first_i) (1 + u / sqrt(1 + u^2)) / 2 with u = (x - centre) / width: from `first` far
    behind to `last` far ahead. On the hills the gradient has a part lam_i'(x) y_i^2 / 2 along the river, which pushes
    towards where the valley is wide. `first`, `last` : a number for one hill, or (d,) each.
    """
    before, after = _curvatures("first", first), _curvatures("last", last)
    if before.size != after.size:
        raise InputError(f" has {before.size} hills and last has {after.size}; give as many of each.", "first")
    river = _river_numbers(slope, mu, target)
    centre, width = check_number("centre", centre), check_number("width", width, low=0.0, open_low=True)
    params = np.concatenate([river, [centre, width], before, after])
    hessian = partial(_tapered_hessian, river, centre, width, before, after)
    split = partial(_straight_split, river)
    name = f"narrowing(hills[{before.size}], centre={centre:g}, width={width:g}, slope={slope:g}, mu={mu:g})"
    return _built_in(name, fields.TAPERED, 1 + before.size, start, params, hessian, split)


@door
def widening(
    first: npt.ArrayLike = 20.0,
    last: npt.ArrayLike = 1.0,
    centre: float = 5.0,
    width: float = 2.0,
    slope: float = 0.1,
    mu: float = 0.0,
    target: float = 0.0,
    start: npt.ArrayLike | None = None,
) -> Landscape:
    """The valley of `narrowing` with hills that flatten along the river."""
    made = narrowing(first, last, centre, width, slope, mu, target, start)
    return replace(made, expression=made.expression.replace("narrowing", "widening"))


@door
def hyperbolic(start: npt.ArrayLike = (2.0, 2.0)) -> Landscape:
    """Hyperbolic river w1 w2 = 1: L = 1/2 (w1 w2 - 1)^2 + log(1 + exp(-w1)).

    River and start (2, 2) are those of Song, Baek, Ahn and Yun 2025, "Through the River" (arXiv 2507.09846); the
    formula is reconstructed. River coordinate w1, river loss log(1 + exp(-w1)), hill state w1 w2 - 1. The domain is the
    branch w1 > 0.
    """
    made = _built_in("hyperbolic()", fields.HYPERBOLIC, 2, start, np.zeros(0), _hyperbolic_hessian, _hyperbolic_split)
    made = replace(made, inside_of=_right_half, domain="a start with w1 > 0")
    return made


@door
def embedded(landscape: Landscape, hills: npt.ArrayLike, seed: int = 0, rotate: bool = True) -> Landscape:
    """A landscape among more hills, turned at random: L(w) = inner(u) + 1/2 sum_i hills_i u_(dim + i)^2, w = Q u.

    Q is uniform over the orthogonal matrices (QR of a Gaussian matrix, Mezzadri 2007, math-ph/0609050), or the identity
    without `rotate`. The start is turned along; the hills that are added start at 0.
    """
    check_kind("landscape", landscape, Landscape, "a landscape", "make one with simlab.river.curved(), say")
    if landscape.turned:
        raise InputError(f" = {landscape.expression} is embedded already; give all hills at once.", "landscape")
    lam = _curvatures("hills", hills)
    dim = landscape.dim + lam.size
    generator = np.random.default_rng(check_count("seed", seed, low=0))
    rotation = np.eye(dim)
    if rotate:
        q, r = np.linalg.qr(generator.standard_normal((dim, dim)))
        rotation = np.ascontiguousarray(q * np.sign(np.diag(r)))
    start = rotation @ np.concatenate([landscape.start, np.zeros(lam.size)])
    name = f"embedded({landscape.expression}, hills[{lam.size}], seed={seed})"
    return replace(landscape, expression=name, dim=dim, start=start, rotation=rotation, hills=lam)


def _built_in(
    name: str, field: int, dim: int, start: npt.ArrayLike | None, params: FloatArray, hessian: Any, split: Any
) -> Landscape:
    loss, gradient = fields.FUNCTIONS[field]
    origin = np.zeros(dim) if start is None else check_floats("start", start).copy()
    return Landscape(name, dim, origin, loss, gradient, params, field, hessian_of=hessian, split_of=split)


# Hessians and splits are functions of a module, which pickle finds again, with their numbers.


def _straight_hessian(river: FloatArray, lam: FloatArray, w: FloatArray) -> FloatArray:
    return np.diag(np.concatenate([river[1:2], lam]))


def _straight_split(river: FloatArray, w: FloatArray) -> Split:
    return Split(w[:, 0].copy(), _river_loss(w[:, 0], river), w[:, 1:].copy())


def _curved_hessian(river: FloatArray, lam: float, a: float, k: float, w: FloatArray) -> FloatArray:
    sine, turn = a * np.sin(k * w[0]), a * k * np.cos(k * w[0])
    bend = lam * (turn**2 + (w[1] - sine) * k**2 * sine)
    return np.array([[river[1] + bend, -lam * turn], [-lam * turn, lam]])


def _curved_split(river: FloatArray, a: float, k: float, w: FloatArray) -> Split:
    height = w[:, 1] - a * np.sin(k * w[:, 0])
    return Split(w[:, 0].copy(), _river_loss(w[:, 0], river), height[:, None])


def _tapered_hessian(
    river: FloatArray, centre: float, width: float, before: FloatArray, after: FloatArray, w: FloatArray
) -> FloatArray:
    u = (w[0] - centre) / width
    inverse = 1.0 / np.sqrt(1.0 + u * u)
    share, rate, bend = 0.5 * (1.0 + u * inverse), 0.5 * inverse**3 / width, -1.5 * u * inverse**5 / width**2
    out = np.diag(np.concatenate([[0.0], before + share * (after - before)]))
    out[0, 0] = river[1] + 0.5 * bend * float((after - before) @ w[1:] ** 2)
    out[0, 1:] = out[1:, 0] = rate * (after - before) * w[1:]
    return out


def _hyperbolic_hessian(w: FloatArray) -> FloatArray:
    half = 0.5 / np.cosh(0.5 * w[0])
    off = 2.0 * w[0] * w[1] - 1.0
    return np.array([[w[1] ** 2 + half**2, off], [off, w[0] ** 2]])


def _hyperbolic_split(w: FloatArray) -> Split:
    return Split(w[:, 0].copy(), np.logaddexp(0.0, -w[:, 0]), (w[:, 0] * w[:, 1] - 1.0)[:, None])


def _right_half(w: FloatArray) -> npt.NDArray[np.bool_]:
    inside: npt.NDArray[np.bool_] = w[:, 0] > 0.0
    return inside


def _curvatures(name: str, values: npt.ArrayLike) -> FloatArray:
    lam = check_array(name, np.atleast_1d(check_floats(name, values)), low=0.0)
    if not np.all(lam > 0.0):
        raise InputError(f" = 0 at {int(np.argmin(lam))}; give curvatures above 0: the river is the flat one.", name)
    return lam


def _river_numbers(slope: float, mu: float, target: float) -> FloatArray:
    """(s, mu, x*) of -s x + mu/2 (x - x*)^2."""
    return np.array([check_number("slope", slope), check_number("mu", mu, low=0.0), check_number("target", target)])


def _river_loss(x: FloatArray, river: FloatArray) -> FloatArray:
    out: FloatArray = 0.5 * river[1] * (x - river[2]) ** 2 - river[0] * x
    return out
