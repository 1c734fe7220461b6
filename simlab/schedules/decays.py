"""Schedules of one smooth decay over the whole run, after an optional linear warmup.

With w warmup steps, value = peak (t + 1) / w for t < w; the profile occupies the remaining n = T - w steps
and is sampled at u = j / n, j = t - w. `floor` is the value approached at u = 1 as a fraction of the peak,
`floor_value` the same as a learning rate, in place of it; `warmup` a number of steps (int) or a fraction of the run
(float in [0, 1]), and `.warmed(w, start)` has it begin at a given value. All raise `InputError` on parameters outside
their ranges.
"""

from __future__ import annotations

from typing import Any, Literal

from simlab.errors import check_number
from simlab.schedules import nodes
from simlab.schedules.arguments import Phases, check_run
from simlab.schedules.base import Schedule
from simlab.schedules.cooldowns import Decline, Knots, check_knots, interpolate
from simlab.schedules.registry import family

__all__ = [
    "constant",
    "cosine",
    "exponential",
    "inverse_sqrt",
    "inverse_time",
    "linear",
    "linear_to_zero",
    "noam",
    "piecewise",
    "polynomial",
    "rex",
    "sigmoid",
    "uba",
]


@family
def constant(steps: int, peak: float, warmup: int | float = 0) -> Schedule:
    """The peak at every step, after an optional warmup.

    >>> constant(3, 0.1).values()
    array([0.1, 0.1, 0.1])
    """
    steps, peak = check_run(steps, peak)
    phases = Phases.of(steps, warmup=warmup)
    (w,) = phases.lengths
    plan = nodes.chain(nodes.ramp(w), nodes.Constant(steps - w))
    return Schedule("constant", {"steps": steps, "peak": peak, **phases.given}, nodes.Scale(plan, peak))


def _decay(
    kind: str,
    shape: str,
    steps: int,
    peak: float,
    *,
    warmup: int | float,
    floor: float | None,
    record: tuple[str, ...] = ("floor", "warmup"),
    **own: float,
) -> Schedule:
    """Warmup, then the decline `shape` over all remaining steps; `record`: parameters after the peak."""
    steps, peak = check_run(steps, peak)
    phases = Phases.of(steps, warmup=warmup)
    (w,) = phases.lengths
    decline = Decline.of(shape, floor, own)
    known = {**decline.arguments, **phases.given}
    arguments: dict[str, Any] = {"steps": steps, "peak": peak, **{name: known[name] for name in record}}
    plan = nodes.chain(nodes.ramp(w), decline.plan(steps - w))
    return Schedule(kind, arguments, nodes.Scale(plan, peak))


@family
def linear(
    steps: int, peak: float, floor: float = 0.0, warmup: int | float = 0, *, floor_value: float | None = None
) -> Schedule:
    """A straight line from the peak to `floor`, after an optional warmup.

    peak (floor + (1 - floor) (1 - u)). The minimax schedule of the last iterate for convex Lipschitz
    functions: Defazio, Cutkosky, Mehta and Mishchenko 2023, arXiv 2310.07831.

    >>> linear(4, 1.0, floor=0.2).values()
    array([1. , 0.8, 0.6, 0.4])
    """
    return _decay("linear", "linear", steps, peak, warmup=warmup, floor=floor)


@family
def linear_to_zero(steps: int, peak: float, warmup: int | float = 0) -> Schedule:
    """D2Z: warmup, then a straight line to zero.

    peak (1 - u). Bergsma et al. 2025, arXiv 2502.15938 (there with 10 % warmup).

    >>> linear_to_zero(6, 1.0, warmup=2).values()
    array([0.5 , 1.  , 1.  , 0.75, 0.5 , 0.25])
    """
    return _decay("linear_to_zero", "linear", steps, peak, warmup=warmup, floor=0.0, record=("warmup",))


@family
def cosine(
    steps: int, peak: float, floor: float = 0.0, warmup: int | float = 0, *, floor_value: float | None = None
) -> Schedule:
    """Half a cosine from the peak to `floor`, after an optional warmup.

    peak (floor + (1 - floor) (1 + cos(pi u)) / 2), evaluated as sin(pi (1 - u) / 2)^2, which does not cancel.
    Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts.

    >>> cosine(4, 1.0).values().round(4)
    array([1.    , 0.8536, 0.5   , 0.1464])
    """
    return _decay("cosine", "cosine", steps, peak, warmup=warmup, floor=floor)


@family
def polynomial(
    steps: int,
    peak: float,
    power: float = 2.0,
    floor: float = 0.0,
    warmup: int | float = 0,
    *,
    floor_value: float | None = None,
) -> Schedule:
    """A power of the remaining time, (1 - u)^power, from the peak to `floor`.

    peak (floor + (1 - floor) (1 - u)^power), power > 0. Optimal with power = 2b - 1 on power-law kernels of
    capacity b: Li et al., arXiv 2602.06797.

    >>> polynomial(4, 1.0).values()
    array([1.    , 0.5625, 0.25  , 0.0625])
    """
    record = ("power", "floor", "warmup")
    return _decay("polynomial", "power", steps, peak, warmup=warmup, floor=floor, record=record, power=power)


@family
def exponential(
    steps: int, peak: float, floor: float = 0.1, warmup: int | float = 0, *, floor_value: float | None = None
) -> Schedule:
    """A geometric decay from the peak to the fraction `floor` > 0 of it.

    peak floor^u: the same factor floor^(1/n) at every step.

    >>> exponential(2, 1.0, floor=0.25).values()
    array([1. , 0.5])
    """
    return _decay("exponential", "exponential", steps, peak, warmup=warmup, floor=floor)


@family
def rex(
    steps: int,
    peak: float,
    alpha: float = 0.5,
    floor: float = 0.0,
    warmup: int | float = 0,
    *,
    floor_value: float | None = None,
) -> Schedule:
    """REX, the reflected exponential: above linear first, steeper at the end.

    peak (floor + (1 - floor) (1 - u) / (1 - alpha u)), 0 <= alpha < 1; alpha = 1/2 is the paper's, 0 is
    linear. Chen, Wolfe and Kyrillidis 2021, arXiv 2107.04197.

    >>> rex(2, 1.0).values().round(4)
    array([1.    , 0.6667])
    """
    record = ("alpha", "floor", "warmup")
    return _decay("rex", "rex", steps, peak, warmup=warmup, floor=floor, record=record, alpha=alpha)


@family
def sigmoid(
    steps: int,
    peak: float,
    middle: float = 0.5,
    steepness: float = 10.0,
    floor: float = 0.0,
    warmup: int | float = 0,
    *,
    floor_value: float | None = None,
) -> Schedule:
    """A logistic curve from near the peak to near `floor`, half way down at `middle`.

    peak (floor + (1 - floor) / (1 + exp(steepness (u - middle)))), middle in [0, 1], |steepness| <= 600; a negative
    one rises. The first value is short of the peak by about exp(-steepness middle). The policy `sigmoid` of Caffe,
    with gamma = -steepness / n and stepsize = middle n; SIG of Jin et al. 2023, arXiv 2309.08859.

    >>> sigmoid(4, 1.0, steepness=4.0).values().round(4)
    array([0.8808, 0.7311, 0.5   , 0.2689])
    """
    steps, peak = check_run(steps, peak)
    own = {
        "middle": check_number("middle", middle, low=0.0, high=1.0),
        "steepness": check_number("steepness", steepness, low=-600.0, high=600.0),
        "floor": check_number("floor", floor, low=0.0, high=1.0),
    }
    phases = Phases.of(steps, warmup=warmup)
    (w,) = phases.lengths
    n, half = steps - w, round(own["middle"] * (steps - w))  # steepest there: two pieces, so that panels end at it
    cut = [
        nodes.Piece(m, "sigmoid", n, at, (own["steepness"], own["middle"])) for m, at in ((half, 0), (n - half, half))
    ]
    plan = nodes.chain(nodes.ramp(w), *(nodes.Lift(part, own["floor"]) for part in cut))
    return Schedule("sigmoid", {"steps": steps, "peak": peak, **own, **phases.given}, nodes.Scale(plan, peak))


@family
def uba(
    steps: int,
    peak: float,
    phi: float = 1.0,
    floor: float = 0.0,
    warmup: int | float = 0,
    *,
    floor_value: float | None = None,
) -> Schedule:
    """UBA (partly reconstructed), one parameter from a constant with a cliff to a fast early decay.

    peak (floor + (1 - floor) 2 (1 + cos pi u) / (2 phi + (2 - phi) (1 + cos pi u))), phi > 0: 2 is cosine, towards 0 a
    constant and a cliff. Tang, Dong, Zeng, Xun and Lin 2025, arXiv 2505.24452, who tie phi to the condition number; the
    form is reconstructed (checked at its ends and at phi = 2), without their index of cycles; phi = 1 is our choice.

    >>> uba(4, 1.0, phi=2.0).values().round(4)
    array([1.    , 0.8536, 0.5   , 0.1464])
    """
    record = ("phi", "floor", "warmup")
    return _decay("uba", "uba", steps, peak, warmup=warmup, floor=floor, record=record, phi=phi)


@family
def inverse_sqrt(steps: int, peak: float, warmup: int | float = 0) -> Schedule:
    """Warmup, then the inverse square root of the step count (Noam, by its peak).

    peak (t + 1) / w for t < w, then peak sqrt(w / (t + 1)): the peak is reached at the end of the warmup,
    step w - 1. warmup = 0 counts as w = 1. Vaswani et al. 2017, arXiv 1706.03762, eq. 3; `noam` gives it by
    model width.

    >>> inverse_sqrt(4, 1.0, warmup=1).values().round(4)
    array([1.    , 0.7071, 0.5774, 0.5   ])
    """
    steps, peak = check_run(steps, peak)
    phases = Phases.of(steps, warmup=warmup)
    arguments = {"steps": steps, "peak": peak, **phases.given}
    return Schedule("inverse_sqrt", arguments, nodes.Scale(_noam(steps, *phases.lengths), peak))


@family
def noam(steps: int, width: float = 512, warmup: int | float = 0.04, factor: float = 1.0) -> Schedule:
    """The Transformer's schedule, by model width: factor d^-1/2 min(s^-1/2, s w^-3/2) at step s = t + 1.

    `width` is the model dimension d > 0; the peak, factor (d w)^-1/2, is reached at step w - 1. The default
    warmup is the 4,000 of 100,000 steps of Vaswani et al. 2017, arXiv 1706.03762, eq. 3.

    >>> noam(100, width=512, warmup=4).peak() == (512 * 4) ** -0.5
    True
    """
    steps, factor = check_run(steps, 1.0)[0], check_number("factor", factor, low=0.0)
    width = check_number("width", width, low=1e-300)
    phases = Phases.of(steps, warmup=warmup)
    (w,) = phases.lengths
    arguments = {"steps": steps, "width": width, **phases.given, "factor": factor}
    return Schedule("noam", arguments, nodes.Scale(_noam(steps, w), factor * (width * max(w, 1)) ** -0.5))


def _noam(steps: int, w: int) -> nodes.Plan:
    tail = nodes.Piece(steps - w, "inverse-sqrt", n=max(w, 1), offset=w + 1)
    return nodes.chain(nodes.ramp(w), tail)


@family
def inverse_time(steps: int, peak: float, decay: float, warmup: int | float = 0, power: float = 1.0) -> Schedule:
    """One over a linear function of the step, or over a power of it: peak / (1 + decay j)^power.

    j counts from the end of the warmup, decay >= 0 is per step, 0 < power <= 100. Robbins and Monro 1951; with a
    power it is the policy `inv` of Caffe (gamma = decay). The optimal decay of one noisy quadratic mode of curvature g
    from stationarity at learning rate e, 1 / (2 / e + g j), is peak = e / 2, decay = e g / 2 (notes on river valleys;
    derived from Wen et al. 2024, arXiv 2410.05192).

    >>> inverse_time(3, 1.0, decay=1.0).values().round(4)
    array([1.    , 0.5   , 0.3333])
    """
    steps, peak = check_run(steps, peak)
    decay = check_number("decay", decay, low=0.0, high=1e100)
    phases = Phases.of(steps, warmup=warmup)
    (w,) = phases.lengths
    power = check_number("power", power, low=0.0, high=100.0, open_low=True)
    tail = nodes.Piece(steps - w, "hyperbola", n=1, parameters=(decay,))
    if power != 1.0:
        tail = nodes.Piece(steps - w, "power-hyperbola", n=1, parameters=(decay, -power))
    arguments = {"steps": steps, "peak": peak, "decay": decay, **phases.given, "power": power}
    return Schedule("inverse_time", arguments, nodes.Scale(nodes.chain(nodes.ramp(w), tail), peak))


@family
def piecewise(
    steps: int, peak: float = 1.0, *, knots: Knots, between: Literal["linear", "hold"] = "linear"
) -> Schedule:
    """Straight lines between knots (position, value), or with between = "hold" each value until the next knot.

    A position is a step (int) or a fraction of the run (float in [0, 1]; 1.0 is the step after the last), a
    value a multiple of the peak. Before the first knot and after the last their values are held.

    >>> piecewise(4, 2.0, knots=((0, 0.5), (2, 1.0), (1.0, 0.0))).values()
    array([1. , 1.5, 2. , 1. ])
    """
    steps, peak = check_run(steps, peak)
    knots = check_knots(knots)
    plan = nodes.Scale(interpolate(knots, steps, between), peak)
    own = {} if between == "linear" else {"between": between}
    return Schedule("piecewise", {"steps": steps, "peak": peak, "knots": knots, **own}, plan)
