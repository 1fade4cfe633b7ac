"""The copy test: copies are found after any change to them, and fresh images are cleared."""

import pytest
import torch

from stylegan.report.copies import compare, find_copies, likeness, reference_images
from stylegan.report.evidence import Evidence, report_images
from stylegan.similarity.duplicates import first_of_equals
from tests.similarity.images import blended, flowers, recoloured, shifted

REALS = flowers(1, 100)
FRESH = flowers(2, 60)
COPIED = REALS[:60]


def outcome(fakes, held_out=None, reals=REALS):
    evidence = Evidence(
        real=report_images(reals),
        fake=report_images(fakes),
        held_out=None if held_out is None else report_images(held_out),
    )
    return find_copies(evidence.without_repeats())


_FOUND = {}


def once(name, make):
    if name not in _FOUND:
        _FOUND[name] = make()
    return _FOUND[name]


@pytest.mark.parametrize(
    "fakes",
    [
        COPIED,
        COPIED.flip(-1),
        shifted(COPIED, 2, -2),
        recoloured(COPIED),
        blended(COPIED, REALS[40:]),
        torch.cat([COPIED[:18], FRESH[18:]]),
    ],
    ids=["plain", "mirrored", "shifted", "recoloured", "blended", "three in ten"],
)
def test_a_copier_is_flagged(fakes):
    reference = once("reference", lambda: reference_images(report_images(REALS), None))
    assert compare(likeness(report_images(REALS), report_images(fakes)), reference).verdict == "bad"


@pytest.mark.parametrize("held_out", [None, flowers(3, 60)], ids=["without a split", "with a split"])
def test_fresh_images_are_cleared_and_copies_are_not(held_out):
    clear = outcome(FRESH, held_out)
    assert clear.verdict == "fine" and clear.share == 0
    assert clear.reference.kind == ("reals" if held_out is None else "held-out")
    mixed = outcome(torch.cat([COPIED[:30], FRESH[30:]]), held_out)
    assert mixed.verdict == "bad"
    assert mixed.share == pytest.approx(0.5, abs=0.1)
    assert set(mixed.order[:30].tolist()) == set(range(30))


def test_a_set_that_holds_everything_twice_hides_nothing():
    twice = torch.cat([REALS, REALS.flip(-1)])
    assert torch.equal(first_of_equals(twice), torch.arange(100))
    assert outcome(COPIED, reals=twice).verdict == "bad"


def test_harmless_differences_are_no_copies():
    plain = REALS.float().mean(0)
    truncated = (plain + 0.5 * (FRESH - plain)).round().to(torch.uint8)
    blurred = torch.nn.functional.avg_pool2d(FRESH.float(), 3, 1, 1).to(torch.uint8)
    reference = once("reference", lambda: reference_images(report_images(REALS), None))
    for fakes in (truncated, blurred):
        assert compare(likeness(report_images(REALS), report_images(fakes)), reference).verdict == "fine"


def test_equal_evidence_gives_equal_results():
    one, other = outcome(FRESH[:20], reals=REALS[:40]), outcome(FRESH[:20], reals=REALS[:40])
    assert one.p_value == other.p_value and torch.equal(one.order, other.order)


def test_too_few_images_give_no_answer():
    assert outcome(FRESH, reals=REALS[:19]) is None


def test_report_images_another_shape_are_refused():
    with pytest.raises(ValueError, match="^fake must have the channels"):
        Evidence(real=report_images(REALS), fake=report_images(FRESH[:, :1]))
    with pytest.raises(ValueError, match="uint8"):
        report_images(FRESH.float())


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("count", "size"), [(100, 32), (500, 64), (2000, 32)])
def test_rates_over_twenty_seeds(seed, count, size):
    reals, fresh = flowers(1000 + seed, count, size), flowers(2000 + seed, 100, size)
    copied = reals[torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:100]]
    assert outcome(fresh, reals=reals).verdict == "fine"
    for fakes in (
        copied.flip(-1),
        shifted(copied, 2, 2),
        recoloured(copied),
        blended(copied, copied.roll(1, 0)),
    ):
        assert outcome(fakes, reals=reals).verdict == "bad"
    assert outcome(torch.cat([copied[:10], fresh[10:]]), reals=reals).verdict == "bad"
