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

__all__ = ["LANES", "add_multiple", "multiply", "solve_lanes", "solve_pivoted"]

LANES = 16
"""Systems in a tile: two vectors of AVX-512, four of AVX2."""

WORST_PIVOT = 1e-3
"""A pivot that has shrunk below this share of its diagonal entry is not trusted."""


def _along(parts: int, combine: Any) -> Any:
    """`combine` on vectors of LANES: (builder, target, multiple, term) -> the new target, for `count` of them.

    The multiple is one vector, the term (where `parts` has one) goes along with the target.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.DoubleType(), LANES)

        def place(which: int) -> Any:
            array = context.make_array(signature.args[which])(context, builder, arguments[which])
            return builder.bitcast(builder.gep(array.data, [arguments[which + 1]]), vector.as_pointer())

        def load(pointer: Any) -> Any:
            value = builder.load(pointer)
            value.align = 8
            return value

        target, multiple = place(0), load(place(2))
        terms = place(4) if parts == 3 else None
        with cgutils.for_range(builder, arguments[-1]) as loop:
            here = builder.gep(target, [loop.index])
            term = load(builder.gep(terms, [loop.index])) if terms is not None else None
            builder.store(combine(builder, load(here), multiple, term), here).align = 8
        return context.get_dummy_value()

    return generate


def _fused(builder: Any, target: Any, multiple: Any, term: Any) -> Any:
    product = builder.fmul(multiple, term, flags=["contract"])
    return builder.fadd(target, product, flags=["contract"])


@intrinsic
def add_multiple(typing: Any, a: Any, at: Any, b: Any, factor: Any, c: Any, source: Any, count: Any) -> Any:
    """a[at + i] += b[factor + i mod LANES] * c[source + i] for i = 0 .. count LANES - 1; places that do not overlap."""
    return types.void(a, types.intp, b, types.intp, c, types.intp, types.intp), _along(3, _fused)


@intrinsic
def multiply(typing: Any, a: Any, at: Any, b: Any, factor: Any, count: Any) -> Any:
    """a[at + i] *= b[factor + i mod LANES] for i = 0 .. count LANES - 1; places that do not overlap."""
    scaled = _along(2, lambda builder, target, multiple, _: builder.fmul(target, multiple))
    return types.void(a, types.intp, b, types.intp, types.intp), scaled


@hot
def solve_lanes(K, n, width, diagonal, minus):
    """Gauss elimination without exchange of rows of K (n, width, LANES), flat: K x = R with R the columns n .. width.

    R is overwritten by the answers; `diagonal` (n, LANES), flat, is scratch, `minus` (LANES,) is -1. False where
    a pivot has shrunk so far that the answer is not to be trusted.
    """
    worst = 0.0
    for k in range(n):
        for i in range(LANES):
            diagonal[k * LANES + i] = WORST_PIVOT * abs(K[(k * width + k) * LANES + i])
    for k in range(n):
        pivot = (k * width + k) * LANES
        for i in range(LANES):
            inverse = 1.0 / K[pivot + i]
            worst = max(worst, abs(inverse) * diagonal[k * LANES + i])
            diagonal[k * LANES + i] = inverse
        multiply(K, pivot + LANES, diagonal, k * LANES, width - k - 1)
        for r in range(k + 1, n):
            factor = (r * width + k) * LANES
            multiply(K, factor, minus, 0, 1)
            add_multiple(K, factor + LANES, K, factor, K, pivot + LANES, width - k - 1)
    for k in range(n - 1, -1, -1):
        for r in range(k):
            factor = (r * width + k) * LANES
            multiply(K, factor, minus, 0, 1)
            add_multiple(K, (r * width + n) * LANES, K, factor, K, (k * width + n) * LANES, width - n)
    return worst <= 1.0


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
