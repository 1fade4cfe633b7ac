"""How detectors bring pictures to the size that they were trained on."""

import torch
import torch.nn.functional as F
from torch import Tensor


def tf1_bilinear(images: Tensor, size: int) -> Tensor:
    """float32 [N,C,H,W] → [N,C,size,size] by linear interpolation of pixels, as TensorFlow 1 did by default.

    Pixel i of the result is taken at i·H/size: the corners of both lie on each other at the top left only. Nothing
    is averaged, so a smaller picture has aliasing. Published numbers of Inception rest on both.
    """
    above, below, down = _neighbours(images.shape[2], size, images.device)
    left, right, across = _neighbours(images.shape[3], size, images.device)
    upper, lower = images[:, :, above], images[:, :, below]
    upper = upper[..., left] + (upper[..., right] - upper[..., left]) * across
    lower = lower[..., left] + (lower[..., right] - lower[..., left]) * across
    return upper + (lower - upper) * down[:, None]


def bicubic(images: Tensor, size: int) -> Tensor:
    """float32 [N,C,H,W] in 0..255 → [N,C,size,size] by an antialiased cubic filter; overshoots are cut off."""
    return F.interpolate(images, (size, size), mode="bicubic", antialias=True).clamp(0, 255)


def _neighbours(old: int, new: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of each new place: the pixel before it, the pixel after it, and how far it is between the two, in 0..1."""
    places = torch.arange(new, dtype=torch.float32, device=device) * torch.tensor(
        old / new, dtype=torch.float32
    )
    before = places.long()
    return before, (before + 1).clamp_max(old - 1), places - before.float()
