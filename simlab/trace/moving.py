"""A state whose optimum moves: what was measured from one w* is measured from another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.errors import InputError

__all__ = ["into_mixture", "moved"]

Arrays = Mapping[str, Any]


def moved(kind: str, arrays: Arrays, at_rest: FloatArray, old: Any, new: Any) -> dict[str, Any]:
    """The arrays of a state of this kind, measured from w* of `new` in place of that of `old`: see `State.moved`."""
    if "pairs" in arrays:
        raise InputError(
            " keeps moments between modes of one w*, for held-out rows; move one of a problem without.", "state"
        )
    if kind == "covariance":
        return {**arrays, **_covariance(arrays, at_rest, *_of_data(arrays, old, new))}
    errors = _errors(old, arrays, "old"), _errors(new, arrays, "new")
    return {**arrays, **(_replicas if kind == "replicas" else _moments)(arrays, at_rest, *errors)}


def _errors(problem: Any, arrays: Arrays, name: str) -> FloatArray:
    """The initial error of a problem at the nodes of a state, (nodes,), with its sign; or an InputError."""
    error = getattr(problem, "initial_error", None)
    if error is None:
        raise InputError(" is no problem with an initial error; give a LinearRegression or NoisyQuadratic.", name)
    if getattr(problem, "outputs", 1) > 1:
        raise InputError(
            f" has {problem.outputs} outputs, and the mean of each is not kept; take moments='empirical', or move them "
            f"one by one.",
            name,
        )
    if getattr(problem, "compressed", False):
        raise InputError(" is compressed, and its nodes do not say where each mode is; give the original.", name)
    size = arrays["eigenvalues"].size
    if not hasattr(problem, "modes"):
        first, dim = np.arange(error.size), error.size
    else:
        modes = problem.modes()
        start = arrays["start"] if "start" in arrays else np.arange(size)
        first, dim = np.searchsorted(modes.start, start, side="right") - 1, int(modes.stop.max())
    of_state = int(arrays["stop"].max()) if "stop" in arrays else size
    if dim != of_state:
        raise InputError(f" has {dim} modes and the state {of_state}; give a problem of as many.", name)
    found: FloatArray = error[first]
    return found


def _moments(arrays: Arrays, at_rest: FloatArray, old: FloatArray, new: FloatArray) -> dict[str, Any]:
    k = at_rest.size
    if "mean" not in arrays:
        raise InputError(" keeps no mean, which a move of w* needs; make it by a run with deterministic=True.", "state")
    count = arrays["multiplicity"]
    _check_own(arrays, old)
    mean, shift = arrays["mean"] * old, np.outer(at_rest, new - old)
    rows, columns = np.triu_indices(k)
    second = arrays["second"].copy()
    second[0] += count * (mean[rows] * shift[columns] + shift[rows] * mean[columns] + shift[rows] * shift[columns])
    there = mean + shift
    # In units of the new initial error; of one, where that is nothing.
    unit = np.where(new == 0.0, 1.0, new)
    return {"second": second, "mean": there / unit, "signal": arrays["eigenvalues"] * count * unit**2}


def _check_own(arrays: Arrays, old: FloatArray) -> None:
    """Refuse another problem than the one that a state of moments is of."""
    size = np.sqrt(arrays["signal"] / (arrays["eigenvalues"] * arrays["multiplicity"]))
    if not np.allclose(size, np.abs(old), rtol=1e-6, atol=0.0):
        raise InputError(" is not the problem that the state is of; give the one whose w* it is measured from.", "old")


def _replicas(arrays: Arrays, at_rest: FloatArray, old: FloatArray, new: FloatArray) -> dict[str, Any]:
    """The noiseless trajectory, or the only one, of every replica."""
    z, k = arrays["z"].copy(), at_rest.size
    z[:, :k] += np.outer(at_rest, np.sqrt(arrays["eigenvalues"]) * (new - old)).astype(z.dtype)
    return {"z": z}


def _of_data(arrays: Arrays, old: Any, new: Any) -> tuple[FloatArray, FloatArray]:
    """Initial errors (outputs, d) of both data sets, which have the same features."""
    for problem, name in ((old, "old"), (new, "new")):
        if not np.array_equal(getattr(problem, "eigenvalues", np.zeros(0)), arrays["eigenvalues"]):
            raise InputError(" is of other features than the state; give the same X with other targets.", name)
    if old.errors.shape != new.errors.shape:
        raise InputError(f" has {new.outputs} outputs and the state {old.outputs}; give as many.", "new")
    return old.errors, new.errors


def _covariance(arrays: Arrays, at_rest: FloatArray, old: FloatArray, new: FloatArray) -> dict[str, FloatArray]:
    mean, shift = arrays["mean"], at_rest[:, None] * (new - old)[:, None]
    P = arrays["P"].copy()
    cross = np.einsum("oad,obe->abde", mean, shift)
    P[0] += cross + cross.transpose(1, 0, 3, 2) + np.einsum("oad,obe->abde", shift, shift)
    return {"P": P, "mean": mean + shift}


def into_mixture(kind: str, arrays: Arrays, at_rest: FloatArray, old: Any, new: Any) -> tuple[str, dict[str, Any]]:
    """The kind and arrays of a state on the regression `old`, in the absolute coordinates of the mixture `new`."""
    if kind == "covariance" or getattr(old, "directions", None) is None or "pairs" in arrays:
        raise InputError(
            " is no LinearRegression without rows held out, by whose directions a mixture goes on; give such.", "old"
        )
    error = _errors(old, arrays, "old")
    start = arrays["start"] if "start" in arrays else np.arange(error.size)
    count = arrays["stop"] - start if "stop" in arrays else np.ones(error.size, dtype=np.int64)
    dim = int(count.sum())
    if dim != new.dim:
        raise InputError(f" has {new.dim} modes and the state {dim}; give a mixture of as many.", "new")
    at = _places(old, new, dim)
    if kind == "replicas":
        z, k = (arrays["z"] / np.sqrt(arrays["eigenvalues"]))[..., at], at_rest.size
        z[:, :k] -= np.outer(at_rest, error[at])
        return "mixed replicas", {"z": z, "ended": arrays["ended"], "eigenvalues": new.eigenvalues[0]}
    if "mean" not in arrays:
        raise InputError(" keeps no mean, which a mixture asks for; make it by a run with deterministic=True.", "state")
    _check_own(arrays, error)
    at = np.repeat(np.arange(error.size), count)[at]
    mean = (arrays["mean"] * error)[:, at]
    rows, columns = np.triu_indices(at_rest.size)
    second = (arrays["second"] / count)[..., at]
    second[0] -= mean[rows] * mean[columns]
    return "mixture", {"second": second, "mean": mean, "origin": -error[at]}


def _places(old: Any, new: Any, dim: int) -> Any:
    """Which mode of a regression, in descending order, each direction of a mixture is, (dim,)."""
    modes = old.modes()
    count = np.round(old.multiplicity).astype(np.int64)
    given = np.argsort(old.directions, kind="stable")
    # Modes of a node lie side by side, as given and as sorted.
    mode = np.concatenate([np.arange(modes.start[j], modes.start[j] + count[j]) for j in given])
    return mode[new.directions]
