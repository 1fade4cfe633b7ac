"""The flowers as a set of images."""

import hashlib

import numpy as np
import torch

from datamodules.datasets.flowers import MAX_PETALS, MIN_PETALS, NUM_CLASSES, cut_out, grow, paint, petals_of
from datamodules.datasets.image_dataset import ImageDataset


class FlowersDataset(ImageDataset):
    """The flowers 0 .. num_items-1 of a seed.

    Args: size: height and width in px; channels: 3 = RGB, 1 = luma, both on the ground; 4 and 2 = the same with
      an alpha, and no ground; labelled: one-hot number of petals, or no label.
    """

    def __init__(self, *, seed: int, num_items: int, size: tuple[int, int], channels: int, labelled: bool):
        self.seed = seed
        self.num_items = num_items
        self.size = size
        self.channels = channels
        if labelled:
            self.label_width, self.label_kind = NUM_CLASSES, "classes"
            self.label_names = [f"{petals} petals" for petals in range(MIN_PETALS, MAX_PETALS + 1)]

    def __len__(self) -> int:
        return self.num_items

    def image(self, index: int) -> torch.Tensor:
        draw = cut_out if self.channels in (2, 4) else paint
        picture = draw(grow(self.seed, index), self.size)
        if self.channels <= 2:
            # Rec. 601 luma in 16-bit fixed point; the weights sum to 2^16, so white stays white.
            red, green, blue = picture[:3].astype(np.uint32)
            luma = ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).astype(np.uint8)
            picture = np.concatenate([luma[None], picture[3:]])
        return torch.from_numpy(picture)

    def labels(self, indices: torch.Tensor) -> torch.Tensor:
        if not self.label_width:
            return super().labels(indices)
        classes = petals_of(indices) - MIN_PETALS
        return torch.nn.functional.one_hot(classes, NUM_CLASSES).to(torch.float32)

    def fingerprint(self) -> str:
        """Of the numbers that flowers are drawn by, the same at every size."""
        grown = [vars(grow(self.seed, index)).values() for index in range(min(self.num_items, 64))]
        # Rounded: the last digits of tan() and the like are each machine's own.
        numbers = [[np.round(value, 5).tolist() for value in flower] for flower in grown]
        text = repr(["flowers", self.seed, self.num_items, self.label_width, numbers])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def content_digest(self) -> str:
        """Of the numbers, the size, and some pictures, which tell of a change in how all are painted."""
        digest = hashlib.blake2b(f"{self.fingerprint()} {self.size}".encode(), digest_size=16)
        for index in range(min(self.num_items, 16)):
            digest.update(self.image(index).numpy().tobytes())
        return digest.hexdigest()
