"""Kernel inception distance: the unbiased squared maximum mean discrepancy with a cubic kernel."""

import math

import numpy as np

from stylegan.metrics.features import Features, feature_pair, row_blocks


def kid(
    real: Features,
    fake: Features,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    rng: np.random.RandomState,
) -> float:
    """Mean over random subsets of MMD² with the kernel (x·y/F + 1)³; unbiased, so it can be below 0.

    Each subset draws `min(subset_size, rows of real, rows of fake)` rows of fake, then as many of real, without
    replacement: with the same state of `rng` those that the public implementation draws.

    Args: real [N,F], fake [M,F], at least 2 rows a set. subsets: at least 1. subset_size: at least 2.
    Raises: ValueError for bad features or numbers out of range.
    Source: Bińkowski et al. 2018, section 4 and eq. 4.
    """
    real, fake = feature_pair(real, fake, at_least=2)
    size = common_size(real, fake, subsets=subsets, subset_size=subset_size)
    values = []
    for _ in range(subsets):
        x, y = draw_subset(fake, size, rng), draw_subset(real, size, rng)
        values.append(mmd2(cubic_kernel(x, x), cubic_kernel(y, y), cubic_kernel(x, y)))
    return float(np.mean(values))


def kid_full(real: Features, fake: Features, *, block: int = 2048) -> float:
    """MMD² of all pairs, in blocks: no randomness, and the memory of two blocks of rows.

    Args and raises: as `kid`. block: rows at a time; changes rounding alone.
    """
    real, fake = feature_pair(real, fake, at_least=2)
    within = sum(_mean_within(rows, block) for rows in (real, fake))
    sums = [
        cubic_kernel(*(part.astype(np.float64) for part in (fake[a], real[b]))).sum()
        for a in row_blocks(len(fake), block)
        for b in row_blocks(len(real), block)
    ]
    return within - 2 * math.fsum(sums) / (len(real) * len(fake))


def common_size(real: np.ndarray, fake: np.ndarray, *, subsets: int, subset_size: int) -> int:
    """How many rows a subset has of each set.  Raises: ValueError for numbers out of range."""
    if subsets < 1 or subset_size < 2:
        raise ValueError(f"subsets must be at least 1 and subset_size 2, got {subsets} and {subset_size}")
    return min(len(real), len(fake), subset_size)


def draw_subset(rows: np.ndarray, size: int, rng: np.random.RandomState) -> np.ndarray:
    """`size` different rows, float64."""
    return rows[rng.choice(len(rows), size, replace=False)].astype(np.float64)


def cubic_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(x·y/F + 1)³ for float64 rows x [N,F], y [M,F] → [N,M]."""
    gram = x @ y.T
    gram /= x.shape[1]
    gram += 1
    cube = gram * gram
    cube *= gram
    return cube


def mmd2(within_fake: np.ndarray, within_real: np.ndarray, between: np.ndarray) -> float:
    """Unbiased MMD² from kernel matrices: no row of a set is compared with itself."""
    return _mean_off_diagonal(within_fake) + _mean_off_diagonal(within_real) - 2 * float(between.mean())


def _mean_off_diagonal(kernel: np.ndarray) -> float:
    num = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (num * (num - 1)))


def _mean_within(rows: np.ndarray, block: int) -> float:
    """Mean kernel of a set's different rows. Blocks above the diagonal count twice, for those below."""
    sums = []
    for a in row_blocks(len(rows), block):
        x = rows[a].astype(np.float64)
        own = cubic_kernel(x, x)
        sums += [own.sum(), -np.trace(own)]
        for b in row_blocks(len(rows), block):
            if b.start > a.start:
                sums.append(2 * cubic_kernel(x, rows[b].astype(np.float64)).sum())
    return math.fsum(sums) / (len(rows) * (len(rows) - 1))
