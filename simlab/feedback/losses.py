"""Learning rates that follow the loss: lowered on a plateau, raised or lowered with its volatility."""

from __future__ import annotations

import math

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, check_count, check_number
from simlab.feedback.base import Feedback, Summary

__all__ = ["plateau", "volsched"]


def _plateau(at: Summary, memory: FloatArray, gains: FloatArray) -> float:
    factor, patience, threshold, every, least = gains[0], gains[1], gains[2], gains[3], gains[4]
    if at.step == 0.0:
        memory[0], memory[1] = 1.0, math.inf
    rate = max(memory[0] * at.base, least)
    memory[3] += at.loss / every
    memory[4] += 1.0
    if memory[4] == every:
        if memory[3] < memory[1] * (1.0 - threshold):
            memory[1], memory[2] = memory[3], 0.0
        else:
            memory[2] += 1.0
        if memory[2] > patience:
            memory[0], memory[2] = memory[0] * factor, 0.0
        memory[3] = memory[4] = 0.0
    return float(rate)


@door
def plateau(
    factor: float = 0.1, patience: int = 10, threshold: float = 1e-4, every: int = 100, least: float = 0.0
) -> Feedback:
    """The schedule's rate times `factor` each time that the mean loss of `every` steps has not fallen, by a share of
    `threshold`, for more than `patience` such means: torch.optim.lr_scheduler.ReduceLROnPlateau; at least `least`.
    """
    gains = (
        check_number("factor", factor, low=0.0, high=1.0),
        float(check_count("patience", patience, low=0)),
        check_number("threshold", threshold, low=0.0, high=1.0),
        float(check_count("every", every)),
        check_number("least", least, low=0.0),
    )
    return Feedback("plateau", _plateau, gains)


FIRST = 7
"""Where the history of log ratios begins in the memory of VolSched."""


def _volsched(at: Summary, memory: FloatArray, gains: FloatArray) -> float:
    weight, every, window, epochs, least = gains[0], gains[1], int(gains[2]), gains[3], gains[4]
    size = memory.size - FIRST
    if at.step == 0.0:
        memory[0] = at.base
    rate = memory[0]
    memory[1] += at.loss / every
    memory[2] += 1.0
    if memory[2] < every:
        return float(rate)
    k = memory[4] + 1.0
    if k > 1.0 and memory[1] > 0.0 and memory[3] > 0.0:
        memory[FIRST + int(memory[5]) % size] = math.log(memory[1] / memory[3])
        memory[5] += 1.0
    memory[3], memory[4], memory[1], memory[2] = memory[1], k, 0.0, 0.0
    if k % window == 0.0 and k <= epochs:
        count, recent, spread = min(int(memory[5]), size), 0.0, 0.0
        for last in (min(count, window), count):
            mean = square = 0.0
            for j in range(last):
                mean += memory[FIRST + (int(memory[5]) - 1 - j) % size] / last
            for j in range(last):
                square += (memory[FIRST + (int(memory[5]) - 1 - j) % size] - mean) ** 2 / last
            recent, spread = spread, math.sqrt(square)
        ratio = spread / recent if recent > 0.0 else 1.0
        change = math.log(1.0 + weight * abs(ratio - 1.0))
        factor = 1.0 + change if ratio > 1.0 else 1.0 - change
        cosine = (1.0 + math.cos(math.pi * k / epochs)) / (1.0 + math.cos(math.pi * (k - window) / epochs))
        memory[0], memory[6] = max(least, rate * cosine * factor), factor
    return float(rate)


@door
def volsched(weight: float, epochs: int, *, every: int = 100, window: int = 5, least: float = 0.0) -> Feedback:
    """Every N = `window` epochs lr <- max(least, lr c_k (1 + sign(r - 1) ln(1 + weight |r - 1|))).

    r = std(all) / std(last N) of the log ratios of successive losses, of which the last 10 N are kept;
    c_k = (1 + cos(pi k / T)) / (1 + cos(pi (k - N) / T)), T = `epochs`. So it rises, about a cosine, where the loss
    has calmed down.
    Source: Ren 2025 (VolSched, arXiv 2507.10575). An epoch is `every` steps, its loss their mean: in one pass that is a
    held-out loss on every x batch rows. lr starts at what the schedule gives first. In `limit` losses have no noise,
    and r is of their curvature alone.
    """
    window, epochs = check_count("window", window, low=2), check_count("epochs", epochs)
    if epochs < window:
        raise InputError(f" = {epochs} is less than the window {window}; give at least as many.", "epochs")
    gains = (
        check_number("weight", weight, low=0.0),
        float(check_count("every", every)),
        float(window),
        float(epochs),
        check_number("least", least, low=0.0),
    )
    return Feedback("volsched", _volsched, gains, memory=FIRST + 10 * window)
