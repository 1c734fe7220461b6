"""Claims judged again under engines that are wrong on purpose: those that nothing turns are the ones listed as weak."""

from __future__ import annotations

import pytest
from simlab.figures.gallery.expected import expected, known_weak
from simlab.figures.gallery.falsified import FALSIFICATIONS, falsified, judged, turned
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


TEXT = "bias and variance are those of an independent recursion, to three digits"


@pytest.fixture(scope="module")
def right():
    return judged(ALL["li2024-directions"], "quick")[TEXT]


@pytest.mark.thorough
@pytest.mark.parametrize("falsification", FALSIFICATIONS)
def test_a_wrong_engine_is_noticed(falsification, right):
    """The numbers of an independent recursion do not survive any of them."""
    assert right.holds
    assert not judged(ALL["li2024-directions"], "quick", falsification)[TEXT].holds


@pytest.mark.thorough
def test_a_wrong_engine_leaves_no_trace(right):
    for falsification in FALSIFICATIONS:
        with falsified(falsification):
            pass
    assert judged(ALL["li2024-directions"], "quick")[TEXT] == right


def test_every_claim_has_a_known_verdict_and_every_weak_one_is_a_claim():
    for scale in ("quick", "full"):
        assert expected(scale).keys() == ALL.keys()
    for name, texts in known_weak().items():
        assert set(texts) <= expected("quick")[name].keys()
