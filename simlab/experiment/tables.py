"""Tables of the experiment file: plain data in, checked calls of the builders out.

A builder's signature is the schema of its table: its parameters are the keys, its annotations the types, its defaults
what may be left out. Every refusal names the TOML path ("schedule.peak", "method.wrap[0].decay").
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from numbers import Real
from os import PathLike
from typing import Any, Literal, Union

import numpy as np
import numpy.typing as npt

from simlab.errors import InputError, brief, check_count, unknown_name
from simlab.schedules import Schedule
from simlab.schedules.arguments import refuse_other_name, spelling
from simlab.schedules.cooldowns import COOLDOWNS

__all__ = ["Table", "arguments", "call", "check_keys", "kind_of", "parameters", "plain", "shown", "table_at", "within"]

Table = dict[str, Any]

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    Schedule: "a schedule table",
}

DEEPEST = 32
"""Levels of tables and lists in a file."""

LARGEST = 10**308
"""Largest whole number that is a float, about."""

_SHAPED = {name for _, names in COOLDOWNS.values() for name in names} | {"knots"}
"""Parameters of the shapes of a decline, which families with a shape pass on and refuse where they do not belong."""


def shown(value: object) -> str:
    """The value as a refusal prints it: abbreviated, on one line, in TOML's words for truth."""
    return str(value).lower() if isinstance(value, bool) else brief(value)


def plain(value: Any, path: str, depth: int = 0) -> Any:
    """A deep copy of `value` as TOML and JSON know it: dict, list, str, bool, int, float; or an InputError."""
    if depth > DEEPEST:
        raise InputError(f" is nested more than {DEEPEST} levels deep; write it flatter.", _short(path))
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        names = {key: f"{path}.{key}" if path else str(key) for key in value}
        return {str(key): plain(item, names[key], depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, int) and abs(value) > LARGEST:
        raise InputError(f" = {shown(value)} is beyond the range of numbers; give a smaller one.", _short(path))
    if isinstance(value, str | bool | int | float):
        return value
    path = _short(path)
    raise InputError(
        f" = {shown(value)} is a {type(value).__name__}; give a number, string, boolean, list or table.", path
    )


def _short(path: str) -> str:
    """A path of the tables as a refusal names it: its end, where it is long."""
    return path if len(path) <= 80 else f"..{path[-78:]}"


def table_at(tree: Mapping[str, Any], key: str, path: str) -> Table:
    """The table `key` of `tree` (empty where there is none), or an InputError."""
    value = tree.get(key, {})
    if not isinstance(value, dict):
        raise InputError(f" = {shown(value)} is not a table; write [{path}] and its parameters below it.", path)
    return value


def check_keys(table: Table, path: str, known: Collection[str]) -> None:
    """Refuse keys of `table` that are not among `known`, naming the nearest."""
    for key in table:
        if key not in known:
            raise unknown_name(f"key of [{path}]" if path else "table", key, known)


def kind_of(table: Table, path: str, kinds: Collection[str]) -> str:
    """The canonical name of the table's kind; hyphens, underscores and case are equivalent."""
    kind = table.get("kind")
    if kind is None:
        raise InputError(f" is missing; choose one of {', '.join(sorted(kinds))}.", f"{path}.kind")
    names = {spelling(name): name for name in kinds}
    if not isinstance(kind, str) or spelling(kind) not in names:
        raise unknown_name(f"{path}.kind", kind, kinds)
    return names[spelling(kind)]


@cache
def parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a builder by name, annotations evaluated (what it returns may not be imported yet)."""
    made = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
    known = getattr(inspect.unwrap(made), "__globals__", {})
    return {
        name: p.replace(annotation=eval(p.annotation, known) if isinstance(p.annotation, str) else p.annotation)
        for name, p in inspect.signature(function).parameters.items()
    }


def call(
    function: Callable[..., Any],
    table: Table,
    path: str,
    injected: Mapping[str, Any],
    nested: Callable[[Table, str], Schedule] | None = None,
) -> Any:
    """function(**injected, **table without its kind), after checks of the table's keys and types.

    `injected` are the parameters that do not come from the table; `nested` makes the schedule of a table in the place
    of a number, where the builder accepts a schedule.
    """
    given = _checked(function, table, path, injected, nested)
    with within(path, parameters(function), given):
        return function(**injected, **given)


def arguments(function: Callable[..., Any], table: Table, path: str, withheld: Collection[str]) -> dict[str, Any]:
    """The arguments of a function that a table gives, checked as by `call`, and the defaults of all others.

    `withheld` are parameters that are none of the table's.
    """
    given = _checked(function, table, path, withheld, None)
    return {name: given.get(name, p.default) for name, p in parameters(function).items() if name not in withheld}


def _checked(
    function: Callable[..., Any],
    table: Table,
    path: str,
    elsewhere: Collection[str],
    nested: Callable[[Table, str], Schedule] | None,
) -> dict[str, Any]:
    """The table without its kind, keys and types as the function wants them, schedules made."""
    given = {key: value for key, value in table.items() if key != "kind"}
    schema = parameters(function)
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in schema.values())
    own = {
        name: p for name, p in schema.items() if p.kind is not inspect.Parameter.VAR_KEYWORD and name not in elsewhere
    }
    known = {*own, *(_SHAPED if open_ended else ())}
    for key in given:
        if key not in known:
            refuse_other_name(f"parameter of {path}{_of_kind(table)}", key, known)
            raise unknown_name(f"parameter of {path}{_of_kind(table)}", key, known)
    for name, p in own.items():
        if p.default is inspect.Parameter.empty and name not in given:
            wanted = _wanted(_accepted(p.annotation))
            raise InputError(f" is missing{_of_kind(table, ' for')}; give {wanted}.", f"{path}.{name}")
    for key, value in given.items():
        accepted = _accepted(own[key].annotation) if key in own else frozenset({float, int, str, list})
        where = f"{path}.{key}"
        if isinstance(value, dict) and Schedule in accepted and nested is not None:
            given[key] = nested(value, where)
        elif key in own and own[key].annotation == list[Schedule] and nested is not None:
            given[key] = [nested(*item) for item in _tables(value, where)]
        else:
            named = isinstance(value, str) and "." in value and "path" in own
            _check_type(value, accepted, where, ", or name its file by path" if named else "")
    return given


def _tables(value: Any, path: str) -> list[tuple[Table, str]]:
    """(table, path) of each entry of a list of schedule tables, or an InputError."""
    if not isinstance(value, list):
        raise InputError(f" = {shown(value)} is not a list; give one of schedule tables.", path)
    bad = next((j for j, item in enumerate(value) if not isinstance(item, dict)), None)
    if bad is not None:
        raise InputError(f" = {shown(value[bad])} is not a schedule table; give one with a kind.", f"{path}[{bad}]")
    return [(item, f"{path}[{j}]") for j, item in enumerate(value)]


def _of_kind(table: Table, word: str = "") -> str:
    return (
        f"{word} kind {brief(table['kind'])}" if word else f" ({brief(table['kind'])[1:-1]})" if "kind" in table else ""
    )


@contextmanager
def within(
    path: str, names: Collection[str], given: Mapping[str, Any] | None = None, alias: str = ""
) -> Iterator[None]:
    """Refusals raised inside are located (`InputError.within`): their fields are those of `path`, if among `names`.

    What a library raises about numbers (an overflow, a shape) is not quoted: the refusal names the values `given`.
    """
    try:
        yield
    except InputError as error:
        raise error.within(path, names, alias) from None
    except MemoryError:
        raise InputError(": this does not fit into memory; make it smaller.", path) from None
    except (ValueError, ArithmeticError):
        values = [f"{name} = {shown(value)}" for name, value in (given or {}).items() if name != "kind"]
        what = ", ".join(values[:6]) + (", .." if len(values) > 6 else "") or "these values"
        raise InputError(f": {what} do not go together; check shapes and ranges.", path) from None


# -- types


@cache
def _accepted(hint: Any) -> frozenset[type]:
    """The kinds of TOML values that a parameter of this annotation takes, as a set of the keys of _WORDS."""
    if hint == npt.ArrayLike:
        return frozenset({int, float, list})
    if typing.get_origin(hint) in (Union, types.UnionType):
        given = tuple(part for part in typing.get_args(hint) if part is not type(None))
        if Union[given] == npt.ArrayLike:  # noqa: UP007 (of a tuple)
            return _accepted(npt.ArrayLike)
        return frozenset().union(*(_accepted(part) for part in typing.get_args(hint)))
    if typing.get_origin(hint) is Literal:
        return frozenset({str})
    if hint is type(None) or hint == PathLike[str]:
        return frozenset()
    if hint in (bool, str, Schedule):
        return frozenset({hint})
    if hint in (int, float):
        return frozenset({int, hint})
    return frozenset({list})


def _wanted(accepted: frozenset[type]) -> str:
    """What to give in place of a refused value, in words."""
    named = [kind for kind in _WORDS if kind in accepted and not (kind is int and float in accepted)]
    return " or ".join(_WORDS[kind] for kind in named)


def _check_type(value: Any, accepted: frozenset[type], path: str, more: str = "") -> None:
    """Refuse a value of a kind that the parameter does not take; `more` is another remedy."""
    if isinstance(value, bool):
        fits = bool in accepted
    elif isinstance(value, str):
        fits = str in accepted
    elif isinstance(value, list):
        fits = list in accepted
    elif isinstance(value, Real):
        fits = int in accepted
    else:
        fits = False
    if not fits:
        what = "is a table" if isinstance(value, dict) else "is not of the right type"
        raise InputError(f" = {shown(value)} {what}; give {_wanted(accepted)}{more}.", path)
    if isinstance(value, float) and int in accepted and float not in accepted:
        # A float passes for a whole number, 1e5 for 100000, if it is one.
        if not value.is_integer():
            raise InputError(f" = {shown(value)} is not of the right type; give {_wanted(accepted)}.", path)
        if accepted == {int}:
            check_count(path, value, low=0)
