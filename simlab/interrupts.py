"""Interrupts that an engine has answered with what it had so far, where nothing but the whole will do."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["whole"]


@contextmanager
def whole() -> Iterator[None]:
    """A block of which a part is worth nothing: KeyboardInterrupt at its end if one came and was not raised from it.

    Engines return on Ctrl-C what they have, which a table or a figure must not take for the whole.
    """
    heard: list[int] = []
    before: dict[int, Callable[[int, Any], Any]] = {}

    def note(number: int, frame: Any) -> None:
        heard.append(number)
        before[number](number, frame)

    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(each)
            if callable(handler):
                before[each] = handler
                signal.signal(each, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if heard:
        raise KeyboardInterrupt
