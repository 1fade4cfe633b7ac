"""The blocks of both networks: what they are called, how high, and how many channels they have."""

from collections.abc import Sequence
from typing import NamedTuple

from stylegan.sizes import Size, block_sizes, parse_size

FIRST_BLOCK_PX = 4

# Grey, grey and alpha, RGB, RGBA; more are planes that mean what the user's data mean.
MAX_CHANNELS = 64


class Block(NamedTuple):
    """`level`: the side of a square network's block of this index, which names it and sets its channels."""

    level: int
    size: Size

    @property
    def name(self) -> str:
        return f"b{self.level}"


def blocks_of(resolution: int | Sequence[int]) -> list[Block]:
    """The blocks, lowest first: 32 → b4 of 4×4, b8, b16, b32; [48, 32] → b4 of 6×4, b8 of 12×8, b16, b32.

    Raises: ValueError for a size that no network can have.
    """
    sizes = block_sizes(*parse_size(resolution))
    return [Block(FIRST_BLOCK_PX << index, size) for index, size in enumerate(sizes)]


def check_channels(channels: int) -> int:
    """The channels of the pictures.  Raises: ValueError outside of 1 to 64."""
    if not 1 <= channels <= MAX_CHANNELS:
        raise ValueError(f"channels must be between 1 and {MAX_CHANNELS}, got {channels}")
    return channels


def block_channels(level: int, *, channel_base: int, channel_max: int) -> int:
    """min(channel_base / level, channel_max), at least 1.

    Raises: ValueError where `channel_base` leaves no channel at this level.
    """
    channels = min(channel_base // level, channel_max)
    if channels < 1:
        raise ValueError(
            f"channel_base {channel_base} leaves no channel in block b{level}; it must be at least {level}"
        )
    return channels
