"""What is asked of a twin: differences, ranks, the best schedule, the next run, a problem for the engines, a file."""

from __future__ import annotations

import json

import numpy as np
import pytest

import simlab as sl
from simlab.twin.blocks import cut
from simlab.twin.model import run
from simlab.twin.parameters import PLACE
from tests.twin.runs import HELD_OUT, PEAK, SCHEDULES, TRAINED, TRUTH, WARMUP, known, made, measured


@pytest.fixture(scope="module")
def twin():
    return sl.twin.fit([made(TRUTH, name, seed) for seed, name in enumerate(TRAINED)], weight_decay=0.1)


@pytest.fixture(scope="module")
def linear():
    theta = TRUTH.copy()
    theta[PLACE["stiffening"]] = 0.0
    curves = [made(theta, name, seed) for seed, name in enumerate(TRAINED)]
    return sl.twin.fit(curves, weight_decay=0.1, linear=True)


def test_a_difference_is_that_of_the_ends_and_narrower(twin):
    a, b = SCHEDULES["wsd_20000_24000"], SCHEDULES["wsdld_20000_24000"]
    found = twin.compare(a, b)
    ends = [twin.predict(s) for s in (a, b)]
    assert found.difference == pytest.approx(ends[0].loss[-1] - ends[1].loss[-1], abs=1e-12)
    assert found.upper - found.lower < 0.5 * (ends[0].upper[-1] - ends[0].lower[-1])
    assert twin.compare(a, a) == (0.0, 0.0, 0.0)


def test_ranks_are_those_of_the_truth(twin):
    names = [*TRAINED, *HELD_OUT]
    truth = [known(TRUTH).predict(SCHEDULES[name]).loss[-1] for name in names]
    ranked = twin.rank([SCHEDULES[name] for name in names])
    assert [one.place for one in ranked] == np.argsort(truth).tolist()
    assert ranked[0].above.difference == 0.0


def test_no_single_knot_betters_the_optimum(twin):
    steps, warmup = 12_000, 1000
    best = twin.optimize(steps, warmup=warmup)
    values = best.schedule.values()
    assert best.loss == pytest.approx(twin.predict(best.schedule).loss[-1], abs=1e-12)
    at = np.sin(0.5 * np.pi * np.linspace(0.0, 1.0, 18))
    u = (np.arange(warmup, steps) - warmup) / (steps - warmup)
    for row in np.eye(18)[1:]:
        bump = np.interp(u, at, row)
        for sign in (0.95, 1.05):
            other = values.copy()
            other[warmup:] = np.minimum(other[warmup:] * (1.0 + (sign - 1.0) * bump), PEAK)
            assert twin.compare(other, best.schedule).difference > -1e-5


def test_the_optimum_is_a_late_cooldown(twin):
    best = twin.optimize(24_000, warmup=WARMUP)
    values = best.schedule.values() / PEAK
    assert values[int(0.5 * 24_000)] > 0.95
    assert values[-1] < 0.02
    assert 0.0 < best.gain.lower < best.gain.difference
    assert best.rivals[0].above.difference >= 0.0
    assert best.as_good
    assert best.as_good[0] is best.rivals[0]
    assert "below a cosine to a tenth" in repr(best)


@pytest.mark.parametrize("size", ["25M", "100M"])
def test_the_optimum_of_measured_runs(shared_data, size):
    curves = measured(shared_data, size)
    best = sl.twin.fit([curves[name] for name in TRAINED], weight_decay=0.1).optimize(24_000, warmup=WARMUP)
    assert 0.02 < best.gain.difference < 0.035


def test_a_run_that_was_made_is_no_news_and_a_cooldown_tells_of_cooldowns():
    with pytest.warns(UserWarning, match="noise floor is not measured"):
        twin = sl.twin.fit(made(TRUTH, "constant_24000", 0), weight_decay=0.1)
    candidates = [SCHEDULES["constant_24000"], SCHEDULES["wsdld_20000_24000"]]
    ranked = twin.design(candidates, [SCHEDULES["wsd_20000_24000"]])
    assert [one.place for one in ranked] == [1, 0]
    assert ranked[0].after[0] < 0.5 * ranked[0].before[0]
    assert np.all(ranked[1].after <= ranked[1].before)


def replayed(twin, name, substeps):
    """The twin's curve by the exact engine, at steps of all sizes from the first."""
    schedule = SCHEDULES[name]
    steps = np.append([1, 2, 4, 8, 16, 32, 64], np.arange(128, len(schedule) + 1, 128))
    problem, rates = twin.as_problem(schedule, substeps)
    trace = sl.exact(problem, sl.methods.sgd(rates), record=steps * substeps, progress=False)
    return steps, twin.modes[0].theta[0] + trace.total().squeeze().sel(step=steps * substeps).values


@pytest.fixture(scope="module")
def straight():
    theta = TRUTH.copy()
    theta[PLACE["stiffening"]] = 0.0
    return known(theta)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_linear_twin_is_a_noisy_quadratic(straight, name):
    """Within 0.001 of the twin's blocks everywhere; of blocks of one step within 1e-5, in the limit of many substeps.

    Errors fall as 1 / substeps, and what 16 and 32 of them extrapolate to is that limit.
    """
    steps, coarse = replayed(straight, name, 16)
    _, finer = replayed(straight, name, 32)
    np.testing.assert_allclose(coarse, straight.predict(SCHEDULES[name], steps=steps).loss, atol=1e-3, rtol=0.0)
    single = run(straight.modes[0].theta, cut(SCHEDULES[name].values(), steps, 1), PEAK, straight.span).loss
    np.testing.assert_allclose(2.0 * finer - coarse, single, atol=1e-5, rtol=0.0)


def test_a_thousand_substeps_are_a_step(straight):
    steps, loss = replayed(straight, "wsdcon_3", 1000)
    single = run(straight.modes[0].theta, cut(SCHEDULES["wsdcon_3"].values(), steps, 1), PEAK, straight.span).loss
    np.testing.assert_allclose(loss, single, atol=1e-5, rtol=0.0)


def test_a_bent_twin_is_no_problem(twin):
    with pytest.raises(sl.InputError, match=r"stiffening.* is no quadratic; fit it with linear = True"):
        twin.as_problem(SCHEDULES["cosine_24000"])


def test_files_keep_every_bit(twin, tmp_path):
    path = tmp_path / "twin.json"
    twin.to_json(path)
    back = sl.twin.from_json(path)
    assert repr(back) == repr(twin)
    np.testing.assert_array_equal(back.predict(SCHEDULES["wsdcon_3"]).upper, twin.predict(SCHEDULES["wsdcon_3"]).upper)
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "names": ["a"]}))
    with pytest.raises(sl.InputError, match="another version"):
        sl.twin.from_json(path)
    with pytest.raises(sl.InputError, match=r"none.json cannot be read \(No such file or directory\)"):
        sl.twin.from_json(tmp_path / "none.json")


WRONG = {
    "empty": lambda record: record.clear(),
    "no optimum": lambda record: record.update(modes=[]),
    "a parameter that is NaN": lambda record: record["modes"][0]["theta"].__setitem__(2, float("nan")),
    "two parameters": lambda record: record["modes"][0].update(theta=[1.0, 2.0]),
    "a share below 0": lambda record: record["modes"][0].update(weight=-3.0),
    "a variance below 0": lambda record: record["modes"][0]["covariance"][0].__setitem__(0, -1.0),
    "a covariance of one": lambda record: record["modes"][0].update(covariance=[[1.0]]),
    "a reference of 0": lambda record: record.update(reference=0),
    "another optimizer": lambda record: record.update(optimizer="lion"),
    "noise of text": lambda record: record["errors"].update(noise="x"),
    "a misfit below 0": lambda record: record["errors"].update(misfit=-1.0),
    "a batch of text": lambda record: record.update(batch="a"),
    "a parameter of another name": lambda record: record.update(free=["mass"]),
    "priors of one": lambda record: record.update(priors=[[1.0]]),
    "a doubt that is a number": lambda record: record.update(doubts=[3]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_files_that_are_no_twin(wrong, tmp_path):
    path = tmp_path / "twin.json"
    known(TRUTH).to_json(path)
    record = json.loads(path.read_text())
    assert sl.twin.from_json(path).reference == PEAK
    WRONG[wrong](record)
    path.write_text(json.dumps(record))
    with pytest.raises(sl.InputError, match=r"is no twin; Twin\.to_json writes one"):
        sl.twin.from_json(path)


def test_differences_of_schedules_beyond_the_trained_say_so(twin):
    """Too high, far too low, far too long: of `compare` and `rank` as of `predict`."""
    inside = SCHEDULES["cosine_24000"]
    for other, said in (
        (sl.schedules.constant(5000, 1e-3), "lies above 0.0003"),
        (sl.schedules.constant(5000, 1e-5), "lies below 0.0003"),
        (sl.schedules.constant(200_000, 3e-4), "200000 steps are far more than 23936"),
    ):
        with pytest.warns(UserWarning, match=said):
            twin.compare(other, inside)
        with pytest.warns(UserWarning, match=said):
            twin.rank([inside, other])
        with pytest.warns(UserWarning, match=said):
            assert said in twin.predict(other).beyond


def test_refusals(twin):
    with pytest.raises(sl.InputError, match=r"peak = 0\.001 lies above the highest that was trained at"):
        twin.optimize(1000, peak=1e-3)
    with pytest.raises(sl.InputError, match="schedules is empty"):
        twin.rank([])
    with pytest.raises(sl.InputError, match="targets is empty"):
        twin.design([SCHEDULES["cosine_24000"]], [])
    with pytest.raises(sl.InputError, match="schedule has 20000000 steps; give one of at most 10000000"):
        twin.predict(sl.schedules.constant(2 * 10**7, 1e-4))
    with pytest.raises(sl.InputError, match="steps are not whole numbers in ascending order from 0 to 24000"):
        twin.predict(SCHEDULES["cosine_24000"], steps=[10, 5])


def test_the_best_cooldown_is_that_of_the_law_of_its_spectrum(linear):
    """In effective rates; before it the law, which knows no bound on lr itself, stays higher."""
    steps = 24_000
    best = linear.optimize(steps)
    problem, rates = linear.as_problem(best.schedule, 1)
    law = sl.schedules.spectral(problem, steps, cap=rates.peak())
    at = (np.array([0.85, 0.9, 0.95]) * steps).astype(int)
    np.testing.assert_allclose(rates(at), law(at), rtol=0.06)
    assert law(steps // 2) > 1.2 * rates(steps // 2)


def test_the_playground_of_a_twin_starts_where_the_twin_is(straight, tmp_path):
    """The page's problem under the page's first run is the replay: the twin's loss above its floor, but for knots."""
    pytest.importorskip("bokeh", reason="Bokeh is not installed; it draws the playground")
    from simlab.twin.playable import playable

    page = playable(straight)
    run = page["start"]["runs"][0]["schedule"]
    steps = page["start"]["steps"]
    places, values = np.array(run["knots"]).T
    rates = run["peak"] * np.interp(np.arange(steps) / steps, places, values)
    shown = sl.exact(page["problem"], sl.methods.sgd(sl.schedules.from_array(rates)), record=2, progress=False)
    band = straight.predict(sl.schedules.wsd(steps, PEAK, warmup=steps // 20, cooldown=0.2))
    assert band.floor + float(shown.total()[-1]) == pytest.approx(band.loss[-1], abs=2e-3)
    assert "above its floor" in straight.play(tmp_path / "page.html").read_text(encoding="utf-8")
