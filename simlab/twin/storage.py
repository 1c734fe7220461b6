"""A twin as JSON, and back."""

from __future__ import annotations

import json
from os import PathLike
from typing import Any

import numpy as np

from simlab.doors import door
from simlab.errors import InputError, check_number, check_path
from simlab.reading import understood
from simlab.twin.likelihood import Errors
from simlab.twin.parameters import PARAMETERS, PLACE
from simlab.twin.posterior import Mode
from simlab.twin.transient import Transient
from simlab.twin.twin import Twin

__all__ = ["from_json"]

REMEDY = "Twin.to_json writes one, and so does simlab twin fit LOG... -o twin.json"


@door
def from_json(path: str | PathLike[str]) -> Twin:
    """The twin that `Twin.to_json` wrote; every prediction keeps its bits. Raises InputError for another file."""
    place = check_path("path", path)
    with understood(place, REMEDY):
        content = place.read_bytes()
    refused = f"{place} is no twin; {REMEDY}."
    try:
        record: dict[str, Any] = json.loads(content)
        names = record["names"]
    except (KeyError, TypeError, ValueError):
        raise InputError(refused) from None
    if names != [p.name for p in PARAMETERS]:
        raise InputError(f"{place} is a twin of another version of simlab; fit it again.")
    try:
        return _checked(record)
    except (InputError, AttributeError, KeyError, TypeError, ValueError):
        raise InputError(refused) from None


def _checked(record: dict[str, Any]) -> Twin:
    """The twin of a record, or an error of some kind: what a fit cannot have left is no twin."""
    modes = tuple(_mode(one) for one in record["modes"])
    total = sum(mode.weight for mode in modes)
    priors = np.array([[np.inf if x is None else x for x in row] for row in record["priors"]], dtype=np.float64)
    free, doubts = tuple(record["free"]), tuple(record["doubts"])
    batch, decay = record["batch"], record["weight_decay"]
    possible = (
        abs(total - 1.0) < 1e-6,
        priors.shape == (2, len(PARAMETERS)) and not np.isnan(priors).any(),
        record["optimizer"] in ("adamw", "sgd"),
        all(name in PLACE for name in free),
        all(isinstance(doubt, str) for doubt in doubts),
    )
    if not all(possible):
        raise ValueError
    return Twin(
        modes,
        _positive(record["reference"]),
        _positive(record["span"]),
        Errors(**record["errors"]),
        record["optimizer"],
        None if decay is None else check_number("weight_decay", decay, low=0.0),
        priors,
        free,
        int(_positive(record["longest"])),
        _positive(record["lowest"]),
        None if batch is None else _positive(batch),
        doubts,
        _transient(record.get("transient")),
    )


def _transient(record: dict[str, Any] | None) -> Transient | None:
    """Twins of before it was known have none."""
    if record is None:
        return None
    places, pulls = (np.array(record[name], dtype=np.float64) for name in ("places", "pulls"))
    if places.ndim != 1 or not places.size or places.shape != pulls.shape or not np.isfinite([places, pulls]).all():
        raise ValueError
    share = check_number("share", record["share"], low=0.0, high=1.0)
    return Transient(places, pulls, check_number("first", record["first"], low=0.0), share)


def _mode(record: dict[str, Any]) -> Mode:
    theta, covariance = (np.array(record[name], dtype=np.float64) for name in ("theta", "covariance"))
    size = len(PARAMETERS)
    if theta.shape != (size,) or covariance.shape != (size, size):
        raise ValueError
    if not np.isfinite(theta).all() or not np.isfinite(covariance).all() or np.diag(covariance).min() < 0.0:
        raise ValueError
    return Mode(theta, covariance, check_number("weight", record["weight"], low=0.0, high=1.0))


def _positive(value: Any) -> float:
    return check_number("value", value, low=0.0, open_low=True)
