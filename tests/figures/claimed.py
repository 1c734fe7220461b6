"""What is claimed of the tables of a figure, and the same tables made wrong."""

from __future__ import annotations

import numpy as np
from simlab.figures.gallery.outcome import entries

FIGURES = {name: entry.figure for name, entry in entries().items()}


def verdicts(figure, data):
    """Whether each claim holds, in order."""
    return [claim.holds for claim in figure.claims(data)]


def held(name, data):
    """The numbers of the claims that hold, from 0."""
    return np.flatnonzero(verdicts(FIGURES[name], data)).tolist()


def changed(data, table, name, factor, **where):
    """The same tables with one column multiplied in the rows that have these values."""
    old = data[table]
    same = [np.asarray(old[key]) == value for key, value in where.items()]
    rows = np.all(same, axis=0) if same else True
    return {**data, table: {**old, name: np.where(rows, factor * np.asarray(old[name]), old[name])}}
