"""One browser for all tests of the playground, and one page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from simlab.playground.page import START
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
    """The browser with the page as it opens; whatever is said on its console fails the test."""
    chrome.size(1400, 900)
    if not chrome.shows(page.as_uri()):
        chrome.open(page.as_uri())
    chrome.run(f"window.simlab.set({json.dumps(START)})")
    yield chrome
    assert chrome.console == []
