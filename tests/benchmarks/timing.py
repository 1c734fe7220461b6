"""Times of the processor, for comparisons within one run."""

from __future__ import annotations

import time

__all__ = ["least", "leasts"]


def least(function, rounds=7):
    """The shortest of some times of the processor, whatever else it does, after a first call that may compile."""
    return leasts(function, rounds=rounds)[0]


def leasts(*functions, rounds=7):
    """The same for each of several functions, called in turn, so that a busy machine slows none of them alone."""
    times = [[] for _ in functions]
    for _ in range(rounds + 1):
        for function, own in zip(functions, times, strict=True):
            began = time.process_time()
            function()
            own.append(time.process_time() - began)
    return [min(own[1:]) for own in times]
