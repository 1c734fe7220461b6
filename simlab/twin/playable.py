"""A linear twin as the playground takes it: its quadratic, and a start in its own clock."""

from __future__ import annotations

from typing import Any

from simlab.playground.starts import knots_of
from simlab.schedules import constant, cosine, from_array, wsd
from simlab.twin.posterior import Posterior
from simlab.twin.replay import problem_of, rates_of

__all__ = ["playable"]

MOST_STEPS = 10**6
"""Steps that a page takes."""


def playable(twin: Posterior) -> dict[str, Any]:
    """The arguments problem, start and source of `simlab.playground.write` for a twin.

    The risk is the loss above the twin's floor, a rate a multiple of the reference: of SGD the recipe's, of AdamW the
    effective one, as which the usual schedules are shown. Raises InputError for a twin that is not linear.
    """
    steps = min(twin.longest, MOST_STEPS)
    # AdamW's weights are small at first: after a shorter warmup its effective rates would come near the critical one.
    ramp = steps // 20
    usual = {
        "wsd": wsd(steps, twin.reference, warmup=ramp, cooldown=0.2),
        "cosine": cosine(steps, twin.reference, warmup=ramp, floor=0.1),
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
