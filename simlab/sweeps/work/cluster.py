"""Cells on the workers of a Dask scheduler, one that runs already or one of our own on this machine.

Workers get the tables of the sweep and numbers of cells, and send numbers back; files are written by one process, the
one that was started as `simlab sweep`. A worker that dies costs what it was computing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any

from simlab._version import __version__
from simlab.errors import InputError, brief, check_count
from simlab.extras import install
from simlab.sweeps.plan.sweep import Sweep
from simlab.sweeps.records import Computed
from simlab.sweeps.work.compute import compute
from simlab.sweeps.work.pool import Task

__all__ = ["ClusterPool"]

SECONDS = 10
"""How long a scheduler may take to answer, and may be without workers before that is said."""

LOCAL = {
    # A cell that kills its worker is found by computing it alone (simlab.sweeps.work.run), not by killing more of them.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.admin.system-monitor.interval": "10s",
}


class ClusterPool:
    """A pool of the workers behind `address`: "tcp://HOST:PORT", or "local:N" to start N processes here.

    Raises InputError without dask.distributed, for an address of neither form, and where nothing answers.
    """

    def __init__(self, sweep: Sweep, address: str, announce: Callable[[str], None] = lambda line: None) -> None:
        try:
            dask: Any = import_module("dask")
            distributed: Any = import_module("distributed")
        except ImportError:
            raise InputError(f"cluster needs dask.distributed; {install('cluster')}.") from None
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._address, self._cluster, self._announce = address, None, announce
        self._queue: SimpleQueue[tuple[Task, Any]] = SimpleQueue()
        self._futures: set[Any] = set()
        self._payload = (json.dumps(sweep.tables), str(sweep.folder), sweep.checked)
        kind, _, count = address.partition(":")
        if kind == "local":
            workers = check_count("cluster = local:N, N", int(count) if count.isdigit() else count)
            with dask.config.set(LOCAL):
                self._cluster = distributed.LocalCluster(
                    n_workers=workers, threads_per_worker=1, processes=True, memory_limit=0,
                    silence_logs=logging.CRITICAL,
                    # A page is not wanted, but its server starts: on any free port, or two clusters quarrel over one.
                    dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False},
                )  # fmt: skip
        elif "://" not in address:
            raise InputError(
                f"cluster = {brief(address)} is no address; give tcp://HOST:PORT of a scheduler, or local:N."
            )
        try:
            if self._cluster is None:
                _greet(address)
            self._client: Any = distributed.Client(self._cluster or address, timeout=SECONDS, set_as_default=False)
        except (ValueError, TypeError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise InputError(f"cluster = {brief(address)} is no address ({reason}); give tcp://HOST:PORT.") from None
        except (OSError, TimeoutError):
            raise InputError(
                f"cluster: no scheduler answers at {address} within {SECONDS} s; start one with dask scheduler, or "
                f"give local:N."
            ) from None
        self._resources = self._announced(sweep.device)
        self._width, self._asked = 2, 0.0
        self._manned: float | None = time.monotonic()  # when there was a worker last; None once their absence is said

    def _announced(self, device: str) -> dict[str, int]:
        """What tasks ask of their worker: a GPU where the experiment may use one and a worker announces one."""
        if device == "cpu":
            return {}
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        if any(worker.get("resources", {}).get("GPU") for worker in workers):
            return {"GPU": 1}
        if device == "gpu":
            self.stop()
            raise InputError(
                "engine.device = 'gpu', and no worker announces one; start workers with --resources GPU=1, or choose "
                "'auto'."
            )
        return {}

    @property
    def width(self) -> int:
        """Two tasks for every thread of the workers: one to compute and one to begin with next."""
        if time.monotonic() - self._asked > 1.0:
            try:
                threads = sum(self._client.nthreads().values())
            except Exception:
                raise self._lost() from None
            self._width, self._asked = max(2 * threads, 2), time.monotonic()
            if threads:
                self._manned = self._asked
            elif self._manned is not None and self._asked - self._manned > SECONDS:
                self._manned = None
                self._announce(f"the scheduler at {self._address} has no worker; waiting for one.")
        return self._width

    def submit(self, task: Task) -> None:
        """Send a task to the scheduler."""
        device = "gpu" if self._resources else "cpu"
        try:
            future = self._client.submit(
                _remote, __version__, self._payload, task.cells, device, pure=False, resources=self._resources or None
            )
        except Exception:
            raise self._lost() from None
        self._futures.add(future)
        future.add_done_callback(lambda done: self._queue.put((task, done)))

    def collect(self, seconds: float) -> list[tuple[Task, Computed | Exception]]:
        """What has come back, waiting for the first for so long at most."""
        try:
            arrived = [self._queue.get(timeout=seconds)]
        except Empty:
            if self._client.status in ("closing", "closed"):
                raise self._lost() from None
            return []
        while not self._queue.empty():
            arrived.append(self._queue.get())
        return [(task, self._outcome(future)) for task, future in arrived]

    def _outcome(self, future: Any) -> Computed | Exception:
        """What a worker has computed, or that it was lost."""
        from distributed import KilledWorker

        self._futures.discard(future)
        try:
            outcome: Computed = future.result()
        except (KilledWorker, InputError) as error:
            if isinstance(error, InputError):
                raise
            return error
        except Exception as error:
            if future.status != "error":
                raise self._lost() from None
            # What a cell raises ends in its status: this is what surrounds it.
            reason = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".")
            raise InputError(f"cluster: a worker cannot compute ({reason}); install there what is here.") from None
        return outcome

    def _lost(self) -> InputError:
        remedy = "what is finished is safe: start it and the sweep again"
        return InputError(f"cluster: the scheduler at {self._address} was lost; {remedy}.")

    def stop(self) -> None:
        """Cancel what is under way, and end our own workers."""
        with suppress(Exception):
            self._client.cancel(list(self._futures))
        for each in (self._client, self._cluster):
            if each is not None:
                with suppress(Exception):
                    each.close()


def _greet(address: str) -> None:
    """Shake hands with a scheduler, or raise OSError or TimeoutError: a client would wait for one that says nothing."""
    comm: Any = import_module("distributed.comm")

    async def attempt() -> None:
        (await asyncio.wait_for(comm.connect(address, timeout=SECONDS), SECONDS)).abort()

    # In a thread of its own, for where this is called a loop may be running (a notebook).
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(attempt())).result()


def _remote(version: str, payload: tuple[Any, ...], cells: tuple[int, ...], device: str) -> Computed:
    """What a worker does."""
    from distributed import get_worker

    if version != __version__:
        raise InputError(f"cluster: a worker has simlab {__version__}, this is {version}; install the same on both.")
    tables, folder, checked = payload
    sweep = _sweep_of(tables, folder)
    sweep.checked = checked
    return compute(sweep, cells, str(get_worker().name), device)


@lru_cache(maxsize=4)
def _sweep_of(tables: str, folder: str) -> Sweep:
    """Made once for each process: it remembers problems and methods."""
    return Sweep(json.loads(tables), folder)
