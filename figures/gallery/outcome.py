"""The figures there are, and what became of each of them in a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from pkgutil import iter_modules
from typing import Literal

from simlab.figures import papers, results
from simlab.figures.reproduction import Claim, Reproduction, Scale, Verdict

from simlab.errors import unknown_name

__all__ = ["Entry", "Outcome", "State", "chosen", "counted", "entries", "paper_of"]

ORDER: tuple[Verdict, ...] = ("reproduced", "chosen", "substituted", "not reproduced", "holds", "does not hold")
PAPERS = (
    "li2024", "zou2023", "li2025", "wen2024", "schaipp2025", "haegele2024", "zhang2019", "bergsma2025", "defazio2023",
    "pan2021", "tian2025", "dremov2025", "wu2022", "kidambi2018", "jain2018", "chen2021",
    "results",
)  # fmt: skip
"""The order in which they are shown: first those whose model is the one of this project, last its own results."""
State = Literal["made", "drawn", "kept", "failed", "skipped"]


@dataclass(frozen=True)
class Entry:
    """A figure, and the module that lists it among its FIGURES."""

    figure: Reproduction
    module: str


@dataclass(frozen=True)
class Outcome:
    """What became of a figure in this run.

    state : made; drawn (anew, from data that was kept); kept as it was; failed; skipped.  why : of a failure or a skip,
    one line, with the traceback in `details`.  folder : of its files.  seconds : that data, picture and claims took
    when they were made.
    """

    entry: Entry
    scale: Scale
    state: State
    folder: Path
    claims: tuple[Claim, ...] = ()
    tables: tuple[str, ...] = ()
    seconds: float = 0.0
    why: str = ""
    details: str = field(default="", repr=False)

    @property
    def holds(self) -> bool:
        """Nothing failed, and no claim either."""
        return self.state != "failed" and all(claim.holds for claim in self.claims)


def entries(modules: Sequence[str] | None = None) -> dict[str, Entry]:
    """Identifier -> figure and module, by default of this package's modules.

    In the order of PAPERS; others by year, before the last of it.
    """
    names = (
        modules
        if modules is not None
        else [f"{room.__name__}.{found.name}" for room in (papers, results) for found in iter_modules(room.__path__)]
    )
    listed = [Entry(figure, name) for name in names for figure in getattr(import_module(name), "FIGURES", [])]
    rank = {paper: place for place, paper in enumerate(PAPERS)}
    listed.sort(key=lambda e: (rank.get(paper_of(e.figure.id), len(PAPERS) - 1.5), e.figure.year, e.figure.id))
    out = {entry.figure.id: entry for entry in listed}
    if len(out) < len(listed):
        twice = next(a.figure.id for a, b in pairwise(listed) if a.figure.id == b.figure.id)
        raise ValueError(f"two figures are called {twice!r}; rename one of them.")
    return out


def chosen(catalogue: Mapping[str, Entry], ids: Sequence[str]) -> list[Entry]:
    """The figures of these identifiers, or of whole papers (what an identifier begins with); all of them for none."""
    papers = {paper_of(name) for name in catalogue}
    for name in ids:
        if name not in catalogue and name not in papers:
            raise unknown_name("figure", name, [*catalogue, *papers])
    wanted = set(ids)
    return [entry for name, entry in catalogue.items() if not wanted or {name, paper_of(name)} & wanted]


def paper_of(identifier: str) -> str:
    """zou2023 of zou2023-fig2."""
    return identifier.partition("-")[0]


def counted(outcomes: Sequence[Outcome]) -> dict[Verdict, int]:
    """How many statements of every verdict: of papers the first four, of this project the last two."""
    verdicts = [claim.verdict for outcome in outcomes for claim in outcome.claims]
    return {verdict: verdicts.count(verdict) for verdict in ORDER}
