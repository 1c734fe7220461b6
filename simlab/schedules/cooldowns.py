"""Shapes of a decline from the peak to a floor, for the cooldown of `wsd` and for decays over a whole run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simlab.errors import InputError, brief, check_number, unknown_name
from simlab.schedules import nodes
from simlab.schedules.arguments import SMALLEST_FLOOR, check_phase, in_steps, spelling

__all__ = ["COOLDOWNS", "Decline", "Knots", "check_knots", "cooldown_shapes", "interpolate"]

Knots = tuple[tuple[int | float, float], ...]

COOLDOWNS: dict[str, tuple[str, dict[str, float]]] = {
    "linear": ("1 - u", {}),
    "cosine": ("(1 + cos(pi u)) / 2", {}),
    "mirror-cosine": ("2 (1 - u) - (1 + cos(pi u)) / 2", {}),
    "1-sqrt": ("1 - sqrt(u)", {}),
    "square": ("1 - u^2", {}),
    "power": ("(1 - u)^power", {"power": 2.0}),
    "exponential": ("floor^u", {}),
    "inverse-proportional": ("1 / (u / floor + 1 - u)", {}),
    "lowered-linear": ("factor (1 - u): a drop to factor, then linear", {"factor": 0.7}),
    "rex": ("(1 - u) / (1 - alpha u)", {"alpha": 0.5}),
    "uba": ("2 (1 + cos(pi u)) / (2 phi + (2 - phi) (1 + cos(pi u)))", {"phi": 1.0}),
    "piecewise": ("straight lines between knots (u, f)", {}),
}
"""Shape -> (formula on u in [0, 1], its parameters with their defaults)."""

SHAPE_PARAMETERS = sorted({"knots", *(name for _, own in COOLDOWNS.values() for name in own)})
"""What families with a shape take besides their own parameters."""

NEVER_ZERO = ("exponential", "inverse-proportional")


def cooldown_shapes() -> dict[str, str]:
    """The shapes that `wsd`, `wsd_s` and `sampled` know: name -> formula f(u).

    >>> cooldown_shapes()["1-sqrt"]
    '1 - sqrt(u)'
    """
    return {name: formula for name, (formula, _) in COOLDOWNS.items()}


@dataclass(frozen=True)
class Decline:
    """A checked shape: value f(u), u = j / n, as a multiple of the peak.

    `floor` is the multiple of the peak that is approached as u -> 1, for every shape: shapes that end at 0
    are lifted, floor + (1 - floor) f(u); those that cannot reach 0 have it in their formula and default to
    0.1 (`implied`).
    """

    shape: str
    floor: float
    parameters: dict[str, Any]
    implied: frozenset[str]

    @classmethod
    def of(cls, shape: Any, floor: Any, given: Mapping[str, Any], field: str = "shape") -> Decline:
        """The checked shape; InputError names what is wrong with it, its floor or its parameters."""
        names = {spelling(name): name for name in COOLDOWNS}
        if spelling(shape) not in names:
            raise unknown_name(field, shape, COOLDOWNS)
        name = names[spelling(shape)]
        known: dict[str, Any] = {**COOLDOWNS[name][1], **({"knots": None} if name == "piecewise" else {})}
        for parameter in given:
            if not known:
                raise InputError(
                    f" = {brief(given[parameter])} is not a parameter of {field} {brief(name)}; omit it.", parameter
                )
            if parameter not in known:
                raise unknown_name(f"parameter of {field} {brief(name)}", parameter, known)
        parameters = {**known, **given}
        usual = 0.1 if name in NEVER_ZERO else 0.0
        low = check_number("floor", usual if floor is None else floor, low=0.0, high=1.0)
        return cls(name, low, _check(name, low, parameters), frozenset({"floor"} if low == usual else ()))

    @property
    def arguments(self) -> dict[str, Any]:
        """The parameters for the record, after the shape's own name."""
        return {"floor": self.floor, **self.parameters}

    def plan(self, n: int) -> nodes.Plan | None:
        """The decline over n steps, or None where n = 0."""
        if n == 0:
            return None
        if self.shape == "piecewise":
            return nodes.Lift(interpolate(self.parameters["knots"], n), self.floor)
        if self.shape == "exponential":
            return nodes.Piece(n, self.shape, n, parameters=(math.log(self.floor),))
        if self.shape == "inverse-proportional":
            return nodes.Piece(n, self.shape, n, parameters=(1.0 / self.floor,))
        if self.shape == "lowered-linear":
            factor = self.parameters["factor"]
            return nodes.Scale(nodes.Lift(nodes.Piece(n, "linear", n), self.floor / factor), factor)
        return nodes.Lift(nodes.Piece(n, self.shape, n, parameters=tuple(self.parameters.values())), self.floor)


def _check(shape: str, floor: float, parameters: dict[str, Any]) -> dict[str, Any]:
    """The shape's parameters in canonical form."""
    if shape in NEVER_ZERO and floor < SMALLEST_FLOOR:
        raise InputError(
            f" = {brief(floor)} cannot end the shape {brief(shape)}, which never reaches 0; give e.g. 0.1.", "floor"
        )
    if shape == "power":
        return {"power": check_number("power", parameters["power"], low=0.0, open_low=True)}
    if shape == "rex":
        alpha = check_number("alpha", parameters["alpha"], low=0.0, high=1.0)
        if alpha == 1.0:
            raise InputError(" = 1.0 makes the rex profile constant until a jump to 0; give a number below 1.", "alpha")
        return {"alpha": alpha}
    if shape == "uba":
        return {"phi": check_number("phi", parameters["phi"], low=1e-100, high=1e100)}
    if shape == "lowered-linear":
        low = max(floor, SMALLEST_FLOOR)
        remedy = "give a factor above 0, at most 1 and not below the floor"
        return {"factor": check_number("factor", parameters["factor"], low=low, high=1.0, remedy=remedy)}
    if shape == "piecewise":
        # Positions are u here, so 0 and 1 mean the ends and not steps.
        pairs = check_knots(parameters["knots"])
        knots = tuple((check_number(f"knots[{i}][0]", u, low=0.0, high=1.0), v) for i, (u, v) in enumerate(pairs))
        if any(value > 1.0 for _, value in knots):
            raise InputError(
                ": a cooldown cannot exceed the peak; give values in [0, 1] (multiples of the peak).", "knots"
            )
        return {"knots": knots}
    return {}


def check_knots(knots: Any) -> Knots:
    """Knots (position, value) in canonical form, values finite and >= 0; `interpolate` checks their order."""
    if isinstance(knots, str | bytes) or not isinstance(knots, Iterable):
        raise InputError(f" = {brief(knots)} is not a sequence; give pairs such as ((0.0, 1.0), (1.0, 0.1)).", "knots")
    checked = []
    for i, knot in enumerate(knots):
        try:
            position, value = knot
        except (TypeError, ValueError):
            raise InputError(
                f" = {brief(knot)} is not a pair; give (step or fraction, value).", f"knots[{i}]"
            ) from None
        checked.append((check_phase(f"knots[{i}][0]", position), check_number(f"knots[{i}][1]", value, low=0.0)))
    if not checked:
        raise InputError(" is empty; give at least one pair (step or fraction, value).", "knots")
    return tuple(checked)


def interpolate(knots: Knots, n: int, between: str = "linear") -> nodes.Plan:
    """Straight lines through the knots over n steps, or stairs ("hold"); the end values are held outside the knots."""
    if between not in ("linear", "hold"):
        raise unknown_name("between", between, ["linear", "hold"])
    places = np.array([in_steps(position, n) for position, _ in knots], dtype=np.int64)
    values = np.array([value for _, value in knots], dtype=np.float64)
    for i in range(1, len(knots)):
        if places[i] <= places[i - 1]:
            where = f"knots[{i}][0] = {brief(knots[i][0])} falls on step {places[i]}, not after step {places[i - 1]}"
            raise InputError(" of the knot before; increase them by at least one step.", where)
    if between == "hold":
        return nodes.Table(n, np.append(0, places[1:]), values)
    if places[0] > 0:
        places, values = np.insert(places, 0, 0), np.insert(values, 0, values[0])
    if places[-1] < n:
        places, values = np.append(places, n), np.append(values, values[-1])
    if places.size == 1:
        return nodes.Constant(n, float(values[0]))
    return nodes.Interpolation(n, places, values)
