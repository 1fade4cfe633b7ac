"""Provenance: what a file says of how it was made, in itself and in the JSON next to it."""

import json
import os
import struct
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PIL.Image import DecompressionBombError

from stylegan.images import read_image_text, stored_text
from stylegan.machine.sidecars import read_sidecar
from stylegan.machine.text import printable

# What says where weights came from. The weights themselves decide: they may have several files, and a file others.
ORIGIN = ("network", "run", "kimg", "version")
# Said for the reader, or to find a file again; what counts of it is in the settings, or in a digest.
_FOLLOWS = ("source", "cells", "center_file", "tuned_file")
# Settings of a drawer that are said only where they are not the usual ones: a file that says one more than is wanted
# is another. So are those of an image.
OF_DRAWERS = (
    *("truncation_cutoff", "center", "center_latent", "canvas", "canvas_mode", "layer", "crop"),
    *("directions", "tuned"),
)
OF_IMAGES = ("seed", "seeds", "latent", "label", "format", "quality", "grid", "fill", "psis")
# What Pillow raises of damaged images, and of what it reads in EXIF.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    struct.error,
)
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def stored_in(path: Path) -> dict[str, object] | None:
    """What an image says in itself, and any other file next to it; None where it says nothing, or cannot be read."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return read_sidecar(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # of Pillow, about damaged EXIF
            return dict(read_image_text(path, ending=path.suffix.lower()[1:])) or None
    except (*_UNREADABLE, DecompressionBombError):
        return None


def differences(path: Path, text: Mapping[str, object]) -> list[str] | None:
    """What a file that is there was made with and `text` is not, as in `label=fox`; [] = it is the same file.

    Returns: None where it does not say how it was made, as any other program's, or cannot be read.
    """
    return differing(stored_in(path), text)


def differing(there: Mapping[str, object] | None, text: Mapping[str, object]) -> list[str] | None:
    """As `differences`, of what a file says."""
    if there is None or not there.keys() & text.keys():
        return None
    wanted = {key: _as_stored(value) for key, value in text.items()}
    found = {key: _as_stored(value) for key, value in there.items()}
    keys = (*wanted, *(key for key in (*OF_DRAWERS, *OF_IMAGES) if key not in wanted))
    other = [key for key in keys if found.get(key) != wanted.get(key)]
    settings = [key for key in other if key not in (*ORIGIN, *_FOLLOWS)]
    if "weights" in settings and (origin := [key for key in other if key in ORIGIN[:-1] and key in found]):
        settings = [*origin, *(key for key in settings if key != "weights")]
    return [f"{key}={found.get(key, '(not stored)')}" for key in settings]


def listed(found: Iterable[str]) -> str:
    """What `differences` found, for a line of a terminal."""
    return ", ".join(printable(text if len(text) <= 40 else f"{text[:20]}...") for text in found)


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
    drawn = "and does not say how it was drawn" if found is None else f"drawn with {listed(found)}"
    count = len(in_the_way) - 1
    more = f" (and {count:,} more file{'s' * (count > 1)})" if count else ""
    raise ValueError(
        f"{printable(str(path))} is there already, {drawn}{more}; nothing was drawn: set out=... for another folder,"
        " or overwrite=true to replace it"
    )


def is_image(path: Path) -> bool:
    """Whether a name ends as one of the images that this program writes."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def _as_stored(value: object) -> str:
    return stored_text(value) if isinstance(value, str) else json.dumps(value)
