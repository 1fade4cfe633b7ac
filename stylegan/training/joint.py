"""Two batches as one: half as many kernels, and every weight is read, and gets its gradient, once."""

import torch
from torch import Tensor


def join(first: Tensor, second: Tensor, group: int) -> Tensor:
    """[N,...] and [N,...] → [2N,...], so that no minibatch-std group has samples of both.

    Sample n of a batch belongs to group n mod (N / group) (see `minibatch_std`); N must be a multiple of `group`.
    The groups of the first batch become the first ones of the joint batch, those of the second follow.
    """
    groups = len(first) // group
    both = [batch.reshape(group, groups, *batch.shape[1:]) for batch in (first, second)]
    return torch.cat(both, dim=1).flatten(0, 1)


def separate(joint: Tensor, group: int) -> tuple[Tensor, Tensor]:
    """The two batches again, of what came of the joint one."""
    halves = joint.reshape(group, -1, *joint.shape[1:]).chunk(2, dim=1)
    first, second = (half.flatten(0, 1) for half in halves)
    return first, second
