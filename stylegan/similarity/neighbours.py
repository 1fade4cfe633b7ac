"""Nearest neighbours under a distance that mirroring, shifts and changes of colour leave unchanged.

How much of an image does another one explain, after any change to it? The middle of an image f is compared with
windows of an image r and of its mirror image, shifted by up to 3 px of a thumbnail. A window explains f by the best
affine map of its colours (any hue, brightness, contrast, negatives included): the least squares of f's channels on
those of the window. The distance is the square root of the share of f's energy that is left, 0 to 1.

Which references may be the nearest is found on two colourless maps of each image. The channels of an image are made
uncorrelated with variance 1; what any affine change of colours then still does is rotate them. The length of the
colour at a pixel, and of its gradient, are the same under every rotation. Both maps, averaged over cells, are
correlated at all shifts and in both directions; that is one matrix product an alignment.

Legend: N references, M queries, B some of them, C channels, K candidates, P pixels of a window, S shifts at whole
pixels, O also at half ones, D values of the averaged maps.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as nn_functional

from stylegan.similarity.thumbnails import blurred

# Noise that every value may have, in grey levels: rounding, mild compression. It also keeps flat images finite.
NOISE_LEVELS = 2.0
# Neighbours that are measured exactly, of those that look nearest at first.
CANDIDATES = 8
# Neighbours after the nearest that the nearest is compared with.
NEXT = 5
# Floats that a step holds at once: 64 MiB.
_BLOCK_FLOATS = 1 << 24
# Of the windows that are compared, either way.
MAX_SHIFT_PX = 3
# Variance, in grey levels squared, that is added to every channel: a grey image has no second colour.
_NOISE_VARIANCE = 4.0
_CELLS = 8
# References that are compared at once; more would only cost memory.
_BLOCK = 4096


@dataclass(frozen=True)
class Neighbours:
    """Nearest neighbours of M queries.

    Attributes:
        distances: float32 [M,K], ascending.
        indices: int64 [M,K], of the references.
    """

    distances: Tensor
    indices: Tensor

    def distance_ratio(self) -> Tensor:
        """Nearest neighbour distance ratio, float32 [M]: the distance of the nearest over the mean of the next 5.

        It is small for a copy and near 1 for any other image. In a set whose images are all alike all distances are
        small, and in any set those of plain images are; the ratio is the same. 1 where there is no second neighbour.
        """
        if self.distances.shape[1] < 2:
            return torch.ones(len(self.distances))
        return self.distances[:, 0] / self.distances[:, 1 : 1 + NEXT].mean(1).clamp_min(1e-9)


@dataclass(frozen=True)
class Candidates:
    """References that may be a query's nearest, and where in them it may be.

    Attributes:
        indices: int64 [M,K].
        mirrored: bool [M,K].
        down, across: int64 [M,K], the corner of the window in px.
    """

    indices: Tensor
    mirrored: Tensor
    down: Tensor
    across: Tensor


def nearest(
    references: Tensor, queries: Tensor, *, itself: Tensor | None = None, count: int = CANDIDATES
) -> Neighbours:
    """Nearest neighbours by the invariant distance.

    Args:
        references: thumbnails, uint8 [N,C,h,w].
        queries: thumbnails, uint8 [M,C,h,w].
        itself: int64 [M], the reference that each query is, which does not count; None = the queries are no
            references.
        count: neighbours a query, at most.
    """
    references, queries = blurred(references), blurred(queries)
    candidates = find_candidates(
        references, queries, itself, min(count, len(references) - (itself is not None))
    )
    distances = _distances(references, queries, candidates)
    order = distances.argsort(dim=1, stable=True)
    return Neighbours(distances.gather(1, order), candidates.indices.gather(1, order))


def nearest_features(references: Tensor, queries: Tensor, *, itself: Tensor | None = None) -> Neighbours:
    """Nearest neighbours by the Euclidean distance of features.

    Args:
        references: float32 [N,F].
        queries: float32 [M,F].
        itself: as in `nearest`.
    """
    count = min(NEXT + 1, len(references) - (itself is not None))
    distances, indices = [], []
    for rows in torch.arange(len(queries)).split(max(1, _BLOCK_FLOATS // len(references))):
        some = torch.cdist(queries[rows], references)
        if itself is not None:
            some[torch.arange(len(rows)), itself[rows]] = torch.inf
        found = some.topk(count, dim=1, largest=False)
        distances.append(found.values)
        indices.append(found.indices)
    return Neighbours(torch.cat(distances), torch.cat(indices))


def _centred(pixels: Tensor) -> Tensor:
    return pixels - pixels.mean(-1, keepdim=True)


def _distances(references: Tensor, queries: Tensor, candidates: Candidates) -> Tensor:
    """Distances [M,K] at the best of the shifts within 1 px of the candidates', in steps of half a pixel."""
    margin = largest_shift(references)
    reach = min(1, margin)
    middle = _centred(window(queries, margin, margin, margin).flatten(2))
    channels, pixels = middle.shape[1:]
    noise = NOISE_LEVELS**2 * channels * pixels
    energy = middle.square().sum((1, 2)) + noise
    between = _half_steps(2 * reach + 1)
    explained = torch.empty(candidates.indices.shape)
    step = max(1, _BLOCK_FLOATS // (candidates.indices.shape[1] * between.shape[1] * channels * pixels))
    for first in range(0, len(queries), step):
        rows = slice(first, first + step)
        windows = _windows_around(references, candidates, rows, margin, reach)
        explained[rows] = _explained(windows, middle[rows], between).amax(-1)
    left = (energy[:, None] - explained).clamp_min(noise / 4)
    return (left / energy[:, None]).sqrt()


def _explained(windows: Tensor, middle: Tensor, between: Tensor) -> Tensor:
    """Energy [B,K,O] that windows [B,K,S*C,P], also interpolated at half steps, explain of queries [B,C,P]."""
    channels, pixels = middle.shape[1:]
    inner = windows @ middle[:, None].transpose(-1, -2)
    inner = torch.einsum("os,bkscd->bkocd", between, inner.unflatten(2, (-1, channels)))
    # Products of whole windows are enough: an interpolated one is a mean of them.
    scatter = windows @ windows.transpose(-1, -2)
    scatter = scatter.unflatten(3, (-1, channels)).unflatten(2, (-1, channels))
    scatter = torch.einsum("os,bkscte->bkocte", between, scatter)
    scatter = torch.einsum("ot,bkocte->bkoce", between, scatter)
    scatter = scatter + NOISE_LEVELS**2 * pixels * torch.eye(channels)
    return (torch.linalg.solve(scatter, inner) * inner).sum((-1, -2))


def _windows_around(
    references: Tensor, candidates: Candidates, rows: slice, margin: int, reach: int
) -> Tensor:
    """The windows of each candidate within `reach` px of its alignment: [B,K,S*C,P], centred."""
    height, width = references.shape[-2:]
    steps = torch.arange(-reach, reach + 1)
    corners = [
        places[rows].clamp(reach, 2 * margin - reach)[..., None, None] + steps[:, None]
        for places in (candidates.down, candidates.across)
    ]
    y = corners[0] + torch.arange(height - 2 * margin)  # [B,K,steps,rows of a window]
    x = corners[1] + torch.arange(width - 2 * margin)
    x = torch.where(candidates.mirrored[rows][..., None, None], width - 1 - x, x)
    pixels = (y[:, :, :, None, :, None] * width + x[:, :, None, :, None, :]).flatten(2)
    sources = references[candidates.indices[rows]].flatten(3)
    windows = sources.gather(3, pixels[:, :, None].expand(-1, -1, sources.shape[2], -1))
    return _centred(windows.unflatten(3, (len(steps) ** 2, -1)).transpose(2, 3).flatten(2, 3))


def _half_steps(count: int) -> Tensor:
    """Weights [O,S] that interpolate a grid of count x count shifts at whole and half steps."""
    line = torch.zeros(2 * count - 1, count)
    for place in range(2 * count - 1):
        line[place, place // 2] += 0.5
        line[place, (place + 1) // 2] += 0.5
    return torch.einsum("ac,bd->abcd", line, line).reshape(len(line) ** 2, count**2)


def largest_shift(images: Tensor) -> int:
    """Largest shift of windows of images [...,h,w] either way, px: small images keep half of their side."""
    return max(0, min(MAX_SHIFT_PX, min(images.shape[-2:]) // 4))


def window(images: Tensor, margin: int, down: int, across: int) -> Tensor:
    """The window of [...,h,w] without a margin on each side, whose corner is at (down, across)."""
    height, width = (side - 2 * margin for side in images.shape[-2:])
    return images[..., down : down + height, across : across + width]


def find_candidates(references: Tensor, queries: Tensor, itself: Tensor | None, count: int) -> Candidates:
    """The `count` references whose colourless maps are most like those of each query.

    Args:
        references: float32 [N,C,h,w] in grey levels.
        queries: float32 [M,C,h,w] in grey levels.
        itself: as in `nearest`.
        count: K.
    """
    margin = largest_shift(references)
    height, width = (side - 2 * margin for side in references.shape[-2:])
    cell = max(1, min(height, width) // _CELLS)
    middle = _described(window(_maps(queries), margin, margin, margin), cell)
    values = torch.full((len(queries), count), -9.0)
    indices = torch.zeros((len(queries), count), dtype=torch.int64)
    where = torch.zeros_like(indices)
    for first in range(0, len(references), _BLOCK):
        maps = _maps(references[first : first + _BLOCK])
        best, best_where = _best_alignment(maps, middle, margin, cell)
        if itself is not None:
            own = (itself >= first) & (itself < first + len(maps))
            best[own, itself[own] - first] = -9.0
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
    """Correlation [M,n] of queries with references at the best alignment, and the alignment's number, int16 [M,n]."""
    best = torch.full((len(middle), len(maps)), -9.0)
    where = torch.zeros((len(middle), len(maps)), dtype=torch.int16)
    turned = maps.flip(-1)
    for number, (mirrored, down, across) in enumerate(_alignments(margin)):
        described = _described(window(turned if mirrored else maps, margin, down, across), cell)
        alike = middle @ described.T
        where.masked_fill_(alike > best, number)
        torch.maximum(best, alike, out=best)
    return best, where


def _maps(images: Tensor) -> Tensor:
    """[N,C,h,w] → [N,2,h,w]: length of the gradient and of the colour, of images with uncorrelated channels."""
    flat = images.flatten(2)
    flat = flat - flat.mean(2, keepdim=True)
    spread = flat @ flat.transpose(1, 2) / flat.shape[2] + _NOISE_VARIANCE * torch.eye(flat.shape[1])
    factor = torch.linalg.cholesky(torch.linalg.inv(spread))
    colours = (factor.transpose(1, 2) @ flat).view_as(images)
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
