"""The course, as it is kept: with its outputs."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["pages"]

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"


def pages(target: Path) -> dict[str, str]:
    """Name of file -> text; the notebooks themselves are copied below `target`."""
    books = sorted(FOLDER.glob("*.ipynb"))
    (target / "notebooks").mkdir(parents=True, exist_ok=True)
    for book in books:
        shutil.copyfile(book, target / "notebooks" / book.name)
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    toc = "\n".join(book.stem for book in books)
    return {"notebooks/index.md": f"{text}\n```{{toctree}}\n:hidden:\n\n{toc}\n```\n"}
