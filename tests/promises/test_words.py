"""What users call things, in every picture: to the letter, no formula, no warning (which is an error here)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import simlab as sl
from simlab import plot
from simlab.cli import main
from simlab.landscapes.valleys import curved
from simlab.plot import animation, river
from simlab.plot.words import BOX, literal

NASTY = [r"$\foo$", "$$", "$x$ of $", r"\$ \frac", "a\x07b\nc", "😀 余弦", "_hidden", "\ud800", "%$#&~{}^"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [("cosine, 10 %", "cosine, 10 %"), ("λ = 0.1 − é", "λ = 0.1 − é"), ("$a$", r"\$a\$"), ("a\x07\n", r"a\x07\n"),
     ("\U0001fae0!", f"{BOX}!"), ("_a_", "\u200a_a_"), (np.str_("x"), "x"), (3, "3"), ("\ud800", r"\ud800")],
)  # fmt: skip
def test_words(given, shown):
    assert literal(given) == shown


def test_words_are_shortened_before_they_are_written_out():
    assert literal("$" * 40, 5) == r"\$\$\$\$…"


@pytest.mark.parametrize("text", NASTY)
def test_what_is_drawn_is_what_was_said(text, tmp_path):
    """Not merely without a failure: as plain text, with its dollars."""
    figure = plot.new_figure(2.0, 1.0)
    drawn = figure.text(0.1, 0.5, literal(text))
    plain, formula = drawn._preprocess_math(drawn.get_text())
    assert not formula
    assert plain.count("$") == text.count("$")
    for suffix in ("png", "pdf", "svg"):
        plot.save(figure, tmp_path / f"a.{suffix}")


def saved(figure, folder: Path) -> None:
    plot.save(figure, folder / "a.svg")


def test_runs_subspaces_and_schedules(tmp_path):
    problem = sl.LinearRegression([1.0, 0.5, 0.25], 1.0, 0.1)
    schedule = sl.schedules.constant(10, 0.1)
    parts = {NASTY[0]: [1], "\x07 $": [2], "😀": [3]}
    runs = {name: sl.methods.sgd(schedule * (1.0 / (j + 1))) for j, name in enumerate(NASTY)}
    trace = sl.exact(problem, runs, subspaces=parts, progress=False)
    saved(plot.risk(trace), tmp_path)
    saved(plot.risk(sl.exact(problem, runs[NASTY[0]], subspaces=parts, progress=False)), tmp_path)
    saved(plot.schedules(dict.fromkeys(NASTY[:5], schedule)), tmp_path)
    saved(plot.schedules(dict.fromkeys(NASTY, schedule)), tmp_path)


@pytest.mark.thorough
def test_rivers(tmp_path):
    names = [*NASTY[:3], "😀\x07"]
    steps = np.arange(6)
    rows = np.linspace(1.0, 0.1, 24).reshape(4, 6)
    values = {name: (("run", "step"), rows - shift) for name, shift in
              (("total", 0.0), ("river_loss", 2.0), ("hill_loss", -2.0), ("lr", 0.0))}  # fmt: skip
    trace = xr.Dataset(values, {"run": names, "step": steps})
    points = {name: (1.0 + j, 2.0) for j, name in enumerate(NASTY)}
    rates = {name: np.full(5, 0.1) for name in names}
    losses = {name: np.linspace(1.0, 0.5, 6) for name in names}
    valley = curved()
    for figure in (
        river.split(trace), river.crossing(trace, names[0], names[1], names[2], 2.0),
        river.bias_variance(points, family=points), river.decays({"": (rates, losses, 0.1)}),
    ):  # fmt: skip
        saved(figure, tmp_path)
    paths = {name: valley.start + np.random.default_rng(0).normal(size=(6, 2)) for name in names}
    saved(river.valley(valley, paths, rates=rates), tmp_path)
    saved(river.surface(valley, paths), tmp_path)
    clouds = {name: path[:, None, :] for name, path in paths.items()}
    assert len(list(animation.frames_of(valley, clouds, rates, frames=2))) == 2


SWEPT = """
[problem]
kind = "power_law"
dim = 12
capacity = 1.5
source = 1.2
[schedule]
kind = "constant"
steps = 30
peak = 0.1
[compare]
schedules = [{label = '$\\foo$'}, {label = "😀 $$", kind = "cosine"}]
"""


@pytest.mark.thorough
def test_labels_of_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("e.toml").write_text(SWEPT, encoding="utf-8")
    Path("s.toml").write_text(SWEPT + '[sweep]\n"schedule.peak" = [0.1, 0.2]\n', encoding="utf-8")
    for command in ("run e.toml -o o", "sweep s.toml -o s.zarr", "show s.zarr -o s.png"):
        with pytest.raises(SystemExit) as left:
            main(command.split())
        assert left.value.code == 0, capsys.readouterr().err
        assert capsys.readouterr().err == ""
    assert Path("o/risk.pdf").is_file()
    Path("e.toml").write_text(SWEPT.replace("😀 $$", "a\\u0007"), encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main(["run", "e.toml", "-o", "p"])
    assert left.value.code == 2
    assert "is no label; give one line of text that prints" in capsys.readouterr().err
