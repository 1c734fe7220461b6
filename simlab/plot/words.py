"""What users call things, as a figure shows it: to the letter, and never a formula or a warning."""

from __future__ import annotations

import unicodedata
from functools import cache

__all__ = ["literal"]

BOX = "□"
UNPRINTED = ("Cc", "Cs", "Zl", "Zp")
"""Categories of control characters, halves of surrogates, and separators of lines and paragraphs."""


def literal(text: object, limit: int | None = None) -> str:
    """The text that Matplotlib is given for what a user has named, shortened to `limit` characters.

    A dollar stands for itself and begins no formula; what does not print is written as its escape (\\x07); a character
    without a glyph in the fonts in use is a box; an underscore in front, which would keep a label out of its legend,
    stands behind a hair space.
    """
    said = str(text)
    if limit is not None and len(said) > limit:
        said = f"{said[: limit - 1]}…"
    said = "".join(_shown(character) for character in said).replace("$", r"\$")
    return f"\u200a{said}" if said.startswith("_") else said


def _shown(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    if unicodedata.category(character) in UNPRINTED:
        return character.encode("unicode_escape").decode("ascii")
    import matplotlib as mpl

    return character if _has_glyph(character, tuple(mpl.rcParams["font.family"])) else BOX


@cache
def _has_glyph(character: str, families: tuple[str, ...]) -> bool:
    """Whether one of the fonts has the character, in its upright and its bold face."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    def drawn(weight: str) -> bool:
        paths = [findfont(FontProperties(family=[family], weight=weight)) for family in families]
        return any(get_font(path).get_char_index(ord(character)) for path in paths)

    return all(drawn(weight) for weight in ("normal", "bold"))
