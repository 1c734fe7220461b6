"""A progress bar with ETA and speed, that appears only when a run takes over two seconds, and only on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Progress", "ProgressBar"]

Progress = Callable[[int, int], None]
"""Told (work done, work in all)."""

PATIENCE = 2.0


class ProgressBar:
    """Call it with (work done, work in all); it draws itself on standard error when the run turns out to be long.

    progress : None for a bar on a terminal, True or False for one or none, or a function to be called in its place.
    """

    def __init__(self, label: str, unit: str, progress: Progress | bool | None = None) -> None:
        self.label, self.unit = label, unit
        self.told: Any = progress if callable(progress) else None
        self.enabled = self.told is None and bool(sys.stderr.isatty() if progress is None else progress)
        self.began = time.monotonic()
        self.bar: Any = None

    def __call__(self, done: float, total: float) -> None:
        if self.told is not None:
            self.told(done, total)
        if not self.enabled:
            return
        if self.bar is None and done < total and time.monotonic() - self.began > PATIENCE:
            from tqdm import tqdm

            layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}, {rate_fmt}"
            # A terminal that does not tell its size (0 by 0) would show nothing.
            columns, rows = shutil.get_terminal_size()
            how = {"ncols": columns, "nrows": rows, "unit": f" {self.unit}", "unit_scale": True, "leave": False}
            self.bar = tqdm(total=total, desc=self.label, bar_format=layout, **how)
            self.bar.start_t -= time.monotonic() - self.began
        if self.bar is not None:
            self.bar.update(done - self.bar.n)

    def close(self) -> None:
        """Take the bar off the screen."""
        if self.bar is not None:
            self.bar.close()
