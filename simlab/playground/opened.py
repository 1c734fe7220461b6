"""What an experiment file shows in the page: its problem, and those of its runs that the page knows."""

from __future__ import annotations

from os import PathLike
from typing import Any

from simlab.doors import notice
from simlab.errors import check_path
from simlab.experiment import Experiment
from simlab.methods import Method
from simlab.playground.starts import knots_of
from simlab.schedules import Schedule

__all__ = ["of_file"]

FAMILIES = ("constant", "linear", "cosine", "wsd", "exponential", "polynomial", "rex", "uba", "inverse_sqrt")
"""Schedules that the page has sliders for; others come as knots."""

METHODS = {"heavy_ball": "momentum", "nesterov": "momentum", "ema": "decay", "tail_average": "window"}
"""Methods of the page beside sgd and schedule_free, with their parameter."""

SLIDERS = ("dim", "capacity", "source", "noise_variance", "compress", "kind")
"""What a power law may say to be shown with sliders."""

MOST_RUNS, MOST_STEPS = 4, 10**6


def of_file(path: str | PathLike[str]) -> dict[str, Any]:
    """The arguments problem, start and source of `simlab.playground.write` for an experiment file.

    A plain power law is shown with its sliders, anything else as a spectrum. Runs that the page cannot show are left
    out, with a notice. Raises InputError for a file that is refused.
    """
    file = check_path("path", path)
    experiment = Experiment.from_file(file)
    table = experiment.to_dict()["problem"]
    plain = table["kind"] == "power_law" and set(table) <= set(SLIDERS)
    start = _start(experiment)
    if plain:
        named = {"dim": "dim", "capacity": "capacity", "source": "source", "noise_variance": "noise"}
        start["problem"] = {own: table[name] for name, own in named.items() if name in table}
    title = f"{table['kind'].replace('_', ' ')}, from {file.name}: {experiment.problem!r}"
    source = {"title": title, "file": str(file.resolve()), "table": table}
    return {"problem": None if plain else experiment.problem, "start": start, "source": None if plain else source}


def _start(experiment: Experiment) -> dict[str, Any]:
    """The runs of the length of the first, as the page's state."""
    steps, left = 0, []
    runs: list[dict[str, Any]] = []
    for label, method in experiment.runs.items():
        run = _run(method)
        if run is None or len(runs) == MOST_RUNS or (steps and method.length != steps):
            left.append(label)
        else:
            runs.append(run)
            steps = method.length
    if left:
        notice(
            f"the page leaves out {', '.join(left)}: it shows up to {MOST_RUNS} runs of one length and at most "
            f"{MOST_STEPS:,} steps, of SGD, heavy ball, Nesterov, EMA, tail average and Schedule-Free."
        )
    return {"runs": runs, "steps": steps or 20_000, "spacing": "linear"}


def _run(method: Method) -> dict[str, Any] | None:
    """A run as the page has it, or None for one that it cannot show."""
    kind = type(method).__name__
    parameter = "beta" if kind == "schedule_free" else METHODS.get(kind, "")
    own = getattr(method, parameter, None)
    inner = getattr(method, "inner", None)
    plain = {field: value for field, value in vars(method).items() if field in ("form", "bias_corrected", "power")}
    known = kind == "sgd" or isinstance(own, float | int)
    usual = plain in ({}, {"form": "new"}, {"form": "new", "bias_corrected": False}, {"power": 0.0})
    if not known or not usual or isinstance(method.batch, Schedule) or method.length > MOST_STEPS:
        return None
    if (inner is not None and type(inner).__name__ != "sgd") or not method.batch < float("inf"):
        return None
    if kind == "tail_average" and isinstance(own, int):
        own = own / method.length
    given = {"kind": kind} if kind == "sgd" else {"kind": kind, parameter: own}
    return {"schedule": _schedule(method.learning_rate), "method": given, "batch": method.batch}


def _schedule(schedule: Schedule) -> dict[str, Any]:
    """A family with sliders by its parameters, its phases as fractions of the run; any other schedule as knots."""
    given, steps = schedule.parameters, schedule.length
    if schedule.kind in FAMILIES and given.get("shape") != "piecewise":
        fractions = {name: given[name] / steps for name in ("warmup", "cooldown") if isinstance(given.get(name), int)}
        return {"kind": schedule.kind, **given, **fractions}
    knots, peak = knots_of(schedule)
    return {"kind": "knots", "peak": peak, "knots": knots, "from": schedule.kind}
