"""Claims that can fail: every figure is computed again under engines that are wrong on purpose, and judged again.

    python -m simlab.figures.gallery.falsified [ID ...]

says of each claim which falsifications turn its verdict. One that holds, whose numbers they move and whose verdict none
of them turns says little about the engine: it is weak, and `weak.json` lists it. Figures without their measurements are
left out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from typing import Any
from unittest.mock import patch

import numpy as np
from simlab.figures.gallery.expected import WEAK, known_weak
from simlab.figures.gallery.outcome import chosen, entries
from simlab.figures.measurements import measured
from simlab.figures.reproduction import Claim, Reproduction, Scale

from simlab.engines import limit
from simlab.engines.moments import diagonal, mixture, workers
from simlab.engines.moments.background import run_all
from simlab.engines.moments.loops import Rates
from simlab.engines.moments.mixture import MixedMoments
from simlab.engines.moments.walks import Drive
from simlab.engines.replicas.march import march_all
from simlab.kernels.dials import DIALS, RATE
from simlab.kernels.moments import layout
from simlab.methods import averaging
from simlab.methods.base import Coefficients, Method
from simlab.methods.closed import closed_loop
from simlab.methods.weightwise import Adaptive

__all__ = ["FALSIFICATIONS", "judged", "turned"]


def _with_noise(stack: ExitStack, factor: float) -> None:
    """The noise of exact moments and of limits is multiplied; that of samplers, which referee them, is not."""
    nodes, drive, mixed = layout.NodeArrays.__init__, Drive.__init__, MixedMoments.__init__

    def of_nodes(self: Any, modes: Any) -> None:
        nodes(self, modes)
        self.noise *= factor

    def of_drive(self: Any, modes: Any, error: Any) -> None:
        drive(self, modes, error)
        self.noise *= factor

    def of_mixture(self: Any, problem: Any, *others: Any) -> None:
        mixed(self, problem, *others)
        self.problem = copy(problem)
        self.problem.__dict__["noise_variance"] = factor * problem.noise_variance

    stack.enter_context(patch.object(layout.NodeArrays, "__init__", of_nodes))
    stack.enter_context(patch.object(Drive, "__init__", of_drive))
    stack.enter_context(patch.object(MixedMoments, "__init__", of_mixture))


def _twice_the_noise(stack: ExitStack) -> None:
    """The noise of exact moments has twice its variance."""
    _with_noise(stack, 2.0)


def _no_noise(stack: ExitStack) -> None:
    """Exact moments have no label noise."""
    _with_noise(stack, 0.0)


def _at_other_steps(stack: ExitStack, other: Callable[[Method, Any], Any]) -> None:
    """Step t is taken with the numbers of the step other(method, t), by engines that step."""

    def linear(self: Method, start: int = 0, stop: int | None = None) -> Coefficients:
        plain = self.recursion(other(self, np.arange(start, self.length if stop is None else stop)))
        return Coefficients(*(np.require(part, np.float64, ["C", "W"]) for part in plain))

    def other_numbers(self: Any, start: int, stop: int) -> tuple[Any, ...]:
        steps = other(self, np.arange(start, stop))
        order = np.argsort(steps, kind="stable")
        dials = np.empty((steps.size, DIALS))
        dials[order] = self.dials(steps[order])
        return (dials,)

    stack.enter_context(patch.object(Method, "coefficients", linear))
    for kind in (Adaptive, closed_loop):
        stack.enter_context(patch.object(kind, "numbers", other_numbers))


def _one_step_late(stack: ExitStack) -> None:
    """Every step is taken with the numbers of the one before."""
    _at_other_steps(stack, lambda method, t: np.maximum(t - 1, 0))


def _steps_backwards(stack: ExitStack) -> None:
    """Step t is taken with the numbers of the step T - 1 - t: a decay becomes a rise."""
    forwards = Method.increments

    def increments(self: Method, t: Any) -> Coefficients:
        return forwards(self, self.length - 1 - t)

    _at_other_steps(stack, lambda method, t: method.length - 1 - t)
    stack.enter_context(patch.object(Method, "increments", increments))


def _half_the_step(stack: ExitStack) -> None:
    """Steps are half as long; of rates that are fed back those of the limit, not those of samplers."""
    linear, numbers, fed_back, ahead = Method.coefficients, Adaptive.numbers, Rates._fed_back, Rates._best_of_stage

    def shorter(self: Method, start: int = 0, stop: int | None = None) -> Coefficients:
        M, b, c = linear(self, start, stop)
        return Coefficients(M, 0.5 * b, c)

    def of_rules(self: Any, start: int, stop: int) -> tuple[Any, ...]:
        (dials,) = numbers(self, start, stop)
        dials[:, RATE] *= 0.5
        return (dials,)

    def of_loops(self: Any, at: int, base: float, share: float) -> Any:
        rate, factors = fed_back(self, at, base, share)
        return 0.5 * rate, factors

    stack.enter_context(patch.object(Method, "coefficients", shorter))
    stack.enter_context(patch.object(Adaptive, "numbers", of_rules))
    stack.enter_context(patch.object(Rates, "_fed_back", of_loops))
    stack.enter_context(patch.object(Rates, "_best_of_stage", lambda self, at: 0.5 * ahead(self, at)))


def _no_average(stack: ExitStack) -> None:
    """What is read of an average is the iterate that it is of."""

    def read(self: Any, t: Any) -> Any:
        plain = self.inner.outlook(t)
        return np.concatenate([plain, np.zeros((len(plain), 1))], axis=1)

    stack.enter_context(patch.object(averaging._Average, "outlook", read))


def _average_off_by_one(stack: ExitStack) -> None:
    """Averages take the iterate before the one they should, or the one after."""
    plain = averaging._Average._appended

    def other(self: Any, t: Any, inner: Coefficients, one: float) -> Coefficients:
        form = self.form
        object.__setattr__(self, "form", "old" if form == "new" else "new")
        try:
            return plain(self, t, inner, one)
        finally:
            object.__setattr__(self, "form", form)

    stack.enter_context(patch.object(averaging._Average, "_appended", other))


def _bias_for_variance(stack: ExitStack) -> None:
    """What is called bias is the variance."""

    def swapped(plain: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            result = plain(*arguments, **options)
            for part in (result.risk, result.final[None], *(each[None] for each in result.snapshots.values())):
                part[:, [0, 1]] = part[:, [1, 0]]
            return result

        return run

    runs: Any = {diagonal: "run_diagonal", mixture: "run_mixture", workers: "run_workers", limit: "_run"}
    for module, name in runs.items():
        stack.enter_context(patch.object(module, name, swapped(getattr(module, name))))


def _runs_mixed_up(stack: ExitStack) -> None:
    """The answers of several runs are handed back in the opposite order."""

    def reversed_runs(*arguments: Any) -> Any:
        results = run_all(*arguments)
        return results[::-1] if len({r.steps.tobytes() for r in results}) == 1 else results

    def reversed_crews(*arguments: Any) -> Any:
        return list(march_all(*arguments))[::-1]

    for engine in ("exact", "limit"):
        stack.enter_context(patch(f"simlab.engines.{engine}.run_all", reversed_runs))
    for engine in ("sample", "descend"):
        stack.enter_context(patch(f"simlab.engines.{engine}.march_all", reversed_crews))


FALSIFICATIONS: dict[str, Callable[[ExitStack], None]] = {
    "twice the noise": _twice_the_noise,
    "no noise": _no_noise,
    "one step late": _one_step_late,
    "steps backwards": _steps_backwards,
    "half the step": _half_the_step,
    "average off by one": _average_off_by_one,
    "no average": _no_average,
    "bias for variance": _bias_for_variance,
    "runs mixed up": _runs_mixed_up,
}


FAILED = "it does not hold as it is"


@contextmanager
def falsified(name: str | None) -> Iterator[None]:
    """A wrong engine while it lasts; the right one for None."""
    with ExitStack() as stack:
        if name is not None:
            FALSIFICATIONS[name](stack)
        yield


def judged(figure: Reproduction, scale: Scale, name: str | None = None) -> dict[str, Claim]:
    """Text -> claim of a figure computed under this falsification."""
    with falsified(name):
        data = figure.compute(scale)
    return {claim.text: claim for claim in figure.claims(data)}


def turned(figure: Reproduction, scale: Scale = "quick") -> dict[str, list[str] | None]:
    """Text of each claim -> the falsifications that turn its verdict, one that ends in an error turning all.

    A claim that does not hold has failed under the right engine. None where not even a number moves: no engine decides
    such a claim, but a theorem, or measured data.
    """
    right = judged(figure, scale)
    turns: dict[str, list[str]] = {text: [] if claim.holds else [FAILED] for text, claim in right.items()}
    moved = set()
    for name in FALSIFICATIONS:
        try:
            wrong: dict[str, Claim] | None = judged(figure, scale, name)
        except (ArithmeticError, ValueError, LookupError):
            wrong = None
        for text, claim in right.items():
            other = None if wrong is None else wrong.get(text)
            if other is None or other.holds != claim.holds:
                turns[text].append(name)
            if other is None or other.computed != claim.computed:
                moved.add(text)
    return {text: by if text in moved else None for text, by in turns.items()}


def main(ids: Sequence[str]) -> None:
    """Print a line for each claim, and how many are weak; with --keep among the arguments, write the list."""
    kept = dict(known_weak())
    weak = total = 0
    for entry in chosen(entries(), [name for name in ids if name != "--keep"]):
        figure = entry.figure
        if figure.needs and not measured(figure.needs).is_dir():
            continue
        found = turned(figure)
        kept[figure.id] = [text for text, by in found.items() if by == []]
        for text, by in found.items():
            total += by is not None
            weak += by == []
            print(f"{figure.id}: {text}: {'no engine' if by is None else ', '.join(by) or 'weak'}", flush=True)
    print(f"{weak} of {total} claims that an engine decides are turned by no falsification.")
    if "--keep" in ids:
        WEAK.write_text(json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
