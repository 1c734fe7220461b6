"""A twin as JSON, and back."""

from __future__ import annotations

import json
from os import PathLike
from typing import Any

import numpy as np

from simlab.doors import door
from simlab.errors import InputError, check_path
from simlab.twin.likelihood import Errors
from simlab.twin.parameters import PARAMETERS
from simlab.twin.posterior import Mode
from simlab.twin.twin import Twin

__all__ = ["from_json"]

REMEDY = "Twin.to_json writes one, and so does simlab twin fit LOG... -o twin.json"


@door
def from_json(path: str | PathLike[str]) -> Twin:
    """The twin that `Twin.to_json` wrote; every prediction keeps its bits. Raises InputError for another file."""
    place = check_path("path", path)
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise InputError(f"{place} cannot be read ({reason}); {REMEDY}.") from None
    try:
        record: dict[str, Any] = json.loads(text)
        names = record["names"]
        modes = tuple(
            Mode(np.array(m["theta"]), np.array(m["covariance"]), float(m["weight"])) for m in record["modes"]
        )
        twin = Twin(
            modes,
            float(record["reference"]),
            float(record["span"]),
            Errors(**record["errors"]),
            record["optimizer"],
            record["weight_decay"],
            np.array([[np.inf if x is None else x for x in row] for row in record["priors"]]),
            tuple(record["free"]),
            int(record["longest"]),
            float(record["lowest"]),
            record["batch"],
            tuple(record["doubts"]),
        )
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{place} is no twin; {REMEDY}.") from None
    if names != [p.name for p in PARAMETERS] or any(m.covariance.shape != (len(names),) * 2 for m in modes):
        raise InputError(f"{place} is a twin of another version of simlab; fit it again.")
    return twin
