"""Pages that follow from the code: they are written anew by every build and kept nowhere."""

from __future__ import annotations

from pathlib import Path

from generate import figures, lists, notebooks, play, reference, theorems

__all__ = ["write_all"]


def write_all(target: Path) -> None:
    """All generated pages, below `target`. A page that is as it was keeps its time, so that Sphinx skips it."""
    pages = {
        **theorems.pages(),
        **reference.pages(),
        **lists.pages(),
        **figures.pages(target),
        **notebooks.pages(target),
        **play.pages(target),
    }
    for name, text in pages.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
