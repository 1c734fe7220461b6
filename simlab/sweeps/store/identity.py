"""Whose store it is that stands at a place: no two sweeps are mixed, and nothing that two versions have computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from simlab._version import __version__
from simlab.errors import InputError
from simlab.reading import Folder, understood
from simlab.sweeps.plan.sweep import Sweep
from simlab.sweeps.store.ledger import Ledger

__all__ = [
    "FORMAT", "IDENTITY", "LEDGER", "LOCK", "METADATA", "attributes_of", "identity", "minor_of", "refuse_format",
    "refuse_others", "usable",
]  # fmt: skip

FORMAT = 2
METADATA, LEDGER, LOCK = "zarr.json", "ledger.sqlite", ".lock"
IDENTITY = "sweep"
"""Under what the ledger holds the digest of what the sweep is, beside those of files."""


def attributes_of(content: bytes | None) -> dict[str, Any] | None:
    """The attributes of the group, from its file; None where that is no store's."""
    try:
        attributes = json.loads(content or b"")["attributes"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    known = {"simlab_format", "simlab_version", "sweep", "dims", "block_shape", "variables"}
    return attributes if isinstance(attributes, dict) and known <= attributes.keys() else None


def identity(document: Mapping[str, Any], version: str) -> str:
    """A digest of what a sweep was asked for, and of the minor version that computes it."""
    facts = json.dumps([document, minor_of(version)], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()


def minor_of(version: str | None = None) -> list[str]:
    """Of a version, or of this one: numbers may differ between minor versions; within one they do not."""
    return (__version__ if version is None else version).split(".")[:2]


def usable(target: Path) -> bool:
    """Whether there is nothing at this place, or a store."""
    if not target.exists():
        return True
    if not target.is_dir():
        return False
    there = (target / LOCK).exists() or attributes_of(Folder(target).read(METADATA)) is not None
    return there or not any(target.iterdir())


def refuse_others(target: Path, sweep: Sweep) -> None:
    """Never mix two sweeps, or what two versions have computed. Raises InputError, and changes nothing."""
    attributes = attributes_of(Folder(target).read(METADATA))
    if attributes is not None:
        refuse_format(target, attributes)
    known, ours = _known(target).get(IDENTITY), identity(sweep.document, __version__)
    if known == ours:
        return
    if attributes is not None:
        with understood(target / METADATA, "choose another place with -o"):
            asked = json.loads(attributes["sweep"])
        difference = _first_difference(_axes_last(asked), _axes_last(sweep.document))
        if difference:
            raise InputError(f"{target} holds another sweep: {difference}; choose another place with -o.")
        version = str(attributes["simlab_version"])
        if minor_of(version) != minor_of():
            raise InputError(
                f"{target} was written by simlab {version}, this is {__version__}; choose another place with -o, or "
                f"use that version."
            )
    elif known is not None:
        raise InputError(
            f"{target} is damaged ({METADATA}) and its ledger is that of another sweep; choose another place with -o."
        )


def _known(target: Path) -> dict[str, str]:
    """What a ledger says of the declaration, as far as it can be read."""
    with suppress(InputError), closing(Ledger(target / LEDGER, mend=False)) as ledger:
        return ledger.declared()
    return {}


def refuse_format(target: Path, attributes: Mapping[str, Any]) -> None:
    if attributes["simlab_format"] != FORMAT:
        raise InputError(
            f"{target} has format {attributes['simlab_format']}, this simlab reads {FORMAT}; use the version that "
            f"wrote it ({attributes['simlab_version']})."
        )


def _axes_last(document: Mapping[str, Any]) -> dict[str, Any]:
    """Values may be added to the axes, and what else differs is why they are not."""
    rest = {key: value for key, value in document.items() if key != "axes"}
    return {**rest, "axes": document["axes"]}


def _first_difference(old: Any, new: Any, path: str = "") -> str:
    """Where two documents differ first, in words; empty where they do not."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            where = f"{path}.{key}" if path else str(key)
            if key not in old or key not in new:
                there, here = ("nothing", "something") if key not in old else ("something", "nothing")
                return f"{where} is {there} there and {here} here"
            found = _first_difference(old[key], new[key], where)
            if found:
                return found
        return ""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return next((found for j, (a, b) in pairs if (found := _first_difference(a, b, f"{path}[{j}]"))), "")
    return "" if old == new else f"{path} is {_brief(old)} there and {_brief(new)} here"


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
