"""What `simlab reproduce` prints: of a figure in a few words, of all claims, of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from simlab.figures.gallery.outcome import Outcome, counted, entries
from simlab.figures.reproduction import Claim, Verdict

__all__ = ["OWN", "listing", "remarks", "spoken", "summary"]

OWN: tuple[Verdict, ...] = ("holds", "does not hold")
"""Verdicts on statements of this project."""


def spoken(outcome: Outcome) -> str:
    """The state of a figure in a few words."""
    if outcome.why:
        return f"{outcome.state}: {outcome.why}"
    tally = ", ".join(f"{count} {verdict}" for verdict, count in counted([outcome]).items() if count)
    return f"{tally or 'no claims'} ({outcome.state}, {outcome.seconds:.1f} s)"


def summary(outcomes: Sequence[Outcome]) -> str:
    """Every claim with what was wanted, what was computed and the verdict, by figure; then the counts."""
    lines: list[str] = []
    for outcome in outcomes:
        lines += [f"{outcome.entry.figure.id}  {outcome.entry.figure.title}", f"  {spoken(outcome)}"]
        for claim in outcome.claims:
            lines.append(f"  {claim.verdict:<16}{claim.text} ({claim.source})")
            lines.append(f"  {'':<16}{claim.computed}; wanted: {claim.wanted}")
            lines += [f"  {'':<16}{name}: {text}" for name, text in remarks(claim)]
        lines.append("")
    return "\n".join([*lines, *_totals(outcomes)])


def remarks(claim: Claim) -> list[tuple[str, str]]:
    """(name, text) of what there is to say about a claim beside its numbers."""
    said = {
        "reason": claim.reason,
        "turns": claim.turns,
        "chosen": claim.chosen,
        "substituted": claim.substituted,
    }
    return [(name, text) for name, text in said.items() if text]


def _totals(outcomes: Sequence[Outcome]) -> list[str]:
    tally = counted(outcomes)
    states = [outcome.state for outcome in outcomes]
    rest = "".join(f"; {states.count(s)} {s}" for s in ("failed", "skipped") if s in states)
    figures = f"{len(outcomes)} figure{'s' if len(outcomes) != 1 else ''}"
    papers = {verdict: count for verdict, count in tally.items() if verdict not in OWN}
    lines = [
        f"{figures}{rest}",
        f"{sum(papers.values())} claims of papers: " + ", ".join(f"{n} {verdict}" for verdict, n in papers.items()),
    ]
    if any(tally[verdict] for verdict in OWN):
        lines.append(f"results of this project: {tally['holds']} hold, {tally['does not hold']} do not")
    return lines


def listing(modules: Sequence[str] | None = None) -> str:
    """The catalogue: identifier, paper, title, seconds at quick, and the measurements it needs."""
    rows = [
        (e.figure.id, str(e.figure.year), f"{e.figure.seconds:.0f} s", e.figure.title, e.figure.needs)
        for e in entries(modules).values()
    ]
    widths = [max((len(row[j]) for row in rows), default=0) for j in range(3)]
    lines = []
    for *short, title, needs in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(short, widths, strict=True)]
        lines.append("  ".join([*cells, title]) + (f" (needs {needs})" if needs else ""))
    total = sum(entry.figure.seconds for entry in entries(modules).values())
    return "\n".join([*lines, "", f"{len(rows)} figures, some {total:.0f} s of one core at --quick"])
