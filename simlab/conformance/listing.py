"""The catalogue as text, for the command line."""

from __future__ import annotations

from inspect import getdoc

from simlab import theory
from simlab.errors import unknown_name

__all__ = ["entry_text", "listing"]


def listing() -> str:
    """One line for each theorem, by source."""
    entries = theory.catalog()
    wide = max(len(entry.name) for entry in entries)
    lines, source = [], ""
    for entry in entries:
        if entry.source.short != source:
            source = entry.source.short
            lines += ["", source]
        lines.append(f"  {entry.name:<{wide}}  {entry.kind:<10}  {entry.about} ({entry.number}; {entry.provenance})")
    return "\n".join([f"{len(entries)} theorems", *lines])


def entry_text(name: str) -> str:
    """All that is known of one theorem, and how to cite it. Raises InputError for an unknown name."""
    try:
        entry = theory.find(name)
    except KeyError:
        raise unknown_name("theorem", name, [each.name for each in theory.catalog()]) from None
    lines = [
        f"{entry.name}: {entry.about}",
        f"kind: {entry.kind}; provenance: {entry.provenance}; {entry.source.short}, {entry.number}",
        *(f"assumes: {assumption}" for assumption in entry.assumptions),
        "",
        getdoc(entry.function) or "",
        "",
        theory.cite(name),
    ]
    return "\n".join(lines)
