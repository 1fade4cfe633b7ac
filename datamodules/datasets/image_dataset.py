"""What every set of images offers, and the doubling by left-right flips."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.utils.data import Dataset


class ImageDataset(Dataset, ABC):
    """A set of images of one size. Item: (uint8 [C,H,W] in 0..255, float32 [K]); K = 0 means no labels.

    A subclass gives `__len__` and `image`, and with labels also `label_width` and `labels`. Items are read in
    worker processes: keep no open file that a fork would share.
    """

    label_width = 0

    @abstractmethod
    def __len__(self) -> int:
        """How many items."""

    @abstractmethod
    def image(self, index: int) -> Tensor:
        """uint8 [C,H,W] of one item."""

    def labels(self, indices: Tensor) -> Tensor:
        """Labels of some items, without reading their images: int64 [n] -> float32 [n,K]."""
        return torch.zeros(len(indices), 0)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of a set of {len(self)}")
        return self.image(index), self.labels(torch.tensor([index]))[0]


class XFlipped(ImageDataset):
    """A set of n items, doubled: item i >= n is item i - n flipped left-right, with the same label.

    As in StyleGAN2-ADA, flips are members of the set rather than draws.
    """

    def __init__(self, dataset: ImageDataset):
        self.dataset = dataset
        self.label_width = dataset.label_width

    def __len__(self) -> int:
        return 2 * len(self.dataset)

    def image(self, index: int) -> Tensor:
        if index < len(self.dataset):
            return self.dataset.image(index)
        return self.dataset.image(index - len(self.dataset)).flip(-1)

    def labels(self, indices: Tensor) -> Tensor:
        return self.dataset.labels(indices % len(self.dataset))
