"""Results of this project: what is claimed of them is not claimed of numbers that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.results import horizon

pytestmark = pytest.mark.thorough

FIGURES = {figure.id: figure for figure in horizon.FIGURES}


@pytest.fixture(scope="module")
def run():
    return FIGURES["results-run"].compute("tiny")


def unheld(name, data):
    return [claim.text for claim in FIGURES[name].claims(data) if not claim.holds]


def changed(data, table, name, value):
    """The same tables with one column of one changed."""
    return {**data, table: {**data[table], name: value(np.asarray(data[table][name]))}}


def test_a_run_of_a_trillion_steps_holds_what_it_reports(run):
    assert unheld("results-run", run) == []
    assert np.asarray(run["run"]["step"]).max() == 10**12


def test_wrong_errors_and_wrong_powers_are_found_out(run):
    covers = "the error reported stays within the tolerance, and covers the difference to the exact engine"
    assert unheld("results-run", changed(run, "run", "error", lambda error: error + 1e-4)) == [covers]
    assert unheld("results-run", changed(run, "check", "off", lambda off: off + 1e-5)) == [covers]
    slow = changed(run, "rate", "time", lambda time: time**1.01)
    assert unheld("results-run", slow) == [
        "over six decades the bias falls as the power of the training time that the spectrum says"
    ]


def test_exponents_of_short_runs_are_those_of_none_of_the_theorems():
    data = FIGURES["results-exponents"].compute("tiny")
    assert len(unheld("results-exponents", data)) == 6
    decades = np.array([4.0, 10.0, 12.0])
    table = {"case": [], "schedule": [], "decade": [], "peak": [], "risk": []}
    for case in horizon.CASES:
        for name in horizon.NAMES:
            law = horizon._law(case, name)
            steps = 10.0**decades
            rows = {"decade": decades, "peak": 0.1 + 0 * steps, "risk": steps**-law.power * np.log(steps) ** law.log}
            for key, values in {**rows, "case": [case] * 3, "schedule": [name] * 3}.items():
                table[key].extend(values)
    assert unheld("results-exponents", {"tuned": table}) == []
    assert len(unheld("results-exponents", changed({"tuned": table}, "tuned", "risk", lambda risk: risk**0.9))) == 6
