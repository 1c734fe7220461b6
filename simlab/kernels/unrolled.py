"""A kernel's body written out for sizes known when it is compiled: short loops unrolled, short lists as scalars.

LLVM vectorises a loop over nodes or directions whose body holds no other loop and keeps what it makes in registers.
With inner loops over the domains of a mixture it does so for up to three of them; beyond, or with their number known
only at run time, a step took four to seven times as long.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

__all__ = ["unrolled"]


def unrolled(function: Callable[..., Any], **known: Any) -> Callable[..., Any]:
    """`function` with these names known: sizes, and functions of them.

    Loops over a range of what is known are written out, and what they decide is decided; `x = [0.0] * K` declares a
    list of scalars, each of which stands by itself afterwards. All else is left as it is.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    whole = _Unrolling(known).visit(tree)
    ast.increment_lineno(whole, function.__code__.co_firstlineno - 1)
    made: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(whole), function.__code__.co_filename, "exec"), function.__globals__, made)
    out: Callable[..., Any] = made[function.__name__]
    return out


class _Unrolling(ast.NodeTransformer):
    def __init__(self, known: dict[str, Any]) -> None:
        self.known, self.lists = dict(known), set[str]()

    def value(self, node: ast.expr) -> Any:
        """What an expression of known names is; None where it holds others."""
        try:
            return eval(compile(ast.Expression(copy.deepcopy(node)), "", "eval"), {"__builtins__": {}}, self.known)
        except (NameError, TypeError):
            return None

    def visit_For(self, node: ast.For) -> Any:
        if not (isinstance(node.iter, ast.Call) and isinstance(node.target, ast.Name)):
            return self.generic_visit(node)
        bounds = [self.value(each) for each in node.iter.args]
        if ast.unparse(node.iter.func) != "range" or not all(isinstance(each, int) for each in bounds):
            return self.generic_visit(node)
        out: list[ast.stmt] = []
        for each in range(*bounds):
            self.known[node.target.id] = each
            out += self._block(node.body)
        self.known.pop(node.target.id, None)
        return out

    def visit_If(self, node: ast.If) -> Any:
        test = self.value(node.test)
        return self.generic_visit(node) if test is None else self._block(node.body if test else node.orelse)

    def visit_Assign(self, node: ast.Assign) -> Any:
        match node:
            case ast.Assign(targets=[ast.Name(name)], value=ast.BinOp(ast.List([entry]), ast.Mult(), size)):
                self.lists.add(name)
                ones = [ast.Name(f"{name}_{j}", ast.Store()) for j in range(self.value(size))]
                return ast.copy_location(ast.Assign(list(ones), entry), node)
        return self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id in self.lists:
            return ast.copy_location(ast.Name(f"{node.value.id}_{self.value(node.slice)}", node.ctx), node)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        return self._constant(node) if isinstance(self.known.get(node.id), int) else node

    def visit_Call(self, node: ast.Call) -> Any:
        own = isinstance(node.func, ast.Name) and node.func.id in self.known
        return self._constant(node) if own else self.generic_visit(node)

    def _constant(self, node: ast.expr) -> ast.expr:
        return ast.copy_location(ast.Constant(self.value(node)), node)

    def _block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for each in body:
            made = self.visit(copy.deepcopy(each))
            out += made if isinstance(made, list) else [made]
        return out
