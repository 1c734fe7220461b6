"""The gallery: every figure, its setting, and its claims with the verdicts that are known."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from simlab.figures.gallery.expected import expected
from simlab.figures.gallery.outcome import entries
from simlab.figures.reproduction import Reproduction

__all__ = ["pages"]

DRAWN = "SIMLAB_GALLERY"
"""Environment variable: the folder of a gallery that `simlab reproduce --quick` wrote, for its pictures."""


def pages(target: Path) -> dict[str, str]:
    """Name of file -> text; pictures are copied below `target`."""
    figures = sorted(
        (entry.figure for entry in entries().values()), key=lambda figure: (figure.year, figure.paper, figure.id)
    )
    drawn = Path(os.environ[DRAWN]) / "quick" if DRAWN in os.environ else None
    blocks: list[str] = []
    for paper, group in groupby(figures, key=lambda figure: figure.paper):
        blocks += [f"## {paper}\n", *(block for figure in group for block in _figure(figure, drawn, target))]
    head = """# Gallery

Figures of the literature and results of this project, computed afresh by `simlab reproduce`; verdicts as they stand at
`--quick`. A claim is *reproduced* under the paper's own setting, holds for parameters *chosen* here, holds with
something *substituted* (a regression for a language model), or is *not reproduced*; statements of this project *hold*
or *do not hold*.
"""
    return {"gallery.md": "\n".join([head, *blocks])}


def _figure(figure: Reproduction, drawn: Path | None, target: Path) -> Iterator[str]:
    yield f"### {figure.title}\n\n`simlab reproduce {figure.id} --quick`. {figure.setting}\n"
    picture = drawn / figure.id / "figure.png" if drawn else None
    if picture and picture.exists():
        (target / "pictures").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, target / "pictures" / f"{figure.id}.png")
        yield f"![{figure.title}](pictures/{figure.id}.png)\n"
    yield "\n".join(f"- {verdict}: {text}" for text, verdict in expected("quick").get(figure.id, {}).items()) + "\n"
