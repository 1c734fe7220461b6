"""BLAS by one thread where matrices are small: there its threads cost more than they bring, and last bits depend on
how many there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """For the whole process, until the end of the `with`."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield
