"""Comparisons of distances against all pairs in exact arithmetic, where ties, blocks and scales are against them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan.metrics.neighbours import DistanceBlock, squared_radii


def squared(a, b):
    return np.square(a[:, None].astype(np.float64) - b[None].astype(np.float64)).sum(axis=2)


# Small whole numbers tie all the time; their distances are exact in any precision.
grids = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.RandomState(seed).randint(-2, 3, (23, 3)).astype(np.float32)
)


@settings(max_examples=25)
@given(grids, st.integers(1, 22), st.sampled_from([5, 7, 100]))
def test_radii_of_grids(points, k, block):
    distances = squared(points, points)
    np.fill_diagonal(distances, np.inf)
    expected = np.sort(distances, axis=1)[:, k - 1]
    np.testing.assert_array_equal(squared_radii(points, k, block=block).numpy(), expected)


@settings(max_examples=25)
@given(grids, grids, st.integers(0, 12))
def test_sides_of_grids(a, b, limit):
    block = DistanceBlock(a, b[:9])
    limits = torch.full((1, 9), float(limit), dtype=torch.float64)
    np.testing.assert_array_equal(block.side(limits).numpy(), np.sign(squared(a, b[:9]) - limit))


@pytest.mark.parametrize("offset", [0, 100, 1e6])
@pytest.mark.parametrize("scale", [1e-25, 1e-3, 1, 1e18, 1e25])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_scale_and_origin(offset, scale, dtype):
    """Squares that no float32 can hold, too, and means next to which the distances are small."""
    random = np.random.RandomState(0)
    points = ((random.randn(60, 30) + offset) * scale).astype(dtype)
    distances = squared(points, points)
    radii = squared_radii(points, 4, block=16)
    np.testing.assert_allclose(radii, np.sort(distances, axis=1)[:, 4], rtol=1e-12)
    side = DistanceBlock(points, points).side(radii[None])
    # The row itself and three nearer ones, one at the radius, the rest beyond.
    assert ((side == -1).sum(dim=0) == 4).all() and ((side == 0).sum(dim=0) == 1).all()


def test_doubtful_pairs_are_measured():
    """Limits one unit in the last place next to the distance are beyond what a product of float32 can tell."""
    random = np.random.RandomState(0)
    a, b = random.randn(40, 64).astype(np.float32), random.randn(1, 64).astype(np.float32)
    for limit in squared(a, b)[:, 0]:
        block = DistanceBlock(a, b)
        own = squared(a, b) == limit
        for moved, sign in ((np.nextafter(limit, np.inf), -1), (limit, 0), (np.nextafter(limit, 0), 1)):
            side = block.side(torch.tensor([[moved]], dtype=torch.float64)).numpy()
            assert (side[own] == sign).all()


def test_torch_may_be_set_to_multiply_coarsely():
    points = np.random.RandomState(0).randn(60, 64).astype(np.float32)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        coarse = squared_radii(points, 3)
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(coarse, squared_radii(points, 3))


def test_one_point_many_times():
    points = np.repeat(np.random.RandomState(0).randn(2, 8), [50, 3], axis=0)
    radii = squared_radii(points, 3, block=16)
    assert (radii[:50] == 0).all()
    assert (radii[50:] == squared(points[:1], points[-1:])[0, 0]).all()
