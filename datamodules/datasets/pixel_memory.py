"""Memory for decoded pictures, each kept from the first time it is shown."""

import math
import mmap
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from stylegan.machine.memory import promise


class PixelMemory:
    """The images of a set that were read once.

    One block holds them for this process and for the workers that it forks: whichever reads a picture, all have it,
    also workers that are started anew. It is anonymous shared memory, which knows no limit of /dev/shm, and of
    which the system gives away only what has been written. A copy by pickle, as for workers that are not forked,
    keeps nothing. Until it is written, its `promised_bytes` are counted in `stylegan.machine.memory`.

    Args: count: items of the set; shape: [C,H,W] of each.
    Raises: OSError, OverflowError where so much memory cannot be had.
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
    """What the pixels of so many images take. Args: shape: [C,H,W]."""
    return count * math.prod(shape)
