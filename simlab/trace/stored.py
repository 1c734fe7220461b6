"""States in the file of a trace: an array each beside its variables, and a digest of all of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from simlab.doors import door
from simlab.errors import InputError, check_count, check_kind, unknown_name
from simlab.trace.state import State

__all__ = ["States", "pick", "state_at", "with_states", "without_states"]

States = Mapping[tuple[str, int], State]
"""(run, step) -> state; the run is "" where there is but one."""

ATTRIBUTE = "simlab_states"


def pick(states: States, step: int | None, run: str | None, gone: str = "") -> State:
    """The state kept at `step` (default: the last one kept) of `run` among several, or an InputError.

    gone : why there may be none.
    """
    runs = list(dict.fromkeys(name for name, _ in states))
    if not runs:
        raise InputError(f" has kept no state{gone}; run it again with keep=[...], the steps to go on from.", "trace")
    if run is None and len(runs) > 1:
        raise InputError(f" is missing, and there are {len(runs)} runs; give one of {', '.join(runs[:5])}.", "run")
    name = runs[0] if run is None else run
    if name not in runs:
        raise unknown_name("run", name, runs)
    steps = sorted(at for label, at in states if label == name)
    at = steps[-1] if step is None else check_count("step", step, low=0)
    if at not in steps:
        listed = ", ".join(f"{each:,}" for each in steps[:5])
        raise InputError(
            f" = {at} is none whose state was kept (those are {listed}); run it again with keep=[{at}].", "step"
        )
    return states[name, at]


@door
def state_at(trace: xr.Dataset, step: int | None = None, run: str | None = None) -> State:
    """The state that `simlab.descend` kept at `step` (default: the last one kept), from which `start=` goes on.

    trace : what it returned, or that read from a file.  run : of several. Raises InputError where none was kept there.
    """
    check_kind("trace", trace, xr.Dataset, "a dataset", "give what simlab.descend returns")
    return pick(without_states(trace, "trace")[1], step, run)


def with_states(dataset: xr.Dataset, states: States) -> xr.Dataset:
    """The dataset of a trace with its states as variables of their own."""
    if not states:
        return dataset
    variables: dict[str, Any] = {}
    listed = []
    for j, ((run, _), state) in enumerate(states.items()):
        names = {name: f"state_{j}_{name}" for name in state.arrays}
        for name, array in state.arrays.items():
            variables[names[name]] = ([f"{names[name]}_{axis}" for axis in range(array.ndim)], array)
        facts = {"kind": state.kind, "step": state.step, "time": state.time, "method": state.method,
                 "coordinates": list(state.coordinates), "readout": state.readout.tolist(),
                 "at_rest": state.at_rest.tolist(), "facts": dict(state.facts), "fresh": state.fresh}  # fmt: skip
        listed.append({"run": run, "arrays": names, "state": facts, "digest": _digest(facts, state.arrays)})
    return dataset.assign(variables).assign_attrs({ATTRIBUTE: json.dumps(listed)})


def without_states(dataset: xr.Dataset, source: object) -> tuple[xr.Dataset, States]:
    """What `with_states` was given; InputError where a state in `source` is not the one that was kept."""
    if ATTRIBUTE not in dataset.attrs:
        return dataset, {}
    states: dict[tuple[str, int], State] = {}
    taken: list[str] = []
    for entry in json.loads(dataset.attrs[ATTRIBUTE]):
        facts, names = entry["state"], entry["arrays"]
        arrays = {name: np.asarray(dataset[variable].values) for name, variable in names.items()}
        if _digest(facts, arrays) != entry["digest"]:
            what = f" holds a state at step {facts['step']} that is not the one that was kept; run it again."
            raise InputError(what, str(source))
        given = {key: value for key, value in facts.items() if key != "time"}
        given |= {"coordinates": tuple(facts["coordinates"])}
        given |= {name: np.array(facts[name]) for name in ("readout", "at_rest")}
        given["clock"] = partial(float, facts["time"])
        states[str(entry["run"]), int(facts["step"])] = State(**given, arrays=arrays)
        taken += names.values()
    attributes = {name: value for name, value in dataset.attrs.items() if name != ATTRIBUTE}
    left = dataset.drop_vars(taken)
    left.attrs = attributes
    return left, states


def _digest(facts: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
