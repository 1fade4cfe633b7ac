"""Which files are pictures, by their names, and in which class folder they lie."""

from collections.abc import Sequence

from datamodules.datasets.decoding import PICTURE_SUFFIXES

# What systems leave in folders of pictures, besides names that begin with a dot.
_LITTER = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")


def is_hidden(name: str) -> bool:
    """Whether a POSIX relative name, or a folder on its way, is hidden or a system's own."""
    return any(part.startswith(".") or part.lower() in _LITTER for part in name.split("/"))


def is_picture_name(name: str, suffixes: Sequence[str] = PICTURE_SUFFIXES) -> bool:
    """Whether a POSIX relative name is a picture's by its suffix, and not hidden."""
    return not is_hidden(name) and name.lower().endswith(tuple(suffixes)) and not name.endswith("/")


def first_folder(name: str) -> str:
    """The first folder of a relative name, "" where there is none."""
    return name.split("/", 1)[0] if "/" in name else ""
