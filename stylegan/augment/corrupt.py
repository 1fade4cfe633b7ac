"""Corruptions of the image: additive noise and cutout."""

import torch
from torch import Tensor


def add_noise(images: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """images + sigma · noise.

    Args: images [N,C,H,W]; sigma [N,1]; noise [N,C,H,W], unit normal.  Returns: [N,C,H,W]."""
    return torch.addcmul(images, sigma[:, :, None, None], noise)


def cut_out(images: Tensor, size: Tensor, center: Tensor) -> Tensor:
    """Zero a box of each image.

    Args: images [N,C,H,W]; size [N,1] and center [N,2] (x, y) as shares of the sides.  Returns: [N,C,H,W]."""
    height, width = images.shape[2:]
    outside_x = _outside(width, center[:, 0:1], size)
    outside_y = _outside(height, center[:, 1:2], size)
    return images * (outside_y[:, None, :, None] | outside_x[:, None, None, :])


def _outside(side: int, center: Tensor, size: Tensor) -> Tensor:
    """Pixel centres of an axis that the box leaves alone: bool [N, side]."""
    position = (torch.arange(side, device=center.device, dtype=center.dtype) + 0.5) / side
    return (position - center).abs() >= size / 2
