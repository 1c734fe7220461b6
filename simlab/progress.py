"""A progress bar with ETA and speed, that appears only when a run takes over two seconds, and only on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any

__all__ = ["ProgressBar"]

PATIENCE = 2.0


class ProgressBar:
    """Call it with (work done, work in all); it draws itself on standard error when the run turns out to be long."""

    def __init__(self, label: str, unit: str, enabled: bool | None = None) -> None:
        self.label, self.unit = label, unit
        self.enabled = sys.stderr.isatty() if enabled is None else enabled
        self.began = time.monotonic()
        self.bar: Any = None

    def __call__(self, done: int, total: int) -> None:
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
