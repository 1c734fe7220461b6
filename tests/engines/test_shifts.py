"""Continual training on two domains: what re-warming, replay and upsampling late do, as numbers.

Two domains of 300 directions: lam_A = i^-1.3, lam_B 1.5 or 0.6 times it in turn, w_B half the size of w_A away from it.
Gupta et al. 2023 (arXiv 2308.04014), Ibrahim et al. 2024 (arXiv 2403.08763), Blakeney et al. 2024 (arXiv 2406.03476).
"""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods, schedules

T, PEAK, LOW = 2000, 0.25, 0.025
A = sl.LinearRegression(np.arange(1.0, 301.0) ** -1.3, 3.0**-0.5, 0.3)


def domains(shift=0.5):
    return {"A": A, "B": A.shifted([1.5, 0.6], shift)}


def run(lr, share, start=None, shift=0.5, **asked):
    return sl.exact(sl.Mixture(domains(shift), share), methods.sgd(lr, batch=8), start=start, progress=False, **asked)


def end(trace):
    return trace.total().values[-1]


def warmed(warmup=0.01, steps=T):
    return schedules.cosine(steps, PEAK, warmup=warmup, floor=LOW / PEAK)


@pytest.fixture(scope="module")
def phase_1():
    return run(warmed(), [1.0, 0.0]).state


def replayed(state, lr, share):
    return end(run(lr, [share, 1.0 - share], state))


def test_rewarming_and_replay(phase_1):
    """Re-warmed is better than staying at the lowest rate, and half of replay within 5 % of the union of both."""
    low = schedules.constant(T, LOW)
    rewarm, stay = ([replayed(phase_1, lr, s) for s in (0.0, 0.05, 0.25, 0.5)] for lr in (warmed(), low))
    union = end(run(warmed(steps=2 * T), [0.5, 0.5]))
    # Measured once on another draw of w_A of this size: what is left is that draw, and is below 25 %.
    known = [[0.1245, 0.0184], [0.1146, 0.0192], [0.0801, 0.0276], [0.0462, 0.0512]]
    np.testing.assert_allclose(rewarm, known, rtol=0.25)
    np.testing.assert_allclose(
        stay, [[0.1095, 0.0440], [0.1023, 0.0452], [0.0760, 0.0540], [0.0488, 0.0758]], rtol=0.25
    )
    np.testing.assert_allclose(union, [0.0474, 0.0470], rtol=0.25)
    means = np.mean([rewarm, stay], axis=2)
    assert np.all(means[0] < means[1])
    assert np.all(np.diff(means) < 0.0)
    assert means[0, -1] < 1.1 * union.mean()


def test_the_length_of_the_warmup_hardly_matters(phase_1):
    ends = [replayed(phase_1, warmed(steps), 0.0) for steps in (1, 20, 200)]
    np.testing.assert_allclose(ends, np.broadcast_to(ends[0], (3, 2)), rtol=0.02)


def test_a_loss_that_rises_first_and_then_wins_takes_a_weak_shift(phase_1):
    """Both domains rise while the rate is warmed again where the shift is weak; at half the size B falls at once."""
    for shift, rises in ((0.0, True), (0.1, True), (0.5, False)):
        trace = run(warmed(), [0.0, 1.0], phase_1, shift, record=[T + 50]).total()
        before, early, last = trace.values
        assert early[0] > before[0]
        assert bool(early[1] > before[1]) is rises
        assert last[1] < before[1]
        stay = end(run(schedules.constant(T, LOW), [0.0, 1.0], phase_1, shift))
        assert last[1] < stay[1]


def late(shape, share, steps=2 * T):
    """Mean risk of both where B has half of the samples in the last `share` of the run and a tenth before."""
    lr = {
        "cosine": schedules.cosine(steps, PEAK),
        "linear": schedules.linear(steps, PEAK),
        "wsd": schedules.wsd(steps, PEAK, cooldown=0.2),
    }[shape]
    more = np.where(np.arange(steps) < round((1.0 - share) * steps), 0.1, 0.5)
    return end(run(lr, ["rest", more]))


def test_upsampling_late_gains_most_where_the_rate_is_still_high():
    """In a tenth of a cooldown B gains more than in three tenths under a cosine."""
    shares = (0.0, 0.1, 0.2, 0.3)
    means = {shape: [late(shape, x).mean() for x in shares] for shape in ("cosine", "linear", "wsd")}
    for values in means.values():
        assert np.all(np.diff(values) < 0.0)
    assert means["wsd"][1] < means["cosine"][3]
    np.testing.assert_allclose(means["cosine"], [0.0754, 0.0638, 0.0575, 0.0540], rtol=0.25)
    np.testing.assert_allclose(means["wsd"], [0.0688, 0.0472, 0.0445, 0.0435], rtol=0.25)
    last, whole = (late("cosine", x) for x in (0.3, 1.0))
    assert last[0] < whole[0]
    assert last[1] > whole[1]
