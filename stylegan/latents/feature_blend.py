"""Feature blend: several latents draw one image together, each where its share is."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d


def group_size(count: int, chunk: int) -> int:
    """How many rows an image of `count` latents takes in a chunk: the next power of two, the last latent repeated.

    Raises: ValueError where a chunk, which has always the same number of rows, is too small.
    """
    size = 1 << (count - 1).bit_length()
    if chunk % size:
        raise ValueError(
            f"timeline: frame has {count} cells, and a network of this size blends at most {chunk & -chunk} in its"
            " features; take fewer, or set frame: {blend: pixels}"
        )
    return size


@contextmanager
def blended_features(generator: nn.Module, shares: Tensor) -> Iterator[None]:
    """Inside, M rows that follow each other draw one image, which all of them are.

    After each layer with styles the M feature maps become their mean, weighted at each place by the shares there, and
    so do the colours that are added. Each latent continues from what all have drawn, so seams close over the layers.

    Args: shares: [G,M,H,W] at the size of the image, whose sum over M is 1: of the first G groups of rows; further
        rows, which fill up a chunk, have those of the last.
    """
    cache: dict[tuple[int, int], Tensor] = {}

    def blend(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        size = output.shape[-2:]
        if size not in cache:
            cache[size] = adaptive_avg_pool2d(shares.to(output.device), size)
        here = cache[size]
        groups = output.shape[0] // here.shape[1]
        here = torch.cat([here, here[-1:].expand(groups - len(here), -1, -1, -1)])
        rows = output.unflatten(0, (groups, -1))
        # One after the other: the order of a sum must not depend on how many rows there are.
        total = here[:, 0, None] * rows[:, 0]
        for latent in range(1, rows.shape[1]):
            total = total + here[:, latent, None] * rows[:, latent]
        return total.to(output.dtype).repeat_interleave(rows.shape[1], dim=0)

    hooks = [
        layer.register_forward_hook(blend)
        for name in generator.synthesis.block_names
        for layer in generator.synthesis.get_submodule(name).children()
        if hasattr(layer, "affine")
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
