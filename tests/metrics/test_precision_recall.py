"""Precision and recall against the definition, for ties and equal sets exactly, and torch-fidelity."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_prc import prc_features_to_metric

from stylegan.metrics import precision_recall


def features(num, width=6, seed=0, mean=0.0):
    return (np.random.RandomState(seed).randn(num, width) + mean).astype(np.float32)


def by_definition(real, fake, k):
    def inside(probes, centres):
        own = np.square(centres[:, None] - centres[None]).sum(axis=2)
        np.fill_diagonal(own, np.inf)
        radii = np.sort(own, axis=1)[:, k - 1]
        return (np.square(probes[:, None] - centres[None]).sum(axis=2) <= radii).any(axis=1).mean()

    return inside(fake, real), inside(real, fake)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from([5, 8, 2048]), st.booleans())
def test_the_definition_for_any_blocks_and_order(seed, k, block, whole_numbers):
    random = np.random.RandomState(seed)
    real, fake = random.randn(19, 3), random.randn(14, 3) + 1
    if whole_numbers:
        real, fake = real.round(), fake.round()
    got = precision_recall(random.permutation(real), random.permutation(fake), k=k, block=block)
    assert got == pytest.approx(by_definition(real, fake, k), abs=1e-12)


@pytest.mark.parametrize("width", [1, 2, 64, 2048])
@pytest.mark.parametrize("block", [7, 2048])
def test_equal_sets_are_one_and_one(width, block):
    """The neighbour at the radius and the row itself are ties that no rounding may break."""
    rows = features(50, width, mean=30)
    for k in (1, 3):
        assert precision_recall(rows, rows[::-1], k=k, block=block) == (1, 1)
    same = np.repeat(rows[:5], 4, axis=0)
    assert precision_recall(same, same, k=3, block=block) == (1, 1)


def test_sets_apart_are_zero_and_zero():
    assert precision_recall(features(30), features(30, seed=1, mean=100)) == (0, 0)


def test_which_is_which():
    """Fakes that are some of many reals are precise; recall suffers."""
    clusters = np.concatenate([features(50, seed=i, mean=100 * i) for i in range(4)])
    assert precision_recall(clusters, clusters[:50]) == (1, 0.25)
    assert precision_recall(clusters[:50], clusters) == (0.25, 1)


def test_torch_fidelity_agrees():
    real, fake = features(150, 16, 1), features(120, 16, 2, mean=0.3)
    theirs = prc_features_to_metric(
        torch.from_numpy(fake), torch.from_numpy(real), prc_neighborhood=3, verbose=False
    )
    expected = theirs["precision"], theirs["recall"]
    assert 0 < min(expected) and max(expected) < 1
    assert precision_recall(real, fake, k=3) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("k", [0, 10])
def test_k_out_of_range(k):
    with pytest.raises(ValueError, match=f"smaller set, 10: .* got {k}"):
        precision_recall(features(20), features(10), k=k)
    with pytest.raises(ValueError, match="block must be at least 1"):
        precision_recall(features(20), features(10), block=0)
