"""Duplicates: equal images, mirror images and near twins among images that are none."""

import torch

from stylegan.similarity import Neighbours, are_twins, closest_pairs, first_of_equals, nearest_others
from tests.similarity.images import flowers, recoloured

IMAGES = flowers(1, 40)


def test_the_first_of_equal_images_stays():
    twice = torch.cat([IMAGES, IMAGES[5:9], IMAGES.flip(-1)[:3]])
    assert torch.equal(first_of_equals(twice), torch.arange(40))
    assert torch.equal(
        first_of_equals(twice, mirrored=False), torch.cat([torch.arange(40), torch.arange(44, 47)])
    )


def test_one_other_pixel_is_not_equal():
    other = IMAGES[:1].clone()
    other[0, 1, 2, 3] ^= 1
    assert len(first_of_equals(torch.cat([IMAGES[:1], other]))) == 2


def test_near_twins_are_found_and_no_others():
    images = torch.cat([IMAGES, recoloured(IMAGES[:3]).flip(-1)])
    near = nearest_others(images)
    assert are_twins(near).nonzero()[:, 0].tolist() == [0, 1, 2, 40, 41, 42]
    assert near.indices[40:, 0].tolist() == [0, 1, 2]
    assert {frozenset(pair) for pair in closest_pairs(near, most=3)} == {
        frozenset((i, 40 + i)) for i in range(3)
    }


def test_some_rows_are_looked_at_among_all():
    images = torch.cat([IMAGES, recoloured(IMAGES[:3])])
    rows = torch.tensor([41, 7])
    near = nearest_others(images, rows)
    assert near.indices[0, 0] == 1 and are_twins(near).tolist() == [True, False]
    assert closest_pairs(near, rows, most=1) == [(41, 1)]


def test_pairs_are_nearest_first_and_share_no_image():
    near = Neighbours(
        torch.tensor([[0.3], [0.1], [0.1], [0.2], [0.4]]), torch.tensor([[3], [2], [1], [1], [0]])
    )
    assert closest_pairs(near, most=9) == [(1, 2), (0, 3)]
    assert closest_pairs(near, most=1) == [(1, 2)]
