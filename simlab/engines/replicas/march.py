"""Replicas carried through the steps of a run: blocks of them, chunks of steps, checkpoints, and Ctrl-C.

What a replica is, a crew says: of a regression (`regression`) or on a landscape (`landscape`). Draws are a pure
function of (seed, replica, step, coordinate), so that how the work is cut changes nothing.
"""

from __future__ import annotations

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from types import FrameType
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.checkpoint import Checkpoint
from simlab.engines.arguments import MOST_STEPS, Progress, check_progress, worker_count
from simlab.errors import InputError, check_count
from simlab.methods.base import Method
from simlab.progress import ProgressBar
from simlab.trace.recording import slots

__all__ = ["Crew", "Kept", "Plan", "Processor", "Ticker", "march", "march_all", "planned"]

Array = npt.NDArray[Any]
Tick = Callable[[int], bool]

MAX_CHUNK = 16_384

KEPT = ("z", "ended")
"""What is kept of the state of all replicas at a step."""


@dataclass(frozen=True)
class Plan:
    """How replicas are run. `block` of them are held at a time; `every` steps their state is kept."""

    replicas: int
    seed: int
    threads: int
    block: int | None = None
    every: int | None = None

    @property
    def key(self) -> tuple[np.uint64, np.uint64]:
        """Of the random words."""
        return np.uint64(self.seed & 0xFFFFFFFF), np.uint64(self.seed >> 32)


@dataclass
class Kept:
    """What a run leaves: records (records, replicas or strips of them, ...) by name, NaN where a replica did not get.

    ended (replicas,) : the step at which a replica diverged, or -1.  disturbed : Ctrl-C was pressed, be it while the
    last chunk was being finished.  states : step -> the state of all replicas there, and which had diverged by then.
    """

    records: dict[str, FloatArray]
    ended: IntArray
    interrupted: bool = False
    disturbed: bool = False
    states: dict[int, tuple[Array, IntArray]] = field(default_factory=dict)


class Backend(Protocol):
    """Where replicas are carried through their steps, and their state lives."""

    run: Callable[..., Any]
    """run(watch, begin, end, first replica, first step, M, b, c, o, ...): the replicas begin .. end - 1 of a block."""

    def upload(self, z: Any) -> Any: ...
    def download(self, z: Any) -> Array: ...
    def free_memory(self) -> int: ...


class Processor:
    """The Numba kernels; the state is a NumPy array."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self.run = run

    def upload(self, z: Array) -> Array:
        """The state itself."""
        return z

    download = upload

    def free_memory(self) -> int:
        """Bytes that may be used."""
        return free_memory()


class Crew(ABC):
    """Replicas of one method, as the march takes them.

    lanes : replicas are held and shared out by so many.  pieces : of a chunk, for each thread.  leave : replicas that
    have diverged need their kernel no more.  remedy : for too many records.  last : what the kernel takes between the
    key and the state.  bytes_per_replica : of its state. A run starts from `state` at the step `begin`, and what
    becomes of it is left in place.  keep_at : the steps at which the
    state of all replicas is kept.
    """

    lanes: ClassVar[int] = 1
    pieces: ClassVar[int]
    leave: ClassVar[bool]
    remedy: ClassVar[str]
    backend: Backend
    bytes_per_replica: int
    last: tuple[Any, ...] = ()
    begin: int = 0
    keep_at: IntArray = np.zeros(0, dtype=np.int64)

    def __init__(self, method: Method, plan: Plan, device: str) -> None:
        self.method, self.plan, self.device = method, plan, device

    @abstractmethod
    def state(self, first: int, replicas: int) -> Any:
        """The start of so many replicas from the one numbered `first` on, where the backend keeps it."""

    def gone(self) -> IntArray:
        """(replicas,) : the step at which a replica had diverged before the start, or -1."""
        return np.full(self.plan.replicas, -1)

    @abstractmethod
    def held(self, z: Any) -> int:
        """Replicas of a state."""

    def replicas_of(self, z: Any, count: int) -> Array:
        """The first `count` replicas of a state, (count, ...)."""
        return self.backend.download(z)[:count]

    @abstractmethod
    def records(self, count: int) -> dict[str, tuple[int, ...]]:
        """The shapes of what is kept of all replicas at so many steps."""

    @abstractmethod
    def chunk(self, at: int, stop: int, z: Any, steps: IntArray) -> tuple[int, tuple[Any, ...]]:
        """Where a chunk from `at` ends, `stop` at most, and what its kernel takes of the steps beside M, b, c, o."""

    @abstractmethod
    def watch(self, marks: IntArray, records: int, ended: IntArray) -> Any:
        """What the kernel is told to keep of a chunk: so many records, numbered by `marks`."""

    @abstractmethod
    def keep(self, kept: Kept, watch: Any, steps: IntArray, rows: slice, replicas: slice) -> None:
        """Enter what was kept of a chunk: `rows` of the records, at `steps`, of these replicas."""


P = TypeVar("P", bound=Plan)
C = TypeVar("C", bound=Crew)


class Ticker:
    """Counts the steps of all replicas and shows them; called with those of a chunk, it says whether to go on.

    Once `stopped` it says no, to all runs that would follow.
    """

    def __init__(self, label: str, total: int, progress: Progress | bool | None) -> None:
        self.total, self.done, self.stopped = total, 0, False
        self.bar = ProgressBar(label, "steps", check_progress(progress))

    def __call__(self, amount: int) -> bool:
        self.done += amount
        try:
            self.bar(min(self.done, self.total), self.total)
        except KeyboardInterrupt:
            self.stopped = True
        return not self.stopped

    def close(self) -> None:
        """Take the bar off the screen."""
        self.bar.close()


def planned(
    kind: type[P], *, replicas: int, seed: int, threads: int | None, block: int | None, every: int | None, **more: Any
) -> P:
    """A plan of what a door was given, or an InputError."""
    return kind(
        check_count("replicas", replicas, high=MOST_STEPS),
        check_count("seed", seed, low=0, high=2**64 - 1),
        worker_count(threads),
        None if block is None else check_count("block", block),
        None if every is None else check_count("every", every),
        **more,
    )


def march_all(
    crews: Iterable[tuple[C, IntArray, Callable[[], str]]], checkpoint: str | os.PathLike[str] | None, ticker: Ticker
) -> Iterator[tuple[C, IntArray, Kept]]:
    """One crew after the other with its steps and its fingerprint; no further than the one that is interrupted."""
    try:
        for j, (crew, steps, identity) in enumerate(crews):
            store = None if checkpoint is None else Checkpoint(checkpoint, f"run-{j}", identity())
            kept = march(crew, steps, store, crew.plan.every or max(1, crew.method.length // 100), ticker)
            ticker.stopped |= kept.disturbed
            yield crew, steps, kept
            if kept.interrupted:
                return
    finally:
        ticker.close()


def march(crew: Crew, steps: IntArray, store: Checkpoint | None, every: int, tick: Tick) -> Kept:
    """Run all replicas and record at `steps`; every so many steps the state goes to `store`, from which a run goes on.

    `tick` is told of the steps of all replicas in each chunk and may stop the run by False.
    """
    replicas, length, begin = crew.plan.replicas, crew.method.length, crew.begin
    kept = Kept(_records(crew, steps), crew.gone())
    first, at, z = _resume(crew, kept, store)
    block = _block(crew)
    going = tick(first * (length - begin) + (0 if z is None else (at - begin) * min(crew.held(z), replicas - first)))
    with ThreadPoolExecutor(max_workers=crew.plan.threads) as pool:
        while first < replicas and going:
            if z is None:
                at, z = begin, crew.state(first, _whole(min(block, replicas - first), crew.lanes))
            here = slice(first, min(first + crew.held(z), replicas))
            _keep_state(crew, kept, here, at, z)
            while at < length and going:
                stop = min(at + MAX_CHUNK, length, length if store is None else (at // every + 1) * every)
                stop = min([stop, *crew.keep_at[crew.keep_at > at].tolist()])
                before = at
                at, kept.disturbed = _chunk(crew, kept, steps, here, before, stop, z, pool)
                _keep_state(crew, kept, here, at, z)
                going = tick((here.stop - first) * (at - before)) and not kept.disturbed
                if store is not None and at < length and (at % every == 0 or not going):
                    _save(kept, store, first, at, crew.backend.download(z))
            if at == length:
                first, z = here.stop, None
                if store is not None:
                    _save(kept, store, first, begin, np.zeros(0))
    kept.interrupted = first < replicas
    return kept


def _keep_state(crew: Crew, kept: Kept, here: slice, at: int, z: Any) -> None:
    """Enter the state of a block, where the one at this step is wanted."""
    if at not in crew.keep_at:
        return
    block = crew.replicas_of(z, here.stop - here.start)
    if at not in kept.states:
        need = crew.plan.replicas * block[0].nbytes * crew.keep_at.size
        if need > free_memory() // 2:
            raise InputError(
                f" holds {need / 2**30:.1f} GiB of states, more than this machine has to spare; keep fewer steps, or "
                f"sample fewer replicas.",
                "keep",
            )
        kept.states[at] = np.empty((crew.plan.replicas, *block.shape[1:]), block.dtype), kept.ended.copy()
    kept.states[at][0][here] = block
    kept.states[at][1][here] = kept.ended[here]


def _chunk(
    crew: Crew, kept: Kept, steps: IntArray, replicas: slice, at: int, stop: int, z: Any, pool: ThreadPoolExecutor
) -> tuple[int, bool]:
    """One chunk of a block; (the step it ends at, whether Ctrl-C was pressed meanwhile). It is finished even so."""
    method, held, on_cpu = crew.method, crew.held(z), crew.device == "cpu"
    end, numbers = crew.chunk(at, stop, z, steps)
    # What is recorded at the end of a chunk belongs to the next one.
    rows = slice(*np.searchsorted(steps, [at, end + (end == method.length)]).tolist())
    recorded, count = steps[rows], replicas.stop - replicas.start
    ended = np.full(held, -1)
    ended[:count] = kept.ended[replicas]
    watch = crew.watch(slots(recorded, at, end + 1), recorded.size, ended)
    disturbed = False
    if not (crew.leave and np.all(ended[:count] >= 0)):
        tail = (replicas.start, at, *method.numbers(at, end), *numbers, *crew.plan.key, *crew.last, z)
        if on_cpu and not compile_first(crew.backend.run, watch, tail):
            return at, True
        pieces = crew.pieces * crew.plan.threads if on_cpu else 1
        disturbed = run_pieces(pool, crew.backend.run, watch, tail, held, pieces, crew.lanes)
    kept.ended[replicas] = ended[:count]
    crew.keep(kept, watch, recorded, rows, replicas)
    return end, disturbed


# -- memory ------------------------------------------------------------------------------------------------------------


def free_memory() -> int:
    """Memory that may be used, in bytes: what is free, or 4 GiB where the system does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 << 30


def _whole(replicas: int, lanes: int) -> int:
    return -(-replicas // lanes) * lanes


def _block(crew: Crew) -> int:
    """Replicas held at a time: those asked for, or as many as fit in a third of the free memory; whole lanes."""
    if crew.plan.block is not None:
        return _whole(crew.plan.block, crew.lanes)
    free = min(free_memory(), crew.backend.free_memory())
    fits = free // 3 // crew.bytes_per_replica // crew.lanes * crew.lanes
    return int(np.clip(fits, crew.lanes, _whole(crew.plan.replicas, crew.lanes)))


def _records(crew: Crew, steps: IntArray) -> dict[str, FloatArray]:
    shapes = crew.records(steps.size)
    need = 8 * sum(prod(shape) for shape in shapes.values())
    if need > free_memory() // 3:
        raise InputError(
            f" keeps {need / 2**30:.1f} GiB ({steps.size} steps, {crew.plan.replicas} replicas), more than this "
            f"machine has to spare; {crew.remedy}.",
            "record",
        )
    return {name: np.full(shape, np.nan) for name, shape in shapes.items()}


# -- checkpoints -------------------------------------------------------------------------------------------------------


def _save(kept: Kept, store: Checkpoint, first: int, at: int, z: Array) -> None:
    """Hand the state to the store: all records so far, and the block in motion."""
    states = {
        f"kept {name} {step}": part
        for step, parts in kept.states.items()
        for name, part in zip(KEPT, parts, strict=True)
    }
    store.save({**kept.records, **states, "ended": kept.ended, "position": np.array([first, at]), "state": z})


def _resume(crew: Crew, kept: Kept, store: Checkpoint | None) -> tuple[int, int, Any]:
    """(first replica of the block in motion, its step, its state), from the store where it holds one."""
    saved = None if store is None else store.load()
    if saved is None:
        return 0, crew.begin, None
    for name, array in {**kept.records, "ended": kept.ended}.items():
        array[...] = saved[name]
    for step in crew.keep_at.tolist():
        if f"kept z {step}" in saved:
            z, ended = (saved[f"kept {name} {step}"] for name in KEPT)
            kept.states[step] = z, ended
    first, at = (int(value) for value in saved["position"])
    return first, at, crew.backend.upload(saved["state"]) if saved["state"].size else None


# -- a chunk on threads ------------------------------------------------------------------------------------------------


def run_pieces(
    pool: ThreadPoolExecutor,
    run: Callable[..., Any],
    keep: Any,
    tail: tuple[Any, ...],
    replicas: int,
    pieces: int,
    unit: int = 1,
) -> bool:
    """run(keep, begin, end, *tail) for about equal pieces of the replicas, cut at multiples of `unit`.

    True if Ctrl-C was pressed meanwhile. The chunk is finished even so: all replicas stand at the same step.
    """
    units = replicas // unit
    edges = np.linspace(0, units, min(units, pieces) + 1).astype(np.int64) * unit
    futures = [pool.submit(run, keep, int(lo), int(hi), *tail) for lo, hi in pairwise(edges)]
    pending, disturbed = set(futures), False
    while pending:
        try:
            _, pending = wait(pending, timeout=0.1)
        except KeyboardInterrupt:
            disturbed = True
    for future in futures:
        future.result()
    return disturbed


def compile_first(run: Callable[..., Any], keep: Any, tail: tuple[Any, ...]) -> bool:
    """Compile run(keep, begin, end, *tail) by a call for no replica at all; False if Ctrl-C was pressed meanwhile.

    In the caller's thread, the main one as a rule, which alone hears Ctrl-C: on a thread of its own a compiler that has
    begun goes on to its end. LLVM calls back into Python, where a KeyboardInterrupt is lost; so it is written down too.
    """
    pressed = []

    def hear(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        signal.default_int_handler(number, frame)

    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if ours:
            signal.signal(signal.SIGINT, hear)
        run(keep, 0, 0, *tail)
    except KeyboardInterrupt:
        return False
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    return not pressed
