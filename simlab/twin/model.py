"""The twin's curve as a function of arrays: theta and a run's blocks in, loss, parts and derivatives out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simlab.arrays import FloatArray
from simlab.twin.blocks import Blocks
from simlab.twin.parameters import NODES, PARAMETERS

__all__ = ["Walk", "run"]


class Walk(NamedTuple):
    """loss, river (K,); valley (K, nodes); jacobian (K, 16 + M), or (0, 0) where none was asked for."""

    loss: FloatArray
    river: FloatArray
    valley: FloatArray
    jacobian: FloatArray


def run(
    theta: FloatArray,
    blocks: Blocks,
    reference: float,
    span: float,
    slopes: FloatArray | None = None,
    derivatives: bool = True,
) -> Walk:
    """The curve of theta (16,) at the blocks' edges.

    reference : the learning rate that is 1.  span : S_ref.  slopes (blocks, M) : derivatives of the blocks' relative
    rates by other quantities, whose tangents are appended.
    """
    from simlab.kernels.twin.walk import walk

    size = blocks.edges.size
    tangents = np.zeros((blocks.counts.size, 0)) if slopes is None else slopes
    columns = len(PARAMETERS) + tangents.shape[1]
    jacobian = np.empty((size, columns) if derivatives else (0, 0))
    out = Walk(np.empty(size), np.empty(size), np.empty((size, NODES.size)), jacobian)
    walk(blocks.counts, blocks.rates / reference, blocks.edges, theta, span, NODES, tangents, *out)
    return out
