"""What the engines need to know of a problem: its modes and how gradient noise drives them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door, notice
from simlab.errors import InputError, brief, check_array, check_count, check_floats, check_number
from simlab.spectra import unit_of

__all__ = [
    "PROBLEMS",
    "DiagonalProblem",
    "Immutable",
    "Modes",
    "check_signal",
    "frozen",
    "per_mode",
    "positive_eigenvalues",
    "problem",
    "refrozen",
    "sort_descending",
]


MOST_ROTATED = 4096
"""Modes of a problem whose weights are rotated: a step costs the square of it."""


class Modes(NamedTuple):
    """A problem that is diagonal in the eigenbasis of H, as the moment recursion sees it; all arrays of shape (n,).

    Node i stands for `multiplicity_i` modes of eigenvalue lam_i; U_i = sum over them of lam E[z z^T] obeys, with
    A_i = M - lam_i b c^T and batch size B,

        U_i <- A_i U_i A_i^T + (1/B) [ self_noise_i c^T U_i c + drive_i (coupling * sum_j c^T U_j c + noise) ] b b^T

    and starts from signal_i * (start start^T). `start`, `stop` are the 0-based range of eigen-indices that a node
    stands for. `self_noise` and `drive` are in units of `unit`^2, which is 1 but for spectra whose squares may leave
    float64: there take lam / unit and b * unit, which give the same A.
    """

    eigenvalues: FloatArray
    signal: FloatArray
    self_noise: FloatArray
    drive: FloatArray
    noise: float
    coupling: float
    multiplicity: FloatArray
    start: IntArray
    stop: IntArray

    def cut(self, boundaries: Sequence[int]) -> Modes:
        """The same modes with no node on both sides of one of these indices (0-based); itself, where none is.

        Right where the modes of a node are equal, each with its share of signal and drive: not for nodes of a
        compressed problem.
        """
        edges = np.asarray(boundaries, dtype=np.int64)
        if edges.size == 0:
            return self
        first = np.searchsorted(edges, self.start, side="right")
        pieces = np.maximum(np.searchsorted(edges, self.stop, side="left") - first, 0) + 1
        if pieces.max() == 1:
            return self
        node = np.repeat(np.arange(pieces.size), pieces)
        which = np.arange(node.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        padded = np.append(edges, 0)
        start = np.where(which == 0, self.start[node], padded[first[node] + which - 1])
        stop = np.where(which == pieces[node] - 1, self.stop[node], padded[np.minimum(first[node] + which, edges.size)])
        share = np.where(pieces[node] == 1, 1.0, (stop - start) / np.maximum(self.stop - self.start, 1)[node])
        return Modes(
            self.eigenvalues[node],
            self.signal[node] * share,
            self.self_noise[node],
            self.drive[node] * share,
            self.noise,
            self.coupling,
            self.multiplicity[node] * share,
            start,
            stop,
        )

    @property
    def unit(self) -> float:
        """What eigenvalues are measured in: see `unit_of`."""
        return unit_of(self.eigenvalues)

    def reference_risk(self) -> float:
        """max(initial risk, noise / 2): the scale against which a run counts as diverging. Risk units."""
        squares = float(self.multiplicity @ (self.eigenvalues / self.unit) ** 2)
        floor = self.noise * float(self.drive.sum()) / max(squares, 1e-300)
        return 0.5 * max(float(self.signal.sum()), floor)


@runtime_checkable
class DiagonalProblem(Protocol):
    """A problem whose exact risk needs one small moment matrix per eigen-coordinate."""

    @property
    def dim(self) -> int:
        """Number of modes d."""
        ...

    def modes(self) -> Modes:
        """The nodes and their noise."""
        ...

    def count_at_least(self, threshold: float) -> int:
        """#{i : lam_i >= threshold}."""
        ...

    def counts_at_least(self, thresholds: FloatArray) -> IntArray:
        """The same for many thresholds."""
        ...

    def describe(self) -> dict[str, Any]:
        """JSON-able provenance."""
        ...


PROBLEMS: dict[str, Callable[..., Any]] = {}
"""Kind -> what makes a problem of it, filled by the decorator `problem`; its signature is the schema of a table."""

P = TypeVar("P", bound=type)


def problem(kind: str, *builders: str) -> Callable[[P], P]:
    """Enter a class of problems under `kind`, and those of its class methods that make one under their names."""

    def enter(cls: P) -> P:
        PROBLEMS.update({kind: cls, **{name: getattr(cls, name) for name in builders}})
        return cls

    return enter


def frozen(array: FloatArray) -> FloatArray:
    """A read-only view of `array`: problems are immutable."""
    view = array.view()
    view.flags.writeable = False
    return view


class Immutable:
    """Problems of eigenvalues, immutable: those that come out of a pickle, or a deep copy, are read-only again.

    rotation : orthogonal Q (d, d), the weights being Q times the eigen-coordinates; (0, 0) where nothing is said of
    them, and no linear method asks.
    """

    eigenvalues: Any
    dim: Any
    rotation: FloatArray = np.zeros((0, 0))

    @door
    def rotated(self, rotation: int | npt.ArrayLike = 0) -> Self:
        """The same problem, of weights that are not its eigen-coordinates: for methods that go weight by weight.

        rotation : the seed of a rotation drawn uniformly from all of them, or an orthogonal matrix (d, d) whose columns
        are the eigenvectors, in the order of the eigenvalues. Linear methods see no difference. Raises InputError for
        more than 4,096 modes, and for a matrix that is not orthogonal.
        """
        if self.dim > MOST_ROTATED:
            raise InputError(f" is {self.dim}, and a rotation has dim^2 entries; give at most {MOST_ROTATED}.", "dim")
        made = copy.copy(self)
        made.__dict__["rotation"] = frozen(_orthogonal(rotation, int(self.dim)))
        return made

    def counts_at_least(self, thresholds: FloatArray) -> IntArray:
        """#{i : lam_i >= threshold} for each of many thresholds, shape of `thresholds`."""
        return np.searchsorted(-self.eigenvalues, -thresholds, side="right").astype(np.int64)

    @door
    def count_at_least(self, threshold: float) -> int:
        """#{i : lam_i >= threshold}."""
        least = np.inf if isinstance(threshold, float) and threshold == np.inf else check_number("threshold", threshold)
        return int(self.counts_at_least(np.array([least]))[0])

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: refrozen(value) for name, value in state.items()})


def _orthogonal(given: Any, dim: int) -> FloatArray:
    """A matrix from its seed (Stewart 1980: QR of Gaussian entries, the signs of R taken out), or the one given."""
    if isinstance(given, Integral):
        normals = np.random.default_rng(check_count("rotation", given, low=0)).standard_normal((dim, dim))
        Q, R = np.linalg.qr(normals)
        out: FloatArray = Q * np.sign(np.diag(R))
        return out
    matrix = check_floats("rotation", given)
    if matrix.shape != (dim, dim):
        raise InputError(f" has shape {matrix.shape}; give a seed, or a matrix ({dim}, {dim}).", "rotation")
    if not np.allclose(matrix @ matrix.T, np.eye(dim), rtol=0.0, atol=1e-9):
        raise InputError(" is not orthogonal to 1e-9; take the eigenvectors that numpy.linalg.eigh gives.", "rotation")
    return matrix.copy()


def refrozen(value: Any) -> Any:
    """An array, or a tuple of arrays, read-only; anything else as it is."""
    if isinstance(value, np.ndarray):
        return frozen(value)
    if isinstance(value, tuple):
        parts = map(refrozen, value)
        return value._make(parts) if hasattr(value, "_make") else tuple(parts)
    return value


def sort_descending(eigenvalues: FloatArray, *others: FloatArray) -> tuple[FloatArray, ...]:
    """All arrays in the order of descending eigenvalues, with a notice if that changed anything."""
    if np.all(eigenvalues[:-1] >= eigenvalues[1:]):
        return (eigenvalues, *others)
    notice("eigenvalues were not in descending order; they and all that belongs to them were sorted.")
    order = np.argsort(-eigenvalues, kind="stable")
    return tuple(array[order] for array in (eigenvalues, *others))


def positive_eigenvalues(value: Any, field: str = "eigenvalues") -> FloatArray:
    """A float64 vector of positive, finite eigenvalues, or an InputError that calls them `field`."""
    lam = check_array(field, value)
    negative = np.flatnonzero(lam < 0.0)
    if negative.size:
        first, count = int(negative[0]), f"{negative.size} of {lam.size}"
        raise InputError(
            f" = {brief(lam[first])} is negative, as {count} are, and the loss has no minimum along such a direction; "
            f"leave those out ({field}[{field} > 0]), or take abs({field}).",
            f"{field}[{first}]",
        )
    null = np.flatnonzero(lam == 0.0)
    if null.size:
        raise InputError(
            " = 0.0 is not positive; leave null directions out (no gradient moves them).", f"{field}[{int(null[0])}]"
        )
    return lam


def per_mode(field: str, value: Any, length: int, low: float = -np.inf) -> FloatArray:
    """One number for every mode, or an array of `length` numbers, all >= low; anything else is refused."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, Real):
        return np.full(length, check_number(field, value, low=low))
    return check_array(field, value, length=length, low=low)


def check_signal(lam: FloatArray, error: FloatArray, count: FloatArray | float = 1.0) -> FloatArray:
    """count * lam * error^2, twice the risk of every node at the start, or an InputError where it leaves float64."""
    with np.errstate(over="ignore"):
        signal: FloatArray = count * lam * error**2
    if not np.isfinite(signal.sum()):
        raise InputError(
            f" reaches {np.abs(error).max():g}, whose risk is beyond the range of float64; scale it down.",
            "initial_error",
        )
    return signal
