"""Defazio et al. 2023: bound, linear decay, refinement; and what their algorithm does to synthetic and real norms."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.defazio2023 import (
    defazio_last_iterate,
    defazio_refined,
    defazio_refined_lr,
    linear_decay,
    median_smoothed,
)
from simlab.theory.hard_instance import hard_instance
from simlab.theory.schaipp2025 import schaipp_last_iterate
from simlab.theory.sharper_last_iterate import sharper_last_iterate


@pytest.mark.parametrize("seed", range(5))
def test_theorem_10_is_the_bound_of_schaipp(seed):
    rng = np.random.default_rng(seed)
    lr, norms = np.exp(2.0 * rng.normal(size=500)), np.exp(rng.normal(size=500))
    found = defazio_last_iterate(lr, norms, 2.0)
    assert found == pytest.approx(float(schaipp_last_iterate(lr, norms, 2.0)[-1]), rel=1e-12)


def test_constant_norms_refine_to_linear_decay():
    """Exactly (notes: 10^-16), and to the bound D G / sqrt(T)."""
    steps = 1000
    lr = defazio_refined_lr(np.full(steps, 3.0), distance=2.0)
    np.testing.assert_allclose(lr, 2.0 / (3.0 * np.sqrt(steps)) * (1.0 - np.arange(1, steps + 1) / steps), rtol=1e-12)
    assert defazio_refined(np.full(steps, 3.0), 2.0) == pytest.approx(linear_decay(steps, 3.0, 2.0))
    scaled = defazio_refined_lr(np.ones(steps), smoothing=0.1)
    np.testing.assert_allclose(scaled, 1.0 - np.arange(steps) / (steps - 1), atol=2e-15)


@pytest.mark.parametrize("seed", range(5))
def test_the_sharper_bound_of_the_refined_schedule_is_the_refined_bound(seed):
    """Theorem 3 inverted: the best rho of the schedule gives back its own weights or better ones."""
    rng = np.random.default_rng(seed)
    norms = np.exp(0.2 * rng.standard_normal(30))
    lr = defazio_refined_lr(norms, 2.0)
    lr[-1] = 1.0
    found, stated = float(sharper_last_iterate(lr, norms, 2.0)), defazio_refined(norms, 2.0)
    assert found <= stated * (1.0 + 1e-9)
    assert found == pytest.approx(stated, rel=1e-6)
    # Its gradients are orthogonal and a function attains the bound: with these norms no analysis can give less.
    instance = hard_instance(lr, norms, 2.0)
    assert instance.valid
    assert np.max(np.abs(instance.gram - np.diag(norms**2))) < 1e-4


def test_large_early_norms_make_a_warmup_and_rising_late_norms_a_drop():
    steps = 2000
    u = np.linspace(0.0, 1.0, steps)
    early = np.interp(u, [0.0, 0.003, 0.02, 0.03, 0.1, 1.0], [15.0, 6.0, 4.0, 2.0, 1.0, 1.0]) + 1.0
    lr = defazio_refined_lr(early)
    assert lr[0] < 0.05
    assert 150 < np.argmax(lr) < 250
    late = np.where(u < 0.9, 1.0, 1.0 + 20.0 * (u - 0.9))
    assert defazio_refined_lr(late)[1900] < 0.5 * defazio_refined_lr(np.ones(steps))[1900]


def test_median():
    rng = np.random.default_rng(0)
    x = rng.random(101)
    smooth = median_smoothed(x, 0.1)
    assert smooth.shape == x.shape
    assert smooth[50] == np.median(x[45:56])
    assert smooth[0] == np.median(np.concatenate([np.full(5, x[0]), x[:6]]))
    assert smooth[-1] == np.median(np.concatenate([x[-6:], x[:-6:-1]]))
    np.testing.assert_array_equal(median_smoothed(x, 0.0), x)


def test_real_gradient_norms(shared_data):
    """124M model, constant rate with cooldown: its norms refine to a warmup and then a decay that is convex at its
    end."""
    table = np.genfromtxt(
        shared_data / "loss_curves/lr_scheduling/grad_norm_stable-124m_lr0.001_iter50000.csv", delimiter=",", names=True
    )
    lr = defazio_refined_lr(table["grad_norm"], smoothing=0.1)
    assert 0 < np.argmax(lr) < 0.15 * lr.size
    assert lr[-1] == 0.0
    assert np.all(lr[:-1] > 0.0)
