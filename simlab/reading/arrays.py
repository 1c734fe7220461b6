"""zarr arrays read through the door: every file that zarr asks for comes from a `Folder`, checked if it can be."""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from simlab.reading import Folder

__all__ = ["FolderStore"]

Read = Callable[[str], bytes | None]

SECONDS = 5.0
"""That the end of a process waits for zarr, at most."""

_loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
"""In which zarr has read."""


class FolderStore(Store):
    """A zarr store that can only be read, by `read`: key -> bytes, or None where there is nothing.

    names : of the arrays in it, for who asks what there is; None to look into the folder.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, root: Path, read: Read | None = None, names: Iterable[str] | None = None) -> None:
        super().__init__(read_only=True)
        self.root = root
        self._read = Folder(root).read if read is None else read
        self._names = None if names is None else list(names)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __str__(self) -> str:
        return str(self.root)

    __repr__ = __str__

    def with_read_only(self, read_only: bool = False) -> FolderStore:
        """Itself: it is never written to."""
        return self

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The contents of a file, or a part of it."""
        _loops.add(asyncio.get_running_loop())
        content = self._read(key)
        if content is None:
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(_part(content, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Parts of several files."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        return self._read(key) is not None

    async def list(self) -> AsyncIterator[str]:
        """The files that say what there is."""
        for name in self._arrays():
            yield f"{name}/zarr.json"

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Those that begin so."""
        async for key in self.list():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """The arrays; what is in them is asked for by name."""
        if not prefix.strip("/"):
            for name in self._arrays():
                yield name

    def _arrays(self) -> Iterable[str]:
        if self._names is not None:
            return self._names
        return sorted(each.name for each in self.root.iterdir() if (each / "zarr.json").exists())

    async def set(self, key: str, value: Buffer) -> None:
        """Refused."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refused."""
        self._check_writable()


async def _others() -> None:
    """Until all else in this loop has come to an end, whichever."""
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)


@atexit.register
def _outlast() -> None:
    """Wait for the files that zarr still reads beside one that was refused.

    Tasks that are left when Python ends are a page of its words below the one sentence that says what is wrong.
    """
    for loop in _loops:
        if loop.is_running():
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(_others(), loop).result(SECONDS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_loops.clear)


def _part(content: bytes, byte_range: Any) -> bytes:
    if isinstance(byte_range, RangeByteRequest):
        return content[byte_range.start : byte_range.end]
    if isinstance(byte_range, OffsetByteRequest):
        return content[byte_range.offset :]
    if isinstance(byte_range, SuffixByteRequest):
        return content[max(0, len(content) - byte_range.suffix) :]
    return content
