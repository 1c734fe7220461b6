"""The notebooks: pairs that agree, as a newcomer needs them, and run by nbmake with the exercises' solutions.

Running needs the extra `notebooks`; without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="the notebooks need: pip install -e '.[notebooks]'")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbmake")

from notebooks.build import KERNEL, PLAIN, SLIDER  # noqa: E402 (needs what may be missing)

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9]*.py"))
MOST_BYTES = 1_000_000
SOLUTION = re.compile(r"<details>(.*?)</details>", re.DOTALL)
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.^])[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")

pytestmark = pytest.mark.notebooks


def stored(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def prose(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def solutions(notebook):
    """The code of every solution, in order."""
    return ["\n".join(CODE.findall(block)) for block in SOLUTION.findall(prose(notebook))]


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def said(notebook):
    """What the cells print as prose, one text each."""
    return [
        output["data"]["text/markdown"] for output in outputs(notebook) if "text/markdown" in output.get("data", {})
    ]


def typed_numbers(text):
    """Decimals, percentages and factors outside equations, code, links and the numbers of theorems."""
    for pattern in (CODE, re.compile(r"\$\$.*?\$\$", re.DOTALL), re.compile(r"\$[^$]*\$"), re.compile(r"`[^`]*`")):
        text = pattern.sub(" ", text)
    text = re.sub(r"\[[^\]]*\]\([^)]*\)", " ", text)
    text = re.sub(r"\b([Tt]heorem|[Ss]ection|[Ee]quation|[Tt]able)s? [\d.]+(( and|,) [\d.]+)*", " ", text)
    return sorted(m.group() for m in re.finditer(r"\d+e-?\d+|\d+(\.\d+)?\s?(%|times\b|x\b)|\d+\.\d+", text))


def nbmake(notebook, folder):
    """(how pytest --nbmake ended, the notebook as it ran)."""
    copy = folder / "copy.ipynb"
    notebook.metadata["kernelspec"] = KERNEL
    nbformat.write(notebook, copy)
    command = [sys.executable, "-m", "pytest", "--nbmake", "--overwrite", "--nbmake-timeout=300", "-q"]
    alone = ["-p", "no:cacheprovider", "-p", "no:xdist", "-c", os.devnull, "--rootdir", str(folder), str(copy)]
    done = subprocess.run([*command, *alone], capture_output=True, text=True, cwd=folder)
    return done, nbformat.read(copy, as_version=4)


def complaints(notebook):
    """What the cells wrote on standard error."""
    streams = [output for output in outputs(notebook) if output.output_type == "stream"]
    return [output.text for output in streams if output.name == "stderr"]


each = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def test_the_course_is_whole():
    names = [path.stem for path in SOURCES]
    assert [name[:2] for name in names] == [f"{i:02d}" for i in range(1, 14)]
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == names
    listed = (FOLDER / "README.md").read_text()
    assert all(f"({name}.ipynb)" in listed for name in names)


@each
def test_the_pair_agrees(source):
    pair = [
        [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]
        for notebook in (jupytext.read(source), stored(source))
    ]
    assert pair[0] == pair[1], f"run: python notebooks/build.py {source.stem}"


@each
def test_stored_as_it_ran(source):
    """Run once from top to bottom, every picture kept, no widget (it would show nothing), small, no path inside."""
    path = source.with_suffix(".ipynb")
    notebook = stored(source)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert path.stat().st_size < MOST_BYTES
    assert sum("image/png" in output.get("data", {}) for output in outputs(notebook)) >= 3
    assert all(not cell.outputs for cell in cells if SLIDER in cell.metadata.get("tags", []))
    assert all(output.output_type in ("display_data", "execute_result") for output in outputs(notebook))
    text = json.dumps(outputs(notebook))
    assert not re.search(r"/(home|work|root|tmp|Users)/", text)
    assert not re.search(r"<Figure size", "".join(said(notebook)))


@each
def test_built_as_a_lesson(source):
    text = prose(stored(source))
    for part in ("# ", "**Goal.**", "**Prerequisites.**", "arxiv.org/abs/", "$$", "## Exercises"):
        assert part in text, part
    assert text.rstrip().split("\n## ")[-1].startswith("What this does not tell you")
    code = solutions(stored(source))
    assert len(code) >= 3
    assert all("assert " in each for each in code), "a solution that says something must check it"
    assert "What to see" in "".join(said(stored(source)))


@each
def test_no_number_is_typed_into_the_prose(source):
    assert not typed_numbers(prose(stored(source)))


def test_a_typed_number_is_found():
    assert typed_numbers("falls by 12 % to 0.3, 4 times as fast") == ["0.3", "12 %", "4 times"]
    assert not typed_numbers(
        "by $0.3$ and `0.5` (Theorems 2.1 and 2.2, [arXiv 2103.12692](x)), in 2 steps of notebook 1"
    )


@each
def test_runs_and_the_solutions_too(source, tmp_path):
    """By nbmake, the solutions as cells at the end; nothing on standard error, and the prose's numbers as stored."""
    notebook, kept = jupytext.read(source), stored(source)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(PLAIN))
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in solutions(kept)]
    done, ran = nbmake(notebook, tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    assert not complaints(ran)
    for now, before in zip(said(ran), said(kept), strict=True):
        assert NUMBER.sub("#", now) == NUMBER.sub("#", before)
        for a, b in zip(NUMBER.finditer(now), NUMBER.finditer(before), strict=True):
            assert float(a.group()) == pytest.approx(float(b.group()), rel=0.02, abs=1e-12), (now, before)


def test_an_error_and_a_warning_are_found(tmp_path):
    cells = ["import warnings; warnings.warn('mind this')", "assert False, 'wrong answer'"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    done, _ = nbmake(notebook, tmp_path)
    assert done.returncode != 0
    assert "wrong answer" in done.stdout
    notebook.cells.pop()
    done, ran = nbmake(notebook, tmp_path)
    assert done.returncode == 0
    assert "mind this" in complaints(ran)[0]
