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

from simlab.errors import InputError
from simlab.trace.state import State

__all__ = ["States", "with_states", "without_states"]

States = Mapping[tuple[str, int], State]
"""(run, step) -> state; the run is "" where there is but one."""

ATTRIBUTE = "simlab_states"


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
