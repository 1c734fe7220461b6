"""Whether a figure made earlier is the one that the present code would make."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from simlab.figures.measurements import measured
from simlab.figures.reproduction import Reproduction, Scale

import simlab
from simlab import theory
from simlab._version import __version__

__all__ = ["digest_of_file", "fingerprints"]

SHOWS = ("cli", "plot", "progress", "files", "doctor")
"""Parts of simlab on which no number depends."""
PACKAGE = "simlab.figures."
MACHINERY = "simlab.figures.gallery."
"""Modules of figures on which no figure depends, but for how tables are kept."""


def fingerprints(figure: Reproduction, module: str, scale: Scale) -> tuple[str, str]:
    """(of the data and claims, of the picture).

    The data depends on the figure's module and the modules of `figures` that it imports, the scale, the version and
    sources of simlab and theory, and on the measurements; the picture on `simlab.plot` and matplotlib's version too.
    The text of a setting does not count: it is not kept, but shown from the present code.
    """
    data = _combined([figure.id, scale, __version__, _sources(module), _library(), _measurements(figure.needs)])
    return data, _combined([data, _drawing()])


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _combined(parts: list[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _sources(module: str) -> str:
    """Of a module, and of what it imports from its own package."""
    package = PACKAGE if module.startswith(PACKAGE) else module.partition(".")[0]
    seen: dict[str, str] = {}
    open_ends = [module]
    while open_ends:
        name = open_ends.pop()
        path = _file_of(name)
        if name in seen or path is None or name.startswith(MACHINERY):
            continue
        seen[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        open_ends += [found for found in _imported(path) if f"{found}.".startswith(package)]
    return _combined([f"{name} {digest}" for name, digest in sorted(seen.items())])


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file_of(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None  # a name within a module
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None


@cache
def _library() -> str:
    found = [*_files(simlab.__path__[0], SHOWS), *_files(theory.__path__[0], ())]
    return _combined([f"{name} {digest}" for name, digest in found])


@cache
def _drawing() -> str:
    import matplotlib

    root = Path(simlab.__path__[0])
    found = [f"{p.name} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in sorted(root.glob("plot*/**/*.py"))]
    found += [hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(root.glob("plot.py"))]
    return _combined([matplotlib.__version__, *found])


def _files(folder: str, without: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    root = Path(folder)
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.cuh")]):
        name = path.relative_to(root)
        if name.parts[0].removesuffix(".py") not in without:
            yield name.as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()


def _measurements(needs: str) -> str:
    if not needs or not measured(needs).is_dir():
        return ""
    files = sorted(path for path in measured(needs).rglob("*") if path.is_file())
    return _combined([f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files])
