"""Pictures and animations of river valleys hold what they should, and refuse what they cannot draw; `simlab river`."""

from __future__ import annotations

import base64
import itertools
import re
import time

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import simlab.plot
from simlab import methods, schedules
from simlab.cli import app
from simlab.cli.river import FILES
from simlab.engines.exact_valley import exact_valley
from simlab.errors import InputError
from simlab.landscapes.straight import StraightValley
from simlab.landscapes.valleys import curved, straight_landscape
from simlab.plot import animation
from simlab.plot import river as draw
from simlab.showcase import valley as canonical

LANDSCAPE = curved(mu=0.0, lam=8.0, slope=0.1, start=(-3.0, 0.6))
X = np.linspace(-4.0, 4.0, 80)
RIVER = np.stack([X, np.sin(0.5 * X)], axis=1)


@pytest.fixture(scope="module")
def clouds():
    rng = np.random.default_rng(0)
    x = np.cumsum(np.full((41, 6), 0.1), axis=0) - 3.0
    paths = np.stack([x, np.sin(0.5 * x) + 0.1 * rng.standard_normal(x.shape)], axis=-1)
    return {"cosine": paths, "WSD": paths + np.array([0.5, 0.0])}


@pytest.fixture(scope="module")
def trace():
    runs = {"cosine": schedules.cosine(200, 0.05), "WSD": schedules.wsd(200, 0.05), "high": schedules.cosine(200, 0.09)}
    valley = StraightValley(np.geomspace(20.0, 1.0, 20), slope=0.5)
    return exact_valley(valley, {n: methods.sgd(s) for n, s in runs.items()}, record="all", progress=False)


def saved(figure, tmp_path):
    path = simlab.plot.save(figure, tmp_path / "picture.png")
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def test_every_name_of_plot_is_still_there():
    assert {"PALETTE", "WIDTH", "risk", "save", "schedules", "style"} <= set(simlab.plot.__all__)
    assert all(hasattr(simlab.plot, name) for name in simlab.plot.__all__)


def test_a_panel_for_each_path_with_river_start_and_end(clouds, tmp_path):
    paths = {name: cloud[:, 0] for name, cloud in clouds.items()}
    figure = draw.valley(LANDSCAPE, paths, RIVER, rates={n: schedules.cosine(40, 0.1).values() for n in paths})
    panels = [axes for axes in figure.axes if axes.get_title(loc="left") in paths]
    assert len(panels) == 2
    for panel, path in zip(panels, paths.values(), strict=True):
        lines = [line.get_xydata() for line in panel.get_lines()]
        assert any(np.array_equal(line, path) for line in lines)
        assert any(np.array_equal(line, RIVER) for line in lines)
        assert f"{path[-1, 0]:.1f}" in panel.get_title(loc="right")
    assert saved(figure, tmp_path).std() > 10.0


def test_a_surface_is_drawn(clouds, tmp_path):
    figure = draw.surface(LANDSCAPE, {"one": clouds["WSD"][:, 0]}, RIVER)
    assert figure.axes[0].get_zlabel() == "loss"
    assert saved(figure, tmp_path).std() > 10.0


@pytest.mark.thorough
def test_split_shows_the_trace_and_its_parts(trace, tmp_path):
    figure = draw.split(trace, note="below the cap")
    for panel, values in zip(figure.axes[:3], ("total", "river_loss", None), strict=True):
        assert len(panel.get_lines()) == 3
        own = trace["hill_loss"].sum("subspace") if values is None else trace[values]
        np.testing.assert_array_equal(panel.get_lines()[1].get_ydata(), own.sel(run="WSD"))
    assert saved(figure, tmp_path).std() > 10.0


def test_crossing_states_cap_and_caveat(trace, tmp_path):
    figure = draw.crossing(trace, "cosine", "WSD", "high", cap=0.1)
    assert "cap 2/λ" in figure.axes[0].get_title(loc="left")
    assert "0.1" in figure.axes[0].get_title(loc="left")
    assert any("high *" in label.get_text() for label in figure.axes[1].get_yticklabels())
    assert saved(figure, tmp_path).std() > 10.0


def test_bias_variance_rings_the_lowest_sum():
    figure = draw.bias_variance({"a": (1.0, 4.0), "b": (2.0, 2.0), "c": (4.0, 1.5)}, family={"α = 1": (3.0, 2.0)})
    rings = [line for line in figure.axes[0].get_lines() if line.get_markersize() == 11]
    np.testing.assert_array_equal(rings[0].get_xydata(), [[2.0, 2.0]])
    dashed = [line.get_xydata().sum(axis=1) for line in figure.axes[0].get_lines() if line.get_linestyle() == "--"]
    assert dashed
    for sums in dashed:
        assert sums[0] == pytest.approx(sums[-1])


def test_shape_points_add_up_to_the_loss_of_the_notes():
    points, family = canonical.shape_points(0.0)
    assert round(sum(points["linear"]), 1) == 79.1
    assert round(sum(points["1-sqrt"]), 1) == 74.5
    # Smaller alpha: less variance, more bias (Dremov et al. 2025).
    bias, variance = np.array(list(family.values())).T
    assert np.all(np.diff(bias) > 0.0)
    assert np.all(np.diff(variance) < 0.0)


def test_animations_in_every_format(clouds, tmp_path, monkeypatch):
    rates = {name: schedules.cosine(40, 0.1).values() for name in clouds}
    targets = [tmp_path / "a.gif", tmp_path / "a.html"]
    animation.animate(LANDSCAPE, clouds, rates, targets, river=RIVER, frames=5)
    stills = []
    with Image.open(targets[0]) as gif:
        assert gif.n_frames == 5
        for k in range(5):
            gif.seek(k)
            stills.append(np.asarray(gif.convert("RGB")).astype(int))
    assert tuple(stills[0][0, 0]) == (255, 255, 255)
    assert all(np.abs(a - b).max() > 50 for a, b in itertools.pairwise(stills))
    page = targets[1].read_text(encoding="utf-8")
    pictures = re.findall(r'"(iVBOR[^"]+)"', page)
    assert len(pictures) == 5
    assert base64.b64decode(pictures[0]).startswith(b"\x89PNG")
    assert "http" not in page  # one file, nothing from elsewhere
    # ffmpeg in the form of a script that keeps what it is fed.
    fake = tmp_path / "ffmpeg"
    fake.write_text('#!/bin/sh\nfor last; do :; done\ncat > "$last"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    animation.animate(LANDSCAPE, clouds, rates, [tmp_path / "a.mp4"], river=RIVER, frames=3)
    height, width = (size // 2 * 2 for size in stills[0].shape[:2])
    assert (tmp_path / "a.mp4").stat().st_size == 3 * height * width * 3
    fake.write_text("#!/bin/sh\necho no such codec >&2\nexit 1\n")
    with pytest.raises(InputError, match="ffmpeg failed"):
        animation.animate(LANDSCAPE, clouds, rates, [tmp_path / "b.mp4"], frames=3)


def test_frames_move_what_moves_and_nothing_else(clouds):
    rates = {name: schedules.cosine(40, 0.1).values() for name in clouds}
    frames = list(animation.frames_of(LANDSCAPE, clouds, rates, river=RIVER, frames=4))
    assert len(frames) == 4
    assert frames[0].dtype == np.uint8
    changed = np.abs(frames[0].astype(int) - frames[-1].astype(int)).max(axis=2) > 0
    assert 0.001 < changed.mean() < 0.2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda c, p: draw.valley(straight_landscape([1.0, 2.0]), {}),
            "has 3 dimensions; draw a landscape that has two",
        ),
        (lambda c, p: draw.valley(LANDSCAPE, {"a": np.full((3, 2), np.nan)}), "no finite point"),
        (lambda c, p: draw.bias_variance({}), "points is empty"),
        (lambda c, p: draw.split(c["cosine"]), "trace has no river_loss"),
        (lambda c, p: animation.animate(LANDSCAPE, c, {}, [p / "a.gif"]), "clouds and rates"),
        (lambda c, p: animation.animate(LANDSCAPE, c, {}, [p / "a.avi"]), "no suffix of an animation"),
        (lambda c, p: animation.animate(LANDSCAPE, c, {}, [p / "a.gif"], fps=0.0), "fps = 0.0"),
    ],
)
def test_refusals(clouds, tmp_path, call, message):
    from xarray import Dataset

    with pytest.raises(InputError, match=message):
        call({**clouds, "cosine": Dataset()} if "river_loss" in message else clouds, tmp_path)


def test_without_ffmpeg_mp4_is_refused_before_any_drawing(clouds, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"a\.mp4 needs ffmpeg, which is not installed"):
        animation.animate(LANDSCAPE, clouds, {}, [tmp_path / "a.mp4"])


@pytest.mark.thorough
def test_simlab_river(tmp_path):
    """In 8 s on two idle cores; the promise is 30 s."""
    began = time.perf_counter()
    result = CliRunner().invoke(app, ["river", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert time.perf_counter() - began < 60.0
    assert {p.name for p in (tmp_path / "out").iterdir()} == set(FILES)
    assert re.search(r"WSD 20 % +-0\.97 +-4\.37 +-4\.50 +0\.13", result.output)
    assert re.search(r"WSD 20 %, peak x 2 +-?\d+\.\d\d +-8\.8", result.output)
    assert "Caveat: cosine at twice the peak, 0.1, which is the cap itself, ends at -4.95" in result.output
    assert (tmp_path / "out" / "river.txt").read_text(encoding="utf-8").strip() in result.output
    again = CliRunner().invoke(app, ["river", "-o", str(tmp_path / "out")])
    assert again.exit_code == 2
    assert "exists" in again.output
