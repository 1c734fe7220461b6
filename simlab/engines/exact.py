"""The public door of the exact engine: problems and methods in, a labelled trace out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door
from simlab.engines.arguments import (
    MethodArgument,
    Progress,
    check_problem,
    check_progress,
    check_team,
    named_methods,
    worker_count,
)
from simlab.engines.gpu.devices import choose
from simlab.engines.moments.background import Job, run_all
from simlab.errors import InputError
from simlab.methods.base import Method
from simlab.problems import DiagonalProblem, EmpiricalRegression, LinearRegression, Mixture
from simlab.subspaces import Subspaces, from_spec
from simlab.trace import RiskTrace, build_trace
from simlab.trace.recording import Record, RunResult, Tick, record_steps, steps_asked
from simlab.trace.state import Kind, State, continued

if TYPE_CHECKING:
    from simlab.kernels.moments.layout import NodeArrays
    from simlab.problems.rows import HeldOut

__all__ = ["exact", "exact_results", "kind_of_state", "labelled"]

PROBLEMS = "a LinearRegression, NoisyQuadratic, RandomFeatures, EmpiricalRegression or Mixture"

Problem = DiagonalProblem | EmpiricalRegression | Mixture


@door
def exact(
    problem: Problem,
    method: MethodArgument,
    *,
    record: Record = None,
    subspaces: Subspaces | str | Mapping[str, Iterable[int]] | None = None,
    deterministic: bool = False,
    snapshots: Sequence[int] | None = None,
    start: State | None = None,
    keep: Sequence[int] | None = None,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress | bool | None = None,
) -> RiskTrace:
    """Exact risk of a method, or of several, at every recorded step: expectation over the data, no sampling noise.

    The moment recursion (shared by Bordelon and Pehlevan 2022, arXiv 2106.02713, for SGD) in float64; relative error
    about max(1e-13, steps x 1e-16). Risk is the excess risk 1/2 E (w - w*)^T H (w - w*).

    Parameters
    ----------
    problem : LinearRegression, NoisyQuadratic, RandomFeatures, EmpiricalRegression, or Mixture (the trace then has a
        dimension "domain").
    method : one Method; or a list, or a mapping from label to Method, for a trace with a leading "run" axis.
    record : None for 200 log-spaced steps, a number for that many, "linear" for 200 equally spaced ones, "all", or the
        steps themselves; 0 and T are always among them.
    subspaces : a partition from `simlab.subspaces` (default: one subspace of all modes).
    deterministic : add the component "deterministic", the part of the bias that remains when 1/B = 0.
    snapshots : steps at which the risk of every single mode is kept (`trace.dataset["mode_risk"]`).
    start : a state that another run kept (`trace.state`): the run goes on from there, and `method` is what is done from
        then on (`methods.rest(method, step)` is the rest of a longer one). Steps, records and k* count from the
        beginning of the first run. The problem may be another one of as many modes: w - w* stays what it is; on a
        Mixture `state.moved(regression, mixture)` goes on. All workers of `methods.local` begin there, and leave the
        state of their mean. A state of `long` is taken as it is, whatever it may be off by.
    keep : steps whose state is kept, for `trace.state_at(step)`; a run by itself keeps that of its end, up to 64 MiB.
        Not on a GPU.
    device : "cpu", "gpu" (all runs in one launch, one block each; no deterministic part and no snapshots), or "auto"
        for the GPU where CuPy finds one, it can do what is asked, and 32 or more runs are: it steps every mode, where
        the CPU takes many steps at a time, and a single run takes twice as long there.
    threads : runs computed at a time on the CPU (default: the processors this process may use).
    progress : None for a bar on a terminal when it takes over two seconds, False for none, or a callable (done, total).

    Returns a RiskTrace; of a data set with held-out rows `trace.holdout()` is the loss on them. A diverging run is a
    result: its status is "diverged" and it ends where the risk (at the point
    where the gradient is taken, so that an average does not hide it) passed 10^6 times its initial value, or 10^6 times
    noise_variance / 2 if that is larger. Ctrl-C returns what has been computed, with status "interrupted". Raises
    InputError for bad input.
    """
    check_problem(problem, (EmpiricalRegression, Mixture, DiagonalProblem), PROBLEMS)
    methods, labels = named_methods(method, "exact")
    progress = check_progress(progress)
    partition = from_spec(subspaces)
    workers = worker_count(threads)
    kind = kind_of_state(problem)
    for each in methods:
        check_team(problem, each)
    whole = [continued(start, each, kind, "exact") for each in methods]
    methods, begins = [each for each, _ in whole], [0 if state is None else state.step for _, state in whole]
    shots = steps_asked("snapshots", snapshots, methods, begins)
    kept = NONE if keep is None and labels is not None else steps_asked("keep", keep, methods, begins)
    beside = deterministic or shots is not None or start is not None or keep is not None
    single = all(each.workers == 0 for each in methods)
    simple = not (beside or kind != "moments" or heldout_of(problem) is not None) and single
    if _on_gpu(device, simple, len(methods)):
        jobs, names, size = _gpu_job(problem, methods, partition, record)
    else:
        asked, states = _Asked(deterministic, shots, kept), [state for _, state in whole]
        jobs, names, size = _jobs(problem, methods, partition, record, asked, states)
    work = sum(m.length - begin for m, begin in zip(methods, begins, strict=True)) * size
    results = run_all(jobs, work, workers, progress, "exact", "mode-steps")
    facts = {"engine": "exact", "subspaces": partition.expression}
    if start is not None:
        known = ", as simlab.long knows it" if "uncertain" in start.arrays else ""
        facts |= {"started_from": f"step {start.step} of {start.method}{known}"}
    return build_trace(results, methods, names, problem, run_labels=labels, provenance=facts)


def kind_of_state(problem: Problem) -> Kind:
    """What the states of `exact` on this problem hold."""
    of_data: Kind = "covariance" if isinstance(problem, EmpiricalRegression) else "moments"
    return "mixture" if isinstance(problem, Mixture) else of_data


def exact_results(
    problem: Problem,
    methods: list[Method],
    *,
    record: Record,
    partition: Subspaces,
    deterministic: bool = False,
    device: str = "cpu",
    tick: Tick | None = None,
) -> list[RunResult]:
    """What `exact` computes, run by run and without a label, in the thread of the caller: for sweeps.

    `tick` is called with the mode-steps done, and stops the runs by False.
    """
    going: Tick = tick or (lambda amount: True)
    for each in methods:
        check_team(problem, each)
    simple = kind_of_state(problem) == "moments" and heldout_of(problem) is None
    simple = simple and not deterministic and all(each.workers == 0 for each in methods)
    if _on_gpu(device, simple, len(methods)):
        jobs, _, _ = _gpu_job(problem, methods, partition, record)
    else:
        jobs, _, _ = _jobs(
            problem, methods, partition, record, _Asked(deterministic, None, NONE), [None] * len(methods)
        )
    return [result for job in jobs for result in job(going)]


def heldout_of(problem: Problem) -> tuple[HeldOut, FloatArray] | None:
    """Rows held out from the data set of a problem, with the initial error (outputs, d) of each output."""
    if not isinstance(problem, EmpiricalRegression | LinearRegression) or problem.heldout is None:
        return None
    return problem.heldout, problem.errors


class _Asked(NamedTuple):
    """What else a run hands back: the deterministic part, the risk by mode at some steps, states at some steps (None:
    that of the end).
    """

    deterministic: bool
    snapshots: IntArray | None
    keep: IntArray | None


NONE = np.zeros(0, dtype=np.int64)


MANY_RUNS = 32
"""Runs from which on a GPU is taken by itself; an H100 and 16 threads are even there (SGD, d = 1,000, T = 10^4)."""


def _on_gpu(device: str, simple: bool, runs: int) -> bool:
    """Whether to run on the GPU; refused where one was asked for that is not there, or that cannot do this."""
    if choose(device) == "cpu":
        return False
    if not simple and device == "gpu":
        raise InputError(
            " = 'gpu' runs neither data sets (own moments, held-out rows), mixtures, several workers, nor "
            "deterministic, snapshots, start or keep; leave these out, or choose device='cpu'.",
            "device",
        )
    return simple and (device == "gpu" or runs >= MANY_RUNS)


class _Labelled(NamedTuple):
    """A method with what it runs on (None for a data set or a mixture), names of subspaces and labels of nodes."""

    method: Method
    nodes: NodeArrays | None
    names: list[str]
    labels: IntArray


def labelled(problem: Problem, methods: list[Method], partition: Subspaces, together: bool = False) -> list[_Labelled]:
    """Every method with its nodes and labels; nodes of equal modes are cut where a subspace ends within one.

    Only `effective` reads the training time, and only it differs from run to run; `together` cuts the nodes of all runs
    alike.
    """
    from simlab.kernels.moments.layout import NodeArrays

    own = partition.depends_on_schedule
    times = [method.learning_rate.total() if own else 0.0 for method in methods]
    facts = (problem.dim, problem.count_at_least)

    def edges(*moments: float) -> list[int]:
        divisible = isinstance(problem, LinearRegression) and not problem.compressed
        return sorted({e for time in moments for e in partition.boundaries(*facts, time)}) if divisible else []

    made: dict[float, tuple[NodeArrays | None, list[str], IntArray]] = {}
    if isinstance(problem, EmpiricalRegression | Mixture):
        index = np.arange(problem.dim, dtype=np.int64)
        made = {time: (None, *partition.labels(index, index + 1, *facts, time)) for time in set(times)}
    else:
        modes = problem.modes().cut(edges(*times) if together or not own else [])
        shared = NodeArrays(modes)
        for time in set(times):
            cut = modes.cut(edges(time))
            nodes = shared if cut is modes else NodeArrays(cut)
            made[time] = (nodes, *partition.labels(cut.start, cut.stop, *facts, time))
    return [_Labelled(method, *made[time]) for method, time in zip(methods, times, strict=True)]


def _gpu_job(
    problem: Problem, methods: list[Method], partition: Subspaces, record: Record
) -> tuple[list[Job], list[str], int]:
    """One job that takes all runs, the names of the subspaces, and the work of one step."""
    from simlab.engines.gpu.moments import MomentJob, run_moments_gpu

    runs: list[MomentJob] = []
    names: list[str] = []
    size = 0
    for method, nodes, names, labels in labelled(problem, methods, partition):
        assert nodes is not None
        runs.append(MomentJob(nodes, method, record_steps(record, method.length), labels, len(names)))
        size = max(size, nodes.size)
    return [lambda tick: run_moments_gpu(runs, tick=tick)], names, size


def _jobs(
    problem: Problem,
    methods: list[Method],
    partition: Subspaces,
    record: Record,
    asked: _Asked,
    starts: Sequence[State | None],
) -> tuple[list[Job], list[str], int]:
    """Runs that wait to be called with their tick, the names of the subspaces, and the work of one step."""
    run: Callable[..., RunResult]
    jobs: list[Job] = []
    names: list[str] = []
    size = 0
    begin = 0 if starts[0] is None else starts[0].step
    recorded = {length: record_steps(record, length, begin) for length in {method.length for method in methods}}
    each = labelled(problem, methods, partition, together=asked.snapshots is not None)
    for (method, nodes, names, labels), state in zip(each, starts, strict=True):
        if method.workers > 0:
            from simlab.engines.moments.workers import run_workers

            _check_workers(problem)
            size, run = problem.dim, partial(run_workers, problem if nodes is None else nodes)
        elif isinstance(problem, EmpiricalRegression):
            from simlab.engines.moments.empirical import run_empirical

            size, run = problem.dim, partial(run_empirical, problem)
        elif isinstance(problem, Mixture):
            from simlab.engines.moments.mixture import run_mixture

            size, run = problem.dim, partial(run_mixture, problem)
        else:
            from simlab.engines.moments.diagonal import run_diagonal

            assert nodes is not None
            size, run = max(size, nodes.lam.size), partial(run_diagonal, nodes, heldout=heldout_of(problem))
        steps, options = recorded[method.length], {**asked._asdict(), "start": state}
        jobs.append(partial(_start, run, method, steps, labels, len(names), options))
    return jobs, names, size


def _check_workers(problem: Problem) -> None:
    """Refuse what is not known of several workers."""
    if isinstance(problem, EmpiricalRegression) or heldout_of(problem) is not None:
        raise InputError(
            " is a data set with its own moments, or with rows held out, on which several workers are not known; give "
            "moments='gaussian', without holdout.",
            "problem",
        )


def _start(
    run: Callable[..., RunResult],
    method: Method,
    steps: IntArray,
    labels: IntArray,
    label_count: int,
    options: dict[str, Any],
    tick: Tick,
) -> list[RunResult]:
    return [run(method, steps, labels, label_count, tick=tick, **options)]
