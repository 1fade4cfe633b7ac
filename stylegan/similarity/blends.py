"""Blends: how much of an image two others explain together, as in a generator that blends training images.

An image and the references, without the references' mean image, are compared at 16 px. The best pair of references
leaves the least of the image's energy after a least-squares fit on both; either may be mirrored. Whether that is
little is seen next to the best pairs that share no reference with it: a blend has one pair that stands out, any other
image has many that are about as good.

Legend: N references, M queries, B some of them, D values of a small image, L references that are looked at, of which
the first K are one half of a pair.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as nn_functional

from stylegan.similarity.neighbours import NOISE_LEVELS
from stylegan.similarity.thumbnails import blurred

_SIDE_PX = 16
# References and mirror images, by likeness to the image: of which one half of a pair comes, and the other.
_FIRST, _SECOND = 12, 384
# Pairs without either half of the best, whose mean that one is compared with.
_OTHERS = 5
_REFERENCES_AT_ONCE, _QUERIES_AT_ONCE = 4096, 32


@dataclass(frozen=True)
class Pairs:
    """The best pairs of M queries.

    Attributes:
        residual: float32 [M] in 0..1, what the best pair leaves unexplained.
        residual_of_others: float32 [M] in 0..1, the mean of what the best pairs without either of the two leave.
        indices: int64 [M,2], of the references.
    """

    residual: Tensor
    residual_of_others: Tensor
    indices: Tensor

    def residual_ratio(self) -> Tensor:
        """float32 [M], small for a blend and near 1 for any other image."""
        return self.residual / self.residual_of_others


def best_pairs(references: Tensor, queries: Tensor, *, itself: Tensor | None = None) -> Pairs:
    """The two references that together explain each query best.

    Args:
        references: thumbnails, uint8 [N,C,h,w], N of 6 or more.
        queries: thumbnails, uint8 [M,C,h,w].
        itself: as in `stylegan.similarity.neighbours.nearest`.
    """
    references, queries = _small(references), _small(queries)
    mean = (references.mean(0) + references.mean(0).flip(-1)) / 2
    references, queries = references - mean, queries - mean
    atoms = _most_alike(references, queries, itself)
    found = []
    for first in range(0, len(queries), _QUERIES_AT_ONCE):
        rows = slice(first, first + _QUERIES_AT_ONCE)
        which, mirrored = atoms[rows] // 2, atoms[rows] % 2 == 1
        images = references[which]
        images = torch.where(mirrored[..., None, None, None], images.flip(-1), images)
        found.append(_best_of(images.flatten(2), which, queries[rows].flatten(1)))
    return Pairs(*(torch.cat(part) for part in zip(*found, strict=True)))


def _small(images: Tensor) -> Tensor:
    size = tuple(min(_SIDE_PX, side) for side in images.shape[-2:])
    parts = [
        nn_functional.interpolate(blurred(some), size=size, mode="area")
        for some in images.split(_REFERENCES_AT_ONCE)
    ]
    return torch.cat(parts)


def _details(images: Tensor) -> Tensor:
    """[N,C,h,w] → [N,D] of length 1, what is finer than 5 px: in broad outline all images of a set are alike."""
    padded = nn_functional.pad(images, (2, 2, 2, 2), mode="replicate")
    fine = (images - nn_functional.avg_pool2d(padded, 5, stride=1)).flatten(1)
    return fine / fine.norm(dim=1, keepdim=True).clamp_min(1e-3)


def _most_alike(references: Tensor, queries: Tensor, itself: Tensor | None) -> Tensor:
    """The L references most like each query, int64 [M,L]: 2 x index, and 1 more for the mirror image."""
    count = min(_SECOND, 2 * (len(references) - (itself is not None)))
    wanted = _details(queries)
    values, atoms = torch.empty(len(queries), 0), torch.empty(len(queries), 0, dtype=torch.int64)
    for first in range(0, len(references), _REFERENCES_AT_ONCE):
        some = references[first : first + _REFERENCES_AT_ONCE]
        both = torch.stack([_details(some), _details(some.flip(-1))], dim=1).flatten(0, 1)
        alike = wanted @ both.T
        if itself is not None:
            own = ((itself >= first) & (itself < first + len(some))).nonzero()[:, 0]
            for mirrored in (0, 1):
                alike[own, 2 * (itself[own] - first) + mirrored] = -2.0
        best = alike.topk(min(count, alike.shape[1]), dim=1)
        values = torch.cat([values, best.values], dim=1)
        atoms = torch.cat([atoms, best.indices + 2 * first], dim=1)
        values, order = values.topk(min(count, values.shape[1]), dim=1)
        atoms = atoms.gather(1, order)
    return atoms


def _best_of(images: Tensor, which: Tensor, queries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of images [B,L,D] of the references `which` [B,L]: what the best pair and others leave [B], the pair [B,2]."""
    noise = NOISE_LEVELS**2 / 4 * queries.shape[1]
    inner = (images @ queries[:, :, None])[..., 0]
    gram = images[:, :_FIRST] @ images.transpose(1, 2)
    energy = images.square().sum(2) + noise
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
