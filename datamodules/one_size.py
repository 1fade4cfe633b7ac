"""`resolution=null`: the size that the pictures have, if they have one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datamodules.folder_notes import sizes_counted
from stylegan.sizes import Size, nearest_sizes, parse_size, size_text


def agreed_size(path: str | Path, sizes: Sequence[Size]) -> Size:
    """The one size of all pictures. Args: sizes: height and width of each.

    Raises: ValueError, with sizes that work, where there are several, or no network has that size.
    """
    if len(set(sizes)) > 1:
        proposal = size_text(propose_size(sizes))
        raise ValueError(
            f"resolution=null needs pictures of one size, and those of {path} have {len(set(sizes))} "
            f"(height x width): {sizes_counted(sizes)}; set one for all, as in resolution={proposal}"
        )
    size = sizes[0]
    try:
        return parse_size(size)
    except ValueError:
        nearest = " or ".join(f"resolution={size_text(near)}" for near in nearest_sizes(*size))
        raise ValueError(
            f"resolution=null: the pictures of {path} are {size_text(size)} (height x width), which no network "
            f"draws; set {nearest}"
        ) from None


def propose_size(sizes: Sequence[Size]) -> Size:
    """A size for which three of four pictures need not be enlarged, as near as networks come to it."""
    heights, widths = np.array(sizes).T
    lower = (int(np.quantile(side, 0.25, method="lower")) for side in (heights, widths))
    return nearest_sizes(*lower)[0]
