from functools import partial

from tests.figures.fakes import fake, slow

FIGURES = [
    fake("first", seconds=9.0),
    fake("second", seconds=5.0, compute=partial(slow, name="second", seconds=3.0)),
    fake("third", seconds=1.0),
]
