"""Density and coverage against the definition, and where they are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan.metrics import density_coverage


def by_definition(real, fake, k):
    own = np.square(real[:, None] - real[None]).sum(axis=2)
    np.fill_diagonal(own, np.inf)
    radii = np.sort(own, axis=1)[:, k - 1]
    between = np.square(fake[:, None] - real[None]).sum(axis=2)
    return (between < radii).sum() / (k * len(fake)), (between <= radii).any(axis=0).mean()


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from([5, 8, 2048]), st.booleans())
def test_the_definition_for_any_blocks_and_order(seed, k, block, whole_numbers):
    random = np.random.RandomState(seed)
    real, fake = random.randn(19, 3), random.randn(14, 3) + 1
    if whole_numbers:
        real, fake = real.round(), fake.round()
    got = density_coverage(random.permutation(real), random.permutation(fake), k=k, block=block)
    assert got == pytest.approx(by_definition(real, fake, k), abs=1e-12)


@pytest.mark.parametrize("width", [2, 64, 2048])
def test_equal_sets_are_one_and_one(width):
    rows = np.random.RandomState(0).randn(60, width).astype(np.float32) + 30
    assert density_coverage(rows, rows[::-1], k=5) == (1, 1)
    repeated = np.repeat(rows[:8], 7, axis=0)
    assert density_coverage(repeated, repeated, k=5)[1] == 1


def test_an_outlier_covers_nothing_more_and_adds_no_density():
    """Its ball reaches everywhere: to precision all fakes are then real ones, to the density one in k·N balls."""
    random = np.random.RandomState(0)
    real = np.concatenate([random.randn(99, 4), [[1000.0] * 4]])
    fake = random.randn(50, 4) + 100
    density, coverage = density_coverage(real, fake, k=5)
    assert density == pytest.approx(1 / 5)
    assert coverage == 1 / 100


def test_mistakes():
    rows = np.random.RandomState(0).randn(10, 3)
    with pytest.raises(ValueError, match="smaller set, 10: .* got 10"):
        density_coverage(rows, rows, k=10)
