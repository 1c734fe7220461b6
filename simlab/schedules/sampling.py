"""Any profile, held constant between sampling points."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.errors import InputError, brief, check_count
from simlab.schedules import nodes
from simlab.schedules.arguments import LONGEST, Phases, check_run
from simlab.schedules.base import Schedule
from simlab.schedules.cooldowns import Decline
from simlab.schedules.registry import family

__all__ = ["sampled"]


@family
def sampled(
    steps: int,
    peak: float,
    profile: str = "linear",
    rate: int | str = "every",
    floor: float | None = None,
    warmup: int | float = 0,
    *,
    floor_value: float | None = None,
    **shape_parameters: Any,
) -> Schedule:
    """A profile updated at a sampling rate only, constant in between.

    `profile` is one of `cooldown_shapes()`, over all n = T - warmup steps after the warmup. `rate` is "every"
    (each step), a number of steps m (the value at j is f(floor(j / m) m / n)), or percentages of those n
    steps, as "50-75", "33-66", "25-50-75" or "30-60-90": the profile's value there is taken and held until
    the next. Profile and sampling rate as the two halves of a schedule: Chen, Wolfe and Kyrillidis 2021,
    arXiv 2107.04197; the meaning of the percentages is reconstructed.

    >>> sampled(8, 1.0, rate="50-75").values()
    array([1.  , 1.  , 1.  , 1.  , 0.5 , 0.5 , 0.25, 0.25])
    >>> sampled(4, 1.0, "rex", rate=1) == sampled(4, 1.0, "rex")
    False
    """
    steps, peak = check_run(steps, peak)
    phases = Phases.of(steps, warmup=warmup)
    (w,) = phases.lengths
    decline = Decline.of(profile, floor, shape_parameters, field="profile")
    whole = decline.plan(steps - w)
    rate, held = _held(whole, rate)
    arguments = {"steps": steps, "peak": peak, "profile": decline.shape, "rate": rate, "floor": decline.floor}
    arguments |= {**phases.given, **decline.parameters}
    return Schedule("sampled", arguments, nodes.Scale(nodes.chain(nodes.ramp(w), held), peak), decline.implied)


def _held(profile: nodes.Plan | None, rate: Any) -> tuple[int | str, nodes.Plan | None]:
    """The rate in canonical form, and the profile sampled at it."""
    if isinstance(rate, str) and rate.strip().lower() == "every":
        return "every", profile
    if not isinstance(rate, str):
        every = check_count("rate", rate, high=LONGEST)
        return every, None if profile is None else nodes.Hold(profile, every)
    numbers = rate.replace("_", "-").split("-")
    percents = [int(number) for number in numbers if number.strip().isdecimal() and len(number) < 9]
    rising = all(a < b for a, b in zip([0, *percents], [*percents, 100], strict=True))
    if len(percents) < len(numbers) or not rising:
        message = f"rate = {brief(rate)} is not a sampling rate; give 'every', a number of steps, or rising percentages"
        raise InputError(f"{message} such as '30-60-90'.")
    canonical = "-".join(map(str, percents))
    if profile is None:
        return canonical, None
    places = np.unique([0, *(round(profile.length * percent / 100) for percent in percents)]).astype(np.int64)
    places = places[places < profile.length]
    return canonical, nodes.Table(profile.length, places, profile.at(places))
