"""Images, and changes of them, that tests of similarity and of the report share."""

from functools import cache

import torch
from torch import Tensor

from datamodules.datasets import FlowersDataset


@cache
def flowers(seed: int, count: int, size: int = 32) -> Tensor:
    """uint8 [count,3,size,size]."""
    data = FlowersDataset(seed=seed, num_items=count, size=(size, size), channels=3, labelled=False)
    return torch.stack([data.image(index) for index in range(count)])


def shifted(images: Tensor, down: int, across: int) -> Tensor:
    height, width = images.shape[-2:]
    rows = (torch.arange(height) - down).clamp(0, height - 1)
    columns = (torch.arange(width) - across).clamp(0, width - 1)
    return images[..., rows, :][..., columns]


def recoloured(images: Tensor) -> Tensor:
    """Green, blue and red for red, green and blue, with less contrast, and brighter."""
    return (images.to(torch.float32).roll(1, 1) * 0.7 + 50).round().to(torch.uint8)


def blended(one: Tensor, other: Tensor, share: float = 0.5) -> Tensor:
    return (share * one + (1 - share) * other).round().to(torch.uint8)
