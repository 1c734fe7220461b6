"""Figures draw what the trace holds, with labels, and refuse what they cannot draw."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import simlab as sl
from simlab.errors import InputError

PROBLEM = sl.LinearRegression.power_law(dim=60, capacity=1.5, source=1.2, noise_variance=0.5)
LR = sl.schedules.wsd(100, peak=0.3, warmup=0.1)


@pytest.fixture(scope="module")
def one():
    return sl.exact(PROBLEM, sl.methods.sgd(LR), subspaces="log_bins(3)", deterministic=True)


@pytest.fixture(scope="module")
def several():
    runs = {"small": sl.methods.sgd(LR), "large": sl.methods.sgd(LR * 30.0), "heavy": sl.methods.heavy_ball(LR * 0.1)}
    return sl.exact(PROBLEM, runs, subspaces="log_bins(3)")


def _of_domains():
    mixture = sl.Mixture([sl.LinearRegression([1.0, 0.5], 1.0, 0.1)] * 2)
    return sl.exact(mixture, [sl.methods.sgd(LR), sl.methods.sgd(LR * 0.5)], progress=False)


def test_one_run_shows_every_component_and_subspace(one):
    figure = sl.plot.risk(one)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == ["bias", "variance", "deterministic"]
    drawn = figure.axes[0].get_lines()
    assert len(drawn) == one.risk.sizes["subspace"] + 1
    steps = one.risk["step"].values
    expected = one.risk.sel(component="bias").isel(subspace=0).values[steps > 0]
    np.testing.assert_array_equal(drawn[0].get_ydata(), expected)
    assert figure.axes[0].get_ylabel() == "excess risk"
    assert figure.axes[3].get_xlabel() == "step"


def test_several_runs_stack_their_final_risk(several):
    figure = sl.plot.risk(several, x="linear")
    bars = figure.axes[2]
    width = sum(patch.get_width() for patch in bars.patches if round(patch.get_y() + patch.get_height() / 2) == 0)
    assert width == pytest.approx(float(several.final().sel(run="small").sum()), rel=1e-12)
    assert any("diverged" in text.get_text() for text in bars.texts)


def test_no_learning_rate_is_cut_off():
    """Whichever run comes first, the panel of the rates shows the highest, from zero on."""
    problem = sl.LinearRegression([1.0], [1.0], 0.1)
    runs = {f"{lr:g}": sl.methods.sgd(sl.schedules.constant(100, lr)) for lr in (0.1, 0.4, 0.2)}
    low, high = sl.plot.risk(sl.exact(problem, runs)).axes[1].get_ylim()
    assert low == 0.0
    assert 0.4 < high < 0.5


def test_the_old_name_still_draws(one):
    with pytest.warns(DeprecationWarning, match=r"write simlab\.plot\.risk\(trace\)"):
        assert len(one.plot(x="linear").axes) == len(sl.plot.risk(one, x="linear").axes)


def test_regret_by_subspace_adds_up_to_what_a_run_loses(several):
    figure = sl.plot.regret(several)
    rates, bars = figure.axes
    rows = [label.get_text() for label in bars.get_yticklabels()]
    total = several.total().isel(step=-1)
    best = str(total["run"].values[int(np.nanargmin(total.values))])
    assert (rows[0], rows[-1]) == (best, "large")
    assert [line.get_label() for line in rates.get_lines()] == rows
    width = sum(patch.get_width() for patch in bars.patches if round(patch.get_y() + 0.35) == 1)
    more = float(total.sel(run=rows[1]) / total.sel(run=best)) - 1.0
    assert width == pytest.approx(100.0 * more, rel=1e-9)
    assert [text.get_text() for text in bars.texts][1:] == [f" {100.0 * more:.3g} %", " diverged"]
    other = sl.plot.regret(several, best=rows[1]).axes[1]
    assert [label.get_text() for label in other.get_yticklabels()][:2] == [rows[1], best]
    assert f"above that of {rows[1]}" in other.get_xlabel()


@pytest.mark.thorough
@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_saved_pictures_are_reproducible(one, tmp_path, suffix):
    paths = [sl.plot.save(sl.plot.risk(one), tmp_path / f"{name}{suffix}") for name in ("a", "b")]
    assert paths[0].stat().st_size > 5_000
    if suffix != ".svg":
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_schedules_in_one_panel_or_many():
    few = sl.plot.schedules({"wsd": LR, "flat": sl.schedules.constant(10, 0.1)})
    assert len(few.axes) == 1
    many = sl.plot.schedules({f"s{j}": LR * (1.0 + j) for j in range(11)})
    assert sum(axes.get_visible() for axes in many.axes) == 11


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda trace, folder: sl.plot.risk(trace, x="cubic"), "cubic"),
        (lambda trace, folder: sl.plot.schedules({}), "empty"),
        (lambda trace, folder: sl.plot.regret(trace), "one run"),
        (lambda trace, folder: sl.plot.regret(3), "not a trace"),
        (lambda trace, folder: sl.plot.regret(_of_domains()), "of a Mixture"),
        (lambda trace, folder: sl.plot.save(sl.plot.risk(trace), folder / "picture"), "suffix"),
        (lambda trace, folder: sl.plot.save(sl.plot.risk(trace), "/proc/nowhere/a.png"), "cannot be written"),
    ],
)
def test_refusals(one, tmp_path, call, word):
    with pytest.raises(InputError, match=word):
        call(one, tmp_path)


def _stopped(done, total):
    raise KeyboardInterrupt


@pytest.mark.thorough
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("how", [{"record": [0], "progress": False}, {"progress": _stopped}], ids=["asked", "stopped"])
def test_what_was_interrupted_at_its_start_is_drawn(how, number, tmp_path):
    """Nothing positive to put on a logarithmic axis: Matplotlib's words, and exit code 2, for an interrupted run."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 5))
    data = sl.LinearRegression.from_data(X, X[:, 0] + rng.standard_normal(40), holdout=0.25)
    mixture = sl.Mixture([sl.LinearRegression([1.0, 0.5], 1.0, 0.1)] * 2)
    runs = [sl.methods.sgd(LR), sl.methods.sgd(LR * 0.5)][:number]
    for problem in (PROBLEM, data, mixture):
        trace = sl.sample(problem, runs, replicas=2, **how)
        assert sl.plot.save(sl.plot.risk(trace), tmp_path / "risk.png").stat().st_size > 1000
    assert sl.plot.save(sl.plot.losses(sl.sample(data, runs, replicas=2, **how)), tmp_path / "losses.png").exists()
    exact = sl.exact(PROBLEM, runs, record=5, progress=False)
    assert sl.plot.save(sl.plot.risk(exact, sampled=sl.sample(PROBLEM, runs, replicas=2, **how)), tmp_path / "both.png")


def test_losses_on_rows_held_out_and_trained_on():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 5))
    data = sl.LinearRegression.from_data(X, X[:, 0] + rng.standard_normal(40), holdout=0.25)
    runs = {"small": sl.methods.sgd(LR * 0.1), "large": sl.methods.sgd(LR * 0.3)}
    for trace in (sl.exact(data, runs), sl.sample(data, runs["large"], replicas=8)):
        (axes,) = sl.plot.losses(trace).axes
        lines = [line for line in axes.get_lines() if len(line.get_xdata())]
        held, trained = (np.atleast_2d(each.values) for each in (trace.holdout(), trace.training_loss()))
        assert len(lines) == 2 * len(held)
        for j in range(len(held)):
            np.testing.assert_array_equal(lines[2 * j].get_ydata(), held[j, 1:])
            np.testing.assert_array_equal(lines[2 * j + 1].get_ydata(), trained[j, 1:])
        assert len(axes.collections) == ("holdout_error" in trace.dataset)
    with pytest.raises(InputError, match="keeps no loss on held-out rows"):
        sl.plot.losses(sl.exact(PROBLEM, runs))
    quadratic = sl.NoisyQuadratic([1.0], 1.0, gradient_covariance=[1.0])
    with pytest.raises(InputError, match="a problem without labels"):
        sl.exact(quadratic, runs["small"]).training_loss()


@pytest.mark.parametrize(("width", "plain"), [(1.6, True), (6.0, False)])
def test_labels_of_a_short_logarithmic_axis_stay_apart(tmp_path, width, plain):
    """A saved figure has plain numbers there where the default ones would run into each other, and only there."""
    with sl.plot.style():
        figure = sl.plot.new_figure(width, 2.0)
        axes = figure.subplots()
        axes.plot([0.02, 0.4], [1.0, 2.0])
        axes.set_xscale("log")
    sl.plot.save(figure, tmp_path / "narrow.png")
    figure.draw_without_rendering()
    ticks = [*axes.xaxis.get_major_ticks(), *axes.xaxis.get_minor_ticks()]
    seen = [tick.label1 for tick in ticks if tick.label1.get_text() and 0.018 < tick.get_loc() < 0.45]
    boxes = sorted((label.get_window_extent() for label in seen), key=lambda box: box.x0)
    assert len(boxes) >= 3
    assert all(before.x1 <= after.x0 for before, after in pairwise(boxes))
    assert ("0.05" in [label.get_text() for label in seen]) == plain
