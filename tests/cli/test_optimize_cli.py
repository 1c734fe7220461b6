"""simlab optimize and simlab tune: what they print and write, and what they refuse in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import simlab as sl
from simlab.experiment import Experiment
from simlab.experiment.optimum import OUTPUTS, RIVALS
from tests.oracles.commands import invoke

FILE = """\
[problem]
kind = "power_law"
dim = 40
capacity = 1.5
source = 1.4
noise_variance = 0.1

[optimize]
steps = 60
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("e.toml").write_text(FILE, encoding="utf-8")
    return tmp_path


def test_the_optimum_beside_every_usual_schedule(here):
    code, out, _ = invoke("optimize", "e.toml")
    assert code == 0
    folder = here / "e-optimum"
    assert {path.name for path in folder.iterdir()} == set(OUTPUTS) - {"momentum.csv", "decay.csv"}
    text = (folder / "table.txt").read_text(encoding="utf-8")
    assert text.strip() in out
    problem = sl.LinearRegression.power_law(40, 1.5, 1.4, 0.1)
    best = sl.optimize(problem, 60)
    written = sl.schedules.from_csv(folder / "schedule.csv").values()
    np.testing.assert_allclose(written, best.schedule.values(), rtol=1e-9)
    assert sl.schedules.from_json(folder / "schedule.json").length == 60
    rows = text[text.index("schedule ") :].splitlines()[1:]
    names = [row[:14].strip() for row in rows]
    assert names[0] == "optimum"
    assert set(names) == {"optimum", "law, full", "law, short", *RIVALS}
    risks = [float(row[14:28]) for row in rows]
    assert risks == sorted(risks)
    assert risks[0] == pytest.approx(best.risk, rel=1e-6)


def test_heavy_ball_has_a_file_of_momenta_and_no_figure_where_none_is_wanted(here):
    Path("e.toml").write_text(FILE + 'method = "heavy_ball"\nbatch = 8\nsweeps = 40\n', encoding="utf-8")
    code, out, _ = invoke("optimize", "e.toml", "-o", "there", "--no-figure")
    assert code == 0
    written = {path.name for path in (here / "there").iterdir()}
    assert "momentum.csv" in written
    assert "schedules.png" not in written
    assert "momentum = " in out


def test_what_exists_is_not_replaced_unless_it_is_said(here):
    (here / "e-optimum").mkdir()
    (here / "e-optimum" / "table.txt").write_text("mine", encoding="utf-8")
    code, _, err = invoke("optimize", "e.toml", "--no-figure")
    assert code == 2
    assert "exists" in err
    assert (here / "e-optimum" / "table.txt").read_text(encoding="utf-8") == "mine"


def test_the_best_of_one_family(here):
    code, out, _ = invoke("tune", "e.toml", "wsd", "--over", "peak, cooldown", "-p", "shape=1-sqrt")
    assert code == 0
    found = sl.tune(
        sl.LinearRegression.power_law(40, 1.5, 1.4, 0.1), "wsd", 60, ("peak", "cooldown"), given={"shape": "1-sqrt"}
    )
    assert f"peak = {found.parameters['peak']:.4g}"[:12] in out
    assert out.count("half of it costs") == 2


def test_a_run_takes_no_notice_of_the_table(here):
    schedule = '\n[schedule]\nkind = "constant"\npeak = 0.1\nsteps = 9\n'
    Path("e.toml").write_text(FILE + schedule, encoding="utf-8")
    assert Experiment.from_file("e.toml").schedule.length == 9


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("steps = 60", "", ["optimize.steps", "missing"]),
        ("steps = 60", "steps = 0", ["optimize.steps = 0"]),
        ("steps = 60", "steps = 60\nsamples = 3", ["samples = 3", "60 steps"]),
        ("steps = 60", 'steps = 60\nmethod = "adam"', ["optimize.method", "adam"]),
        ("steps = 60", "steps = 60\nstep = 60", ["optimize", "'step'"]),
        ("[problem]", "[problems]", ["problem"]),
        ('"power_law"', '"river-curved"', ["river", "linear regression"]),
    ],
)
def test_refusals(here, old, new, words):
    text = FILE.replace(old, new)
    if "river" in new:
        text = '[problem]\nkind = "river-curved"\nnoise = 1.0\n[optimize]\nsteps = 9\n'
        words = ["linear regression"]
    Path("e.toml").write_text(text, encoding="utf-8")
    code, _, err = invoke("optimize", "e.toml")
    assert code == 2
    assert len(err.splitlines()) == 1
    for word in words:
        assert word in err, err
