"""A sweep from its beginning, or from wherever it was stopped, to its end."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np

from simlab.engines.arguments import worker_count
from simlab.engines.gpu.devices import choose
from simlab.errors import InputError
from simlab.progress import Progress, ProgressBar
from simlab.sweeps.plan.sweep import Sweep
from simlab.sweeps.records import Call, Computed, Row
from simlab.sweeps.store.extend import extend
from simlab.sweeps.store.store import Store
from simlab.sweeps.work.compute import ATTEMPTS, failed, interrupted
from simlab.sweeps.work.estimate import estimate
from simlab.sweeps.work.pool import Pool, Task, ThreadedPool

__all__ = ["Report", "run_sweep"]


@dataclass(frozen=True)
class Report:
    """How a sweep ended: cells computed now, reused from before, and not there yet; by status over the whole store."""

    computed: int
    reused: int
    left: int
    statuses: Mapping[str, int]
    recomputed: int = 0

    def __str__(self) -> str:
        damaged = f" ({self.recomputed} of these were damaged)" if self.recomputed else ""
        tail = f", {self.left} to go: start it again to go on" if self.left else ""
        statuses = ", ".join(f"{count} {name}" for name, count in sorted(self.statuses.items()))
        return f"computed {self.computed}{damaged}, reused {self.reused}{tail}; {statuses or 'nothing done'}"


def run_sweep(
    sweep: Sweep,
    path: str | PathLike[str],
    *,
    threads: int | None = None,
    cluster: str | None = None,
    progress: Progress | bool | None = None,
    announce: Callable[[str], None] = lambda text: None,
) -> Report:
    """Compute what the store at `path` does not hold yet.

    A store of the same sweep with fewer values on its axes (seeds, lengths, rates) is made larger, and keeps the bits
    of what it has.

    threads : cells computed at a time on this machine.  cluster : "tcp://HOST:PORT" of a Dask scheduler, or "local:N"
    for N worker processes.  progress : as for `simlab.exact`, of cells.  announce : told what is about to be done.

    Ctrl-C keeps what is finished. Raises InputError for bad input, for a store that cannot be used, and for a scheduler
    that does not answer.
    """
    workers = worker_count(threads)
    sweep.validate()
    pool = _pool(sweep, workers, cluster, announce)
    try:
        if extend(path, sweep):
            announce(f"{path} takes more values: what it holds stays")
        with Store.writing(path, sweep) as store:
            good, bad = store.verified(sweep)
            struck = ((block, store.blocks.cells(block).tolist()) for block in sorted(bad))
            try:
                store.ledger.forget(struck, len(store.blocks), sweep.grid.size)
            except OSError as error:
                raise _full(store, error, 0) from None
            tasks, parts = _missing(store, good)
            damaged = sum(store.blocks.cells(block).size for block in bad)
            reused = sweep.grid.size - sum(len(task.cells) for task in tasks)
            announce(f"{sweep.grid.size} cells, {reused} of them in {path} already; {_cost(sweep, reused, workers)}")
            left = _work(sweep, store, pool, tasks, parts, progress)
            done = sweep.grid.size - reused - left
            return Report(done, reused, left, store.ledger.counts(), int(damaged))
    finally:
        pool.stop()


def _missing(store: Store, good: Collection[int]) -> tuple[list[Task], dict[int, list[Computed]]]:
    """What is to be computed of each block, and what there is of those of which a smaller sweep has left a part."""
    tasks: list[Task] = []
    parts: dict[int, list[Computed]] = {}
    for block in range(len(store.blocks)):
        cells = store.blocks.cells(block).tolist()
        if block in good:
            known = {row.cell for row in store.finished(block)}
            cells = [cell for cell in cells if cell not in known]
            if cells:
                parts[block] = [store.held(block)]
        if cells:
            tasks.append(Task(block, tuple(cells)))
    return tasks, parts


def _cost(sweep: Sweep, reused: int, workers: int) -> str:
    return estimate(sweep, 1.0 - reused / sweep.grid.size, workers) if reused < sweep.grid.size else "nothing to do"


def _pool(sweep: Sweep, workers: int, cluster: str | None, announce: Callable[[str], None]) -> Pool:
    if cluster is None:
        device = choose(sweep.device)
        return ThreadedPool(sweep, workers if device == "cpu" else 1, device)
    from simlab.sweeps.work.cluster import ClusterPool

    return ClusterPool(sweep, cluster, announce)


def _work(
    sweep: Sweep,
    store: Store,
    pool: Pool,
    tasks: Iterable[Task],
    parts: dict[int, list[Computed]],
    progress: Progress | bool | None,
) -> int:
    """Compute and keep what these tasks are of, beside the `parts` that there are; how many cells were not finished."""
    waiting = deque(tasks)
    suspects: deque[Task] = deque()
    under_way: set[Task] = set()
    total = sum(len(task.cells) for task in waiting)
    done = 0
    bar = ProgressBar("sweep", "cells", progress)
    try:
        while waiting or suspects or under_way:
            while waiting and len(under_way) < pool.width:
                under_way.add(_submitted(pool, waiting.popleft()))
            # What was being computed where a worker died is computed alone, so that only the guilty cell fails again.
            if suspects and not under_way:
                under_way.add(_submitted(pool, suspects.popleft()))
            for task, outcome in pool.collect(0.2):
                under_way.discard(task)
                retry, result = _again(sweep, task) if isinstance(outcome, Exception) else ([], outcome)
                suspects.extend(retry)
                done += 0 if result is None else _kept(store, parts, task.block, result)
            bar(done, total)
    except KeyboardInterrupt:
        pool.stop()
        if under_way:
            store.note(*interrupted(sweep, [cell for task in under_way for cell in task.cells]))
    except OSError as error:
        raise _full(store, error, done) from None
    finally:
        bar.close()
    return total - done


def _full(store: Store, error: OSError, done: int) -> InputError:
    what = "No space left on device" if error.errno == errno.ENOSPC else error.strerror or str(error)
    return InputError(
        f"{store.path} cannot be written to ({what}); {done} cells of this run are safe: make room and start again."
    )


def _submitted(pool: Pool, task: Task) -> Task:
    pool.submit(task)
    return task


def _kept(store: Store, parts: dict[int, list[Computed]], block: int, outcome: Computed) -> int:
    """Put a block that is complete into the store; the number of cells that this made safe."""
    held = [*parts.pop(block, []), outcome]
    wanted = store.blocks.cells(block)
    if sum(len(part.cells) for part in held) < wanted.size:
        parts[block] = held
        return 0
    store.put(block, _joined(held))
    return sum(1 for part in held for row in part.rows if row.call >= 0)


def _joined(parts: list[Computed]) -> Computed:
    """Parts of a block as one, in the order of the cells."""
    if len(parts) == 1:
        return parts[0]
    rows: list[Row] = []
    calls: list[Call] = []
    for part in parts:
        rows += [replace(row, call=row.call + len(calls)) if row.call >= 0 else row for row in part.rows]
        calls += part.calls
    cells = [cell for part in parts for cell in part.cells]
    order = np.argsort(cells)
    arrays = {name: np.concatenate([part.arrays[name] for part in parts])[order] for name in parts[0].arrays}
    return Computed([cells[j] for j in order], arrays, [rows[j] for j in order], calls)


def _again(sweep: Sweep, task: Task) -> tuple[list[Task], Computed | None]:
    """What to do about cells whose worker was lost: (tasks to try once more, or what is kept of them)."""
    if len(task.cells) > 1:
        return [Task(task.block, (cell,), 1) for cell in task.cells], None
    if task.attempt < ATTEMPTS:
        return [replace(task, attempt=task.attempt + 1)], None
    # Without what the scheduler says of it, which differs from run to run.
    return [], failed(sweep, task.cells, f"its worker died {ATTEMPTS} times")
