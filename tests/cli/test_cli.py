"""The command line: outputs, exit codes, refusals in one line, Ctrl-C, and what `--help` may import."""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import simlab as sl
from simlab import doctor
from simlab.experiment import Experiment
from simlab.experiment.report import OUTPUTS
from simlab.files import fresh_file
from simlab.schedules.registry import FAMILIES
from tests.oracles.commands import invoke

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = """\
[problem]
kind = "power_law"
dim = 12
capacity = 1.5
source = 1.4
noise_variance = 0.1

[schedule]
kind = "wsd"
steps = 40
peak = 0.2
cooldown = 10

[method]
kind = "sgd"

[record]
subspaces = "head_tail(3)"
"""
COMPARED = EXPERIMENT + '\n[[compare.schedules]]\n[[compare.schedules]]\nlabel = "hot"\npeak = 30.0\n'


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder that holds e.toml."""
    monkeypatch.chdir(tmp_path)
    Path("e.toml").write_text(EXPERIMENT, encoding="utf-8")
    return tmp_path


def simlab(*arguments: object, code: int = 0) -> str:
    """Run in this process; standard output, or standard error where a failure is expected."""
    ended, out, err = invoke(*arguments)
    assert ended == code, out + err
    return err if code else out


def refused(*arguments: object) -> str:
    """The one line of a refusal."""
    before = listing()
    text = simlab(*arguments, code=2)
    assert text.startswith("simlab: ")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    assert listing() == before
    return text


def listing() -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(Path().rglob("*")) if p.is_file()}


def shell(
    *arguments: object, program: str = "from simlab.cli import main; main()", **options
) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False, **options)


# -- simlab run


@pytest.mark.thorough
def test_run_writes_everything_and_prints_the_table(here):
    out = simlab("run", "e.toml")
    folder = here / "e-results"
    assert {p.name for p in folder.iterdir()} == set(OUTPUTS) - {"sampled.zarr"}
    assert (folder / "experiment.toml").read_text(encoding="utf-8") == EXPERIMENT
    assert (folder / "risk.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "risk.pdf").read_bytes().startswith(b"%PDF")
    trace = sl.RiskTrace.load(folder / "trace.zarr")
    assert json.loads(trace.dataset.attrs["experiment"]) == Experiment.from_file("e.toml").to_dict()
    bias, variance = trace.final().sel(subspace="head").values
    assert f"  head    {bias:>13.5e}{variance:>13.5e}{bias + variance:>13.5e}" in out
    total = trace.final().values.sum(axis=1)
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.startswith("  ")}
    assert rows["subspace"] == ["bias", "variance", "risk"]
    assert rows["total"] == [f"{value:.5e}" for value in (*total, total.sum())]
    assert "sgd(wsd(40, peak=0.2, cooldown=10), batch=1): done at step 40" in out
    assert [p.name for p in here.iterdir() if p.name.startswith(".")] == []


def test_a_diverged_run_is_a_result(here):
    Path("e.toml").write_text(COMPARED, encoding="utf-8")
    out = simlab("run", "e.toml", "-o", "out", "--no-figure", "--threads", 1)
    assert sorted(p.name for p in Path("out").iterdir()) == ["experiment.toml", "trace.zarr"]
    trace = sl.RiskTrace.load("out/trace.zarr")
    assert list(trace.status.values) == ["done", "diverged"]
    assert "wsd: done at step 40" in out
    assert f"hot: diverged at step {int(trace.dataset['ended_at'][1])} " in out
    assert "lower schedule.peak; simlab tune FILE.toml wsd finds the best one." in out


def test_force_replaces_results_and_nothing_else(here):
    simlab("run", "e.toml", "-o", "out")
    Path("out/notes.txt").write_text("mine", encoding="utf-8")
    assert "out exists" in refused("run", "e.toml", "-o", "out")
    Path("e.toml").write_text(COMPARED, encoding="utf-8")
    simlab("run", "e.toml", "-o", "out", "--force", "--no-figure")
    assert sorted(p.name for p in Path("out").iterdir()) == ["experiment.toml", "notes.txt", "trace.zarr"]
    assert sl.RiskTrace.load("out/trace.zarr").risk.sizes["run"] == 2


def test_results_in_folders_still_to_be_made_and_in_empty_ones(here):
    simlab("run", "e.toml", "-o", "a/b/c", "--no-figure")
    Path("empty").mkdir()
    simlab("run", "e.toml", "-o", "empty", "--no-figure")
    assert Path("a/b/c/trace.zarr").is_dir()
    assert Path("empty/trace.zarr").is_dir()


def test_an_experiment_that_notices_something(here):
    table = 'kind = "eigenvalues"\neigenvalues = [0.5, 1.0]\ninitial_error = 1.0\nnoise_variance = 0.0\n'
    Path("e.toml").write_text(
        f"[problem]\n{table}[schedule]\nkind = 'constant'\nsteps = 3\npeak = 0.1\n", encoding="utf-8"
    )
    code, _, err = invoke("run", "e.toml", "--no-figure")
    assert code == 0
    assert err.startswith("simlab: note: eigenvalues were not in descending order")
    assert err.count("\n") == 1


@pytest.mark.thorough
def test_init_writes_an_example_that_runs(here):
    simlab("init", "new.toml")
    simlab("run", "new.toml")
    assert Path("new-results/trace.zarr").is_dir()
    assert "new.toml exists" in refused("init", "new.toml")
    simlab("init", "new.toml", "--force")
    simlab("init")
    assert Path("experiment.toml").read_bytes() == Path("new.toml").read_bytes()


def full(*arguments, **options):
    raise OSError(28, "No space left on device", "somewhere")


def test_what_cannot_be_written_leaves_nothing(here, monkeypatch):
    monkeypatch.setattr("simlab.trace.RiskTrace.save", full)
    assert "No space left on device" in refused("run", "e.toml")
    assert [p.name for p in here.iterdir()] == ["e.toml"]


@pytest.mark.thorough
@pytest.mark.parametrize("how", [full, lambda *a, **k: 1 / 0], ids=["disk", "bug"])
def test_a_figure_that_fails_costs_nothing_but_itself(how, here, monkeypatch):
    """The trace is on the disk before it is drawn; of an earlier run nothing stands beside it."""
    simlab("run", "e.toml", "-o", "out")
    old = Path("out/trace.zarr").stat().st_ino
    monkeypatch.setattr("simlab.plot.save", how)
    said = simlab("run", "e.toml", "-o", "out", "--force", code=2)
    assert re.fullmatch(r"simlab: risk.png and risk.pdf could not be drawn \(.*\); the results are in out\.\n", said)
    assert sorted(p.name for p in Path("out").iterdir()) == ["experiment.toml", "trace.zarr"]
    assert Path("out/trace.zarr").stat().st_ino != old
    assert sl.RiskTrace.load("out/trace.zarr").status.item() == "done"


def test_an_interrupt_at_the_figure_says_where_the_trace_is(here, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("simlab.plot.save", interrupt)
    said = simlab("run", "e.toml", "-o", "out", code=130)
    assert said == "simlab: interrupted; risk.png and risk.pdf not drawn, the results are in out.\n"
    assert sorted(p.name for p in Path("out").iterdir()) == ["experiment.toml", "trace.zarr"]


def test_a_fresh_file_keeps_the_old_one_on_failure(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")

    def fail() -> None:
        with fresh_file(path, force=True) as partial:
            partial.write_text("half", encoding="utf-8")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


# -- interruption

STOPPED = """
import os, signal
from simlab.progress import ProgressBar
sent = []
def interrupt(self, done, total):
    if done and not sent:
        sent.append(1)
        os.kill(os.getpid(), signal.SIGNAL)
ProgressBar.__call__ = interrupt
from simlab.cli import main
main()
"""


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_keeps_the_trace_so_far(name, code, here):
    """Ctrl-C, and what a scheduler sends before it kills."""
    text = EXPERIMENT.replace("steps = 40", "steps = 200_000_000").replace("dim = 12", "dim = 500")
    Path("e.toml").write_text(text, encoding="utf-8")
    done = shell("run", "e.toml", "-o", "out", program=STOPPED.replace("SIGNAL", name))
    assert done.returncode == code, done.stderr
    assert done.stderr == "simlab: interrupted; the trace up to there is in out.\n"
    trace = sl.RiskTrace.load("out/trace.zarr")
    assert trace.status.item() == "interrupted"
    assert 0 < int(trace.dataset["ended_at"]) < 200_000_000
    assert f"): interrupted at step {int(trace.dataset['ended_at'])}" in done.stdout
    assert [p.name for p in here.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("command", ["run", "river", "demo", "sweep", "reproduce", "validate", "doctor"])
def test_every_command_hears_sigterm_once(command, here, monkeypatch):
    """As Ctrl-C, with an exit code of its own; a second one does not disturb what is being written."""
    heard = []

    def terminated(*arguments, **options):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5.0)
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGTERM)
            heard.append(1)
            raise

    where = {
        "run": "simlab.experiment.Experiment.run", "river": "simlab.showcase.valley.canonical_trace",
        "demo": "simlab.showcase.demo.compare", "sweep": "simlab.sweeps.sweep_of",
        "reproduce": "simlab.figures.gallery.reproduce.reproduce", "validate": "simlab.conformance.validate.validate",
        "doctor": "simlab.doctor.report",
    }  # fmt: skip
    monkeypatch.setattr(where[command], terminated)
    said = simlab(command, *(["e.toml"] if command in ("run", "sweep") else []), code=143)
    assert said.startswith("simlab: interrupted")
    assert ("nothing was written" in said) == (command in ("run", "river", "demo"))
    assert heard == [1]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert [p.name for p in here.iterdir()] == ["e.toml"]


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("command", ["demo", "river"])
def test_no_figure_takes_a_part_for_the_whole(command, name, code, here, monkeypatch):
    """Engines answer an interrupt with what they have; what is made of it would be wrong without a word."""
    door = {"demo": "simlab.showcase.demo.compare", "river": "simlab.showcase.valley.canonical_trace"}[command]

    def partial(*arguments, **options):
        try:
            signal.raise_signal(getattr(signal, name))
        except KeyboardInterrupt:
            return None

    monkeypatch.setattr(door, partial)
    before = signal.getsignal(signal.SIGINT)
    assert simlab(command, code=code) == "simlab: interrupted; nothing was written.\n"
    assert signal.getsignal(signal.SIGINT) is before
    assert [p.name for p in here.iterdir()] == ["e.toml"]


def test_the_library_and_other_threads_leave_signals_alone(here):
    code = (
        "import signal, threading, sys\nimport simlab, simlab.cli\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "def run():\n    try: simlab.cli.main(['--version'])\n    except SystemExit as left: codes.append(left.code)\n"
        "codes = []; t = threading.Thread(target=run); t.start(); t.join(); assert codes == [0], codes\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ctrl_c_before_there_is_a_trace(here, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "run", interrupt)
    assert simlab("run", "e.toml", code=130) == "simlab: interrupted; nothing was written.\n"
    assert [p.name for p in here.iterdir()] == ["e.toml"]


# -- schedules


def test_schedules_are_listed_and_drawn(here):
    out = simlab("schedules")
    assert all(f"\n{kind} " in f"\n{out}" for kind in FAMILIES)
    assert "1-sqrt" in out
    assert simlab("schedules", "WSD-S").startswith("wsd_s  ")
    simlab("schedules", "-o", "all.png", "--steps", 300)
    simlab("schedules", "cosine", "wsd", "-o", "two.svg")
    assert Path("all.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in Path("two.svg").read_text(encoding="utf-8")
    assert "all.png exists" in refused("schedules", "-o", "all.png")


def test_a_schedule_is_drawn_by_name_and_from_a_file(here):
    words = ("--steps", 100, "-p", "peak=0.1", "-p", "shape=1-sqrt", "-p", "cooldown=20")
    assert "wsd(100, peak=0.1, cooldown=20, shape='1-sqrt')" in simlab("schedule", "plot", "wsd", *words, "-o", "a.pdf")
    assert "wsd(60, peak=0.2, cooldown=10)" in simlab("schedule", "plot", "e.toml", "--steps", 60, "-o", "b.png")
    assert Path("a.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("style", ["csv", "json", "torch", "optax", "transformers"])
def test_a_schedule_is_exported(here, style):
    schedule = sl.schedules.wsd(40, peak=0.2, cooldown=10)
    simlab("schedule", "export", "e.toml", "--format", style, "-o", "out.txt")
    text = Path("out.txt").read_text(encoding="utf-8")
    if style == "csv":
        rows = list(csv.DictReader(text.splitlines()))
        np.testing.assert_array_equal([float(row["lr"]) for row in rows], schedule.values())
    elif style == "json":
        assert sl.schedules.from_dict(json.loads(text)) == schedule
    else:
        assert text == getattr(sl.schedules, f"to_{style}")(schedule)
    assert "out.txt exists" in refused("schedule", "export", "e.toml", "--format", style, "-o", "out.txt")
    simlab("schedule", "export", "e.toml", "--format", style, "-o", "out.txt", "--force")


def test_what_is_too_long_for_a_module_is_exported_beside_it(here, monkeypatch):
    monkeypatch.setattr("simlab.schedules.rows.EMBEDDED", 2_000)
    values = np.random.default_rng(0).uniform(0.1, 1.0, 3_000)
    sl.schedules.to_csv(sl.schedules.from_array(values), "long.csv")
    words = ("schedule", "export", "csv", "-p", "path=long.csv", "--format", "optax", "-o")
    assert "long.py and long.npz, which belongs beside it: from_array(<3000" in simlab(*words, "long.py")
    with np.load("long.npz") as data:
        np.testing.assert_array_equal(data["_ROW1"], values)
    Path("long.py").unlink()
    assert "long.npz exists" in refused(*words, "long.py")
    assert not Path("long.py").exists()


# -- doctor, demo, help


def test_doctor_says_what_is_there():
    facts = dict(line.split(maxsplit=1) for line in simlab("doctor").splitlines())
    assert facts["simlab"].startswith(sl.__version__)
    assert facts["numpy"] == np.__version__
    assert {"threads", "cpu", "simd", "kernel", "kernels", "gpu", "cupy", "torch", "jax"} <= set(facts)
    assert "float64 at a time" in facts["simd"]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of x86-64 processors")
def test_doctor_sees_the_width_that_llvm_chooses():
    """The width is read off compiled code: a processor without vectors beyond SSE2 would give 2."""
    assert doctor.vector_lanes() in (2, 4, 8)
    script = "from simlab import doctor; print(doctor.vector_lanes())"
    environment = {**os.environ, "NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 2


def test_demo_is_handed_on(here, monkeypatch):
    seen = {}

    def run(output, **options):
        seen.update(options, output=output)
        options["report"]("its table")
        return output

    monkeypatch.setattr("simlab.showcase.demo.run", run)
    out = simlab("demo", "-o", "shown", "--features", 300, "--force")
    assert out.startswith("its table\n")
    assert (seen["output"], seen["features"], seen["force"]) == (Path("shown"), 300, True)


def test_help_loads_nothing_heavy():
    program = (
        "import sys\nfrom simlab.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "heavy = {'numba', 'xarray', 'scipy', 'matplotlib', 'numpy', 'zarr', 'rich'}\n"
        "heavy |= {'pydantic'} if sys.argv[1:] == ['--help'] else set()  # typer itself loads it for the others\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    for arguments in (["--help"], ["--version"], ["run", "--help"]):
        began = time.monotonic()
        done = shell(*arguments, program=program)
        assert (done.returncode, done.stderr) == (0, "[]\n")
        assert time.monotonic() - began < 5.0  # some 0.1 s on an idle machine
    assert shell("--version").stdout == f"simlab {sl.__version__}\n"


def test_mistakes_of_usage_end_with_2():
    for arguments in (
        ["rum"],
        ["run"],
        ["run", "e.toml", "--nope"],
        ["schedules", "--steps", "x"],
        ["schedule", "export"],
    ):
        code, out, err = invoke(*arguments)
        assert code == 2
        assert "Traceback" not in out + err


# -- refusals

REFUSED = [
    (["run", "none.toml"], ["none.toml", "No such file", "experiment file"]),
    (["run", "."], ["cannot be read", "Is a directory"]),
    (["run", "e.toml", "-o", "e.toml"], ["e.toml is a file", "folder"]),
    (["run", "e.toml", "-o", "e.toml/out"], ["e.toml is a file", "e.toml/out"]),
    (["run", "e.toml", "--threads", "0"], ["threads = 0", "at least 1"]),
    (["init", "missing/e.toml"], ["missing is not a folder", "create it"]),
    (["init", "."], [". is a folder"]),
    (["schedules", "cosin"], ["'cosin'", "did you mean 'cosine'"]),
    (["schedules", "-o", "a.xyz"], ["a.xyz", ".png"]),
    (["schedules", "-o", "a.png", "--steps", "0"], ["steps = 0"]),
    (["schedule", "plot", "cosine", "-o", "a.png"], ["schedule.steps is missing"]),
    (["schedule", "plot", "cosine", "--steps", "9", "-o", "a.png"], ["schedule.peak is missing"]),
    (["schedule", "plot", "cosine", "--steps", "9", "-p", "peak", "-o", "a.png"], ["'peak'", "-p peak=0.1"]),
    (["schedule", "plot", "cosine", "--steps", "9", "-p", "peak=high", "-o", "a.png"], ["schedule.peak = 'high'"]),
    (["schedule", "plot", "cosine", "--steps", "9", "-p", "peek=1", "-o", "a.png"], ["did you mean 'peak'"]),
    (["schedule", "plot", "none.toml", "-o", "a.png"], ["none.toml cannot be read"]),
    (["schedule", "export", "e.toml", "--format", "tourch", "-o", "a.py"], ["--format", "did you mean 'torch'"]),
    (["schedule", "export", "e.toml", "--format", "csv", "-o", "no/a.csv"], ["no is not a folder"]),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=[" ".join(a)[:50] for a, _ in REFUSED])
def test_bad_arguments_are_refused_in_one_line(here, arguments, words):
    text = refused(*arguments)
    assert all(word in text for word in words), text


BAD_FILES = [
    ("[problem\n", ["e.toml is not valid TOML", "line 1, column 9"]),
    (EXPERIMENT.replace("capacity", "capacitty"), ["'capacitty'", "did you mean 'capacity'"]),
    (EXPERIMENT.replace("peak = 0.2", "peak = -0.2"), ["schedule.peak = -0.2"]),
    (EXPERIMENT.replace("steps = 40", "steps = 0"), ["schedule.steps = 0"]),
    (EXPERIMENT.replace("cooldown = 10", "cooldown = 30\nwarmup = 30"), ["schedule.warmup + cooldown = 30 + 30"]),
    (EXPERIMENT.replace('"sgd"', '"sgd"\nbatch = 0.5'), ["method.batch = 0.5"]),
    (EXPERIMENT.replace('"sgd"', '"sgd"\nwrap = [{kind = "ema", decay = 2}]'), ["method.wrap[0].decay = 2"]),
    (EXPERIMENT.replace("noise_variance = 0.1", "kurtosis = 0.1"), ["problem.kurtosis = 0.1"]),
    (EXPERIMENT.replace("dim = 12", "dim = nan"), ["problem.dim = nan"]),
    (EXPERIMENT.replace("head_tail", "headtail"), ["record.subspaces", "did you mean 'head_tail'"]),
    (EXPERIMENT + "[compare]\nscedules = []\n", ["did you mean 'schedules'"]),
    ("", ["[problem] is missing"]),
]


@pytest.mark.parametrize(("text", "words"), BAD_FILES, ids=[words[0][:40] for _, words in BAD_FILES])
def test_bad_files_are_refused_in_one_line(here, text, words):
    Path("e.toml").write_text(text, encoding="utf-8")
    line = refused("run", "e.toml", "-o", "out")
    assert all(word in line for word in words), line


@pytest.mark.parametrize("value", ["0", "-2", "two"])
def test_a_number_of_threads_that_is_none(value, here, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", value)
    assert f"NUMBA_NUM_THREADS = {value!r} is no number of threads" in refused("doctor")


def test_a_refusal_in_a_process_of_its_own(here):
    Path("e.toml").write_text(EXPERIMENT.replace("dim = 12", "dim = 0"), encoding="utf-8")
    done = shell("run", "e.toml")
    assert done.returncode == 2
    assert done.stdout == ""
    assert (
        done.stderr
        == "simlab: problem.dim = 0 is out of range; give an integer of at least 1 and at most 1000000000000000000.\n"
    )


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_refused(here):
    Path("locked").mkdir(mode=0o500)
    assert "locked cannot be written to" in refused("run", "e.toml", "-o", "locked/out")
    assert "locked cannot be written to" in refused("init", "locked/e.toml")


def test_an_unwritable_folder_is_refused_before_the_run(here, monkeypatch):
    def denied(*arguments, **options):
        raise PermissionError(13, "Permission denied", "x")

    monkeypatch.setattr("simlab.files.Stage", denied)
    monkeypatch.setattr(Experiment, "run", lambda *a, **k: pytest.fail("it ran"))
    assert "cannot be written to (Permission denied)" in refused("run", "e.toml")


STUCK = """
from simlab.cli import app, main

@app.command()
def stuck():
    exec("raise KeyboardInterrupt")

if __name__ == "__main__":
    main(["stuck"])
"""


def test_an_interrupt_within_what_is_executed_ends_with_the_code_of_an_interrupt(tmp_path):
    """Python remembers one that leaves `exec`, as in an import of dataclasses, and ended `-m` by the signal SIGINT."""
    (tmp_path / "stopped.py").write_text(STUCK, encoding="utf-8")
    command = [sys.executable, "-m", "stopped"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (130, "simlab: interrupted.\n")
