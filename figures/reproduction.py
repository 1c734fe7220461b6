"""What a figure of the gallery is: data, a picture drawn from nothing else, and the paper's claims about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Claim", "Data", "Reproduction", "Scale", "Table", "Verdict"]

Scale = Literal["tiny", "quick", "full"]
"""tiny: a second, for tests of the machinery. quick: some ten seconds at most, everything claimed holds or not.
full: the paper's own sizes.
"""
Table = Mapping[str, npt.ArrayLike]
"""Columns of equal length: numbers or words."""
Data = Mapping[str, Table]
"""Name -> table; what is kept as CSV."""
Verdict = Literal["reproduced", "chosen", "substituted", "not reproduced", "holds", "does not hold"]
"""Of a paper's claim the first four, of a statement of this project the last two.

reproduced: under the paper's own setting.  chosen: for parameters that the paper does not give.  substituted: on a
model in the place of the paper's (a regression for a language model).
"""


@dataclass(frozen=True)
class Claim:
    """One statement, and what came out.

    text : the statement in words, unique within its figure and the same whatever comes out.  source : where a reader
    finds it (figure, section, theorem, the authors' code), or the formula.  wanted : what the value has to satisfy, in
    words ("<= 1", "0.53 +- 0.02", "first of five").  computed : the value, in words or digits.  holds : whether it
    does.  reason : one sentence that explains why it does not; dropped where it holds.  paper : what the paper itself
    reports, its number where it has one.  chosen : what the paper does not give and was chosen here.  substituted :
    what stands in the place of the paper's model.  turns : where the verdict turns if what was chosen is varied.
    own : a statement of this project, not of the paper.
    """

    text: str
    source: str
    wanted: str
    computed: str
    holds: bool
    reason: str = ""
    _: KW_ONLY
    paper: str = "not given"
    chosen: str = ""
    substituted: str = ""
    turns: str = ""
    own: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "holds", bool(self.holds))
        if self.holds:
            object.__setattr__(self, "reason", "")
        if self.own:
            object.__setattr__(self, "paper", "")

    @property
    def verdict(self) -> Verdict:
        """Whatever was chosen or substituted, what does not hold is not reproduced."""
        if self.own:
            return "holds" if self.holds else "does not hold"
        if not self.holds:
            return "not reproduced"
        return "substituted" if self.substituted else "chosen" if self.chosen else "reproduced"


@dataclass(frozen=True)
class Reproduction:
    """A figure of a paper.

    id : "zou2023-fig2". paper : authors, year, arXiv id. setting : what is computed, in two or three sentences, with
    the parameters. chosen : what the paper does not give and was chosen here, one entry each. substituted : what stands
    in the place of the paper's models, one entry each. compute : (scale) -> data, deterministic. draw : (data) ->
    figure, from the data alone. claims : (data) -> what came out. needs : a folder of real measurements below the data
    root, or "" for none. seconds : of compute at "quick", roughly.
    """

    id: str
    title: str
    paper: str
    year: int
    setting: str
    compute: Callable[[Scale], Data]
    draw: Callable[[Data], Figure]
    claims: Callable[[Data], list[Claim]]
    chosen: tuple[str, ...] = ()
    substituted: tuple[str, ...] = ()
    needs: str = ""
    seconds: float = 1.0


def rows(table: Table, **where: object) -> npt.NDArray[np.bool_]:
    """Which rows of a table have these values in these columns."""
    columns = {name: np.asarray(values) for name, values in table.items()}
    size = len(next(iter(columns.values())))
    mask = np.ones(size, dtype=bool)
    for name, value in where.items():
        mask &= columns[name] == value
    return mask


def column(table: Table, name: str, **where: object) -> npt.NDArray[np.float64]:
    """Numbers of a column in the rows with these values."""
    out: npt.NDArray[np.float64] = np.asarray(table[name], dtype=np.float64)[rows(table, **where)]
    return out
