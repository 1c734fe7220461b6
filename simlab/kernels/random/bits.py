"""Floats as the integers that encode them, and back: one LLVM bitcast each, free of cost inside vectorised loops."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["double_bits", "double_of", "single_bits", "single_of"]


def _bitcast(source, target, llvm_type):
    @intrinsic
    def cast(typing_context, value):
        def generate(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], llvm_type)

        return target(source), generate

    return cast


single_bits = _bitcast(types.float32, types.uint32, ir.IntType(32))
single_of = _bitcast(types.uint32, types.float32, ir.FloatType())
double_bits = _bitcast(types.float64, types.uint64, ir.IntType(64))
double_of = _bitcast(types.uint64, types.float64, ir.DoubleType())
