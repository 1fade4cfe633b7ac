"""How much of a picture two others explain together: what a generator that blends training pictures gives.

A picture and the reals, without the reals' mean picture, are compared at 16 px. The best pair of reals leaves the
least of the picture's energy after a least-squares fit on both; either may be mirrored. Whether that is little is
judged by the best pairs that share no real with it: a blend has one pair that stands out, any other picture has
many that are about as good. Legend: N reals, M queries, B some of them, D values of a small picture, L reals that
are looked at, of which the first K are one half of a pair.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as nn_functional

from stylegan.report.distances import NOISE_LEVELS, filtered

_SIDE_PX = 16
# Reals and mirror images, by likeness to the picture: of which one half of a pair comes, and the other.
_FIRST, _SECOND = 12, 384
# Pairs without either half of the best, whose mean that one is compared with.
_OTHERS = 5
_REALS_AT_ONCE, _QUERIES_AT_ONCE = 4096, 32


@dataclass(frozen=True)
class Pairs:
    """Of M queries: what the best pair leaves, and the best pairs without either, float32 [M] in 0..1; int64 [M,2]."""

    left: Tensor
    left_by_others: Tensor
    indices: Tensor

    def standing_out(self) -> Tensor:
        """[M]: small for a blend, near 1 for any other picture."""
        return self.left / self.left_by_others


def best_pairs(reals: Tensor, queries: Tensor, *, itself: Tensor | None = None) -> Pairs:
    """The two reals that together explain each query best.

    Args: reals: uint8 [N,C,h,w], N of 6 or more; queries, itself: as of `stylegan.report.distances.nearest`.
    """
    reals, queries = _small(reals), _small(queries)
    mean = (reals.mean(0) + reals.mean(0).flip(-1)) / 2
    reals, queries = reals - mean, queries - mean
    atoms = _most_alike(reals, queries, itself)
    found = []
    for first in range(0, len(queries), _QUERIES_AT_ONCE):
        rows = slice(first, first + _QUERIES_AT_ONCE)
        which, mirrored = atoms[rows] // 2, atoms[rows] % 2 == 1
        pictures = reals[which]
        pictures = torch.where(mirrored[..., None, None, None], pictures.flip(-1), pictures)
        found.append(_best_of(pictures.flatten(2), which, queries[rows].flatten(1)))
    return Pairs(*(torch.cat(part) for part in zip(*found, strict=True)))


def _small(pictures: Tensor) -> Tensor:
    size = tuple(min(_SIDE_PX, side) for side in pictures.shape[-2:])
    parts = [
        nn_functional.interpolate(filtered(some), size=size, mode="area")
        for some in pictures.split(_REALS_AT_ONCE)
    ]
    return torch.cat(parts)


def _details(pictures: Tensor) -> Tensor:
    """[N,C,h,w] → [N,D] of length 1, what is finer than 5 px: in broad outline all pictures of a set are alike."""
    padded = nn_functional.pad(pictures, (2, 2, 2, 2), mode="replicate")
    fine = (pictures - nn_functional.avg_pool2d(padded, 5, stride=1)).flatten(1)
    return fine / fine.norm(dim=1, keepdim=True).clamp_min(1e-3)


def _most_alike(reals: Tensor, queries: Tensor, itself: Tensor | None) -> Tensor:
    """The L reals most like each query, int64 [M,L]: 2 x index, and 1 more for the mirror image."""
    count = min(_SECOND, 2 * (len(reals) - (itself is not None)))
    wanted = _details(queries)
    values, atoms = torch.empty(len(queries), 0), torch.empty(len(queries), 0, dtype=torch.int64)
    for first in range(0, len(reals), _REALS_AT_ONCE):
        some = reals[first : first + _REALS_AT_ONCE]
        both = torch.stack([_details(some), _details(some.flip(-1))], dim=1).flatten(0, 1)
        alike = wanted @ both.T
        if itself is not None:
            mine = ((itself >= first) & (itself < first + len(some))).nonzero()[:, 0]
            for mirrored in (0, 1):
                alike[mine, 2 * (itself[mine] - first) + mirrored] = -2.0
        best = alike.topk(min(count, alike.shape[1]), dim=1)
        values = torch.cat([values, best.values], dim=1)
        atoms = torch.cat([atoms, best.indices + 2 * first], dim=1)
        values, order = values.topk(min(count, values.shape[1]), dim=1)
        atoms = atoms.gather(1, order)
    return atoms


def _best_of(pictures: Tensor, which: Tensor, queries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of pictures [B,L,D] of the reals `which` [B,L]: what the best pair and others leave [B], the pair [B,2]."""
    noise = NOISE_LEVELS**2 / 4 * queries.shape[1]
    inner = (pictures @ queries[:, :, None])[..., 0]
    gram = pictures[:, :_FIRST] @ pictures.transpose(1, 2)
    energy = pictures.square().sum(2) + noise
    first = slice(0, gram.shape[1])
    a, b = energy[:, first, None], energy[:, None]
    p, q = inner[:, first, None], inner[:, None]
    # Least squares on two vectors, solved by hand.
    explained = (b * p * p - 2 * gram * p * q + a * q * q) / (a * b - gram * gram)
    one, other = torch.broadcast_tensors(which[:, first, None], which[:, None])
    explained = explained.masked_fill(one == other, 0.0)
    best = explained.flatten(1).argmax(1, keepdim=True)
    pair = torch.cat([one.flatten(1).gather(1, best), other.flatten(1).gather(1, best)], dim=1)
    half = pair[:, :, None, None]
    shared = ((one[:, None] == half) | (other[:, None] == half)).any(1)
    apart = explained.masked_fill(shared, 0.0).flatten(1).topk(_OTHERS, dim=1).values.mean(1)
    total = queries.square().sum(1) + noise
    left, by_others = (
        ((total - some).clamp_min(noise) / total).sqrt()
        for some in (explained.flatten(1).gather(1, best)[:, 0], apart)
    )
    return left, by_others, pair
