"""A wrong kind in the place of each argument of a public function: what a door is tried with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

import simlab as sl
from simlab import methods, schedules

RATE = schedules.wsd(8, peak=0.1)
SGD = methods.sgd(RATE)
PROBLEM = sl.LinearRegression([1.0, 0.5, 0.25], 1.0, 0.1)

WRONG: dict[str, Any] = {
    "None": None,
    "a word": "word",
    "a fraction": 3.7,
    "a negative number": -1,
    "a huge number": 10**400,
    "nan": float("nan"),
    "true": True,
    "a schedule": RATE,
    "a method": SGD,
    "a problem": PROBLEM,
    "an object": object(),
    "a list of words": ["word", None],
    "nothing in a list": [],
    "a table": {"a": "word"},
    "a ragged list": [[1.0], [1.0, 2.0]],
}


class Door(NamedTuple):
    """A public function with one good call of it; `slow` doors compile, draw or write."""

    function: Callable[..., Any]
    good: dict[str, Any]
    slow: bool = False


def trials(door: Door) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what is wrong, the arguments): a wrong kind for each, each left out, and one that nobody knows."""
    for argument in door.good:
        for kind, value in WRONG.items():
            yield f"{argument} is {kind}", {**door.good, argument: value}
        yield f"without {argument}", {name: value for name, value in door.good.items() if name != argument}
    yield "an argument that nobody knows", {**door.good, "wrogn": 1}


def outcome(door: Door, arguments: dict[str, Any]) -> str:
    """ "answered", "refused", or what else happened."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            door.function(**arguments)
        except sl.InputError as refusal:
            message = str(refusal)
            short = "\n" not in message and len(message) < 500 and " at 0x" not in message
            return "refused" if short else f"refused at length: {message}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return "answered"


def check(doors: Mapping[str, Door], share: float) -> tuple[int, int]:
    """(calls, refusals) of a share of the trials, drawn with a seed; anything but an answer or a refusal fails."""
    rng = np.random.default_rng(1)
    counted = {"answered": 0, "refused": 0}
    for name, door in doors.items():
        for what, arguments in trials(door):
            if rng.random() < share:
                found = outcome(door, arguments)
                assert found in counted, f"{name}, {what}: {found}"
                counted[found] += 1
    return sum(counted.values()), counted["refused"]


def quick(doors: Mapping[str, Door]) -> dict[str, Door]:
    """Those that neither compile, draw nor write."""
    return {name: door for name, door in doors.items() if not door.slow}
