"""Examination: what is found in fakes that are copies and in others, and what each answer is worth."""

import pytest
import torch

from stylegan.report import Evidence, Finding, examine, report_images
from stylegan.report.copies import find_copies
from stylegan.report.copy_findings import copies_finding
from stylegan.report.examination import with_caveats
from tests.report.evidences import FAKES, KEYS, REALS, Means, evidence, report_on_copies, report_on_fresh


def test_each_finding_says_what_is_wrong_and_what_to_try():
    copied = report_on_copies()
    assert [finding.key for finding in copied.findings] == KEYS
    for key in ("copies", "repeats", "smoothness", "overfitting", "colour"):
        assert copied[key].verdict == "bad", key
        assert copied[key].what_to_try, key
    assert copied.verdict == "bad"


def test_a_good_generator_is_cleared():
    fresh = report_on_fresh()
    verdicts = {finding.key: finding.verdict for finding in fresh.findings}
    assert set(verdicts.values()) <= {"fine", "unknown"}
    assert verdicts["copies"] == verdicts["smoothness"] == verdicts["diversity"] == "fine"
    assert "data.val_fraction=0.1" in fresh["overfitting"].what_to_try[0]


_DRAWN = {"repeats", "diversity", "smoothness", "orientation", "colour"}


def test_what_truncation_does_by_itself_is_not_laid_on_the_network():
    # Two fakes again and again, in other colours: an alarm without truncation.
    fakes = (255 - FAKES[:2]).repeat(25, 1, 1, 1)
    with_it, without = (examine(evidence(fakes, truncation=psi)) for psi in (0.3, 1.0))
    assert {"repeats", "diversity", "colour"} <= {f.key for f in without.findings if f.verdict == "bad"}
    for finding in with_it.findings:
        if finding.key in _DRAWN:
            assert finding.verdict == "unknown" and "truncation 0.3" in finding.result, finding.key
            assert finding.what_to_try == ("Make the report with truncation=1.",)
            above = with_caveats(finding, evidence(fakes, truncation=1.3))
            assert "drives them apart" in above.result and "drives them apart" not in finding.result
    assert ["truncation 0.3" in note for note in with_it.notes] == [False, True]
    assert not any("truncation" in step for finding in without.findings for step in finding.what_to_try)


def test_fakes_that_truncation_made_are_cleared_of_copying_themselves_alone():
    given = evidence(FAKES, truncation=0.5)
    found = with_caveats(copies_finding(given, find_copies(given)), given)
    assert found.verdict == "fine" and "truncation 0.5" in found.what_it_means


def test_pictures_of_another_training_are_no_alarm():
    alarm = Finding(
        key="orientation",
        title="",
        verdict="bad",
        result="",
        values={},
        what_it_means="Turned.",
        what_to_try=(),
    )
    found = with_caveats(alarm, evidence(FAKES, provenance="other"))
    assert found.verdict == "look" and "not the pictures" in found.what_it_means
    assert with_caveats(alarm, evidence(FAKES, provenance="training")) == alarm


@pytest.mark.parametrize("count", [1, 2, 19])
def test_of_a_few_pictures_nothing_is_said_to_be_fine(count):
    reals = report_images(REALS[:count], Means())
    report = examine(Evidence(real=reals, fake=report_images(FAKES[:30], Means())))
    assert {finding.verdict for finding in report.findings} == {"unknown"} and report.verdict == "unknown"
    assert report.head == "Too few pictures to tell: most questions need 20 different ones."
    assert {"diversity", "your-set"} <= {finding.key for finding in report.findings}
    few = f"nly {count} different picture{'s' * (count > 1)} "
    assert few in report["diversity"].result and few in report["your-set"].result


def test_what_is_fine_of_a_few_pictures_does_not_clear_the_network():
    steps = torch.linspace(0, 1, 8).view(1, -1, 1, 1, 1)
    strips = ((1 - steps) * FAKES[:6, None] + steps * FAKES[6:12, None]).to(torch.uint8)

    def seen(real, fake):
        given = Evidence(
            real=report_images(real),
            fake=report_images(fake),
            strips=strips,
            augment_p=0.0,
            provenance="training",
        )
        return examine(given)

    # As of a run that has just begun: only walks, and what training did not show, are fine.
    for real, fake, few in (
        (REALS[:4], FAKES, "pictures"),
        (REALS, FAKES[:19], "fakes"),
        (REALS[:4], FAKES[:4], "pictures"),
    ):
        report = seen(real, fake)
        assert report["smoothness"].verdict == report["colour"].verdict == "fine"
        assert report.verdict == "unknown" and report.head.startswith(f"Too few {few} to tell: ")
    repeated = seen(REALS[:4].repeat(10, 1, 1, 1), FAKES)
    assert repeated.verdict == "bad" and repeated.head == "Something is wrong."
    assert seen(REALS[:20], FAKES[:20]).head.startswith("Nothing wrong was found")


def test_one_image_thirty_times_is_reported():
    reals = report_images(REALS[:1].repeat(30, 1, 1, 1), Means())
    report = examine(Evidence(real=reals, fake=report_images(FAKES[:30], Means())))
    assert report.verdict == report["your-set"].verdict == "bad"
    assert "29 of your 30 pictures are exact repeats" in report["your-set"].result
    assert report["diversity"].verdict == "unknown"
