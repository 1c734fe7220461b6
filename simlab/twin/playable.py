"""A twin as the playground takes it: of a linear one its quadratic in its own clock, of any other itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.playground.starts import knots_of
from simlab.schedules import constant, cosine, from_array, wsd
from simlab.twin.likelihood import EARLY_SHARE, EARLY_WIDTH, WILDEST
from simlab.twin.parameters import DEPARTURES, NODES, PARAMETERS, PLACE
from simlab.twin.posterior import Posterior
from simlab.twin.replay import problem_of, rates_of
from simlab.twin.search import best_schedule

__all__ = ["playable"]

MOST_STEPS = 10**6
"""Steps that a page takes."""


WARMUP, COOLDOWN, FLOOR = 0.05, 0.2, 0.1
"""Of the schedules that a page begins with, as shares of the run and of the peak."""


def playable(twin: Posterior) -> dict[str, Any]:
    """The arguments problem, start and source of `simlab.playground.write` for a twin.

    The risk is the loss above the twin's floor. A twin that is a quadratic is shown as one, with momentum and averages;
    a rate is a multiple of the reference: of SGD the recipe's, of AdamW the effective one, as which the usual schedules
    are shown. Any other twin is walked by the page itself, at the rates of the recipe.
    """
    straight = all(mode.theta[PLACE[name]] == value for mode in twin.modes for name, value in DEPARTURES.items())
    return _quadratic(twin) if straight else _walked(twin)


def _quadratic(twin: Posterior) -> dict[str, Any]:
    steps = min(twin.longest, MOST_STEPS)
    # AdamW's weights are small at first: after a shorter warmup its effective rates would come near the critical one.
    ramp = round(WARMUP * steps)
    usual = {
        "wsd": wsd(steps, twin.reference, warmup=ramp, cooldown=COOLDOWN),
        "cosine": cosine(steps, twin.reference, warmup=ramp, floor=FLOOR),
        "constant": constant(steps, twin.reference, warmup=ramp),
    }
    problem = problem_of(twin.modes[0].theta, twin.span, substeps=1)
    clock = "the recipe's" if twin.optimizer == "sgd" else "effective rates lr / |w|"
    title = (
        f"a twin: the risk is the loss above its floor, {twin.modes[0].theta[0]:.4f}; a rate of 1 is that of "
        f"{twin.reference:g}, the highest trained at ({clock})"
    )
    runs = []
    for name, schedule in usual.items():
        knots, peak = knots_of(from_array(rates_of(twin, schedule)))
        runs.append({"schedule": {"kind": "knots", "peak": peak, "knots": knots, "from": name}})
    start = {"steps": steps, "spacing": "linear", "runs": runs}
    return {"problem": problem, "start": start, "source": {"title": title}}


def _walked(twin: Posterior) -> dict[str, Any]:
    steps, peak = min(twin.longest, MOST_STEPS), twin.reference
    best = best_schedule(twin, steps, peak, round(WARMUP * steps), knots=18, level=0.9).schedule
    knots, tallest = knots_of(best)
    ramp = {"peak": peak, "warmup": WARMUP}
    schedules = (
        {"kind": "knots", "peak": tallest, "knots": knots, "from": "optimum", "moved": False},
        {"kind": "wsd", **ramp, "cooldown": COOLDOWN, "shape": "linear"},
        {"kind": "cosine", **ramp, "floor": FLOOR},
        {"kind": "constant", **ramp},
    )
    start = {"steps": steps, "spacing": "linear", "runs": [{"schedule": schedule} for schedule in schedules]}
    clock = "lr / |w|" if twin.optimizer == "adamw" else "lr"
    title = f"a twin ({twin.optimizer}, walked at {clock}), trained at rates up to {twin.reference:g}"
    return {"problem": _engine(twin), "start": start, "source": {"title": title}}


def _engine(twin: Posterior) -> dict[str, Any]:
    """What `js/twin.js` takes: theta by name of every optimum, and the valley's nodes by decade of curvature."""
    names = [p.name for p in PARAMETERS]
    decade = np.clip(np.floor(np.log10(NODES) + 1e-9).astype(int), -5, -1)
    lowest = int(decade.min())
    bands = ["river", *(f"1e{k} to 1e{k + 1}" for k in range(lowest, 0))]
    return {
        "optima": [{"theta": dict(zip(names, m.theta.tolist(), strict=True)), "weight": m.weight} for m in twin.modes],
        "reference": twin.reference,
        "lowest": twin.lowest,
        "span": twin.span,
        "curvatures": NODES.tolist(),
        "label": (decade - lowest + 1).tolist(),
        "bands": bands,
        "transient": _transient(twin),
    }


def _transient(twin: Posterior) -> dict[str, Any] | None:
    if twin.transient is None:
        return None
    errors = twin.errors
    shape = {"early": errors.early, "at": errors.at, "most": WILDEST, "whole": EARLY_SHARE, "width": EARLY_WIDTH}
    return {**twin.transient.to_record(), **shape}
