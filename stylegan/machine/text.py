"""Text of lines for a terminal: names of files and classes from outside, words typed a little wrong, counted things."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence

# They turn the order of what follows round, so that a name reads as another one.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Control characters, line and paragraph separators, and bytes that were no text.
_UNSEEN = frozenset(("Cc", "Zl", "Zp", "Cs"))
# What word processors, phones and web pages put in the place of a keyboard's signs.
_LOOKALIKES = str.maketrans(
    {
        **dict.fromkeys("×✕✖⨯", "x"),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("“”„«»", '"'),
        **dict.fromkeys("‘’‚", "'"),
        **dict.fromkeys("\u00a0\u202f\u2009", " "),
        **{"＝": "=", "，": ",", "；": ";", "：": ":", "．": ".", "·": ".", "…": "..."},
    }
)


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


def plain_signs(text: str) -> str:
    """The text with a keyboard's signs in place of those that look like them: `48×32` → `48x32`, `0–15` → `0-15`."""
    # Between numbers, Cyrillic letters are no part of a word.
    return re.sub(r"(?<=\d)[хХ](?=\d)", "x", text).translate(_LOOKALIKES)


def nearest_word(word: str, words: Iterable[str]) -> str | None:
    """The one of some words that a mistyped word may mean; None where none is near."""
    return next(iter(difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)), None)


def counted(count: int, one: str, several: str = "") -> str:
    """A number with what it counts: `1 thread`, `8 threads`.  Args: several: the plural; "" = with an s."""
    return f"{count} {one if count == 1 else several or f'{one}s'}"


def counted_are(count: int, one: str, several: str = "") -> str:
    """As `counted`, with its verb: `1 picture is`, `8 pictures are`."""
    return f"{counted(count, one, several)} {'is' if count == 1 else 'are'}"


def _seen(character: str) -> str:
    if character in _TURNING or unicodedata.category(character) in _UNSEEN:
        return character.encode("unicode_escape").decode()
    return character
