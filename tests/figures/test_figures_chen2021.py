"""Chen et al. 2021: how the claims come out on regression, and controls that have to fail."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import chen2021, chen2021_sampling
from simlab.figures.reproduction import column

import simlab as sl

FIGURES = {figure.id: figure for figure in [*chen2021.FIGURES, *chen2021_sampling.FIGURES]}
RANKS, SAMPLING = "chen2021-ranks", "chen2021-sampling"


@pytest.fixture(scope="module")
def quick():
    return {name: figure.compute("quick") for name, figure in FIGURES.items()}


def test_ranks_come_out_as_they_do(quick):
    claims = FIGURES[RANKS].claims(quick[RANKS])
    # Linear is the better on steep spectra: what REX gains on the tail it pays for in noise.
    assert [claim.holds for claim in claims] == [True, False, False, False]
    ends = quick[RANKS]["ends"]
    rex, linear = (column(ends, "risk", schedule=name, problem="steep") for name in ("REX", "linear"))
    assert (rex > linear).all()


def test_sampling_comes_out_as_it_does(quick):
    assert [claim.holds for claim in FIGURES[SAMPLING].claims(quick[SAMPLING])] == [False] * 3


def test_sampled_at_every_step_is_the_schedule(quick):
    """Two makers, the same schedules: the risks agree to the digit."""
    for profile in ("REX", "linear", "cosine", "exponential"):
        alone = column(quick[RANKS]["ends"], "risk", schedule=profile)
        paired = column(quick[SAMPLING]["ends"], "risk", profile=profile, rate="every")
        np.testing.assert_allclose(paired, alone, rtol=1e-12)


def test_ranks_are_a_permutation(quick):
    ends = quick[RANKS]["ends"]
    ranks = np.asarray(ends["rank"]).reshape(-1, len(chen2021.SCHEDULES))
    assert (np.sort(ranks, axis=1) == np.arange(1, len(chen2021.SCHEDULES) + 1)).all()
    risks = np.asarray(ends["risk"]).reshape(ranks.shape)
    assert (np.take_along_axis(risks, ranks.argmin(axis=1)[:, None], axis=1)[:, 0] == risks.min(axis=1)).all()


def test_parabola_finds_the_minimum_between_the_points():
    peaks = 0.1 * 2.0 ** np.arange(-3.0, 3.0)
    peak, risk = chen2021.best_of_grid(peaks, 3.0 * np.exp(np.log(peaks / 0.13) ** 2))
    assert (peak, risk) == pytest.approx((0.13, 3.0), rel=1e-12)
    assert chen2021.best_of_grid(peaks, peaks)[0] == peaks[0]
    assert chen2021.best_of_grid(peaks, np.array([3.0, 2.0, 1.0, np.inf, np.inf, np.inf]))[1] == 1.0


def test_a_rex_that_wins_turns_its_claims(quick):
    ends = {name: np.array(values) for name, values in quick[RANKS]["ends"].items()}
    rex = ends["schedule"] == "REX"
    ends["risk"][rex] = 0.5 * ends["risk"][rex]
    ends["rank"][rex] = 0.5
    assert [claim.holds for claim in FIGURES[RANKS].claims({"ends": ends})] == [True, False, True, True]


def test_the_exponential_profile_sampled_thrice_is_nearly_the_step_schedule():
    step = sl.schedules.step(1_000, 1.0).values()
    sampled = sl.schedules.sampled(1_000, 1.0, "exponential", "30-60-90", floor=chen2021.FLOOR).values()
    assert (np.flatnonzero(np.diff(step)) == np.flatnonzero(np.diff(sampled))).all()
    assert (np.abs(np.log10(sampled / step)) < 0.31).all()
