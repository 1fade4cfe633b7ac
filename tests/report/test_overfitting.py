"""Overfitting of the discriminator: the gap by hand, and what is missing to measure it."""

import pytest
import torch

from stylegan.report import Logits, report_images
from stylegan.report.overfitting import gap, overfitting_finding
from tests.report.evidences import FAKES, evidence
from tests.similarity.images import flowers


def test_the_gap_is_where_held_out_pictures_lie_between():
    middle, low, high = gap(Logits(torch.full((40,), 2.0), torch.full((40,), 0.5), torch.full((40,), -1.0)))
    assert middle == low == high == pytest.approx(0.5)


def test_what_is_missing_is_named_as_the_way_out():
    held_out = report_images(flowers(3, 20))
    without = overfitting_finding(evidence(FAKES))
    assert "no pictures were held out" in without.result and "val_fraction" in without.what_to_try[0]
    alone = overfitting_finding(evidence(FAKES, held_out=held_out))
    assert "there is no discriminator" in alone.result and ".ckpt" in alone.what_to_try[0]
    few = overfitting_finding(
        evidence(FAKES, held_out=held_out, logits=Logits(torch.ones(9), torch.ones(9), torch.ones(9)))
    )
    assert "only 9" in few.result
    assert {finding.verdict for finding in (without, alone, few)} == {"unknown"}
    for finding in (alone, few):
        assert "no pictures were held out" not in finding.result


def test_logits_that_are_no_numbers_are_not_fine():
    logits = Logits(torch.ones(20), torch.full((20,), float("nan")), torch.zeros(20))
    assert overfitting_finding(evidence(FAKES, logits=logits)).verdict == "unknown"
