"""Inception score where it is known, and against torch-fidelity."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from stylegan.metrics import inception_score


def test_sure_and_balanced_answers_score_the_number_of_classes():
    assert inception_score(np.tile(np.eye(7), (20, 1)), splits=4) == pytest.approx((7, 0), abs=1e-12)


def test_equal_answers_score_one():
    assert inception_score(np.tile([0.5, 0.5, 0.0], (20, 1))) == pytest.approx((1, 0), abs=1e-12)


@pytest.mark.parametrize(("num", "splits"), [(200, 10), (103, 4), (9, 9)])
def test_torch_fidelity_agrees(num, splits):
    logits = torch.from_numpy(np.random.RandomState(0).randn(num, 6) * 2)
    theirs = isc_features_to_metric(logits, splits=splits, shuffle=False)
    expected = theirs["inception_score_mean"], theirs["inception_score_std"]
    got = inception_score(logits.softmax(dim=1).float(), splits=splits)
    assert got == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_mistakes():
    logits = np.random.RandomState(0).randn(20, 5)
    with pytest.raises(ValueError, match=r"20 of 20 rows .* logits\?"):
        inception_score(logits)
    for splits in (0, 21):
        with pytest.raises(ValueError, match=f"number of rows, 20; got {splits}"):
            inception_score(np.full((20, 2), 0.5), splits=splits)
