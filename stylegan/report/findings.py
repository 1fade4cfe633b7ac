"""Findings: what a report says. Each answers one question, with a verdict, what it means and what to try."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from torch import Tensor

Value = float | int | str | None
Verdict = Literal["fine", "look", "bad", "unknown"]
# From the one to read first.
VERDICTS: tuple[Verdict, ...] = ("bad", "look", "unknown", "fine")


@dataclass(frozen=True)
class ImageGrid:
    """Images in rows, for the eye.

    Args:
        title: what they are.
        columns: what each place of a row shows.
        rows: of each row as many uint8 [C,H,W] as there are columns.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Tensor]]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The answer to one question.

    Args:
        key: its name in `report.json`.
        title: the question.
        verdict: "bad" needs action, "look" a look, "fine" nothing; "unknown" = no answer is possible.
        result: the answer in a sentence.
        values: numbers, and words that belong to them.
        what_it_means: in a few sentences.
        what_to_try: steps, the best first; keys of the configuration as they are typed.
        grids: images to look at.
    Raises: ValueError for an unknown verdict.
    """

    key: str
    title: str
    verdict: Verdict
    result: str
    values: Mapping[str, Value]
    what_it_means: str
    what_to_try: Sequence[str] = ()
    grids: Sequence[ImageGrid] = ()

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict must be one of {', '.join(VERDICTS)}, got {self.verdict!r}")

    @classmethod
    def unknown(
        cls,
        key: str,
        title: str,
        *,
        result: str,
        what_it_means: str,
        what_to_try: Sequence[str],
        values: Mapping[str, Value] | None = None,
    ) -> Self:
        """The answer to a question that cannot be answered, with the way to an answer."""
        return cls(
            key=key,
            title=title,
            verdict="unknown",
            result=result,
            values=values or {},
            what_it_means=what_it_means,
            what_to_try=what_to_try,
        )


@dataclass(frozen=True)
class Report:
    """A report.

    Args:
        findings: in the order of the questions.
        about: how it was made, as in {"real pictures": 500}.
        notes: what a reader must know before all findings.
    """

    findings: Sequence[Finding]
    about: Mapping[str, Value] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of all; "fine" where the others are "unknown"."""
        given = {finding.verdict for finding in self.findings}
        return next((verdict for verdict in ("bad", "look", "fine") if verdict in given), "unknown")

    def __getitem__(self, key: str) -> Finding:
        """The finding of that key.  Raises: KeyError."""
        return {finding.key: finding for finding in self.findings}[key]


def percent(share: float) -> str:
    """0.123 → "12 %"."""
    return f"{100 * share:.0f} %"
