"""API reference: a page for each public module, every name that it exports, from the docstrings."""

from __future__ import annotations

import importlib
import inspect

__all__ = ["pages"]

MODULES = {
    "simlab": "engines, problems, experiments, sweeps",
    "simlab.schedules": "learning rates (and momenta, batches, shares) over steps",
    "simlab.methods": "linear methods, averages, wrappers",
    "simlab.problems": "problems",
    "simlab.subspaces": "partitions of the eigenvalues",
    "simlab.trace": "what comes out",
    "simlab.river": "landscapes and their rivers",
    "simlab.twin": "the digital twin of a training run",
    "simlab.plot": "pictures",
    "simlab.theory": "theorems as functions",
}
HIDDEN = {"__version__"}


def pages() -> dict[str, str]:
    """Name of file -> text."""
    toc = "\n".join(MODULES)
    rows = "\n".join(f"- [`{name}`]({name}.md): {about}" for name, about in MODULES.items())
    seen: set[int] = set()
    out = {"reference/index.md": f"# Reference\n\n{rows}\n\n```{{toctree}}\n:hidden:\n\n{toc}\n```\n"}
    return out | {f"reference/{name}.md": _page(name, about, seen) for name, about in MODULES.items()}


def _page(name: str, about: str, seen: set[int]) -> str:
    """What an earlier page describes is left to it."""
    module = importlib.import_module(name)
    things = {each: getattr(module, each) for each in module.__all__ if each not in HIDDEN}
    new = {each: thing for each, thing in things.items() if id(thing) not in seen}
    seen.update(map(id, new.values()))
    blocks = "\n".join(filter(None, (_block(name, each, thing) for each, thing in new.items())))
    return f"# {name}\n\n{about}\n\n```{{eval-rst}}\n{blocks}\n```\n"


def _block(module: str, name: str, thing: object) -> str:
    if inspect.ismodule(thing):
        return ""
    if inspect.isclass(thing):
        members = "" if issubclass(thing, BaseException) else "   :members:\n"
        return f".. autoclass:: {module}.{name}\n{members}"
    if callable(thing):
        return f".. autofunction:: {module}.{name}\n"
    return f".. autodata:: {module}.{name}\n   :no-value:\n"
