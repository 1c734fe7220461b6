"""A kernel's body written out for sizes that are known does what it did with loops and lists."""

from __future__ import annotations

import ast
import inspect

import numpy as np

from simlab.kernels import unrolled as module
from simlab.kernels.unrolled import unrolled

K = 3


def squares(x, out):
    total = 0.0
    part = [0.0] * K
    for i in range(x.size // K):
        for k in range(K):
            part[k] = x[i * K + k] * weight(k)
        for k in range(K):
            for j in range(k, K):
                if j == k:
                    total += part[k] * part[j]
                else:
                    total += 2.0 * part[k] * part[j]
            out[k] += part[k]
    return total


def weight(k):
    return k + 1


def test_it_does_the_same():
    x, wanted, made = np.random.default_rng(0).normal(size=12), np.zeros(3), np.zeros(3)
    total = unrolled(squares, K=3, weight=weight)(x, made)
    np.testing.assert_allclose(total, squares(x, wanted), rtol=1e-14)
    np.testing.assert_array_equal(made, wanted)
    np.testing.assert_allclose(total, np.sum((x.reshape(4, 3) @ [1.0, 2.0, 3.0]) ** 2), rtol=1e-14)


def test_what_is_known_leaves_no_loop_and_no_list():
    tree = module._Unrolling({"K": 3, "weight": weight}).visit(ast.parse(inspect.getsource(squares)))
    assert sum(isinstance(each, ast.For) for each in ast.walk(tree)) == 1
    assert not any(isinstance(each, ast.If | ast.List) for each in ast.walk(tree))
    assert {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)} >= {"part_0", "part_1", "part_2"}
    assert "weight" not in ast.unparse(tree)
