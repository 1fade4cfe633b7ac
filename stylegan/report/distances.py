"""How much of a picture another one explains, whatever was done to it: mirrored, shifted, coloured anew.

The middle of a picture f is compared with windows of a picture r and of its mirror image, shifted by up to 3 px of
a thumbnail. A window explains f by the best affine map of its colours (any hue, brightness, contrast, negatives
included): the least squares of f's channels on those of the window. The distance is the square root of the share
of f's energy that is left, 0 to 1. Legend: N reals, M queries, B some of them, C channels, K candidates, P pixels
of a window, S shifts at whole pixels, O also at half ones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as nn_functional

from stylegan.report.candidates import Candidates, find, largest_shift, window

# Noise that every value is granted, in grey levels: rounding, mild compression. It also keeps flat pictures finite.
NOISE_LEVELS = 2.0
# Neighbours that are measured exactly, of those that look nearest at first.
CANDIDATES = 8
# Neighbours after the nearest that the nearest is compared with.
NEXT = 5
# Floats that a step holds at once: 64 MiB.
_BLOCK_FLOATS = 1 << 24


@dataclass(frozen=True)
class Neighbours:
    """The nearest reals of M queries, nearest first: distances float32 [M,K], indices int64 [M,K]."""

    distances: Tensor
    indices: Tensor

    def standing_out(self) -> Tensor:
        """[M]: the nearest one's distance over the mean of the next 5. A copy's is small; else it is near 1.

        In a set whose pictures are all alike all distances are small, and in any set those of plain pictures are;
        the ratio is the same. 1 where there is no second neighbour.
        """
        if self.distances.shape[1] < 2:
            return torch.ones(len(self.distances))
        return self.distances[:, 0] / self.distances[:, 1 : 1 + NEXT].mean(1).clamp_min(1e-9)


def nearest(
    reals: Tensor, queries: Tensor, *, itself: Tensor | None = None, count: int = CANDIDATES
) -> Neighbours:
    """The nearest reals of each query by the invariant distance.

    Args: reals: uint8 [N,C,h,w]; queries: uint8 [M,C,h,w], thumbnails both; itself: int64 [M], the real that a
      query is and that does not count; None = they are no reals; count: neighbours a query, K at most.
    """
    reals, queries = filtered(reals), filtered(queries)
    candidates = find(reals, queries, itself, min(count, len(reals) - (itself is not None)))
    distances = _measured(reals, queries, candidates)
    order = distances.argsort(dim=1, stable=True)
    return Neighbours(distances.gather(1, order), candidates.indices.gather(1, order))


def nearest_features(reals: Tensor, queries: Tensor, *, itself: Tensor | None = None) -> Neighbours:
    """The nearest reals in feature space, Euclidean: reals float32 [N,F], queries [M,F]; itself as of `nearest`."""
    count = min(NEXT + 1, len(reals) - (itself is not None))
    distances, indices = [], []
    for rows in torch.arange(len(queries)).split(max(1, _BLOCK_FLOATS // len(reals))):
        some = torch.cdist(queries[rows], reals)
        if itself is not None:
            some[torch.arange(len(rows)), itself[rows]] = torch.inf
        found = some.topk(count, dim=1, largest=False)
        distances.append(found.values)
        indices.append(found.indices)
    return Neighbours(torch.cat(distances), torch.cat(indices))


def filtered(pictures: Tensor) -> Tensor:
    """uint8 [N,C,H,W] → float32 of the same shape, slightly blurred: parts of a pixel then matter little."""
    x = nn_functional.pad(pictures.to(torch.float32), (1, 1, 1, 1), mode="replicate")
    x = (x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]) / 4
    return (x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]) / 4


def _centred(pixels: Tensor) -> Tensor:
    return pixels - pixels.mean(-1, keepdim=True)


def _measured(reals: Tensor, queries: Tensor, candidates: Candidates) -> Tensor:
    """Distances [M,K] at the best of the shifts within 1 px of the candidates', in steps of half a pixel."""
    margin = largest_shift(reals)
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
        windows = _windows_around(reals, candidates, rows, margin, reach)
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


def _windows_around(reals: Tensor, candidates: Candidates, rows: slice, margin: int, reach: int) -> Tensor:
    """The windows of each candidate within `reach` px of its alignment: [B,K,S*C,P], centred."""
    height, width = reals.shape[-2:]
    steps = torch.arange(-reach, reach + 1)
    corners = [
        places[rows].clamp(reach, 2 * margin - reach)[..., None, None] + steps[:, None]
        for places in (candidates.down, candidates.across)
    ]
    y = corners[0] + torch.arange(height - 2 * margin)  # [B,K,steps,rows of a window]
    x = corners[1] + torch.arange(width - 2 * margin)
    x = torch.where(candidates.mirrored[rows][..., None, None], width - 1 - x, x)
    pixels = (y[:, :, :, None, :, None] * width + x[:, :, None, :, None, :]).flatten(2)
    sources = reals[candidates.indices[rows]].flatten(3)
    windows = sources.gather(3, pixels[:, :, None].expand(-1, -1, sources.shape[2], -1))
    return _centred(windows.unflatten(3, (len(steps) ** 2, -1)).transpose(2, 3).flatten(2, 3))


def _half_steps(count: int) -> Tensor:
    """Weights [O,S] that interpolate a grid of count x count shifts at whole and half steps."""
    line = torch.zeros(2 * count - 1, count)
    for place in range(2 * count - 1):
        line[place, place // 2] += 0.5
        line[place, (place + 1) // 2] += 0.5
    return torch.einsum("ac,bd->abcd", line, line).reshape(len(line) ** 2, count**2)
