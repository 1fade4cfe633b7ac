"""Which reals may be a query's nearest: a first look at two colourless maps of each picture.

The channels of a picture are made uncorrelated with variance 1; what any affine change of colours then still does
is turn them among each other. The length of the colour at a pixel, and of its gradient, are the same under every
turn. Both maps, averaged over cells, are correlated at all shifts and in both directions; that is one matrix product
an alignment. Legend: N reals, M queries, K candidates, D values of the averaged maps.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as nn_functional

MAX_SHIFT_PX = 3
# Variance, in grey levels squared, that every channel is granted: a grey picture has no second colour.
_NOISE_VARIANCE = 4.0
_CELLS = 8
# Reals that are compared at once; more would only cost memory.
_BLOCK = 4096


@dataclass(frozen=True)
class Candidates:
    """Reals int64 [M,K], and where in them a query may lie: bool and int64 [M,K]; down and across in px."""

    indices: Tensor
    mirrored: Tensor
    down: Tensor
    across: Tensor


def largest_shift(pictures: Tensor) -> int:
    """How far windows of pictures [...,h,w] are shifted either way, px: small pictures keep half of their side."""
    return max(0, min(MAX_SHIFT_PX, min(pictures.shape[-2:]) // 4))


def window(pictures: Tensor, margin: int, down: int, across: int) -> Tensor:
    """The window of [...,h,w] without a margin on each side, whose corner is at (down, across)."""
    height, width = (side - 2 * margin for side in pictures.shape[-2:])
    return pictures[..., down : down + height, across : across + width]


def find(reals: Tensor, queries: Tensor, itself: Tensor | None, count: int) -> Candidates:
    """The `count` reals that are most like each query.

    Args: reals: float32 [N,C,h,w] and queries [M,C,h,w] in grey levels; itself: int64 [M], the real that a query
      is and that does not count, or None.
    """
    margin = largest_shift(reals)
    height, width = (side - 2 * margin for side in reals.shape[-2:])
    cell = max(1, min(height, width) // _CELLS)
    middle = _described(window(_maps(queries), margin, margin, margin), cell)
    values = torch.full((len(queries), count), -9.0)
    indices = torch.zeros((len(queries), count), dtype=torch.int64)
    where = torch.zeros_like(indices)
    for first in range(0, len(reals), _BLOCK):
        maps = _maps(reals[first : first + _BLOCK])
        best, best_where = _best_alignment(maps, middle, margin, cell)
        if itself is not None:
            mine = (itself >= first) & (itself < first + len(maps))
            best[mine, itself[mine] - first] = -9.0
        some, places = best.topk(min(count, len(maps)), dim=1)
        values, order = torch.cat([values, some], dim=1).topk(count, dim=1)
        indices = torch.cat([indices, places + first], dim=1).gather(1, order)
        where = torch.cat([where, best_where.gather(1, places).to(torch.int64)], dim=1).gather(1, order)
    chosen = torch.tensor(list(_alignments(margin)), dtype=torch.int64)[where]
    return Candidates(indices, chosen[..., 0] == 1, chosen[..., 1], chosen[..., 2])


def _alignments(margin: int) -> Iterator[tuple[int, int, int]]:
    """mirrored (0 or 1), rows down, columns across."""
    places = range(2 * margin + 1)
    return ((mirrored, down, across) for mirrored in (0, 1) for down in places for across in places)


def _best_alignment(maps: Tensor, middle: Tensor, margin: int, cell: int) -> tuple[Tensor, Tensor]:
    """Correlation [M,n] of queries with reals at the best alignment, and the alignment's number, int16 [M,n]."""
    best = torch.full((len(middle), len(maps)), -9.0)
    where = torch.zeros((len(middle), len(maps)), dtype=torch.int16)
    turned = maps.flip(-1)
    for number, (mirrored, down, across) in enumerate(_alignments(margin)):
        described = _described(window(turned if mirrored else maps, margin, down, across), cell)
        alike = middle @ described.T
        where.masked_fill_(alike > best, number)
        torch.maximum(best, alike, out=best)
    return best, where


def _maps(pictures: Tensor) -> Tensor:
    """[N,C,h,w] → [N,2,h,w]: length of the gradient and of the colour, of pictures with uncorrelated channels."""
    flat = pictures.flatten(2)
    flat = flat - flat.mean(2, keepdim=True)
    spread = flat @ flat.transpose(1, 2) / flat.shape[2] + _NOISE_VARIANCE * torch.eye(flat.shape[1])
    factor = torch.linalg.cholesky(torch.linalg.inv(spread))
    colours = (factor.transpose(1, 2) @ flat).view_as(pictures)
    padded = nn_functional.pad(colours, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    gradient = (across.square() + down.square()).sum(1).sqrt()
    return torch.stack([gradient, colours.square().sum(1).sqrt()], dim=1)


def _described(maps: Tensor, cell: int) -> Tensor:
    """[N,2,h,w] → [N,D]: each map averaged over cells, centred, of length 1."""
    cells = nn_functional.avg_pool2d(maps, cell).flatten(2)
    cells = cells - cells.mean(2, keepdim=True)
    return (cells / cells.norm(dim=2, keepdim=True).clamp_min(1e-3)).flatten(1)
