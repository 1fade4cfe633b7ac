"""Beta-binomial test: how often chance alone puts this many fakes where only the closest few of known images lie.

Distribution-free: if fakes and reference images come from one population, every order of their values is equally
likely. The share of the population below the k-th smallest of n reference values is then Beta(k, n + 1 - k), and
the number of M fakes there is beta-binomial.
"""

from dataclasses import dataclass
from math import exp, lgamma

import torch
from torch import Tensor

# Of the reference. Low ones find few, close copies; the high ones sets in which many images have a twin anyway.
QUANTILES = (0.01, 0.05, 0.2, 0.5)


@dataclass(frozen=True)
class Excess:
    """How many more fakes than reference images have a small value.

    Attributes:
        p_value: of the likeliest of all quantiles, times their number, 1 at most.
        share: of the fakes, beyond what chance puts there, 0 to 1.
        threshold: the value below which they were counted.
        below: bool [M], which fakes they are.
    """

    p_value: float
    share: float
    threshold: float
    below: Tensor


def upper_tail(count: int | float, total: float, k: float, n: float) -> float:
    """P(at least `count` of `total`) of the beta-binomial with Beta(k, n + 1 - k); counts are rounded down."""
    count, total = int(count), int(total)
    a, b = k, n + 1 - k

    def log_beta(x: float, y: float) -> float:
        return lgamma(x) + lgamma(y) - lgamma(x + y)

    def chance(i: int) -> float:
        ways = lgamma(total + 1) - lgamma(i + 1) - lgamma(total - i + 1)
        return exp(ways + log_beta(i + a, total - i + b) - log_beta(a, b))

    if count <= 0:
        return 1.0
    return min(1.0, sum(chance(i) for i in range(count, total + 1)))


def excess(
    fake: Tensor, reference: Tensor, *, fake_like: Tensor, reference_like: Tensor, cap: float
) -> Excess:
    """Whether more of the fakes have a small value than chance allows.

    Images that are near the same real are counted once, since they are not independent evidence: families of
    images, and fakes that repeat each other.

    Args:
        fake: values of the fakes, float [M].
        reference: values of the reference images, float [n].
        fake_like: int64 [M], the real that each value is about.
        reference_like: int64 [n], likewise.
        cap: values above it never count, however large those of the reference are.
    """
    ordered = reference.sort().values
    results = []
    for quantile in QUANTILES:
        k = max(1, round(quantile * len(reference)))
        threshold = min(float(ordered[k - 1]), cap)
        below = fake < threshold
        count = int(below.sum())
        alone = _independent(fake_like[below])
        fewer = _independent(reference_like[reference <= threshold]) if threshold < cap else 1.0
        p_value = upper_tail(count * alone, len(fake) * alone, k * fewer, len(reference) * fewer)
        expected = k / (len(reference) + 1)
        share = max(0.0, (count / len(fake) - expected) / (1 - expected))
        results.append(Excess(min(1.0, p_value * len(QUANTILES)), share, threshold, below))
    # Where several leave no doubt, the one that sees the most counts.
    smallest = min(result.p_value for result in results)
    sure = [result for result in results if result.p_value <= max(smallest, 1e-6)]
    return max(sure, key=lambda result: result.share)


def _independent(reals: Tensor) -> float:
    """Share of values that are about different reals, 0 to 1; 1 for none."""
    return len(torch.unique(reals)) / len(reals) if len(reals) else 1.0
