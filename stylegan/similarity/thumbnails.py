"""Thumbnails: small copies of images, so that a large set fits in memory and distances do not depend on resolution."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as nn_functional

from stylegan.images import on_white, visible

LARGEST_SIDE_PX = 32
# Images that are shrunk at a time, so that floats of a large set are never in memory together.
_BLOCK = 256


def thumbnails(images: Tensor | Sequence[Tensor], side_px: int = LARGEST_SIDE_PX) -> Tensor:
    """Thumbnails by averaging areas; images that are small enough stay as they are.

    Args:
        images: uint8 [N,C,H,W], or a sequence of uint8 [C,H,W]. What is transparent is shown on white; of more than
            4 channels the first 3 are kept.
        side_px: the longest side of a thumbnail, at least 1.
    Returns: uint8 [N,c,h,w], c = 1 or 3.
    Raises: ValueError for no images, or another dtype.
    """
    if not len(images):
        raise ValueError("images must be at least one, got none")
    return torch.cat(list(_in_blocks(images, side_px)))


def _in_blocks(images: Tensor | Sequence[Tensor], side_px: int) -> Iterator[Tensor]:
    for first in range(0, len(images), _BLOCK):
        last = min(first + _BLOCK, len(images))
        yield shrunk(torch.stack([as_seen(images[index]) for index in range(first, last)]), side_px)


def as_seen(image: Tensor) -> Tensor:
    """An image as people see it, uint8 [C,H,W] → uint8 [1,H,W] or [3,H,W]: on white, and without further channels.

    Raises: ValueError for another dtype.
    """
    if image.dtype != torch.uint8:
        raise ValueError(f"images must be uint8 in 0..255, got {image.dtype}; convert floats with to_uint8")
    return on_white(visible(image))


def shrunk(images: Tensor, side_px: int) -> Tensor:
    """Area averages, uint8 [N,C,H,W] → uint8 [N,C,h,w] with sides of at most `side_px`; proportions are kept."""
    height, width = images.shape[-2:]
    longest = max(height, width)
    if longest <= side_px:
        return images
    size = tuple(max(1, round(length * side_px / longest)) for length in (height, width))
    smaller = nn_functional.interpolate(images.to(torch.float32), size=size, mode="area")
    return smaller.round().to(torch.uint8)


def blurred(images: Tensor) -> Tensor:
    """Binomial filter [1, 2, 1] / 4 in both directions, uint8 [N,C,H,W] → float32 of the same shape.

    Differences between blurred images depend little on shifts by a part of a pixel.
    """
    x = nn_functional.pad(images.to(torch.float32), (1, 1, 1, 1), mode="replicate")
    x = (x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]) / 4
    return (x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]) / 4
