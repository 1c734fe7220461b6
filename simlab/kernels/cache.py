"""The folder in which compiled kernels are kept from one process to the next: the user's, never the installed package.

    ROOT/KEY/sources.txt     where this installation's kernels stand, and which sources they were made from
    ROOT/KEY/kernels_../     Numba's own files

ROOT is `kernels` in the user's cache folder of simlab, or `simlab` in NUMBA_CACHE_DIR where that is set; KEY stands for
the folder of the sources, so that two installations do not disturb each other. In the package itself Numba's files
would outlive it, since pip does not know them, and what is left of a package is a namespace that hides the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

__all__ = ["folder"]

HERE = Path(__file__).parent
STAMP = "sources.txt"

waiting: Callable[[str], None] | None = None
"""Who is told, once, that kernels are being compiled; the command line sets it."""


@cache
def folder() -> Path | None:
    """Where to keep kernels, without those of other sources; None where nothing can be written, which is no error.

    Numba compiles again when the file of the kernel that is called has changed, but not when one that it calls lives in
    another file. So the kernels of an older source are forgotten here, before any is loaded.
    """
    place = _root() / hashlib.sha256(str(HERE).encode()).hexdigest()[:16]
    try:
        place.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
        _forget_stale(place)
    except OSError:
        return None
    return place


def _root() -> Path:
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        return Path(given) / "simlab"
    from platformdirs import user_cache_path

    return user_cache_path("simlab", appauthor=False) / "kernels"


def _forget_stale(place: Path) -> None:
    """Empty `place` if any source here is not the one that its kernels were made from, and remove those of packages
    that are gone.
    """
    stats = [(path.relative_to(HERE).as_posix(), path.stat()) for path in sorted(HERE.rglob("*.py"))]
    sources = "\n".join([str(HERE), *(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)])
    stamp = place / STAMP
    if stamp.exists() and stamp.read_text(encoding="utf-8", errors="replace") == sources:
        return
    for index in place.rglob("*.nb[ic]"):
        index.unlink(missing_ok=True)
    stamp.write_text(sources, encoding="utf-8")
    for other in place.parent.glob(f"*/{STAMP}"):
        with contextlib.suppress(OSError):
            home = other.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
            if not Path(home).is_dir():
                shutil.rmtree(other.parent)
