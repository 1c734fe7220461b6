"""Figures on ratios, norms, overtraining and sketches: what is claimed is refused for numbers that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import bordelon2024, everett2026, li2025_invariance, liu2026, wang2026_joint
from simlab.figures.peaks import best_of_grid

import simlab as sl
from tests.figures.claimed import FIGURES, changed, held

pytestmark = pytest.mark.thorough


def test_no_parabola_is_put_through_a_stability_limit():
    peaks = np.array([0.8, 0.9, 1.0])
    assert best_of_grid(peaks, np.array([1.1, 1.0, 12.0])) == (0.9, 1.0)
    peak, risk = best_of_grid(peaks, np.array([1.1, 1.0, 1.3]))
    assert 0.8 < peak < 0.9
    assert 0.98 < risk < 1.0


def test_ratio_paths_and_phases():
    name = "wang2026joint-ratio"
    data = FIGURES[name].compute("quick")
    assert held(name, data) == [0, 1, 2, 3, 4]
    assert 0 not in held(name, changed(data, "pairs", "risk", 1.02, way="batch"))
    assert 0 not in held(name, changed(data, "pairs", "time", 1.05, way="batch"))
    time = np.asarray(data["phases"]["time"])
    tilted = {**data["phases"], "variance": np.asarray(data["phases"]["variance"]) * time**0.15}
    assert held(name, {**data, "phases": tilted}) == [0, 4]
    assert held(name, changed(data, "paths", "risk", 0.9, path="0.75")) == [0, 1, 2, 3]


def test_both_ways_of_a_pair_take_the_same_samples_and_time():
    for shape in ("WSD", "8-1-1"):
        sizes = wang2026_joint._sizes(shape, 4_000)
        assert sizes[0] in (wang2026_joint.BATCH, round(wang2026_joint.BATCH * np.sqrt(10.0)))
        assert sizes[-1] >= 0.9 * wang2026_joint.MOST
        assert 0 <= wang2026_joint.BATCH * sum(sizes) - wang2026_joint.BATCH * 1_000 < 4 * wang2026_joint.MOST
    u = np.linspace(0.0, 7.0, 500)
    rates = wang2026_joint._rates(u, 1.0 + u, 3_000)
    assert rates.size == 3_000
    assert rates.sum() == pytest.approx(7.0, rel=1e-12)
    assert rates[0] / rates[-1] == pytest.approx(8.0, rel=0.02)


def test_delayed_acceleration():
    name = "liu2026-delayed"
    data = FIGURES[name].compute("quick")
    assert held(name, data) == [0, 1, 2, 4]
    assert held(name, changed(data, "runs", "variance", 0.4, control="decay 0.3")) == [1, 4]
    assert 1 not in held(name, changed(data, "runs", "bias", 1.2, schedule="WSD 30 %", control="decay 0.1"))
    assert 3 in held(name, changed(data, "runs", "bias", 0.97, control="guided"))
    flat = {**data["rates"], "rate": np.ones(len(data["rates"]["rate"]))}
    assert 4 not in held(name, {**data, "rates": flat})


def test_the_guided_norm_follows_the_decayed_one_until_it_is_late():
    schedule = sl.schedules.cosine(500, peak=liu2026.PEAK, warmup=liu2026.WARMUP)
    ratio = liu2026._guided(schedule) / liu2026.norms(schedule, liu2026.STRONG)
    assert np.all(ratio[: round(liu2026.LATE * 500)] == 1.0)
    assert ratio[-1] == pytest.approx(liu2026.FASTER, rel=0.02)


def test_limits_of_trajectory_invariance():
    name = "li2025invariance-limits"
    data = FIGURES[name].compute("quick")
    assert held(name, data) == [1]
    middle = li2025_invariance.RATES[0]
    assert 1 not in held(name, changed(data, "runs", "risk", 1.05, lr=middle, decay=0.4))
    flat = {**data["runs"], "risk": np.asarray(data["runs"]["lr"]) * np.asarray(data["runs"]["decay"])}
    assert held(name, {**data, "runs": flat}) == [2]
    known = {**data["runs"], "risk": np.asarray(data["runs"]["lr"])}
    assert 2 not in held(name, {**data, "runs": known})


def test_overtraining_reverses_the_best_decay():
    name = "everett2026-overtraining"
    data = FIGURES[name].compute("tiny")
    assert held(name, data) == [0]
    assert held(name, changed(data, "shapes", "risk", 1.5, shape="cosine")) == []
    memory = np.asarray(data["memories"]["memory"], dtype=float)
    factor = np.asarray(data["memories"]["factor"])
    grown = {**data["memories"], "risk": np.abs(np.log(memory / np.where(factor == 1, 2.0, 80.0)))}
    assert held(name, {**data, "memories": grown}) == [0, 1]
    assert everett2026._momentum(20, 10, 0.4).learning_rate.values()[0] == pytest.approx(0.02)


def test_sketches_are_random_features_and_scale_as_they_do():
    name = "bordelon2024-sizes"
    lam, signal = bordelon2024.sketched(256, 8, 3)
    for j, source in enumerate(bordelon2024.SOURCES):
        same = sl.RandomFeatures(0.75, 0.5 * (source - 1.5), 256, 8, 3)
        np.testing.assert_allclose(lam[::-1], same.eigenvalues, rtol=1e-9)
        np.testing.assert_allclose(signal[j, ::-1], same.eigenvalues * same.initial_error**2, rtol=1e-7)
    data = FIGURES[name].compute("quick")
    assert held(name, data) == [0, 2]
    assert held(name, changed(data, "losses", "loss", 1.1)) == []
    steep = {**data["losses"], "loss": np.asarray(data["losses"]["loss"]) * np.asarray(data["losses"]["time"]) ** 0.05}
    assert held(name, {**data, "losses": steep}) == []
    rows, time = (np.asarray(data["reuse"][key], dtype=float) for key in ("rows", "time"))
    learnt = -np.expm1(-np.outer(time, np.arange(1.0, bordelon2024.COLUMNS + 1.0) ** -1.5)).sum(axis=1)
    ideal = {**data["reuse"], "train": np.maximum(rows - learnt, 1.0), "test": rows + learnt}
    assert held(name, {**data, "reuse": ideal}) == [0, 2, 4]
    late = {**ideal, "time": 1.3 * time}
    assert held(name, {**data, "reuse": late}) == [0, 2]


def test_first_order_in_the_width_is_that_of_small_sketches():
    """Against the mean over sketches, with all widths large beside the modes that are learnt."""
    modes, width, time = 64, 64, 2.0
    lam = np.arange(1.0, modes + 1.0) ** -bordelon2024.CAPACITY
    whole = 0.5 * np.sum(np.arange(1.0, modes + 1.0) ** -bordelon2024.MAIN * np.exp(-2.0 * time * lam))
    above = []
    for seed in range(600):
        values, signal = bordelon2024.sketched(modes, width, seed)
        lost = np.sum(np.arange(1.0, modes + 1.0) ** -bordelon2024.MAIN) - signal[1].sum()
        above.append(0.5 * (signal[1] @ np.exp(-2.0 * time * values) + lost) - whole)
    wanted = bordelon2024.first_order(bordelon2024.MAIN, time, modes) / width
    assert abs(np.mean(above) - wanted) < 4.0 * np.std(above) / np.sqrt(600) + 0.1 * wanted
    assert np.mean(above) > 5.0 * np.std(above) / np.sqrt(600)
