"""Every figure of the catalogue at its tiny size: computed, drawn, and every claim judged with something seen."""

from __future__ import annotations

import pytest
from simlab.figures.gallery.outcome import entries
from simlab.figures.measurements import measured

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("figure", [entry.figure for entry in entries().values()], ids=lambda figure: figure.id)
def test_tiny_is_computed_drawn_and_judged(figure):
    if figure.needs and not measured(figure.needs).is_dir():
        pytest.skip(f"{measured(figure.needs)} is absent: real measurements are not shipped with the repository")
    data = figure.compute("tiny")
    assert figure.draw(data).axes
    claims = figure.claims(data)
    assert claims
    assert [claim.text for claim in claims if not (claim.computed and claim.wanted and claim.source)] == []
    assert len({claim.text for claim in claims}) == len(claims)
