"""`Twin`: what is asked of a fitted twin."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from simlab._version import __version__
from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, check_count, check_entries, check_number, check_path
from simlab.schedules import Schedule, from_array
from simlab.twin.curves import as_schedule
from simlab.twin.parameters import PARAMETERS
from simlab.twin.posterior import Difference, Posterior, records

if TYPE_CHECKING:
    from simlab.problems import NoisyQuadratic
    from simlab.twin.search import Best

__all__ = ["Design", "Ranked", "Twin"]


class Ranked(NamedTuple):
    """A schedule, by its place among those given: its final loss, and how far it lies above the best."""

    place: int
    loss: float
    above: Difference


class Design(NamedTuple):
    """A run that could be made, by its place among those given.

    after, before (targets,): standard deviations of the targets' final losses with that run and without.
    """

    place: int
    after: FloatArray
    before: FloatArray


class Twin(Posterior):
    """A fitted twin; `fit` makes it, `predict` gives the curve under another schedule, `print` shows the parameters."""

    @door
    def compare(
        self, first: Schedule | npt.ArrayLike, second: Schedule | npt.ArrayLike, level: float = 0.9
    ) -> Difference:
        """Final loss of the first schedule minus that of the second, with the interval of the difference.

        It is that of the parameters alone, and narrower than those of either loss for schedules that are alike.
        """
        level = check_number("level", level, low=0.0, high=0.9999, open_low=True)
        return self.difference(self.ends(as_schedule(first, "first")), self.ends(as_schedule(second, "second")), level)

    @door
    def rank(self, schedules: Sequence[Schedule | npt.ArrayLike], level: float = 0.9) -> list[Ranked]:
        """The schedules by their final losses, the best first, each with its distance to the best."""
        level = check_number("level", level, low=0.0, high=0.9999, open_low=True)
        given = check_entries("schedules", schedules, "schedules")
        if not given:
            raise InputError(" is empty; give at least one schedule.", "schedules")
        walks = [self.ends(as_schedule(s, f"schedules[{j}]")) for j, s in enumerate(given)]
        losses = [float(self.mixed(walk)[0][0]) for walk in walks]
        order = sorted(range(len(given)), key=losses.__getitem__)
        return [Ranked(j, losses[j], self.difference(walks[j], walks[order[0]], level)) for j in order]

    @door
    def optimize(
        self, steps: int, peak: float | None = None, warmup: int = 0, knots: int = 18, level: float = 0.9
    ) -> Best:
        """The schedule of `steps` steps with the least final loss, below `peak`, and usual ones beside it.

        peak : at most, by default, and no more than, the highest that was trained at: beyond it the twin knows nothing.
        warmup : steps of a linear ramp before the first of `knots` knots. Raises InputError for what does not fit.
        """
        from simlab.twin.search import best_schedule

        steps = check_count("steps", steps, low=2, high=10**7)
        warmup = check_count("warmup", warmup, low=0, high=steps - 1)
        knots = check_count("knots", knots, low=3, high=200)
        level = check_number("level", level, low=0.0, high=0.9999, open_low=True)
        highest = self.reference if peak is None else check_number("peak", peak, low=0.0, open_low=True)
        if highest > self.reference * (1.0 + 1e-9):
            raise InputError(
                f" = {highest:g} lies above the highest that was trained at; give {self.reference:g}.", "peak"
            )
        return best_schedule(self, steps, highest, warmup, knots, level)

    @door
    def design(
        self, candidates: Sequence[Schedule | npt.ArrayLike], targets: Sequence[Schedule | npt.ArrayLike]
    ) -> list[Design]:
        """Which further run would tell most about the targets' final losses, the most telling first.

        A candidate is taken to be measured every 64 steps or so. Gaussian, at the best optimum: no run is simulated.
        """
        mode = self.modes[0]
        given = check_entries("candidates", candidates, "schedules")
        goals = [as_schedule(s, f"targets[{j}]") for j, s in enumerate(check_entries("targets", targets, "schedules"))]
        if not given or not goals:
            raise InputError(" is empty; give at least one schedule.", "targets" if given else "candidates")
        wanted = np.concatenate([self.ends(goal)[0].jacobian for goal in goals])

        def deviation(covariance: FloatArray) -> FloatArray:
            return np.asarray(np.sqrt(np.maximum(((wanted @ covariance) * wanted).sum(axis=1), 0.0)))

        before, out = deviation(mode.covariance), []
        for j, candidate in enumerate(given):
            at, blocks = records(as_schedule(candidate, f"candidates[{j}]"))
            seen = self.walk(mode, blocks).jacobian[1:] @ mode.covariance
            kept = self.walk(mode, blocks).jacobian[1:]
            gain = np.linalg.solve(self.errors.covariance(at[1:]) + seen @ kept.T, seen)
            out.append(Design(j, deviation(mode.covariance - seen.T @ gain), before))
        return sorted(out, key=lambda one: float(np.square(one.after).sum()))

    @door
    def as_problem(self, schedule: Schedule | npt.ArrayLike, substeps: int = 16) -> tuple[NoisyQuadratic, Schedule]:
        """The best optimum of a linear twin as a problem, and the effective rates that SGD has under this recipe.

        floor + risk of simlab.exact(problem, simlab.methods.sgd(rates)) is the twin's curve, `substeps` steps for one:
        the twin decays exponentially within a step. At 100M it is within 0.001 everywhere with 16, and with one, within
        0.013 behind the warmup and 0.0007 after step 10,000. Of the twin in blocks of one step it is off by 0.01 over
        `substeps`. Raises InputError for a twin that was not fitted with linear = True.
        """
        from simlab.twin.replay import problem_of, rates_of

        substeps = check_count("substeps", substeps, high=1000)
        rates = rates_of(self, as_schedule(schedule))
        return problem_of(self.modes[0].theta, self.span, substeps), from_array(np.repeat(rates, substeps))

    @door
    def play(self, path: str | PathLike[str] = "playground.html", force: bool = False) -> Path:
        """Write the playground of this twin: a page in which a schedule is dragged; returns the path.

        It shows the mean loss that `predict` has, for schedules of the recipe's own rates, its optimum among them. The
        page of a twin that was fitted with linear = True shows its quadratic instead, with momentum and averages: the
        loss above the floor, at the effective rates of usual schedules; one step of SGD for one of the twin's, which
        errs behind a warmup as `as_problem` says of substeps = 1.  force : replace a file that exists.  Raises
        InputError where bokeh is missing.
        """
        from simlab.playground import write
        from simlab.twin.playable import playable

        return write(path, force=force, **playable(self))

    @door
    def to_json(self, path: str | PathLike[str]) -> None:
        """Write the twin as JSON, for `from_json`: parameters, covariances, priors and what they were fitted with."""
        from simlab.replacing import replacing

        record = {
            "simlab": __version__,
            "names": [p.name for p in PARAMETERS],
            "modes": [
                {"theta": m.theta.tolist(), "covariance": m.covariance.tolist(), "weight": m.weight} for m in self.modes
            ],
            "reference": self.reference,
            "span": self.span,
            "errors": asdict(self.errors),
            "optimizer": self.optimizer,
            "weight_decay": self.weight_decay,
            "priors": [[x if np.isfinite(x) else None for x in row] for row in self.priors.tolist()],
            "free": list(self.free),
            "longest": self.longest,
            "lowest": self.lowest,
            "batch": self.batch,
            "doubts": list(self.doubts),
            "transient": None if self.transient is None else self.transient.to_record(),
        }
        with replacing(check_path("path", path)) as place:
            place.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
