"""Image clock: the images seen so far, the cadences that follow from them, and how often the run went back."""

from typing import Any

import torch
from torch import Tensor, nn


def images_of_kimg(kimg: float) -> int:
    """Thousands of images to whole images: 1.6 → 1600."""
    return round(kimg * 1000)


def is_due(every_kimg: float, *, before_images: int, after_images: int) -> bool:
    """Whether an iteration reached or passed a multiple of `every_kimg`.

    Args:
        every_kimg: cadence, above 0; below one image it counts as one image.
        before_images: images seen before the iteration.
        after_images: images seen after it.
    Raises: ValueError unless `every_kimg` is positive.
    """
    if every_kimg <= 0:
        raise ValueError(f"every_kimg must be above 0, got {every_kimg}; delete the callback to turn it off")
    every_images = max(1, images_of_kimg(every_kimg))
    return after_images // every_images > before_images // every_images


class ImageClock(nn.Module):
    """The only clock of a training by whole batches.

    Args:
        batch_size: images an iteration, of all processes.
        total_kimg: thousands of images after which training ends.
    Buffers: `images_seen`, `rollbacks` (int64).
    Raises: ValueError for a batch or a total that is not positive.
    """

    images_seen: Tensor
    rollbacks: Tensor

    def __init__(self, *, batch_size: int, total_kimg: float):
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not 0 < total_kimg < float("inf"):
            raise ValueError(f"total_kimg must be a number above 0, got {total_kimg}")
        self.batch_size, self.total_images = batch_size, images_of_kimg(total_kimg)
        self.register_buffer("images_seen", torch.zeros([], dtype=torch.int64))
        # How often the run went back to an older checkpoint: part of the key of every draw from then on.
        self.register_buffer("rollbacks", torch.zeros([], dtype=torch.int64))
        self._next_rollbacks: int | None = None
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
        """Counts one more iteration."""
        self._images = self.images + self.batch_size
        self.images_seen += self.batch_size

    def went_back(self, times: int) -> None:
        """Sets `rollbacks` at the next start of training, after a checkpoint has restored its own."""
        self._next_rollbacks = times

    def settle_rollbacks(self) -> int:
        """How often the run went back; to be called once everything is restored."""
        if self._next_rollbacks is not None:
            self.rollbacks.fill_(self._next_rollbacks)
            self._next_rollbacks = None
        return int(self.rollbacks)


_CHILD = "clock."


def keep_clock_at_top(module: nn.Module) -> None:
    """Lets the state of `module` hold the buffers of its child `clock` without a prefix, as checkpoints have them."""
    module.register_state_dict_post_hook(_lift)
    module.register_load_state_dict_pre_hook(_lower)


def _lift(module: nn.Module, state: dict[str, Any], prefix: str, _: dict[str, Any]) -> None:
    inside = prefix + _CHILD
    for name in list(state):
        # Each of them, so that their order stays.
        value = state.pop(name)
        state[prefix + name.removeprefix(inside) if name.startswith(inside) else name] = value


def _lower(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name in ("images_seen", "rollbacks"):
        if prefix + name in state:
            state[f"{prefix}{_CHILD}{name}"] = state.pop(prefix + name)
