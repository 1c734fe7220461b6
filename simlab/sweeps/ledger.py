"""The ledger of a store: what became of every cell, in SQLite.

Data and ledger are two files; a block counts as done when the ledger holds the digest of its chunks and they have it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simlab.errors import InputError

__all__ = ["Call", "Ledger", "Row"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    call INTEGER PRIMARY KEY, engine TEXT NOT NULL, device TEXT NOT NULL, worker TEXT NOT NULL,
    cells INTEGER NOT NULL, started REAL NOT NULL, seconds REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS cells (
    cell INTEGER PRIMARY KEY, status TEXT NOT NULL, message TEXT NOT NULL, fingerprint TEXT NOT NULL,
    seconds REAL NOT NULL, call INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS blocks (block INTEGER PRIMARY KEY, data TEXT NOT NULL, rows TEXT NOT NULL);
"""
COLUMNS = "cell, status, message, fingerprint, seconds, call"


@dataclass(frozen=True)
class Row:
    """What became of a cell. status : "done", "diverged", "interrupted" or "error" (with its message)."""

    cell: int
    status: str
    message: str
    fingerprint: str
    seconds: float
    call: int = -1


@dataclass(frozen=True)
class Call:
    """One call of an engine: the cells that it computed together, where, when and for how long."""

    engine: str
    device: str
    worker: str
    cells: int
    started: float
    seconds: float


class Ledger:
    """The open ledger of a store.

    With `mend` a damaged file is put aside and a new one begun, so that all is computed again; without, it is refused.
    """

    def __init__(self, path: Path, mend: bool = True) -> None:
        self.path = path
        try:
            self._connection = self._opened()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
                raise _refusal(path, error) from None
            if not mend:
                raise InputError(f"{path} is damaged ({error}); run simlab sweep again to make it anew.") from None
            for suffix in ("", "-wal", "-shm", "-journal"):
                with suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).replace(path.with_name(f"{path.name}{suffix}.damaged"))
            self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        connection.text_factory = lambda text: text.decode(errors="replace")  # altered bytes: a digest will tell
        try:
            # A journal and not a write-ahead log: one file when closed, whatever file system it lies on.
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(SCHEMA)
            if connection.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("database disk image is malformed")
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # -- writing

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """All of what is executed within, or nothing of it, whatever is raised; OSError where it cannot be kept."""
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            yield execute
            execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):
                execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise OSError(None, str(error), str(self.path)) from error
            raise

    def keep(self, block: int, data: str, rows: Sequence[Row], calls: Sequence[Call]) -> None:
        """Enter a finished block, in one transaction; `row.call` counts within `calls`."""
        with self._transaction() as execute:
            first = execute("SELECT coalesce(max(call), -1) + 1 FROM calls").fetchone()[0]
            for j, call in enumerate(calls):
                execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?)", (first + j, *asdict(call).values()))
            numbered = [(r.cell, r.status, r.message, r.fingerprint, r.seconds, first + r.call) for r in rows]
            self._connection.executemany("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?)", numbered)
            if data:
                execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", (block, data, digest_of(block, rows)))

    def forget(self, blocks: Iterable[tuple[int, Iterable[int]]]) -> None:
        """Strike out blocks, with their cells, whose data did not verify."""
        with self._transaction() as execute:
            for block, cells in blocks:
                execute("DELETE FROM blocks WHERE block = ?", (block,))
                self._connection.executemany("DELETE FROM cells WHERE cell = ?", [(int(cell),) for cell in cells])

    def replace_blocks(self, entries: Iterable[tuple[int, str, Sequence[Row]]]) -> None:
        """Other blocks of the same cells."""
        with self._transaction() as execute:
            execute("DELETE FROM blocks")
            for block, data, rows in entries:
                execute("INSERT INTO blocks VALUES (?, ?, ?)", (block, data, digest_of(block, rows)))

    def vacuum(self) -> None:
        """Give back the space of what was struck out."""
        self._connection.execute("VACUUM")

    # -- reading

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise _refusal(self.path, error) from None

    def blocks(self) -> dict[int, tuple[str, str]]:
        """Block -> (digest of its data, digest of its rows)."""
        return {int(block): (data, rows) for block, data, rows in self._read("SELECT block, data, rows FROM blocks")}

    def rows(self, first: int = 0, last: int | None = None) -> list[Row]:
        """The rows of the cells first .. last - 1 that there are, in order."""
        end = last if last is not None else 1 << 62
        found = self._read(f"SELECT {COLUMNS} FROM cells WHERE cell >= ? AND cell < ? ORDER BY cell", first, end)
        return [Row(*values) for values in found]

    def of(self, cells: Sequence[int]) -> list[Row]:
        """The rows of these cells, in increasing order."""
        wanted = {int(cell) for cell in cells}
        return [row for row in self.rows(min(wanted), max(wanted) + 1) if row.cell in wanted]

    def counts(self) -> dict[str, int]:
        """Status -> number of cells."""
        return dict(self._read("SELECT status, count(*) FROM cells GROUP BY status"))

    def calls(self) -> list[dict[str, Any]]:
        """All engine calls."""
        names = ["call", *Call.__dataclass_fields__]
        return [dict(zip(names, values, strict=True)) for values in self._read("SELECT * FROM calls ORDER BY call")]


def digest_of(block: int, rows: Sequence[Row]) -> str:
    """A digest of what the ledger says of a block, times and calls apart: these differ from run to run."""
    facts = [[row.cell, row.status, row.message, row.fingerprint] for row in rows]
    return hashlib.sha256(json.dumps([block, facts], default=str).encode()).hexdigest()


def _refusal(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} cannot be used ({error}); check its permissions and the space on its disk.")
