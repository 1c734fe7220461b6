"""Checks of arguments that the families share: lengths and positions, as steps or as fractions of the run."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from numbers import Integral, Real
from typing import Any

from simlab.errors import MOST, InputError, brief, check_count, check_number

__all__ = [
    "LONGEST",
    "Phases",
    "check_phase",
    "check_positions",
    "check_run",
    "in_steps",
    "refuse_other_name",
    "spelling",
]

SMALLEST_FLOOR = 1e-30
"""Least floor of a profile that tends to 0 only in the limit: below it float32 has no learning rate left."""


MOST_PLACES = 10**5
"""Most positions in one sequence."""

LONGEST = 2**53
"""Most steps of a run: beyond, float64 does not tell one step from the next."""


ELSEWHERE = {
    **dict.fromkeys(("lr", "learning_rate", "max_lr", "peak_lr", "peak_value"), ("peak",)),
    **dict.fromkeys(("total_steps", "max_steps", "num_steps", "num_training_steps", "T_max"), ("steps",)),
    **dict.fromkeys(("min_lr", "eta_min", "end_value", "final_lr"), ("floor_value",)),
    **dict.fromkeys(("warmup_steps", "warmup_ratio", "num_warmup_steps", "warmup_fraction"), ("warmup",)),
    **dict.fromkeys(("decay", "decay_steps", "cooldown_steps", "num_decay_steps", "cooldown_fraction"), ("cooldown",)),
    **dict.fromkeys(("milestones", "boundaries"), ("drops", "budgets")),
    "gamma": ("factor",),
}
"""What other programs call the parameters of schedules."""


def refuse_other_name(what: str, key: str, known: Collection[str]) -> None:
    """An InputError that gives the name of a parameter here, where `key` is its name elsewhere."""
    here = next((name for name in ELSEWHERE.get(key, ()) if name in known), None)
    if here is not None:
        raise InputError(f"{what}: {brief(key)} is called {brief(here)} here; write that.")


def check_run(steps: Any, peak: Any) -> tuple[int, float]:
    """The length of a run (1 .. LONGEST) and its peak learning rate (finite, >= 0), or an InputError."""
    return check_count("steps", steps, high=LONGEST), check_number("peak", peak, low=0.0)


def check_phase(field: str, value: Any) -> int | float:
    """A phase in canonical form, or an InputError.

    An int >= 0 is a number of steps, a float in [0, 1] a fraction of the run; a whole float > 1 becomes an
    int.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f" = {brief(value)} is not a number; give a number of steps or a fraction of the run.", field)
    if isinstance(value, Integral):
        return check_count(field, value, low=0, high=LONGEST)
    real: Any = value
    number = float(real) if abs(real) <= MOST else math.inf  # float of a fraction may overflow
    if number > 1.0 and number.is_integer():
        return check_count(field, number, low=0, high=LONGEST)
    if 0.0 <= number <= 1.0:
        return number or 0
    raise InputError(f" = {brief(value)} is neither; give a whole number of steps or a fraction in [0, 1].", field)


def in_steps(phase: int | float, steps: int) -> int:
    """A phase in canonical form as a number of steps; fractions are rounded to nearest (ties to even)."""
    return phase if isinstance(phase, int) else round(phase * steps)


@dataclass(frozen=True)
class Phases:
    """Phases that share a run: `given` (canonical, for the record) and `lengths` (steps), in order."""

    given: Mapping[str, int | float]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, steps: int, **values: Any) -> Phases:
        """Check the phases and fit them into `steps`; InputError where they are longer than the run.

        Fractions that sum to at most 1 always fit: where rounding them adds a step too many, the last one
        yields it.
        """
        given = {field: check_phase(field, value) for field, value in values.items()}
        lengths = [in_steps(phase, steps) for phase in given.values()]
        fractions = not any(isinstance(phase, int) and phase for phase in given.values())
        if fractions and sum(given.values()) <= 1.0 + 1e-12:
            for i in reversed(range(len(lengths))):
                lengths[i] -= min(lengths[i], max(0, sum(lengths) - steps))
        if sum(lengths) > steps:
            what, sizes = " + ".join(given), " + ".join(map(str, lengths))
            total = f"{sizes} = {sum(lengths)}" if len(lengths) > 1 else sizes
            raise InputError(f" = {total} steps do not fit into a run of {steps}; make them shorter.", what)
        return cls(given, tuple(lengths))


def check_positions(field: str, values: Any, steps: int) -> tuple[tuple[int | float, ...], tuple[int, ...]]:
    """Increasing positions within [0, steps] as (canonical, in steps), or an InputError."""
    try:
        entries = None if isinstance(values, str | bytes) else list(islice(values, MOST_PLACES + 1))
    except TypeError:
        entries = None
    if entries is None:
        raise InputError(f" = {brief(values)} is not a sequence; give positions such as (0.3, 0.6, 0.9).", field)
    if len(entries) > MOST_PLACES:
        raise InputError(f" holds more than {MOST_PLACES} positions; give fewer, or the values by from_array.", field)
    given = tuple(check_phase(f"{field}[{i}]", value) for i, value in enumerate(entries))
    places = tuple(in_steps(phase, steps) for phase in given)
    for i, place in enumerate(places):
        if place > steps:
            raise InputError(
                f" = {brief(given[i])} is beyond the run of {steps} steps; move it inside.", f"{field}[{i}]"
            )
        if i and place < places[i - 1]:
            raise InputError(
                f" = {brief(given[i])} comes before the one ahead of it; give them in order.", f"{field}[{i}]"
            )
    return given, places


def spelling(name: object) -> str:
    """`name` as comparisons use it: lower case, one separator; "WSD-S", "wsd_s" and "wsd s" are the same."""
    return str(name).strip().lower().replace("_", "-").replace(" ", "-")
