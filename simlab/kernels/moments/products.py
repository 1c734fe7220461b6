"""A block of a matrix product that stays in registers: what large products are made of.

LLVM does not keep a block of sums in registers through a loop over arrays; it is therefore spelled out as vectors. BLAS
would do, but for its threads, which fight with those of the engines.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["DEEP", "WIDE", "add_block"]

DEEP, WIDE = 6, 8
"""Rows and columns of a block: six registers of AVX-512, twelve of the sixteen of AVX2."""

n = types.intp
BLOCK = ir.VectorType(ir.DoubleType(), WIDE)
pair: Any = types.UniTuple  # Numba's functions have no types
alloca_once: Any = cgutils.alloca_once
NOTHING = ir.Constant(BLOCK, ir.Undefined)


@intrinsic
def add_block(
    typing: Any, count: Any, a: Any, at: Any, down: Any, b: Any, place: Any, stride: Any, c: Any, to: Any, row: Any
) -> Any:
    """c[to + k row + l] += sum_(r < count) a[at + r down[0] + k down[1]] b[place + r stride + l], k < DEEP, l < WIDE.

    Of flat arrays of float64, of which c is none of the others; nobody checks the places.
    """
    return types.void(n, a, n, pair(n, 2), b, n, n, c, n, n), _block


def _block(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    count, _, at, down, _, place, stride, _, to, row = arguments
    a, b, c = (context.make_array(signature.args[i])(context, builder, arguments[i]).data for i in (1, 4, 7))
    along, across = (builder.extract_value(down, i) for i in range(2))

    def vector_at(pointer: Any, offset: Any) -> Any:
        return builder.bitcast(builder.gep(pointer, [offset]), BLOCK.as_pointer())

    def load(pointer: Any) -> Any:
        value = builder.load(pointer)
        value.align = 8
        return value

    def spread(value: Any) -> Any:
        one = builder.insert_element(NOTHING, value, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(one, NOTHING, ir.Constant(ir.VectorType(ir.IntType(32), WIDE), [0] * WIDE))

    numbers = [ir.Constant(count.type, k) for k in range(DEEP)]
    ends = [vector_at(c, builder.add(to, builder.mul(row, k))) for k in numbers]
    firsts = [builder.gep(a, [builder.add(at, builder.mul(across, k))]) for k in numbers]
    sums = [alloca_once(builder, BLOCK) for _ in numbers]
    for total, end in zip(sums, ends, strict=True):
        builder.store(load(end), total)
    with cgutils.for_range(builder, count) as loop:
        term = load(vector_at(b, builder.add(place, builder.mul(loop.index, stride))))
        further = builder.mul(loop.index, along)
        for total, first in zip(sums, firsts, strict=True):
            factor = spread(builder.load(builder.gep(first, [further])))
            product = builder.fmul(factor, term, flags=["contract"])
            builder.store(builder.fadd(builder.load(total), product, flags=["contract"]), total)
    for total, end in zip(sums, ends, strict=True):
        builder.store(builder.load(total), end).align = 8
    return context.get_dummy_value()
