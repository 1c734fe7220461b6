"""Rows of numbers in a generated module: spelled out, packed into its text, or in a file beside it."""

from __future__ import annotations

from base64 import b85encode
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import compress

import numpy as np
import numpy.typing as npt

from simlab.errors import InputError

__all__ = ["JAX", "MATH", "Dialect", "Rows"]

LITERAL = 2_000
"""Longest row that is spelled out; longer ones are packed."""

EMBEDDED = 1_000_000
"""Most values that a module packs; more are for the file."""


class Dialect(NamedTuple):
    """How a module writes a row: as a literal, as what the file has under a name, and the function that unpacks one."""

    spelled: str
    loaded: str
    unpack: str


MATH = Dialect(
    spelled="({})",
    loaded="memoryview(_DATA[{!r}])",  # whose items are Python's own numbers
    unpack='''def _row(kind, text):
    """The numbers packed into a text: little-endian, compressed, in base 85."""
    values = array(kind, decompress(b85decode(text)))
    if sys.byteorder == "big":
        values.byteswap()
    return values
''',
)
JAX = Dialect(
    spelled="np.array([{}])",
    loaded="_DATA[{!r}]",
    unpack='''def _row(kind, text):
    """The numbers packed into a text: little-endian, compressed, in base 85."""
    return np.frombuffer(decompress(b85decode(text)), {"d": "<f8", "q": "<i8"}[kind])
''',
)


@dataclass
class Rows:
    """The rows of one module, whose `definitions` they are added to.

    data : the name of a file that stands beside the module, for values that are too many for it, or None.
    apart : what that file has to hold, name -> array; empty where it is not needed.
    """

    definitions: list[str]
    dialect: Dialect
    data: str | None = None
    apart: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    _count: int = 0
    _embedded: int = 0

    def add(self, row: npt.NDArray[np.generic]) -> str:
        """The name of a constant that holds the row (float64 or int64).

        Raises InputError where it needs a file and has none.
        """
        self._count += 1
        name = f"_ROW{self._count}"
        if row.size <= LITERAL:
            value = self.dialect.spelled.format(_in_lines([repr(item) for item in row.tolist()]))
        elif self._embedded + row.size <= EMBEDDED:
            self._embedded += row.size
            self._need(self.dialect.unpack)
            value = _packed(row)
        elif self.data is None:
            message = f"the schedule holds over {EMBEDDED:,} separate values, too many for a source file"
            raise InputError(f'{message}; give data = "rates.npz", a file to stand beside it.')
        else:
            self._need(f"with np.load(Path(__file__).with_name({self.data!r})) as _file:\n    _DATA = dict(_file)\n")
            self.apart[name] = row
            value = self.dialect.loaded.format(name)
        self.definitions.append(f"{name} = {value}\n")
        return name

    def _need(self, definition: str) -> None:
        if definition not in self.definitions:
            self.definitions.append(definition)


def _packed(row: npt.NDArray[np.generic]) -> str:
    kind, little = ("d", "<f8") if row.dtype.kind == "f" else ("q", "<i8")
    text = b85encode(compress(row.astype(little).tobytes(), 9)).decode()
    lines = "".join(f'    "{text[i : i + 110]}"\n' for i in range(0, len(text), 110))
    return f'_row("{kind}", (\n{lines}))'


def _in_lines(items: list[str]) -> str:
    """Items between commas, six in a line where one line does not hold them."""
    row = ", ".join(items)
    if len(row) <= 90:
        return row
    return "\n" + "".join(f"    {', '.join(items[i : i + 6])},\n" for i in range(0, len(items), 6))
