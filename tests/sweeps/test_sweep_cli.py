"""simlab sweep, show and store on the command line."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

import simlab as sl
from simlab.cli import app
from simlab.sweeps import Store

ROOT = Path(__file__).resolve().parents[2]
FILE = """
[problem]
kind = "power_law"
dim = 30
capacity = 1.5
source = 1.3
noise_variance = 0.1

[schedule]
kind = "wsd"
steps = 40
peak = 0.1

[record]
steps = 3

[sweep]
"schedule.peak" = {log = [0.02, 0.5], points = 4}
"schedule.kind" = ["wsd", "cosine"]
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("e.toml").write_text(FILE, encoding="utf-8")
    return tmp_path


def simlab(*arguments: object, code: int = 0) -> str:
    """The output of a command; standard error where it is refused."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.stderr if code == 2 else result.stdout


def refused(*arguments: object) -> str:
    text = simlab(*arguments, code=2)
    assert text.startswith("simlab: ")
    assert text.count("\n") == 1
    return text


def test_sweep_show_and_store(here):
    out = simlab("sweep", "e.toml")
    assert "8 cells, 0 of them in e.zarr already; about" in out
    assert "e.zarr: computed 8, reused 0; 8 done" in out
    assert "e.zarr: computed 0, reused 8; 8 done" in simlab("sweep", "e.toml")
    with Store("e.zarr") as store:
        assert store.dims == {"schedule.peak": 4, "schedule.kind": 2}
        risk = store.dataset()["final_risk"].sel({"schedule.kind": "cosine", "schedule.peak": 0.5})
    tree = {**sl.experiment.document.read_toml("e.toml")}
    tree = {**{k: tree[k] for k in ("problem", "record")}, "schedule": {"kind": "cosine", "steps": 40, "peak": 0.5}}
    alone = sl.Experiment.from_dict(tree).run(progress=False)
    assert float(risk.sum()) == pytest.approx(float(alone.final().sum()), rel=1e-12)

    text = simlab("show", "e.zarr", "-o", "e.png")
    assert Path("e.png").read_bytes().startswith(b"\x89PNG")
    assert "best of each" in text
    assert text.endswith("e.png\n")
    text = simlab("show", "e.zarr", "--where", "schedule.kind=cosine", "-x", "schedule.peak", "-y", "schedule.kind",
                  "-o", "map.pdf")  # fmt: skip
    assert "wsd" not in text
    assert Path("map.pdf").read_bytes().startswith(b"%PDF")

    assert "8 cells verified, 0 damaged, 0 not there yet" in simlab("store", "check", "e.zarr")
    assert "files before" in simlab("store", "compact", "e.zarr")
    simlab("store", "export", "e.zarr", "-o", "e.csv")
    assert len(Path("e.csv").read_text(encoding="utf-8").splitlines()) == 9


def test_a_damaged_store_is_seen_and_mended(here):
    simlab("sweep", "e.toml", "-o", "out")
    with Store("out") as store:
        store.chunks(0)[0].write_bytes(b"nonsense")
    assert "1 damaged" in simlab("store", "check", "out", code=1)
    assert "computed 1 (1 of these were damaged), reused 7" in simlab("sweep", "e.toml", "-o", "out")
    assert "8 cells verified" in simlab("store", "check", "out")


def test_dry_run_lists_the_cells_and_writes_nothing(here):
    out = simlab("sweep", "e.toml", "--dry-run")
    lines = out.splitlines()
    assert lines[0] == "0: schedule.peak=0.02, schedule.kind=wsd"
    assert len(lines) == 9
    assert "8 cells (4 schedule.peak x 2 schedule.kind), on one thread about" in lines[-1]
    assert [p.name for p in here.iterdir()] == ["e.toml"]


def test_refusals_are_one_line(here):
    assert "[sweep] makes many experiments of this one; run them with simlab sweep" in refused("run", "e.toml")
    Path("plain.toml").write_text(FILE.partition("[sweep]")[0], encoding="utf-8")
    assert "[sweep] is missing" in refused("sweep", "plain.toml")
    Path("bad.toml").write_text(FILE.replace("schedule.peak", "schedule.pek"), encoding="utf-8")
    assert "did you mean 'peak'?" in refused("sweep", "bad.toml")
    assert "is no store of a sweep" in refused("show", ".")
    assert "is no store of a sweep" in refused("store", "check", "nowhere")
    assert "cluster = 'nonsense' is no address" in refused("sweep", "e.toml", "--cluster", "nonsense")
    simlab("sweep", "e.toml")
    Path("other.toml").write_text(FILE.replace("dim = 30", "dim = 31"), encoding="utf-8")
    text = refused("sweep", "other.toml", "-o", "e.zarr")
    assert "e.zarr holds another sweep: experiment.problem.dim is 30 there and 31 here" in text


def entered(ledger: str) -> int:
    """How many blocks a ledger that another process is writing has by now."""
    try:
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT count(*) FROM blocks").fetchone()[0]
    except sqlite3.Error:  # not there yet, or being written
        return 0


@pytest.mark.thorough
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(here):
    """A real SIGINT to a real process, once the first cells are in the store."""
    long = (
        FILE.replace("steps = 40", "steps = 400_000")
        .replace("dim = 30", "dim = 300")
        .replace("points = 4", "points = 8")
    )
    Path("e.toml").write_text(long, encoding="utf-8")
    command = [sys.executable, "-c", "from simlab.cli import main; main()", "sweep", "e.toml", "--threads", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120.0
    while running.poll() is None and time.monotonic() < deadline:
        if entered("e.zarr/ledger.sqlite"):
            break
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 130, (out, err)
    assert "start the same command again to go on" in err
    assert "Traceback" not in err
    with Store("e.zarr") as store:
        counts = store.ledger.counts()
    assert 0 < counts.get("done", 0) < 16
    assert counts.get("interrupted", 0) > 0
    again = simlab("sweep", "e.toml")
    assert f"computed {16 - counts['done']}, reused {counts['done']}; 16 done" in again
