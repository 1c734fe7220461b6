"""Run the notebooks and keep what they show: python notebooks/build.py [NAME ...], all of them by default.

Every .py here but this one is the source of a notebook; its .ipynb is written anew, with outputs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent
SLIDER = "slider"
"""The tag of cells with widgets: nothing of them is kept, for nothing of them shows where no kernel runs."""
PLAIN = (
    "import ipywidgets; made = ipywidgets.interactive.widget_from_abbrev; "
    "ipywidgets.interact = lambda f, **given: f(**{name: made(w).value for name, w in given.items()})"
)
"""What a kernel with nobody at the sliders starts with: one call at their values, whose errors show.

A real `interact` would hide them, and now and then leaves nbclient waiting until its timeout (it sends on a socket that
it also polls).
"""
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}


def sources(names: list[str]) -> list[Path]:
    """The paired scripts, all of them or those whose name contains one of `names`."""
    every = sorted(path for path in FOLDER.glob("[0-9]*.py"))
    return [path for path in every if not names or any(name in path.stem for name in names)]


def execute(source: Path) -> Any:
    """The notebook of a script, run from top to bottom; raises nbclient's CellExecutionError where a cell fails."""
    notebook = jupytext.read(source)
    notebook.metadata["kernelspec"] = KERNEL
    client = NotebookClient(
        notebook,
        timeout=300,
        resources={"metadata": {"path": str(FOLDER)}},
        extra_arguments=[f"--IPKernelApp.exec_lines={PLAIN}"],
    )
    client.execute()
    return notebook


def tidy(notebook: Any) -> Any:
    """Without what differs from run to run (times, random ids, the interpreter's version), and without widgets."""
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:02d}"
        cell.metadata.pop("execution", None)
        if SLIDER in cell.metadata.get("tags", []):
            cell["outputs"] = []
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return notebook


def main(names: list[str]) -> int:
    for source in sources(names):
        target = source.with_suffix(".ipynb")
        nbformat.write(tidy(execute(source)), target)
        print(f"{target.name}: {target.stat().st_size / 1024:.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
