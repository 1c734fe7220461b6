"""The bar shows itself on a terminal when a run is long, whatever the terminal says of its width, and nowhere else."""

from __future__ import annotations

import os
import select
import subprocess
import sys

import pytest

from simlab import progress

LONG = """
from simlab import progress
progress.PATIENCE = 0.0
bar = progress.ProgressBar("exact", "steps")
for done in range(4):
    bar(done, 4)
bar.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_shown_on_a_terminal_of_unknown_width():
    """A new pseudo-terminal has 0 columns, at which tqdm on its own draws nothing."""
    master, slave = os.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    subprocess.run([sys.executable, "-c", LONG], stderr=slave, stdout=slave, stdin=slave, env=environment, check=True)
    assert select.select([master], [], [], 1.0)[0], "nothing was drawn"
    shown = os.read(master, 65536).decode()
    os.close(slave)
    os.close(master)
    assert "exact:   0%" in shown
    assert "<" in shown
    assert "steps/s" in shown


def test_silent_when_not_a_terminal():
    done = subprocess.run([sys.executable, "-c", LONG], capture_output=True, check=True)
    assert done.stdout + done.stderr == b""


def test_silent_while_a_run_is_short(capfd):
    bar = progress.ProgressBar("exact", "steps", True)
    bar(1, 2)
    bar.close()
    assert capfd.readouterr().err == ""
