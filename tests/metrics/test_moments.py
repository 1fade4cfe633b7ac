"""Moments do not depend on how the rows come, and equal numpy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.metrics import Moments, moments_of


def rows_of(num=200, width=6, seed=0, mean=0.0):
    return np.random.RandomState(seed).randn(num, width) * np.arange(1, width + 1) + mean


def assert_equal(a, b, tolerance=1e-9):
    assert a.count == b.count
    for x, y in ((a.mean, b.mean), (a.covariance, b.covariance)):
        assert np.abs(x - y).max() <= tolerance * np.abs(y).max()


def test_equal_numpy_with_division_by_the_count():
    rows, moments = rows_of(), moments_of(rows_of())
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(rows.T, bias=True), rtol=1e-12)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.randoms())
def test_batches_and_order_change_nothing(sizes, random):
    rows = rows_of(sum(sizes), mean=3.0)
    order = list(range(len(rows)))
    random.shuffle(order)
    parts = np.split(rows[order], np.cumsum(sizes)[:-1])
    one_by_one, merged = Moments(), Moments()
    for part in parts:
        one_by_one.update(part)
        merged.merge(moments_of(part))
    whole = moments_of(rows)
    assert_equal(one_by_one, whole)
    assert_equal(merged, whole)


def test_a_large_mean_costs_no_digits():
    """E[x²] − E[x]² would keep none of the variance here."""
    rows = np.random.RandomState(0).randn(500, 3)
    moments = Moments()
    for part in np.split(rows + 1e8, 10):
        moments.update(part)
    # What is left is the rounding of the rows themselves, 1e-8.
    np.testing.assert_allclose(moments.covariance, np.cov(rows.T, bias=True), atol=1e-7)


def test_float32_rows_are_summed_in_float64():
    rows = (rows_of(20000, 2) + 100).astype(np.float32)
    np.testing.assert_allclose(moments_of(rows).mean, rows.astype(np.float64).mean(axis=0), rtol=1e-12)


def test_stored_moments_go_on():
    rows = rows_of()
    first = moments_of(rows[:50])
    stored = Moments(first.count, first.mean, first.covariance)
    stored.update(rows[50:])
    assert_equal(stored, moments_of(rows))


def test_merging_leaves_the_other_as_it_was():
    rows = rows_of()
    total, part = Moments(), moments_of(rows[:30])
    total.merge(Moments())
    total.merge(part)
    total.update(rows[30:])
    assert_equal(part, moments_of(rows[:30]))


def test_the_root_follows_the_rows():
    rows = rows_of()
    moments = moments_of(rows[:50])
    for _ in range(2):
        np.testing.assert_allclose(moments.root @ moments.root.T, moments.covariance, atol=1e-10)
        moments.update(rows[50:])


@pytest.mark.parametrize("num", [1, 2, 4, 30])
def test_the_root_has_the_rank_of_the_rows(num):
    assert moments_of(rows_of(num)).root.shape == (6, min(num - 1, 6))


def test_mistakes():
    moments = moments_of(rows_of())
    with pytest.raises(ValueError, match="6 features a row, got 5"):
        moments.update(rows_of(width=5))
    with pytest.raises(ValueError, match="6 features a row, got 5"):
        moments.merge(moments_of(rows_of(width=5)))
    with pytest.raises(ValueError, match="no rows"):
        _ = Moments().covariance
    with pytest.raises(ValueError, match="count of at least 1, got 0"):
        Moments(0, moments.mean, moments.covariance)
    with pytest.raises(ValueError, match="do not fit"):
        Moments(9, moments.mean[:5], moments.covariance)
    with pytest.raises(ValueError, match="not finite"):
        Moments(9, moments.mean * np.nan, moments.covariance)
