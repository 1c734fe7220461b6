"""The public door of stochastic descent on landscapes: any method on any loss, split into river and hills."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from simlab._version import __version__
from simlab.arrays import FloatArray, IntArray
from simlab.checkpoint import fingerprint
from simlab.doors import door, notice
from simlab.engines.arguments import MethodArgument, Progress, check_counters, named_methods
from simlab.engines.gpu.devices import choose
from simlab.engines.replicas.landscape import AdaptedDescent, Descent
from simlab.engines.replicas.march import Kept, Plan, Ticker, march_all, planned
from simlab.engines.replicas.statistics import mean_and_error, order_statistics, quantile_levels
from simlab.errors import InputError, brief, unknown_name
from simlab.kernels.landscapes.descent import Noisy
from simlab.kernels.random.philox import LANES
from simlab.landscapes import noise as noises
from simlab.landscapes.landscape import Landscape, Split
from simlab.methods.base import Method
from simlab.trace.recording import Record, Status, hyper_parameters, record_steps, steps_asked
from simlab.trace.state import State, continued
from simlab.trace.stored import with_states

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["QUANTITIES", "descend"]


Variables = dict[str, tuple[tuple[str, ...], npt.NDArray[Any]]]

QUANTITIES = ("total", "river_loss", "hill_loss", "river")
LARGEST_HESSIAN = 2000
"""Dimension up to which the start is looked at for steps beyond 2 / lam_max."""


class _River(Protocol):
    def split(self, points: FloatArray) -> Split: ...


@door
def descend(
    landscape: Landscape,
    method: MethodArgument,
    *,
    replicas: int = 256,
    seed: int = 0,
    noise: noises.Noise | None = None,
    record: Record = None,
    river: _River | None = None,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    paths: bool = False,
    device: str = "auto",
    dtype: str = "float64",
    threads: int | None = None,
    block: int | None = None,
    checkpoint: str | PathLike[str] | None = None,
    every: int | None = None,
    start: State | None = None,
    keep: Sequence[int] | None = None,
    progress: Progress | bool | None = None,
    warn: bool = True,
) -> xr.Dataset:
    """Ensembles of real trajectories of a method on a landscape: z <- M z - b (grad L(c . z) - noise), w = o . z.

    Methods that are not linear (adam, sign_sgd, ..) go coordinate by coordinate in the landscape's own.

    The state is measured from the origin of the landscape's coordinates and starts at method.z0 times the
    landscape's start: positions at w_0, velocities at 0; weight decay pulls towards w_0, as everywhere in simlab. Draws
    are a pure function of (seed, replica, step, coordinate) by Philox4x32-10 (Salmon et al. 2011), the same that
    `simlab.sample` gives to additive noise, so that results are the same to the bit for any number of threads, any
    `block`, and after any interruption.

    Parameters
    ----------
    landscape : Landscape (simlab.river).
    method : one Method; or a list, or a mapping from label to Method, for a leading "run" axis.
    replicas : number of independent runs R.  seed : 0 .. 2^64 - 1.
    noise : of one sample's gradient (simlab.river.noise; default none); a batch of B divides its variance by B.
    record, threads, progress, checkpoint, every : as for `simlab.sample`.
    river : what splits a loss, a simlab.river.find.River; default: the landscape's own split, if it has one.
    quantiles : over replicas, within [0, 1]; order statistics.
    paths : keep every replica: `iterate` (step, replica, index), and its loss and parts (step, replica), as
        `replica_total`.
    device : as for `simlab.sample`; the same random words on each, and the same numbers up to rounding. A landscape of
        the user's own runs on a GPU if it comes with CUDA C++ (`simlab.river.custom`), noise of the user's own does
        not; "auto" leaves what cannot run there to the processor.
    dtype : "float64"; single precision would lose the small steps of long runs along a river.
    block : replicas held in memory at a time (default: what fits), rounded up to a multiple of 64.
    start, keep : as for `simlab.sample`; `river.state_at(trace, step)` is a state kept. Its replicas go on from their
        places with the words of their seed; the landscape may be another of as many coordinates.

    Returns an xarray.Dataset by ([run,] step), named as that of `simlab.exact_valley`: means over replicas of the loss,
    `total`; river_loss; hill_loss = total - river_loss; and river, the coordinate along it (the last three only where a
    split is known); of each its standard error, as `total_error`, and its quantiles (quantile), as `total_quantile`;
    hill_state (hill_direction), the mean square of each hill coordinate; diverged, how many replicas had left: those
    whose loss had passed 10^6 times its scale at the start or overflowed (looked at every 64 steps and at records),
    which count as infinite from there on; coordinates lr, batch, momentum, status, ended_at. The status is "diverged"
    where more than half of the replicas did. Ctrl-C returns what there is, with status "interrupted".
    Warns where the learning rate passes 2 / lam_max at the start (not without `warn`, for which the status has to do);
    raises InputError for bad input.
    """
    methods, runs = named_methods(method, "descend")
    whole = [continued(start, each, "landscape", "descend") for each in methods]
    methods, states = [each for each, _ in whole], [state for _, state in whole]
    begin = 0 if start is None else start.step
    if not isinstance(landscape, Landscape):
        raise InputError(
            f" = {brief(landscape)} is no landscape; make one with simlab.river.curved() or custom.", "landscape"
        )
    given = noises.none() if noise is None else noise
    if not isinstance(given, noises.Noise):
        raise InputError(f" = {brief(noise)} is not a noise; write simlab.river.noise.isotropic(1.0), say.", "noise")
    course: Any = river
    if course is not None and (isinstance(course, str) or not callable(getattr(course, "split", None))):
        raise InputError(
            f" = {brief(river)} is not a river; find one with simlab.river.find.river(landscape).", "river"
        )
    if str(dtype) not in ("float64", "<class 'numpy.float64'>"):
        raise unknown_name("dtype", dtype, ["float64"])
    if start is not None:
        replicas, seed = start.arrays["ended"].size, int(start.facts["seed"])
        if start.arrays["z"].shape[2] != landscape.dim:
            raise InputError(
                f" has {start.arrays['z'].shape[2]} coordinates, the landscape {landscape.dim}; give one of as many.",
                "start",
            )
    plan = planned(Plan, replicas=replicas, seed=seed, threads=threads, block=block, every=every)
    levels = quantile_levels(quantiles)
    for each in methods:
        check_counters(each)
    kept_at = steps_asked("keep", keep, methods, [begin])
    noisy = given.on(landscape)
    if warn:
        _warn_of_large_steps(landscape, [each for each in methods if each.linear])
    chosen = _device(device, landscape, noisy, all(each.linear for each in methods))
    splitter = river.split if river is not None else (landscape.split if landscape.split_of is not None else None)
    ticker = Ticker("descend", plan.replicas * sum(m.length - begin for m in methods), progress)

    def crews() -> Iterator[tuple[Descent, IntArray, Callable[[], str]]]:
        for each, state in zip(methods, states, strict=True):
            steps = record_steps(record, each.length, begin)
            kind = Descent if each.linear else AdaptedDescent
            crew = kind(landscape, each, noisy, splitter, plan, bool(paths), chosen, state, kept_at)
            yield crew, steps, partial(_fingerprint, crew, steps, given, river)

    parts: list[Variables] = []
    held: dict[tuple[str, int], State] = {}
    for crew, steps, kept in march_all(crews(), checkpoint, ticker):
        name = "" if runs is None else runs[len(parts)]
        parts.append(_summary(crew, kept, steps, levels))
        if not kept.interrupted:
            held |= {(name, at): crew.kept_state(*state, at) for at, state in kept.states.items()}
    names = None if runs is None else runs[: len(parts)]
    trace = _joined(parts, names, landscape, methods, given, plan, chosen, levels)
    if start is not None:
        trace.attrs["started_from"] = f"step {start.step} of {start.method}"
    return with_states(trace, held)


def _warn_of_large_steps(landscape: Landscape, methods: Sequence[Method]) -> None:
    if landscape.dim > LARGEST_HESSIAN:
        return
    steepest = landscape.sharpness()
    peak = max((each.learning_rate.peak() for each in methods), default=0.0)
    if steepest > 0.0 and peak > 2.0 / steepest:
        notice(
            f"lr reaches {peak:g}, above 2 / lam_max = {2.0 / steepest:g} at the start, where gradient descent is "
            f"unstable; run as asked."
        )


def _device(device: str, landscape: Landscape, noisy: Noisy, linear: bool) -> str:
    """Where to run: "cpu" or "gpu"; InputError for a GPU that is not there or cannot run this landscape, noise or
    method.
    """
    if choose(device) == "cpu":
        return "cpu"
    from simlab.engines.gpu.landscape import check_source, refusal

    reason = refusal(landscape, noisy) if linear else "methods that are not linear run on processors; give linear ones"
    if reason is None:
        check_source(landscape)
        return "gpu"
    if device == "auto":
        return "cpu"
    raise InputError(f" = 'gpu': {reason}, or choose device='cpu'.", "device")


def _fingerprint(crew: Descent, steps: IntArray, noise: noises.Noise, river: Any) -> str:
    """A digest of everything that the bits of a run depend on."""
    plan, landscape = crew.plan, crew.landscape
    facts = [plan.replicas, plan.seed, crew.paths, landscape.expression, noise.expression, landscape.code]
    facts += [crew.device, landscape.cuda]
    codes = [_code_of(function) for function in (landscape.loss, landscape.gradient, crew.noisy.shape)]
    arrays = (landscape.params, landscape.start, landscape.rotation, landscape.hills, steps)
    numbers = [value for value in (*arrays, *crew.noisy, crew.keep_at) if not callable(value)]
    if crew.start is not None:
        numbers += list(crew.start.arrays.values())
    if not crew.method.linear:
        facts.append(crew.method.core.expression)
    facts += [None if river is None else repr(river)]
    return fingerprint(facts, [*codes, *numbers], crew.method, crew.begin)


def _code_of(function: Any) -> bytes:
    """What tells the user's compiled functions apart; nothing for our own, which their name tells."""
    code = getattr(getattr(function, "py_func", None), "__code__", None)
    return b"" if code is None else bytes(code.co_code) + repr(code.co_consts).encode()


# -- statistics over replicas ------------------------------------------------------------------------------------------


def _summary(crew: Descent, kept: Kept, steps: IntArray, levels: FloatArray) -> Variables:
    """Mean, errors and quantiles over those replicas that got to each record."""
    known = len(QUANTITIES) if crew.splitter is not None else 1
    values = kept.records["values"][:, :, :known]
    got = np.count_nonzero(~np.isnan(values[:, :, 0]), axis=1)
    mean = np.full((steps.size, known), np.nan)
    error, spread = np.full_like(mean, np.nan), np.full((*mean.shape, levels.size), np.nan)
    hills = np.full((steps.size, kept.records["hills"].shape[2]), np.nan)
    for n in np.unique(got[got > 0]):
        rows = np.flatnonzero(got == n)
        part = values[rows, :n]
        mean[rows], error[rows] = mean_and_error(part)
        spread[rows] = np.moveaxis(order_statistics(part, levels), 1, 2)
        hills[rows] = kept.records["hills"][rows, : -(-n // LANES)].sum(axis=1) / n
    gone = np.searchsorted(np.sort(kept.ended[kept.ended >= 0]), steps, side="right")
    status: Status = "interrupted" if kept.interrupted else "done"
    reached = np.flatnonzero(got)
    ended_at = int(steps[reached[-1]]) if reached.size else 0
    if not kept.interrupted and 2 * np.count_nonzero(kept.ended >= 0) > crew.plan.replicas:
        status = "diverged"
        ended_at = int(np.sort(kept.ended[kept.ended >= 0])[crew.plan.replicas // 2])
    variables: Variables = {"step": (("step",), steps), "status": ((), np.array(status))}
    variables |= {"ended_at": ((), np.array(ended_at)), "diverged": (("step",), gone)}
    for name, own, uncertain, wide in zip(QUANTITIES, mean.T, error.T, np.moveaxis(spread, 1, 0), strict=False):
        variables |= {name: (("step",), own), f"{name}_error": (("step",), uncertain)}
        variables[f"{name}_quantile"] = (("step", "quantile"), wide)
    if crew.splitter is not None:
        variables["hill_state"] = (("step", "hill_direction"), hills)
    if crew.paths:
        variables["iterate"] = (("step", "replica", "index"), kept.records["points"])
        for name, own in zip(QUANTITIES, np.moveaxis(values, 2, 0), strict=False):
            variables[f"replica_{name}"] = (("step", "replica"), own)
    return variables


def _along_runs(parts: list[Variables], grid: IntArray) -> Variables:
    """The variables of several runs, by (run, ..) and on the steps of `grid`; NaN where a run has no record."""
    out: Variables = {}
    for name, (dims, first) in parts[0].items():
        rows = [part[name][1] for part in parts]
        if dims[:1] == ("step",) and any(row.shape[0] != grid.size for row in rows):
            whole = np.full((len(rows), grid.size, *first.shape[1:]), np.nan)
            for row, part in zip(whole, parts, strict=True):
                row[np.searchsorted(grid, part["step"][1])] = part[name][1]
            rows = list(whole)
        out[name] = (("run", *dims), np.stack(rows))
    return {**out, "step": (("step",), grid)}


def _joined(
    parts: list[Variables],
    runs: list[str] | None,
    landscape: Landscape,
    methods: list[Method],
    noise: Any,
    plan: Plan,
    device: str,
    levels: FloatArray,
) -> xr.Dataset:
    import xarray as xr

    grid = np.unique(np.concatenate([part["step"][1] for part in parts]))
    variables = parts[0] if runs is None else _along_runs(parts, grid)
    rates = hyper_parameters(methods[: len(parts)], grid)
    coordinates: dict[str, Any] = {name: variables.pop(name) for name in ("step", "status", "ended_at")}
    for name, rows in rates.items():
        coordinates[name] = (("step",), rows[0]) if runs is None else (("run", "step"), rows)
    if runs is not None:
        coordinates["run"] = runs
    whole = xr.Dataset(variables, {**coordinates, "quantile": levels})
    whole.attrs = {
        "simlab_version": __version__,
        "engine": "descent",
        "landscape": json.dumps(landscape.describe()),
        "noise": noise.expression,
        "method": methods[0].expression if runs is None else json.dumps([m.describe() for m in methods]),
        "seed": str(plan.seed),
        "replicas": plan.replicas,
        "device": device,
    }
    return whole
