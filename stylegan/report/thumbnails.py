"""Small copies of pictures, so that a large set fits in memory and distances do not depend on resolution."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as nn_functional

from stylegan.images import on_white, visible

LARGEST_SIDE_PX = 32
# Pictures that are made smaller at a time, so that floats of a large set are never in memory together.
_BLOCK = 256


def thumbnails(pictures: Tensor | Sequence[Tensor], side: int = LARGEST_SIDE_PX) -> Tensor:
    """uint8 [N,C,H,W], or a sequence of uint8 [C,H,W], → uint8 [N,c,h,w] with sides of at most `side` px.

    Each pixel is the mean of those that it covers; smaller pictures stay as they are. What is transparent lies
    on white; of more than 4 channels the first 3 are kept: c is 1 or 3.
    Raises: ValueError for no pictures, or another dtype.
    """
    if not len(pictures):
        raise ValueError("thumbnails of no pictures; give at least one")
    return torch.cat(list(_in_blocks(pictures, side)))


def _in_blocks(pictures: Tensor | Sequence[Tensor], side: int) -> Iterator[Tensor]:
    for first in range(0, len(pictures), _BLOCK):
        last = min(first + _BLOCK, len(pictures))
        yield small(torch.stack([shown(pictures[index]) for index in range(first, last)]), side)


def shown(picture: Tensor) -> Tensor:
    """uint8 [C,H,W] → the same as it is looked at: uint8 [1,H,W] or [3,H,W]."""
    if picture.dtype != torch.uint8:
        raise ValueError(f"pictures are uint8 in 0..255, got {picture.dtype}; convert floats with to_uint8")
    return on_white(visible(picture))


def small(pictures: Tensor, side: int) -> Tensor:
    """uint8 [N,C,H,W] → uint8 [N,C,h,w] by averaging areas; the shape of the picture is kept."""
    height, width = pictures.shape[-2:]
    longest = max(height, width)
    if longest <= side:
        return pictures
    size = tuple(max(1, round(length * side / longest)) for length in (height, width))
    smaller = nn_functional.interpolate(pictures.to(torch.float32), size=size, mode="area")
    return smaller.round().to(torch.uint8)
