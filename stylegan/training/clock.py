"""Where a training is: images seen is the only clock, and how often it went back; and the questions put to them."""

import torch
from torch import Tensor, nn


def images_of_kimg(kimg: float) -> int:
    """Thousands of images to whole images: 1.6 → 1600."""
    return round(kimg * 1000)


def is_due(every_kimg: float, *, before_images: int, after_images: int) -> bool:
    """Whether an iteration that moved the clock from `before_images` to `after_images` reached or passed a
    multiple of `every_kimg`. Cadences below one image count as one image.

    Raises: ValueError unless `every_kimg` is positive.
    """
    if every_kimg <= 0:
        raise ValueError(f"every_kimg must be above 0, got {every_kimg}; delete the callback to turn it off")
    every_images = max(1, images_of_kimg(every_kimg))
    return after_images // every_images > before_images // every_images


class ImageClock(nn.Module):
    """The clock of a module that trains by whole batches: a buffer `images_seen` (int64) and what follows from it.

    A base class, so that the buffer lies at the top of the checkpoint.
    """

    images_seen: Tensor
    rollbacks: Tensor

    def set_clock(self, *, batch_size: int, total_kimg: float) -> None:
        """Start at 0. Raises: ValueError for a total or a batch that is not positive."""
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not 0 < total_kimg < float("inf"):
            raise ValueError(f"total_kimg must be a number above 0, got {total_kimg}")
        self.batch_size, self.total_images = batch_size, images_of_kimg(total_kimg)
        self.register_buffer("images_seen", torch.zeros([], dtype=torch.int64))
        # How often the run went back to an older checkpoint: part of the key of every draw from then on.
        self.register_buffer("rollbacks", torch.zeros([], dtype=torch.int64))
        self._rollbacks_to_be: int | None = None
        # Older checkpoints do not count them.
        self.register_load_state_dict_pre_hook(
            lambda module, state, prefix, *_: state.setdefault(f"{prefix}rollbacks", module.rollbacks)
        )
        self._images: int | None = None
        self.register_load_state_dict_post_hook(lambda module, _: setattr(module, "_images", None))

    @property
    def images(self) -> int:
        """Images seen. Read from the device once, counted along from then on."""
        if self._images is None:
            self._images = int(self.images_seen)
        return self._images

    def went_back(self, times: int) -> None:
        """From the next start of training on, whatever a checkpoint restores, `rollbacks` is `times`."""
        self._rollbacks_to_be = times

    def settle_rollbacks(self) -> int:
        """How often the run went back; to be called when all is restored."""
        if self._rollbacks_to_be is not None:
            self.rollbacks.fill_(self._rollbacks_to_be)
            self._rollbacks_to_be = None
        return int(self.rollbacks)

    @property
    def kimg(self) -> float:
        """Thousands of images seen."""
        return self.images / 1000

    @property
    def iteration(self) -> int:
        """Of the next step, counted from 0."""
        return self.images // self.batch_size

    @property
    def is_last(self) -> bool:
        """Whether the iteration just finished was the last."""
        return self.images >= self.total_images

    def due(self, every_kimg: float) -> bool:
        """Whether the iteration just finished reached or passed a multiple of `every_kimg`, or was the last."""
        before = self.images - self.batch_size
        return self.is_last or is_due(every_kimg, before_images=before, after_images=self.images)

    def advance(self) -> None:
        """One iteration is done."""
        self._images = self.images + self.batch_size
        self.images_seen += self.batch_size
