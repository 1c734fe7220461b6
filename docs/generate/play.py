"""The playground, if it is part of this version and its extra is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

__all__ = ["pages"]


def pages(target: Path) -> dict[str, str]:
    """The page that embeds it, and the file itself below `target`/extra."""
    (target / "extra").mkdir(parents=True, exist_ok=True)
    if find_spec("bokeh") is None or find_spec("simlab.playground") is None:
        return {"playground.md": "# Playground\n\n`pip install '.[play]' && simlab play --open` writes it.\n"}
    from simlab.playground import write

    page = target / "extra" / "playground.html"
    page.unlink(missing_ok=True)  # that of the build before
    write(page)
    return {
        "playground.md": """# Playground

Drag a schedule, and see which eigen-subspaces pay for it. One file, which `simlab play` writes:
<a href="../playground.html">open it alone</a>.

<iframe src="../playground.html" style="width: 100%; height: 1450px; border: 0" title="playground"></iframe>
"""
    }
