"""Sizes of pictures, height before width, and the blocks of the networks that draw them.

A network grows from an a×b constant by doublings: H = a·2ⁿ, W = b·2ⁿ. Squares of a power of two begin at 4×4, as
published, so that their weights load by name.
"""

import math
import re
from collections.abc import Sequence
from functools import cache

Size = tuple[int, int]  # height, width in px

LARGEST_PX = 2048
SMALLEST_SIDE, LARGEST_SIDE = 3, 16  # of the constant


def parse_size(value: int | str | Sequence[int]) -> Size:
    """32, "32", "48x32" (height x width) or [48, 32] → (height, width).

    Raises: ValueError for anything else, or a size that no network can have.
    """
    size = _read(value)
    if size is None:
        raise ValueError(
            f"resolution must be pixels a side or height x width, as in 64 or 48x32; got {value}"
        )
    block_sizes(*size)
    return size


def _read(value: object) -> Size | None:
    if isinstance(value, str):
        match = re.fullmatch(r"(\d{1,6})(?:[x×](\d{1,6}))?", value.strip(), re.ASCII | re.IGNORECASE)
        return (int(match[1]), int(match[2] or match[1])) if match else None
    sides = (value, value) if isinstance(value, int) else value
    if not isinstance(sides, Sequence) or len(sides) != 2:
        return None
    height, width = sides
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    return (height, width) if whole else None


def size_text(size: Size) -> str:
    """(48, 32) → `48x32`, (32, 32) → `32x32`."""
    return f"{size[0]}x{size[1]}"


def plain_size(size: Size) -> int | list[int]:
    """As it is stored: one number for a square, [height, width] else."""
    height, width = size
    return height if height == width else [height, width]


def block_sizes(height: int, width: int) -> list[Size]:
    """Height and width of each block, lowest first: 48, 32 → [(6, 4), (12, 8), (24, 16), (48, 32)].

    The number of doublings is the largest that leaves a constant of at least 3 px on each side.
    Raises: ValueError, with the nearest sizes that work, where there is none or the constant is above 16 px.
    """
    constant = _constant(height, width)
    if constant is None:
        nearest = " or ".join(size_text(size) for size in nearest_sizes(height, width))
        raise ValueError(
            f"no network draws {size_text((height, width))}: each side must be 3 to 16 times the same power of two"
            f" (96x96, 128x128), at most {LARGEST_PX} px; the nearest sizes are {nearest}"
        )
    doublings = (height // constant[0]).bit_length() - 1
    return [(constant[0] << n, constant[1] << n) for n in range(doublings + 1)]


# A doubling counts as much as a crop that takes a sixth: what is cut off is lost, what is resized is still there.
_SHAPE_WEIGHT = 4.0


def nearest_sizes(height: int, width: int, count: int = 3) -> list[Size]:
    """The sizes that work and differ least from height and width: in shape, by which pictures are cut, then in scale.

    Both are compared as logarithms of ratios.
    """
    old_height, old_width = max(height, 1), max(width, 1)

    def apart(size: Size) -> float:
        taller, wider = math.log(size[0] / old_height), math.log(size[1] / old_width)
        return _SHAPE_WEIGHT * abs(taller - wider) + abs(taller + wider) / 2

    return sorted(_all_sizes(), key=lambda size: (apart(size), size))[:count]


@cache
def _all_sizes() -> frozenset[Size]:
    """Every size that works."""
    sides = range(SMALLEST_SIDE, LARGEST_SIDE + 1)
    doublings = range(1, LARGEST_PX.bit_length())
    found = ((a << n, b << n) for n in doublings for a in sides for b in sides)
    return frozenset(size for size in found if max(size) <= LARGEST_PX)


def _constant(height: int, width: int) -> Size | None:
    """What a network of this size grows from; None where there is no such network."""
    if not (0 < height <= LARGEST_PX and 0 < width <= LARGEST_PX):
        return None
    a, b, doublings = height, width, 0
    while a % 2 == b % 2 == 0 and min(a, b) // 2 >= SMALLEST_SIDE:
        a, b, doublings = a // 2, b // 2, doublings + 1
    fits = doublings >= 1 and SMALLEST_SIDE <= min(a, b) and max(a, b) <= LARGEST_SIDE
    return (a, b) if fits else None
