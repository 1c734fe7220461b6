"""The ledger of a store: what became of every cell, and a digest of every file, in SQLite.

A block counts as done when the ledger holds the digests of its chunks and they have them; what declares the arrays has
its digests there too.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simlab.errors import InputError
from simlab.reading import opened
from simlab.sweeps.records import Call, Row

__all__ = ["Ledger", "digest_of"]

TABLES = {
    "calls": """CREATE TABLE calls (
    call INTEGER PRIMARY KEY, engine TEXT NOT NULL, device TEXT NOT NULL, worker TEXT NOT NULL,
    cells INTEGER NOT NULL, started REAL NOT NULL, seconds REAL NOT NULL
)""",
    "cells": """CREATE TABLE cells (
    cell INTEGER PRIMARY KEY, status TEXT NOT NULL, message TEXT NOT NULL, fingerprint TEXT NOT NULL,
    seconds REAL NOT NULL, call INTEGER NOT NULL
)""",
    "blocks": "CREATE TABLE blocks (block INTEGER PRIMARY KEY, data TEXT NOT NULL, rows TEXT NOT NULL)",
    "declared": "CREATE TABLE declared (file TEXT PRIMARY KEY, digest TEXT NOT NULL)",
}
SIDES = ("-wal", "-shm", "-journal")
OF_SEVERAL = bytes.fromhex("d9d505f920a163d7")
"""How a journal ends that belongs to several databases: SQLite would go after the files that it names."""
COLUMNS = "cell, status, message, fingerprint, seconds, call"


class Ledger:
    """The open ledger of a store.

    With `mend` a damaged file is put aside and a new one begun, so that all is computed again; without, it is refused,
    and nothing is written.
    """

    def __init__(self, path: Path, mend: bool = True) -> None:
        self.path = path
        if not mend and not path.exists():
            raise InputError(f"{path} is not there; run simlab sweep again to make it anew.")
        try:
            self._connection = self._opened(mend)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
                raise _refusal(path, error) from None
            if not mend:
                raise _damage(path, error) from None
            for suffix in ("", *SIDES):
                with suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).replace(path.with_name(f"{path.name}{suffix}.damaged"))
            self._connection = self._opened(mend)

    def _opened(self, mend: bool) -> sqlite3.Connection:
        _refuse_strange(self.path)
        connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        connection.text_factory = lambda text: text.decode(errors="replace")  # altered bytes: a digest will tell
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            if mend:
                # A journal and not a write-ahead log: one file when closed, whatever file system it lies on.
                connection.execute("PRAGMA journal_mode = DELETE")
                connection.execute("PRAGMA synchronous = FULL")
            there = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
            if mend and not there:
                # All tables or none, whenever the process is killed.
                connection.execute("BEGIN IMMEDIATE")
                for statement in TABLES.values():
                    connection.execute(statement)
                connection.execute("COMMIT")
            elif dict(there) != TABLES:
                raise sqlite3.DatabaseError("its tables are not those of a ledger")
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
        """Enter a finished block, in one transaction; `row.call` counts within `calls`, and rows without one are there
        already.
        """
        with self._transaction() as execute:
            first = execute("SELECT coalesce(max(call), -1) + 1 FROM calls").fetchone()[0]
            for j, call in enumerate(calls):
                execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?)", (first + j, *asdict(call).values()))
            entered = [r for r in rows if r.call >= 0]
            numbered = [(r.cell, r.status, r.message, r.fingerprint, r.seconds, first + r.call) for r in entered]
            self._connection.executemany("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?)", numbered)
            if data:
                execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", (block, data, digest_of(block, rows)))

    def forget(self, blocks: Iterable[tuple[int, Iterable[int]]], count: int, size: int) -> None:
        """Strike out blocks, with their cells, whose data did not verify; and all beyond the `count` blocks and `size`
        cells that there are.
        """
        with self._transaction() as execute:
            for block, cells in blocks:
                execute("DELETE FROM blocks WHERE block = ?", (block,))
                self._connection.executemany("DELETE FROM cells WHERE cell = ?", [(int(cell),) for cell in cells])
            for table, key, end in (("blocks", "block", count), ("cells", "cell", size)):
                execute(f"DELETE FROM {table} WHERE {key} < 0 OR {key} >= ?", (end,))

    def declare(self, digests: Mapping[str, str]) -> None:
        """Enter the digests of the files that declare the arrays, in the place of those before."""
        with self._transaction() as execute:
            execute("DELETE FROM declared")
            self._connection.executemany("INSERT INTO declared VALUES (?, ?)", list(digests.items()))

    def replace_blocks(self, entries: Iterable[tuple[int, str, Sequence[Row]]]) -> None:
        """Other blocks of the same cells."""
        with self._transaction() as execute:
            execute("DELETE FROM blocks")
            for block, data, rows in entries:
                execute("INSERT INTO blocks VALUES (?, ?, ?)", (block, data, digest_of(block, rows)))

    def adopt(self, calls: Iterable[Mapping[str, Any]], entries: Iterable[tuple[int, str, Sequence[Row]]]) -> None:
        """Take over calls, under their numbers, and blocks with the cells of them that are there."""
        with self._transaction() as execute:
            for call in calls:
                execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?)", tuple(call.values()))
            for block, data, rows in entries:
                numbered = [(r.cell, r.status, r.message, r.fingerprint, r.seconds, r.call) for r in rows]
                self._connection.executemany("INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?)", numbered)
                execute("INSERT INTO blocks VALUES (?, ?, ?)", (block, data, digest_of(block, rows)))

    def vacuum(self) -> None:
        """Give back the space of what was struck out."""
        self._connection.execute("VACUUM")

    # -- reading

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            raise _refusal(self.path, error) from None
        except sqlite3.Error as error:
            raise _damage(self.path, error) from None

    def declared(self) -> dict[str, str]:
        """File -> digest, of what declares the arrays; empty where nothing is declared yet."""
        return dict(self._read("SELECT file, digest FROM declared"))

    def blocks(self) -> dict[int, tuple[str, str]]:
        """Block -> (digests of its data, digest of its rows)."""
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


def _refuse_strange(path: Path) -> None:
    """Raise InputError for what SQLite must not be led to: links, devices, journals of other databases.

    And DatabaseError where the header asks for a log (or for a format to come, which could only be read).
    """
    for suffix in ("", *SIDES):
        with suppress(FileNotFoundError), opened(path.with_name(path.name + suffix)) as file:
            if suffix == "-journal" and file.seek(0, os.SEEK_END) >= len(OF_SEVERAL):
                file.seek(-len(OF_SEVERAL), os.SEEK_END)
                if file.read() == OF_SEVERAL:
                    raise InputError(f"{path}{suffix} is no journal of this ledger; delete it.")
            if not suffix and file.read(20)[18:] not in (b"", b"\1\1"):
                raise sqlite3.DatabaseError("it was written by another program")


def _damage(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged ({error}); run simlab sweep again to make it anew.")


def _refusal(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} cannot be used ({error}); check its permissions and the space on its disk.")
