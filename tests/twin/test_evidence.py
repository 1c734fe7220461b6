"""Errors by the evidence of the curves: its formula, what it finds, and the run that no error model knows."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab.twin.evidence import Seen, evidence, likeliest, thinned
from simlab.twin.likelihood import Errors
from tests.twin.runs import PEAK, SCHEDULES, TRAINED, TRUTH, made, measured
from tests.twin.test_fit import scores

STEPS = np.arange(2176.0, 24_001.0, 512.0)


def seen(errors, seed, columns=2):
    """A curve of these errors about an optimum at 0, with a smooth jacobian."""
    rng = np.random.default_rng(seed)
    jacobian = np.column_stack([np.log(STEPS / 8000.0) ** j for j in range(columns)])
    root = np.linalg.cholesky(errors.covariance(STEPS))
    return Seen(STEPS, root @ rng.standard_normal(STEPS.size), jacobian, np.ones(STEPS.size))


def test_evidence_is_the_density_of_residuals_with_their_parameters_integrated():
    """log N(r; J m, K + J P^-1 J^T), dense, but for a constant: by differences between two errors."""
    curve, prior, offset = seen(Errors(), 0), np.array([4.0, 9.0]), np.array([0.3, -0.2])

    def dense(errors):
        covariance = errors.covariance(STEPS) + curve.jacobian @ np.diag(1.0 / prior) @ curve.jacobian.T
        left = curve.residuals - curve.jacobian @ offset
        return -0.5 * (left @ np.linalg.solve(covariance, left) + np.linalg.slogdet(covariance)[1])

    one, other = Errors(), Errors(noise=1e-3, early=0.01, misfit=2e-3, width=0.7)
    found = evidence([curve], prior, offset, one) - evidence([curve], prior, offset, other)
    assert found == pytest.approx(dense(one) - dense(other), rel=1e-8)


@pytest.mark.parametrize("misfit", [0.5e-3, 3e-3])
def test_the_likeliest_errors_are_those_that_drew_the_curves(misfit):
    """Of 24 curves, which know it within a tenth: of eight 0.0005 comes out as 0.0006, two thirds of it by chance."""
    truth = Errors(noise=4e-4, early=0.01, misfit=misfit, width=0.4)
    curves = [seen(truth, seed) for seed in range(24)]
    found = likeliest(curves, np.zeros(2), np.zeros(2), np.full(2, 0.1), noise=6e-4)
    assert found.misfit == pytest.approx(misfit, rel=0.15)
    assert found.noise == pytest.approx(4e-4, rel=0.1)


def test_a_width_far_from_where_the_search_begins_is_found():
    """About a simplex of 5 % of each logarithm it stopped at a width of 0.30, and 240 units short of the likeliest."""
    truth = Errors(noise=1e-4, early=0.001, misfit=2e-3, width=0.1)
    found = likeliest([seen(truth, seed) for seed in range(7)], np.zeros(2), np.zeros(2), np.full(2, 0.1), noise=6e-4)
    assert found.width == pytest.approx(0.1, rel=0.15)
    assert found.misfit == pytest.approx(2e-3, rel=0.1)


def test_means_of_records_keep_sums_and_a_spike_is_no_misfit():
    steps = np.arange(100.0, 30_001.0, 100.0)
    residuals = np.where(steps == 20_000.0, 5.0, 1e-3)
    found = thinned(steps, residuals, np.column_stack([steps, steps**2]), Errors())
    assert found.steps.size == 60
    assert found.counts @ found.jacobian[:, 0] == pytest.approx(steps.sum(), rel=1e-12)
    assert found.residuals.max() < 3e-3


def test_errors_that_are_given_are_kept():
    curves = [made(TRUTH, name, seed) for seed, name in enumerate(TRAINED)]
    given = Errors(misfit=3e-3)
    wide, own = (sl.twin.fit(curves, weight_decay=0.1, errors=errors) for errors in (given, None))
    assert wide.errors == given
    assert own.errors.misfit < 1.2e-3
    schedule = SCHEDULES["wsd_20000_24000"]
    assert np.all(wide.predict(schedule).deviation[-1] > own.predict(schedule).deviation[-1])


@pytest.mark.thorough
@pytest.mark.parametrize(("size", "dropped"), [("25M", "cosine_72000"), ("100M", "")])
def test_bands_of_schedules_left_out(shared_data, size, dropped):
    """Each training run by the two others, each kind of schedule by the other kinds: 0.85 to 0.97, with no factor.

    The cosine of 72,000 steps at 25M is left out: a run that lies off before its rate does, as the next test has it.
    """
    curves = {name: curve for name, curve in measured(shared_data, size).items() if name != dropped}
    kinds = [[name for name in curves if name.startswith(kind)] for kind in ("cosine", "constant", "wsd_", "wsdcon")]
    kinds[2] += [name for name in curves if name.startswith("wsdld")]
    inside = []
    for pool, tested in [(TRAINED, [name]) for name in TRAINED] + [(list(curves), kind) for kind in kinds]:
        twin = sl.twin.fit([curves[name] for name in pool if name not in tested], weight_decay=0.1)
        inside += scores(twin, [curves[name] for name in tested])[1].tolist()
    assert 0.85 < np.mean(inside) < 0.97


def test_a_run_of_25M_lies_off_before_its_rate_does(shared_data):
    """Cosine and constant of 72,000 steps between 8,000 and 14,000: +0.001 measured, where no rate differs by 9 %."""
    curves = measured(shared_data, "25M")
    steps = np.arange(8000, 14_000, 64)
    both = [curves[name] for name in ("cosine_72000", "constant_72000")]
    rates = [curve.schedule(steps) / PEAK for curve in both]
    assert np.all(rates[0] > 0.91 * rates[1])
    cosine, constant = (np.interp(steps, curve.steps, curve.losses) for curve in both)
    twin = sl.twin.fit([curve for curve in curves.values() if curve not in both], weight_decay=0.1)
    expected = [twin.predict(curve.schedule, steps=steps).loss for curve in both]
    assert np.mean(cosine - constant) > 8e-4
    assert np.mean(expected[0] - expected[1]) < -1.5e-3
