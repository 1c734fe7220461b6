"""Lists that the code keeps: schedules, commands."""

from __future__ import annotations

import contextlib
import io
from inspect import getdoc

import simlab as sl

__all__ = ["pages"]


def pages() -> dict[str, str]:
    """Name of file -> text, to be included by pages."""
    return {"lists/schedules.md": _schedules(), "lists/commands.md": _commands(), "lists/methods.md": _methods()}


def _first(thing: object) -> str:
    return (getdoc(thing) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|").replace("<", "&lt;")


def _table(head: str, names: dict[str, object]) -> str:
    rows = "\n".join(f"| `{name}` | {_first(thing)} |" for name, thing in names.items())
    return f"| {head} | |\n|---|---|\n{rows}\n"


def _schedules() -> str:
    return _table("schedule", {name: getattr(sl.schedules, name) for name in sl.schedules.named()})


def _methods() -> str:
    from simlab.experiment.method import METHODS

    return _table("method", {name: getattr(sl.methods, name) for name in METHODS if hasattr(sl.methods, name)})


def _commands() -> str:
    from simlab.cli import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(["--help"])
    return f"```text\n{out.getvalue().strip()}\n```\n"
