"""A model of 124M parameters (Schaipp et al. 2025): validation loss of other schedules, lengths and peaks."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl

WARMUP = 300


def cosine(steps, peak, last):
    """Up by half a cosine from a hundredth of the peak, then down to its share `last`."""
    t = np.arange(steps)
    up = peak * (0.01 + 0.99 * 0.5 * (1.0 - np.cos(np.pi * t / WARMUP)))
    down = peak * (last + (1.0 - last) * 0.5 * (1.0 + np.cos(np.pi * (t - WARMUP) / (steps - WARMUP))))
    return np.where(t < WARMUP, up, down)


def cooldown(steps, peak, share, shape="linear"):
    """Up by a line from a hundredth of the peak; down to 0 over the last `share` of the run."""
    t = np.arange(steps)
    u = np.clip((t - (1.0 - share) * steps) / (share * steps), 0.0, 1.0)
    down = 1.0 - u if shape == "linear" else 1.0 - np.sqrt(u)
    return peak * np.where(t < WARMUP, 0.01 + 0.99 * t / WARMUP, down)


RUNS = {
    "cos-zero-124m_lr0.001_iter25000": cosine(25_000, 1e-3, 1e-4),
    "cos-zero-124m_lr0.001_iter50000": cosine(50_000, 1e-3, 1e-4),
    "cos-10-124m_lr0.001_iter50000": cosine(50_000, 1e-3, 0.1),
    "ann124-0.2_lr0.001_linear_0.2_iter25000": cooldown(25_000, 1e-3, 0.2),
    "ann124-0.2_lr0.001_linear_0.2_iter50000": cooldown(50_000, 1e-3, 0.2),
    "ann124-0.2_lr0.001_sqrt_0.2_iter50000": cooldown(50_000, 1e-3, 0.2, "sqrt"),
    "ann124-0.4_lr0.001_linear_0.4_iter50000": cooldown(50_000, 1e-3, 0.4),
    "ann124-0.2_lr0.0005_linear_0.2_iter50000": cooldown(50_000, 5e-4, 0.2),
    "ann124-0.2_lr0.002_linear_0.2_iter50000": cooldown(50_000, 2e-3, 0.2),
    "cos-zero-124m_lr0.002_iter50000": cosine(50_000, 2e-3, 1e-4),
}
SAME = [name for name in RUNS if "lr0.001" in name]
OTHER = [name for name in RUNS if "lr0.001" not in name]
LONG, SHORT = "cos-10-124m_lr0.001_iter50000", "ann124-0.2_lr0.001_linear_0.2_iter25000"


@pytest.fixture(scope="module")
def curves(shared_data):
    out = {}
    for name, lr in RUNS.items():
        table = np.genfromtxt(shared_data / "loss_curves" / "lr_scheduling" / f"{name}.csv", delimiter=",", names=True)
        kept = table["step"] > 0
        out[name] = sl.twin.Curve(lr, table["step"][kept], table["val_loss"][kept], name=name)
    return out


def errors(twin, curves):
    return np.mean([np.abs(twin.predict(c.schedule, steps=c.steps).loss - c.losses).mean() for c in curves])


def test_one_long_run_tells_the_others(curves):
    with pytest.warns(UserWarning, match="rate falls all the way"):
        twin = sl.twin.fit(curves[LONG], weight_decay=0.1)
    assert errors(twin, [curves[name] for name in SAME if name != LONG]) < 0.0023


@pytest.mark.filterwarnings("ignore:The schedule's peak")
def test_a_short_cooldown_beside_it_tells_of_other_peaks(curves):
    """Half and twice the peak were never seen."""
    twin = sl.twin.fit([curves[LONG], curves[SHORT]], weight_decay=0.1)
    assert errors(twin, [curves[name] for name in SAME if name not in (LONG, SHORT)]) < 0.0023
    assert errors(twin, [curves[name] for name in OTHER]) < 0.0051


@pytest.mark.thorough
@pytest.mark.parametrize("decay", [0.04, 0.25])
def test_the_weight_decay_is_read_off_the_curves(curves, decay):
    """0.1 in the recipe; told 2.5 times too little or too much, the curves pull it back."""
    twin = sl.twin.fit([curves[name] for name in SAME], weight_decay=decay)
    assert twin.parameters["log_kappa"][0] == pytest.approx(np.log(2 * 1e-3 * 0.1), abs=0.3)
