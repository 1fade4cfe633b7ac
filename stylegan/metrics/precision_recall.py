"""Precision and recall: what share of each set lies where the other one is."""

import torch

from stylegan.metrics.features import Features, feature_pair, row_blocks
from stylegan.metrics.neighbours import BLOCK, DistanceBlock, check_neighbours, squared_radii


def precision_recall(
    real: Features, fake: Features, *, k: int = 3, block: int = BLOCK
) -> tuple[float, float]:
    """Share of fakes inside some real's ball, and share of reals inside some fake's, each in [0, 1].

    A row's ball reaches to the k-th nearest other row of its own set, and what lies at that distance is inside.
    Distances are Euclidean and exact, so equal sets give 1 and 1.

    Args: real [N,F], fake [M,F]. k: below N and M. block: rows at a time; the result does not depend on it.
    Returns: (precision, recall).  Raises: ValueError for bad features or numbers out of range.
    Source: Kynkäänniemi et al. 2019, eq. 1 and 2.
    """
    real, fake = feature_pair(real, fake, at_least=2)
    check_neighbours(real, fake, k=k, block=block)
    of_reals, of_fakes = (squared_radii(points, k, block=block) for points in (real, fake))
    precise = torch.zeros(len(fake), dtype=torch.bool)
    recalled = torch.zeros(len(real), dtype=torch.bool)
    for rows in row_blocks(len(fake), block):
        for columns in row_blocks(len(real), block):
            distances = DistanceBlock(fake[rows], real[columns])
            precise[rows] |= (distances.side(of_reals[None, columns]) <= 0).any(dim=1)
            recalled[columns] |= (distances.side(of_fakes[rows, None]) <= 0).any(dim=0)
    return precise.double().mean().item(), recalled.double().mean().item()
