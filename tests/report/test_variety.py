"""Variety: distances, steps and twins by hand."""

import pytest
import torch

from stylegan.report import Evidence, report_images
from stylegan.report.variety import diversity_finding, mean_distance_ratio, steps_of
from tests.report.evidences import FAKES, REALS, Means


def test_half_of_the_spread_is_half_of_the_distance():
    points = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    ratio, low, high = mean_distance_ratio(points / 2, points)
    assert ratio == pytest.approx(0.5) and low < 0.5 < high < 0.6


def test_features_that_are_no_numbers_are_not_fine():
    class Broken(Means):
        def features(self, images):
            return super().features(images) * float("nan")

    given = Evidence(real=report_images(REALS, Broken()), fake=report_images(FAKES, Broken()))
    assert diversity_finding(given).verdict == "unknown"


def test_a_step_is_the_root_mean_square_of_the_change():
    """Flat images, which no filter changes: grey 0, 30, 30, 90."""
    levels = torch.tensor([0, 30, 30, 90], dtype=torch.uint8)
    strips = levels.view(1, 4, 1, 1, 1).expand(1, 4, 3, 8, 8)
    assert steps_of(strips).tolist() == [[30.0, 0.0, 60.0]]
