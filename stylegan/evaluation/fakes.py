"""The pictures that are scored: fake i is that of seed `seed + i`, so anyone can draw it and look."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.evaluation.definitions import Definition
from stylegan.evaluation.published import check_published
from stylegan.images import to_uint8
from stylegan.latents import Sampler, latents_of
from stylegan.latents.seed_images import LARGEST_PSI, NOISE_MODES
from stylegan.latents.seeds import MAX_SEED

# Of a report.
NUM_FAKES = 400
# Keeps the choice of labels apart from other draws under the same seed.
_LABEL_STREAM = int.from_bytes(b"eval", "big")


def check_draws(
    definitions: Sequence[Definition],
    *,
    first_seed: int,
    truncation: float,
    noise_mode: str = "random",
    keys: str = "",
) -> None:
    """Before hours of training: whether everything that metrics and a report draw can be drawn.

    Args: keys: what stands before the names of the keys, as in "callbacks.metrics.".
    Raises: ValueError where there are not so many seeds, for a psi that is no number or far beyond any picture, an
      unknown noise mode, or what a published name does not allow.
    """
    check_noise_mode(noise_mode, keys)
    if not abs(truncation) <= LARGEST_PSI:
        raise ValueError(
            f"{keys}truncation={truncation}: it must be between -{LARGEST_PSI} and {LARGEST_PSI}"
        )
    check_published(definitions, truncation=truncation, noise_mode=noise_mode, keys=keys)
    seeds = [NUM_FAKES]
    for definition in definitions:
        # A path joins two latents.
        each = 2 if definition.score == "ppl" else 1
        if definition.num_fakes > (most := (MAX_SEED + 1) // each):
            raise ValueError(
                f"{keys}num_fakes={definition.num_fakes}: for metrics={definition.name} it must be at most {most},"
                " since there are no more seeds"
            )
        seeds.append(definition.num_fakes * each)
    check_seeds(first_seed, max(seeds), keys)


def check_noise_mode(noise_mode: str, keys: str = "") -> None:
    """Raises: ValueError where there is none of that name. Args: keys: as in `check_draws`."""
    if noise_mode not in NOISE_MODES:
        raise ValueError(f"{keys}noise_mode={noise_mode}: it must be one of {', '.join(NOISE_MODES)}")


def check_seeds(first_seed: int, num: int, keys: str = "") -> None:
    """Raises: ValueError where there are not `num` seeds from the first one on. Args: keys: as in `check_draws`."""
    last = MAX_SEED + 1 - num
    if not 0 <= first_seed <= last:
        raise ValueError(f"{keys}first_seed={first_seed}: for {num:,} seeds it must be from 0 to {last}")


class Labelled(Protocol):
    """The real pictures that fakes have their labels of: `labels` of some, int64 [n] → float32 [n,K]."""

    def __len__(self) -> int: ...

    def labels(self, indices: Tensor) -> Tensor: ...


class Fakes:
    """Pictures of a generator by their number.

    Args: generator: in evaluation mode, on the device that draws. reals: None for a generator without
      labels; else fake i has the label of one of them, drawn with equal chances. num: how many there are at most.
      seed: of the first. truncation: psi. noise_mode: "random" (each its own), "const" or "none".
    Raises: ValueError for an unknown noise mode, or where there are not so many seeds.
    """

    def __init__(
        self,
        generator: nn.Module,
        reals: Labelled | None,
        *,
        num: int,
        seed: int = 0,
        truncation: float = 1.0,
        noise_mode: str = "random",
    ):
        check_noise_mode(noise_mode)
        check_seeds(seed, num)
        self.generator, self.seed, self.truncation, self.noise_mode = generator, seed, truncation, noise_mode
        self.sampler = Sampler(generator)
        self.labels = LabelsOfFakes(reals, num, seed) if generator.c_dim else None

    def images(self, numbers: range) -> Tensor:
        """uint8 [n,C,H,W] on the generator's device."""
        seeds = [self.seed + number for number in numbers]
        c = None if self.labels is None else self.labels.of(numbers)
        ws = self.sampler.map(latents_of(seeds, self.generator.z_dim), c, truncation=self.truncation)
        return to_uint8(self.sampler.draw(ws, self.noise_mode, noise_seeds=seeds))


class LabelsOfFakes:
    """Labels drawn with equal chances among those of real pictures; the first n are the same for any num >= n.

    Only those that are asked for are made: with many classes, a table of all would take gigabytes.
    """

    def __init__(self, reals: Labelled, num: int, seed: int):
        self._reals = reals
        places = np.random.default_rng([seed, _LABEL_STREAM]).random(num)
        self._chosen = torch.from_numpy((places * len(reals)).astype(np.int64))

    def of(self, numbers: range) -> Tensor:
        """float32 [n,K] of the fakes `numbers`, as far as there are any."""
        return self._reals.labels(self._chosen[numbers.start : numbers.stop])
