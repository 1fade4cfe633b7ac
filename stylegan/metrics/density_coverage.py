"""Density and coverage: precision that outliers do not inflate, recall that needs no balls about fakes."""

import torch

from stylegan.metrics.features import Features, feature_pair, row_blocks
from stylegan.metrics.neighbours import BLOCK, DistanceBlock, check_neighbours, squared_radii


def density_coverage(
    real: Features, fake: Features, *, k: int = 5, block: int = BLOCK
) -> tuple[float, float]:
    """How many reals' balls a fake lies in, over k; and the share of reals with a fake in their ball.

    A real's ball reaches to its k-th nearest other real. For the density what lies exactly on its surface is
    outside, as in the authors' program, so equal sets of different rows have density 1 and not (k+1)/k. For the
    coverage it is inside, so equal sets have coverage 1 also where rows are repeated.

    Args: real [N,F], fake [M,F]. k: below N and M. block: rows at a time; the result does not depend on it.
    Returns: (density ≥ 0, also above 1; coverage in [0, 1]).
    Raises: ValueError for bad features or numbers out of range.
    Source: Naeem et al. 2020, eq. 3 and 4.
    """
    real, fake = feature_pair(real, fake, at_least=2)
    check_neighbours(real, fake, k=k, block=block)
    radii = squared_radii(real, k, block=block)
    inside = 0
    covered = torch.zeros(len(real), dtype=torch.bool)
    for rows in row_blocks(len(fake), block):
        for columns in row_blocks(len(real), block):
            side = DistanceBlock(fake[rows], real[columns]).side(radii[None, columns])
            inside += int((side < 0).sum())
            covered[columns] |= (side <= 0).any(dim=0)
    return inside / (k * len(fake)), covered.double().mean().item()
