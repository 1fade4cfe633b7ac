import torch

from stylegan.report.blends import best_pairs
from stylegan.report.distances import nearest, nearest_features
from stylegan.report.thumbnails import thumbnails
from tests.report.report_pictures import blended, flowers, recoloured, shifted

REALS = flowers(1, 60)
SOME = torch.arange(0, 60, 5)


def test_the_original_is_found_whatever_was_done_to_it():
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
        assert found.standing_out().max() < 0.5, name


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
    assert not (best_pairs(REALS, REALS[SOME], itself=SOME).indices == SOME[:, None]).any()


def test_flat_pictures_and_few_of_them_have_finite_distances():
    flat = torch.full((3, 3, 16, 16), 7, dtype=torch.uint8)
    found = nearest(flat, flat[:1])
    assert found.distances.isfinite().all() and found.standing_out().isfinite().all()


def test_both_halves_of_a_blend_are_found():
    others = (SOME + 7) % 60
    found = best_pairs(REALS, blended(REALS[SOME], REALS[others], 0.6))
    wanted = torch.stack([SOME, others], 1).sort(1).values
    assert torch.equal(found.indices.sort(1).values, wanted)
    assert found.left.max() < 0.15 and found.standing_out().max() < 0.3
    assert best_pairs(REALS, flowers(2, 20)).standing_out().min() > 0.3


def test_a_thumbnail_is_the_mean_of_what_it_covers():
    pictures = torch.randint(256, (2, 3, 64, 32), dtype=torch.uint8)
    expected = pictures.float().unflatten(2, (32, 2)).unflatten(4, (16, 2)).mean((3, 5)).round()
    assert torch.equal(thumbnails(pictures).float(), expected)
    clear = torch.zeros(1, 4, 8, 8, dtype=torch.uint8)
    assert torch.equal(thumbnails(clear), torch.full((1, 3, 8, 8), 255, dtype=torch.uint8))
