"""Blends: both images that were blended are found, and other images are explained by no pair."""

import torch

from stylegan.similarity import best_pairs
from tests.similarity.images import blended, flowers

REALS = flowers(1, 60)
SOME = torch.arange(0, 60, 5)


def test_both_halves_of_a_blend_are_found():
    others = (SOME + 7) % 60
    found = best_pairs(REALS, blended(REALS[SOME], REALS[others], 0.6))
    wanted = torch.stack([SOME, others], 1).sort(1).values
    assert torch.equal(found.indices.sort(1).values, wanted)
    assert found.residual.max() < 0.15 and found.residual_ratio().max() < 0.3
    assert best_pairs(REALS, flowers(2, 20)).residual_ratio().min() > 0.3


def test_a_real_is_not_half_of_itself():
    assert not (best_pairs(REALS, REALS[SOME], itself=SOME).indices == SOME[:, None]).any()


def test_an_exact_sum_of_two_leaves_next_to_nothing_and_a_third_image_much():
    """By hand: the energy that two orthogonal images leave of a third one."""
    generator = torch.Generator().manual_seed(0)
    reals = torch.randint(60, 196, (8, 1, 16, 16), generator=generator, dtype=torch.uint8)
    half = (reals[2].float() + reals[5].float()).div(2).round().to(torch.uint8)[None]
    other = torch.randint(60, 196, (1, 1, 16, 16), generator=generator, dtype=torch.uint8)
    assert set(best_pairs(reals, half).indices[0].tolist()) == {2, 5}
    assert float(best_pairs(reals, half).residual) < 0.4 < float(best_pairs(reals, other).residual)
