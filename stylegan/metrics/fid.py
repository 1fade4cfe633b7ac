"""Fréchet distance of features, and what a small sample adds to it."""

import math

import numpy as np

from stylegan.metrics.features import Features, feature_pair
from stylegan.metrics.moments import Moments, moments_of


def frechet_distance(real: Moments, fake: Moments) -> float:
    """|μ_r − μ_f|² + Tr Σ_r + Tr Σ_f − 2·Tr (Σ_r Σ_f)^½, ≥ 0.

    The last trace is the sum of the singular values of B_rᵀ·B_f, with Σ = B·Bᵀ. No square root of a matrix with
    small or no eigenvalues is taken, so sets with fewer rows than features are as exact as others.

    Raises: ValueError where the widths differ, or one has seen no rows.
    Source: Heusel et al. 2017, eq. 6; Dowson and Landau 1982.
    """
    roots = _coupled_roots(real, fake)
    step = real.mean - fake.mean
    spread = np.trace(real.covariance) + np.trace(fake.covariance)
    # Rounding can bring equal sets below 0.
    return max(0.0, float(step @ step + spread - 2 * roots.sum()))


def fid(real: Features, fake: Features) -> float:
    """`frechet_distance` of feature rows [N,F], at least 2 rows a set.  Raises: ValueError for bad features."""
    real, fake = feature_pair(real, fake, at_least=2)
    return frechet_distance(moments_of(real), moments_of(fake))


def fid_bias(
    real: Moments, fake: Moments, *, n_real: float | None = None, n_fake: float | None = None
) -> float:
    """By how much the FID of n_real and n_fake rows exceeds on average that of infinitely many, to first order.

    With α the singular values of Σ_r^½ Σ_f^½ (their sum is Tr (Σ_r Σ_f)^½), for Gaussian features:

        bias = (1/n_real + 1/n_fake) · [ 5/4·Σ_i α_i + 1/2·Σ_ij α_i α_j / (α_i + α_j) ]

    Where it comes from, for one set of n rows:
    - the squared distance of the means grows by Tr Σ / n; the trace of the covariance, which is divided by n,
      shrinks by as much;
    - the covariance is too small by the factor 1 − 1/n, and Tr M^½ with M = Σ_f^½ Σ_r Σ_f^½ is homogeneous of
      degree 1/2: −2·Tr M^½ grows by Σα / n;
    - M fluctuates as a Wishart matrix: in its eigenbasis E δ_ij² = α_i² α_j² / n, twice that on the diagonal,
      and the second derivative of Tr M^½ is −1 / (2 α_i α_j (α_i + α_j)), so −2·Tr M^½ grows by
      [1/4·Σα + 1/2·Σ_ij α_i α_j/(α_i + α_j)] / n.

    The expansion holds for many more rows than features. Near n = F it tells the order of magnitude; below, and
    with moments that are themselves of few rows, less. With equal moments it is the whole FID to be expected.

    Args: n_real, n_fake: rows, above 0; math.inf = exactly known; None = as many as the moments have seen.
    Raises: ValueError for counts that are not above 0, or moments of different widths.
    """
    n_real, n_fake = real.count if n_real is None else n_real, fake.count if n_fake is None else n_fake
    if not min(n_real, n_fake) > 0:
        raise ValueError(f"n_real and n_fake must be above 0, got {n_real} and {n_fake}")
    roots = _coupled_roots(real, fake)
    roots = roots[roots > 0]
    pairs = (roots[:, None] * roots / (roots[:, None] + roots)).sum()
    return float((1 / n_real + 1 / n_fake) * (5 / 4 * roots.sum() + pairs / 2))


def fid_infinity(real: Features, fake: Features, *, points: int = 15, seed: int = 0) -> float:
    """FID of infinitely many fakes: a line in 1/N through the FIDs of ever more of them, at 1/N = 0.

    Sizes are even steps from a tenth of the fakes to all. The fakes are shuffled once, and each size takes the
    first ones, so every row is read once. The bias that comes from the number of reals stays. Can be below 0.

    Args: real [N,F], fake [M,F] as in `fid`. points: sizes, at least 2. seed: of the shuffling.
    Raises: ValueError for bad features, or too few fakes for so many sizes.
    Source: Chong and Forsyth 2020, section 3.
    """
    real, fake = feature_pair(real, fake, at_least=2)
    first = max(2, len(fake) // 10)
    if points < 2 or len(fake) - first < points - 1:
        raise ValueError(f"fake has {len(fake)} rows, too few for points={points} sizes; points must be >= 2")
    sizes = np.linspace(first, len(fake), points).round().astype(int)
    order = np.random.RandomState(seed).permutation(len(fake))
    of_reals, of_fakes = moments_of(real), Moments()
    distances = []
    for size in sizes:
        of_fakes.update(fake[order[of_fakes.count : size]])
        distances.append(frechet_distance(of_reals, of_fakes))
    _slope, at_infinity = np.polyfit(1 / sizes, distances, 1)
    return float(at_infinity)


def _coupled_roots(real: Moments, fake: Moments) -> np.ndarray:
    """Singular values of Σ_r^½ Σ_f^½, which are also the roots of the eigenvalues of Σ_r Σ_f."""
    if len(real.mean) != len(fake.mean):
        raise ValueError(f"real has {len(real.mean)} features a row, fake has {len(fake.mean)}")
    product = real.root.T @ fake.root
    return np.linalg.svd(product, compute_uv=False) if math.prod(product.shape) else np.zeros(0)
