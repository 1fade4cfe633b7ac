"""Pixel memory: decoded images kept from the first time they are shown, and whether there is room for them
(`data.cache`)."""

import math
import mmap
import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from stylegan.machine.memory import in_words, promise, room_of_machine
from stylegan.machine.text import counted


class PixelMemory:
    """The images of a set that were read once.

    One block holds them for this process and for the workers that it forks: whichever reads an image, all have it,
    also workers that are started again. It is anonymous shared memory, which knows no limit of /dev/shm, and of
    which the system gives away only what has been written. A copy by pickle, as for workers that are not forked,
    keeps nothing. Until it is written, its `promised_bytes` are counted in `stylegan.machine.memory`.

    Args:
        count: items of the set.
        shape: [C,H,W] of each.
    Raises: OSError, OverflowError where that much memory cannot be allocated.
    """

    def __init__(self, count: int, shape: Sequence[int]):
        memory = mmap.mmap(-1, 8 * count + pixel_bytes(count, shape))
        # The item that is shown in an item's place, counted from 1; 0 = not read yet.
        self._shown: Tensor | None = torch.frombuffer(memory, dtype=torch.int64, count=count)
        self._pixels = torch.frombuffer(memory, dtype=torch.uint8, offset=8 * count).view(count, *shape)
        promise(self)

    @property
    def promised_bytes(self) -> int:
        """What the images that were not read yet will take."""
        if self._shown is None:
            return 0
        own = torch.arange(1, len(self._shown) + 1)
        return pixel_bytes(int((self._shown != own).sum()), self._pixels.shape[1:])

    def read(self, index: int, read: Callable[[int], tuple[Tensor, int]]) -> tuple[Tensor, int]:
        """What `read(index)` gave the first time: the image, to the caller's own use, and the item that it shows."""
        if self._shown is None:
            return read(index)
        if not self._shown[index]:
            image, shown = read(index)
            if not self._shown[shown]:
                # Marked last: a worker that is killed half-way leaves nothing that counts.
                self._pixels[shown] = image
                self._shown[shown] = shown + 1
            self._shown[index] = shown + 1
        shown = int(self._shown[index]) - 1
        return self._pixels[shown].clone(), shown

    def __getstate__(self) -> dict[str, Any]:
        return {"_shown": None, "_pixels": None}


def pixel_bytes(count: int, shape: Sequence[int]) -> int:
    """What the pixels of this many images take.

    Args:
        shape: [C,H,W].
    """
    return count * math.prod(shape)


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
            fault = f"{in_words(pixel_bytes(count, shape))} of memory cannot be allocated ({error})"
    if cache is True:
        raise ValueError(
            f"data.cache=true: {fault}; use data.cache=auto, which then decodes each picture each time it is shown"
        )
    return None, [f"data.cache=auto keeps no decoded pictures: {fault}"]


def _fault(count: int, *, cache: bool | str, shape: Sequence[int], devices: int, workers: int) -> str | None:
    """Why the images cannot be kept; None where they can."""
    if workers and not forks():
        return "workers share none on this system, where they are not forked; data.workers=0 has none"
    room = room_of_machine()
    if room is None:
        return None if cache is True else "this system does not report how much memory is free"
    free = room.free_bytes
    needed = pixel_bytes(count, shape) * devices
    if needed <= (free if cache is True else free // _SHARE_OF_FREE):
        return None
    height, width = shape[1:]
    each = f", on each of {devices} devices," if devices > 1 else ""
    least = "" if cache is True else ", of which a quarter is used at most"
    takes = "takes" if count == 1 else "take"
    return (
        f"{counted(count, 'picture')} of {height}x{width}{each} {takes} {in_words(needed)} of memory, and"
        f" {in_words(free)} are free{least}"
    )


def shared_zeros(count: int, dtype: torch.dtype) -> Tensor:
    """Zeros [count], which this process and the workers that it starts all write and see.

    Where they are forked it is anonymous memory: of /dev/shm, which may be full, nothing is needed.
    """
    if not forks():
        return torch.zeros(count, dtype=dtype).share_memory_()
    return torch.frombuffer(mmap.mmap(-1, dtype.itemsize * max(1, count)), dtype=dtype)[:count]


def forks() -> bool:
    """Whether worker processes begin as copies of this one, so that they share its memory."""
    # The first is the default; asking for it by name would settle it for the whole program.
    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    return method == "fork"
