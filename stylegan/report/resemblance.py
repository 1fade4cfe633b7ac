"""Resemblance: can fakes be told from reals by their edges alone? Where they can, a report comes too early.

An image is described by how strong its edges of light are at three scales. Neither turns nor mirroring, negatives, hues
or contrast change that, so that fakes which have learned the augmentation resemble the reals as well as any. Few
images of the right kind do so, too: variety is another question. What a network draws before it knows what pictures
look like (blobs, haze, checkers) has other edges than any of them.
"""

import torch
from torch import Tensor
from torch.nn import functional as nn_functional

from stylegan.report.evidence import Evidence
from stylegan.report.findings import FEWEST_IMAGES
from stylegan.report.provenance import is_known
from stylegan.similarity.duplicates import first_of_equals

# From here on a report comes too early. Held-out pictures have about 0, also turned or in other colours, and blends of
# two 2. A network of 16 px began at 5.2 to 5.8, and was between 4.6 and 2.4 in its first 52 kimg; after 500 kimg at
# 32 px one had 1.5. A blur of 3 px has 5. Of 20 pictures next to 20 fakes, alike ones had 2.0 at most.
FARTHEST_ALIKE = 2.2
_SCALES = 3
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.97)
# Of the contrast, in grey levels: flat images have no edges, not random ones.
_NOISE_LEVELS = 4.0
# Of the edges, as a share of the contrast.
_NOISE_SHARE = 0.02
# Of the variances, so that what hardly varies decides nothing.
_RIDGE = 0.05


def distance_of_edges(real: Tensor, fake: Tensor) -> float:
    """How far apart the edges of two sets are on the average, in standard deviations along the direction that tells
    them apart best (Mahalanobis distance of the means), without what sampling adds.

    Args:
        real: thumbnails, uint8 [N,C,h,w].
        fake: thumbnails, uint8 [M,C,h,w]; repeats of one image count once in what sampling may have added.
    """
    one, other = (_edges(images) for images in (real, fake))
    mean, spread = one.mean(0), one.std(0).clamp_min(1e-3)
    one, other = (one - mean) / spread, (other - mean) / spread
    variances = (torch.cov(one.T) + torch.cov(other.T)) / 2 + _RIDGE * torch.eye(one.shape[1])
    shift = other.mean(0) - one.mean(0)
    squared = shift @ torch.linalg.solve(variances, shift)
    by_sampling = one.shape[1] * (1 / len(one) + 1 / len(first_of_equals(fake, mirrored=False)))
    return float((squared - by_sampling).clamp_min(0).sqrt())


def resembles(evidence: Evidence) -> bool | None:
    """Whether the fakes look like the images of the training at all; None where that cannot be said."""
    if min(len(evidence.real), len(evidence.fake)) < FEWEST_IMAGES or not is_known(evidence.provenance):
        return None
    return distance_of_edges(evidence.real.thumbnails, evidence.fake.thumbnails) < FARTHEST_ALIKE


def _edges(images: Tensor) -> Tensor:
    """Quantiles of the logarithm of the edges' strength at each scale: uint8 [N,C,h,w] → float32 [N,D]."""
    light = images.to(torch.float32).mean(1, keepdim=True)
    light = light - light.mean((2, 3), keepdim=True)
    light = light / (light.square().mean((2, 3), keepdim=True).sqrt() + _NOISE_LEVELS)
    quantiles = torch.tensor(_QUANTILES)
    found = []
    for _ in range(_SCALES):
        if min(light.shape[-2:]) < 4:
            break
        # Both differences at one corner would differ from those of a turned image; at all four they do not.
        across = (light[..., 1:] - light[..., :-1]).square()
        down = (light[..., 1:, :] - light[..., :-1, :]).square()
        energy = (across[..., 1:, :] + across[..., :-1, :] + down[..., 1:] + down[..., :-1]) / 2
        strength = (energy.sqrt().flatten(1) + _NOISE_SHARE).log()
        found.append(strength.quantile(quantiles, dim=1).T)
        light = nn_functional.avg_pool2d(light, 2)
    return torch.cat(found, dim=1)
