"""The verdicts that are known, kept in `expected.json`: a run that comes out otherwise has found something.

    python -m simlab.figures.gallery.expected GALLERY/claims.json

takes over what a run has found, for the scale of that run and the figures that it holds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from simlab.figures.gallery.outcome import Outcome
from simlab.figures.reproduction import Claim, Scale, Verdict

__all__ = ["WEAK", "differing", "elsewhere", "expected", "known_weak", "take_over"]

FILE = Path(__file__).with_name("expected.json")
WEAK = Path(__file__).with_name("weak.json")
"""Written by `simlab.figures.gallery.falsified`."""
Verdicts = Mapping[str, Mapping[str, Verdict]]
"""Figure -> text of a claim -> verdict."""


@cache
def _known() -> dict[str, Verdicts]:
    found: dict[str, Verdicts] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


@cache
def known_weak() -> dict[str, list[str]]:
    """Figure -> texts of its claims whose verdict no engine that is wrong on purpose turns, at quick."""
    listed: dict[str, list[str]] = json.loads(WEAK.read_text(encoding="utf-8"))
    return listed


def expected(scale: Scale) -> Verdicts:
    """What is known at this scale."""
    return _known().get(scale, {})


def elsewhere(figure: str, claim: Claim, scale: Scale) -> dict[str, Verdict]:
    """Other scale -> the verdict known there, where it is another one."""
    others = {name: verdicts.get(figure, {}).get(claim.text) for name, verdicts in _known().items() if name != scale}
    return {name: verdict for name, verdict in others.items() if verdict not in (None, claim.verdict)}


def differing(outcomes: Sequence[Outcome]) -> list[str]:
    """A line for each claim whose verdict is not the one known, and for each that is known and was not judged.

    Of a claim that nothing is known about it is expected that it holds.
    """
    lines = []
    for outcome in outcomes:
        if outcome.state in ("failed", "skipped"):
            continue
        name = outcome.entry.figure.id
        known = expected(outcome.scale).get(name, {})
        for claim in outcome.claims:
            wanted = known.get(claim.text)
            if claim.verdict != wanted and not (wanted is None and claim.holds):
                lines.append(f"{name}: {claim.text}: {claim.verdict}, known as {wanted or 'nothing yet'}")
        missing = known.keys() - {claim.text for claim in outcome.claims}
        lines += [f"{name}: {text}: not judged, known as {known[text]}" for text in sorted(missing)]
    return lines


def take_over(claims: Path) -> None:
    """Make what `claims` says, a claims.json, what is expected; ValueError for what fails without a reason."""
    said = json.loads(claims.read_text(encoding="utf-8"))
    for row in said["claims"]:
        if row["verdict"] in ("not reproduced", "does not hold") and not row["reason"]:
            raise ValueError(f"{row['figure']}: {row['claim']}: {row['verdict']}, and no reason is given.")
    all_known = {name: dict(verdicts) for name, verdicts in _known().items()}
    known = all_known.setdefault(said["scale"], {})
    for name in {row["figure"] for row in said["claims"]}:
        known[name] = {row["claim"]: row["verdict"] for row in said["claims"] if row["figure"] == name}
    FILE.write_text(json.dumps(all_known, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    take_over(Path(sys.argv[1]))
