"""Moments between the layout of the kernels and the states that are kept of them."""

from __future__ import annotations

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.kernels.moments.layout import NodeArrays
from simlab.trace.state import State, at_nodes

__all__ = ["from_kernel", "nodes_kept", "to_kernel"]


def nodes_kept(nodes: NodeArrays) -> dict[str, FloatArray | IntArray]:
    """What a state says of its nodes, in the order of the problem."""
    return {
        "signal": nodes.signal[np.argsort(nodes.order)] * nodes.risk_unit,
        "eigenvalues": nodes.eigenvalues,
        "multiplicity": nodes.multiplicity,
        "start": nodes.start,
        "stop": nodes.stop,
    }


def from_kernel(U: FloatArray, nodes: NodeArrays) -> FloatArray:
    """(parts, entries, padded nodes) of lam E zz^T as the kernels hold it -> (parts, entries, nodes) of E zz^T."""
    out: FloatArray = U[:, :, np.argsort(nodes.order)] * (nodes.risk_unit / nodes.eigenvalues)
    return out


def to_kernel(state: State, nodes: NodeArrays, name: str = "second") -> tuple[FloatArray, IntArray]:
    """The moments `name` of a state as the kernels hold them, and from which of its nodes each node comes."""
    moments, source = at_nodes(state, nodes, name)
    U = np.zeros((*moments.shape[:2], nodes.lam.size))
    U[:, :, : nodes.size] = moments[:, :, nodes.order] / nodes.risk_unit
    return U, source
