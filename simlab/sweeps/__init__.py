"""Sweeps: one experiment, some of its parameters varied, one labelled array of answers.

    store = simlab.sweep("experiment.toml", {"schedule.peak": {"log": [0.01, 1.0], "points": 9}}, store="peaks.zarr")
    store.dataset()["final_risk"]

plan: the table [sweep] becomes cells, checked -> work: their numbers -> store: kept -> answer: read. What is kept of a
cell and how it is computed depends on the family of its problem (`simlab.experiment.families`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from simlab.doors import door
from simlab.errors import InputError, check_kind, check_path
from simlab.experiment import Experiment
from simlab.experiment.document import read_toml
from simlab.sweeps.plan.sweep import Sweep
from simlab.sweeps.store.store import Store
from simlab.sweeps.work.run import Report, run_sweep

__all__ = ["Report", "Store", "Sweep", "run_sweep", "sweep", "sweep_of"]


@door
def sweep(
    experiment: Experiment | Mapping[str, Any] | str | PathLike[str],
    axes: Mapping[str, Any] | None = None,
    *,
    store: str | PathLike[str],
    threads: int | None = None,
    cluster: str | None = None,
    progress: Callable[[int, int], None] | bool | None = None,
) -> Store:
    """Run an experiment at many values of its parameters; what the store holds already is not computed again.

    Parameters
    ----------
    experiment : an Experiment, its tables, or the path of its file.
    axes : the table [sweep] (see `simlab.sweeps.plan.axes`), such as {"schedule.peak": [0.1, 0.2],
        "method.batch": [1, 8]} for a grid; default: that of the file.
    store : the folder of the answers; made where it is not there.
    threads : cells computed at a time on this machine (default: its processors).
    cluster : "tcp://HOST:PORT" of a Dask scheduler, or "local:N" for N worker processes.
    progress : None for a bar on a terminal, False for none, or a callable (cells done, all).

    Returns the store, open for reading: `store.dataset()` has the variables risk, final_risk, status and ended_at by
    the swept parameters; of river valleys total, river_loss, hill_loss and river (the coordinate) in the place of risk,
    with final_ before each, and sampled ones with standard errors as <name>_error. Raises InputError for bad input,
    before anything runs.
    """
    place = check_path("store", store)
    if cluster is not None:
        check_kind("cluster", cluster, str, "an address", "give tcp://HOST:PORT of a scheduler, or local:N")
    planned = sweep_of(experiment, axes)
    run_sweep(planned, place, threads=threads, cluster=cluster, progress=progress)
    return Store(place)


def sweep_of(
    experiment: Experiment | Mapping[str, Any] | str | PathLike[str], axes: Mapping[str, Any] | None = None
) -> Sweep:
    """The sweep of an experiment with these axes, or those of its own table [sweep]."""
    folder: Path = Path()
    if isinstance(experiment, Experiment):
        tree, folder = experiment.to_dict(), experiment.folder
    elif isinstance(experiment, Mapping):
        tree = dict(experiment)
    else:
        tree, folder = read_toml(experiment), Path(experiment).resolve().parent
    if axes is not None:
        tree["sweep"] = axes
    if not tree.get("sweep"):
        raise InputError('[sweep] is missing; add it with a parameter, such as "schedule.peak" = [0.1, 0.2].')
    return Sweep(tree, folder)
