"""Draw every figure of the gallery at its tiny size, but for those that are there: python -m generate.draw FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

from simlab.figures.gallery.fingerprint import fingerprints
from simlab.figures.gallery.outcome import entries

from generate.figures import drawable

DOTS = 110
"""An inch; a page is some 750 dots wide."""


def main(folder: Path) -> None:
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    for entry in filter(drawable, entries().values()):
        figure, note = entry.figure, folder / f"{entry.figure.id}.txt"
        _, mark = fingerprints(figure, entry.module, "tiny")
        if note.exists() and note.read_text(encoding="utf-8") == mark:
            continue
        drawn = figure.draw(figure.compute("tiny"))
        drawn.savefig(folder / f"{figure.id}.png", dpi=DOTS)
        plt.close(drawn)
        note.write_text(mark, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
