"""Colour transforms, all in one affine map of a pixel's channels.

With v = (1,1,1)/√3, the axis of greys, each of the five keeps that axis and the plane across it apart:
brightness adds along v, contrast scales everything, luma flip negates v, hue turns the plane about v,
saturation scales the plane. They commute but for the offset, which contrast and luma flip, coming later,
scale. So the product of the five has a closed form, and a single channel, which is all axis, sees just its
first term.
"""

import math

import torch
from torch import Tensor

from stylegan.augment.parameters import Parameters


def colors_of(channels: int) -> int:
    """How many of the channels are colour: all of grey and RGB, all but the alpha of grey + alpha and RGBA.

    None of more than 4: those are planes of which only their owner knows what they mean.
    """
    return {1: 1, 2: 1, 3: 3, 4: 3}.get(channels, 0)


def has_alpha(channels: int) -> bool:
    """Whether the last channel is alpha, which moves and is cut out with its picture, and keeps its values."""
    return channels in (2, 4)


def color_map(parameters: Parameters, channels: int) -> tuple[Tensor, Tensor]:
    """The matrix [N,C,C] and offset [N,C] of each sample.

    Args: channels: colours, 1 or 3.
    """
    contrast = parameters.contrast.exp2()
    axis = contrast * (1 - 2 * parameters.lumaflip)
    offset = axis * parameters.brightness
    if channels == 1:
        return axis[:, :, None], offset
    plane = contrast * parameters.saturation.exp2()
    cos, sin = plane * parameters.hue.cos(), plane * parameters.hue.sin() / math.sqrt(3)
    # axis · vvᵀ + cos · (I − vvᵀ) + sin · [v]×: circulant, so three numbers fill it.
    mean = (axis - cos) / 3
    same, after, before = mean + cos, mean - sin, mean + sin
    matrix = torch.cat([same, after, before, before, same, after, after, before, same], dim=1)
    return matrix.reshape(-1, 3, 3), offset.expand(-1, 3)


def recolor(images: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """matrix · pixel + offset, pixel by pixel.

    Args: images [N,C,H,W]; matrix [N,C,C]; offset [N,C].  Returns: [N,C,H,W]."""
    # A sum of planes: a matrix product is rounded to TF32 where the user allows that.
    out = offset[:, :, None, None]
    for channel in range(images.shape[1]):
        out = torch.addcmul(out, matrix[:, :, channel, None, None], images[:, channel : channel + 1])
    return out
