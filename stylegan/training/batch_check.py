"""Check of batches: whether a loader gives what a training step takes, in one line where it does not."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stylegan.distributed.collectives import rank, world
from stylegan.machine.console import warn
from stylegan.networks import Generator
from stylegan.sizes import size_text

# Floats nominally in [-1, 1] stay far below it, and floats in 0..255 do not.
LARGEST_VALUE = 10


class BatchCheck:
    """Shapes are checked in every step, which costs nothing; values in the first one alone: a GPU is waited for.

    Args:
        generator: whose size and channels the images must have.
        discriminator: whose `c_dim` is the width of the labels.
        batch_size: images a step, of all processes.
    """

    def __init__(self, generator: Generator, discriminator: nn.Module, batch_size: int):
        self.shape = (generator.channels, *generator.size)
        self.c_dim, self.batch_size = discriminator.c_dim, batch_size
        self.is_first = True

    def __call__(self, images: Tensor, labels: Tensor | None) -> None:
        """Args: images: [n,C,H,W]; labels: [n,K] or None.  Raises: ValueError that says what is wanted."""
        if len(images) * world() != self.batch_size:
            hint = "; with a DataLoader of your own: drop_last=True" if len(images) < self.batch_size else ""
            raise ValueError(f"the data gave {len(images)} images, batch_size is {self.batch_size}{hint}")
        if images.shape[1:] != self.shape:
            raise ValueError(
                f"images must be [n,{','.join(map(str, self.shape))}] for networks of {self.shape[0]} channels and"
                f" {size_text(self.shape[1:])} px, got {list(images.shape)}"
            )
        if self.c_dim and (labels is None or labels.shape != (len(images), self.c_dim)):
            got = "none" if labels is None else f"{list(labels.shape)}"
            raise ValueError(
                f"labels must be [n,{self.c_dim}], got {got}; for numbers of classes:"
                f" torch.nn.functional.one_hot(numbers, {self.c_dim})"
            )
        if self.is_first:
            self.is_first = False
            self._check_values(images)

    def _check_values(self, images: Tensor) -> None:
        if images.dtype == torch.uint8:
            return
        if not images.is_floating_point():
            raise ValueError(f"images must be uint8 in 0 to 255, or floats in -1 to 1, got {images.dtype}")
        low, high = float(images.min()), float(images.max())
        if max(-low, high) > LARGEST_VALUE:
            raise ValueError(
                f"images that are floats must be in -1 to 1, got {low:g} to {high:g}; or give uint8"
            )
        if low >= 0 and 0 < high <= 1 and not rank():
            warn(f"the first images are floats in {low:g} to {high:g}: they should be in -1 to 1, or uint8")


def images_and_labels(batch: object) -> tuple[Tensor, Tensor | None]:
    """A loader's batch → images and labels.

    Args:
        batch: (images, labels), (images,), or images alone.
    Raises: ValueError for anything else, as a dictionary.
    """
    if isinstance(batch, Tensor):
        return batch, None
    tensors = isinstance(batch, Sequence) and all(isinstance(part, Tensor) for part in batch)
    if tensors and len(batch) in (1, 2):
        return batch[0], batch[1] if len(batch) == 2 else None
    keys = f" with {', '.join(map(str, batch))}" if isinstance(batch, dict) else ""
    raise ValueError(f"a batch must be (images, labels), or images alone, got a {type(batch).__name__}{keys}")
