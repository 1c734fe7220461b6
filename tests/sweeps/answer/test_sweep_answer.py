"""What is read from a store: the best of each group, its neighbourhood, tables, figures and exports."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import simlab as sl
from simlab import plot
from simlab.sweeps import Store, run_sweep, sweep_of
from simlab.sweeps.answer import draw
from simlab.sweeps.answer.best import Answer
from simlab.sweeps.answer.export import export, frame
from simlab.sweeps.answer.table import table_of
from simlab.sweeps.store.compact import check, compact

TREE = {
    "problem": {"kind": "power_law", "dim": 60, "capacity": 1.5, "source": 1.3, "noise_variance": 0.5},
    "schedule": {"steps": 40, "peak": 0.1},
    "record": {"steps": 4, "subspaces": "head_tail(5)"},
    "compare": {"schedules": [{"kind": "constant"}, {"kind": "cosine"}, {"kind": "linear"}]},
}
PEAKS = [0.02, 0.05, 0.1, 0.2, 0.4, 100.0]
AXES = {"schedule.peak": PEAKS, "method.batch": [1, 4], "problem.capacity": [1.2, 2.0]}
"""At the last peak every run diverges."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with sl.sweep(TREE, AXES, store=tmp_path_factory.mktemp("answers") / "store", progress=False) as opened:
        yield opened


def alone(**values) -> sl.RiskTrace:
    """The runs of one cell, without a sweep; problem__capacity stands for problem.capacity."""
    tree = {name: dict(table) for name, table in TREE.items()}
    for path, value in values.items():
        table, key = path.split("__")
        tree.setdefault(table, {})[key] = value
    tree["method"] = {"kind": "sgd", **tree.get("method", {})}
    return sl.Experiment.from_dict(tree).run(progress=False)


def by_hand(capacity) -> dict[str, tuple[float, float, int]]:
    """Run -> (risk, peak, batch) of the best of each schedule, by a loop of single runs."""
    best: dict[str, tuple[float, float, int]] = {}
    for peak, batch in itertools.product(PEAKS[:-1], [1, 4]):
        trace = alone(problem__capacity=capacity, schedule__peak=peak, method__batch=batch)
        for run in trace.risk["run"].values:
            risk = float(trace.final().sel(run=run).sum())
            if trace.status.sel(run=run) == "done" and (run not in best or risk < best[run][0]):
                best[run] = (risk, peak, batch)
    return best


@pytest.mark.parametrize("capacity", [1.2, 2.0])
def test_the_best_is_that_of_a_loop(store, capacity):
    expected = by_hand(capacity)
    found = [best for best in Answer(store).best() if best.group["problem.capacity"] == capacity]
    assert [best.group["run"] for best in found] == ["constant", "cosine", "linear"]
    lowest = min(risk for risk, _, _ in expected.values())
    for best in found:
        risk, peak, batch = expected[best.group["run"]]
        assert best.risk == pytest.approx(risk, rel=1e-12)
        assert (best.at["schedule.peak"], best.at["method.batch"]) == (peak, batch)
        assert best.ratio == pytest.approx(risk / lowest, rel=1e-12)
        assert best.diverged >= 1 / 6


def test_the_best_is_made_of_what_its_trace_says(store):
    answer = Answer(store)
    best = answer.best()[-1]
    at = {"schedule__peak": best.at["schedule.peak"], "method__batch": best.at["method.batch"]}
    final = alone(problem__capacity=2.0, **at).final().sel(run="linear").transpose("component", "subspace")
    np.testing.assert_allclose(
        answer.cell(best)["final_risk"].transpose("component", "subspace").values, final.values, rtol=1e-12
    )


def test_neighbours_are_multiples_of_the_best(store):
    answer = Answer(store)
    for best in answer.best():
        around = {name: (low, high) for name, low, high in answer.neighbourhood(best)}
        assert set(around) == {"schedule.peak", "method.batch"}
        for name, (low, high) in around.items():
            j = best.where[name]
            assert np.isnan(low) == (j == 0)
            assert np.isnan(high) == (j == answer.data.sizes[name] - 1)
            assert all(value >= 1.0 for value in (low, high) if not np.isnan(value))


def test_an_optimum_at_the_end_of_what_was_tried_is_named(tmp_path):
    with sl.sweep(TREE, {"schedule.peak": [1e-5, 2e-5, 3e-5]}, store=tmp_path / "s", progress=False) as opened:
        answer = Answer(opened)
        assert [best.edge for best in answer.best()] == [("schedule.peak",)] * 3
        assert table_of(answer).splitlines()[4].endswith("schedule.peak")


def test_what_diverged_is_never_best(store):
    answer = Answer(store)
    assert np.all(np.isinf(answer.risk.sel({"schedule.peak": PEAKS[-1]})))
    assert np.all(np.isfinite(answer.risk.sel({"schedule.peak": PEAKS[:3]})))
    assert all(best.at["schedule.peak"] < PEAKS[-1] for best in answer.best())


def test_what_is_not_there_is_never_best(store, tmp_path):
    """Cells that are missing, or ended in an error, have no risk; a group of none of them is left out."""
    with sl.sweep(TREE, AXES, store=tmp_path / "s", progress=False) as opened:
        opened.array("status")[..., 1] = 4
        of = {block: opened.ledger.of(opened.blocks.cells(block).tolist()) for block in range(len(opened.blocks))}
        opened.ledger.replace_blocks((block, opened.digest(block), rows) for block, rows in of.items())
        answer = Answer(opened)
        assert [best.group["run"] for best in answer.best()] == ["constant", "linear"] * 2
        assert np.all(np.isnan(answer.risk.sel(run="cosine")))
        assert "24 error" in table_of(answer)


def test_the_table_says_all_of_it(store):
    text = table_of(Answer(store))
    for word in ("12 diverged", "problem.capacity", "x best", "around the best", "constant", "head", "variance"):
        assert word in text, word
    only = table_of(Answer(store, {"run": "cosine", "problem.capacity": 1.9}))
    assert "cosine" in only
    assert "constant" not in only
    assert only.split("best of each")[1].splitlines()[2].split()[0] == "2"


def test_unknown_names_are_refused(store):
    with pytest.raises(sl.InputError, match=r"parameter: 'schedule.pek' is not known; did you mean 'schedule.peak'\?"):
        Answer(store, {"schedule.pek": 1.0})
    with pytest.raises(sl.InputError, match=r"run: 'cosin' is not known; did you mean 'cosine'\?"):
        Answer(store, {"run": "cosin"})
    with pytest.raises(sl.InputError, match=r"schedule.peak = 'high' is no number; give one between 0.02 and 100"):
        Answer(store, {"schedule.peak": "high"})
    with pytest.raises(sl.InputError, match="x and y are both"):
        draw.heat_map(Answer(store), "run", "run")
    with pytest.raises(sl.InputError, match="parameter: 'nothing' is not known"):
        draw.lines(Answer(store), "nothing")


# -- figures -----------------------------------------------------------------------------------------------------------


def test_lines_show_the_lowest_risk_of_each_schedule(store):
    """A panel for each problem, a line for each schedule; the data of the lines are the numbers of the store."""
    answer = Answer(store)
    panels = [axes for axes in draw.lines(answer).axes if axes.get_xlabel() == "peak learning rate"]
    assert [axes.get_title() for axes in panels] == ["capacity exponent 1.2", "capacity exponent 2"]
    for axes, capacity in zip(panels, [1.2, 2.0], strict=True):
        drawn = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
        assert list(drawn) == ["constant", "cosine", "linear"]
        for run, line in drawn.items():
            part = answer.risk.sel({"problem.capacity": capacity, "run": run}).min("method.batch")
            shown = np.isfinite(part.values)
            np.testing.assert_array_equal(line.get_ydata(), part.values[shown])
            np.testing.assert_array_equal(line.get_xdata(), np.array(PEAKS)[shown])


def test_heat_map_shows_multiples_of_the_best(store):
    answer = Answer(store, {"problem.capacity": 1.2, "method.batch": 1})
    axes, bar = draw.heat_map(answer, "schedule.peak", "run").axes
    values = axes.collections[0].get_array()
    risk, _ = answer.over(["run", "schedule.peak"])
    finite = np.isfinite(risk)
    np.testing.assert_allclose(np.asarray(values)[finite], (risk / risk[finite].min())[finite])
    assert np.ma.getmaskarray(values)[~finite].all()
    assert len(axes.patches) == np.count_nonzero(np.isinf(risk)), "what diverged is hatched"
    assert "best" in bar.get_ylabel()


def test_pictures_are_written(store, tmp_path):
    for name, figure in {
        "a.png": draw.lines(Answer(store)),
        "b.pdf": draw.lines(Answer(store), "method.batch"),
    }.items():
        plot.save(figure, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 5000


def test_too_many_lines_are_refused(tmp_path):
    labels = [{"kind": "constant", "label": f"number {j}"} for j in range(13)]
    tree = {**TREE, "compare": {"schedules": labels}}
    with sl.sweep(tree, {"schedule.peak": [0.1, 0.2]}, store=tmp_path / "s", progress=False) as opened:
        answer = Answer(opened)
    with pytest.raises(sl.InputError, match="13 lines in 1 panels are too many to read"):
        draw.lines(answer)


# -- other programs ----------------------------------------------------------------------------------------------------


def test_csv_has_a_row_for_each_cell(store, tmp_path):
    export(store, tmp_path / "cells.csv")
    table = pd.read_csv(tmp_path / "cells.csv")
    assert len(table) == store.size
    assert list(table.columns[:6]) == ["problem.capacity", "schedule.peak", "method.batch", "run", "status", "ended_at"]
    done = table[table.status == "done"]
    np.testing.assert_allclose(done.iloc[:, 7:].sum(axis=1), done.risk, rtol=1e-12)
    row = done[(done.run == "cosine") & (done["schedule.peak"] == 0.1) & (done["method.batch"] == 4)].iloc[-1]
    final = alone(problem__capacity=2.0, schedule__peak=0.1, method__batch=4).final().sel(run="cosine")
    assert row["problem.capacity"] == 2.0
    assert row.risk == pytest.approx(float(final.sum()), rel=1e-12)
    assert row["variance tail"] == pytest.approx(float(final.sel(component="variance", subspace="tail")), rel=1e-12)


def test_netcdf_holds_all_steps(store, tmp_path):
    export(store, tmp_path / "cells.nc")
    with xr.open_dataset(tmp_path / "cells.nc", engine="h5netcdf") as data:
        np.testing.assert_array_equal(data["risk"].values, store.dataset()["risk"].values)
        assert set(np.unique(data["status"].values.astype(str))) == {"done", "diverged"}


def test_parquet_is_the_same_table(store, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow (extra parquet) is not installed")
    export(store, tmp_path / "cells.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "cells.parquet"), frame(store), check_dtype=False)


def test_exports_refuse_other_formats_and_existing_files(store, tmp_path):
    with pytest.raises(sl.InputError, match=r"format .*'\.xlsx' is not known"):
        export(store, tmp_path / "cells.xlsx")
    (tmp_path / "there.csv").write_text("mine")
    with pytest.raises(sl.InputError, match="exists"):
        export(store, tmp_path / "there.csv")
    assert (tmp_path / "there.csv").read_text() == "mine"


# -- care --------------------------------------------------------------------------------------------------------------


def make(path: Path) -> Path:
    sl.sweep(TREE, AXES, store=path, progress=False).close()
    return path


def test_compact_keeps_every_number_and_goes_on(tmp_path):
    path = make(tmp_path / "s")
    with Store(path) as opened:
        before = opened.dataset().load()
        rows = opened.ledger.rows()
    files, fewer = compact(path)
    assert fewer < files
    with Store(path) as opened:
        xr.testing.assert_identical(opened.dataset().load().drop_attrs(), before.drop_attrs())
        assert opened.ledger.rows() == rows
        assert check(opened).good == opened.size
    report = run_sweep(sweep_of(TREE, AXES), path, progress=False)
    assert (report.computed, report.reused) == (0, 72)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s"], "nothing is left beside it"


def test_check_counts_what_is_damaged_and_compact_refuses_it(tmp_path):
    path = make(tmp_path / "s")
    with Store(path) as opened:
        block = opened.blocks.cells(3).size
        chunk = opened.chunks(3)[0]
        chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
        health = check(opened)
    assert (health.good, health.damaged, health.missing) == (72 - block, block, 0)
    with pytest.raises(sl.InputError, match="is not finished or not in order"):
        compact(path)
    with pytest.raises(sl.InputError, match="is no store of a sweep"):
        Store(tmp_path)
