"""Heavy ball with step decay under anisotropic noise: the fitted constants hold and are not idle."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.pan2024 import pan_stages

import simlab as sl
from simlab.conformance.checks.pan2024 import CHECKS
from tests.theory.by_kind import check_by_kind, tightness

CHECK = CHECKS[0]


def test_the_fitted_constant_of_the_variance_is_within_a_small_factor():
    check_by_kind(CHECK, range(150))
    ratios = tightness(CHECK, range(60))
    assert 1.0 < ratios["variance"].min() < 2.5
    assert ratios["bias"].min() > 1.0


def test_bias_is_forgotten_faster_than_by_sgd_with_the_same_stages():
    """kappa = 1000: T a small multiple of sqrt(kappa) stages suffices for heavy ball and not for SGD."""
    lam = np.geomspace(1.0, 1e-3, 20)
    lr, momentum, stage = pan_stages(lam, 2000)
    assert stage > np.sqrt(1000.0)
    runs = [sl.methods.heavy_ball(sl.schedules.from_array(lr), momentum), sl.methods.sgd(sl.schedules.from_array(lr))]
    final = sl.exact(sl.NoisyQuadratic(lam, 1.0, 0.0), runs, record=[2000], progress=False).dataset["final_risk"]
    bias = final.sel(component="bias").sum("subspace").to_numpy()
    assert bias[0] < 1e-3 * bias[1]
    assert momentum == pytest.approx((1.0 - 1000.0**-0.5) ** 2)
