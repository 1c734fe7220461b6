"""Straight valleys: the sampled ensemble against the exact engine, z-scores; and a wrong run that they catch.

A case is judged by the largest |z| of 4 quantities at 15 steps, against a limit of 6.2: with 12 cases the false-alarm
rate of the file is at most 12 x 60 x 2 Phi(-6.2) = 4e-7; a learning rate that is 3 % off is seen by 1,024 replicas.
"""

from __future__ import annotations

import numpy as np
import pytest

from simlab import methods, schedules
from simlab.engines.descend import descend
from simlab.engines.exact_valley import exact_valley
from simlab.landscapes import noise
from simlab.landscapes.straight import StraightValley

LIMIT = 6.2
LAM = np.geomspace(15.0, 1.0, 20)
C = np.linspace(0.5, 2.0, 20)
VALLEYS = {
    "linear": StraightValley(LAM, slope=0.7, noise=C, river_noise=0.3, hill_start=0.2, river_start=-1.0),
    "quadratic": StraightValley(LAM, curvature=0.2, target=3.0, noise=C, river_noise=0.3, river_start=-1.0),
}
LR = schedules.wsd(400, 0.05, warmup=20, cooldown=0.3)
METHODS = {
    "sgd": methods.sgd(LR, batch=2),
    "heavy_ball": methods.heavy_ball(LR * 0.2, 0.8),
    "nesterov": methods.nesterov(LR * 0.2, 0.8),
    "ema": methods.ema(methods.sgd(LR), 0.95),
    "schedule_free": methods.schedule_free(LR, 0.9),
    "tail average": methods.tail_average(methods.sgd(LR), 0.5),
}
RECORD = np.unique(np.linspace(0, 400, 16).astype(int))


def largest_z(valley, method, exact_method=None):
    """The largest |z| of loss, river loss, hill loss and coordinate over the recorded steps."""
    sampled = descend(
        valley.landscape(),
        method,
        replicas=1024,
        seed=7,
        noise=noise.diagonal(np.sqrt(np.append(valley.river_noise, valley.noise))),
        record=RECORD,
        progress=False,
    )
    exact = exact_valley(valley, exact_method or method, record=RECORD, progress=False)
    known = {name: exact[name] for name in ("total", "river_loss", "river")}
    known["hill_loss"] = exact["hill_loss"].sum("subspace")
    worst = 0.0
    for name, values in known.items():
        mean, error = sampled[name].values, sampled[f"{name}_error"].values
        random = error > 1e-9 * (np.abs(values.values) + 1.0)
        assert random.sum() >= 12
        worst = max(worst, float(np.max(np.abs(mean - values.values)[random] / error[random])))
        np.testing.assert_allclose(mean[~random], values.values[~random], rtol=1e-9, atol=1e-12)
    return worst


@pytest.mark.parametrize("kind", VALLEYS)
@pytest.mark.parametrize("name", METHODS)
def test_sampled_agrees_with_exact(name, kind):
    assert largest_z(VALLEYS[kind], METHODS[name]) < LIMIT


@pytest.mark.parametrize("kind", VALLEYS)
def test_a_learning_rate_three_percent_off_is_caught(kind):
    assert largest_z(VALLEYS[kind], METHODS["sgd"], methods.sgd(LR * 1.03, batch=2)) > LIMIT
