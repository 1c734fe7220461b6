"""The playground: one HTML file in which a schedule is dragged and its exact risk redrawn, without any installation.

`write` makes it. The engine in the page (`js/`) is a twin of the moment recursion for up to two numbers of state, of
families of schedules, of the compression of power laws and of the closed-form law; the tests hold each against
Python's.
"""

from __future__ import annotations

from simlab.playground.page import write

__all__ = ["write"]
