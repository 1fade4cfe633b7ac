"""The report's files: one HTML page that needs nothing else, and JSON for programs."""

import json
import math
import os
from pathlib import Path
from typing import Any

from stylegan.machine.files import replacing
from stylegan.pages import image_column, render
from stylegan.pages.render import exact, number
from stylegan.report.findings import VERDICTS, WORDS, Finding, ImageGrid, Report, Value
from stylegan.similarity.thumbnails import as_seen, shrunk

# Counted up when a program that reads `report.json` would have to change.
_FORMAT_VERSION = 1
# Images on the page have at most this many pixels a side; smaller ones are enlarged.
_SHOWN_PX = 96
# Groups of files that the page names in each list; `report.json` has all.
_FILES_SHOWN = 100
# Of `about`, what is at the top; the reader opens the rest.
_COUNTED = ("fakes", "real pictures", "held-out pictures")


def write_report(
    report: Report, folder: str | os.PathLike, *, title: str = "Is it learning or copying?"
) -> Path:
    """Writes `report.html` and `report.json` into a folder, each whole or not at all.

    Args:
        report: what it says.
        folder: made where it is missing.
        title: of the page.
    Returns: the page.
    Raises: OSError where the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("report.json", as_json(report)), ("report.html", as_html(report, title))):
        with replacing(folder / name) as file:
            file.write(text.encode("utf-8", "backslashreplace"))  # a name that is no text
    return folder / "report.html"


def as_json(report: Report) -> str:
    """The findings without images. Numbers that JSON lacks (infinite, undefined) are null."""
    content = {
        "format_version": _FORMAT_VERSION,
        "verdict": report.verdict,
        "head": report.head,
        "advice": report.advice,
        "about": {name: _finite(value) for name, value in report.about.items()},
        "notes": list(report.notes),
        "findings": [
            {
                "key": finding.key,
                "title": finding.title,
                "verdict": finding.verdict,
                "result": finding.result,
                "values": {name: _finite(value) for name, value in finding.values.items()},
                "what_it_means": finding.what_it_means,
                "what_to_try": list(finding.what_to_try),
                "files": [list(group) for group in finding.files],
                "twins": [list(group) for group in finding.twins],
            }
            for finding in report.findings
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_html(report: Report, title: str) -> str:
    """The whole page, the urgent findings first."""
    findings = sorted(report.findings, key=lambda finding: VERDICTS.index(finding.verdict))
    counts = [name for name in _COUNTED if report.about.get(name)]
    return render(
        "report.html",
        title=title,
        counts=[(number(report.about[name]), name) for name in counts],
        about=[(name, exact(value)) for name, value in report.about.items() if name not in counts],
        notes=report.notes,
        verdict=report.verdict,
        head=report.head,
        advice=report.advice,
        findings=[_shown(finding) for finding in findings],
    )


def _shown(finding: Finding) -> dict[str, Any]:
    """A finding as the template takes it."""
    return {
        "key": finding.key,
        "title": finding.title,
        "verdict": finding.verdict,
        "word": WORDS[finding.verdict],
        "result": finding.result,
        "grids": [{"title": grid.title, "columns": _columns(grid)} for grid in finding.grids if grid.rows],
        "what_it_means": finding.what_it_means,
        "what_to_try": finding.what_to_try,
        "lists": [
            {
                "caption": caption,
                "lines": [sign.join(group) for group in groups[:_FILES_SHOWN]],
                "more": max(0, len(groups) - _FILES_SHOWN),
            }
            for caption, sign, groups in (
                ("Exact repeats", " = ", finding.files),
                ("Alike but for colour, direction or a small shift", " ≈ ", finding.twins),
            )
            if groups
        ],
        "numbers": [(name, number(value)) for name, value in finding.values.items()],
    }


def _columns(grid: ImageGrid) -> list[tuple[str, str]]:
    """Of each column its name, and its images below each other as one."""
    return [
        (name, image_column([shrunk(as_seen(row[place])[None], _SHOWN_PX)[0] for row in grid.rows]))
        for place, name in enumerate(grid.columns)
    ]
