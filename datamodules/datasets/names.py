"""Names of the files of a set: one form for each, however a system or a program that packs has written it."""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TypeVar

from datamodules.datasets.decoding import IMAGE_SUFFIXES
from stylegan.machine.text import some

# What systems leave in folders of images, besides names that begin with a dot.
_LITTER = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")
_DRIVE = re.compile(r"[A-Za-z]:")
# What nearly all names are free of: then they are in the one form already, and kept as they are.
_ODD = re.compile(r"[^\x20-\x7e]|[\\:]|^/|//|(?:^|/)\.{1,2}(?:/|$)|/$")

T = TypeVar("T")


def is_hidden(name: str) -> bool:
    """Whether a POSIX relative name, or a folder on its way, is hidden or a system's own."""
    return any(part.startswith(".") or part.lower() in _LITTER for part in name.split("/"))


def is_image_name(name: str, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> bool:
    """Whether a POSIX relative name is an image's by its suffix, and not hidden."""
    return not is_hidden(name) and name.lower().endswith(tuple(suffixes)) and not name.endswith("/")


def first_folder(name: str) -> str:
    """The first folder of a relative name, "" where there is none."""
    return name.split("/", 1)[0] if "/" in name else ""


def top_folder(names: Iterable[str]) -> str:
    """The folder with all of these, as `animals/`, where it has folders itself; else "".

    A folder that is packed as a whole lies in the zip, and what it holds one further down.
    """
    parents = [name.split("/")[:-1] for name in names]
    if not parents:
        return ""
    deepest = max(map(len, parents))
    shared = os.path.commonprefix(parents)
    # Where all pictures lie in one folder it is that of a class, not one above the classes.
    return "".join(f"{part}/" for part in shared[: deepest - 1])


def one_form(name: str) -> str:
    """A name as all are compared: composed accents (NFC), "/" between the parts, no "./" before them.

    Unicode Standard Annex 15. Systems differ in slashes and in how they compose accents.
    """
    return unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./")


def text_of(name: bytes) -> str:
    """A name whose encoding is not stated: UTF-8 where it can be that, else code page 437, the first one of zips."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("cp437")


def text_of_path(name: str) -> str:
    """A name that the file system gave: what is no text in it becomes some, as in a zip of the file."""
    if name.isascii() or not any("\udc80" <= character <= "\udcff" for character in name):
        return name
    return text_of(os.fsencode(name))


def relative_name(stored: str) -> str | None:
    """A stored name as a relative one of one form; of a drive or root what is below it, None where it leads out."""
    if not _ODD.search(stored):
        return stored
    parts = [part for part in one_form(stored).split("/") if part not in ("", ".")]
    if len(parts) > 1 and _DRIVE.fullmatch(parts[0]):
        del parts[0]
    return None if ".." in parts else "/".join(parts)


def by_relative_name(files: Iterable[tuple[str, T]]) -> tuple[dict[str, tuple[str, T]], list[str]]:
    """Files by their relative name; hidden ones are left out.

    Of several with the same stored name the last counts, which is what unpacking leaves; of several whose stored
    names have one form, that which is stored so, or else the first by name.

    Args:
        files: stored name, and what is known of the file.
    Returns: relative name -> (stored name, what is known); and lines about what does not count.
    """
    found: dict[str, tuple[str, T]] = {}
    repeated, alike, outside = set(), set(), []
    for stored, known in files:
        name = relative_name(stored)
        if name is None:
            outside.append(stored)
            continue
        if not name or is_hidden(name):
            continue
        if name in found:
            before = found[name][0]
            (repeated if before == stored else alike).add(name)
            if _rank(name, before) < _rank(name, stored):
                continue
        found[name] = stored, known
    notes = []
    if outside:
        notes.append(f"left out, their names lead out of the set: {some(outside)}")
    if repeated:
        notes.append(f"more than once, the last one counts: {some(sorted(repeated))}")
    if alike:
        notes.append(
            f"more than one file has this name, in other letters or slashes; one counts: {some(sorted(alike))}"
        )
    return found, notes


def _rank(name: str, stored: str) -> tuple[bool, str]:
    """Lower for the stored name whose file counts."""
    return stored != name, stored
