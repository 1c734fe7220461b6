"""The engines by name: what each needs, and the door of each, loaded on first use.

A new engine is a file here, named as its door, its kernels, and an entry below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["ENGINES", "Engine"]


@dataclass(frozen=True)
class Engine:
    """An entry: the name of an engine, of its door and of its file.

    linear : takes linear methods alone.  workers : takes several workers of these (`methods.local`) as well.  rate :
    units of work (see `Family.work`) a second and thread, roughly; None where a short run has to tell.
    """

    name: str
    linear: bool = True
    workers: bool = False
    rate: float | None = None

    @property
    def door(self) -> Callable[..., Any]:
        """The public function, whose signature says what the engine can be told."""
        door: Callable[..., Any] = getattr(import_module(f"simlab.engines.{self.name}"), self.name)
        return door


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("descend", linear=False, rate=1e9),
        Engine("exact", workers=True),
        Engine("exact_valley"),
        Engine("limit", linear=False, rate=1e8),
        Engine("long", rate=1e9),
        Engine("sample", linear=False, workers=True, rate=1e9),
    )
}
