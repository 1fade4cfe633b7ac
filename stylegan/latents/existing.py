"""Images that are there already: those of the same settings stay as they are, others are not replaced unasked."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PIL.Image import DecompressionBombError

from stylegan.images import read_png_text, stored_text
from stylegan.machine.text import printable

Text = Mapping[str, str]

# What says where weights came from. The weights themselves decide: they may have several files, and a file others.
_ORIGIN = ("network", "run", "kimg")
_NO_SETTING = {*_ORIGIN, "version"}


def differences(path: Path, text: Text) -> list[str] | None:
    """What an image that is there was drawn with and `text` is not, as in `label=fox`; [] = it is the same image.

    Returns: None where it does not say how it was drawn, as any other program's, or cannot be read.
    """
    try:
        there = read_png_text(path)
    except (OSError, SyntaxError, ValueError, DecompressionBombError):
        return None
    wanted = {key: stored_text(value) for key, value in text.items()}
    other = [key for key, value in wanted.items() if there.get(key) != value]
    settings = [key for key in other if key not in _NO_SETTING]
    if not there.keys() & wanted.keys():
        return None
    if "weights" in settings and (origin := [key for key in other if key in _ORIGIN and key in there]):
        settings = [*origin, *(key for key in settings if key != "weights")]
    return [f"{key}={there.get(key, '(not stored)')}" for key in settings]


def names_in(folder: Path) -> frozenset[str]:
    """The names of all that is in a folder, which may be missing."""
    try:
        return frozenset(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def refuse(in_the_way: Sequence[tuple[Path, list[str] | None]]) -> None:
    """Raises: ValueError that names the first of the files which would be replaced, and the ways out."""
    if not in_the_way:
        return
    path, found = in_the_way[0]
    drawn = "and does not say how it was drawn" if found is None else f"drawn with {_listed(found)}"
    count = len(in_the_way) - 1
    more = f" (and {count:,} more file{'s' * (count > 1)})" if count else ""
    raise ValueError(
        f"{path} is there already, {drawn}{more}; nothing was drawn: set out=... for another folder, or"
        " overwrite=true to replace it"
    )


def _listed(found: Iterable[str]) -> str:
    return ", ".join(printable(text if len(text) <= 40 else f"{text[:20]}...") for text in found)
