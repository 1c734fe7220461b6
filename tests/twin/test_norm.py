"""The weight norm of AdamW: effective rates and back, and the law against records of real runs."""

from __future__ import annotations

import json

import numpy as np
import pytest

import simlab as sl

PEAK = 3e-4
WSD = sl.schedules.wsd(24_000, peak=PEAK, warmup=2160, cooldown=0.2)
STAIRS = sl.schedules.join(
    sl.schedules.constant(500, 1e-3), sl.schedules.constant(1, 0.0), sl.schedules.constant(500, 1e-4)
)


@pytest.mark.parametrize("schedule", [WSD, STAIRS], ids=["wsd", "with a step of rate 0"])
@pytest.mark.parametrize("start", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("decay", [0.0, 0.1, 10.0])
def test_realising_is_the_inverse_of_effective(schedule, start, decay):
    reference = schedule.peak()
    there = sl.twin.effective(schedule, decay, start, reference)
    back = sl.twin.realising(there, decay, start, reference)
    np.testing.assert_allclose(back.values(), schedule.values(), rtol=1e-10, atol=0.0)


def test_at_equilibrium_the_effective_rate_is_the_rate():
    schedule = sl.schedules.constant(200_000, PEAK)
    rates = sl.twin.effective(schedule, 0.1, start=0.25).values()
    assert rates[0] == pytest.approx(2.0 * PEAK, rel=1e-4)
    assert rates[-1] == pytest.approx(PEAK, rel=1e-5)


def test_the_norm_follows_the_recursion_of_weights_under_decay():
    """w <- (1 - lr wd) w - lr u with u orthogonal to w: |w|^2 <- (1 - lr wd)^2 |w|^2 + lr^2 |u|^2."""
    lr, wd = WSD.values(), 0.1
    kappa, n = 2.0 * PEAK * wd, 0.2
    expected = []
    for rate in lr:
        before = n
        n = (1.0 - rate * wd) ** 2 * n + kappa * (rate / PEAK) ** 2
        expected.append(rate / np.sqrt(0.5 * (before + n)))
    np.testing.assert_allclose(sl.twin.effective(WSD, wd, start=0.2).values(), expected, rtol=1e-4)


def test_without_memory_the_norm_has_its_equilibrium():
    rms = sl.twin.norm(sl.schedules.constant(100_000, 1e-3), 0.1, growth=1.0, memory=0.0)
    assert rms[-1] ** 2 == pytest.approx(1e-3 / (2 * 0.1), rel=1e-3)


def pythia(peak):
    """The recipe of the records: 200 steps of warmup, cosine to a tenth."""
    return sl.schedules.cosine(20_000, peak=peak, floor=0.1, warmup=200)


@pytest.mark.parametrize(
    ("name", "peak", "worst", "settings"),
    [
        ("pythia70m_eta_3e4", 3e-4, 0.035, {}),
        ("pythia70m_seed_3", 1e-3, 0.03, {}),
        ("pythia70m_eta_3e3", 3e-3, 0.053, {}),
        ("pythia70m_bsel", 1e-3, 0.013, {"growth": 1.16, "memory": 172.0}),
    ],
)
def test_the_norm_of_recorded_runs(shared_data, name, peak, worst, settings):
    rows = [json.loads(line) for line in (shared_data / "weight_norms" / f"{name}.jsonl").read_text().splitlines()]
    steps = np.array([row["step"] for row in rows])
    recorded = np.array([row["rms"] for row in rows])
    predicted = sl.twin.norm(pythia(peak), 0.01, **settings)[steps]
    late = steps >= 500
    assert np.max(np.abs(predicted / recorded - 1.0)[late]) < worst


@pytest.mark.parametrize("name", ["pythia70m_seed_3", "pythia70m_eta_3e3"])
def test_alignment_is_the_echo_of_momentum(shared_data, name):
    """Growth over lr^2 |u|^2 is 19 for beta1 = 0.9 in the first half of the runs; later, at small rates, it is more.

    Records hold <w, u> after the step, and with it another -2 lr^2 |u|^2.
    """
    assert sl.twin.echo(0.9) == pytest.approx(19.0)
    rows = [json.loads(line) for line in (shared_data / "weight_norms" / f"{name}.jsonl").read_text().splitlines()]
    early = [row for row in rows if 1000 <= row["step"] < 10_000]
    ratios = [(-row["true_align_full"] - row["inj_full"]) / row["inj_full"] for row in early]
    assert np.mean(ratios) == pytest.approx(sl.twin.echo(0.9), rel=0.05)


def test_refusals():
    with pytest.raises(sl.InputError, match="weight_decay = -1"):
        sl.twin.effective(WSD, -1)
    with pytest.raises(sl.InputError, match="is 0 at every step"):
        sl.twin.norm(np.zeros(10), 0.1)
    with pytest.raises(sl.InputError, match=r"beta1 = 1\.0 is outside"):
        sl.twin.echo(1.0)
