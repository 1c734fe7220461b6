"""A real scheduler and real worker processes: the bytes of threads, whatever becomes of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import simlab as sl
from simlab.sweeps import Store
from tests.sweeps.store_bytes import AXES, CELLS, TABLES, assert_same_store, data_of, refusal, swept

dask = pytest.importorskip("dask", reason="the extra cluster is not installed")
psutil = pytest.importorskip("psutil", reason="dask.distributed brings it along")
distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")

pytestmark = [
    # Its own business: what it leaves open when a process is killed under it.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed"),
]

# Long enough for something to happen to a worker while it computes.
LONG = {**TABLES, "schedule": {**TABLES["schedule"], "steps": 100_000}}


@contextmanager
def started(*command):
    """A process of dask, killed at the end; its words are shown by pytest if a test fails."""
    path = os.pathsep.join([str(Path(sl.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen([sys.executable, "-m", *command], env={**os.environ, "PYTHONPATH": path})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def scheduler():
    """Yields (its address, its process)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    options = ("--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show")
    with started("distributed.cli.dask_scheduler", *options) as process:
        yield f"tcp://127.0.0.1:{port}", process


def worker(address, *options):
    """One thread, and no nanny to start it again."""
    threads = ("--nthreads", "1", "--no-nanny", "--no-dashboard")
    return started("distributed.cli.dask_worker", address, *threads, *options)


def wait_until_it_answers(address):
    with distributed.Client(address, set_as_default=False, timeout=60):
        pass


def wait_for_two(address):
    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What threads make of the long sweep."""
    path = tmp_path_factory.mktemp("whole") / "store"
    swept(path, LONG)
    return path


@pytest.fixture
def preloaded(tmp_path):
    """Writes a module that workers load at their start (twice), in which `run` computes cells; returns its path."""

    def write(body):
        path = tmp_path / "preloaded.py"
        lines = ["import os", "from pathlib import Path", "from simlab.sweeps import Sweep"]
        lines += ["from simlab.sweeps.work import cluster"]
        lines += ["Sweep.original = run = getattr(Sweep, 'original', Sweep.compute)"]
        path.write_text("\n".join([*lines, f"log = Path({str(tmp_path / 'preloaded.log')!r})", body]))
        return str(path)

    return write


RUN = """
def patched(sweep, cells, device, tick):
    {}
    return run(sweep, cells, 'cpu', tick)
Sweep.compute = patched
"""
HIT = "{cell} in [each.number for each in cells]"


def statuses_of(path):
    with Store(path) as store:
        return {row.cell: (row.status, row.message) for row in store.ledger.rows()}


def workers_of(path):
    """Who has computed what counts."""
    with Store(path) as store:
        calls = {call["call"]: call for call in store.ledger.calls()}
        return {calls[row.call]["worker"] for row in store.ledger.rows()}


# -- the same bytes ---------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_two_worker_processes_have_the_bytes_of_threads(whole, tmp_path):
    """And the file of a relative path is found by them, in the folder of the experiment."""
    with scheduler() as (address, _), worker(address, "--name", "one"), worker(address, "--name", "two"):
        wait_for_two(address)
        swept(tmp_path / "store", LONG, cluster=address)
        assert workers_of(tmp_path / "store") == {"one", "two"}
        assert_same_store(tmp_path / "store", whole)
        assert swept(tmp_path / "store", LONG, cluster=address).reused == CELLS
        gpu = {**TABLES, "engine": {"kind": "exact", "device": "gpu"}}
        assert "engine.device = 'gpu', and no worker announces one" in refusal(tmp_path / "g", gpu, cluster=address)
        assert not (tmp_path / "g").exists()


@pytest.mark.thorough
def test_workers_of_our_own(whole, tmp_path, capfd):
    """local:N; begun by threads and finished by workers makes no difference."""

    def stop(done, total):
        if done >= 6:
            raise KeyboardInterrupt

    assert swept(tmp_path / "store", LONG, progress=stop).left > 0
    report = swept(tmp_path / "store", LONG, cluster="local:2")
    assert report.reused >= 6
    assert report.left == 0
    assert_same_store(tmp_path / "store", whole)
    assert capfd.readouterr().err == ""


@pytest.mark.thorough
def test_compressed_problems_and_samples(tmp_path):
    """What the cells of a problem share is the same wherever they are computed."""
    problem = {**TABLES["problem"], "dim": 10**5, "compress": True}
    record = {"subspaces": "effective()", "steps": 5}
    sampled = {**TABLES, "engine": {"kind": "sample", "replicas": 5, "device": "cpu"}}
    with scheduler() as (address, _), worker(address), worker(address):
        cases = {"compressed": {**TABLES, "problem": problem, "record": record}, "sampled": sampled}
        for name, tables in cases.items():
            swept(tmp_path / name / "threads", tables)
            swept(tmp_path / name / "workers", tables, cluster=address)
            assert_same_store(tmp_path / name / "workers", tmp_path / name / "threads")


@pytest.mark.thorough
def test_a_worker_that_announces_a_gpu_is_used(whole, preloaded, tmp_path):
    """For all cells, and told to; here it computes on its CPU nevertheless."""
    module = preloaded(RUN.format("log.open('a').write(device + '\\n')"))
    tables = {**LONG, "engine": {"kind": "exact", "device": "auto"}}
    options = ("--preload", module)
    announced = (*options, "--name", "gpu", "--resources", "GPU=1")
    with scheduler() as (address, _), worker(address, *options, "--name", "plain"), worker(address, *announced):
        wait_for_two(address)
        swept(tmp_path / "store", tables, cluster=address)
    assert workers_of(tmp_path / "store") == {"gpu"}
    assert set((tmp_path / "preloaded.log").read_text().split()) == {"gpu"}
    for name in ("risk", "final_risk"):
        ours, theirs = data_of(tmp_path / "store"), data_of(whole)
        assert {n: b for n, b in ours.items() if n.startswith(f"{name}/c")} == {
            n: b for n, b in theirs.items() if n.startswith(f"{name}/c")
        }


# -- workers that die -------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_a_killed_worker_costs_nothing(whole, tmp_path):
    """Within a group; the scheduler gives it to the other one."""
    with scheduler() as (address, _), worker(address) as first, worker(address):

        def kill(done, total):
            if done >= 2 and first.poll() is None:
                first.kill()
                first.wait()

        report = swept(tmp_path / "store", LONG, cluster=address, progress=kill)
    assert first.returncode == -signal.SIGKILL
    assert (report.left, set(report.statuses)) == (0, {"done", "diverged"})
    assert_same_store(tmp_path / "store", whole)


@pytest.mark.thorough
def test_killed_workers_of_our_own_cost_nothing(whole, tmp_path):
    """They are started again; what they were at is computed alone, to find a cell that kills, and none does."""
    killed = []

    def kill(done, total):
        if done >= 4 * (len(killed) + 1) and len(killed) < 2:
            children = psutil.Process().children(recursive=True)
            spawned = [each for each in children if "spawn_main" in " ".join(each.cmdline())]
            if spawned:
                killed.append(spawned[0].pid)
                spawned[0].kill()

    report = swept(tmp_path / "store", LONG, cluster="local:2", progress=kill)
    assert len(set(killed)) == 2
    assert (report.left, set(report.statuses)) == (0, {"done", "diverged"})
    assert_same_store(tmp_path / "store", whole)


@pytest.mark.thorough
def test_a_cell_that_kills_its_worker_ends_as_an_error(whole, preloaded, tmp_path):
    """After three attempts of its own, and all others are done."""
    hit = HIT.format(cell=9)
    module = preloaded(RUN.format(f"if {hit}: log.open('a').write(str(len(cells))); os._exit(1)"))
    with dask.config.set({"distributed.worker.preload": [module], "distributed.nanny.preload": []}):
        report = swept(tmp_path / "store", LONG, cluster="local:2")
    assert (report.left, report.statuses["error"]) == (0, 1)
    statuses = statuses_of(tmp_path / "store")
    assert statuses.pop(9) == ("error", "its worker died 3 times")
    assert statuses == {cell: status for cell, status in statuses_of(whole).items() if cell != 9}
    attempts = (tmp_path / "preloaded.log").read_text()
    assert attempts == "2111", "in its group, and three times alone"
    with Store(tmp_path / "store") as ours, Store(whole) as theirs:
        same = ours.dataset()["risk"].equals(theirs.dataset()["risk"])
        got, want = (each.dataset()["final_risk"].values.reshape(CELLS, -1) for each in (ours, theirs))
    assert not same
    assert [j for j in range(CELLS) if (got[j] != want[j]).any()] == [9]
    assert swept(tmp_path / "store", LONG).reused == CELLS, "what is an error is an answer"


@pytest.mark.thorough
def test_a_cell_that_raises_ends_as_an_error(whole, preloaded, tmp_path):
    """In a worker that lives on."""
    hit = HIT.format(cell=9)
    module = preloaded(
        RUN.format(f"if {hit}: log.open('a').write(str(len(cells))); raise RuntimeError('no luck\\nat all')")
    )
    with scheduler() as (address, _), worker(address, "--preload", module):
        report = swept(tmp_path / "store", LONG, cluster=address)
    assert (report.left, report.statuses["error"]) == (0, 1)
    statuses = statuses_of(tmp_path / "store")
    assert statuses.pop(9) == ("error", "RuntimeError: no luck")
    assert statuses == {cell: status for cell, status in statuses_of(whole).items() if cell != 9}
    assert (tmp_path / "preloaded.log").read_text() == "2111"


# -- schedulers that do not answer, or no longer ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("local:0", "cluster = local:N, N = 0 is out of range"),
        ("local:two", "cluster = local:N, N = 'two' is not a whole number"),
        ("local", "cluster = local:N, N = '' is not a whole number"),
        (
            "127.0.0.1:8786",
            "cluster = '127.0.0.1:8786' is no address; give tcp://HOST:PORT of a scheduler, or local:N.",
        ),
        (
            "gopher://127.0.0.1:8786",
            "cluster = 'gopher://127.0.0.1:8786' is no address (unknown address scheme 'gopher'",
        ),
        ("tcp://127.0.0.1", "no address"),
        ("tls://127.0.0.1:8786", "cluster = 'tls://127.0.0.1:8786' is no address (TLS expects"),
    ],
)
def test_addresses_that_are_none(address, said, tmp_path):
    assert said in refusal(tmp_path / "store", cluster=address)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("silent", "seconds"), [(False, 2), (True, 1)])
def test_a_scheduler_that_does_not_answer(silent, seconds, tmp_path, monkeypatch):
    """Nobody there, or somebody who says nothing."""
    monkeypatch.setattr("simlab.sweeps.work.cluster.SECONDS", seconds)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if silent:
            listener.listen()
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()
        said = refusal(tmp_path / "store", cluster=address)
        assert time.monotonic() - began < 40.0
    assert said.startswith(
        f"cluster: no scheduler answers at {address} within {seconds} s; start one with dask scheduler, or"
    )
    assert not (tmp_path / "store").exists()


@pytest.mark.thorough
def test_a_lost_scheduler_stops_it_cleanly(whole, tmp_path):
    """With what was finished; the sweep goes on by other means."""
    path = tmp_path / "store"
    with scheduler() as (address, process), worker(address), worker(address):

        def kill(done, total):
            if done >= 4 and process.poll() is None:
                process.kill()
                process.wait()

        said = refusal(path, LONG, cluster=address, progress=kill)
    assert (
        said == f"cluster: the scheduler at {address} was lost; what is finished is safe: start it and the sweep again."
    )
    report = swept(path, LONG)
    assert 4 <= report.reused < CELLS
    assert_same_store(path, whole)


@pytest.mark.thorough
def test_a_worker_of_another_version_is_refused(preloaded, tmp_path):
    module = preloaded("cluster.__version__ = '9.9.9'")
    with scheduler() as (address, _), worker(address, "--preload", module):
        said = refusal(tmp_path / "store", cluster=address)
    assert said == f"cluster: a worker has simlab 9.9.9, this is {sl.__version__}; install the same on both."


def test_a_scheduler_without_workers_is_waited_for_and_said_to_have_none(tmp_path, monkeypatch):
    monkeypatch.setattr("simlab.sweeps.work.cluster.SECONDS", 1)
    said = []

    def give_up(done, total):
        if len(said) > 1:
            raise KeyboardInterrupt

    with scheduler() as (address, _):
        wait_until_it_answers(address)
        report = swept(tmp_path / "store", cluster=address, progress=give_up, announce=said.append)
    assert said[1:] == [f"the scheduler at {address} has no worker; waiting for one."]
    assert report.left == CELLS


@pytest.mark.thorough
def test_a_worker_that_cannot_compute_is_no_lost_one(preloaded, tmp_path):
    """One sentence, and not thousands of cells with an error each."""
    module = preloaded("def broken(*tables):\n    raise OSError('no such folder')\ncluster._sweep_of = broken")
    with scheduler() as (address, _), worker(address, "--preload", module):
        said = refusal(tmp_path / "store", cluster=address)
    assert said == "cluster: a worker cannot compute (OSError: no such folder); install there what is here."
    assert swept(tmp_path / "store", axes=AXES).reused == 0
