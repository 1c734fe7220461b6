"""Dremov et al. 2025: a table of shapes, claims as they come out, and controls that have to fail."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import dremov2025, dremov2025_regression
from simlab.figures.papers.cooldowns import BEST, REST, SHAPES
from simlab.figures.reproduction import column, rows

pytestmark = pytest.mark.thorough

VALLEY, REGRESSION = (module.FIGURES[0] for module in (dremov2025, dremov2025_regression))


@pytest.fixture(scope="module")
def valley():
    return VALLEY.compute("quick")


@pytest.fixture(scope="module")
def regression():
    return REGRESSION.compute("quick")


@pytest.mark.parametrize("figure", [VALLEY, REGRESSION])
def test_tiny_is_computed_and_drawn(figure):
    assert len(figure.draw(figure.compute("tiny")).axes) >= 3


@pytest.mark.parametrize(("place", "fall"), [*enumerate(dremov2025.FALLS)])
def test_table_of_another_recursion(valley, place, fall):
    loss = np.round(column(valley["table"], "loss", fall=fall), 1)
    printed = [row[place] for row in dremov2025.PRINTED.values()]
    assert loss.tolist() == printed
    # Bias and variance add up to the loss above that of a run that keeps the peak.
    both = sum(column(valley["table"], key, fall=fall) for key in ("bias", "variance"))
    above = column(valley["table"], "loss", fall=fall) + 1e4 * fall * 0.5 * 60
    np.testing.assert_allclose(both, above, rtol=1e-12)


def test_the_order_depends_on_the_slope(valley):
    verdicts = [claim.verdict for claim in VALLEY.claims(valley)]
    assert verdicts == ["substituted", "not reproduced", "substituted"] + 3 * ["holds"] + ["does not hold", "holds"]
    assert [name for _, name in dremov2025.winners(valley)] == ["inv.1", "low.7", "mirror", "square"]
    turn = dremov2025.published_up_to(valley)
    for fall, published in ((0.99 * turn, True), (1.01 * turn, False)):
        # Straight lines in the slope: against the engine itself.
        table = dremov2025.split(fall, dremov2025.rates())
        loss = dict(zip(SHAPES, table["loss"].tolist(), strict=True))
        assert (max(loss[name] for name in BEST) < min(loss[name] for name in REST)) is published


def test_the_published_order_on_regression(regression):
    claims = REGRESSION.claims(regression)
    assert [claim.verdict for claim in claims] == 3 * ["substituted"] + ["does not hold", "holds", "holds"]
    assert claims[3].computed == "low.5 (little in the tail), 1-sqrt (much in the tail)"
    # The tail is what a cooldown leaves as bias: half of it and more beyond the hundredth mode, where it is heavy.
    parts = regression["parts"]
    tail, whole = (
        column(parts, "bias", problem="much in the tail", shape="linear", **where).sum()
        for where in ({"bin": "117-300"}, {})
    )
    assert 0.5 < tail / whole < 1.0


@pytest.mark.parametrize("name", ["valley", "regression"])
def test_samples_of_another_shape_are_found_out(name, request):
    data, figure = request.getfixturevalue(name), {"valley": VALLEY, "regression": REGRESSION}[name]
    sampled = {key: np.asarray(values).copy() for key, values in data["sampled"].items()}
    here, there = (rows(sampled, shape=shape) for shape in ("linear", "1-sqrt"))
    for key in ("bias", "variance"):
        sampled[key][here] = sampled[key][there]
    assert not figure.claims({**data, "sampled": sampled})[-1].holds
