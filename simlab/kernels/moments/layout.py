"""How node arrays lie in memory for the moment kernels."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.kernels.moments import steps as moments

__all__ = ["ModesLike", "NodeArrays", "packed_outer", "padded", "scratch"]


def padded(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`array` with zeros up to a multiple of the kernels' vector length."""
    size = -(-array.size // moments.LANES) * moments.LANES
    out = np.zeros(size, dtype=array.dtype)
    out[: array.size] = array
    return out


def packed_outer(vector: FloatArray) -> FloatArray:
    """The upper triangle, row by row, of the outer product of a vector with itself, shape (k (k + 1) / 2,)."""
    rows, columns = np.triu_indices(vector.size)
    product: FloatArray = vector[rows] * vector[columns]
    return product


def scratch(state_size: int) -> FloatArray | None:
    """The working space that `advance` asks for: none for k = 1."""
    k = state_size
    return None if k == 1 else np.empty((k * k + k + 1, moments.LANES))


def _risk_unit(reference: float) -> float:
    """1, or the power of two below a risk that would leave float64 on its way to divergence, or decay past `TINY`."""
    exponent = int(np.frexp(reference)[1])
    return 1.0 if reference == 0.0 or -600 <= exponent <= 900 else float(np.ldexp(1.0, exponent - 1))


class ModesLike(Protocol):
    """`problem.modes()`, as the engines read it."""

    @property
    def eigenvalues(self) -> FloatArray: ...
    @property
    def signal(self) -> FloatArray: ...
    @property
    def self_noise(self) -> FloatArray: ...
    @property
    def drive(self) -> FloatArray: ...
    @property
    def noise(self) -> float: ...
    @property
    def coupling(self) -> float: ...
    @property
    def multiplicity(self) -> FloatArray: ...
    @property
    def start(self) -> IntArray: ...
    @property
    def stop(self) -> IntArray: ...
    @property
    def unit(self) -> float: ...
    def reference_risk(self) -> float: ...


class NodeArrays:
    """The nodes of a problem as the kernels take them: lam descending, zero-padded, equal arrays stored once.

    `eigenvalues`, `multiplicity`, `start`, `stop` (nodes,) are the problem's own, `order` (nodes,) sorts them; `ratio`
    is self_noise / lam^2 where that is one number, else NaN. `lam` is in units of `unit`, so that a step takes b * unit
    in place of b; `signal`, `noise` and `reference_risk`, and so the moments, are in units of `risk_unit`. Both are
    powers of two, and 1 but at scales where squares, or what is left of a risk, would leave float64.
    """

    def __init__(self, modes: ModesLike) -> None:
        self.size = modes.eigenvalues.size
        self.eigenvalues, self.start, self.stop = modes.eigenvalues, modes.start, modes.stop
        self.multiplicity = modes.multiplicity
        self.order = np.argsort(-modes.eigenvalues, kind="stable")
        self.unit = modes.unit
        reference = modes.reference_risk()
        self.risk_unit = _risk_unit(reference)
        lam = modes.eigenvalues / self.unit
        self.lam = padded(lam[self.order])
        self.signal = padded(modes.signal[self.order] / self.risk_unit)
        self.drive = padded(modes.drive[self.order])
        own = padded(modes.self_noise[self.order])
        # One array in place of two equal ones keeps d = 1,000 within the first-level cache.
        self.self_noise = self.drive if np.array_equal(own, self.drive) else own
        self.noise, self.reference_risk = modes.noise / self.risk_unit, reference / self.risk_unit
        self.coupling = modes.coupling
        with np.errstate(divide="ignore", invalid="ignore"):  # squares of the smallest may be 0
            ratios = modes.self_noise / lam**2
        self.ratio = float(ratios[0]) if np.ptp(ratios) <= 1e-15 * abs(ratios[0]) else float("nan")
