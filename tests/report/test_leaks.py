"""Augmentation leaks: fakes that come turned or in other colours, on images that were turned and recoloured."""

import pytest
import torch

from stylegan.report import Evidence, report_images
from stylegan.report.leaks import COLOURED, TURNED, colour_finding, layout, measured, palette
from tests.similarity.images import flowers


def lit(seed, count):
    """Images that stand upright: a bright spot above, a dark bar left of the middle, noise."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(90, 150, (count, 3, 16, 16), generator=generator)
    images[:, :, 1:5, 6:11] += torch.randint(40, 90, (count, 3, 1, 1), generator=generator)
    images[:, :, 4:14, 2:5] -= torch.randint(30, 80, (count, 1, 1, 1), generator=generator)
    return images.to(torch.uint8)


REALS, FAKES = lit(0, 120), lit(1, 100)


@pytest.mark.parametrize("way", ["mirrored", "a quarter turn"])
def test_the_score_rises_with_the_share_of_turned_fakes(way):
    scores = []
    for count in (0, 20, 100):
        fakes = FAKES.clone()
        fakes[:count] = TURNED[way](fakes[:count])
        found = measured(REALS, fakes, TURNED, layout)
        scores.append(found.changed)
        assert found.surely == (count > 0)
    assert scores == sorted(scores)
    assert scores[0] < 0.05 and scores[1] == pytest.approx(0.2, abs=0.08) and scores[-1] > 0.85
    assert found.shares.argmax() == list(TURNED).index(way)


def test_pictures_without_an_orientation_show_no_turns():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (160, 3, 16, 16), generator=generator).to(torch.uint8)
    found = measured(noise[:80], noise[80:], TURNED, layout)
    assert not found.seen.any() and found.changed == 0 and not found.surely


@pytest.mark.parametrize("way", ["negative", "another hue"])
def test_the_score_rises_with_the_share_of_recoloured_fakes(way):
    reals, fakes = flowers(1, 100), flowers(2, 60)
    assert measured(reals, fakes, COLOURED, palette).changed < 0.05
    fakes = fakes.clone()
    fakes[:30] = COLOURED[way](fakes[:30].float()).to(torch.uint8)
    assert measured(reals, fakes, COLOURED, palette).changed == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("way", "verdict"),
    [
        ("negative", "bad"),
        ("another hue", "bad"),
        ("darker", "look"),
        ("brighter", "look"),
        ("as it is", "fine"),
    ],
)
def test_fakes_in_another_light_are_a_weak_sign(way, verdict):
    fakes = COLOURED[way](flowers(2, 60).float()).to(torch.uint8)
    evidence = Evidence(real=report_images(flowers(1, 100)), fake=report_images(fakes))
    assert colour_finding(evidence).verdict == verdict


def verdict_on(**counts):
    """The verdict and the text about 200 fakes, of which so many were changed in each way."""
    fakes, start = flowers(4, 200).clone(), 0
    for way, count in counts.items():
        some = slice(start, start + count)
        fakes[some] = COLOURED[way](fakes[some].float()).to(torch.uint8)
        start += count
    found = colour_finding(Evidence(real=report_images(flowers(1, 100)), fake=report_images(fakes)))
    return found.verdict, found.result


def test_a_strong_leak_is_not_excused_by_a_larger_weak_one():
    for counts in ({"negative": 60}, {"negative": 60, "darker": 80}, {"negative": 60, "brighter": 80}):
        verdict, result = verdict_on(**counts)
        assert verdict == "bad" and "most of them: negative" in result, (counts, result)


def test_a_weak_leak_does_not_make_a_small_strong_one_bad():
    verdict, result = verdict_on(negative=30, darker=28)
    assert verdict == "look" and "most of them: negative" in result, result
    assert "darker: a network that is not done learning" in result
