"""Step decay of Ge et al. 2019."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.ge2019 import step_decay_lr, step_decay_response
from simlab.theory.sandwich import schedule_response

from simlab import schedules


@pytest.mark.parametrize("steps", [4, 7, 100, 1023, 1024, 4000])
def test_closed_form_is_that_of_the_schedule(steps: int) -> None:
    rates = schedules.step_decay(steps, 0.9).values()
    np.testing.assert_allclose(step_decay_lr(0.9, steps), rates, rtol=1e-15)
    lam = np.array([1.0, 0.03, 1e-4])
    for one, other in zip(step_decay_response(lam, 0.9, steps), schedule_response(lam, rates), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_saturated_variance_on_a_grid() -> None:
    """(T/L) V_i <= 0.4 from T = 64 on; 127 is the worst, where the last of six stages is as short as it gets."""
    largest = {}
    for steps in [*range(64, 300), 511, 1023, 10**4, 10**6, 10**9]:
        x = np.geomspace(1e-3 / steps, 2.0 / 3.0, 300)
        stages = steps.bit_length() - 1
        largest[steps] = (step_decay_response(x, 1.0, steps).noise * steps / stages).max()
    assert max(largest.values()) == largest[127] == pytest.approx(0.351, abs=2e-3)


def test_variance_grows_as_log_t_over_t() -> None:
    """The notes leave open whether the log T is real: T V_i / log2 T of the head settles between 0.17 and 0.21."""
    for steps in (2**12, 2**16, 2**20, 2**30, 2**40):
        # Rates that all stages resolve: from the first to the next of a factor 2, in the middle of the cascade.
        x = np.geomspace(1.0, 2.0, 20) * steps**-0.5
        ratio = step_decay_response(x, 1.0, steps).noise * steps / np.log2(steps)
        assert np.all((ratio > 0.165) & (ratio < 0.21))


def test_additive_noise_constant_of_the_notes() -> None:
    """Notes, section 6: variance <= 1.19 d sigma^2 / T (1/2 included) at T = 3000, lr = 1/lam_1, d = 20 .. 400."""
    worst = 0.0
    for dim in (20, 100, 400):
        for capacity in (0.5, 1.0, 2.0, 3.0):
            lam = np.arange(1.0, dim + 1.0) ** -capacity
            noise = schedule_response(lam, step_decay_lr(1.0, 3000)).noise
            worst = max(worst, 0.5 * noise.sum() * 3000 / dim)
    assert 0.9 < worst < 1.3
