"""How an extra is installed beside the simlab that is running."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

__all__ = ["install"]

NAME = "sgd-simlab"
ROOT = Path(__file__).resolve().parents[1]


def install(extra: str) -> str:
    """The command that installs an extra, such as "play".

    pip completes an installed simlab by name, wherever it came from. A checkout that runs without being installed, or
    was installed before it had the extra, is installed from its folder.
    """
    try:
        known = extra in (metadata(NAME).get_all("Provides-Extra") or [])
    except PackageNotFoundError:
        known = False
    if not known and _is_checkout():
        return f"pip install -e '{ROOT}[{extra}]'"
    return f"pip install '{NAME}[{extra}]'"


def _is_checkout() -> bool:
    import tomllib

    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(project.get("project", {}).get("name") == NAME)
