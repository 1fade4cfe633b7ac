"""Mean and covariance of features, from batches of any size."""

from typing import Self

import numpy as np

from stylegan.metrics.features import Features, feature_matrix, row_blocks


class Moments:
    """Count, mean [F] and covariance [F,F] of feature rows, float64; the covariance is divided by the count.

    Batches are merged by the differences of their means, so that a mean far from 0 costs no digits, and the
    memory is that of two [F,F] matrices however many rows come. Batch size and order change rounding alone.

    Args: count, mean, covariance: of rows seen earlier, as stored; none of them = no rows yet.
    Raises: ValueError where the three do not belong together.
    Source: Chan, Golub and LeVeque 1983, eq. 2.1.
    """

    def __init__(
        self, count: int = 0, mean: Features | None = None, covariance: Features | None = None
    ) -> None:
        self.count = 0
        self._mean = self._scatter = self._root = None
        if count == 0 and mean is None and covariance is None:
            return
        if count < 1 or mean is None or covariance is None:
            raise ValueError(
                f"moments need a count of at least 1, got {count}, with both a mean and a covariance"
            )
        matrix = feature_matrix("covariance", covariance).astype(np.float64)
        row = np.array(mean, dtype=np.float64)
        if row.ndim != 1 or matrix.shape != (len(row), len(row)):
            raise ValueError(f"a mean {list(row.shape)} and a covariance {list(matrix.shape)} do not fit")
        if not np.isfinite(row).all():
            raise ValueError("the mean has values that are not finite")
        self._add(count, row, matrix * count)

    @property
    def mean(self) -> np.ndarray:
        self._require_rows()
        return self._mean

    @property
    def covariance(self) -> np.ndarray:
        self._require_rows()
        return self._scatter / self.count

    @property
    def root(self) -> np.ndarray:
        """B [F,R] with B·Bᵀ = covariance, R its numerical rank; kept until rows are added.

        Eigenvalues below the rounding of the largest are no information, and their roots would be large errors:
        they are left out.
        """
        if self._root is None:
            values, vectors = np.linalg.eigh(self.covariance)
            kept = values > max(values[-1], 0) * len(values) * np.finfo(np.float64).eps
            self._root = vectors[:, kept] * np.sqrt(values[kept])
        return self._root

    def update(self, features: Features) -> None:
        """Adds rows [N,F], N at least 1.  Raises: ValueError for bad features or another width than before."""
        matrix = feature_matrix("features", features)
        self._require_width(matrix.shape[1])
        for rows in row_blocks(len(matrix)):
            block = matrix[rows].astype(np.float64)
            mean = block.mean(axis=0)
            block -= mean
            self._add(len(block), mean, block.T @ block)

    def merge(self, other: Self) -> None:
        """Adds the rows that another one has seen.  Raises: ValueError for another width."""
        if other.count:
            self._require_width(len(other._mean))
            self._add(other.count, other._mean.copy(), other._scatter.copy())

    def _add(self, count: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        """Takes over the arrays."""
        self._root = None
        if self.count == 0:
            self.count, self._mean, self._scatter = count, mean, scatter
            return
        total = self.count + count
        step = mean - self._mean
        self._scatter += scatter
        self._scatter += np.outer(step * (self.count / total * count), step)
        self._mean = self._mean + step * (count / total)
        self.count = total

    def _require_rows(self) -> None:
        if self.count == 0:
            raise ValueError("these moments have seen no rows yet")

    def _require_width(self, width: int) -> None:
        if self.count and width != len(self._mean):
            raise ValueError(f"these moments are of {len(self._mean)} features a row, got {width}")


def moments_of(features: Features) -> Moments:
    """The moments of features [N,F].  Raises: ValueError as `Moments.update`."""
    moments = Moments()
    moments.update(features)
    return moments
