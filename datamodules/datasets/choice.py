"""Which items of a set are used, and which of these are held out: by what they are called, never by their place."""

import fnmatch
import hashlib
from collections.abc import Callable, Sequence

import numpy as np


def place_in_lot(seed: int, purpose: str, key: str) -> int:
    """A number from 0 to 2^64 - 1 for an item, as good as random: of the seed and what the item is called."""
    digest = hashlib.blake2b(f"{seed} {purpose} {key}".encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def split(
    count: int, key: Callable[[int], str], *, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places of the items to train on and of those held out, both ascending.

    An item is held out by its own key, so more items never move one from one side to the other.
    """
    limit = round(fraction * 2**64)
    held_out = np.array([place_in_lot(seed, "held out", key(i)) < limit for i in range(count)], dtype=bool)
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def filter_names(
    names: Sequence[str],
    classes_of: Callable[[str], Sequence[str]],
    *,
    include: Sequence[str],
    exclude: Sequence[str],
) -> tuple[list[str], list[str]]:
    """The names that some pattern of `include` fits (all, where there are none), and none of `exclude`.

    A pattern is the name of a class, or a glob for the whole relative name, in which * takes slashes, too.
    Returns: the names, and the patterns of `exclude` that fit none.
    Raises: ValueError for a pattern of `include` that fits no picture, or where no picture is left.
    """

    def fitting(pattern: str) -> set[str]:
        return {n for n in names if pattern in classes_of(n) or fnmatch.fnmatchcase(n, pattern)}

    kept = set(names)
    if include:
        chosen = {pattern: fitting(pattern) for pattern in include}
        for pattern, fits in chosen.items():
            if not fits:
                classes = sorted({name for n in names for name in classes_of(n) if name})
                some = f"the classes are {_few(classes)}" if classes else f"there is {_few(list(names))}"
                raise ValueError(f"data.include: nothing is called {pattern}; {some}")
        kept = set().union(*chosen.values())
    idle = []
    for pattern in exclude:
        fits = fitting(pattern)
        kept -= fits
        if not fits:
            idle.append(pattern)
    if not kept:
        raise ValueError(
            f"data.exclude=[{','.join(exclude)}] leaves no picture of {len(names)}; leave some of it away"
        )
    return [name for name in names if name in kept], idle


def _few(words: Sequence[str], most: int = 8) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
