"""Batch split: which samples go to which part and process, and two batches joined for one pass."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from stylegan.distributed.collectives import sum_over_ranks

T = TypeVar("T")


@dataclass(frozen=True)
class BatchSplit:
    """Sample i belongs to part i mod `count`, part k to process k mod `world`; the data's sampler does the same.

    The stride keeps the groups of the minibatch standard deviation whole, since they are strided, too. What is
    computed depends on the parts alone, whichever process works on them.

    Args:
        samples: of the whole batch.
        count: parts, on all processes together.
        rank: of this process.
        world: how many processes there are.
    """

    samples: int
    count: int
    rank: int = 0
    world: int = 1

    def own(self, parts: Sequence[T]) -> Sequence[T]:
        """Of all parts, those of this process; there may be none."""
        return parts[self.rank :: self.world]

    def split(self, values: Tensor) -> list[Tensor]:
        """Values [samples] of the whole batch → those of each part of this process."""
        return [values[k :: self.count] for k in range(self.rank, self.count, self.world)]

    def gather(self, values: Sequence[Tensor], like: Tensor) -> Tensor:
        """Values of each part of this process → [samples], of the whole batch, on all processes.

        Args:
            values: one tensor a part of this process.
            like: gives dtype and device.
        """
        whole = like.new_zeros(self.samples)
        for place, value in zip(self.split(whole), values, strict=True):
            place.copy_(value.detach())  # a view of the whole
        return sum_over_ranks(whole)

    def first_parts(self, most: int, *, world: int) -> "BatchSplit":
        """The first parts that rank 0 of `world` processes has, `most` at the most.

        The others belong to processes that are not there, so this is for measurements, not for training.
        """
        parts = min(most, len(range(0, self.count, world)))
        return replace(self, rank=0, world=-(-self.count // parts))


def join(first: Tensor, second: Tensor, group: int) -> Tensor:
    """[N,...] and [N,...] → [2N,...], so that no minibatch-std group has samples of both.

    Sample n of a batch belongs to group n mod (N / group) (see `minibatch_std`); N must be a multiple of `group`.
    The groups of the first batch become the first ones of the joint batch, those of the second follow.
    """
    groups = len(first) // group
    both = [batch.reshape(group, groups, *batch.shape[1:]) for batch in (first, second)]
    return torch.cat(both, dim=1).flatten(0, 1)


def separate(joint: Tensor, group: int) -> tuple[Tensor, Tensor]:
    """Undoes `join`, for what was computed from the joint batch."""
    halves = joint.reshape(group, -1, *joint.shape[1:]).chunk(2, dim=1)
    first, second = (half.flatten(0, 1) for half in halves)
    return first, second
