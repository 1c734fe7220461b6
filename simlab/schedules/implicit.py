"""Schedules that nobody set: the rate that a method has in effect, as weights grow or shrink."""

from __future__ import annotations

import math

from simlab.errors import InputError, brief, check_number
from simlab.schedules import nodes
from simlab.schedules.arguments import check_run
from simlab.schedules.base import Schedule
from simlab.schedules.registry import family

__all__ = ["scale_invariant"]

LARGEST = 1e100
"""Largest growth of |w|^4 in one step, as a multiple of what it is at the start."""

FORGOTTEN = 1e-17
"""What a run forgets of |w_0|^4 below this is nothing in float64."""


@family
def scale_invariant(
    steps: int, lr: float, gradient_norm: float, norm: float = 1.0, weight_decay: float = 0.0
) -> Schedule:
    """The rate in effect of weights whose scale does not matter, under a constant rate: lr / |w_t|^2.

    Below a normalisation layer the gradient is orthogonal to w and as long as gradient_norm / |w| (G / |w|; G is its
    norm at |w| = 1), so that every step lengthens w. With |w_0| = `norm` and k = 1 - lr weight_decay (decoupled),

        |w_t|^4 = k^(4 t) |w_0|^4 + lr^2 G^2 (1 - k^(4 t)) / (1 - k^2),

    which without weight decay is |w_0|^4 + 2 lr^2 G^2 t: an inverse square root. With it the rate settles at
    sqrt(1 - k^2) / G, about sqrt(2 lr weight_decay) / G. The start and the limit are exact; between them |w_t|^2 is
    off by as much as a step changes it, at the most: without weight decay by a relative q log(1 + 2 q t) / (4 + 8 q t),
    which stays below 0.1 q, q = (lr G / |w_0|^2)^2. Lyle et al. 2024, arXiv 2407.01800; the formula is derived in the
    notes.

    >>> scale_invariant(5, lr=1.0, gradient_norm=1.0, norm=2.0).values()[[0, 4]].round(4)
    array([0.25  , 0.2041])
    """
    steps, lr = check_run(steps, 0.0)[0], check_number("lr", lr, low=0.0, high=1e100)
    gradient = check_number("gradient_norm", gradient_norm, low=0.0, high=1e100)
    norm = check_number("norm", norm, low=1e-50, high=1e100)
    decay = check_number("weight_decay", weight_decay, low=0.0)
    if lr * decay >= 1.0:
        raise InputError(
            f" = {brief(weight_decay)} times lr is at least 1, and no weight is left; give less.", "weight_decay"
        )
    rate = lr / norm**2
    growth = 2.0 * (rate * gradient) ** 2
    if growth > LARGEST:
        raise InputError(
            f" = {brief(gradient_norm)} multiplies |w|^4 by {growth:.2g} in a step; give less.", "gradient_norm"
        )
    arguments = {"steps": steps, "lr": lr, "gradient_norm": gradient, "norm": norm, "weight_decay": decay}
    return Schedule("scale_invariant", arguments, _in_effect(steps, rate, growth, lr * decay))


def _in_effect(steps: int, rate: float, growth: float, shrink: float) -> nodes.Plan:
    """rate / sqrt(y), y = |w_t|^4 / |w_0|^4, which tends to `limit` as the deviation from it dies out."""
    memory = -4.0 * math.log1p(-shrink)
    if memory * steps < FORGOTTEN:
        return nodes.Scale(nodes.Piece(steps, "power-hyperbola", n=1, parameters=(growth, -0.5)), rate)
    limit = 0.5 * growth / -math.expm1(-0.5 * memory)
    if limit >= 1.0:
        return nodes.Scale(nodes.Piece(steps, "norm-growth", n=1, parameters=(memory, limit - 1.0)), rate)
    if limit == 0.0:
        raise InputError(
            " = 0 with weight decay lets the weights die out, and the rate grow without end; give more.",
            "gradient_norm",
        )
    excess = 1.0 / limit - 1.0
    half = min(steps, round(max(math.log(excess), 0.0) / memory))  # steepest about there: two pieces
    cut = [nodes.Piece(m, "norm-decay", 1, at, (memory, excess)) for m, at in ((half, 0), (steps - half, half))]
    return nodes.Scale(nodes.chain(*cut), rate / math.sqrt(limit))
