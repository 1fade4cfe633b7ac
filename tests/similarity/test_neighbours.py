"""Nearest neighbours: the original is found after any change to it, and nothing else is near."""

import torch

from stylegan.similarity import nearest, nearest_features, thumbnails
from tests.similarity.images import flowers, recoloured, shifted

REALS = flowers(1, 60)
SOME = torch.arange(0, 60, 5)


def test_the_original_is_found_after_any_change():
    changed = {
        "nothing": REALS[SOME],
        "mirrored": REALS[SOME].flip(-1),
        "shifted": shifted(REALS[SOME], 2, -1),
        "recoloured": recoloured(REALS[SOME]),
        "negative": 255 - REALS[SOME],
        "all": recoloured(shifted(REALS[SOME].flip(-1), -3, 2)),
    }
    for name, pictures in changed.items():
        found = nearest(REALS, pictures)
        assert torch.equal(found.indices[:, 0], SOME), name
        assert found.distances[:, 0].max() < 0.15, name
        assert found.distance_ratio().max() < 0.5, name


def test_a_shift_by_half_a_pixel_of_the_thumbnail_is_seen():
    large = flowers(1, 60, 64)
    found = nearest(thumbnails(large), thumbnails(shifted(large[SOME], 1, 0)))
    assert torch.equal(found.indices[:, 0], SOME)
    assert found.distances[:, 0].max() < 0.15


def test_a_fresh_picture_is_near_to_none():
    found = nearest(REALS, flowers(2, 20))
    assert found.distances[:, 0].min() > 0.15
    assert (found.distances.diff(dim=1) >= 0).all()


def test_a_real_is_not_its_own_neighbour():
    for found in (
        nearest(REALS, REALS[SOME], itself=SOME),
        nearest_features(REALS.flatten(1).float(), REALS[SOME].flatten(1).float(), itself=SOME),
    ):
        assert not (found.indices == SOME[:, None]).any()


def test_flat_pictures_and_few_of_them_have_finite_distances():
    flat = torch.full((3, 3, 16, 16), 7, dtype=torch.uint8)
    found = nearest(flat, flat[:1])
    assert found.distances.isfinite().all() and found.distance_ratio().isfinite().all()
