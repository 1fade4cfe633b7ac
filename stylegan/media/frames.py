"""Frames: a video before it is written, any part of which can be drawn by itself."""

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor

from stylegan.sizes import Size


class Frames(Protocol):
    """The frames of a video, a function of their number alone.

    A writer asks for them in parts, so that memory does not grow with their number, and so that an interrupted
    rendering continues at any part and ends in the same pixels.

    Attributes:
        count: of frames, at least 1.
        size: (height, width) of a frame in px.
        channels: 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA.
    """

    count: int
    size: Size
    channels: int

    def draw(self, first: int, last: int) -> Iterator[Tensor]:
        """The frames `first` to `last` - 1 in order, in chunks of any length: uint8 [n,C,H,W] on any device."""
        ...
