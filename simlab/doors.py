"""What public functions have in common: an argument that they do not know, or miss, is refused like any other."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from simlab.errors import InputError, UnknownAttribute, brief, unknown_name

__all__ = ["door", "notice", "unknown_attributes"]

P = ParamSpec("P")
R = TypeVar("R")


def door(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, which raises an InputError, not a TypeError, for arguments that its signature does not take.

    A call that fits costs nothing but a frame; a TypeError raised within goes through as it is.
    """

    @wraps(function)
    def opened(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            refuse_misfits(function, args, kwargs)
            raise

    return opened


def refuse_misfits(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """An InputError where the signature does not take these arguments; nothing where it does."""
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **kwargs)
        return
    except TypeError:
        pass
    name = function.__qualname__.removesuffix(".__init__")
    parameters = {key: p for key, p in signature.parameters.items() if key not in ("self", "cls")}
    for key in kwargs:
        if key not in parameters:
            raise unknown_name(f"argument of {name}", key, parameters) from None
    positional = [key for key, p in parameters.items() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    given = args[len(signature.parameters) - len(parameters) :]
    if len(given) > len(positional):
        extra = brief(given[len(positional)])
        raise InputError(f"{name} takes no argument {extra} at place {len(positional) + 1}; name it, or leave it out.")
    for key in positional[: len(given)]:
        if key in kwargs:
            raise InputError(f"{key} is given to {name} twice, by its place and by its name; leave one out.")
    missing = [key for key, p in parameters.items() if p.default is inspect.Parameter.empty and key not in kwargs]
    for key in missing:
        if key not in positional[: len(given)]:
            raise InputError(f"{key} is missing; {name} needs it: give {key}=....")


def unknown_attributes(
    module: str, names: Iterable[str], elsewhere: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """The `__getattr__` of a module: refuses what is not among its `names`, with the nearest of them.

    `elsewhere` says what to do about names that people know from other libraries, in lower case.
    """
    known, foreign = sorted(names), elsewhere or {}

    def refuse(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if name.lower() in foreign:
            raise UnknownAttribute(f"{module}.{name} does not exist; {foreign[name.lower()]}.")
        raise UnknownAttribute(str(unknown_name(f"name in {module}", name, known)))

    return refuse


def notice(message: str, category: type[Warning] = UserWarning) -> None:
    """A warning that points at the line of the user, however many functions of simlab lie between."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "simlab":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
