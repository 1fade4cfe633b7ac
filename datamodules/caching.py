"""Whether the decoded pictures of a set are kept in memory: `data.cache`."""

import multiprocessing
from collections.abc import Sequence
from typing import Any

from datamodules.datasets.pixel_memory import PixelMemory, pixel_bytes
from stylegan.machine.memory import in_words, room_of_machine

# The rest is for the training, for what torch itself takes, and for others.
_SHARE_OF_FREE = 4


def check_cache(cache: Any) -> bool | str:
    """The option as it is. Raises: ValueError for anything but `auto`, true and false."""
    if isinstance(cache, bool) or cache == "auto":
        return cache
    hint = "try auto"
    if cache is None or isinstance(cache, str):
        # It was the name of that folder once.
        place = "null" if cache is None else cache
        hint += f"; the folder for what a look at the files found is data.cache_dir={place}"
    raise ValueError(
        f"cache must be auto, true or false, got {'null' if cache is None else repr(cache)}; {hint}"
    )


def pixel_memory_for(
    count: int, *, cache: bool | str, shape: Sequence[int], devices: int, workers: int
) -> tuple[PixelMemory | None, list[str]]:
    """Memory for the images of a set, where `cache` asks for it and there is enough.

    `auto` asks where they take a quarter of the free memory at most; true, where they take all of it at most.

    Args:
        count: images of the set.
        cache: `auto`, true or false.
        shape: [C,H,W] of an image.
        devices: of this machine, each of which keeps a copy.
        workers: processes that read.
    Returns: the memory or None, and a line that says why not, where `auto` does not.
    Raises: ValueError where true cannot.
    """
    if not cache:
        return None, []
    fault = _fault(count, cache=cache, shape=shape, devices=devices, workers=workers)
    if fault is None:
        try:
            return PixelMemory(count, shape), []
        except (OSError, OverflowError) as error:
            fault = f"{in_words(pixel_bytes(count, shape))} of memory cannot be had ({error})"
    if cache is True:
        raise ValueError(
            f"data.cache=true: {fault}; use data.cache=auto, which then decodes each picture whenever it is shown"
        )
    return None, [f"data.cache=auto keeps no decoded pictures: {fault}"]


def _fault(count: int, *, cache: bool | str, shape: Sequence[int], devices: int, workers: int) -> str | None:
    """Why the images cannot be kept; None where they can."""
    if workers and not _forks():
        return "workers share none on this system, where they are not forked; data.workers=0 has none"
    room = room_of_machine()
    if room is None:
        return None if cache is True else "this system does not tell how much memory is free"
    free = room.free_bytes
    needed = pixel_bytes(count, shape) * devices
    if needed <= (free if cache is True else free // _SHARE_OF_FREE):
        return None
    height, width = shape[1:]
    each = f", on each of {devices} devices," if devices > 1 else ""
    least = "" if cache is True else ", of which a quarter is used at most"
    return (
        f"{count} pictures of {height}x{width}{each} take {in_words(needed)} of memory, and {in_words(free)} are"
        f" free{least}"
    )


def _forks() -> bool:
    """Whether worker processes begin as copies of this one, so that they share its memory."""
    # The first is the default; asking for it by name would settle it for the whole program.
    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    return method == "fork"
