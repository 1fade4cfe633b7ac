"""Normalisation: second moment of latents, and the minibatch standard deviation."""

import torch
from torch import Tensor


def normalize_2nd_moment(x: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x · rsqrt(mean of x² along `dim` + eps); the shape of x. Source: Karras et al. 2018, section 4.2."""
    return x * (x.square().mean(dim=dim, keepdim=True) + eps).rsqrt()


def minibatch_std(x: Tensor, group_size: int | None = 4, num_channels: int = 1) -> Tensor:
    """Append maps that show how much the samples of a group differ, against mode collapse.

    Sample n belongs to group n mod (N / group); so a batch dealt out by stride keeps its groups whole.

    Args:
        x: [N,C,H,W].
        group_size: samples a group; where N is no multiple of it, the largest divisor of N below it. None = N.
        num_channels: F maps, each over C / F channels.
    Returns: [N, C + F, H, W].
    Raises: ValueError where C is no multiple of F.
    Source: Karras et al. 2018, section 3.
    """
    n, c, h, w = x.shape
    group = n if group_size is None else min(group_size, n)
    while n % group:
        group -= 1
    if c % num_channels:
        raise ValueError(f"minibatch std: {c} channels are no multiple of mbstd_channels {num_channels}")
    # Sums and roots are taken in float32 at least.
    y = x.to(torch.promote_types(x.dtype, torch.float32))
    y = y.reshape(group, n // group, num_channels, c // num_channels, h, w)
    deviation = ((y - y.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt()
    maps = deviation.mean(dim=[2, 3, 4]).to(x.dtype)
    maps = maps.repeat(group, 1)[:, :, None, None].expand(-1, -1, h, w)
    return torch.cat([x, maps], dim=1)
