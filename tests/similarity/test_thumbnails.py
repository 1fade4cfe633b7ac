"""Thumbnails: means of areas, on white, of any proportions."""

import pytest
import torch

from stylegan.similarity import blurred, thumbnails


def test_a_thumbnail_is_the_mean_of_what_it_covers():
    images = torch.randint(256, (2, 3, 64, 32), dtype=torch.uint8)
    expected = images.float().unflatten(2, (32, 2)).unflatten(4, (16, 2)).mean((3, 5)).round()
    assert torch.equal(thumbnails(images).float(), expected)
    clear = torch.zeros(1, 4, 8, 8, dtype=torch.uint8)
    assert torch.equal(thumbnails(clear), torch.full((1, 3, 8, 8), 255, dtype=torch.uint8))


def test_proportions_are_kept_and_small_images_stay():
    wide = torch.randint(256, (1, 3, 40, 100), dtype=torch.uint8)
    assert thumbnails(wide).shape == (1, 3, 13, 32)
    small = torch.randint(256, (2, 1, 5, 7), dtype=torch.uint8)
    assert torch.equal(thumbnails(small), small)


def test_of_many_channels_the_first_three_are_seen():
    images = torch.randint(256, (2, 6, 8, 8), dtype=torch.uint8)
    assert torch.equal(thumbnails(images), images[:, :3])


@pytest.mark.parametrize(
    ("images", "reported"), [(torch.zeros(0, 3, 8, 8), "at least one"), (torch.zeros(1, 3, 8, 8), "uint8")]
)
def test_no_images_and_floats_are_refused(images, reported):
    with pytest.raises(ValueError, match=f"^images must be .*{reported}"):
        thumbnails(images)


def test_blurring_is_the_binomial_filter_with_repeated_edges():
    line = torch.tensor([0, 0, 16, 0], dtype=torch.uint8).view(1, 1, 1, 4).expand(1, 1, 3, 4)
    assert blurred(line)[0, 0, 1].tolist() == [0.0, 4.0, 8.0, 4.0]
    edge = torch.tensor([16, 0, 0, 0], dtype=torch.uint8).view(1, 1, 1, 4).expand(1, 1, 3, 4)
    assert blurred(edge)[0, 0, 1].tolist() == [12.0, 4.0, 0.0, 0.0]
