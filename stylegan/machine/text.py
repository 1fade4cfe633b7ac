"""Text from outside, as names of files and classes, in lines for a terminal."""

import unicodedata
from collections.abc import Sequence

# They turn the order of what follows round, so that a name reads as another one.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Control characters, line and paragraph separators, and bytes that were no text.
_UNSEEN = frozenset(("Cc", "Zl", "Zp", "Cs"))


def printable(text: str) -> str:
    r"""The text with what would break a line, or steer a terminal, escaped as Python does: `a\nb`, `\x1b[2J`.

    All else stays, in any language. What is printable already comes back the same.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_seen, text))


def some(words: Sequence[str], most: int = 5) -> str:
    """The first words, printable, and how many there are more: `a, b and 3 more`."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(map(printable, words[:most])) + more


def _seen(character: str) -> str:
    if character in _TURNING or unicodedata.category(character) in _UNSEEN:
        return character.encode("unicode_escape").decode()
    return character
