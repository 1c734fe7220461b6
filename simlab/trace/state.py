"""The state of a run: all that it takes to go on from a step, be it with the same method, another one, or elsewhere.

What a run went through before is data, not history. In each eigen-coordinate a method holds z in R^k, measured from w*;
a state holds the moments of z (of the exact engine) or z itself (of a sampler), with the names of its coordinates, by
which another method finds its own: z' = A z, and so E z'z'^T = A E zz^T A^T.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door
from simlab.errors import InputError, brief, check_count, check_kind
from simlab.methods.base import Method
from simlab.methods.shifted import Shifted
from simlab.schedules import Schedule
from simlab.schedules.sums import totals_at
from simlab.trace.moving import into_mixture, moved

__all__ = ["Kind", "State", "at_nodes", "conjugated", "continued", "packed", "state_of", "unpacked"]

Kind = Literal["moments", "covariance", "mixture", "replicas", "mixed replicas", "landscape"]
ENGINE: dict[Kind, str] = {
    "moments": "simlab.exact or simlab.long",
    "covariance": "simlab.exact on a data set",
    "mixture": "simlab.exact on a Mixture",
    "replicas": "simlab.sample",
    "mixed replicas": "simlab.sample on a Mixture",
    "landscape": "simlab.descend",
}
FRESH = ("iterate",)


@dataclass(frozen=True, eq=False)
class State:
    """Where a run stands after `step` steps.

    kind : "moments", of `exact` and `long`: second (parts, k (k + 1) / 2, nodes), the upper triangle of the sum over
    the modes of a node of E zz^T, bias before variance; mean (k, nodes), E z over w_0 - w*, where the deterministic
    part was asked for; pairs (k, k, pairs of modes), of held-out rows; uncertain, of the shape of second, what `long`
    may be off by; signal, eigenvalues, multiplicity, start, stop (nodes,).  "covariance", of `exact` on a data set: P
    (3, k, k, d, d), mean (outputs, k, d), eigenvalues.  "mixture", of `exact` on a Mixture: second (2, k (k + 1) / 2,
    d), covariances; mean (k, d), E z measured from the places `origin` (d,).  "replicas", of `sample`: z (replicas,
    parts k, d) whitened by the square roots of eigenvalues; ended (replicas,), the step at which each diverged, or -1;
    "mixed replicas", on a Mixture, in absolute coordinates.  "landscape", of `descend`: z (replicas, k, dim), places as
    they are; ended. clock : tells `time`, the sum of the learning rates so far.  coordinates : what the entries of z
    are.  readout : o (k,), the iterate evaluated.  at_rest : (k,), z of weights that rest one away from w*: 1 for what
    is a place, 0 for what is a velocity.  method : its expression.  facts : what else a sampler needs: seed, samples
    drawn, law, parts.  fresh : there is nothing but an iterate, from which a method starts as from any other.
    """

    kind: Kind
    step: int
    clock: Callable[[], float]
    method: str
    coordinates: tuple[str, ...]
    readout: FloatArray
    at_rest: FloatArray
    arrays: Mapping[str, npt.NDArray[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    fresh: bool = False

    @cached_property
    def time(self) -> float:
        """The sum of the learning rates so far, taken when it is asked for: most states are kept and never used."""
        return self.clock()

    def weights(self) -> State:
        """The iterate that is evaluated, and nothing else: what a checkpoint of weights alone holds.

        A method that goes on from it starts as from w_0: buffers at rest, averages at the iterate.
        """
        return replace(self._mapped(self.readout[None], FRESH, np.ones(1)), fresh=True)

    @door
    def moved(self, old: Any, new: Any) -> State:
        """The same weights, measured from the optimum of the problem `new` in place of that of `old`, where they are.

        Initial errors of both are those of one w_0, so that w - w* changes by their difference d (fine-tuning: other
        targets, the same features): E zz^T + E z (d u)^T + d u E z^T + (d u)(d u)^T with u = `at_rest`, which asks for
        the mean of z (of `exact`: a run with deterministic=True). What noise has added stays what it is. `new` may be a
        Mixture, where a run on one LinearRegression goes on (continual pre-training): direction by direction as the
        eigenvalues of each were given. Raises InputError where the mean was not kept, and for problems of other modes.
        """
        if self.kind in ("landscape", "mixture", "mixed replicas"):
            place = "landscape" if self.kind == "landscape" else "mixture"
            raise InputError(f" is on a {place}, whose places need no w*; start on another {place} as it is.", "state")
        if any(re.fullmatch(r"z\d+ of \d+", name) for name in self.coordinates):
            raise InputError(
                " is of methods.generic, whose arrays do not say which coordinates are places; move one of a named "
                "method.",
                "state",
            )
        if hasattr(new, "optima"):
            kind, arrays = into_mixture(self.kind, self.arrays, self.at_rest, old, new)
            return replace(self, kind=kind, arrays=arrays)  # type: ignore[arg-type]
        return replace(self, arrays=moved(self.kind, self.arrays, self.at_rest, old, new))

    @door
    def reseeded(self, seed: int) -> State:
        """The same replicas, which go on with the random words of another seed: a branch with noise of its own."""
        if self.kind not in ("landscape", "mixed replicas"):
            self.require("replicas", "sample")
        return replace(self, facts={**self.facts, "seed": check_count("seed", seed, low=0, high=2**64 - 1)})

    @door
    def of(self, method: Method) -> State:
        """This state in the coordinates of `method`, or an InputError that says which of them it lacks.

        A coordinate is found by its name; an average, or slow weights, that the old method had not starts at the
        iterate that it averages.
        """
        check_kind("method", method, Method, "a method", "give one, such as methods.sgd(schedule)")
        if self.fresh:
            if "origin" in method.coordinates:
                raise InputError(
                    " is weights alone, which do not say where the origin is that weight decay pulls to; give the "
                    "whole state of a run with weight decay.",
                    "start",
                )
            return self._mapped(method.z0[:, None], method.coordinates, method.readout(0, 1)[0])
        if self.coordinates == method.coordinates:
            return self
        return self._mapped(_takeover(self, method), method.coordinates, method.readout(0, 1)[0])

    def require(self, kind: Kind, door: str) -> State:
        """This state, if it is of this kind; else the InputError of the door that was to go on from it."""
        if self.kind != kind:
            into = (self.kind, kind) in (("moments", "mixture"), ("replicas", "mixed replicas"))
            remedy = "give state.moved(regression, mixture)" if into else "give one of these"
            raise InputError(
                f" is a state of {ENGINE[self.kind]}, and simlab.{door} goes on from those of {ENGINE[kind]}; "
                f"{remedy}.",
                "start",
            )
        return self

    def _mapped(self, A: FloatArray, coordinates: tuple[str, ...], readout: FloatArray) -> State:
        """z' = A z, A (k', k), of which `readout` (k',) is evaluated."""
        arrays = dict(self.arrays)
        k = A.shape[1]
        if self.kind in ("moments", "mixture"):
            for name in arrays.keys() & {"second", "uncertain"}:
                arrays[name] = conjugated(arrays[name], A)
        elif self.kind == "covariance":
            arrays["P"] = np.einsum("ia,pabde,jb->pijde", A, arrays["P"], A, optimize=True)
        else:
            z = arrays["z"]
            split = z.reshape(z.shape[0], -1, k, z.shape[2])
            mapped = np.einsum("ia,rpad->rpid", A.astype(z.dtype), split)
            arrays["z"] = mapped.reshape(z.shape[0], -1, z.shape[2])
        if "mean" in arrays:
            arrays["mean"] = A @ arrays["mean"]
        if "pairs" in arrays:
            arrays["pairs"] = np.einsum("ia,abp,jb->ijp", A, arrays["pairs"], A, optimize=True)
        return replace(self, arrays=arrays, coordinates=coordinates, readout=readout, at_rest=A @ self.at_rest)

    def __repr__(self) -> str:
        known = next((name for name in ("eigenvalues", "origin") if name in self.arrays), None)
        on = "a landscape" if known is None else f"{self.arrays[known].size} modes"
        return f"State at step {self.step} of {self.method}: {', '.join(self.coordinates)} on {on}"


def _takeover(state: State, method: Method) -> FloatArray:
    """A (k', k): how the coordinates of `method` come out of those of `state`."""
    A = np.zeros((method.state_size, len(state.coordinates)))
    # The layers from the inside: each appends one coordinate to those below.
    layers = method.layers()[::-1]
    readouts = {layer.state_size - 1: layers[j - 1].readout(0, 1)[0] for j, layer in enumerate(layers) if j}
    for i, name in enumerate(method.coordinates):
        if name in state.coordinates:
            A[i, state.coordinates.index(name)] = 1.0
        elif name.startswith(("average", "slow weights")):
            inner = readouts[i]
            A[i] = inner @ A[: inner.size]
        else:
            raise InputError(
                f" has no {brief(name)}, which {brief(method)} goes on with ({state.method} keeps "
                f"{', '.join(state.coordinates)}); give start.weights() to begin with nothing but the iterate.",
                "start",
            )
    return A


def state_of(
    kind: Kind, method: Method, at: int, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any] | None = None
) -> State:
    """The state of a run of `method` at the step `at`."""
    clock, readout = partial(_time, method.learning_rate, at), method.readout(at, at + 1)[0]
    names = (method.expression, method.coordinates)
    return State(kind, at, clock, *names, readout, method.z0, arrays, facts or {})


def _time(learning_rate: Schedule, at: int) -> float:
    return float(totals_at(learning_rate.plan, np.array([at]), at)[0]) if at else 0.0


def continued(state: State | None, method: Method, kind: Kind, door: str) -> tuple[Method, State | None]:
    """A method that takes over at the step of a state, on the clock of the whole run, and the state as it takes it.

    Without a state, the method itself. Raises InputError for a state of another engine or of too few parts.
    """
    if state is None:
        return method, None
    check_kind("start", state, State, "a state", "give trace.state, or trace.state_at(step)")
    return Shifted(method, state.step, state.time), state.require(kind, door).of(method)


class Nodes(Protocol):
    """Nodes of a problem, in its order; all (nodes,)."""

    eigenvalues: FloatArray
    multiplicity: FloatArray
    start: IntArray
    stop: IntArray


def at_nodes(state: State, nodes: Nodes, name: str = "second") -> tuple[FloatArray, IntArray]:
    """Moments `name` (parts, entries, nodes) of a state at these nodes, and from which node of its own each comes.

    Nodes of equal modes may be cut otherwise than the state was; the eigenvalues may be others, for w - w* stays what
    it is. Raises InputError where the nodes do not cover the same modes, and for other nodes of a compressed problem.
    """
    old, lam, start, stop = state.arrays, nodes.eigenvalues, nodes.start, nodes.stop
    second = old[name]
    alike = np.array_equal(old["start"], start) and np.array_equal(old["stop"], stop)
    theirs, ours = int(old["stop"].max()), int(stop.max())
    if theirs != ours:
        raise InputError(f" has {theirs} modes and the problem has {ours}; give a problem of as many.", "start")
    if not (np.array_equal(old["multiplicity"], old["stop"] - old["start"])
            and np.array_equal(nodes.multiplicity, stop - start)):  # fmt: skip
        if alike and np.array_equal(old["eigenvalues"], lam):
            return second * lam, np.arange(lam.size)
        raise InputError(
            " or the problem is compressed, and their nodes are not the same; go on with the very problem that the "
            "state comes from, or leave compress out of both.",
            "start",
        )
    if alike:
        return second * lam, np.arange(lam.size)
    edges = np.union1d(np.union1d(old["start"], start), [stop[-1]])
    source = np.searchsorted(old["start"], edges[:-1], side="right") - 1
    target = np.searchsorted(start, edges[:-1], side="right") - 1
    share = np.diff(edges) / (old["stop"] - old["start"])[source]
    out = np.zeros((*second.shape[:2], lam.size))
    for row, values in zip(
        out.reshape(-1, lam.size), (second[:, :, source] * share).reshape(-1, target.size), strict=True
    ):
        row += np.bincount(target, values, lam.size)
    first = np.searchsorted(old["start"], start, side="right") - 1
    return out * lam, first


def unpacked(second: FloatArray, k: int) -> FloatArray:
    """(parts, k (k + 1) / 2, nodes) -> (parts, k, k, nodes)."""
    rows, columns = np.triu_indices(k)
    out = np.empty((second.shape[0], k, k, second.shape[2]))
    out[:, rows, columns] = out[:, columns, rows] = second
    return out


def conjugated(second: FloatArray, A: FloatArray) -> FloatArray:
    """A P A^T of packed moments P (parts, k (k + 1) / 2, nodes), A (k', k)."""
    return packed(np.einsum("ia,pabn,jb->pijn", A, unpacked(second, A.shape[1]), A, optimize=True))


def packed(whole: FloatArray) -> FloatArray:
    """(parts, k, k, nodes) -> (parts, k (k + 1) / 2, nodes)."""
    rows, columns = np.triu_indices(whole.shape[1])
    out: FloatArray = np.ascontiguousarray(whole[:, rows, columns])
    return out
