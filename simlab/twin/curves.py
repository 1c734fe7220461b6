"""`Curve`: a measured loss curve and the schedule that it was measured under."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door, notice
from simlab.errors import InputError, brief, check_array, check_entries, check_kind, check_number, unknown_name
from simlab.schedules import Schedule, from_array
from simlab.schedules.logs import JUMP, Jump, from_log

__all__ = ["Curve", "as_schedule", "check_curves", "fresh"]

TRUNK = 10
"""So many records at the start that are the same to the last digit are those of one run, however it is called."""

UNSURE = 2
"""Losses are left out up to so many distances of the rows between which a rate jumps."""

LONGEST = 10**7
"""Steps of a schedule at most: every one of them is looked at."""

HIGHEST = 20.0
"""Losses end below this: the floor of a twin is searched for between 0 and it."""

FEWEST = 50
"""Fewest points of a run that is fitted: some fifteen numbers are asked of it."""


def as_schedule(schedule: Any, field: str = "schedule") -> Schedule:
    """A schedule, or one with these learning rates, one for each step; not too long, and a rate that is not zero."""
    taken = schedule if isinstance(schedule, Schedule) else from_array(check_array(field, schedule, low=0.0))
    if len(taken) > LONGEST:
        raise InputError(f" has {len(taken)} steps; give one of at most {LONGEST}.", field)
    if taken.peak() == 0.0:
        raise InputError(" is 0 at every step, and such a run does not move; give learning rates.", field)
    return taken


class Curve:
    """Losses of a run at some of its steps.

    Parameters
    ----------
    schedule : a Schedule, or the learning rates (T,) of all steps from the first: what came before a record counts.
    steps : (K,) whole numbers, ascending, 0 .. T: updates made before the loss was taken.
    losses : (K,) finite.
    run : name of the trunk. Curves of one run are branches of it, and a record that two of them hold counts once; so it
        does where a name is missing and the first ten records are the same to the last digit.
    name : how reports call the curve; default its place.
    batch : samples (or tokens) in a step; only needed where curves differ in it.

    Raises InputError for what is refused.
    """

    @door
    def __init__(
        self,
        schedule: Schedule | npt.ArrayLike,
        steps: npt.ArrayLike,
        losses: npt.ArrayLike,
        run: str | None = None,
        name: str | None = None,
        batch: float | None = None,
    ) -> None:
        self.schedule = as_schedule(schedule)
        at, values = check_array("steps", steps, low=0.0), check_array("losses", losses)
        if at.size != values.size:
            raise InputError(f" has {values.size} entries and steps {at.size}; give one loss for each step.", "losses")
        if np.any(at != np.floor(at)) or np.any(np.diff(at) <= 0.0):
            raise InputError(" are not whole numbers in ascending order; sort them and take each once.", "steps")
        if at[-1] > len(self.schedule):
            remedy = "give the learning rate of every step up to the last loss"
            raise InputError(f" reach {at[-1]:.0f} and the schedule {len(self.schedule)}; {remedy}.", "steps")
        self.steps: IntArray = at.astype(np.int64)
        self.losses: FloatArray = values
        self.run, self.name = run, name
        self.batch = None if batch is None else check_number("batch", batch, low=0.0, open_low=True)

    @classmethod
    @door
    def from_log(
        cls,
        path: str | PathLike[str],
        loss: str | None = None,
        schedule: Schedule | None = None,
        warmup: int | float | None = None,
        run: str | None = None,
        name: str | None = None,
        batch: float | None = None,
        **reading: Any,
    ) -> Curve:
        """The curve of a trainer's log (see `simlab.schedules.from_log`, which takes the other arguments).

        loss : its column, where there are several.  schedule : the exact one where it is known; by default straight
        lines between the log's rates, and the first rate before its first row. Where a rate that stayed goes to one
        that stays, it jumps halfway, and losses shortly behind are left out, with a notice (between = "jumps").  warmup
        : a linear one that the log does not hold.
        Rows whose loss is NaN or infinite are left out, with a notice.
        """
        logged = from_log(path, **{"between": "jumps", **reading})
        if loss is None and len(logged.losses) != 1:
            if logged.losses:
                found = ", ".join(map(brief, logged.losses))
                raise InputError(f": {path} has {found}; name the one to fit (simlab twin fit --loss NAME).", "loss")
            raise InputError(f": {path} has no column of losses; give a log with one, such as step,lr,loss.", "loss")
        column = loss if loss is not None else next(iter(logged.losses))
        if column not in logged.losses:
            raise unknown_name("loss", column, logged.losses)
        _notice_left_out(Path(path).name, column, logged.left_out[column])
        table = logged.losses[column]
        last = {int(step): float(value) for step, value in table}
        steps = sorted(last)
        taken: Schedule = logged if warmup is None else logged.warmed(warmup)
        if schedule is not None:
            taken = check_kind("schedule", schedule, Schedule, "a Schedule", "make one with simlab.schedules")
            if warmup is not None:
                raise InputError(" and schedule are both given; give one of them.", "warmup")
        kept = [step for step in steps if step <= len(taken)]
        if schedule is None:
            kept = _told(Path(path).name, logged.jumps, kept)
            _notice_line(Path(path).name, taken, kept)
        return cls(taken, kept, [last[step] for step in kept], run, name or Path(path).name, batch)

    def __len__(self) -> int:
        return int(self.steps.size)

    def __repr__(self) -> str:
        name = f"{self.name}: " if self.name else ""
        return f"Curve({name}{len(self)} losses of {len(self.schedule)} steps, peak {self.schedule.peak():.4g})"


def _notice_left_out(name: str, column: str, lines: Sequence[int]) -> None:
    """A notice where rows hold a loss that is no finite number, as those of a run that blew up do."""
    if lines:
        rows = "1 row is" if len(lines) == 1 else f"{len(lines)} rows are"
        notice(
            f"{name}: {rows} left out whose {column} is no finite number (the first is line {lines[0]}); "
            f"see whether the run went on from there."
        )


def _notice_line(name: str, schedule: Schedule, steps: Sequence[int]) -> None:
    """A notice where a rate past its peak changes by more than JUMP of it between two rows, and in no single step."""
    inside = np.array([step for step in steps if step < len(schedule)], dtype=np.int64)
    rates = schedule(inside) / schedule.peak()
    past = np.maximum.accumulate(rates)[:-1] > 0.999
    for j in np.flatnonzero((np.abs(np.diff(rates)) > JUMP) & past):
        first, last = int(inside[j]), int(inside[j + 1])
        if np.abs(np.diff(schedule(np.arange(first, last + 1)))).max() < JUMP * schedule.peak():
            notice(
                f"{name}: the rate jumps between its rows of steps {first} and {last}, and is taken for a straight "
                f"line there; give schedule = ... with the step of the jump."
            )
            return


def _told(name: str, jumps: Sequence[Jump], steps: Sequence[int]) -> list[int]:
    """Steps without those shortly behind a jump that was put halfway between two rows; a notice of each.

    A few steps more or less at another rate are much there: a jump put 32 steps early took the error of a twin of three
    curves from 0.0012 to 0.0022, and to 0.0013 without these.
    """
    kept = list(steps)
    for first, last, at in jumps:
        until = last + UNSURE * (last - first)
        kept = [step for step in kept if step <= first or step > until]
        notice(
            f"{name}: the rate jumps between its rows of steps {first} and {last}, and is taken to jump at {at}, "
            f"losses up to step {until} being left out; give schedule = ... with the step of the jump if you know it."
        )
    return kept


def fresh(curves: Sequence[Curve]) -> list[Curve]:
    """The curves without the records that an earlier branch of their trunk holds; curves left without any are dropped.

    A record is the same if its step and its loss are, to the last digit. Curves are branches of one trunk if their runs
    have one name, or, where one has none, if their first TRUNK records are the same.
    """
    out: list[Curve] = []
    for j, curve in enumerate(curves):
        held = {pair for other in curves[:j] if _branches(curve, other) for pair in _pairs(other)}
        new = [pair for pair in _pairs(curve) if pair not in held]
        if len(new) == len(curve):
            out.append(curve)
        elif new:
            steps, losses = zip(*new, strict=True)
            out.append(Curve(curve.schedule, steps, losses, curve.run, curve.name, curve.batch))
    return out


def _pairs(curve: Curve) -> list[tuple[int, float]]:
    return [(int(t), float(y)) for t, y in zip(curve.steps, curve.losses, strict=True)]


def _branches(one: Curve, other: Curve) -> bool:
    if one.run is not None and other.run is not None:
        return one.run == other.run
    return min(len(one), len(other)) >= TRUNK and _pairs(one)[:TRUNK] == _pairs(other)[:TRUNK]


def check_curves(curves: Any) -> list[Curve]:
    """The curves to be fitted, or an InputError: at least 50 points in all, and losses that fall."""
    given = [curves] if isinstance(curves, Curve) else check_entries("curves", curves, "Curves")
    if not given:
        raise InputError(" is empty; give at least one Curve.", "curves")
    for j, curve in enumerate(given):
        check_kind(f"curves[{j}]", curve, Curve, "a Curve", "make one: simlab.twin.Curve(schedule, steps, losses)")
    points = sum(map(len, given))
    if points < FEWEST:
        raise InputError(f" hold {points} losses; give at least {FEWEST}, or log more often.", "curves")
    for j, curve in enumerate(given):
        few = max(len(curve) // 10, 1)
        first, last = (float(np.median(part)) for part in (curve.losses[:few], curve.losses[-few:]))
        if len(curve) >= FEWEST and last >= first:
            raise InputError(" does not fall from its first tenth to its last; check its losses.", f"curves[{j}]")
        if curve.losses.min() < 0.0:
            remedy = "add the same constant to the losses of all curves"
            raise InputError(
                f" has a loss of {curve.losses.min():.4g}, and a twin none below 0; {remedy}.", f"curves[{j}]"
            )
        if last > HIGHEST:
            remedy = "give losses in nats (of a perplexity its logarithm)"
            raise InputError(f" ends at a loss of {last:.4g}, above {HIGHEST:g}; {remedy}.", f"curves[{j}]")
        if (curve.batch is None) != (given[0].batch is None):
            raise InputError(
                " and curves[0] do not both have a batch; give it to all curves or to none.", f"curves[{j}]"
            )
    return given
