"""The table [method]: builders by kind, schedules as hyper-parameters, wrappers applied in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from simlab.errors import InputError
from simlab.experiment.schedule import build_schedule
from simlab.experiment.tables import Table, call, kind_of, parameters, shown
from simlab.methods import Method
from simlab.methods.base import METHODS as REGISTRY
from simlab.methods.base import Rated, Wrapper
from simlab.schedules import Schedule

__all__ = ["METHODS", "WRAPPERS", "build_method", "method_parameters", "wrappers_of"]

METHODS: dict[str, Callable[..., Method]] = {
    name: made for name, made in sorted(REGISTRY.items()) if issubclass(made, Rated) and name != "custom"
}
"""Kind -> method; `lr` is the schedule, all other parameters are keys of the table. A rule of one's own is Python's."""

WRAPPERS: dict[str, Callable[..., Method]] = {
    name: made for name, made in sorted(REGISTRY.items()) if issubclass(made, Wrapper)
}
"""Kind -> wrapper; `inner` is the method built so far."""


def method_parameters(kind: str) -> set[str]:
    """The keys that a method table of this kind takes, besides `kind`."""
    return (set(parameters(METHODS[kind])) - {"lr", "steps"}) | {"wrap"}


def build_method(table: Table, path: str, lr: Schedule, folder: Path) -> Method:
    """The method of the table found at `path`, with the learning rate `lr`, or an InputError that says where.

    A hyper-parameter written as a table {kind = ..., ...} is a schedule as long as that of the learning rate.
    """
    kind = kind_of(table, path, METHODS)
    if "lr" in table:
        raise InputError(
            f" = {shown(table['lr'])} is not taken; the learning rate is the table [schedule].", f"{path}.lr"
        )
    nested = partial(build_schedule, folder=folder, steps=lr.length)
    given = {key: value for key, value in table.items() if key != "wrap"}
    method: Method = call(METHODS[kind], given, path, {"lr": lr, "steps": None}, nested)
    for j, wrapper in enumerate(wrappers_of(table, path)):
        where = f"{path}.wrap[{j}]"
        name = kind_of(wrapper, where, WRAPPERS)
        method = call(WRAPPERS[name], wrapper, where, {"inner": method}, nested)
    return method


def wrappers_of(table: Table, path: str) -> list[Table]:
    """The list of wrapper tables of a method table, or an InputError."""
    value: Any = table.get("wrap", [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InputError(
            f' = {shown(value)} is not a list of tables; write wrap = [{{kind = "ema", decay = 0.999}}].',
            f"{path}.wrap",
        )
    return value
