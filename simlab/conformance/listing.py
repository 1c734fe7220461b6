"""The catalogue as text, for the command line."""

from __future__ import annotations

import difflib
from inspect import getdoc

from simlab import theory
from simlab.errors import InputError, brief

__all__ = ["entry_text", "listing", "unknown_theorem"]

MOST = 5
"""Names that a refusal proposes."""


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
        raise unknown_theorem(name) from None
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


def unknown_theorem(name: str) -> InputError:
    """The refusal of a name that no theorem has: which ones a source so called has, or the nearest name."""
    entries = theory.catalog()
    meant = [each.name for each in entries if name and name.lower() in f"{each.name} {each.source.short}".lower()]
    if not meant:
        meant = difflib.get_close_matches(name, [each.name for each in entries], n=1, cutoff=0.5)
    remedy = f"did you mean {' or '.join(map(brief, meant[:MOST]))}? " if meant else ""
    return InputError(f": {brief(name)} is not known; {remedy}simlab theory lists them all.", "theorem")
