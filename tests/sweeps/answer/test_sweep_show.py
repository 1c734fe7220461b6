"""What `simlab show` answers of any sweep: of words alone, with a best risk of 0, of seeds, for each value."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab.experiment.families import FAMILIES
from simlab.sweeps.answer import draw
from simlab.sweeps.answer.best import Answer, averaged, risk_of
from simlab.sweeps.answer.export import frame
from simlab.sweeps.answer.table import table_of

PROBLEM = {"kind": "isotropic", "dim": 2, "eigenvalue": 1.0, "initial_error": 1.0, "noise_variance": 0.1}
WSD = {"kind": "wsd", "steps": 40, "peak": 0.2}
PEAKS, SEEDS = [0.1, 0.2], [0, 1, 2, 3]


def swept(folder, axes, **tables):
    tree = {"problem": PROBLEM, "schedule": WSD, "record": {"steps": 3}, **tables}
    return sl.sweep(tree, axes, store=folder / "s", progress=False)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    sampled = {"engine": {"kind": "sample", "replicas": 8}}
    axes = {"schedule.peak": PEAKS, "engine.seed": SEEDS}
    with swept(tmp_path_factory.mktemp("seeds"), axes, **sampled) as opened:
        yield opened


def curves(figure):
    top = figure.axes[0]
    return {line.get_label(): line for line in top.lines if not line.get_label().startswith("_")}


# -- words ------------------------------------------------------------------------------------------------------------


def test_words_alone_are_a_row_each(tmp_path):
    """And a point each, above the words, where they are drawn."""
    shapes = ["linear", "1-sqrt", "cosine"]
    with swept(tmp_path, {"schedule.shape": shapes}) as store:
        answer = Answer(store)
        assert [best.group for best in answer.best()] == [{"schedule.shape": shape} for shape in shapes]
        assert min(best.ratio for best in answer.best()) == 1.0
        assert "around the best" not in table_of(answer)
        figure = draw.lines(answer)
        np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), answer.risk.values)
        assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == shapes
        assert figure.axes[0].lines[0].get_linestyle() == "None"
        assert [text.get_text() for text in figure.axes[1].get_yticklabels()] == shapes


@pytest.mark.parametrize("x", ["schedule.shape", "schedule.cooldown"])
def test_lines_over_words_and_over_numbers_beside_words(x, tmp_path):
    with swept(tmp_path, {"schedule.shape": ["linear", "cosine"], "schedule.cooldown": [0.1, 0.2, 0.5]}) as store:
        answer = Answer(store)
        drawn = curves(draw.lines(answer, x))
        if x == "schedule.cooldown":
            np.testing.assert_array_equal(drawn["cosine"].get_ydata(), answer.risk.sel({"schedule.shape": "cosine"}))
        else:
            (points,) = [line for line in draw.lines(answer, x).axes[0].lines if len(line.get_xdata()) == 2]
            np.testing.assert_array_equal(points.get_ydata(), answer.risk.min("schedule.cooldown"))
        draw.heat_map(answer, "schedule.shape", "schedule.cooldown")


# -- a best risk of 0 -------------------------------------------------------------------------------------------------


def test_where_the_best_is_0_cells_are_compared_by_difference(tmp_path):
    """Isotropic, full gradient, lr = 1: the minimum in one step, and nothing is a multiple of it."""
    full = {"problem": {**PROBLEM, "noise_variance": 0.0}, "schedule": {"kind": "constant", "steps": 3, "peak": 0.5}}
    with swept(tmp_path, {"schedule.peak": [0.5, 1.0, 1.5]}, method={"kind": "sgd", "batch": np.inf}, **full) as store:
        answer = Answer(store)
        (best,) = answer.best()
        assert (best.risk, best.ratio, best.at["schedule.peak"]) == (0.0, 0.0, 1.0)
        ((_, low, high),) = answer.neighbourhood(best)
        assert (low, high) == tuple(answer.risk.values[[0, 2]])
        text = table_of(answer)
        assert "above best" in text
        assert "risk above it" in text
        draw.lines(answer)


# -- seeds ------------------------------------------------------------------------------------------------------------


def test_seeds_are_averaged_with_their_standard_error(seeds):
    cells = frame(seeds)
    assert len(cells) == len(PEAKS) * len(SEEDS), "an export has all of them"
    answer = Answer(seeds)
    (best,) = answer.best()
    of = cells[cells["schedule.peak"] == best.at["schedule.peak"]].risk.to_numpy()
    assert best.risk == pytest.approx(of.mean(), rel=1e-12)
    assert best.error == pytest.approx(of.std(ddof=1) / 2.0, rel=1e-12)
    assert best.risk == pytest.approx(float(answer.cell(best)["final_risk"].sum()), rel=1e-12)
    assert "engine.seed" not in best.at
    assert best.risk > cells.risk.min(), "the luckiest is not taken for the best"
    text = table_of(answer)
    assert "8 done" in text
    assert f"{best.risk:.5e} +- {best.error:.1e}" in text
    assert "(means over engine.seed)" in text
    with pytest.raises(sl.InputError, match=r"engine\.seed tells repeats apart, which are averaged"):
        Answer(seeds, by=["engine.seed"])


def test_lines_of_means_carry_bars(seeds):
    answer = Answer(seeds)
    top = draw.lines(answer).axes[0]
    (bars,) = [each for each in top.collections if each.get_segments()]
    heights = [segment[1][1] - segment[0][1] for segment in bars.get_segments()]
    np.testing.assert_allclose(heights, 2.0 * answer.error.values, rtol=1e-9)


def test_one_seed_is_no_repeat_and_one_that_diverged_counts(seeds):
    (best,) = Answer(seeds, {"engine.seed": 2}).best()
    assert np.isnan(best.error)
    data = seeds.finals()
    risk = risk_of(FAMILIES["power_law"], data).copy()
    risk[0, 1], risk[1, 0] = np.inf, np.nan
    mean, error, _ = averaged(risk, data, "engine.seed")
    assert np.isinf(mean[0])
    assert np.isnan(error[0])
    assert float(mean[1]) == pytest.approx(float(risk[1, 1:].mean()))


# -- the best for each value ------------------------------------------------------------------------------------------


def test_by_names_the_best_for_each_value(tmp_path):
    axes = {"schedule.peak": [0.05, 0.1, 0.2, 0.4], "method.batch": [1, 4, 16]}
    with swept(tmp_path, axes) as store:
        answer = Answer(store, by=["method.batch"])
        found = answer.best()
        assert [best.group for best in found] == [{"method.batch": batch} for batch in (1, 4, 16)]
        np.testing.assert_array_equal([best.risk for best in found], answer.risk.min("schedule.peak"))
        assert [best.leads for best in found].count(True) == 1
        assert list(curves(draw.lines(answer))) == ["1", "4", "16"]
        assert len(Answer(store, by=list(axes)).best()) == 12
        with pytest.raises(
            sl.InputError, match=r"parameter: 'method\.bach' is not known; did you mean 'method\.batch'"
        ):
            Answer(store, by=["method.bach"])


def test_by_a_parameter_that_goes_with_others(tmp_path):
    """Of lists that go together one may hold a value several times: it is one group, whatever went with it."""
    zipped = [{"method.batch": [1, 1, 4, 4], "schedule.steps": [40, 80, 10, 20]}]
    with swept(tmp_path, {"schedule.peak": [0.1, 0.2], "zip": zipped}) as store:
        answer = Answer(store, by=["method.batch"])
        found = answer.best()
        assert [best.group for best in found] == [{"method.batch": 1}, {"method.batch": 4}]
        risk = answer.risk.values.reshape(4, 2) if answer.dims[0] != "schedule.peak" else answer.risk.values.T
        assert [best.risk for best in found] == [risk[:2].min(), risk[2:].min()]
        assert found[0].at["schedule.steps"] in (40, 80)
        assert found[1].at["schedule.steps"] in (10, 20)
        assert answer.cell(found[1])["final_risk"].sum() == pytest.approx(found[1].risk)
        assert list(curves(draw.lines(answer))) == ["1", "4"]
        by_steps = Answer(store, by=["schedule.steps"]).best()
        assert sorted(best.group["schedule.steps"] for best in by_steps) == [10, 20, 40, 80]
        draw.lines(Answer(store), "method.batch")
        draw.heat_map(Answer(store), "method.batch", "schedule.peak")
