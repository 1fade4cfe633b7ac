"""Fakes: the images that are scored. Fake i is that of seed `first_seed + i`, so anyone can draw it and look."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.images import to_uint8
from stylegan.latents import Sampler, latents_of
from stylegan.latents.sampling import NOISE_MODES
from stylegan.latents.seeds import MAX_SEED
from stylegan.latents.truncation import LARGEST_PSI

# Keeps the choice of labels apart from other draws under the same seed.
_LABEL_STREAM = int.from_bytes(b"eval", "big")


def check_truncation(truncation: float) -> None:
    """Raises: ValueError for a psi that is not a number or far beyond any image."""
    if not abs(truncation) <= LARGEST_PSI:
        raise ValueError(f"truncation must be between -{LARGEST_PSI} and {LARGEST_PSI}, got {truncation}")


def check_noise_mode(noise_mode: str) -> None:
    """Raises: ValueError for an unknown noise mode."""
    if noise_mode not in NOISE_MODES:
        raise ValueError(f"noise_mode must be one of {', '.join(NOISE_MODES)}, got {noise_mode}")


def check_seeds(first_seed: int, num_seeds: int) -> None:
    """Raises: ValueError where there are fewer seeds from the first one on."""
    last = MAX_SEED + 1 - num_seeds
    if not 0 <= first_seed <= last:
        raise ValueError(f"first_seed must be from 0 to {last} for {num_seeds:,} seeds, got {first_seed}")


class Labelled(Protocol):
    """Real images whose labels fakes have."""

    def __len__(self) -> int: ...

    def labels(self, indices: Tensor) -> Tensor:
        """Labels of some: int64 [n] → float32 [n,K]."""
        ...


class Fakes:
    """Images of a generator by their number.

    Args:
        generator: in evaluation mode, on the device that draws.
        reals: fake i has the label of one of them, drawn with equal chances; None for a generator without labels.
        num: how many fakes there are at most.
        first_seed: of fake 0.
        truncation: psi.
        noise_mode: "random" (each its own), "const" or "none".
    Raises: ValueError for an unknown noise mode, or where there are too few seeds.
    """

    def __init__(
        self,
        generator: nn.Module,
        reals: Labelled | None,
        *,
        num: int,
        first_seed: int = 0,
        truncation: float = 1.0,
        noise_mode: str = "random",
    ):
        check_noise_mode(noise_mode)
        check_seeds(first_seed, num)
        self.generator, self.first_seed = generator, first_seed
        self.truncation, self.noise_mode = truncation, noise_mode
        self.sampler = Sampler(generator)
        self.labels = LabelsOfFakes(reals, num, first_seed) if generator.c_dim else None

    def images(self, numbers: range) -> Tensor:
        """uint8 [n,C,H,W] on the generator's device."""
        seeds = [self.first_seed + number for number in numbers]
        c = None if self.labels is None else self.labels.of(numbers)
        ws = self.sampler.map(latents_of(seeds, self.generator.z_dim), c, truncation=self.truncation)
        return to_uint8(self.sampler.draw(ws, self.noise_mode, noise_seeds=seeds))


class LabelsOfFakes:
    """Labels drawn with equal chances among those of real images; the first n are the same for any num >= n.

    Only the requested ones are made: with many classes, a table of all would take gigabytes.

    Args:
        reals: whose labels are drawn.
        num: how many fakes there are at most.
        first_seed: of fake 0.
    """

    def __init__(self, reals: Labelled, num: int, first_seed: int):
        self._reals = reals
        places = np.random.default_rng([first_seed, _LABEL_STREAM]).random(num)
        self._chosen = torch.from_numpy((places * len(reals)).astype(np.int64))

    def of(self, numbers: range) -> Tensor:
        """float32 [n,K] of the fakes `numbers`, as far as there are any."""
        return self._reals.labels(self._chosen[numbers.start : numbers.stop])
