"""Where the real measurements are: training curves and Hessian spectra, which the package does not ship."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["data_root", "measured"]

VARIABLE = "SIMLAB_DATA"


def data_root() -> Path:
    """The folder named by SIMLAB_DATA, else shared/data beside the checkout. It need not exist."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


def measured(folder: str) -> Path:
    """A folder below the data root, as `Reproduction.needs` names it."""
    return data_root() / folder
