"""Chen et al. 2021: how the claims come out on regression, and controls that have to fail."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import chen2021, chen2021_sampling
from simlab.figures.peaks import best_of_grid
from simlab.figures.reproduction import column

import simlab as sl

pytestmark = pytest.mark.thorough

FIGURES = {figure.id: figure for figure in [*chen2021.FIGURES, *chen2021_sampling.FIGURES]}
RANKS, SAMPLING = "chen2021-ranks", "chen2021-sampling"


@pytest.fixture(scope="module")
def quick():
    return {name: figure.compute("quick") for name, figure in FIGURES.items()}


def test_noise_decides_the_ranks(quick):
    claims = FIGURES[RANKS].claims(quick[RANKS])
    # What REX gains on the start it pays for in noise, and with little noise it pays little.
    assert [claim.verdict for claim in claims] == ["substituted", "not reproduced", *["substituted"] * 3]
    assert claims[0].turns == "holds at noise variance 0.1, 0.03, 0.01, 0.001, 0; not at 1, 0.3"
    assert claims[2].turns == "holds at noise variance 0.03, 0.01, 0.001, 0; not at 1, 0.3, 0.1"
    ends = quick[RANKS]["ends"]
    for noise, low, high in ((1.0, 1.01, 1.08), (0.0, 0.85, 0.91)):
        rex, linear = (column(ends, "risk", schedule=s, problem="steep", noise=noise) for s in ("REX", "linear"))
        assert ((low < rex / linear) & (rex / linear < high)).all()


def test_sampling_comes_out_as_it_does(quick):
    claims = FIGURES[SAMPLING].claims(quick[SAMPLING])
    assert [claim.verdict for claim in claims] == ["not reproduced", "holds", "does not hold"]
    # At the smallest budget alone a held REX is before it.
    assert claims[0].computed.startswith("1 %: REX, 10 %; 5 %: REX, every; 25 %: REX, every; 100 %: REX, every;")
    assert claims[1].turns == "holds at noise variance 0.3, 0.1, 0.03, 0.01, 0.001, 0; not at 1"


def test_one_run_serves_all_noise_variances(quick):
    """The risk at a noise variance of its own, without the parts put together."""
    ends = quick[RANKS]["ends"]
    where = {"problem": "slow tail", "share": 0.01, "schedule": "REX", "noise": 0.1}
    risk, peak = (float(column(ends, key, **where)[0]) for key in ("risk", "peak"))
    problem = sl.LinearRegression.power_law(10_000, 1.5, 1.1, noise_variance=0.1).compress(1e-6)
    trace = sl.exact(problem, [sl.methods.sgd(sl.schedules.rex(100, peak))], record=2, progress=False)
    # The parabola through three peaks is as near as this.
    assert float(trace.final().sum(["component", "subspace"]).values[0]) == pytest.approx(risk, rel=2e-3)


def test_sampled_at_every_step_is_the_schedule(quick):
    """Two makers, the same schedules: the risks agree to the digit."""
    for profile in ("REX", "linear", "cosine", "exponential"):
        alone = column(quick[RANKS]["ends"], "risk", schedule=profile)
        paired = column(quick[SAMPLING]["ends"], "risk", profile=profile, rate="every")
        np.testing.assert_allclose(paired, alone, rtol=1e-12)


def test_ranks_are_a_permutation(quick):
    ends = quick[RANKS]["ends"]
    for noise in chen2021.NOISES:
        ranks, risks = (column(ends, k, noise=noise).reshape(-1, len(chen2021.SCHEDULES)) for k in ("rank", "risk"))
        assert (np.sort(ranks, axis=1) == np.arange(1, len(chen2021.SCHEDULES) + 1)).all()
        assert (np.take_along_axis(risks, ranks.argmin(axis=1)[:, None], axis=1)[:, 0] == risks.min(axis=1)).all()


def test_parabola_finds_the_minimum_between_the_points():
    peaks = 0.1 * 2.0 ** np.arange(-3.0, 3.0)
    peak, risk = best_of_grid(peaks, 3.0 * np.exp(np.log(peaks / 0.13) ** 2))
    assert (peak, risk) == pytest.approx((0.13, 3.0), rel=1e-12)
    assert best_of_grid(peaks, peaks)[0] == peaks[0]
    assert best_of_grid(peaks, np.array([3.0, 2.0, 1.0, np.inf, np.inf, np.inf]))[1] == 1.0


def test_a_rex_that_wins_or_loses_turns_its_claims(quick):
    for factor, rank, verdicts in ((0.5, 0.5, [True, True, True]), (2.0, 6.5, [False, False, False])):
        ends = {name: np.array(values) for name, values in quick[RANKS]["ends"].items()}
        rex = ends["schedule"] == "REX"
        ends["risk"][rex] *= factor
        ends["rank"][rex] = rank
        assert [claim.holds for claim in FIGURES[RANKS].claims({"ends": ends})][:3] == verdicts


def test_the_exponential_profile_sampled_thrice_is_nearly_the_step_schedule():
    step = sl.schedules.step(1_000, 1.0).values()
    sampled = sl.schedules.sampled(1_000, 1.0, "exponential", "30-60-90", floor=chen2021.FLOOR).values()
    assert (np.flatnonzero(np.diff(step)) == np.flatnonzero(np.diff(sampled))).all()
    assert (np.abs(np.log10(sampled / step)) < 0.31).all()
