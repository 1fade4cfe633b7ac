"""The pictures that are scored: fake i is that of seed `seed + i`, so anyone can draw it and look."""

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.images import to_uint8
from stylegan.latents import Sampler, latents_of
from stylegan.latents.seeds import MAX_SEED

NOISE_MODES = ("random", "const", "none")
# Keeps the choice of labels apart from other draws under the same seed.
_LABEL_STREAM = int.from_bytes(b"eval", "big")


class Fakes:
    """Pictures of a generator by their number.

    Args: generator: in evaluation mode, on the device that draws. labels: [M,K] of the real pictures, None for a
      generator without labels: fake i has the label of a real one, drawn with equal chances. num: how many there
      are at most. seed: of the first. truncation: psi. noise_mode: "random" (each its own), "const" or "none".
    Raises: ValueError for an unknown noise mode, or where there are not so many seeds.
    """

    def __init__(
        self,
        generator: nn.Module,
        labels: Tensor | None,
        *,
        num: int,
        seed: int = 0,
        truncation: float = 1.0,
        noise_mode: str = "random",
    ):
        if noise_mode not in NOISE_MODES:
            raise ValueError(f"noise_mode={noise_mode}: it must be one of {', '.join(NOISE_MODES)}")
        if not 0 <= seed <= MAX_SEED + 1 - num:
            raise ValueError(
                f"first_seed={seed}: for {num:,} pictures it must be from 0 to {MAX_SEED + 1 - num}"
            )
        self.generator, self.seed, self.truncation, self.noise_mode = generator, seed, truncation, noise_mode
        self.sampler = Sampler(generator)
        self.labels = labels_of_fakes(labels, num, seed) if generator.c_dim else None

    def images(self, numbers: range) -> Tensor:
        """uint8 [n,C,H,W] on the generator's device."""
        seeds = [self.seed + number for number in numbers]
        c = None if self.labels is None else self.labels[numbers.start : numbers.stop]
        ws = self.sampler.map(latents_of(seeds, self.generator.z_dim), c, truncation=self.truncation)
        return to_uint8(self.sampler.draw(ws, self.noise_mode, noise_seeds=seeds))


def labels_of_fakes(labels: Tensor, num: int, seed: int) -> Tensor:
    """Labels [num,K], drawn with equal chances among labels [M,K]; the first n are the same for any num >= n."""
    chosen = np.random.default_rng([seed, _LABEL_STREAM]).random(num)
    return labels[torch.from_numpy((chosen * len(labels)).astype(np.int64))]
