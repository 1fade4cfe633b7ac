"""KID with an interval that says how far sampling may have moved it."""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from stylegan.metrics.features import Features, feature_pair
from stylegan.metrics.kid import common_size, cubic_kernel, draw_subset, mmd2


class KidScore(NamedTuple):
    """value: as `kid`. low, high: the confidence interval. standard_error: of the value.

    std_of_subsets: standard deviation over the subsets, as others print it; 0 for one subset. It shrinks with
    neither the number of subsets nor that of rows, and is no error of the value.
    """

    value: float
    low: float
    high: float
    standard_error: float
    std_of_subsets: float


class Variances(NamedTuple):
    """Variances of the orthogonal parts of MMD²: one row's, and what a pair has beyond its two rows."""

    fake: float
    real: float
    fake_pair: float
    real_pair: float
    mixed_pair: float

    def of_rows(self, n_fake: int, n_real: int) -> float:
        """What single rows contribute to the variance of MMD² of n_fake and n_real independent rows."""
        return 4 * self.fake / n_fake + 4 * self.real / n_real

    def of_pairs(self, n_fake: int, n_real: int) -> float:
        """What pairs contribute beyond that: all of it where the distributions are equal."""
        within = self.fake_pair / (n_fake * (n_fake - 1)) + self.real_pair / (n_real * (n_real - 1))
        return 2 * within + 4 * self.mixed_pair / (n_fake * n_real)

    def on_the_safe_side(self, n_fake: int, n_real: int) -> float:
        """The variance, pairs counted twice: what the delete-one jackknife expects."""
        return max(0.0, self.of_rows(n_fake, n_real)) + 2 * self.of_pairs(n_fake, n_real)


def kid_interval(
    real: Features,
    fake: Features,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> KidScore:
    """KID as `kid` with `RandomState(seed)`, and a normal interval about it.

    Which randomness it covers: both sets as independent draws from their distributions, and the drawing of the
    subsets. Not covered: other trainings, and pictures that are not independent (copies, frames of one film).
    Where the reals are all there is and not a sample, it is too wide.

    Subsets of the same rows are not independent, so their scatter does not tell the error. MMD² is a U-statistic:
    by Hoeffding its variance is exactly 4·V_f/n + 4·V_r/m + 2·P_f/(n(n−1)) + 2·P_r/(m(m−1)) + 4·P_fr/(nm), with
    V the variance of the witness function over one set and P those of the doubly centred kernels. All five are
    estimated without bias from each subset's kernel matrices, and averaged. With v(n,m) that formula, s the size
    and S the number of subsets the value's variance is v(n,m) + [v(s,s) − v(n,m)]/S.

    The estimates move with the value: low values come with low variances. So P counts twice, as in the jackknife.
    In simulations with 100 to 500 rows an interval of 95 % then held the truth in 92 to 97 % of the cases, and in
    nearly all where KID is 0, there being up to 1.5 times as wide as needed
    (`tests/metrics/test_kid_interval.py`). Where it misses, the value was more often too low.

    Args: real, fake: at least 4 rows a set. subset_size: at least 4. confidence: in (0, 1).
    Raises: ValueError for bad features or numbers out of range.
    Source: Hoeffding 1948; Gretton et al. 2012, lemma 6.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    real, fake = feature_pair(real, fake, at_least=4)
    size = common_size(real, fake, subsets=subsets, subset_size=subset_size)
    if size < 4:
        raise ValueError(f"subset_size must be at least 4 for an interval, got {subset_size}")
    if size == len(real) == len(fake):
        # Every subset would be the whole.
        subsets = 1
    rng = np.random.RandomState(seed)
    values, variances = [], []
    for _ in range(subsets):
        x, y = draw_subset(fake, size, rng), draw_subset(real, size, rng)
        kernels = cubic_kernel(x, x), cubic_kernel(y, y), cubic_kernel(x, y)
        values.append(mmd2(*kernels))
        variances.append(variances_of(*kernels))
    parts = Variances(*np.mean(variances, axis=0))
    whole = parts.on_the_safe_side(len(fake), len(real))
    error = np.sqrt(whole + (parts.on_the_safe_side(size, size) - whole) / subsets)
    value, reach = np.mean(values), NormalDist().inv_cdf((1 + confidence) / 2) * error
    spread = np.std(values, ddof=1) if subsets > 1 else 0.0
    return KidScore(*(float(v) for v in (value, value - reach, value + reach, error, spread)))


def variances_of(within_fake: np.ndarray, within_real: np.ndarray, between: np.ndarray) -> Variances:
    """All five from the kernel matrices [s,s] of one subset, each without bias."""
    fake_rows, fake_pair = _within(within_fake)
    real_rows, real_pair = _within(within_real)
    across, down = between.mean(axis=1), between.mean(axis=0)
    rest = between - across[:, None] - down + between.mean()
    mixed_pair = np.square(rest).sum() / ((len(across) - 1) * (len(down) - 1))
    return Variances(
        # The measured witness scatters also by the finite sets that it is measured against.
        np.var(fake_rows - across, ddof=1) - fake_pair / (len(across) - 2) - mixed_pair / len(down),
        np.var(real_rows - down, ddof=1) - real_pair / (len(down) - 2) - mixed_pair / len(across),
        fake_pair,
        real_pair,
        mixed_pair,
    )


def _within(kernel: np.ndarray) -> tuple[np.ndarray, float]:
    """Of a set's kernel matrix [s,s]: each row's mean kernel but for one constant, and the variance of pairs.

    The pairs are centred without the diagonal (Székely and Rizzo 2014), which makes both unbiased.
    """
    num = len(kernel)
    kernel = kernel.copy()
    np.fill_diagonal(kernel, 0)
    rows = kernel.sum(axis=1) / (num - 2)
    rest = kernel - rows[:, None] - rows + rows.sum() / (num - 1)
    np.fill_diagonal(rest, 0)
    return rows, float(np.square(rest).sum() / (num * (num - 3)))
