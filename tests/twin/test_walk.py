"""The twin's forward pass: derivatives, closed forms, limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gamma

import simlab as sl
from simlab.twin.blocks import cut
from simlab.twin.model import run
from simlab.twin.parameters import NODES, PLACE

FULL = np.array([3.0, -0.8, 0.6, 5.9, -1.6, 0.1, -1.0, -9.7, -1.5, 2.5, 0.95, 1.03, 1.1, 0.99, -0.2, 0.3])
LINEAR = np.array([3.0, -0.8, 0.6, 5.9, -1.6, 0.1, -1.0, -9.7, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
WSD = sl.schedules.wsd(12_000, peak=3e-4, warmup=1000, cooldown=0.3)
SPAN = 8000.0


def blocks_of(schedule, every=200, width=64):
    steps = np.append(np.arange(0, len(schedule), every), len(schedule))
    return cut(schedule.values(), steps, width)


@pytest.mark.parametrize("name", PLACE)
def test_derivatives_are_those_of_differences(name):
    blocks, j, h = blocks_of(WSD), PLACE[name], 1e-5
    up, down = FULL.copy(), FULL.copy()
    up[j], down[j] = FULL[j] + h, FULL[j] - h
    expected = (run(up, blocks, 3e-4, SPAN).loss - run(down, blocks, 3e-4, SPAN).loss) / (2.0 * h)
    np.testing.assert_allclose(run(FULL, blocks, 3e-4, SPAN).jacobian[:, j], expected, rtol=1e-6, atol=3e-9)


def test_derivatives_by_the_rates():
    blocks, h = blocks_of(WSD), 1e-6
    slope = np.linspace(0.2, 1.0, blocks.counts.size)
    up, down = (blocks._replace(rates=blocks.rates + sign * h * 3e-4 * slope) for sign in (1.0, -1.0))
    expected = (run(FULL, up, 3e-4, SPAN).loss - run(FULL, down, 3e-4, SPAN).loss) / (2.0 * h)
    found = run(FULL, blocks, 3e-4, SPAN, slope[:, None]).jacobian[:, -1]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=3e-9)


def test_noise_has_no_negative_power():
    """A fit to runs of a small model found this; 1 + kap b is -2.3 at the start, and the valley ran off to -inf."""
    theta = [1.02, -0.835, 0.623, 3.36, 0.185, 0.194, -4.56, -7.23, 0.631, 3.09, 0.975, 0.923, 0.783, 1.01, -0.649, 0.0]
    blocks, h = blocks_of(sl.schedules.cosine(4000, 6e-3, warmup=200)), 1e-6
    walk = run(np.array(theta), blocks, 3e-3, 1980.0)
    assert 1.0 + theta[PLACE["noise_bias"]] * walk.river[0] < -2.0
    assert walk.valley.min() == 0.0
    assert np.all(np.isfinite(walk.loss))
    for name in ("noise_bias", "log_river", "log_noise"):
        up, down = np.array([theta, theta])
        up[PLACE[name]] += h
        down[PLACE[name]] -= h
        expected = (run(up, blocks, 3e-3, 1980.0).loss - run(down, blocks, 3e-3, 1980.0).loss) / (2.0 * h)
        np.testing.assert_allclose(walk.jacobian[:, PLACE[name]], expected, rtol=1e-5, atol=1e-7)


def test_parts_add_up_and_derivatives_are_optional():
    blocks = blocks_of(WSD)
    full, plain = run(FULL, blocks, 3e-4, SPAN), run(FULL, blocks, 3e-4, SPAN, derivatives=False)
    np.testing.assert_array_equal(full.loss, plain.loss)
    np.testing.assert_allclose(FULL[0] + full.river + full.valley.sum(axis=1), full.loss, rtol=1e-14)
    assert plain.jacobian.size == 0


def test_the_river_is_the_risk_of_a_gamma_measure():
    """(1 + S/tau)^-s = int lam^(s-1) e^(-2 tau lam) e^(-2 lam S) dlam (2 tau)^s / Gamma(s); no norm: S = t."""
    theta = LINEAR.copy()
    theta[PLACE["log_kappa"]], theta[PLACE["log_noise"]] = -1e3, -9.0
    blocks = blocks_of(sl.schedules.constant(5000, 0.1))
    river = run(theta, blocks, 0.1, SPAN).river
    s, tau = theta[2], np.exp(theta[3])
    x = np.linspace(-90.0, 4.0, 3000)
    weights = (x[1] - x[0]) * np.exp(s * x - np.exp(x)) / gamma(s)
    times = np.append(np.arange(0, 5000, 200), 5000)
    scale = np.exp(theta[1]) * (1.0 + SPAN / tau) ** s
    expected = scale * (weights * np.exp(-np.minimum(np.exp(x) * times[:, None] / tau, 700.0))).sum(axis=1)
    np.testing.assert_allclose(river, expected, rtol=1e-10)


def test_a_constant_rate_ends_on_the_stated_floor():
    """R = Q a without stiffening; at the reference's equilibrium a = 1."""
    theta = LINEAR.copy()
    walk = run(theta, blocks_of(sl.schedules.constant(2_000_000, 3e-4), 500_000, 1000), 3e-4, SPAN)
    assert walk.valley[-1].sum() == pytest.approx(np.exp(theta[PLACE["log_noise"]]), rel=1e-6)


def test_steps_at_rate_zero_change_nothing():
    padded = sl.schedules.join(WSD, sl.schedules.constant(3000, 0.0))
    steps = np.array([0, 12_000, 13_000, 15_000])
    loss = run(FULL, cut(padded.values(), steps), 3e-4, SPAN).loss
    np.testing.assert_allclose(loss[1:], loss[1], rtol=1e-14)


def test_another_unit_of_the_rate_is_another_reading_of_the_parameters():
    """Without departures: lr_ref -> r lr_ref moves n, kappa, times, curvatures and Q, and no curve."""
    r, theta = 2.0, LINEAR.copy()
    theta[PLACE["log_start"]] = -1.0
    theta[PLACE["norm_power"]] = 1.0
    blocks = blocks_of(WSD)
    own = run(theta, blocks, 3e-4, SPAN)
    # x' = x / r, n' = n / r, so a' = a / sqrt(r): times shrink by sqrt(r), as does what noise is left at a' = 1.
    moved = theta.copy()
    moved[PLACE["log_kappa"]] += np.log(r)
    moved[PLACE["log_start"]] -= np.log(r)
    moved[PLACE["log_onset"]] -= 0.5 * np.log(r)
    moved[PLACE["log_noise"]] = -800.0
    theta[PLACE["log_noise"]] = -800.0
    own = run(theta, blocks, 3e-4, SPAN)
    np.testing.assert_allclose(run(moved, blocks, 3e-4 * r, SPAN / np.sqrt(r)).loss, own.loss, rtol=1e-12)


def test_blocks_converge_to_single_steps():
    steps = np.arange(0, 12_001, 400)
    fine = run(FULL, cut(WSD.values(), steps, 1), 3e-4, SPAN).loss
    coarse = run(FULL, cut(WSD.values(), steps, 64), 3e-4, SPAN).loss
    finer = run(FULL, cut(WSD.values(), steps, 16), 3e-4, SPAN).loss
    assert np.max(np.abs(finer - fine)) < 0.5 * np.max(np.abs(coarse - fine))
    assert np.max(np.abs(coarse - fine)[steps >= 4000]) < 5e-4


def test_blocks_begin_where_the_rate_jumps_and_keep_its_sum():
    lr = np.concatenate([np.full(100, 1e-3), np.full(77, 1e-4)])
    blocks = cut(lr, np.array([50, 177]))
    assert {0, 50, 100, 177} <= set(blocks.starts.tolist())
    assert blocks.counts @ blocks.rates == pytest.approx(lr.sum(), rel=1e-14)
    np.testing.assert_array_equal(blocks.starts[blocks.edges], [50, 177])
    assert NODES.size == 24


@pytest.mark.parametrize("g", [0.0, 0.5])
def test_curvatures_come_to_the_rate_to_the_power_of_minus_g(g):
    """Long at rate 1/4 they are 4^g-fold; then, at 1/8, noise falls to its half by e^(-2 lam 4^g m/8) in m steps."""
    theta = LINEAR.copy()
    theta[PLACE["log_kappa"]], theta[PLACE["adaptation"]] = -1e3, g
    long, more = 2_000_000, 16
    schedule = sl.schedules.join(sl.schedules.constant(long, 0.25), sl.schedules.constant(more, 0.125))
    before, after = run(theta, cut(schedule.values(), np.array([long, long + more]), 1000), 1.0, SPAN).valley
    left = 2.0 * after / before - 1.0
    kept = NODES > 1e-4
    np.testing.assert_allclose(np.log(left[kept]), -2.0 * NODES[kept] * 4.0**g * more / 8.0, rtol=2e-3)
