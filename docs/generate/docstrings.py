"""Docstrings as reStructuredText: they are written as plain text, with `code` in backticks and formulas indented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby, pairwise

__all__ = ["to_rst"]

SECTIONS = ("Parameters", "Returns", "Raises", "Attributes", "Notes", "Examples", "Yields")
CODE = re.compile(r"(`[^`]+`)")
DASH = "\N{EM DASH}"


def _plain(line: str) -> str:
    """A line of prose in which no sign means markup; what stands in backticks is code, whatever touches it."""
    out = ""
    for i, part in enumerate(CODE.split(line)):
        if i % 2:
            out += f"\\ ``{part[1:-1]}``\\ " if part[1:-1].strip() == part[1:-1] and part[1:-1] else part[1:-1]
        else:
            out += re.sub(r"([\\*|_`<>])", r"\\\1", part)
    return out


def _sections(lines: list[str]) -> list[int]:
    """Where a heading stands, its line of dashes below it."""
    return [
        i
        for i, line in enumerate(lines[:-1])
        if line.strip() in SECTIONS and lines[i + 1].strip() and set(lines[i + 1].strip()) == {"-"}
    ]


def _prose(lines: list[str]) -> list[str]:
    """Paragraphs; what is indented, or begins with >>>, is shown as it stands."""
    out: list[str] = []
    for kind, group in groupby(_kinds(lines), key=lambda pair: pair[0]):
        block = [line for _, line in group]
        if kind == "shown":
            out += ["::", "", *block, ""]
        elif kind == "session":
            out += [*block, ""]
        elif kind == "text":
            out += [_plain(" ".join(block)), ""]
    return out


def _kinds(lines: list[str]) -> Iterator[tuple[str, str]]:
    """(what it belongs to, line): a paragraph, what is shown as it stands, a session of Python, or nothing."""
    kind = ""
    for line in lines:
        if not line.strip():
            kind = kind if kind == "shown" else ""
            yield kind, ""
            continue
        if kind != "session":
            kind = "session" if line.startswith(">>>") else "shown" if line.startswith("    ") else "text"
        yield kind, line


def to_rst(_app: object, _what: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    """Rewrite the lines of a docstring in place (a handler of `autodoc-process-docstring`)."""
    starts = _sections(lines)
    first = starts[0] if starts else len(lines)
    out = _prose(lines[:first])
    for begin, end in pairwise([*starts, len(lines)]):
        heading, body = lines[begin : begin + 2], lines[begin + 2 : end]
        # A paragraph at the margin ends the list of parameters.
        stop = next(
            (i for i, line in enumerate(body) if line and not line.startswith(" ") and i and not body[i - 1]
             and " : " not in line),
            len(body),
        )  # fmt: skip
        if heading[0].strip() in ("Notes", "Examples"):
            out += [f"**{heading[0].strip()}**", "", *_prose(body)]
            continue
        out += _rows(body[:stop])
        if stop < len(body):
            out += ["", *_prose(body[stop:])]
    lines[:] = [*out, ""]


def _rows(lines: list[str]) -> list[str]:
    """`name : text` with its indented rest, as a list of definitions."""
    rows: list[list[str]] = []
    for line in lines:
        if line and not line.startswith(" "):
            rows.append([line])
        elif line.strip() and rows:
            rows[-1].append(line.strip())
    out: list[str] = [""]
    for row in rows:
        name, _, text = " ".join(row).partition(" : ")
        out += [f"``{name}``", f"    {_plain(text) or DASH}", ""]
    return out
