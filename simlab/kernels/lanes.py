"""Small linear systems side by side: one of them in every lane of a vector.

Arrays are flat, (.., LANES) with the lane last. LLVM cannot know that two rows of one array do not overlap and would
have to ask at every row; the one operation that all the time goes into is therefore spelled out as vectors.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from simlab.kernels.compiling import hot

__all__ = ["LANES", "add_multiple", "solve_lanes", "solve_pivoted"]

LANES = 16
"""Systems in a tile: two vectors of AVX-512, four of AVX2."""

WORST_PIVOT = 1e-3
"""A pivot that has shrunk below this share of its diagonal entry is not trusted."""


@intrinsic
def add_multiple(typing: Any, a: Any, at: Any, b: Any, factor: Any, c: Any, source: Any, count: Any) -> Any:
    """a[at + i] += b[factor + i mod LANES] * c[source + i] for i = 0 .. count LANES - 1; places that do not overlap."""
    signature = types.void(a, types.intp, b, types.intp, c, types.intp, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.DoubleType(), LANES)

        def place(which: int) -> Any:
            array = context.make_array(signature.args[which])(context, builder, arguments[which])
            return builder.bitcast(builder.gep(array.data, [arguments[which + 1]]), vector.as_pointer())

        def load(pointer: Any) -> Any:
            value = builder.load(pointer)
            value.align = 8
            return value

        target, multiple, terms = place(0), load(place(2)), place(4)
        fused = ["contract"]
        with cgutils.for_range(builder, arguments[6]) as loop:
            here = builder.gep(target, [loop.index])
            product = builder.fmul(multiple, load(builder.gep(terms, [loop.index])), flags=fused)
            builder.store(builder.fadd(load(here), product, flags=fused), here).align = 8
        return context.get_dummy_value()

    return signature, generate


@hot
def solve_lanes(K, n, width, diagonal):
    """Gauss elimination without exchange of rows of K (n, width, LANES), flat: K x = R with R the columns n .. width.

    R is overwritten by the answers; `diagonal` (n, LANES), flat, is scratch. Returns False where a pivot has shrunk so
    far that the answer is not to be trusted.
    """
    trusted = True
    for k in range(n):
        for i in range(LANES):
            diagonal[k * LANES + i] = WORST_PIVOT * abs(K[(k * width + k) * LANES + i])
    for k in range(n):
        pivot = (k * width + k) * LANES
        for i in range(LANES):
            trusted &= abs(K[pivot + i]) >= diagonal[k * LANES + i]
            K[pivot + i] = 1.0 / K[pivot + i]
        for j in range(1, width - k):
            for i in range(LANES):
                K[pivot + j * LANES + i] *= K[pivot + i]
        for r in range(k + 1, n):
            factor = (r * width + k) * LANES
            for i in range(LANES):
                K[factor + i] = -K[factor + i]
            add_multiple(K, factor + LANES, K, factor, K, pivot + LANES, width - k - 1)
    for k in range(n - 1, -1, -1):
        for r in range(k):
            factor = (r * width + k) * LANES
            for i in range(LANES):
                K[factor + i] = -K[factor + i]
            add_multiple(K, (r * width + n) * LANES, K, factor, K, (k * width + n) * LANES, width - n)
    return trusted


@hot
def solve_pivoted(K, n, width, lane):
    """The system of one lane with exchange of rows, in place: the answers are where `solve_lanes` leaves them."""
    row = width * LANES
    for k in range(n):
        best = k
        for r in range(k + 1, n):
            if abs(K[r * row + k * LANES + lane]) > abs(K[best * row + k * LANES + lane]):
                best = r
        if best != k:
            for j in range(k, width):
                at, other = k * row + j * LANES + lane, best * row + j * LANES + lane
                K[at], K[other] = K[other], K[at]
        inverse = 1.0 / K[k * row + k * LANES + lane]
        for j in range(k + 1, width):
            K[k * row + j * LANES + lane] *= inverse
        for r in range(n):
            if r != k:
                f = K[r * row + k * LANES + lane]
                if f != 0.0:
                    for j in range(k + 1, width):
                        K[r * row + j * LANES + lane] -= f * K[k * row + j * LANES + lane]
