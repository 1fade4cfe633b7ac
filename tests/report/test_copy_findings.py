"""Findings about copies, by the provenance of the images, and duplicates in the user's own set."""

import json

import pytest
import torch

from stylegan.report import Evidence, Logits, Report, examine, report_images, write_report
from stylegan.report.copies import find_copies
from stylegan.report.copy_findings import copies_finding, neighbours_finding, own_set_finding
from stylegan.report.overfitting import overfitting_finding
from stylegan.report.page import as_html, as_json
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


def test_duplicates_are_named_by_file_in_page_and_json(tmp_path):
    names = [f"fox {number}.png" for number in range(100)]
    reals = torch.cat([REALS, REALS[[3, 5, 3]], recoloured(REALS[7:8])])
    names += ["copy of 3.png", "<b>5</b>.png", "b/3\n again.png", "hue\udcff.png"]
    given = Evidence(real=report_images(reals, names=names), fake=report_images(FAKES))
    report = examine(given)
    finding = report["your-set"]
    exact = [["fox 3.png", "copy of 3.png", r"b/3\n again.png"], ["fox 5.png", "<b>5</b>.png"]]
    assert [list(group) for group in finding.files[:2]] == exact
    assert len(finding.files) == 2
    # Ends of lines, and bytes that are no text, are shown as on a terminal.
    assert [set(group) for group in finding.twins] == [{"fox 7.png", r"hue\udcff.png"}]
    assert "Files lists them" in finding.what_to_try[0]
    page = write_report(report, tmp_path).read_text(encoding="utf-8")
    assert "<li>fox 3.png = copy of 3.png = b/3\\n again.png</li>" in page
    assert "&lt;b&gt;5&lt;/b&gt;.png" in page and "<b>5" not in page
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    [found] = [found for found in written["findings"] if found["key"] == "your-set"]
    assert found["files"] == [list(group) for group in finding.files]
    assert found["twins"] == [list(group) for group in finding.twins]
    # Repeats and twins stand apart, each with a sign of its own.
    lists = page[page.index("<summary>Files") :]
    twins = lists.index("<h3>Alike but for colour, direction or a small shift</h3>")
    assert (
        lists.index("<h3>Exact repeats</h3>") < lists.index(" = copy of 3") < twins < lists.index(" \u2248 ")
    )


def test_all_twins_of_an_image_are_named():
    """Pairs show each image once; the lists leave none out that is counted."""
    reals = torch.cat([REALS, recoloured(REALS[7:8]), (REALS[7:8] * 0.8).byte(), recoloured(REALS[9:10])])
    given = Evidence(
        real=report_images(reals, names=[str(index) for index in range(103)]), fake=report_images(FAKES)
    )
    finding = own_set_finding(given, given.without_repeats())
    assert finding.twins == [["7", "100", "101"], ["9", "102"]]
    assert "Of the 103 different ones 5 have a twin" in finding.result


def test_a_set_without_names_has_its_duplicates_counted():
    given = Evidence(real=report_images(torch.cat([REALS, REALS])), fake=report_images(FAKES))
    assert own_set_finding(given, given.without_repeats()).files == []


def test_many_duplicates_are_all_in_the_json_and_the_first_on_the_page(tmp_path):
    names = [f"{number}.png" for number in range(400)]
    reals = flowers(4, 200)
    given = Evidence(real=report_images(torch.cat([reals, reals]), names=names), fake=report_images(FAKES))
    finding = own_set_finding(given, given.without_repeats())
    assert len(finding.files) == 200
    assert "and 100 more, in report.json" in as_html(Report([finding]), "")
    assert len(json.loads(as_json(Report([finding])))["findings"][0]["files"]) == 200


def test_twins_are_counted_in_words():
    assert (
        "Of the 108 different ones 16 have a twin"
        in own_set(torch.cat([REALS, recoloured(REALS[:8])])).result
    )
    many = flowers(4, 400)
    assert "Of a sample of 300 different ones " in own_set(torch.cat([many, recoloured(many[:100])])).result


def own_set(reals, **more):
    given = Evidence(real=report_images(reals), fake=report_images(FAKES), **more)
    return own_set_finding(given, given.without_repeats())


def test_twins_are_no_repeats_and_are_not_to_be_removed():
    flat = torch.arange(40, 240, 5, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32).clone()
    flat[:, :, :10] = 10
    sets = {
        "recoloured": torch.cat([REALS, recoloured(REALS[:50])]),
        "mirrored": torch.cat([REALS, REALS.flip(-1)]),
        "shifted": torch.cat([REALS, REALS.roll(1, -1)]),
        "flags that differ in colour": torch.cat([REALS, flat]),
    }
    for name, reals in sets.items():
        found = own_set(reals)
        assert (found.verdict, found.values["exact repeats"]) == ("look", 0), name
        assert found.result.startswith(f"No. None of your {len(reals)} pictures is an exact repeat"), name
        assert [step for step in found.what_to_try if "emove" in step or "exclude" in step] == [], name
        assert any("keep what you want to have twice" in step for step in found.what_to_try), name


def test_only_a_detail_keeps_a_picture_from_being_a_repeat():
    large = torch.nn.functional.interpolate(REALS.float(), scale_factor=8, mode="nearest").byte()
    other = large[:10].clone()
    other[:, :, 0, 0] ^= 1
    found = own_set(torch.cat([large, other, large[20:25]]))
    assert found.values["exact repeats"] == 5 and found.values["share with a twin"] > 0.1


@pytest.mark.parametrize(
    ("repeats", "total", "words", "verdict"),
    [
        (0, 100, "No. None of your 100 pictures is an exact repeat of another.", "fine"),
        (1, 43, "Yes. 1 of your 43 pictures is an exact repeat.", "look"),
        (1, 101, "One. 1 of your 101 pictures is an exact repeat.", "fine"),
        (2, 102, "A few. 2 of your 102 pictures are exact repeats.", "fine"),
        (40, 80, "Yes. 40 of your 80 pictures are exact repeats.", "bad"),
    ],
)
def test_repeats_are_counted_in_words(repeats, total, words, verdict):
    reals = REALS[: total - repeats]
    found = own_set(torch.cat([reals, reals[:repeats]]))
    assert found.verdict == verdict and found.result.startswith(words)
    removing = any(step.startswith("Remove all but one of each exact repeat") for step in found.what_to_try)
    assert removing == (verdict != "fine") and not any("colour" in step for step in found.what_to_try)
