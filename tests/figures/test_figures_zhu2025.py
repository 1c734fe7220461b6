"""Zhu et al. 2025: merges of workers that agree and that do not, and workers drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import zhu2025

import simlab as sl

pytestmark = pytest.mark.thorough

(FIGURE,) = zhu2025.FIGURES


def verdicts(data):
    return [claim.holds for claim in FIGURE.claims(data)]


def test_claims_come_out_as_they_are():
    data = FIGURE.compute("quick")
    assert verdicts(data) == [True, True, True, False, True]
    rates = data["rates"]
    late = np.asarray(rates["plan"]) == "late"
    better = np.where(late, 1.0 + 0.1 * (np.asarray(rates["risk"]) - 1.0), rates["risk"])
    assert verdicts({**data, "rates": {**rates, "risk": better}})[3]
    assert not verdicts({**data, "rates": {**rates, "risk": 0.9 * np.asarray(rates["risk"])}})[4]
    assert not verdicts({**data, "skew": {**data["skew"], "risk": 1.0 / np.asarray(data["skew"]["risk"])}})[2]


def test_workers_that_disagree_beat_mini_batches_when_drawn_by_hand():
    """The one that contradicts intuition: 20,000 sampled teams of four workers against the exact engine."""
    lam, start, steps, lr = np.array([1.0, 0.5, 0.25]), np.ones(3), 20, 0.25
    away = 2.0 * np.array([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, -1.0]])
    random = np.random.default_rng(0)
    team = np.zeros((20_000, 4, 3))
    joint = np.zeros((20_000, 1, 3))
    optimum = -(start + away)
    for _ in range(steps):
        x = random.standard_normal((20_000, 4, 3)) * np.sqrt(lam)
        noise = random.standard_normal((20_000, 4))
        team = team - lr * x * (np.sum(x * (team - optimum), axis=2) - noise)[..., None]
        g = x * (np.sum(x * (joint - optimum), axis=2) - noise)[..., None]
        joint = joint - lr * g.mean(axis=1, keepdims=True)
    sampled = []
    for mean in (team.mean(axis=1), joint[:, 0]):
        each = [0.5 * np.sum(lam * (mean - at) ** 2, axis=1) for at in optimum]
        sampled.append(np.mean(each, axis=0))
    mixture = sl.Mixture([sl.LinearRegression(lam, start + each, 1.0) for each in away])
    sgd = sl.methods.sgd(sl.schedules.constant(steps, lr))
    exact = [
        float(sl.exact(mixture, run, record=2, progress=False).total().isel(step=-1).mean("domain"))
        for run in (
            sl.methods.local(sgd, workers=4, own_domains=True),
            sl.methods.local(sgd, workers=4, own_domains=True, every=1),
        )
    ]
    for drawn, wanted in zip(sampled, exact, strict=True):
        assert abs(drawn.mean() - wanted) < 5.0 * drawn.std() / np.sqrt(drawn.size)
    floor = 0.5 * np.mean(np.sum(lam * away**2, axis=1))
    assert exact[0] - floor < 0.5 * (exact[1] - floor)
