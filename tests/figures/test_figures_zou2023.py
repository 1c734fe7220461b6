"""Zou et al. 2023: the reference table to its digits, and bounds on either side of the exact risk."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import zou2023 as zou
from simlab.figures.papers import zou2023_bounds as bounds
from simlab.figures.reproduction import column

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def quick():
    return zou.compute("quick")


@pytest.fixture(scope="module")
def laid():
    return bounds.compute("quick")


def test_tiny_computes_draws_and_judges():
    for figure in (*zou.FIGURES, *bounds.FIGURES):
        data = figure.compute("tiny")
        assert figure.draw(data).axes
        assert figure.claims(data)


def test_reference_table(quick):
    """60 numbers of a recursion written apart: each is what some sqrt(2) grid gives, to its four digits.

    On the one grid that is drawn, 4 % or one digit; EMA 7 %, whose numbers fit a grid of ratio 2.
    """
    origins, tuned = quick["origins"], quick["tuned"]
    given = column(origins, "reference")
    assert given.size == 60
    assert np.all(given >= column(origins, "lowest") - 0.55e-4)
    assert np.all(given <= column(origins, "highest") + 0.55e-4)
    for (a, b, n), numbers in zou.REFERENCE.items():
        for name, number in zip(zou.METHODS, numbers, strict=True):
            found = column(tuned, "risk", a=a, b=b, steps=n, method=name)[0]
            slack = 0.07 if name == "EMA" else 0.04
            assert found == pytest.approx(number, rel=slack, abs=1e-4), (a, b, n, name)


def test_the_interval_of_grids_is_narrow(quick):
    """Or containing the reference would say nothing: 3 % of the risk as a rule, where the digits left are few 13 %."""
    origins = quick["origins"]
    wide = column(origins, "highest_fine") / column(origins, "lowest") - 1.0
    assert np.median(wide) < 0.03
    assert wide.max() < 0.14


def test_a_wrong_problem_is_outside_the_table():
    """Negative control: sigma^2 = 1.2, or the newest iterate in place of the old one as the average of 1,000."""
    import simlab as sl

    case = zou.problem(2, 1)
    noisier = sl.LinearRegression(case.eigenvalues, case.initial_error, 1.2)
    grid = 0.6 * 2.0 ** (-0.25 * np.arange(24))
    reference = zou.REFERENCE[2, 1, 1000][0]
    assert abs(zou.risks(case, "iterate average", 1000, grid).min() - reference) < 1e-4
    assert zou.risks(noisier, "iterate average", 1000, grid).min() - reference > 3e-4


def test_verdicts(quick, laid):
    assert [claim.verdict for claim in zou.claims(quick)] == ["chosen", "holds"]
    verdicts = [claim.verdict for claim in bounds.claims(laid)]
    assert verdicts == ["reproduced"] * 2 + ["chosen"] * 2


def test_how_far_the_bounds_are(laid):
    """exact/upper <= 0.248 (tail .245), exact/lower >= 5.3 (tail 23.5)."""
    risk = laid["risk"]
    for name, most, least in (("iterate average", 0.248, 5.3), ("tail average", 0.245, 23.5)):
        exact = column(risk, "risk", method=name)
        assert (exact / column(risk, "upper", method=name)).max() <= most
        assert (exact / column(risk, "lower", method=name)).min() >= least


def test_a_risk_outside_the_bounds_is_seen(laid):
    risk = laid["risk"]
    for column_, factor, claim in (("upper", 0.01, 0), ("lower", 100.0, 1)):
        changed = {**risk, column_: factor * np.asarray(risk[column_])}
        assert bounds.claims({"risk": changed})[claim].verdict == "not reproduced"
