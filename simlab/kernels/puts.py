"""Arrays put into others entry by entry.

An assignment of an array to a slice makes Numba compile the words of its complaint about shapes as well: four seconds
for every kernel that has one.
"""

from __future__ import annotations

from simlab.kernels.compiling import hot

__all__ = ["put", "put_planes", "put_rows"]


@hot
def put(values, out):
    """out[: n] = values (n,)."""
    for i in range(values.size):
        out[i] = values[i]


@hot
def put_rows(values, out):
    """out[: m, : n] = values (m, n)."""
    for j in range(values.shape[0]):
        for i in range(values.shape[1]):
            out[j, i] = values[j, i]


@hot
def put_planes(values, out):
    """out[: l, : m, : n] = values (l, m, n)."""
    for p in range(values.shape[0]):
        for j in range(values.shape[1]):
            for i in range(values.shape[2]):
                out[p, j, i] = values[p, j, i]
