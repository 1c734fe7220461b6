"""Claims judged again under engines that are wrong on purpose: those that nothing turns are the ones listed as weak."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.gallery.expected import expected, known_weak
from simlab.figures.gallery.falsified import FALSIFICATIONS, falsified, judged, turned
from simlab.figures.gallery.outcome import entries
from simlab.figures.measurements import measured

import simlab as sl

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


EXACT = {"twice the noise", "no noise", "one step late", "steps backwards", "half the step", "bias for variance"}
TASK = sl.LinearRegression.power_law(dim=12, capacity=1.3, source=1.5, noise_variance=0.1)
LINEAR = sl.schedules.linear(24, 0.05)
PAIR = {1: sl.methods.sgd(LINEAR), 2: sl.methods.sgd(sl.schedules.constant(24, 0.02))}
"""Two runs, by name."""
SIGNS = {1: sl.methods.sign_sgd(LINEAR), 2: sl.methods.sign_sgd(sl.schedules.constant(24, 0.02))}
LOOP = sl.methods.closed_loop(PAIR[1], sl.feedback.hypergradient(0.01))
ENGINES = {
    "mixture": (lambda: sl.exact(sl.Mixture([TASK, TASK.shifted(optimum=0.5)]), PAIR[1]), EXACT),
    "workers": (lambda: sl.exact(TASK, sl.methods.local(PAIR[1], workers=2, every=8)), EXACT),
    "signs": (lambda: sl.limit(TASK, SIGNS), {*EXACT, "runs mixed up"}),
    "ahead": (
        lambda: sl.limit(TASK, sl.methods.closed_loop(PAIR[2], sl.feedback.autolrs(8))),
        EXACT - {"one step late", "steps backwards"},
    ),
    # It takes the schedule's first rate alone.
    "loop": (lambda: sl.limit(TASK, LOOP), EXACT - {"one step late"}),
    "sampled": (
        lambda: sl.sample(TASK, SIGNS, basis="eigen", replicas=4, split=False),
        {"one step late", "steps backwards", "half the step", "runs mixed up"},
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_are_reached(engine):
    """By the falsifications that are there for them, and by no other."""
    run, wanted = ENGINES[engine]
    right = run().risk.values
    reached = set()
    for name in FALSIFICATIONS:
        with falsified(name):
            if not np.array_equal(run().risk.values, right, equal_nan=True):
                reached.add(name)
    assert reached == wanted


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
