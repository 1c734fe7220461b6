"""The papers that the theorems come from, once each; `theory.cite` makes BibTeX of them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SOURCES", "Source"]


@dataclass(frozen=True)
class Source:
    """A paper: `key` as in BibTeX, authors "Last, First" in order, `arxiv` "" where there is none."""

    key: str
    authors: tuple[str, ...]
    year: int
    title: str
    arxiv: str = ""
    venue: str = ""

    @property
    def short(self) -> str:
        """Authors and year as in a text."""
        last = [name.split(",")[0] for name in self.authors]
        who = last[0] if len(last) == 1 else f"{last[0]} and {last[1]}" if len(last) == 2 else f"{last[0]} et al."
        return f"{who} {self.year}" + (f" (arXiv {self.arxiv})" if self.arxiv else "")

    def bibtex(self) -> str:
        """The entry for a bibliography."""
        fields = {"title": f"{{{self.title}}}", "author": " and ".join(self.authors), "year": str(self.year)}
        if self.venue:
            fields["booktitle"] = self.venue
        if self.arxiv:
            fields |= {"eprint": self.arxiv, "archiveprefix": "arXiv"}
        kind = "inproceedings" if self.venue else "misc"
        lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@{kind}{{{self.key},\n{lines}\n}}"


_ALL: tuple[Source, ...] = (
    Source("simlab", ("The simlab authors",), 2026, "simlab: a testbed for the analysis of SGD schedules"),
)

SOURCES: dict[str, Source] = {source.key: source for source in _ALL}
