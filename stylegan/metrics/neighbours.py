"""Nearest neighbours in features: precision and recall, density and coverage.

A product of matrices gives all squared distances of a block at once, but rounded, and rounded in another way for
another size of block. So it decides only what its error bound lets it decide; the few doubtful pairs are measured
one by one in float64, as the sum of squared differences. That sum is 0 for equal rows and the same from both
ends. So ties are ties, and neither blocks nor order change a result."""

import numpy as np
import torch
from torch import Tensor

from stylegan.metrics.features import Features, feature_pair, row_blocks

# Rows and columns of a block: 16 MiB of float32 distances.
BLOCK = 2048
# Above this share of doubtful pairs it is cheaper to multiply again in float64.
_MANY = 1e-3
# Numbers that the pair-by-pair measurement holds at a time.
_AT_ONCE = 2**21


class DistanceBlock:
    """Squared distances between rows a [n,F] and rows b [m,F], float32 or float64."""

    def __init__(self, a: np.ndarray, b: np.ndarray):
        self.a, self.b = a, b
        self._known: dict[type, tuple[Tensor, Tensor]] = {}

    def side(self, limits: Tensor) -> Tensor:
        """Where pairs are relative to squared distances `limits` [n,1] or [1,m], float64.

        Returns: int8 [n,m], −1 for nearer, 0 for at the same distance, 1 for farther.
        """
        for dtype in (np.float32, np.float64):
            values, error = self._values(dtype)
            rounded = limits.to(values.dtype)
            gap = values - rounded
            # Written so that what is not a number, after an overflow, is doubtful.
            doubtful = ~(gap.abs() > error + rounded * torch.finfo(values.dtype).eps)
            i, j = _places(doubtful)
            if len(i) <= _MANY * doubtful.numel():
                break
        side = gap.sign_().to(torch.int8)
        exact = self._exact(i, j) - limits.expand(len(self.a), len(self.b))[i, j]
        side[i, j] = exact.sign().to(torch.int8)
        return side

    def nearest(self, found: Tensor, *, own: bool) -> Tensor:
        """The k smallest squared distances [n,k] of each row, among those `found` elsewhere and those to b.

        Args: found: ascending float64 [n,k], infinite where nothing is known. own: b is a, and no row is its
            own neighbour.
        """
        k = found.shape[1]
        farthest = found[:, -1:]
        for dtype in (np.float32, np.float64):
            values, error = self._values(dtype)
            if own:
                values = values.clone().fill_diagonal_(torch.inf)
            reach = farthest.to(values.dtype)
            reach = reach + reach * torch.finfo(values.dtype).eps
            if values.shape[1] > k:
                here = values.topk(k, dim=1, largest=False).values[:, -1:] + error
                reach = torch.where(here < reach, here, reach)
            candidates = ~(values - error > reach)
            # Nothing is nearer than 0.
            candidates &= farthest > 0
            if own:
                candidates.fill_diagonal_(False)
            i, j = _places(candidates)
            if len(i) <= k * len(self.a) + _MANY * candidates.numel():
                break
        return _merged(found, i, self._exact(i, j))

    def _values(self, dtype: type) -> tuple[Tensor, Tensor]:
        """Squared distances by products, [n,m], and the bound [n,1] of their error."""
        if dtype not in self._known:
            # Distances do not depend on the origin; their rounding does.
            centre = self.b.mean(axis=0, dtype=np.float64)
            with np.errstate(over="ignore"):
                a, b = ((rows - centre).astype(dtype) for rows in (self.a, self.b))
            norm_a, norm_b = (np.einsum("ij,ij->i", rows, rows, dtype=np.float64) for rows in (a, b))
            # Numpy's product keeps its precision whatever torch was told about matrix products.
            with np.errstate(over="ignore", invalid="ignore"):
                values = torch.from_numpy(a @ b.T).mul_(-2)
                values += torch.from_numpy(norm_a.astype(dtype))[:, None]
                values += torch.from_numpy(norm_b.astype(dtype))
            # Products and sums of F terms, each off by half an eps; the other half and the 16 cover conversions.
            info, width, largest = np.finfo(dtype), a.shape[1], norm_a + norm_b.max()
            error = (width + 16) * (float(info.eps) * largest + float(info.tiny))
            # Where numbers may leave the range nothing is known.
            error[~(largest < float(info.max) / 8)] = np.inf
            self._known[dtype] = values, torch.from_numpy(error.astype(dtype))[:, None]
        return self._known[dtype]

    def _exact(self, i: Tensor, j: Tensor) -> Tensor:
        """Squared distances of the pairs (i, j), float64."""
        out = np.empty(len(i))
        for part in row_blocks(len(i), max(1, _AT_ONCE // self.a.shape[1])):
            step = self.a[i[part].numpy()].astype(np.float64)
            step -= self.b[j[part].numpy()]
            out[part] = np.square(step, out=step).sum(axis=1)
        return torch.from_numpy(out)


def squared_radii(points: np.ndarray, k: int, *, block: int = BLOCK) -> Tensor:
    """Squared distance of each row of points [N,F] to its k-th nearest other row, float64 [N]; k < N."""
    radii = torch.empty(len(points), dtype=torch.float64)
    for rows in row_blocks(len(points), block):
        found = torch.full((rows.stop - rows.start, k), torch.inf, dtype=torch.float64)
        for columns in row_blocks(len(points), block):
            found = DistanceBlock(points[rows], points[columns]).nearest(found, own=rows == columns)
        radii[rows] = found[:, -1]
    return radii


def check_neighbours(real: np.ndarray, fake: np.ndarray, *, k: int, block: int) -> None:
    """Raises: ValueError where k or block are out of range."""
    fewest = min(len(real), len(fake))
    if not 1 <= k < fewest:
        raise ValueError(
            f"k must be at least 1 and below the rows of the smaller set, {fewest}: it counts others; got {k}"
        )
    if block < 1:
        raise ValueError(f"block must be at least 1 row, got {block}")


def _places(mask: Tensor) -> tuple[Tensor, Tensor]:
    return mask.nonzero(as_tuple=True)


def _merged(found: Tensor, rows: Tensor, distances: Tensor) -> Tensor:
    """The k smallest of each row of found [n,k] and of the distances that belong to `rows`."""
    num, k = found.shape
    order = np.lexsort((distances.numpy(), rows.numpy()))
    rows, distances = rows.numpy()[order], distances.numpy()[order]
    # The place of a distance among those of its row.
    rank = np.arange(len(rows)) - np.searchsorted(rows, np.arange(num))[rows]
    fresh = np.full((num, k), np.inf)
    kept = rank < k
    fresh[rows[kept], rank[kept]] = distances[kept]
    return torch.cat([found, torch.from_numpy(fresh)], dim=1).sort(dim=1).values[:, :k]


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
