"""Rows of logs that are no tables: JSON, objects after a prefix, and printed lines that name a step and a rate."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

from simlab.errors import InputError

__all__ = ["rows_of_text"]

Row = tuple[int, dict[str, Any]]
"""The line, and its cells by name."""

STEP = re.compile(r"\b(step|iter|iteration|update)\b\s*[:=]?\s*(\d+)", re.IGNORECASE)
RATE = re.compile(r"\b(lr|learning[ _-]rate)\b[ \t]*[:=]?[ \t]*[-+.\d]", re.IGNORECASE)
NUMBER = re.compile(r"([a-z][\w/ .-]*?)(?:\s*[:=]\s*|\s+)([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)", re.IGNORECASE)
"""In "iteration 10/ 100 | learning rate: 1E-4 | lm loss: 3.1" (Megatron) or "step 9: loss 3.1, lr 1e-4"."""

PREFIXED = re.compile(r"^[^{]*[\]|-]\s*(\{.*\})\s*$")
"""A time and a name before an object (fairseq), parted from it by a bar, a dash or a bracket."""


def rows_of_text(path: Path, text: str) -> list[Row] | None:
    """The rows of a log in JSON or in print, numbered by their lines, or None where the text must be a table.

    JSON is a document (a list of objects; {"log_history": [..]}, the trainer_state.json of transformers; {"column":
    [..]}) or an object on each line, as Python prints it too. Raises InputError, naming the line, for what breaks off.
    """
    objects = text.lstrip()[:1] == "{"
    if not objects and ("{" in text or RATE.search(text)):
        found = [row for line, words in enumerate(text.splitlines(), 1) for row in _printed(line, words)]
        if found:
            return found
    return _objects(path, text) if objects or text.lstrip()[:1] == "[" else None


def _printed(line: int, words: str) -> list[Row]:
    """The row of a line that has a step and a rate, and all its other numbers, or an object after a prefix."""
    if (match := STEP.search(words)) and RATE.search(words):
        numbers = {name.strip(): float(value) for name, value in NUMBER.findall(words, match.end())}
        return [(line, {match[1].casefold(): int(match[2]), **numbers})]
    if match := PREFIXED.match(words):
        try:
            return [(line, json.loads(match[1]))]
        except ValueError:
            return []
    return []


def _objects(path: Path, text: str) -> list[Row]:
    """(line, object) of JSON lines; of one JSON document its rows, numbered from 1."""
    try:
        found = _of_document(json.loads(text))
    except (ValueError, RecursionError):
        found = None
    if found is None:
        found = [(line, _object(path, line, words)) for line, words in enumerate(text.splitlines(), 1) if words.strip()]
    bad = next((line for line, entry in found if not isinstance(entry, dict)), None)
    if bad is not None or not found:
        where = f" entry {bad}" if bad is not None else ""
        raise InputError(f"{path}{where} holds no rows; give objects with a step and a learning rate each.")
    return found


def _of_document(whole: Any) -> list[Row] | None:
    """The rows of a document, or None of a single object, which is a line."""
    if isinstance(whole, dict) and "log_history" in whole:
        whole = whole["log_history"]
    elif isinstance(whole, dict) and whole and all(isinstance(column, list) for column in whole.values()):
        whole = [dict(zip(whole, cells, strict=False)) for cells in zip(*whole.values(), strict=False)]
    elif isinstance(whole, dict):
        return None
    return list(enumerate(whole if isinstance(whole, list) else [], 1))


def _object(path: Path, line: int, words: str) -> Any:
    """What a line holds: JSON, or Python's own print of a dict, as transformers' Trainer shows it."""
    try:
        return json.loads(words)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deeply, or a number that is too long")
    try:
        return ast.literal_eval(words.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise InputError(f"{path} line {line} is no JSON ({reason}); give an object on each line.") from None
