"""Animations of ensembles on a 2-D landscape: GIF, MP4 where ffmpeg is there, and an HTML page that needs nothing else.

Every frame is drawn once, over a background that is drawn once, and written to as many formats as are asked for.
"""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.errors import InputError, check_count, check_number
from simlab.plot.canvas import WIDTH, new_figure, style
from simlab.plot.terrain import ACROSS, ALONG, RUNS, Box, box_of, draw_terrain
from simlab.plot.words import literal

if TYPE_CHECKING:
    from simlab.landscapes.landscape import Landscape

__all__ = ["animate", "frames_of"]

Frame = npt.NDArray[np.uint8]

TRAIL = 25


def animate(
    landscape: Landscape,
    clouds: Mapping[str, FloatArray],
    rates: Mapping[str, FloatArray],
    targets: Sequence[str | Path],
    *,
    river: FloatArray | None = None,
    box: Box | None = None,
    frames: int = 72,
    fps: float = 12.0,
) -> list[Path]:
    """Draw ensembles as their schedules go on; each run has a panel with its cloud and the trail of one iterate.

    clouds : run -> (steps + 1, replicas, 2).  rates : run -> (steps,) learning rates.  targets : files to write, by
    suffix .gif, .mp4 (needs ffmpeg) and .html (one file, with a slider).  Returns the files. Raises InputError for a
    suffix that is not known, or for .mp4 without ffmpeg.
    """
    paths = [Path(target) for target in targets]
    for path in paths:
        _check_target(path)
    check_number("fps", fps, low=0.1, high=60.0)
    drawn = list(frames_of(landscape, clouds, rates, river=river, box=box, frames=frames))
    images = _indexed(drawn) if any(path.suffix != ".mp4" for path in paths) else []
    for path in paths:
        try:
            if path.suffix == ".mp4":
                _write_mp4(drawn, path, fps)
            else:
                (_write_gif if path.suffix == ".gif" else _write_html)(images, path, fps)
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror or error}); choose another folder.") from None
    return paths


def frames_of(
    landscape: Landscape,
    clouds: Mapping[str, FloatArray],
    rates: Mapping[str, FloatArray],
    *,
    river: FloatArray | None = None,
    box: Box | None = None,
    frames: int = 72,
    dpi: float = 110.0,
) -> Iterator[Frame]:
    """The pictures, (height, width, 3) uint8 each, evenly spaced over the steps and always holding both ends."""
    count = check_count("frames", frames, low=2)
    length = {name: cloud.shape[0] for name, cloud in clouds.items()}
    if set(clouds) != set(rates) or not clouds or len(set(length.values())) != 1:
        raise InputError("clouds and rates must be of the same runs, all of one length; give both for each run.")
    box = box if box is not None else _box_of_clouds(clouds, river)
    steps = np.unique(np.round(np.linspace(0, next(iter(length.values())) - 1, count)).astype(int))
    losses = {
        name: np.array([float(np.mean(landscape.value(cloud[t]))) for t in steps]) for name, cloud in clouds.items()
    }
    with style():
        stage = _Stage(landscape, clouds, rates, losses, steps, river, box, dpi)
        for k in range(steps.size):
            yield stage.frame(k)


def _box_of_clouds(clouds: Mapping[str, FloatArray], river: FloatArray | None) -> Box:
    """A box about the starts and all but the outermost 1 % of the iterates, side by side."""
    kept = {}
    for name, cloud in clouds.items():
        points = cloud.reshape(-1, 2)
        points = points[np.all(np.isfinite(points), axis=1)]
        low, high = np.quantile(points, [0.005, 0.995], axis=0) if points.size else (points, points)
        kept[name] = np.concatenate([cloud[0], np.clip(points, low, high)])
    return box_of(kept, river)


class _Stage:
    """A figure of which only what moves is drawn anew."""

    def __init__(
        self,
        landscape: Landscape,
        clouds: Mapping[str, FloatArray],
        rates: Mapping[str, FloatArray],
        losses: Mapping[str, FloatArray],
        steps: npt.NDArray[np.int_],
        river: FloatArray | None,
        box: Box,
        dpi: float,
    ) -> None:
        self.clouds, self.rates, self.losses, self.steps = clouds, rates, losses, steps
        count = len(clouds)
        self.figure = new_figure(WIDTH, 1.2 * count + 1.5)
        self.figure.set_dpi(dpi)
        grid = self.figure.add_gridspec(count + 1, 2, height_ratios=[1.0] * count + [0.95])
        self.moving: list[tuple[Any, Any, Any]] = []
        for j, name in enumerate(clouds):
            panel = self.figure.add_subplot(grid[j, :])
            draw_terrain(panel, landscape, river, box)
            colour = RUNS[j % len(RUNS)]
            panel.set_title(literal(name), loc="left", color=colour, fontweight="bold", pad=3)
            panel.set_ylabel(ACROSS)
            panel.tick_params(labelbottom=j == count - 1)
            (dots,) = panel.plot([], [], "o", color=colour, ms=2.6, alpha=0.45, mec="none", animated=True, zorder=3)
            (trail,) = panel.plot([], [], "-", color="black", lw=0.7, animated=True, zorder=4)
            (one,) = panel.plot([], [], "o", color=colour, ms=7, mec="black", mew=1.0, animated=True, zorder=5)
            self.moving.append((dots, trail, one))
            if j == count - 1:
                panel.set_xlabel(ALONG)
        self.clock = self.figure.axes[0].set_title("", loc="right", pad=3, animated=True)
        self.lines = [self._curves(grid[count, 0], rates, True), self._curves(grid[count, 1], losses, False)]
        canvas: Any = self.figure.canvas
        self.canvas = canvas
        self.canvas.draw()
        self.figure.set_layout_engine("none")
        self.background = self.canvas.copy_from_bbox(self.figure.bbox)

    def _curves(self, place: Any, curves: Mapping[str, FloatArray], rates: bool) -> list[Any]:
        """A panel with the curves of all runs in grey, and the lines in colour that grow over them."""
        axes = self.figure.add_subplot(place)
        axes.set(xlabel="step", ylabel="learning rate" if rates else "mean loss", xlim=(0, self.steps[-1]))
        lines = []
        for j, curve in enumerate(curves.values()):
            at = np.arange(curve.size) if rates else self.steps
            axes.plot(at, curve, color="0.85", lw=1.0)
            lines.append(axes.plot([], [], color=RUNS[j % len(RUNS)], lw=1.6, animated=True)[0])
        if rates:
            axes.set_ylim(bottom=0.0)
        else:
            late = np.concatenate([curve[curve.size // 20 :] for curve in curves.values()])
            room = 0.12 * float(np.ptp(late)) + 1e-12
            axes.set_ylim(float(late.min()) - room, float(late.max()) + room)
        return lines

    def frame(self, k: int) -> Frame:
        t = int(self.steps[k])
        self.canvas.restore_region(self.background)
        for cloud, (dots, trail, one) in zip(self.clouds.values(), self.moving, strict=True):
            dots.set_data(*cloud[t].T)
            trail.set_data(*cloud[max(0, t - TRAIL) : t + 1, 0].T)
            one.set_data(*cloud[t, :1].T)
            for artist in (dots, trail, one):
                artist.axes.draw_artist(artist)
        for line, rate in zip(self.lines[0], self.rates.values(), strict=True):
            line.set_data(np.arange(min(t + 1, rate.size)), rate[: t + 1])
            line.axes.draw_artist(line)
        for line, loss in zip(self.lines[1], self.losses.values(), strict=True):
            line.set_data(self.steps[: k + 1], loss[: k + 1])
            line.axes.draw_artist(line)
        self.clock.set_text(f"step {t}")
        self.figure.draw_artist(self.clock)
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()


def _check_target(path: Path) -> None:
    if path.suffix not in (".gif", ".mp4", ".html"):
        raise InputError(f"{path} has no suffix of an animation; end it in .gif, .mp4 or .html.")
    if path.suffix == ".mp4" and shutil.which("ffmpeg") is None:
        raise InputError(f"{path} needs ffmpeg, which is not installed; install it, or write .gif or .html.")


def _indexed(frames: Sequence[Frame]) -> list[Any]:
    """The frames as images of one palette, found from all of them: no flicker, small files; white stays white."""
    from PIL import Image

    whole = Image.fromarray(np.concatenate(frames)).quantize(colors=160, dither=Image.Dither.NONE)
    indices = np.asarray(whole).reshape(len(frames), *frames[0].shape[:2])
    colours = list(whole.getpalette() or [])
    corner = int(indices[0, 0, 0])
    colours[3 * corner : 3 * corner + 3] = [255, 255, 255]
    images = []
    for index in indices:
        image = Image.fromarray(index)
        image.putpalette(colours)
        images.append(image)
    return images


def _write_gif(images: Sequence[Any], path: Path, fps: float) -> None:
    # The end stays in view for two seconds.
    pause = [round(1000.0 / fps)] * (len(images) - 1) + [2000]
    images[0].save(path, save_all=True, append_images=images[1:], duration=pause, loop=0, optimize=False)


def _write_mp4(frames: Sequence[Frame], path: Path, fps: float) -> None:
    height, width = (size // 2 * 2 for size in frames[0].shape[:2])
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-", "-pix_fmt", "yuv420p", str(path)]
    data = b"".join(np.ascontiguousarray(f[:height, :width]).tobytes() for f in frames)
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())[:200]
        raise InputError(f"{path}: ffmpeg failed ({reason}); write .gif or .html.")


def _write_html(images: Sequence[Any], path: Path, fps: float) -> None:
    pictures = []
    for image in images:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        pictures.append(f'"{base64.b64encode(buffer.getvalue()).decode()}"')
    page = _PAGE.replace("@FRAMES@", ",\n".join(pictures)).replace("@DELAY@", f"{1000.0 / fps:.0f}")
    path.write_text(page.replace("@LAST@", str(len(images) - 1)), encoding="utf-8")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>River valley</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; color: #222; }
img { width: 100%; }
.row { display: flex; gap: 1rem; align-items: center; }
input { flex: 1; } button { min-width: 5rem; padding: .3rem .8rem; font: inherit; }
</style></head><body>
<img id="view" alt="An ensemble on a river valley, frame by frame">
<div class="row"><button id="play">Pause</button>
<input id="at" type="range" min="0" max="@LAST@" value="0" aria-label="Frame"></div>
<p>Left and right arrow keys step; the coloured dot with the black rim is one run, its trail black, the cloud all
others.</p>
<script>
const frames = [@FRAMES@];
const [view, at, play] = ["view", "at", "play"].map(id => document.getElementById(id));
let timer = null;
function show() { view.src = "data:image/png;base64," + frames[+at.value]; }
function stop() { clearInterval(timer); timer = null; play.textContent = "Play"; }
function start() {
  if (+at.value === frames.length - 1) at.value = 0;
  play.textContent = "Pause";
  timer = setInterval(() => { if (+at.value === frames.length - 1) stop(); else { at.value = +at.value + 1; show(); } },
    @DELAY@);
}
play.onclick = () => timer ? stop() : start();
at.oninput = () => { stop(); show(); };
document.onkeydown = e => {
  if (e.target === at || !["ArrowLeft", "ArrowRight"].includes(e.key)) return;
  stop(); at.value = +at.value + (e.key === "ArrowRight" ? 1 : -1); show();
};
show(); start();
</script></body></html>
"""
