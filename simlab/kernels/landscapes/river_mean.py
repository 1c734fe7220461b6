"""The mean of one coordinate of constant curvature and slope under a linear method."""

from __future__ import annotations

from simlab.kernels.compiling import kept

__all__ = ["affine_path"]


@kept
def affine_path(M, b, c, o, curvature, slope, z, slots, out):
    """z <- M_t z - b_t (curvature c_t . z - slope), in place; o_t . z before the step t into out[slots_t].

    M (n, k, k), b (n, k), c (n, k), o (n, k); z (k,); slots (n,) int64, -1 for steps that are not recorded.
    """
    k = z.size
    moved = z.copy()
    for t in range(slots.size):
        if slots[t] >= 0:
            w = 0.0
            for p in range(k):
                w += o[t, p] * z[p]
            out[slots[t]] = w
        y = 0.0
        for p in range(k):
            y += c[t, p] * z[p]
        g = curvature * y - slope
        for p in range(k):
            moved[p] = -b[t, p] * g
            for q in range(k):
                moved[p] += M[t, p, q] * z[q]
        for p in range(k):
            z[p] = moved[p]
