"""What a sweep found, as plain text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from simlab.sweeps.answer.best import Answer, Best

__all__ = ["table_of"]

MOST_GROUPS = 15
"""Of more than these only the best on each problem is taken apart."""


def table_of(answer: Answer) -> str:
    """The best of every group, its neighbourhood and composition, as plain text."""
    found = answer.best()
    lines = [", ".join(f"{count} {name}" for name, count in sorted(answer.counts.items()))]
    if not found:
        return "\n".join([*lines, "no cell is finished with a finite risk"])
    measure = [answer.family.risk, "above best" if answer.differences else "x best"]
    heads = [*found[0].group, *found[0].at, *measure, "diverged", "at the edge of"]
    rows = [
        [
            *map(_text, [*best.group.values(), *best.at.values()]),
            f"{best.risk:.5e}" + ("" if np.isnan(best.error) else f" +- {best.error:.1e}"),
            f"{best.ratio:.4g}",
            f"{100.0 * best.diverged:.0f} %",
            ", ".join(best.edge),
        ]
        for best in found
    ]
    over = f"best of each, over all else{' (means over ' + ', '.join(answer.repeats) + ')' if answer.repeats else ''}:"
    lines += ["", over, *_aligned(heads, rows)]
    title, heads, rows = answer.family.composition([(_group(best), answer.cell(best)) for best in _few(found)])
    around = _neighbours(answer, found)
    lines += ["", *around, *([""] if around else []), f"{title}:", *_aligned(heads, rows)]
    return "\n".join(lines)


def _neighbours(answer: Answer, found: list[Best]) -> list[str]:
    """How much is lost one value off the best, parameter by parameter, of the best of all on each problem."""
    rows = []
    for best in found:
        if best.leads:
            for name, low, high in answer.neighbourhood(best):
                rows.append([_group(best), name, _text(best.at[name]), _times(low), _times(high)])
    if not rows:
        return []
    heads = ["of", "parameter", "best at", "one lower", "one higher"]
    how = f"{answer.family.risk} above it" if answer.differences else "risk as a multiple of it"
    return [f"around the best ({how}):", *_aligned(heads, rows)]


def _few(found: list[Best]) -> list[Best]:
    return found if len(found) <= MOST_GROUPS else [best for best in found if best.leads]


def _group(best: Best) -> str:
    return ", ".join(_text(value) for value in best.group.values()) or "all"


def _times(ratio: float) -> str:
    return "-" if np.isnan(ratio) else "diverged" if np.isinf(ratio) else f"{ratio:.3g}"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def _aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[j]) for row in [list(heads), *rows]) for j in range(len(heads))]
    return [
        "  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in [heads, *rows]
    ]
