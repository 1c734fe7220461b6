"""What runs have in common early on: its formula, its share by the evidence, and what predictions gain."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import simlab as sl
from simlab.twin.blocks import cut
from simlab.twin.evidence import Seen
from simlab.twin.likelihood import Errors
from simlab.twin.transient import Transient, starts_of, transient
from tests.twin.runs import PEAK, SCHEDULES, TRAINED, TRUTH, made

STEPS = np.arange(2176.0, 24_001.0, 512.0)
ERRORS = Errors(noise=1e-4, early=0.02, misfit=1e-4)
LOOSE = (np.zeros(1), np.zeros(1), np.full(1, 0.1))
"""Precision, offset and scale of one flat parameter."""


def covariances(steps):
    """E and the misfit's covariance, written anew."""
    x = np.log(steps)
    square = (x[:, None] - x) ** 2
    height = ERRORS.early * (ERRORS.at / steps) ** 2
    early = np.outer(height, height) * (0.5 + 0.5 * np.exp(-square / (2 * 0.15**2)))
    return early, ERRORS.misfit**2 * np.exp(-square / (2 * ERRORS.width**2))


def drawn(share, seed, curves=4):
    rng = np.random.default_rng(seed)
    early, misfit = covariances(STEPS)
    root = np.linalg.cholesky(early + 1e-16 * np.eye(STEPS.size))
    common = np.sqrt(share) * root @ rng.standard_normal(STEPS.size)
    own = np.linalg.cholesky((1.0 - share) * early + misfit + ERRORS.noise**2 * np.eye(STEPS.size))
    flat = np.zeros((STEPS.size, 1))
    losses = [common + own @ rng.standard_normal(STEPS.size) for _ in range(curves)]
    return [Seen(STEPS, one, flat, np.ones(STEPS.size)) for one in losses]


def test_it_is_the_mean_of_what_is_common_given_the_residuals():
    curves = drawn(0.8, 0, curves=2)
    found = transient(curves, [STEPS, STEPS], STEPS[0], ERRORS, *LOOSE)
    early, misfit = covariances(STEPS)
    own = (1.0 - found.share) * early + misfit + ERRORS.noise**2 * np.eye(STEPS.size)
    both = np.kron(np.ones((2, 2)), found.share * early) + np.kron(np.eye(2), own)
    residuals = np.concatenate([one.residuals for one in curves])
    expected = np.tile(found.share * early, 2) @ np.linalg.solve(both, residuals)
    np.testing.assert_allclose(found.at(STEPS, STEPS, ERRORS)[0], expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.25), (1.0, 0.75, 1.0)])
def test_the_share_is_told_by_the_curves(share, low, high):
    found = [transient(drawn(share, seed), [STEPS] * 4, STEPS[0], ERRORS, *LOOSE).share for seed in range(4)]
    assert low <= np.mean(found) <= high


def test_one_curve_tells_nothing_of_the_share():
    assert transient(drawn(0.9, 0)[:1], [STEPS], STEPS[0], ERRORS, *LOOSE).share == pytest.approx(0.5, abs=1e-9)


def test_derivatives_by_rates_are_those_of_differences():
    found = transient(drawn(1.0, 0), [STEPS] * 4, STEPS[0], ERRORS, *LOOSE)
    lr = SCHEDULES["cosine_24000"].values()
    blocks = cut(lr, np.array([2500, 6000, 24_000]))
    slopes = np.random.default_rng(0).normal(size=(blocks.counts.size, 2))
    value, ways = found.along(blocks, PEAK, ERRORS, slopes)
    for j, step in ((0, 1e-6), (1, 1e-6)):
        moved = [blocks._replace(rates=blocks.rates + PEAK * sign * step * slopes[:, j]) for sign in (1.0, -1.0)]
        none = slopes[:, :0]
        up, down = (found.along(one, PEAK, ERRORS, none)[0] for one in moved)
        np.testing.assert_allclose(ways[:, j], (up - down) / (2.0 * step), rtol=1e-5, atol=1e-12)
    assert np.all(np.abs(value) > 0.0)


def test_before_the_first_record_it_stays_as_it_is_there():
    found = Transient(np.log([500.0, 900.0]), np.array([0.3, -0.1]), 400.0, 1.0)
    value, slope = found.at(np.array([0.0, 10.0, 400.0]), np.array([0.0, 1.0, 500.0]), ERRORS)
    np.testing.assert_allclose(value, value[2], rtol=1e-12)
    assert slope[0] == slope[1] == 0.0


def test_groups_of_records_hold_all_of_them_and_stay_few():
    steps = np.arange(100.0, 100_001.0, 10.0)
    one = starts_of([steps])[0]
    assert one[0] == 0
    assert np.all(np.diff(one) > 0)
    assert np.all(np.log(steps[one[1:] - 1] / steps[one[:-1]]) <= 0.04 + 1e-9)
    assert sum(part.size for part in starts_of([steps] * 40)) <= 800


@pytest.fixture(scope="module")
def bent():
    """Curves of a known twin, and a transient that no twin has: 0.02 where the warmup ends, and waves."""

    def curve(name, seed):
        exact = made(TRUTH, name, seed)
        wave = 0.02 * (2176 / exact.steps) ** 2 * (1.0 + np.sin(8.0 * np.log(exact.steps)))
        return sl.twin.Curve(exact.schedule, exact.steps, exact.losses + wave, name=name)

    return curve


def test_a_transient_of_all_runs_is_predicted_for_another(bent, tmp_path):
    twin = sl.twin.fit([bent(name, seed) for seed, name in enumerate(TRAINED)], weight_decay=0.1)
    assert twin.transient is not None
    assert twin.transient.share > 0.6
    other = bent("wsd_20000_24000", 9)
    early = other.steps < 5000

    def error(asked):
        return np.abs(asked.predict(other.schedule, steps=other.steps).loss - other.losses)[early].mean()

    assert error(twin) < 0.5 * error(replace(twin, transient=None))
    twin.to_json(tmp_path / "twin.json")
    assert error(sl.twin.from_json(tmp_path / "twin.json")) == error(twin)
    record = json.loads((tmp_path / "twin.json").read_text(encoding="utf-8"))
    record["transient"]["pulls"].pop()
    (tmp_path / "short.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(sl.InputError, match="is no twin"):
        sl.twin.from_json(tmp_path / "short.json")
    del record["transient"]
    (tmp_path / "older.json").write_text(json.dumps(record), encoding="utf-8")
    assert sl.twin.from_json(tmp_path / "older.json").transient is None


def test_a_quadratic_has_none():
    curves = [made(TRUTH, name, seed) for seed, name in enumerate(TRAINED)]
    assert sl.twin.fit(curves, weight_decay=0.1, linear=True).transient is None
