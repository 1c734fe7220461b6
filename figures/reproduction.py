"""What a figure of the gallery is: data, a picture drawn from nothing else, and the paper's claims about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
Verdict = Literal["reproduced", "not reproduced", "assumed parameters"]


@dataclass(frozen=True)
class Claim:
    """One statement of the paper, and what came out.

    text : the claim in words.  source : where the paper makes it (figure, section, theorem).  threshold : what the
    value has to satisfy, in words ("<= 1", "0.53 +- 0.02", "first of five").  value : as computed, in words or digits.
    holds : whether it does.  assumed : what had to be chosen because the paper does not say; empty where nothing had
    to be.  seen : what was seen instead, where it does not hold.
    """

    text: str
    source: str
    threshold: str
    value: str
    holds: bool
    assumed: str = ""
    seen: str = ""

    @property
    def verdict(self) -> Verdict:
        """ "not reproduced" whenever it does not hold, whatever was assumed."""
        if not self.holds:
            return "not reproduced"
        return "assumed parameters" if self.assumed else "reproduced"


@dataclass(frozen=True)
class Reproduction:
    """A figure of a paper.

    id : "zou2023-fig2".  paper : authors, year, arXiv id.  setting : what is computed, in two or three sentences, with
    the parameters.  assumed : what the paper does not say and was chosen here, one entry each.  compute : (scale) ->
    data, deterministic.  draw : (data) -> figure, from the data alone.  claims : (data) -> what came out.  needs : a
    folder of real measurements below the data root, or "" for none.  seconds : of compute at "quick", roughly.
    """

    id: str
    title: str
    paper: str
    year: int
    setting: str
    compute: Callable[[Scale], Data]
    draw: Callable[[Data], Figure]
    claims: Callable[[Data], list[Claim]]
    assumed: tuple[str, ...] = ()
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
