"""Defazio et al. 2023: refinement by gradient norms, and controls."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import defazio2023, defazio2023_measured
from simlab.figures.reproduction import column

from simlab.errors import InputError

pytestmark = pytest.mark.thorough

FIGURES = {figure.id: figure for figure in (*defazio2023.FIGURES, *defazio2023_measured.FIGURES)}
COMPUTED = ("defazio2023-synthetic", "defazio2023-regression")


@pytest.fixture(scope="module")
def quick():
    return {name: FIGURES[name].compute("quick") for name in COMPUTED}


def test_synthetic_claims_hold(quick):
    verdicts = [claim.verdict for claim in FIGURES[COMPUTED[0]].claims(quick[COMPUTED[0]])]
    assert verdicts == ["reproduced"] * 2 + ["chosen"] * 3


def test_without_large_first_gradients_there_is_no_warmup(quick):
    curves = {name: np.array(values) for name, values in quick[COMPUTED[0]]["curves"].items()}
    flat = column(curves, "lr", case="no warmup")
    curves["lr"][curves["case"] == "constant"] = flat
    claims = FIGURES[COMPUTED[0]].claims({**quick[COMPUTED[0]], "curves": curves})
    assert [claim.text for claim in claims if not claim.holds] == [
        "warmup appears when early gradients are large, and only then"
    ]


def test_regression_comes_out_as_it_does(quick):
    claims = FIGURES[COMPUTED[1]].claims(quick[COMPUTED[1]])
    # From far away the warmup costs more than it brings: the bound knows nothing of smoothness.
    missed = ["tuned, the refined schedule ends at a lower risk than linear decay"]
    assert [claim.text for claim in claims if not claim.holds] == missed
    once = defazio2023.ratios(quick[COMPUTED[1]], "round 1")
    assert list(once.values()) == pytest.approx([1.0, 1.01, 1.11, 1.34], abs=0.01)
    assert defazio2023.ratios(quick[COMPUTED[1]], "warmup")[3.0] == pytest.approx(1.03, abs=0.01)


def test_the_best_peaks_lie_within_the_grid(quick):
    peak = np.asarray(quick[COMPUTED[1]]["tuned"]["peak"])
    assert defazio2023.PEAKS[0] < peak.min()
    assert peak.max() < defazio2023.PEAKS[-1]


def test_measured_norms(shared_data, monkeypatch):
    monkeypatch.setenv("SIMLAB_DATA", str(shared_data))
    figure = FIGURES["defazio2023-measured"]
    assert figure.draw(figure.compute("tiny")).axes
    assert all(claim.verdict == "substituted" for claim in figure.claims(figure.compute("quick")))


def test_absent_norms_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMLAB_DATA", str(tmp_path))
    with pytest.raises(InputError, match="absent"):
        FIGURES["defazio2023-measured"].compute("tiny")
