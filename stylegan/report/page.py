"""The report as one HTML page that needs nothing else, and as JSON for programs."""

import json
import math
import os
from collections.abc import Iterable
from html import escape
from pathlib import Path

from stylegan.machine.files import replacing
from stylegan.report.findings import VERDICTS, Finding, Plate, Report
from stylegan.report.plates import columns_of, data_uri
from stylegan.report.style import STYLE

_WORDS = {"bad": "act on this", "look": "look at this", "fine": "fine", "unknown": "cannot tell"}
_COUNTED = ("fakes", "real pictures", "held-out pictures")
_HEADS = {
    "bad": "Something is wrong.",
    "look": "Something wants a look.",
    "fine": "Nothing wrong was found.",
    "unknown": "Too little was given to tell.",
}


def write_report(
    report: Report, folder: str | os.PathLike, *, title: str = "Is it learning or copying?"
) -> Path:
    """Writes `report.html` and `report.json` into a folder, each whole or not at all.

    Returns: the page. Raises: OSError where the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("report.json", as_json(report)), ("report.html", as_html(report, title))):
        with replacing(folder / name) as file:
            file.write(text.encode("utf-8"))
    return folder / "report.html"


def as_json(report: Report) -> str:
    """The findings without pictures. Numbers that JSON lacks (infinite, undefined) are null."""
    content = {
        "format_version": 1,
        "verdict": report.verdict,
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
            }
            for finding in report.findings
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: float | int | str | None) -> float | int | str | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_html(report: Report, title: str) -> str:
    """The whole page. Every word that comes from outside is escaped."""
    findings = sorted(report.findings, key=lambda finding: VERDICTS.index(finding.verdict))
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            _about(report),
            *(f'<p class="note">{escape(note)}</p>' for note in report.notes),
            _summary(report, findings),
            *(_section(finding) for finding in findings),
            "</main></body></html>",
            "",
        ]
    )


def _about(report: Report) -> str:
    """The counts in a line, and everything else that decides about the answers, to be opened."""
    counts = [name for name in _COUNTED if report.about.get(name)]
    line = " · ".join(f"{_number(report.about[name])} {name}" for name in counts)
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(_exact(value))}</td></tr>"
        for name, value in report.about.items()
        if name not in counts
    )
    return (
        f'<p class="about">{escape(line)}</p>'
        f'<details class="about"><summary>How this was made</summary><table>{rows}</table></details>'
    )


def _summary(report: Report, findings: Iterable[Finding]) -> str:
    lines = [
        f'<li><a href="#{escape(finding.key)}">{escape(finding.title)}</a> {_badge(finding)}</li>'
        for finding in findings
    ]
    head = _HEADS[report.verdict]
    if report.verdict == "fine" and any(finding.verdict == "unknown" for finding in report.findings):
        head = "Nothing wrong was found, but some questions are open."
    return f'<div class="summary {report.verdict}"><p class="head">{head}</p><ul>{"".join(lines)}</ul></div>'


def _badge(finding: Finding) -> str:
    return f'<span class="badge {finding.verdict}">{_WORDS[finding.verdict]}</span>'


def _section(finding: Finding) -> str:
    parts = [
        f'<section id="{escape(finding.key)}" class="{finding.verdict}">',
        f"<h2>{escape(finding.title)} {_badge(finding)}</h2>",
        f'<p class="result">{escape(finding.result)}</p>',
        *(_plate(plate) for plate in finding.plates if plate.rows),
        f"<p>{escape(finding.what_it_means)}</p>",
    ]
    if finding.what_to_try:
        steps = "".join(f"<li>{escape(step)}</li>" for step in finding.what_to_try)
        parts.append(f"<h3>What to try</h3><ol>{steps}</ol>")
    if finding.values:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(_number(value))}</td></tr>"
            for name, value in finding.values.items()
        )
        parts.append(f"<details><summary>Numbers</summary><table>{rows}</table></details>")
    return "\n".join([*parts, "</section>"])


def _plate(plate: Plate) -> str:
    cells = "".join(
        f'<div><img src="{data_uri(picture)}" alt="{escape(name)}"><span>{escape(name)}</span></div>'
        for name, picture in zip(plate.columns, columns_of(plate), strict=True)
    )
    return (
        f'<figure><figcaption>{escape(plate.title)}</figcaption><div class="plate" '
        f'style="--columns:{len(plate.columns)}">{cells}</div></figure>'
    )


def _exact(value: float | int | str | None) -> str:
    return f"{value:,.10g}" if isinstance(value, float) else "unknown" if value is None else _number(value)


def _number(value: float | int | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}"
