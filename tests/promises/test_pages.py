"""What pages of `docs` say in prose is so; that their cells run is what the site's build shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import simlab as sl

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def cell(page: str, word: str) -> str:
    """The first example of a page that holds a word, executed by the build or not."""
    text = (DOCS / f"{page}.md").read_text()
    return next(
        code for code in re.findall(r"```(?:python|\{code-cell\} ipython3)\n(.*?)```", text, re.DOTALL) if word in code
    )


@pytest.mark.thorough
def test_the_sweep_is_the_one_that_is_shown(tmp_path):
    """What the page says of its sweep: the number of cells, and which schedule wins where."""
    from simlab.sweeps.answer.best import Answer

    file = ROOT / "figures/readme/sweep.toml"
    (shown,) = re.findall(r"```toml\n(.*?)```", (DOCS / "questions/many.md").read_text(), flags=re.DOTALL)
    assert shown in file.read_text()
    with sl.sweep(file, store=tmp_path / "store", progress=False) as store:
        assert store.size == 375
        best = Answer(store).best()
    winners = {b.group["problem.capacity"]: b.group["run"] for b in best if b.ratio == 1.0}
    assert winners == {1.2: "linear", 1.5: "wsd, 1-sqrt", 2.0: "cosine"}
    ratio = {(b.group["problem.capacity"], b.group["run"]): b.ratio for b in best}
    assert 1.02 < ratio[1.2, "cosine"] < 1.04
    assert 1.02 < ratio[1.5, "cosine"] < 1.04
    assert all(1.25 < ratio[a, "constant"] < 1.4 for a in (1.2, 1.5))
    assert ratio[2.0, "constant"] > 3.0


def test_the_theorem_is_called_as_shown():
    import numpy as np

    example = cell("questions/theorem", "simlab import theory")
    names = {"eigenvalues": 0.5 ** np.arange(1.0, 9.0), "initial_error": np.ones(8), "noise_variance": 0.1}
    exec(example, names)
    assert names["risk"].bias.shape == (8,)


def test_which_schedule_is_best_is_as_it_says(capsys):
    example = cell("questions/schedule", "sl.schedules.spectral(")
    names = {"sl": sl}
    exec(example, names)
    assert "Optimum: converged" in capsys.readouterr().out
    best, wsd, problem = names["best"], names["wsd"], names["problem"]
    runs = sl.exact(problem.compress(1e-9), sl.methods.sgd(names["law"]), record=2, progress=False)
    assert 2e-6 < runs.total().values[-1] / best.risk - 1.0 < 1e-5
    assert wsd.risk / best.risk - 1.0 == pytest.approx(0.0073, abs=5e-5)
    assert wsd.parameters == pytest.approx({"peak": 0.547, "cooldown": 0.234}, abs=1e-3)
    assert wsd.costs["peak"] == (pytest.approx(0.146, abs=5e-3), float("inf"))
    for family, loss in (("linear", 0.095), ("cosine", 0.103)):
        assert sl.tune(problem, family, 10_000).risk / best.risk - 1.0 == pytest.approx(loss, abs=1e-3)


def test_ones_own_log_spectrum_and_state(tmp_path, monkeypatch):
    """The paragraph on bringing one's own works when pasted, with a log and a density of one's own."""
    import numpy

    monkeypatch.chdir(tmp_path)
    rows = [{"step": s, "learning_rate": 1e-3 * (1 - s / 100), "loss": 3 - s / 100} for s in range(0, 100, 10)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    numpy.savetxt("hessian.txt", numpy.column_stack([numpy.geomspace(1.0, 1e-5, 200), numpy.ones(200)]))
    example = cell("questions/log", "trainer_state.json")
    names = {"numpy": numpy, "sl": sl}
    with pytest.warns(UserWarning, match="those below lam_1 / 10000, 20 %, are left out"):
        exec(example, names)
    assert names["log"].losses["loss"].shape == (10, 2)
    ends = [float(trace.total()[-1]) for trace in names["ends"].values()]
    assert len(ends) == 10
    assert ends == sorted(ends, reverse=True)


@pytest.mark.thorough
def test_ones_own_data():
    """Rows held out of the digits: learned from the others, and below where they began."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed; it ships the digits")
    example = cell("questions/data", "holdout=")
    names = {"sl": sl}
    exec(example, names)
    unseen, seen = names["trace"].holdout(), names["trace"].training_loss()
    assert float(unseen[-1] / unseen[0]) < 0.6
    assert 0.8 < float(unseen[-1] / seen[-1]) < 1.25
    assert "sl.plot.losses(trace)" in example
    labels = [line.get_label() for line in sl.plot.losses(names["trace"]).axes[0].lines]
    assert "held out" in labels
    assert "trained on" in labels


def test_the_twin_example_runs(tmp_path, monkeypatch):
    """On curves that a known twin made, in files as the example names them."""
    from tests.twin.runs import TRUTH, made

    for seed, (file, name) in enumerate([("cosine", "cosine_24000"), ("wsd", "wsdld_20000_24000")]):
        curve = made(TRUTH, name, seed)
        kept = curve.steps < len(curve.schedule)
        rows = zip(curve.steps[kept], curve.schedule(curve.steps[kept]), curve.losses[kept], strict=True)
        text = "\n".join(["step,lr,loss", *(f"{t},{lr:.17g},{y:.17g}" for t, lr, y in rows)])
        (tmp_path / f"{file}.csv").write_text(text)
    monkeypatch.chdir(tmp_path)
    example = cell("questions/twin", "from_log")
    names = {"sl": sl}
    exec(compile(example, "twin.md", "exec"), names)
    assert names["best"].gain.lower > 0.0
    assert names["band"].steps[-1] == 72_000
