"""Python source of a plan: the very tree and formulas that numpy evaluates, for `math` or `jax.numpy`.

A leaf is written by calling its formula in `shapes` with symbols instead of arrays; a node that needs
statements (a join, a table) becomes a function of its own, `_part1(t)`, `_part2(t)`, ... with t the step
within that node.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simlab.errors import InputError
from simlab.schedules import nodes
from simlab.schedules.rows import JAX, MATH, Dialect, Rows
from simlab.schedules.shapes import SHAPES

__all__ = ["JaxSource", "MathSource", "Source"]

PARTS = 1_000
"""Most joined pieces with a branch each; of more of them the values are tabulated."""

TABULATED = 10**7
"""Longest such join."""

SUM, PRODUCT, UNARY, ATOM = 1, 2, 3, 5


@dataclass(frozen=True)
class Symbol:
    """Source text of an expression, with the precedence of its outermost operator."""

    text: str
    precedence: int = ATOM

    def inside(self, precedence: int) -> str:
        """The text as an operand of an operator that binds at `precedence`."""
        return self.text if self.precedence >= precedence else f"({self.text})"

    def __add__(self, other: object) -> Symbol:
        return Symbol(f"{self.inside(SUM)} + {symbol(other).inside(SUM + 1)}", SUM)

    def __radd__(self, other: object) -> Symbol:
        return symbol(other) + self

    def __sub__(self, other: object) -> Symbol:
        return Symbol(f"{self.inside(SUM)} - {symbol(other).inside(SUM + 1)}", SUM)

    def __rsub__(self, other: object) -> Symbol:
        return symbol(other) - self

    def __mul__(self, other: object) -> Symbol:
        return Symbol(f"{self.inside(PRODUCT)} * {symbol(other).inside(PRODUCT + 1)}", PRODUCT)

    def __rmul__(self, other: object) -> Symbol:
        return symbol(other) * self

    def __truediv__(self, other: object) -> Symbol:
        return Symbol(f"{self.inside(PRODUCT)} / {symbol(other).inside(PRODUCT + 1)}", PRODUCT)

    def __rtruediv__(self, other: object) -> Symbol:
        return symbol(other) / self

    def __pow__(self, other: object) -> Symbol:
        return Symbol(f"{self.inside(ATOM)} ** {symbol(other).inside(ATOM)}", ATOM - 1)


def symbol(value: object) -> Symbol:
    """A number as source text (floats by their exact repr), a symbol as it is."""
    if isinstance(value, Symbol):
        return value
    assert isinstance(value, int | float)
    text = repr(float(value)) if isinstance(value, float) else str(int(value))
    return Symbol(text, UNARY if text.startswith("-") else ATOM)


@dataclass(frozen=True)
class Functions:
    """The elementary functions of a module, as symbols."""

    module: str

    def sin(self, x: Symbol) -> Symbol:
        return Symbol(f"{self.module}.sin({x.text})")

    def sqrt(self, x: Symbol) -> Symbol:
        return Symbol(f"{self.module}.sqrt({x.text})")

    def exp(self, x: Symbol) -> Symbol:
        return Symbol(f"{self.module}.exp({x.text})")

    def expm1(self, x: Symbol) -> Symbol:
        return Symbol(f"{self.module}.expm1({x.text})")


def _apart(number: float) -> tuple[int, float]:
    """A whole number and the rest in [0, 1), of a number that may be whole but for its rounding."""
    near = round(number)
    if abs(number - near) <= 1e-12 * abs(number):
        return near, 0.0
    whole = math.floor(number)
    return whole, number - whole


def shifted(variable: str, shift: float) -> Symbol:
    """variable + shift."""
    if shift == 0:
        return Symbol(variable)
    return Symbol(f"{variable} {'+' if shift > 0 else '-'} {abs(shift)}", SUM)


class Source(ABC):
    """Collects the definitions that an expression needs; `module` has sin, sqrt, exp and expm1."""

    module: str
    dialect: Dialect

    def __init__(self, data: str | None = None) -> None:
        """`data`: the name of a file beside the module, for the values that are too many for it."""
        self.definitions: list[str] = []
        self.rows = Rows(self.definitions, self.dialect, data)
        self._names: dict[int, str] = {}
        self._kept: list[nodes.Plan] = []

    def expression(self, plan: nodes.Plan, variable: str = "t", shift: int = 0) -> Symbol:
        """Source of the value of `plan` at step variable + shift; definitions it needs are appended."""
        match plan:
            case nodes.Constant():
                return symbol(plan.value)
            case nodes.Piece():
                return self._piece(plan, variable, shift)
            case nodes.Scale():
                child = self.expression(plan.child, variable, shift)
                return child if plan.factor == 1.0 else plan.factor * child
            case nodes.Lift():
                child = self.expression(plan.child, variable, shift)
                return plan.floor + (1.0 - plan.floor) * child if plan.floor else child
            case nodes.Product():
                return self.expression(plan.first, variable, shift) * self.expression(plan.second, variable, shift)
            case nodes.Sum():
                return self.expression(plan.first, variable, shift) + self.expression(plan.second, variable, shift)
            case nodes.Clip():
                return self._clip(self.expression(plan.child, variable, shift), plan)
            case nodes.Window():
                return self.expression(plan.child, variable, shift + plan.start)
        step = shifted(variable, shift)
        if isinstance(plan, nodes.Repeat):
            return self._call(plan.child, f"{step.inside(PRODUCT)} % {plan.child.length}")
        if isinstance(plan, nodes.Hold):
            return self._call(plan.child, f"{step.inside(PRODUCT)} // {plan.every} * {plan.every}")
        return self._call(plan, step.text)

    def _piece(self, piece: nodes.Piece, variable: str, shift: int) -> Symbol:
        offset = piece.offset + shift
        if piece.n == 1:  # u counts steps
            u = Symbol(f"{variable} + {float(offset)!r}" if offset >= 0 else f"{variable} - {float(-offset)!r}", SUM)
            return self._shape(piece, u, 1.0 - u)
        u = shifted(variable, offset) / piece.n
        whole, part = _apart(piece.n - offset)  # what is left is exact in float32 too
        left = Symbol(str(whole)) - Symbol(variable)
        return self._shape(piece, u, (left + part if part else left) / piece.n)

    def _shape(self, piece: nodes.Piece, u: Symbol, v: Symbol) -> Symbol:
        return symbol(SHAPES[piece.shape](Functions(self.module), u, v, *piece.parameters))

    def _call(self, plan: nodes.Plan, argument: str) -> Symbol:
        """A call of the function that holds `plan`, defined at first use."""
        if id(plan) not in self._names:
            body = self._body(plan)
            self._names[id(plan)] = name = f"_part{len(self._names) + 1}"
            self._kept.append(plan)  # an id is a name only as long as its object lives
            lines = "\n".join(f"    {line}" for line in body)
            self.definitions.append(f"def {name}(t):\n{lines}\n")
        return Symbol(f"{self._names[id(plan)]}({argument})")

    def _body(self, plan: nodes.Plan) -> list[str]:
        match plan:
            case nodes.Join():
                return self._join(plan) if len(plan.children) <= PARTS else self._tabulated(plan)
            case nodes.Table():
                inside = plan.starts < plan.length
                return self._stairs(plan.length, plan.starts[inside], plan.values[inside])
            case nodes.Array():
                return self._values(plan.values)
            case nodes.Interpolation():
                x = self.rows.add(plan.knots)
                return self._straight(x, self.rows.add(plan.values))
        return [f"return {self.expression(plan).text}"]

    def _tabulated(self, plan: nodes.Plan) -> list[str]:
        if plan.length > TABULATED:
            raise InputError(
                f"over {PARTS:,} parts are joined to over {TABULATED:,} steps; join fewer, or export less."
            )
        return self._values(plan.at(np.arange(plan.length, dtype=np.int64)))

    def _values(self, values: npt.NDArray[np.float64]) -> list[str]:
        starts = np.flatnonzero(np.diff(values, prepend=-1.0))
        return self._stairs(values.size, starts, values[starts])

    def _stairs(self, length: int, starts: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> list[str]:
        if starts.size == 1:
            return [f"return {symbol(float(values[0])).text}"]
        if 2 * starts.size > length:  # nearly every step has its own
            return self._index(self.rows.add(np.repeat(values, np.diff(starts, append=length))))
        return self._lookup(self.rows.add(starts), self.rows.add(values))

    @abstractmethod
    def _index(self, y: str) -> list[str]:
        """Statements that return y[t]."""

    @abstractmethod
    def _clip(self, value: Symbol, plan: nodes.Clip) -> Symbol:
        """The value kept within the limits of `plan`."""

    @abstractmethod
    def _join(self, plan: nodes.Join) -> list[str]:
        """Statements that return the value of the child that step t falls into."""

    @abstractmethod
    def _lookup(self, x: str, y: str) -> list[str]:
        """Statements that return y[k] for the last k with x[k] <= t."""

    @abstractmethod
    def _straight(self, x: str, y: str) -> list[str]:
        """Statements that return the linear interpolation of (x, y) at t."""


class MathSource(Source):
    """Plain Python on one int: float64, branches by if."""

    module, dialect = "math", MATH

    def _index(self, y: str) -> list[str]:
        return [f"return {y}[t]"]

    def _clip(self, value: Symbol, plan: nodes.Clip) -> Symbol:
        text = f"max({value.text}, {plan.low!r})"
        return Symbol(text if plan.high is None else f"min({text}, {plan.high!r})")

    def _join(self, plan: nodes.Join) -> list[str]:
        lines = []
        for i, child in enumerate(plan.children):
            text = f"return {self.expression(child, 't', -int(plan.starts[i])).text}"
            last = i == len(plan.children) - 1
            lines += [text] if last else [f"if t < {plan.starts[i + 1]}:", f"    {text}"]
        return lines

    def _lookup(self, x: str, y: str) -> list[str]:
        return [f"return {y}[bisect_right({x}, t) - 1]"]

    def _straight(self, x: str, y: str) -> list[str]:
        return [
            f"k = bisect_right({x}, t) - 1",
            f"x0, x1, y0, y1 = {x}[k], {x}[k + 1], {y}[k], {y}[k + 1]",
            "y = y0 * ((x1 - t) / (x1 - x0)) + y1 * ((t - x0) / (x1 - x0))",
            "return min(max(y, min(y0, y1)), max(y0, y1))",
        ]


class JaxSource(Source):
    """jax.numpy on traced integers of any shape: branches by `where`, so every branch is computed.

    The step is clipped into each branch, so that none leaves the domain of its formula.
    """

    module, dialect = "jnp", JAX

    def _index(self, y: str) -> list[str]:
        return [f"return jnp.asarray({y}, jnp.result_type(float))[t]"]

    def _clip(self, value: Symbol, plan: nodes.Clip) -> Symbol:
        text = f"jnp.maximum({value.text}, {plan.low!r})"
        return Symbol(text if plan.high is None else f"jnp.minimum({text}, {plan.high!r})")

    def _join(self, plan: nodes.Join) -> list[str]:
        lines: list[str] = []
        for i, child in reversed(list(enumerate(plan.children))):
            begin, end = int(plan.starts[i]), int(plan.starts[i + 1])
            text = self.expression(child, "s", -begin).text
            lines.append(f"s = jnp.clip(t, {begin}, {end - 1})")
            lines.append(f"y = jnp.where(t < {end}, {text}, y)" if i < len(plan.children) - 1 else f"y = {text}")
        return [*lines, "return y"]

    def _lookup(self, x: str, y: str) -> list[str]:
        return [
            f"k = jnp.searchsorted(jnp.asarray({x}, t.dtype), t, side='right') - 1",
            f"return jnp.asarray({y}, jnp.result_type(float))[k]",
        ]

    def _straight(self, x: str, y: str) -> list[str]:
        return [
            f"x, y = jnp.asarray({x}, t.dtype), jnp.asarray({y}, jnp.result_type(float))",
            "k = jnp.searchsorted(x, t, side='right') - 1",
            "x0, x1, y0, y1 = x[k], x[k + 1], y[k], y[k + 1]",
            "y = y0 * ((x1 - t) / (x1 - x0)) + y1 * ((t - x0) / (x1 - x0))",
            "return jnp.minimum(jnp.maximum(y, jnp.minimum(y0, y1)), jnp.maximum(y0, y1))",
        ]
