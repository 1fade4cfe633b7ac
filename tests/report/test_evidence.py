"""Evidence: what is refused before anything is looked at, and images read in blocks."""

import pytest
import torch

from stylegan.report import report_images
from tests.report.evidences import FAKES, REALS, Means, evidence


def test_a_provenance_that_is_none_clears_nothing_by_mistake():
    with pytest.raises(ValueError, match="^provenance must be one of training, trust, .* got 'train'"):
        evidence(FAKES, provenance="train")


def test_images_are_read_in_order_and_again_to_be_shown():
    images = REALS.repeat(2, 1, 1, 1)[:130]
    found = report_images(list(images), Means())
    assert len(found) == 130 and torch.equal(found.thumbnails, images)
    assert torch.equal(found.features, Means().features(images))
    some = found.only(torch.tensor([129, 3]))
    assert torch.equal(some.full(0), images[129]) and torch.equal(some.features[1], found.features[3])


class Flat(Means):
    def features(self, images):
        return super().features(images).flatten()


@pytest.mark.parametrize("detector", [None, Means()])
def test_no_images_are_refused(detector):
    with pytest.raises(ValueError, match="^images must be at least one"):
        report_images(REALS[:0], detector)


def test_features_that_are_not_one_row_an_image_are_refused():
    with pytest.raises(ValueError, match="^detector must give one row .* means gave"):
        report_images(FAKES, Flat())
