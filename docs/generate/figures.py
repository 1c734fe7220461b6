"""The gallery: every figure, its setting and picture, and its claims with the verdicts that are known."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from simlab.figures.gallery.expected import expected
from simlab.figures.gallery.outcome import Entry, entries
from simlab.figures.measurements import measured

__all__ = ["Pictures", "drawable", "pages"]

ROOT = Path(__file__).resolve().parents[2]
DRAWN = "SIMLAB_GALLERY"
"""Environment variable: the folder of a gallery that `simlab reproduce` wrote; by default the one in the checkout."""

HEAD = """# Gallery

Figures of the literature and results of this project, computed afresh by `simlab reproduce`; verdicts as they stand at
`--quick`. A claim is *reproduced* under the paper's own setting, holds for parameters *chosen* here, holds with
something *substituted* (a regression for a language model), or is *not reproduced*; statements of this project *hold*
or *do not hold*. {doc}`../questions/theorem` says how they are judged.

A picture at the tiny size was drawn by the build of this site in about a second, from runs so small that it need not
show what is claimed; those at `--quick` are taken from the folder `gallery` of a checkout in which
`simlab reproduce --quick` has run (under 4 minutes on two cores).
"""


def pages(target: Path) -> dict[str, str]:
    """Name of file -> text; pictures that a gallery has are copied below `target`, the others come by `Pictures`."""
    listed = sorted(entries().values(), key=lambda e: (e.figure.year, e.figure.paper, e.figure.id))
    blocks: list[str] = []
    for paper, group in groupby(listed, key=lambda entry: entry.figure.paper):
        blocks += [f"## {paper}\n", *(block for entry in group for block in _figure(entry, target))]
    return {"gallery.md": "\n".join([HEAD, *blocks])}


def drawable(entry: Entry) -> bool:
    """Whether the figure can be drawn here: some need measurements that are not shipped."""
    return not entry.figure.needs or measured(entry.figure.needs).is_dir()


def _figure(entry: Entry, target: Path) -> Iterator[str]:
    figure = entry.figure
    yield f"### {figure.title}\n\n`simlab reproduce {figure.id} --quick`. {figure.setting}\n"
    kept = Path(os.environ.get(DRAWN, ROOT / "gallery")) / "quick" / figure.id / "figure.png"
    if kept.exists():
        (target / "quick").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, target / "quick" / f"{figure.id}.png")
        yield f"![{figure.title}](quick/{figure.id}.png)\n"
    elif drawable(entry):
        yield f"![{figure.title}](tiny/{figure.id}.png)\n\n*At the tiny size.*\n"
    yield "\n".join(f"- {verdict}: {text}" for text, verdict in expected("quick").get(figure.id, {}).items()) + "\n"


class Pictures:
    """Pictures of the tiny size, drawn by a process of their own while Sphinx reads the other pages.

    The gallery is read last, and waits for them.
    """

    page = "generated/gallery"

    def __init__(self, target: Path) -> None:
        command = [sys.executable, "-m", "generate.draw", str(target / "tiny")]
        self._process = subprocess.Popen(command, cwd=ROOT / "docs", env={**os.environ, "MPLBACKEND": "agg"})

    def order(self, _app: object, _env: object, names: list[str]) -> None:
        """Of Sphinx's event env-before-read-docs."""
        names.sort(key=lambda name: name == self.page)

    def wait(self, _app: object, name: str, _text: list[str]) -> None:
        """Of source-read."""
        if name == self.page and self._process.wait() != 0:
            raise RuntimeError("a figure of the gallery was not drawn; what stands above says why.")

    def end(self, _app: object, _error: object) -> None:
        """Of build-finished: a build that did not come to the gallery leaves nothing running."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
