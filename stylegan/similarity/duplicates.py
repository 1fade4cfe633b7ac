"""Duplicates: images of a set that are equal, and images that are nearly so.

Two images are twins where one explains all but a tenth of the other (see `stylegan.similarity.neighbours`): the same
photograph at two qualities, mirrored, recoloured, or shifted a little.
"""

import torch
from torch import Tensor

from stylegan.similarity.neighbours import Neighbours, nearest

# Largest distance between twins.
TWIN_DISTANCE = 0.1


def first_of_equals(thumbnails: Tensor, *, mirrored: bool = True) -> Tensor:
    """Exact duplicates removed: the first image of each group of images that are equal byte for byte.

    Args:
        thumbnails: uint8 [N,C,h,w].
        mirrored: whether an image and its mirror image are equal, too.
    Returns: indices int64 [n], ascending.
    """
    return torch.tensor([group[0] for group in _equals(thumbnails, mirrored)], dtype=torch.int64)


def groups_of_equals(thumbnails: Tensor, *, mirrored: bool = True) -> list[list[int]]:
    """Exact duplicates by group: the indices of images that are equal byte for byte, of two or more.

    Args: as of `first_of_equals`.
    """
    return [group for group in _equals(thumbnails, mirrored) if len(group) > 1]


def _equals(thumbnails: Tensor, mirrored: bool) -> list[list[int]]:
    groups: dict[bytes, list[int]] = {}
    for index, image in enumerate(thumbnails):
        form = image.numpy().tobytes()
        if mirrored:
            form = min(form, image.flip(-1).contiguous().numpy().tobytes())
        groups.setdefault(form, []).append(index)
    return list(groups.values())


def nearest_others(thumbnails: Tensor, rows: Tensor | None = None, *, count: int = 2) -> Neighbours:
    """Nearest neighbours within one set: of each image, those among the other images.

    Args:
        thumbnails: uint8 [N,C,h,w], N of 2 or more.
        rows: int64 [M], the images to look at; None = all.
        count: neighbours of each.
    """
    rows = torch.arange(len(thumbnails)) if rows is None else rows
    return nearest(thumbnails, thumbnails[rows], itself=rows, count=count)


def are_twins(near: Neighbours) -> Tensor:
    """Near duplicates: bool [M], whether an image and its nearest neighbour are twins."""
    return near.distances[:, 0] < TWIN_DISTANCE


def groups_of_twins(near: Neighbours, rows: Tensor | None = None) -> list[list[int]]:
    """Images that are connected by twins, each in one group, in their order.

    Args: near, rows: as of `closest_pairs`.
    """
    group_of: dict[int, list[int]] = {}
    for place in are_twins(near).nonzero()[:, 0].tolist():
        one = place if rows is None else int(rows[place])
        other = int(near.indices[place, 0])
        joined = sorted({one, other, *group_of.get(one, ()), *group_of.get(other, ())})
        group_of.update(dict.fromkeys(joined, joined))
    return sorted({id(group): group for group in group_of.values()}.values())


def closest_pairs(near: Neighbours, rows: Tensor | None = None, *, most: int) -> list[tuple[int, int]]:
    """The pairs that are nearest to each other, nearest first; each image is in one of them at most.

    Args:
        near: as `nearest_others` gives them.
        rows: as there.
        most: how many pairs.
    """
    places = near.distances[:, 0].argsort(stable=True).tolist()
    pairs: list[tuple[int, int]] = []
    paired: set[int] = set()
    for place in places:
        one = place if rows is None else int(rows[place])
        other = int(near.indices[place, 0])
        if len(pairs) < most and not paired & {one, other}:
            pairs.append((one, other))
            paired |= {one, other}
    return pairs
