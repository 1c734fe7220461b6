"""The long engine: d and T to 10^12, every number with an estimate of what it may be off by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

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
from simlab.engines.moments.crowds import crowded_steps
from simlab.engines.moments.cycles import cycles_from
from simlab.engines.moments.ringing import Ringing
from simlab.errors import InputError, check_number
from simlab.kernels.compiling import running_time
from simlab.kernels.moments.layout import NodeArrays
from simlab.methods.base import Method
from simlab.problems import DiagonalProblem, LinearRegression
from simlab.subspaces import Subspaces, from_spec, head_tail, whole
from simlab.trace import RiskTrace, build_trace
from simlab.trace.recording import Record, RunResult, Tick, record_steps, steps_asked, sums_of_squares
from simlab.trace.state import State, continued

__all__ = ["long"]

PROBLEMS = "a LinearRegression, NoisyQuadratic or RandomFeatures"

PASSES = 4
"""Attempts at a run, with ever smaller local errors, before what was reached is reported."""

MOST_MODES = 400
"""A spectrum of more modes is compressed, which costs a hundredth of the tolerance."""

BUDGET = 60.0
"""Seconds that exact steps may take by default where nothing else will do."""

LEAST_STEP, MOST_STEP = 1e-8, 2e-8
"""Seconds of an exact step: at least, and at most for each node and entry of its packed moments. Between, it is tried.
"""

NO_STEPS = np.zeros(0, dtype=np.int64)


@door
def long(
    problem: DiagonalProblem,
    method: MethodArgument,
    *,
    tolerance: float = 1e-6,
    record: Record = None,
    subspaces: Subspaces | str | Mapping[str, Iterable[int]] | None = None,
    budget: float = BUDGET,
    start: State | None = None,
    keep: Sequence[int] | None = None,
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
        (rates stored one by one, momentum that rings for 10^9 steps): where schedules say so, or the eigenvalues of
        the modes that keep panels short, InputError comes before; a run that passes it all the same ends there, with
        the status "interrupted".

    start, keep : as for `exact`. A state carries what it may be off by into the run that goes on from it; one of
        `exact` is taken for exact. Of a regression of more than 400 modes a state is on the nodes of its compression:
        give the tolerance and the subspaces that it was made with.

    Returns a RiskTrace. Statuses are those of `exact` and "inaccurate"; of the step at which a run ended early no error
    is told (NaN). Raises InputError for bad input.
    """
    check_problem(problem, DiagonalProblem, PROBLEMS)
    methods, labels = named_methods(method, "long")
    progress = check_progress(progress)
    tolerance = check_number("tolerance", tolerance, low=1e-9, high=0.1)
    budget = check_number("budget", budget, low=0.0, open_low=True)
    partition = from_spec(subspaces)
    whole_runs = [continued(start, each, "moments", "long") for each in methods]
    methods, states = [each for each, _ in whole_runs], [state for _, state in whole_runs]
    begin = 0 if start is None else start.step
    kept = NO_STEPS if keep is None and labels is not None else steps_asked("keep", keep, methods, [begin])
    many = isinstance(problem, LinearRegression) and problem.divisible and problem.node_count > MOST_MODES
    lost = tolerance / 100.0 if many else 0.0
    # Methods share their nodes, unless the subspaces are of one method each.
    runs = list(zip(methods, states, strict=True))
    groups = [[each] for each in runs] if many and partition.depends_on_schedule else [runs]
    jobs: list[Job] = []
    names: list[str] = []
    for group in groups:
        solved = _compressed(problem, lost, partition, group[0][0]) if many else problem
        each = labelled(solved, [method for method, _ in group], partition)
        for (own, nodes, names, node_labels), (_, state) in zip(each, group, strict=True):
            assert nodes is not None
            if many and state is not None:
                _refuse_other_nodes(nodes, state)
            steps = record_steps(record, own.length, begin)
            course = Course(steps, node_labels, len(names), state, kept, Patience(budget))
            _refuse_stepping(nodes, own, course)
            jobs.append(partial(_run, nodes, own, course, tolerance, lost))
    work = sum(m.length - begin for m in methods)
    results = run_all(jobs, work, worker_count(threads), progress, "long", "steps")
    provenance = {"engine": "long", "subspaces": partition.expression, "tolerance": tolerance}
    if start is not None:
        provenance |= {"started_from": f"step {start.step} of {start.method}"}
    return build_trace(results, methods, names, problem, run_labels=labels, provenance=provenance)


class Patience(NamedTuple):
    """The seconds that a run may take."""

    budget: float = np.inf

    def refuse(self, seconds: float, why: str, remedy: str) -> None:
        """InputError where what has to be done takes longer."""
        if seconds > self.budget:
            raise InputError(
                f" {why}, in some {seconds:.2g} s; give budget={2.0 * seconds:.2g}, or {remedy}.", "method"
            )


class Course(NamedTuple):
    """What a run is to go through: its records, the subspace of every node and how many there are, the state that it
    begins from, the steps whose state it keeps (None: that of the end), and how long it may take.
    """

    steps: IntArray
    labels: IntArray
    label_count: int
    start: State | None = None
    keep: IntArray | None = NO_STEPS
    patience: Patience = Patience()

    @property
    def begin(self) -> int:
        """The step that it begins at."""
        return 0 if self.start is None else self.start.step


def _refuse_other_nodes(nodes: NodeArrays, state: State) -> None:
    if not np.array_equal(state.arrays["eigenvalues"], nodes.eigenvalues):
        raise InputError(
            f" is on other nodes than a regression of more than {MOST_MODES} modes is compressed to here; go on with "
            f"the problem, the tolerance and the subspaces that the state was made with.",
            "start",
        )


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


def _refuse_stepping(nodes: NodeArrays, method: Method, course: Course) -> None:
    """Refuse a run whose schedules go on in another way so often that most of its steps have to be taken exactly."""
    entries = method.state_size * (method.state_size + 1) // 2
    patience, least, most = course.patience, LEAST_STEP, MOST_STEP * nodes.lam.size * entries
    steps = crowded_steps(method, course.begin, SHORTEST)
    if steps * most <= patience.budget:
        return
    seconds = steps * (least if steps * least > patience.budget else _seconds_of_a_step(nodes, method, course))
    why = f"goes on in another way so often that some {steps:.2g} of its steps have to be taken one by one"
    patience.refuse(seconds, why, "a schedule of longer pieces")


def _seconds_of_a_step(nodes: NodeArrays, method: Method, course: Course) -> float:
    """As the first of them go, a few times over: what is called for the first time is loaded first."""
    n, seconds = min(SHORTEST, method.length - course.begin), np.inf
    with running_time() as clock:
        for _ in range(3):
            run = March(nodes, method, course.labels, course.label_count, course.steps, course.start)
            began = clock()
            run.exact(course.begin, n)
            seconds = min(seconds, clock() - began)
    return seconds / n


def _refuse_ringing(ringing: Ringing, patience: Patience) -> None:
    """Refuse a run whose panels stay short for too long, until modes that they cannot follow have died away."""
    why = (
        f"rings for some {ringing.steps:.2g} steps more, its oscillating modes damped by {ringing.damping:.2g} a step, "
        f"through which there is no way but by single steps or short panels"
    )
    patience.refuse(ringing.seconds, why, "more damping (less momentum, say)")


def _run(
    nodes: NodeArrays, method: Method, course: Course, tolerance: float, lost: float, tick: Tick
) -> list[RunResult]:
    """Passes with ever smaller local errors until the reported one meets the tolerance, or what was reached.

    The first one may be refused; one that comes later, and runs out of time, leaves what the one before it has reached.
    """
    local, budget = (tolerance - lost) / 4.0, course.patience.budget
    before: Answer | None = None
    with running_time() as clock:
        for _ in range(PASSES):
            late = False

            def going(n: int) -> bool:
                nonlocal late
                late = clock() > budget
                return tick(n) and not late

            answer = march(nodes, method, course, local=local, tick=going, clock=clock)
            answer.error += lost * np.abs(answer.risk)
            if answer.status == "interrupted":
                answer = before if late and before is not None else answer
                break
            reported = relative_error(answer)
            if reported <= tolerance:
                break
            before, course = answer, course._replace(patience=Patience())
            local *= min(0.3, 0.3 * tolerance / reported)
            if local < 1e-13:
                break
    if answer.status == "done" and relative_error(answer) > tolerance:
        answer.status = "inaccurate"
    for part in (answer.risk, answer.final, answer.error):
        sums_of_squares(part, nodes.risk_unit)
    dims = ("component", "subspace")
    error: dict[str, tuple[tuple[str, ...], FloatArray]] = {"risk_error": (dims, answer.error)}
    parts = ("bias", "variance")
    how = (answer.status, answer.ended_at, answer.final, method.learning_rate)
    return [RunResult(course.steps, answer.risk, parts, *how, {}, error, answer.states)]


def march(
    nodes: NodeArrays,
    method: Method,
    course: Course,
    *,
    local: float,
    shortest: int = SHORTEST,
    tick: Tick | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Answer:
    """One pass over all steps of `method`, with panels of relative error at most `local`; `clock` tells seconds."""
    steps, keep = course.steps, NO_STEPS if course.keep is None else course.keep
    run, began = March(nodes, method, course.labels, course.label_count, steps, course.start, clock), clock()
    answer, t = run.answer, course.begin
    tried = t
    while t < method.length and answer.status == "done":
        if t in keep:
            answer.states[t] = run.kept(t)
        stop = int(min([method.length, *keep[np.searchsorted(keep, t, side="right") :][:1]]))
        cycles = cycles_from(run, t, stop, local, shortest) if t >= tried else None
        if cycles is not None:
            tried = t + cycles.count * cycles.period
            if cycles.go():
                t = tried
                continue
        for length, _ in run.pieces(t, run.piece(t, stop, shortest)[0], local, shortest):
            t += length
            _refuse_ringing(run.ringing, Patience(max(course.patience.budget - (clock() - began), 0.0)))
            if length == 0:
                answer.status = "diverged"
            elif not (tick is None or tick(length)):
                answer.status = "interrupted"
                break
    answer.ended_at = t
    if answer.status != "diverged" and (course.keep is None or t in keep):
        answer.states[t] = run.kept(t)
    answer.final, answer.final_error = run.now(t)
    at = np.flatnonzero(steps == t)
    answer.risk[at], answer.error[at] = answer.final, answer.final_error
    answer.error += run.rounding * np.abs(answer.risk)
    return answer
