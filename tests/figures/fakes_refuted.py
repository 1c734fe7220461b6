from functools import partial

from tests.figures.fakes import claims, fake

FIGURES = [
    fake("refuted", claims=partial(claims, holds=False)),
    fake("given", claims=partial(claims, assumed="a size")),
]
