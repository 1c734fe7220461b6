"""Claims judged again under engines that are wrong on purpose: those that nothing turns are the ones listed as weak."""

from __future__ import annotations

import pytest
from simlab.figures.gallery.expected import expected, known_weak
from simlab.figures.gallery.falsified import FALSIFICATIONS, judged, turned
from simlab.figures.gallery.outcome import entries
from simlab.figures.measurements import measured

ALL = {name: entry.figure for name, entry in entries().items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_weak_claims_are_those_listed(name):
    figure = ALL[name]
    if figure.needs and not measured(figure.needs).is_dir():
        pytest.skip(f"{measured(figure.needs)} is absent: real measurements are not shipped with the repository")
    assert [text for text, by in turned(figure).items() if by == []] == known_weak()[name]


@pytest.mark.parametrize("falsification", FALSIFICATIONS)
def test_a_wrong_engine_is_noticed_and_leaves_no_trace(falsification):
    """The numbers of an independent recursion do not survive any of them."""
    figure = ALL["li2024-directions"]
    text = "bias and variance are those of an independent recursion, to three digits"
    before = judged(figure, "quick")[text]
    wrong = judged(figure, "quick", falsification)[text]
    assert before.holds
    assert not wrong.holds
    assert judged(figure, "quick")[text] == before


def test_every_claim_has_a_known_verdict_and_every_weak_one_is_a_claim():
    for scale in ("quick", "full"):
        assert expected(scale).keys() == ALL.keys()
    for name, texts in known_weak().items():
        assert set(texts) <= expected("quick")[name].keys()
