"""The public door of the sampler: ensembles of real stochastic trajectories in, a labelled trace out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any, Literal

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.checkpoint import fingerprint
from simlab.doors import door
from simlab.engines.arguments import MethodArgument, Progress, check_counters, check_team, named_methods
from simlab.engines.gpu.devices import choose
from simlab.engines.replicas.adaptive import Adapted, check_basis
from simlab.engines.replicas.march import Kept, Ticker, march_all, planned
from simlab.engines.replicas.mixture import MixtureReplicas
from simlab.engines.replicas.regression import Precision, Regression, Sampling, parts_of
from simlab.engines.replicas.rounding import rounding_loss
from simlab.engines.replicas.statistics import mean_and_error, order_statistics, quantile_levels
from simlab.engines.replicas.workers import MixedTeams, Teams
from simlab.errors import InputError, brief, check_count, check_entries, unknown_name
from simlab.methods.base import Method
from simlab.methods.workers import team_of
from simlab.problems import DiagonalProblem, EmpiricalRegression, Mixture
from simlab.problems.draws import Draws, MixedDraws, draws_of
from simlab.subspaces import Subspaces, from_spec
from simlab.trace import RiskTrace, build_trace
from simlab.trace.recording import Record, RunResult, Status, record_steps, steps_asked
from simlab.trace.state import Kind, State, continued

__all__ = ["check_sampling", "kind_of_replicas", "sample"]


@door
def sample(
    problem: DiagonalProblem | EmpiricalRegression | Mixture,
    method: MethodArgument,
    *,
    replicas: int = 256,
    seed: int = 0,
    law: str | None = None,
    record: Record = None,
    subspaces: Subspaces | str | Mapping[str, Iterable[int]] | None = None,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    coordinates: Sequence[int] | None = None,
    split: bool = True,
    basis: str | None = None,
    device: str = "auto",
    dtype: str | None = None,
    threads: int | None = None,
    block: int | None = None,
    checkpoint: str | PathLike[str] | None = None,
    every: int | None = None,
    start: State | None = None,
    keep: Sequence[int] | None = None,
    progress: Progress | bool | None = None,
) -> RiskTrace:
    """Risk of real stochastic runs of a method, or of several: mean, standard error and quantiles over replicas.

    Knows nothing of the moment recursion of `simlab.exact`, which it referees: x and the label noise are drawn, and
    z <- M z - b g(c . z) is carried out. Draws are a pure function of (seed, replica, step, coordinate) by
    Philox4x32-10 (Salmon et al. 2011), so that results are the same to the bit for any number of threads, any `block`,
    and after any interruption; all methods of one call see the same draws, and a difference between them is far more
    precise than either.

    Parameters
    ----------
    problem : LinearRegression (not compressed), NoisyQuadratic, RandomFeatures, EmpiricalRegression, or Mixture (the
        risk then has a dimension "domain", trajectories are of w itself, and all is in double precision).
    method : one Method; or a list, or a mapping from label to Method, for a trace with a leading "run" axis. Of
        `methods.local` every replica has its workers; `worker_risk` (component, subspace) is the mean over them all, or
        that of each (worker, component, subspace) where they are not alike; a state is that of their mean.
    replicas : number of independent runs R.
    seed : 0 .. 2^64 - 1.
    law : of the coordinates: "gaussian", "rademacher", "uniform", "laplace", "student_t" or "three_point" (default:
        what the problem's kurtosis implies, see `simlab.problems.draws`); of a data set "rows" (default, with
        replacement) or "epochs" (every row once, then reshuffled).
    record, subspaces, threads, progress : as for `simlab.exact`.
    quantiles : of the risk over replicas, within [0, 1]; order statistics, so that replicas that diverged count as
        infinite.
    coordinates : eigen-indices (from 1) whose w - w* is kept for every replica (`trace.dataset["trajectory"]`).
    split : run the noiseless trajectory and the noise's own under the same x, so that risk = bias + variance + cross in
        every replica (the cross term has mean 0 but for data sets). Without it one trajectory, component "total"; so
        too where any method is not linear, whose noiseless run says nothing of the other.
    basis : what the weights are, for methods that go weight by weight (adam, sign_sgd, ..): "eigen" for the
        eigen-coordinates; by default those of `problem.rotated(seed)`. Linear methods do not ask.
    device : "cpu", "gpu", or "auto" for a GPU if CuPy finds one.
    dtype : "float32" or "float64"; both follow the same random words. By default each run takes float32, which is twice
        as fast, unless its steps come so near the rounding of single precision (lr lam against 6e-8) that the risk of
        some mode would be off by what its standard error does not hide (`simlab.engines.replicas.rounding`). The
        attribute `dtype` of the trace says which it was, run by run where they differ, and `precision` why.
    block : replicas held in memory at a time (default: what fits).
    checkpoint, every : a folder that takes the state every so many steps (default: a hundredth of the run); a run that
        finds its own state there goes on from it, and ends with the same bits as one that was never stopped.

    Returns a RiskTrace whose dataset also holds, by ([run,] step, ...): standard_error (component, subspace),
    risk_error (subspace) and total_error, standard errors of the mean of each component, of the risk of a subspace and
    of the risk; risk_quantile (quantile, subspace) and total_quantile (quantile); replicas, how many got so far;
    holdout (component) and holdout_error, of the loss on held-out rows where there are any, see `trace.holdout()`;
    diverged, how many of the replicas had left: one whose risk passed 10^6 times the larger of the initial risk and
    noise_variance / 2 (looked at every 64 steps and at records) counts as infinite from there on. The status is
    "diverged" where more than half of the replicas did. Ctrl-C returns what there is, with status "interrupted".
    Warns where dtype="float32" is asked for and stalls; raises InputError for bad input.
    """
    methods, runs = named_methods(method, "sample")
    own = methods
    whole = [continued(start, each, kind_of_replicas(problem), "sample") for each in methods]
    methods, states = [each for each, _ in whole], [state for _, state in whole]
    partition = from_spec(subspaces)
    if start is not None:
        replicas, seed = start.arrays["ended"].size, int(start.facts["seed"])
        dtype = dtype or start.arrays["z"].dtype.name
    linear = all(each.linear or each.workers > 0 for each in methods)
    teams = any(each.workers > 0 for each in methods)
    for each in methods:
        check_team(problem, each)
    draws, plan, levels = check_sampling(
        problem, replicas=replicas, seed=seed, law=law, quantiles=quantiles, split=split and linear, dtype=dtype,
        threads=threads, block=block, every=every,
    )  # fmt: skip
    if isinstance(draws, MixedDraws):
        if basis not in (None, "eigen"):
            raise InputError(f" = {brief(basis)} is not known; give 'eigen', or leave it out.", "basis")
        if not linear:
            raise InputError(" is a Mixture, on which only linear methods are known; give one domain.", "problem")
    else:
        for each in methods:
            draws = draws if each.workers > 0 else check_basis(basis, draws, each)
    size = draws.eigenvalues.shape[-1]
    watched = _watched(coordinates, size)
    for each in methods:
        check_counters(each)
    begin = 0 if start is None else start.step
    recorded = [record_steps(record, each.length, begin) for each in methods]
    kept_at = steps_asked("keep", keep, methods, [begin] * len(methods))
    precisions: list[tuple[Precision, str]] = []
    for each in own:
        as_before = start is not None and dtype == start.arrays["z"].dtype.name
        precisions.append(
            (plan.precision, "as before") if as_before else _precision_of(draws, each, plan, dtype is None)
        )
    able = "mixtures" if isinstance(draws, MixedDraws) else "held-out rows" if draws.heldout is not None else ""
    able = able or ("" if linear else "methods that are not linear")
    able = able or ("several workers" if teams else "")
    chosen = _without_gpu(device, able) if able else choose(device)
    ticker = Ticker("sample", plan.replicas * sum(m.length - begin for m in methods), progress)
    results: list[RunResult] = []
    names: list[str] = []

    def crews() -> Iterator[tuple[Regression, IntArray, Callable[[], str]]]:
        nonlocal names
        for each, steps, (precision, _), state in zip(methods, recorded, precisions, states, strict=True):
            names, labels = _labels(partition, problem, size, each)
            how = replace(plan, precision=precision)
            kind, made = _crew(each, isinstance(draws, MixedDraws)), draws
            crew = kind(made, each, labels, watched, how, chosen, state, kept_at)
            yield crew, steps, partial(_fingerprint, crew, steps, labels)

    for crew, steps, kept in march_all(crews(), checkpoint, ticker):
        results.append(_summary(crew, kept, steps, levels, len(names)))
    facts = {"engine": "sample", "subspaces": partition.expression, "seed": plan.seed, "replicas": plan.replicas}
    done = len(results)
    used, reasons = zip(*precisions[:done], strict=True)
    if start is not None:
        facts |= {"started_from": f"step {start.step} of {start.method}"}
    facts |= {"law": draws.law, "dtype": _each(used), "precision": _each(reasons), "device": chosen}
    trace = build_trace(results, methods[:done], names, problem, None if runs is None else runs[:done], facts)
    axes: dict[str, Any] = {"quantile": levels}
    if watched.size:
        axes |= {"replica": np.arange(plan.replicas), "coordinate": watched + 1}
    return trace.with_coordinates(axes)


def _crew(method: Method, mixed: bool) -> type[Any]:
    """Who runs replicas of this method, on a mixture or not."""
    if method.workers > 0:
        return MixedTeams if mixed else Teams
    if mixed:
        return MixtureReplicas
    return Regression if method.linear else Adapted


def kind_of_replicas(problem: Any) -> Kind:
    """What the states of `sample` on this problem hold."""
    return "mixed replicas" if isinstance(problem, Mixture) else "replicas"


def check_sampling(
    problem: Any,
    *,
    replicas: int,
    seed: int,
    law: str | None,
    quantiles: Sequence[float],
    split: bool,
    dtype: str | None,
    block: int | None,
    every: int | None,
    threads: int | None = None,
    **others: Any,
) -> tuple[Draws | MixedDraws, Sampling, FloatArray]:
    """What these arguments of `sample` ask for (the others are for somebody else to check), or an InputError."""
    precision = "float32" if dtype is None else _precision(dtype)
    how = {"precision": precision, "split": bool(split)}
    plan = planned(Sampling, replicas=replicas, seed=seed, threads=threads, block=block, every=every, **how)
    draws = draws_of(problem, law)
    if isinstance(draws, MixedDraws) and dtype is not None and precision == "float32":
        raise InputError(" = 'float32' is not for mixtures, whose weights are no small errors; leave it out.", "dtype")
    _watched(others.get("coordinates"), draws.eigenvalues.shape[-1])
    return draws, plan, quantile_levels(quantiles)


def _precision(dtype: Any) -> Precision:
    try:
        name = np.dtype(dtype).name
    except (TypeError, ValueError):
        name = str(dtype)
    if name == "float32":
        return "float32"
    if name == "float64":
        return "float64"
    raise unknown_name("dtype", name, ["float32", "float64"])


def _precision_of(draws: Draws | MixedDraws, method: Method, plan: Sampling, free: bool) -> tuple[Precision, str]:
    """The precision of a run and why; `free`: float64 is taken where float32 would stall, else only said so."""
    if isinstance(draws, MixedDraws):
        return "float64", "a mixture is in absolute coordinates"
    if not method.linear:
        what = "several workers" if method.workers > 0 else "the method is not linear"
        if free:
            return "float64", what
        if method.workers == 0:
            if plan.precision == "float32" and _called_back(method):
                raise InputError(
                    f" = 'float32' is not for {brief(method)}, whose functions take double precision; give 'float64', "
                    f"or leave it out.",
                    "dtype",
                )
            return plan.precision, "as asked"
        method = team_of(method).one
    if not free and plan.precision == "float64":
        return "float64", "as asked"
    loss = rounding_loss(draws, method, parts_of(draws, plan.split) == (1, 0), plan.replicas)
    if not loss.shows:
        return "float32", "rounding does not show" if free else "as asked; rounding does not show"
    size, rate = f"{100 * loss.share:.1g} %", f"{loss.rate:.1g}"
    what = f"the risk of mode {loss.mode} off by up to {size} (its slowest motion is {rate} a step)"
    if free:
        return "float64", f"float32 would put {what}"
    warnings.warn(
        f"dtype = 'float32' may put {what} in {method.expression}; leave dtype out, or give 'float64'.", stacklevel=3
    )
    return "float32", f"as asked, though it may put {what}"


def _called_back(method: Method) -> bool:
    """Whether kernels call functions that a rule or a feedback was compiled to."""
    core: Any = method.core
    compiled = core.compiled
    return any(part is not None for part in (compiled.own, compiled.feedback, compiled.whole))


def _each(words: Sequence[str]) -> str:
    """What all runs share, or what each has, in their order."""
    return words[0] if len(set(words)) == 1 else "; ".join(words)


def _without_gpu(device: str, what: str) -> Literal["cpu"]:
    """The processor; refused where a GPU was asked for, which does not know these."""
    if device == "gpu" and choose(device) == "gpu":
        raise InputError(f" = 'gpu' does not know {what}; choose device='cpu'.", "device")
    return "cpu"


def _watched(coordinates: Sequence[int] | None, dim: int) -> IntArray:
    """0-based indices of the coordinates whose trajectories are kept."""
    wanted = [] if coordinates is None else check_entries("coordinates", coordinates)
    return np.array([check_count("coordinates", i, high=dim) for i in wanted], dtype=np.int64) - 1


def _labels(partition: Subspaces, problem: Any, size: int, method: Method) -> tuple[list[str], IntArray]:
    time = method.learning_rate.total() if partition.depends_on_schedule else 0.0
    index = np.arange(size, dtype=np.int64)
    return partition.labels(index, index + 1, size, problem.count_at_least, time)


def _fingerprint(crew: Regression, steps: IntArray, labels: IntArray) -> str:
    """A digest of everything that the bits of a run depend on."""
    plan, draws = crew.plan, crew.draws
    mixed = draws.problem if isinstance(draws, MixedDraws) else None
    noise = draws.noise if mixed is None else mixed.noise_variance.tolist()
    facts = [plan.replicas, plan.seed, plan.precision, plan.split, draws.law, noise, crew.device]
    if not crew.method.linear:
        facts.append(crew.method.core.expression)
    arrays = [part for part in (*draws, steps, labels, crew.watched, crew.keep_at) if isinstance(part, np.ndarray)]
    arrays += list(draws.heldout or ())
    if mixed is not None:
        steps_of = (0, crew.method.length)
        arrays += [mixed.eigenvalues, mixed.optima, mixed.kurtosis]
        arrays += [mixed.shares(*steps_of), mixed.loss_weights(*steps_of)]
    if crew.method.workers > 0:
        W = team_of(crew.method).W
        arrays += [] if W is None else [W]
    if crew.start is not None:
        arrays += list(crew.start.arrays.values())
    return fingerprint(facts, arrays, crew.method, crew.begin)


# -- statistics over replicas ------------------------------------------------------------------------------------------


def _summary(crew: Regression, kept: Kept, steps: IntArray, levels: FloatArray, labels: int) -> RunResult:
    """Mean, errors and quantiles of an ensemble over those replicas that got to each record."""
    components, risk = crew.components(kept.records["risk"])
    records, replicas = risk.shape[:2]
    got = np.count_nonzero(~np.isnan(risk.reshape(records, replicas, -1)[..., 0]), axis=1)
    axes, others = tuple(crew.axes), risk.shape[3:-1]
    mean = np.full((records, len(components), *others, labels), np.nan)
    statistics: dict[str, tuple[tuple[str, ...], FloatArray]] = {
        "standard_error": (("component", *axes, "subspace"), np.full_like(mean, np.nan)),
        "risk_error": ((*axes, "subspace"), np.full((records, *others, labels), np.nan)),
        "total_error": (axes, np.full((records, *others), np.nan)),
        "risk_quantile": (("quantile", *axes, "subspace"), np.full((records, levels.size, *others, labels), np.nan)),
        "total_quantile": (("quantile", *axes), np.full((records, levels.size, *others), np.nan)),
        "replicas": ((), got.astype(np.float64)),
        "diverged": ((), _count_diverged(kept.ended, steps, got)),
    }
    # Replicas get there in order, so that at each record it is the first so many; mostly all of them.
    for n in np.unique(got[got > 0]):
        rows = np.flatnonzero(got == n)
        part = risk[rows, :n]
        mean[rows], statistics["standard_error"][1][rows] = mean_and_error(part)
        whole = part.sum(axis=2)
        statistics["risk_error"][1][rows] = mean_and_error(whole)[1]
        statistics["total_error"][1][rows] = mean_and_error(whole.sum(axis=-1))[1]
        statistics["risk_quantile"][1][rows] = order_statistics(whole, levels)
        statistics["total_quantile"][1][rows] = order_statistics(whole.sum(axis=-1), levels)
    if "worker" in kept.records:
        statistics["worker_risk"] = _of_workers(crew, kept.records["worker"], got)
    if "heldout" in kept.records:
        statistics |= _heldout(crew, kept.records["heldout"], got)
    if crew.watched.size:
        statistics["trajectory"] = (("replica", "coordinate"), kept.records["path"])
    reached = np.flatnonzero(got)
    last, status = int(reached[-1]) if reached.size else 0, _status(kept)
    if status == "diverged":
        last = int(np.argmax(2 * statistics["diverged"][1] > replicas))
    ended_at = int(steps[last])
    states = {} if kept.interrupted else {at: crew.kept_state(*held, at) for at, held in kept.states.items()}
    return RunResult(
        steps, mean, components, status, ended_at, mean[last].copy(), crew.method.learning_rate, {}, statistics, states,
        dict(crew.axes),
    )  # fmt: skip


def _of_workers(crew: Regression, risk: FloatArray, got: IntArray) -> tuple[tuple[str, ...], FloatArray]:
    """Mean of the risk of one worker, of every one where they have domains of their own."""
    _, risk = crew.components(risk)
    mean = np.full((risk.shape[0], *risk.shape[2:]), np.nan)
    for n in np.unique(got[got > 0]):
        rows = np.flatnonzero(got == n)
        mean[rows] = risk[rows, :n].mean(axis=1)
    dims = ("component", *crew.axes, "subspace")
    return (dims, mean) if mean.ndim == len(dims) + 1 else (("worker", *dims), np.moveaxis(mean, -1, 1))


def _heldout(crew: Regression, loss: FloatArray, got: IntArray) -> dict[str, tuple[tuple[str, ...], FloatArray]]:
    """Mean of the held-out loss by component, and the standard error of its sum; loss (records, replicas, parts)."""
    _, parts = crew.components(loss[..., None])
    parts = parts[..., 0]
    # What no iterate changes goes with the targets, which the first trajectory has.
    parts[..., 0 if crew.noise_part != 0 or not crew.plan.split else 1] += crew.left
    mean, error = np.full(parts.shape[::2], np.nan), np.full(parts.shape[0], np.nan)
    for n in np.unique(got[got > 0]):
        rows = np.flatnonzero(got == n)
        mean[rows], _ = mean_and_error(parts[rows, :n])
        error[rows] = mean_and_error(parts[rows, :n].sum(axis=2))[1]
    return {"holdout": (("component",), mean), "holdout_error": ((), error)}


def _status(kept: Kept) -> Status:
    if kept.interrupted:
        return "interrupted"
    return "diverged" if 2 * np.count_nonzero(kept.ended >= 0) > kept.ended.size else "done"


def _count_diverged(ended: IntArray, steps: IntArray, got: IntArray) -> FloatArray:
    """How many of the replicas that got to each record had diverged by then."""
    out = np.zeros(steps.size)
    for n in np.unique(got):
        gone = np.sort(ended[:n][ended[:n] >= 0])
        out[got == n] = np.searchsorted(gone, steps[got == n], side="right")
    return out
