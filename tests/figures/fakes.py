"""Small figures for the tests of the gallery. What is computed and drawn is noted in the file that FAKES_LOG names."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import numpy as np
from simlab.figures.reproduction import Claim, Reproduction

from simlab.plot import new_figure, style


def note(text):
    if "FAKES_LOG" in os.environ:
        with Path(os.environ["FAKES_LOG"]).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")


def compute(scale, *, name):
    note(f"compute {name}")
    size = {"tiny": 3, "quick": 5, "full": 9}[scale]
    x = np.linspace(0.0, 1.0, size)
    return {"curve": {"x": x, "y": x**3 / 3.0, "label": [f"1{j}" for j in range(size)], "n": np.arange(size)}}


def draw(data, *, name):
    note(f"draw {name}")
    with style():
        figure = new_figure(3.0, 2.0)
        figure.subplots().plot(data["curve"]["x"], data["curve"]["y"])
    return figure


def claims(data, *, holds=True, **more):
    largest = float(np.max(data["curve"]["y"]))
    text, shown = "y stays below a <third> & more", f"{largest:.3g}"
    return [Claim(text, "figure 0", "<= 1/3", shown, np.bool_(holds), "a half", **more)]


def slow(scale, *, name, seconds):
    note(f"begin {name}")
    time.sleep(seconds)
    return compute(scale, name=name)


def broken(*arguments):
    raise RuntimeError("this one\nnever works")


def killed(scale):
    os._exit(9)


def fake(name, year=2000, **changes):
    own = {
        "compute": partial(compute, name=name),
        "draw": partial(draw, name=name),
        "claims": claims,
        "seconds": 0.1,
        **changes,
    }
    return Reproduction(name, f"Figure {name}", "Nobody 2000", year, "A cube.", **own)


FIGURES = [
    fake("late", year=2002),
    fake("cube", year=2001, chosen=("the cube",)),
    fake("absent", needs="no/such/folder"),
]
