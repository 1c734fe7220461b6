"""The long engine: d and T to 10^12, every number with an estimate of what it may be off by."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door
from simlab.engines.arguments import (
    MethodArgument,
    Progress,
    check_problem,
    check_progress,
    named_methods,
    worker_count,
)
from simlab.engines.exact import labelled
from simlab.engines.moments.background import Job, run_all
from simlab.engines.moments.collocated import SHORTEST, Answer, March, relative_error
from simlab.engines.moments.cycles import cycles_from
from simlab.errors import InputError, check_number
from simlab.kernels.moments.layout import NodeArrays
from simlab.methods.base import Method
from simlab.problems import DiagonalProblem, LinearRegression
from simlab.subspaces import Subspaces, from_spec, head_tail, whole
from simlab.trace import RiskTrace, build_trace
from simlab.trace.recording import Record, RunResult, Tick, record_steps, sums_of_squares

__all__ = ["long"]

PROBLEMS = "a LinearRegression, NoisyQuadratic or RandomFeatures"

PASSES = 4
"""Attempts at a run, with ever smaller local errors, before what was reached is reported."""

ROUNDING = 2e-14
"""What rounding may cost a panel or a cycle, relative; 50 of them before the first."""

MOST_MODES = 400
"""A spectrum of more modes is compressed, which costs a hundredth of the tolerance."""

BUDGET = 60.0
"""Seconds that exact steps may take by default where nothing else will do."""

STEP = 4e-9
"""Seconds, some, that a step takes for each node and entry of its packed moments."""

LOOK = 256
"""Pieces of a schedule that are looked at to see how long they are."""


@door
def long(
    problem: DiagonalProblem,
    method: MethodArgument,
    *,
    tolerance: float = 1e-6,
    record: Record = None,
    subspaces: Subspaces | str | Mapping[str, Iterable[int]] | None = None,
    budget: float = BUDGET,
    threads: int | None = None,
    progress: Progress | bool | None = None,
) -> RiskTrace:
    """The risk of `exact` at a cost that depends neither on the number of modes nor on that of steps, 10^12 of each.

    The recursion itself is asked to hold at whole steps, the right Radau points of panels that grow with the distance
    from the last kink of the schedule, between which the moments are polynomials of the step: discrete collocation.
    There is no differential equation. After a kink, and wherever that is cheaper, steps are taken exactly; thousands of
    equal cycles go by powers of the map of one.

    `trace.dataset["risk_error"]`, of the shape of the risk, is an *estimate* of what each number may be off by: what
    two orders, a panel a third as long and one exact step disagree by, carried on by the map of the moments, which is
    monotone in the order of symmetric matrices; further rounding, and the compression of the spectrum.

    Parameters
    ----------
    problem : LinearRegression, NoisyQuadratic or RandomFeatures; a regression of more than 400 modes is compressed to a
        hundredth of the tolerance, for the subspaces asked for.
    method : one Method; or a list, or a mapping from label to Method, for a trace with a leading "run" axis.
    tolerance : largest relative error wanted, between 1e-9 and 0.1. A subspace counts as at least 1e-3 of its
        component, a component as at least 1e-20 of what it was at its largest. Where the error reported is larger all
        the same the status is "inaccurate".
    record, subspaces, threads, progress : as for `exact`.
    budget : seconds that a run may take, without those of compiling the kernels. Where every step has to be taken
        (rates stored one by one, momentum that rings for 10^9 steps): where schedules say so, InputError comes before;
        a run that passes it all the same ends there, with the status "interrupted".

    Returns a RiskTrace. Statuses are those of `exact` and "inaccurate"; of the step at which a run ended early no error
    is told (NaN). Raises InputError for bad input.
    """
    check_problem(problem, DiagonalProblem, PROBLEMS)
    methods, labels = named_methods(method, "long")
    progress = check_progress(progress)
    tolerance = check_number("tolerance", tolerance, low=1e-9, high=0.1)
    budget = check_number("budget", budget, low=0.0, open_low=True)
    partition = from_spec(subspaces)
    many = isinstance(problem, LinearRegression) and problem.divisible and problem.node_count > MOST_MODES
    lost = tolerance / 100.0 if many else 0.0
    # Methods share their nodes, unless the subspaces are of one method each.
    groups = [[each] for each in methods] if many and partition.depends_on_schedule else [methods]
    jobs: list[Job] = []
    names: list[str] = []
    for group in groups:
        solved = _compressed(problem, lost, partition, group[0]) if many else problem
        for each, nodes, names, node_labels in labelled(solved, group, partition):
            assert nodes is not None
            _refuse_stepping(nodes, each, budget)
            steps = record_steps(record, each.length)
            jobs.append(partial(_run, nodes, each, steps, node_labels, len(names), tolerance, lost, budget))
    results = run_all(jobs, sum(m.length for m in methods), worker_count(threads), progress, "long", "steps")
    provenance = {"engine": "long", "subspaces": partition.expression, "tolerance": tolerance}
    return build_trace(results, methods, names, problem, run_labels=labels, provenance=provenance)


def _compressed(problem: Any, tolerance: float, partition: Subspaces, method: Method) -> LinearRegression:
    """The problem on few nodes, none of which straddles a subspace of `method`.

    By the rule for exponentials: what powers of a method's own arrays say of 10^12 steps is rounding, and for momentum
    that rule has been measured as good.
    """
    if partition.depends_on_schedule:
        time = method.learning_rate.total()
        edges = partition.boundaries(problem.dim, problem.count_at_least, time)
        partition = head_tail(edges[0]) if edges else whole()
    few: LinearRegression = problem.compress(tolerance, partition)
    return few


def _refuse_stepping(nodes: NodeArrays, method: Method, budget: float) -> None:
    """Refuse a run whose schedules go on in another way so often that most of its steps have to be taken exactly."""
    t = pieces = 0
    while t < method.length and pieces < LOOK:
        t, pieces = method.next_kink(t), pieces + 1
    stretch = method.stretch(0) if method.state_size == 1 else None
    if t == method.length or stretch is not None:
        return
    each = t / pieces
    steps = min(1.0, SHORTEST / each) * method.length
    entries = method.state_size * (method.state_size + 1) // 2
    seconds = steps * STEP * nodes.lam.size * entries
    if seconds > budget:
        raise InputError(
            f" goes on in another way every {each:.3g} steps, so that {steps:.2g} of them have to be taken "
            f"one by one, in some {seconds:.2g} s; give budget={2.0 * seconds:.2g}, or a schedule of longer pieces.",
            "method",
        )


def _run(
    nodes: NodeArrays,
    method: Method,
    steps: IntArray,
    labels: IntArray,
    label_count: int,
    tolerance: float,
    lost: float,
    budget: float,
    tick: Tick,
) -> list[RunResult]:
    """Passes with ever smaller local errors until the reported one meets the tolerance, or what was reached."""
    local = (tolerance - lost) / 4.0
    for _ in range(PASSES):
        answer = march(nodes, method, steps, labels, label_count, local=local, budget=budget, tick=tick)
        answer.error += lost * np.abs(answer.risk)
        reported = relative_error(answer)
        if reported <= tolerance or answer.status == "interrupted":
            break
        local *= min(0.3, 0.3 * tolerance / reported)
        if local < 1e-13:
            break
    if answer.status == "done" and reported > tolerance:
        answer.status = "inaccurate"
    for part in (answer.risk, answer.final, answer.error):
        sums_of_squares(part, nodes.risk_unit)
    dims = ("component", "subspace")
    error: dict[str, tuple[tuple[str, ...], FloatArray]] = {"risk_error": (dims, answer.error)}
    parts = ("bias", "variance")
    rate = method.learning_rate
    return [RunResult(steps, answer.risk, parts, answer.status, answer.ended_at, answer.final, rate, {}, error)]


def march(
    nodes: NodeArrays,
    method: Method,
    steps: IntArray,
    labels: IntArray,
    label_count: int,
    *,
    local: float,
    shortest: int = SHORTEST,
    budget: float = np.inf,
    tick: Tick | None = None,
) -> Answer:
    """One pass over all steps of `method`, with panels of relative error at most `local`."""
    run = March(nodes, method, labels, label_count, steps)
    # From the second piece on: the first may compile the kernels.
    answer, began, t, tried = run.answer, np.inf, 0, 0
    while t < method.length and answer.status == "done":
        cycles = cycles_from(run, t, local, shortest) if t >= tried else None
        if cycles is not None:
            tried = t + cycles.count * cycles.period
            if cycles.go():
                t = tried
                continue
        for length, _ in run.pieces(t, method.next_kink(t), local, shortest):
            t += length
            if length == 0:
                answer.status = "diverged"
            elif not (tick is None or tick(length)) or time.perf_counter() - began > budget:
                answer.status = "interrupted"
                break
            began = min(began, time.perf_counter())
    answer.ended_at = t
    answer.final, answer.final_error = run.now(t)
    at = np.flatnonzero(steps == t)
    answer.risk[at], answer.error[at] = answer.final, answer.final_error
    lost = ROUNDING * (50 + answer.panels + answer.cycles) + 1e-16 * (answer.exact_steps + answer.repeated)
    answer.error += lost * np.abs(answer.risk)
    return answer
