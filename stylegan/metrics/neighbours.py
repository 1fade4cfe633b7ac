"""Who is near whom: comparisons of distances that are exact, in blocks, at the speed of matrix products.

A product of matrices gives all squared distances of a block at once, but rounded, and rounded in another way for
another size of block. So it decides only what its error bound lets it decide; the few doubtful pairs are measured
one by one in float64, as the sum of squared differences. That sum is 0 for equal rows and the same from both
ends. So ties are ties, and neither blocks nor order change a result.
"""

import numpy as np
import torch
from torch import Tensor

from stylegan.metrics.features import row_blocks

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
            a, b = ((rows - centre).astype(dtype) for rows in (self.a, self.b))
            norm_a, norm_b = (np.einsum("ij,ij->i", rows, rows, dtype=np.float64) for rows in (a, b))
            # Numpy's product keeps its precision whatever torch was told about matrix products.
            values = torch.from_numpy(a @ b.T).mul_(-2)
            values += torch.from_numpy(norm_a.astype(dtype))[:, None]
            values += torch.from_numpy(norm_b.astype(dtype))
            # Products and sums of F terms, each off by half an eps; the other half and the 16 cover conversions.
            info, width = np.finfo(dtype), a.shape[1]
            error = (width + 16) * (float(info.eps) * (norm_a + norm_b.max()) + float(info.tiny))
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
