"""Compiled kernels: arrays and counters in, arrays out; no objects, no files, no global state.

Numba keeps compiled kernels on disk and compiles again when the file of the kernel that is called has changed, but not
when one that it calls lives in another file. So the kernels of an older source are forgotten here, before any is
loaded.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

_HERE = Path(__file__).parent


def _forget_stale_kernels() -> None:
    """Remove compiled kernels if any source file here is not the one they were made from; silent where not writable."""
    stats = [(path.name, path.stat()) for path in sorted(_HERE.glob("*.py"))]
    sources = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)
    stamp = _HERE / "__pycache__" / "sources.txt"
    with contextlib.suppress(OSError):
        if stamp.exists() and stamp.read_text(encoding="utf-8") == sources:
            return
        for index in stamp.parent.glob("*.nbi"):
            index.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(sources, encoding="utf-8")


_forget_stale_kernels()
