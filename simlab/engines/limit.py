"""The public door of the limit: the deterministic risk of methods, and of rates, that are not linear."""

from __future__ import annotations

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
from simlab.engines.moments.background import Job, run_all
from simlab.engines.moments.loops import Rates
from simlab.engines.moments.walks import Drive, Walk, walk_of
from simlab.errors import InputError, brief
from simlab.feedback import Feedback
from simlab.kernels import dials as names
from simlab.methods.base import Method
from simlab.methods.closed import closed_loop
from simlab.problems import LinearRegression, NoisyQuadratic
from simlab.problems.base import Modes
from simlab.subspaces import Subspaces, from_spec
from simlab.trace import RiskTrace, build_trace
from simlab.trace.recording import DIVERGENCE_FACTOR, Record, RunResult, Status, Tick, record_steps

__all__ = ["ACCURACY", "limit"]

ACCURACY = (
    "the limit of many modes: a replica differs from it by about 1 / sqrt(d); Adam's family within 5 % for beta2 >= "
    "0.95 with momentum, 8 % without (3 % from 0.98 on; adamod within 10 %); risk_error holds it"
)
"""What is known of how far the limit is from a run, in words: an attribute of every trace."""

TICK = 64
PARTS = ("bias", "variance")


@door
def limit(
    problem: LinearRegression | NoisyQuadratic,
    method: MethodArgument,
    *,
    record: Record = None,
    subspaces: Subspaces | str | Mapping[str, Iterable[int]] | None = None,
    threads: int | None = None,
    progress: Progress | bool | None = None,
) -> RiskTrace:
    """The risk of a method that is not linear, in the limit of many modes, weights being the eigen-coordinates.

    Never exact. Sums over modes concentrate as their number d grows, and so do means of many squares: at their expected
    values signSGD, Adam's family and rates that are fed back are deterministic recursions of two moments of each mode.

    sign_sgd : m_i <- m_i - 2 lr E[e_i sign g_i] + lr^2, for any batch; Gaussian features and label noise.
    rmsprop, adagrad, adam, adamw, nadam, radam, adabound, adamod, adam_mini : v_i is replaced by its expectation, and
        the linear recursion run with the rates that follow. Measured against sampling: 3 % for beta2 >= 0.95, 7 % at
        0.9.
    closed_loop : the rate is made of expectations, the loop closed over exact moments; of a rule of |g| of the batch
        (gradient_clipping) the law of the batch's residuals is averaged over.

    Parameters
    ----------
    problem : LinearRegression, not rotated (sign_sgd: kurtosis 3), or NoisyQuadratic (not sign_sgd); compressed only
        for SGD in a loop, which asks of the spectrum no more than sums.
    record, subspaces, threads, progress : as for `simlab.exact`.

    Returns a RiskTrace. "bias" is the risk of the mean path, "variance" that of what fluctuates about it: they do not
    separate as for linear methods. `risk_error`, of the shape of the risk, says how sure each number is: what the
    recursion and one with the first-order correction differ by (of Adam's family the truth lies between the two, of
    sign_sgd the other is the form for small shares; NaN for SGD in a loop). `rate` by step is
    the learning rate that was taken, `drawn` the batch, where a feedback chooses it (NaN in runs beside it).
    Raises InputError for bad input, and for methods that have no limit here.
    """
    check_problem(problem, (LinearRegression, NoisyQuadratic), "a LinearRegression or a NoisyQuadratic")
    methods, labels = named_methods(method, "limit")
    progress = check_progress(progress)
    partition = from_spec(subspaces)
    _check(problem, methods)
    jobs: list[Job] = []
    shown: list[str] = []
    for each in methods:
        modes, shown, own = _labelled(problem, each, partition)
        steps = record_steps(record, each.length)
        jobs.append(partial(_start, modes, problem, each, steps, own, len(shown)))
    work = sum(m.length for m in methods)
    results = run_all(jobs, work, worker_count(threads), progress, "limit", "steps")
    if any("drawn" in result.statistics for result in results):
        for result in results:
            result.statistics.setdefault("drawn", ((), np.full(result.steps.size, np.nan)))
    facts = {"engine": "limit", "subspaces": partition.expression, "accuracy": ACCURACY}
    trace = build_trace(results, methods, shown, problem, run_labels=labels, provenance=facts)
    # The schedule that the trace shows is the one that ran.
    rate = trace.dataset["rate"]
    return trace.with_coordinates({"lr": (rate.dims, rate.values)})


def _check(problem: Any, methods: list[Method]) -> None:
    """What the recursions are not derived for."""
    weightwise = any(getattr(each.core, "rule", None) != names.PLAIN for each in methods)
    if getattr(problem, "compressed", False) and weightwise:
        raise InputError(" is compressed, and its nodes are no weights; give the original problem.", "problem")
    if problem.rotation.size:
        raise InputError(
            " is rotated, and the recursions are those of the eigenbasis; take simlab.sample, or the problem before "
            "its rotation.",
            "problem",
        )
    for each in methods:
        core: Any = each.core
        if each.linear:
            raise InputError(f" = {brief(each)} is linear; take simlab.exact, which is exact.", "method")
        if isinstance(core, closed_loop) and isinstance(core.feedback, Feedback) and core.feedback.whole:
            raise InputError(
                f" = {brief(core.feedback)} sees all weights, whose law has no limit here; take simlab.sample.",
                "feedback",
            )
        if core.rule == names.SIGN and not (
            isinstance(problem, LinearRegression) and problem.kurtosis == 3.0 and problem.coupled
        ):
            raise InputError(
                " must be a LinearRegression of kurtosis 3 for sign_sgd, whose law of signs is the Gaussian one; take "
                "simlab.sample for others.",
                "problem",
            )


def _labelled(problem: Any, method: Method, partition: Subspaces) -> tuple[Modes, list[str], IntArray]:
    """Nodes that no subspace cuts, names of the subspaces, and the label of each node."""
    time = method.learning_rate.total() if partition.depends_on_schedule else 0.0
    facts = (problem.dim, problem.count_at_least, time)
    modes = problem.modes()
    if isinstance(problem, LinearRegression):
        modes = modes.cut(partition.boundaries(*facts))
    shown, labels = partition.labels(modes.start, modes.stop, *facts)
    return modes, shown, labels


def _start(
    modes: Modes, problem: Any, method: Method, steps: IntArray, labels: IntArray, count: int, tick: Tick
) -> list[RunResult]:
    return [_run(modes, problem, method, steps, labels, count, tick)]


def _run(
    modes: Modes, problem: Any, method: Method, steps: IntArray, labels: IntArray, count: int, tick: Tick
) -> RunResult:
    """Two walks side by side, of which the second says how sure the first is; of SGD there is no second form."""
    drive = Drive(modes, _errors(modes, problem))
    core: Any = method.core
    forms = (False,) if core.rule == names.PLAIN else (False, True)
    walks = [walk_of(method, drive, second_form) for second_form in forms]
    rates = [Rates(method, walk) for walk in walks]
    values = np.full((steps.size, len(walks), 2, count), np.nan)
    taken, drawn = np.full(steps.size, np.nan), np.full(steps.size, np.nan)
    bound = DIVERGENCE_FACTOR * modes.reference_risk()
    status: Status = "done"
    at = 0
    with np.errstate(over="ignore", invalid="ignore"):
        while True:
            row = int(np.searchsorted(steps, at))
            recorded = row < steps.size and steps[row] == at
            now = np.stack([_risks(walk, labels, count) for walk in walks])
            if recorded:
                values[row] = now
            if not now[0].sum() <= bound:
                status = "diverged"
            if status != "done" or at == method.length:
                break
            rate, *_ = [each.step(at) for each in rates]
            if recorded:
                taken[row], drawn[row] = rate, rates[0].share
            at += 1
            if at % TICK == 0 and not tick(TICK):
                status = "interrupted"
    beside = {
        "risk_error": (
            ("component", "subspace"),
            np.abs(values[:, 1] - values[:, 0]) if forms[1:] else np.nan * values[:, 0],
        ),
        "rate": ((), taken),
    }
    loop = rates[0].feedback
    if loop is not None and loop.chooses:
        with np.errstate(divide="ignore"):
            beside["drawn"] = ((), 1.0 / drawn)
    return RunResult(steps, values[:, 0], PARTS, status, at, now[0], method.learning_rate, {}, beside)


def _errors(modes: Modes, problem: Any) -> FloatArray:
    """w_0 - w* of one mode of each node, with its sign where it is known."""
    size = np.sqrt(modes.signal / (modes.multiplicity * modes.eigenvalues))
    given = problem.initial_error
    return np.copysign(size, given) if given.size == size.size else size


def _risks(walk: Walk, labels: IntArray, count: int) -> FloatArray:
    """(2, count): the risk of the mean path and of what fluctuates about it, by subspace."""
    lam, many = walk.drive.eigenvalues, walk.drive.multiplicity
    bias = 0.5 * many * lam * walk.mean**2
    whole = 0.5 * many * lam * walk.second
    parts = (bias, np.maximum(whole - bias, 0.0))
    return np.stack([np.bincount(labels, part, count) for part in parts])
