"""Findings about copies, by the provenance of the images, and duplicates in the user's own set."""

import torch

from stylegan.report import Evidence, Logits, report_images
from stylegan.report.copies import find_copies
from stylegan.report.copy_findings import copies_finding, neighbours_finding, own_set_finding
from stylegan.report.overfitting import overfitting_finding
from tests.report.evidences import FAKES, REALS, evidence
from tests.similarity.images import flowers, recoloured


def test_on_pictures_of_another_training_nothing_is_cleared():
    by_heart = Logits(torch.full((40,), 5.0), torch.full((40,), 5.0), torch.full((40,), -5.0))
    held_out = report_images(flowers(3, 60))
    asked = {
        origin: evidence(FAKES, held_out=held_out, logits=by_heart, provenance=origin)
        for origin in ("training", "trust", "other", "changed")
    }
    for origin, given in asked.items():
        copies = find_copies(given)
        found = [copies_finding(given, copies), overfitting_finding(given), neighbours_finding(given, copies)]
        clear = origin in ("training", "trust")
        assert {finding.verdict for finding in found} == {"fine" if clear else "unknown"}, origin
        for finding in found[:2]:
            assert finding.result.startswith("No." if clear else "This cannot be answered"), origin
            assert ("held out of training" in finding.result) <= clear
            assert ("on trust" in finding.what_it_means) == (origin == "trust")
            assert clear or finding.what_to_try
    assert "config.yaml" in overfitting_finding(asked["other"]).what_it_means
    assert "events.jsonl" in overfitting_finding(asked["changed"]).what_it_means


def test_copies_of_pictures_of_another_training_are_called_so():
    given = evidence(REALS[:60], held_out=report_images(flowers(3, 60)), provenance="other")
    found = copies_finding(given, find_copies(given))
    assert found.verdict == "bad" and "training" not in found.result


def test_repeats_are_no_mirror_images_where_those_are_wanted():
    twice, mirrored = torch.cat([REALS, REALS]), torch.cat([REALS, REALS.flip(-1)])
    for reals, verdict, exact in ((twice, "bad", 100), (mirrored, "fine", 0)):
        given = Evidence(real=report_images(reals), fake=report_images(FAKES), xflip=True)
        found = own_set_finding(given, given.without_repeats())
        assert (found.verdict, found.values["exact repeats"]) == (verdict, exact)


def test_twins_of_the_set_are_shown_once_and_nothing_else_is():
    reals = torch.cat([REALS, recoloured(REALS[:6])])
    given = Evidence(real=report_images(reals), fake=report_images(FAKES))
    found = own_set_finding(given, given.without_repeats())
    assert found.verdict == "look" and found.values["share with a twin"] == round(12 / 106, 4)
    [grid] = found.grids
    shown = [{image.numpy().tobytes() for image in row} for row in grid.rows]
    twins = [{reals[i].numpy().tobytes(), reals[100 + i].numpy().tobytes()} for i in range(6)]
    assert len(shown) == 6 and all(pair in twins for pair in shown)
