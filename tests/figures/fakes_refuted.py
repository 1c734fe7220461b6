from functools import partial

from tests.figures.fakes import claims, fake

FIGURES = [
    fake("refuted", claims=partial(claims, holds=False)),
    fake("given", claims=partial(claims, chosen="a size")),
    fake("put", claims=partial(claims, chosen="a size", substituted="a cube", turns="at 1/3", paper="0.3")),
    fake("own", claims=partial(claims, own=True)),
]
