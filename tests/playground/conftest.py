"""One browser for all tests of the playground, and one page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.playground.browser import Browser, chromium


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The playground as it is written."""
    pytest.importorskip("bokeh", reason="the playground needs the extra play")
    from simlab.playground import write

    return write(tmp_path_factory.mktemp("play") / "playground.html")


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Headless Chromium, or a skip."""
    pytest.importorskip("tornado", reason="the browser is spoken to over tornado, which comes with Bokeh")
    if chromium() is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(chrome: Browser, page: Path) -> Iterator[Browser]:
    """The browser with the page opened afresh; whatever is said on its console fails the test."""
    chrome.size(1400, 900)
    chrome.open(page.as_uri())
    yield chrome
    assert chrome.console == []


@pytest.fixture(scope="module")
def engine(chrome: Browser, page: Path) -> Iterator[Browser]:
    """The same for tests that only call what is on the page."""
    chrome.open(page.as_uri())
    yield chrome
    assert chrome.console == []
