"""What tests of the long engine watch."""

from __future__ import annotations

import pytest

from simlab.engines.moments.collocated import March


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of exact steps that were taken."""
    taken: list[int] = []
    exact = March.exact

    def counted(self: March, t: int, n: int) -> int:
        taken.append(n)
        return exact(self, t, n)

    monkeypatch.setattr(March, "exact", counted)
    return taken
