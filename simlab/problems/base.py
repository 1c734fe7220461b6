"""What the engines need to know of a problem: its modes and how gradient noise drives them."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from simlab.errors import InputError
from simlab.spectra import unit_of

__all__ = ["DiagonalProblem", "Modes", "frozen", "sort_descending"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


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


def frozen(array: FloatArray) -> FloatArray:
    """A read-only view of `array`: problems are immutable."""
    view = array.view()
    view.flags.writeable = False
    return view


def sort_descending(eigenvalues: FloatArray, *others: FloatArray) -> tuple[FloatArray, ...]:
    """All arrays in the order of descending eigenvalues, with a notice if that changed anything."""
    if np.all(eigenvalues[:-1] >= eigenvalues[1:]):
        return (eigenvalues, *others)
    import warnings

    warnings.warn(
        "eigenvalues were not in descending order; they and all that belongs to them were sorted.",
        stacklevel=4,
    )
    order = np.argsort(-eigenvalues, kind="stable")
    return tuple(array[order] for array in (eigenvalues, *others))


def positive_eigenvalues(value: Any) -> FloatArray:
    """A float64 vector of positive, finite eigenvalues, or an InputError."""
    from simlab.errors import check_array

    lam = check_array("eigenvalues", value)
    bad = np.flatnonzero(lam <= 0.0)
    if bad.size:
        first = int(bad[0])
        raise InputError(
            f"eigenvalues[{first}] = {lam[first]!r} is not positive; leave null directions out (no gradient moves "
            f"them)."
        )
    return lam
