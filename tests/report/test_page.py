"""The report's page and its JSON: complete, self-contained, and safe for any names and texts."""

import json
import re

import pytest
import torch

from stylegan.report import Finding, ImageGrid, Report, write_report
from stylegan.report.page import as_html, as_json
from tests.report.evidences import KEYS, report_on_copies


def test_the_page_needs_nothing_else(tmp_path):
    page = write_report(report_on_copies(), tmp_path).read_text(encoding="utf-8")
    assert len(page) < 600_000
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources and all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert "http" not in page and "<script" not in page and "url(" not in page
    reported = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert reported["verdict"] == "bad" and [finding["key"] for finding in reported["findings"]] == KEYS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_words_are_escaped_and_numbers_are_json():
    evil = "<script>alert('x')</script>"
    grid = ImageGrid(evil, (evil,), [[torch.zeros(1, 4, 4, dtype=torch.uint8)]])
    finding = Finding(
        key="a", title=evil, verdict="look", result=evil, values={evil: float("nan")}, what_it_means=evil,
        what_to_try=(evil,), grids=(grid,),
    )  # fmt: skip
    report = Report([finding], {evil: evil}, [evil])
    assert "<script" not in as_html(report, evil) and "&lt;script" in as_html(report, evil)
    assert json.loads(as_json(report))["notes"] == [evil]
    assert json.loads(as_json(report))["findings"][0]["values"][evil] is None
    with pytest.raises(ValueError, match="verdict"):
        Finding(key="a", title="", verdict="good", result="", values={}, what_it_means="")


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


def test_open_questions_are_reported_with_a_clean_answer():
    fine, unknown = (
        Finding(key=verdict, title="", verdict=verdict, result="", values={}, what_it_means="")
        for verdict in ("fine", "unknown")
    )
    assert "Nothing wrong was found.<" in as_html(Report([fine]), "")
    assert "some questions are open.<" in as_html(Report([fine, unknown]), "")


def test_what_comes_too_early_says_so_before_all_else():
    alarm = Finding(key="a", title="", verdict="look", result="", values={}, what_it_means="")
    report = Report([alarm], notes=["<note>"], is_early=True)
    page = as_html(report, "t")
    places = [page.index(text) for text in ("Too early to tell", "Train longer", "&lt;note&gt;", 'id="a"')]
    assert places == sorted(places) and 'class="summary unknown"' in page
    late = as_html(Report([alarm], notes=["<note>"]), "t")
    assert late.index("&lt;note&gt;") < late.index("Something needs a look.") and "Train longer" not in late
