import json
import re

import pytest
import torch

from stylegan.report import Evidence, Finding, Logits, Plate, Report, examine, pictures_of, write_report
from stylegan.report.caveats import with_caveats
from stylegan.report.copies import look_for_copies
from stylegan.report.copy_findings import copies_finding, neighbours_finding
from stylegan.report.diversity import diversity_finding, mean_distance_ratio
from stylegan.report.duplicates import in_the_set_finding
from stylegan.report.overfit import gap, overfit_finding
from stylegan.report.page import as_html, as_json
from tests.report.report_pictures import flowers, recoloured

KEYS = [
    "copies",
    "neighbours",
    "repeats",
    "diversity",
    "smoothness",
    "overfitting",
    "orientation",
    "colour",
    "your-set",
]


class Means:
    """The smallest detector there is."""

    name = "means"

    def features(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)


REALS, FAKES = flowers(1, 100), flowers(2, 60)


def evidence(fakes, **more):
    return Evidence(real=pictures_of(REALS, Means()), fake=pictures_of(fakes, Means()), **more)


@pytest.fixture(scope="module")
def copied():
    strips = torch.stack([REALS[i : i + 2].repeat_interleave(4, 0) for i in range(6)])
    logits = Logits(torch.linspace(2, 4, 50), torch.linspace(0, 2, 30), torch.linspace(-1, 1, 50))
    fakes = torch.cat([recoloured(REALS[:30]), REALS[:10], REALS[:10], FAKES[:10]])
    return examine(evidence(fakes, strips=strips, logits=logits))


@pytest.fixture(scope="module")
def fresh():
    steps = torch.linspace(0, 1, 8).view(1, -1, 1, 1, 1)
    strips = ((1 - steps) * FAKES[:6, None] + steps * FAKES[6:12, None]).to(torch.uint8)
    return examine(evidence(FAKES, strips=strips))


def test_each_finding_says_what_is_wrong_and_what_to_try(copied):
    assert [finding.key for finding in copied.findings] == KEYS
    for key in ("copies", "repeats", "smoothness", "overfitting", "colour"):
        assert copied[key].verdict == "bad", key
        assert copied[key].what_to_try, key
    assert copied.verdict == "bad"


def test_a_good_generator_is_cleared(fresh):
    verdicts = {finding.key: finding.verdict for finding in fresh.findings}
    assert set(verdicts.values()) <= {"fine", "unknown"}
    assert verdicts["copies"] == verdicts["smoothness"] == verdicts["diversity"] == "fine"
    assert "data.val_fraction=0.1" in fresh["overfitting"].what_to_try[0]


def test_the_page_needs_nothing_else(copied, tmp_path):
    page = write_report(copied, tmp_path).read_text(encoding="utf-8")
    assert len(page) < 600_000
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources and all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert "http" not in page and "<script" not in page and "url(" not in page
    told = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert told["verdict"] == "bad" and [finding["key"] for finding in told["findings"]] == KEYS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_words_are_escaped_and_numbers_are_json():
    evil = "<script>alert('x')</script>"
    plate = Plate(evil, (evil,), [[torch.zeros(1, 4, 4, dtype=torch.uint8)]])
    finding = Finding(
        key="a", title=evil, verdict="look", result=evil, values={evil: float("nan")}, what_it_means=evil,
        what_to_try=(evil,), plates=(plate,),
    )  # fmt: skip
    report = Report([finding], {evil: evil}, [evil])
    assert "<script" not in as_html(report, evil) and "&lt;script" in as_html(report, evil)
    assert json.loads(as_json(report))["notes"] == [evil]
    assert json.loads(as_json(report))["findings"][0]["values"][evil] is None
    with pytest.raises(ValueError, match="verdict"):
        Finding(key="a", title="", verdict="good", result="", values={}, what_it_means="")


def test_the_gap_is_where_held_out_pictures_lie_between():
    middle, low, high = gap(Logits(torch.full((40,), 2.0), torch.full((40,), 0.5), torch.full((40,), -1.0)))
    assert middle == low == high == pytest.approx(0.5)


def test_what_is_missing_is_what_is_asked_for():
    held_out = pictures_of(flowers(3, 20))
    without = overfit_finding(evidence(FAKES))
    assert "no pictures were held out" in without.result and "val_fraction" in without.what_to_try[0]
    alone = overfit_finding(evidence(FAKES, held_out=held_out))
    assert "discriminator is not at hand" in alone.result and ".ckpt" in alone.what_to_try[0]
    few = overfit_finding(
        evidence(FAKES, held_out=held_out, logits=Logits(torch.ones(9), torch.ones(9), torch.ones(9)))
    )
    assert "only 9" in few.result
    assert {finding.verdict for finding in (without, alone, few)} == {"unknown"}
    for finding in (alone, few):
        assert "no pictures were held out" not in finding.result


def test_on_pictures_of_another_training_nothing_is_cleared():
    by_heart = Logits(torch.full((40,), 5.0), torch.full((40,), 5.0), torch.full((40,), -5.0))
    held_out = pictures_of(flowers(3, 60))
    asked = {
        origin: evidence(FAKES, held_out=held_out, logits=by_heart, origin=origin)
        for origin in ("training", "trust", "other", "changed")
    }
    for origin, given in asked.items():
        copies = look_for_copies(given)
        found = [copies_finding(given, copies), overfit_finding(given), neighbours_finding(given, copies)]
        clear = origin in ("training", "trust")
        assert {finding.verdict for finding in found} == {"fine" if clear else "unknown"}, origin
        for finding in found[:2]:
            assert finding.result.startswith("No." if clear else "It cannot be told"), origin
            assert ("held out of training" in finding.result) <= clear
            assert ("on trust" in finding.what_it_means) == (origin == "trust")
            assert clear or finding.what_to_try
    assert "config.yaml" in overfit_finding(asked["other"]).what_it_means
    assert "events.jsonl" in overfit_finding(asked["changed"]).what_it_means


def test_an_origin_that_is_none_clears_nothing_by_mistake():
    with pytest.raises(ValueError, match="origin='train': it must be one of training, trust"):
        evidence(FAKES, origin="train")


def test_copies_of_pictures_of_another_training_are_called_so():
    given = evidence(REALS[:60], held_out=pictures_of(flowers(3, 60)), origin="other")
    found = copies_finding(given, look_for_copies(given))
    assert found.verdict == "bad" and "training" not in found.result


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
    found = with_caveats(copies_finding(given, look_for_copies(given)), given)
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
    found = with_caveats(alarm, evidence(FAKES, origin="other"))
    assert found.verdict == "look" and "not the pictures" in found.what_it_means
    assert with_caveats(alarm, evidence(FAKES, origin="training")) == alarm


def test_the_page_says_how_it_was_made():
    about = {
        "fakes": 400,
        "real pictures": 1906,
        "kimg": 12345.678,
        "truncation": 0.7,
        "network": "<a>",
        "x": None,
    }
    page = as_html(Report([], about), "t")
    assert "400 fakes · 1,906 real pictures" in page
    for row in ("kimg</th><td>12,345.678<", "truncation</th><td>0.7<", "&lt;a&gt;", "x</th><td>unknown<"):
        assert row in page, row


@pytest.mark.parametrize("count", [1, 2, 19])
def test_of_a_few_pictures_nothing_is_said_to_be_fine(count):
    reals = pictures_of(REALS[:count], Means())
    report = examine(Evidence(real=reals, fake=pictures_of(FAKES[:30], Means())))
    assert {finding.verdict for finding in report.findings} == {"unknown"} and report.verdict == "unknown"
    assert {"diversity", "your-set"} <= {finding.key for finding in report.findings}
    assert f"only {count} different pictures" in report["diversity"].result
    assert f"only {count} different pictures" in report["your-set"].result


def test_one_picture_thirty_times_is_told():
    reals = pictures_of(REALS[:1].repeat(30, 1, 1, 1), Means())
    report = examine(Evidence(real=reals, fake=pictures_of(FAKES[:30], Means())))
    assert report.verdict == report["your-set"].verdict == "bad"
    assert "29 of your 30 pictures are exact repeats" in report["your-set"].result
    assert report["diversity"].verdict == "unknown"


def test_repeats_are_no_mirror_images_where_those_are_wanted():
    twice, mirrored = torch.cat([REALS, REALS]), torch.cat([REALS, REALS.flip(-1)])
    for reals, verdict, exact in ((twice, "bad", 100), (mirrored, "fine", 0)):
        given = Evidence(real=pictures_of(reals), fake=pictures_of(FAKES), xflip=True)
        once = given.without_repeats()
        found = in_the_set_finding(given, once, None, torch.arange(0))
        assert (found.verdict, found.values["exact repeats"]) == (verdict, exact)


def test_what_is_no_number_is_not_fine():
    class Broken(Means):
        def features(self, images):
            return super().features(images) * float("nan")

    given = Evidence(real=pictures_of(REALS, Broken()), fake=pictures_of(FAKES, Broken()))
    assert diversity_finding(given).verdict == "unknown"
    logits = Logits(torch.ones(20), torch.full((20,), float("nan")), torch.zeros(20))
    assert overfit_finding(evidence(FAKES, logits=logits)).verdict == "unknown"


def test_open_questions_are_said_beside_a_clean_answer():
    fine, unknown = (
        Finding(key=verdict, title="", verdict=verdict, result="", values={}, what_it_means="")
        for verdict in ("fine", "unknown")
    )
    assert "Nothing wrong was found.<" in as_html(Report([fine]), "")
    assert "some questions are open.<" in as_html(Report([fine, unknown]), "")


def test_half_of_the_spread_is_half_of_the_distance():
    points = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    ratio, low, high = mean_distance_ratio(points / 2, points)
    assert ratio == pytest.approx(0.5) and low < 0.5 < high < 0.6
