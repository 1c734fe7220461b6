"""The README's example works when pasted, and what it shows and points to exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_example_runs_as_pasted(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "done at step 20000" in done.stdout
    assert (tmp_path / "schedules.png").stat().st_size > 10_000


def test_it_is_one_screen():
    assert len(README.splitlines()) <= 80


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").rglob("*.md")) if "generated" not in p.parts),
    ],
)
def test_what_a_page_links_to_exists(page):
    text = (ROOT / page).read_text()
    for shown, target in re.findall(r"(!?)\[[^]]+\]\(([^):]+)\)", text):
        assert ((ROOT / page).parent / target).stat().st_size > (10_000 if shown else 0), target


def test_every_question_has_its_row():
    """A page of `docs/questions` that the README's table does not name is not found by who begins there."""
    for page in (ROOT / "docs/questions").glob("*.md"):
        assert f"(docs/questions/{page.name})" in README, page.name
