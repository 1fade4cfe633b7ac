import json
import re

import pytest
import torch
from report_pictures import flowers, recoloured

from stylegan.report import Evidence, Finding, Logits, Plate, Report, examine, pictures_of, write_report
from stylegan.report.copies import look_for_copies
from stylegan.report.copy_findings import copies_finding, neighbours_finding
from stylegan.report.diversity import mean_distance_ratio
from stylegan.report.overfit import gap, overfit_finding
from stylegan.report.page import as_html, as_json

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


def test_copies_of_pictures_of_another_training_are_called_so():
    given = evidence(REALS[:60], held_out=pictures_of(flowers(3, 60)), origin="other")
    found = copies_finding(given, look_for_copies(given))
    assert found.verdict == "bad" and "training" not in found.result


def test_half_of_the_spread_is_half_of_the_distance():
    points = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    ratio, low, high = mean_distance_ratio(points / 2, points)
    assert ratio == pytest.approx(0.5) and low < 0.5 < high < 0.6
