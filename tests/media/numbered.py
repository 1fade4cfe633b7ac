"""Frames that say their number, legible after lossy encoding and by any reader."""

import numpy as np
import torch

_BITS = 12


class Numbered:
    """A column of black and white blocks a frame: the bits of its number; the rest is a colour that moves.

    Args: opaque: alpha of the frames that have it, in their left half; the right half is opaque.
    """

    def __init__(self, count, size=(48, 64), channels=3, *, opaque=255, chunk=7, stop_at=None, floats=False):
        self.count, self.size, self.channels = count, size, channels
        self.opaque, self.chunk, self.stop_at, self.floats = opaque, chunk, stop_at, floats
        self.drawn = []

    def draw(self, first, last):
        for start in range(first, last, self.chunk):
            numbers = range(start, min(start + self.chunk, last))
            if self.stop_at in numbers:
                raise KeyboardInterrupt
            self.drawn += numbers
            yield torch.stack([self.frame(number) for number in numbers])

    def frame(self, number):
        height, width = self.size
        colors = self.channels - (self.channels in (2, 4))
        image = torch.zeros(self.channels, height, width, dtype=torch.uint8)
        for channel in range(colors):
            ramp = torch.linspace(20 + 60 * channel, 90 + 60 * channel, width)
            image[channel] = (ramp + 10 * np.sin(number / 9 + channel)).to(torch.uint8)
        block = height // _BITS
        for bit in range(_BITS):
            image[:colors, bit * block : (bit + 1) * block, : width // 4] = 255 * (number >> bit & 1)
        if self.channels in (2, 4):
            image[-1] = 255
            image[-1, :, : width // 2] = self.opaque
        return image.float() / 127.5 - 1 if self.floats else image


def number_in(image):
    """The number that a frame, [H,W] or [H,W,C] of any scale, says of itself."""
    image = np.asarray(image, dtype=np.float64)
    grey = image if image.ndim == 2 else image[..., : 1 if image.shape[-1] == 2 else 3].mean(axis=-1)
    height, width = grey.shape
    block = height / _BITS
    said = 0
    for bit in range(_BITS):
        middle = grey[
            round((bit + 0.3) * block) : round((bit + 0.7) * block) or None, width // 16 : width // 6
        ]
        said |= int(middle.mean() > 127) << bit
    return said
