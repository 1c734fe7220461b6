"""Refusals name the command that installs an extra, for an installed simlab and for a checkout that only runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

from simlab import extras


class Provided:
    """Metadata of a distribution with these extras."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def get_all(self, field: str) -> list[str] | None:
        return list(self.names) if field == "Provides-Extra" and self.names else None


def test_every_extra_that_a_refusal_names_is_one():
    provided = metadata(extras.NAME).get_all("Provides-Extra")
    assert {"play", "cluster", "demo", "netcdf", "parquet", "gpu", "gpu13", "docs"} <= set(provided)


def test_an_installed_simlab_is_completed_by_its_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(extras, "metadata", lambda name: Provided("play"))
    assert extras.install("play") == "pip install 'sgd-simlab[play]'"


@pytest.mark.parametrize("provided", [None, Provided(), Provided("demo")])
def test_a_checkout_is_installed_from_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, provided: Provided | None
):
    """Where pip knows no simlab, or one from before it had the extra; elsewhere the name is all there is."""

    def asked(name: str) -> Provided:
        if provided is None:
            raise PackageNotFoundError(name)
        return provided

    monkeypatch.setattr(extras, "metadata", asked)
    monkeypatch.setattr(extras, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "sgd-simlab"\n')
    assert extras.install("play") == f"pip install -e '{tmp_path}[play]'"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\n')
    assert extras.install("play") == "pip install 'sgd-simlab[play]'"
    (tmp_path / "pyproject.toml").write_text("[")
    assert extras.install("play") == "pip install 'sgd-simlab[play]'"
    (tmp_path / "pyproject.toml").unlink()
    assert extras.install("play") == "pip install 'sgd-simlab[play]'"
