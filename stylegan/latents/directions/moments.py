"""Moments of w: its mean and covariance over seeds, from which each direction has its sigma."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stylegan.latents.sampling import Sampler
from stylegan.latents.seeds import latents_of

# w of so many seeds is in memory at a time.
_AT_ONCE = 4096


class Moments(NamedTuple):
    """Mean [W] and covariance [W,W] of w over `count` seeds, float64 on the CPU."""

    mean: Tensor
    covariance: Tensor
    count: int

    def sigma(self, vectors: Tensor) -> Tensor:
        """Standard deviation of w along vectors [...,W], in units of their length: float64 [...]."""
        vectors = vectors.to(torch.float64)
        lengths = vectors.norm(dim=-1).clamp_min(1e-300)
        return ((vectors @ self.covariance) * vectors).sum(-1).clamp_min(0).sqrt() / lengths


def sampled_ws(sampler: Sampler, samples: int, labels: Sequence[Tensor | None] = (None,)) -> Iterator[Tensor]:
    """w of the seeds 0 to `samples` - 1 before truncation, in blocks: float64 [n,W] on the CPU.

    Args: labels: [K] each, which the seeds take in turn; [None] for a network without labels.
    """
    for first in range(0, samples, _AT_ONCE):
        seeds = range(first, min(first + _AT_ONCE, samples))
        own = [labels[seed % len(labels)] for seed in seeds]
        label = None if own[0] is None else torch.stack([one for one in own if one is not None])
        ws = sampler.map(latents_of(seeds, sampler.generator.z_dim), label)
        yield ws[:, 0].to("cpu", torch.float64)


def moments_of(blocks: Iterator[Tensor]) -> Moments:
    """Mean and covariance, divided by n, of rows in blocks [n,W].

    Each block is taken about the mean of all before it, so that a mean far from 0 costs no digits.
    Raises: ValueError for fewer than 2 rows.
    """
    count, mean, scatter = 0, torch.zeros(()), torch.zeros(())
    for rows in blocks:
        rows = rows.to(torch.float64)
        own = rows.mean(dim=0)
        centred = rows - own
        gap = own - mean
        total = count + len(rows)
        # Chan, Golub, LeVeque 1979: scatter of a union from those of its parts.
        scatter = scatter + centred.T @ centred + torch.outer(gap, gap) * (count * len(rows) / total)
        mean = mean + gap * (len(rows) / total)
        count = total
    if count < 2:
        raise ValueError(f"samples must be at least 2, got {count}")
    return Moments(mean, scatter / count, count)
