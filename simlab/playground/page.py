"""The page as text: Bokeh, the engine, the figures and a start, in one file that needs no network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

from simlab._version import __version__
from simlab.errors import InputError, check_path
from simlab.extras import install
from simlab.files import fresh_file
from simlab.playground.labels import OF_PROBLEM, OF_TWIN, Labels
from simlab.playground.shapes import shapes_source
from simlab.playground.spectrum import spectrum_of
from simlab.playground.starts import starts
from simlab.plot import PALETTE

__all__ = ["ENGINE", "PAGE", "engine_source", "page_source", "write"]

ENGINE = ("schedules", "spectrum", "lanes", "recursion", "stability", "law", "twin", "worker")
"""What runs in the worker, in this order; SHAPES comes first, written from Python's."""

PAGE = ("state", "words", "pool", "charts", "controls", "river", "page")
"""What runs on the page alone."""

START: dict[str, Any] = {
    "steps": 20_000,
    "spacing": "linear",
    "runs": [
        {"schedule": {"kind": "wsd", "peak": 0.3, "warmup": 0.01, "cooldown": 0.2, "shape": "linear"}},
        {"schedule": {"kind": "cosine", "peak": 0.3, "warmup": 0.01}},
        {"schedule": {"kind": "constant", "peak": 0.3}, "method": {"kind": "ema", "decay": 0.999}},
    ],
}
"""What the page opens with: the question of the README's ten lines."""


def write(
    path: str | PathLike[str],
    problem: Any = None,
    *,
    start: dict[str, Any] | None = None,
    source: dict[str, Any] | None = None,
    force: bool = False,
) -> Path:
    """Write the playground to `path`, one HTML file of some 1.5 MB that works from disk and offline; returns the path.

    problem : a LinearRegression, NoisyQuadratic or RandomFeatures in place of power laws with sliders; a regression of
        many modes is compressed. Or a twin of a training run, as `js/twin.js` takes it
        (`simlab.twin.Twin.play` hands it).
    start : state that the page opens with, of the form of `window.simlab.state`.
    source : where the problem comes from, for the page's exports: "title", "file", and "table", its [problem].
    force : replace a file that exists.

    Raises InputError where bokeh (extra `play`) is missing, for a problem without independent modes, and where the file
    cannot be written.
    """
    target = check_path("path", path)
    text = page_source(problem, start=start, source=source)
    with fresh_file(target, force) as partial:
        partial.write_text(text, encoding="utf-8")
    return target


def engine_source() -> str:
    """The JavaScript of the engine, which runs in the worker and in any other interpreter."""
    return "\n".join([shapes_source(), *map(_script, ENGINE)])


def page_source(
    problem: Any = None, *, start: dict[str, Any] | None = None, source: dict[str, Any] | None = None
) -> str:
    """The whole page (see `write`)."""
    handed = isinstance(problem, Mapping) and "optima" in problem
    spectrum = problem if problem is None or handed else spectrum_of(problem)
    labels = OF_TWIN if handed else OF_PROBLEM
    scripts, divisions, bokeh = _embedded(labels)
    told = source or {}
    data = {
        "version": __version__,
        "palette": PALETTE[:4],
        "start": START if start is None else start,
        "starts": starts(),
        "spectrum": spectrum,
        "title": told.get("title", "" if problem is None else repr(problem)),
        "file": told.get("file"),
        "table": told.get("table"),
        **_looks(),
    }
    parts = {
        "style": _text("style.css"),
        "bokeh": bokeh,
        "engine": engine_source(),
        "data": _json(data),
        "page": "\n".join(map(_script, PAGE)),
        "start": scripts,
        **labels._asdict(),
        **divisions,
    }
    page = _text("page.html")
    for name, text in parts.items():
        page = page.replace(f"@@{name}@@", text)
    return page


def _looks() -> dict[str, Any]:
    from simlab.playground.figures import BANDS, FIGURES

    return {"bands": BANDS, "figures": FIGURES}


def _embedded(labels: Labels) -> tuple[str, dict[str, str], str]:
    """The script that makes the figures and then starts the page, the place of each figure, and Bokeh itself."""
    try:
        from bokeh.embed import components
        from bokeh.resources import Resources
    except ImportError:
        raise InputError(f"the playground needs Bokeh; {install('play')}.") from None
    from simlab.playground.figures import figures

    script, divisions = components(figures(labels))
    resources = Resources(mode="inline", components=["bokeh"])
    # Its last script sets the level of its log, and says so in the console.
    library = "\n".join(f"<script>\n{text}\n</script>" for text in resources.js_raw[:-1])
    begin = (
        f'<script>Bokeh.logger.set_level("error");</script>\n{script}\n<script>\n'
        "(function wait() {\n"
        '  const data = JSON.parse(document.getElementById("data").textContent);\n'
        "  const ready = window.Bokeh?.documents.length && Bokeh.documents[0].is_idle !== false;\n"
        "  if (ready) startPage(data);\n  else setTimeout(wait, 10);\n})();\n</script>"
    )
    return begin, divisions, library


def _text(name: str) -> str:
    return (files("simlab.playground") / name).read_text(encoding="utf-8")


def _script(name: str) -> str:
    return _text(f"js/{name}.js")


def _json(data: Any) -> str:
    """JSON that may stand in a page."""
    if not all(map(math.isfinite, _numbers(data))):
        raise InputError(" holds a number that is not finite, which a page cannot show; give finite ones.", "problem")
    return json.dumps(data, separators=(",", ":")).replace("</", "<\\/")


def _numbers(data: Any) -> list[float]:
    if isinstance(data, dict):
        return [x for value in data.values() for x in _numbers(value)]
    if isinstance(data, list | tuple):
        return [x for value in data for x in _numbers(value)]
    return [float(data)] if isinstance(data, float) else []
