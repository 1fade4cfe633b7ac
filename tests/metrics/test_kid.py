"""KID against explicit loops, its closed form, and torch-fidelity."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.kid import KernelInceptionDistance

from stylegan.metrics import kid, kid_full


def features(num, width=5, seed=0, mean=0.0):
    return np.random.RandomState(seed).randn(num, width) + mean


def by_loop(real, fake):
    """MMD² as the definition says it, a pair at a time."""

    def kernel(x, y):
        return (sum(float(a) * float(b) for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3

    def within(rows):
        pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if i != j]
        return sum(kernel(rows[i], rows[j]) for i, j in pairs) / len(pairs)

    between = [kernel(x, y) for x in fake for y in real]
    return within(real) + within(fake) - 2 * sum(between) / len(between)


def test_all_pairs_against_a_loop():
    real, fake = features(12, seed=1), features(9, seed=2, mean=0.3)
    expected = by_loop(real, fake)
    for block in (1, 4, 5, 100):
        assert kid_full(real, fake, block=block) == pytest.approx(expected, rel=1e-9)
    assert kid_full(fake[::-1], real[::-1]) == pytest.approx(expected, rel=1e-9)


def test_subsets_against_a_loop_that_draws_as_documented():
    real, fake = features(20, seed=1), features(15, seed=2, mean=0.3)
    rng, values = np.random.RandomState(3), []
    for _ in range(4):
        of_fakes = fake[rng.choice(15, 6, replace=False)]
        values.append(by_loop(real[rng.choice(20, 6, replace=False)], of_fakes))
    value = kid(real, fake, subsets=4, subset_size=6, rng=np.random.RandomState(3))
    assert value == pytest.approx(np.mean(values), rel=1e-9)


def test_a_subset_has_no_more_rows_than_the_smaller_set():
    real, fake = features(12, seed=1), features(12, seed=2)
    whole = kid(real, fake, subsets=3, subset_size=1000, rng=np.random.RandomState(0))
    assert whole == pytest.approx(kid_full(real, fake), rel=1e-9)


def test_equal_sets_give_what_the_unbiased_formula_gives():
    rows = features(10)
    value = kid_full(rows, rows)
    assert value == pytest.approx(by_loop(rows, rows), rel=1e-9)
    assert value < 0


def test_unbiased():
    """Mean of small samples = the closed form: the kernel's features are moments up to the third.

    MMD² = 3/F·|Δμ|² + 3/F²·|ΔE x⊗x|² + 1/F³·|ΔE x⊗x⊗x|²; here for equal unit Gaussians but for a step in the mean.
    """
    width, step = 4, 0.4
    mean, unit = np.full(width, step), np.eye(width)
    second = np.outer(mean, mean)
    third = np.einsum("i,jk->ijk", mean, unit)
    third = third + third.transpose(1, 0, 2) + third.transpose(1, 2, 0) + np.einsum("i,j,k->ijk", *[mean] * 3)
    exact = sum(
        c / width**power * np.square(m).sum() for c, power, m in ((3, 1, mean), (3, 2, second), (1, 3, third))
    )
    values = [kid_full(features(30, width, 2 * i), features(20, width, 2 * i + 1, step)) for i in range(400)]
    assert abs(np.mean(values) - exact) <= 4 * np.std(values) / 20


def test_a_large_common_mean_leaves_enough_digits():
    """Kernels of 1e6 and a difference of 1: single precision would have one digit left."""
    real, fake = features(40, seed=1, mean=10), features(40, seed=2, mean=10.05)
    single = kid_full(real.astype(np.float32), fake.astype(np.float32))
    assert single == pytest.approx(kid_full(real, fake), rel=1e-4)
    assert kid_full(real, fake) == pytest.approx(by_loop(real, fake), rel=1e-7)


def test_torch_fidelity_agrees():
    """It draws in the other order of sets, so the sets change places; the value is the same from both sides."""
    real, fake = features(80, 32, 1), features(70, 32, 2, mean=0.2)
    theirs = kid_features_to_metric(
        torch.from_numpy(fake), torch.from_numpy(real), kid_subsets=5, kid_subset_size=50, rng_seed=2020,
        verbose=False,
    )  # fmt: skip
    value = kid(real, fake, subsets=5, subset_size=50, rng=np.random.RandomState(2020))
    assert value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-4)


class Given(nn.Module):
    """Replaces a feature network where the features are there already."""

    num_features = 16

    def forward(self, features):
        return features


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save all:UserWarning")
def test_torchmetrics_agrees():
    """Its subsets are drawn by torch; a subset of all rows is all rows."""
    real, fake = features(60, 16, 1), features(60, 16, 2, mean=0.3)
    theirs = KernelInceptionDistance(feature=Given(), subsets=1, subset_size=60)
    theirs.update(torch.from_numpy(real), real=True)
    theirs.update(torch.from_numpy(fake), real=False)
    assert kid_full(real, fake) == pytest.approx(theirs.compute()[0].item(), rel=1e-4)


def test_mistakes():
    rows = features(10)
    for subsets, size in ((0, 5), (3, 1)):
        with pytest.raises(ValueError, match=f"subsets must .* got {subsets} and {size}"):
            kid(rows, rows, subsets=subsets, subset_size=size, rng=np.random.RandomState(0))
