"""What a report says: findings, each with a verdict, what it means and what to try."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

Verdict = Literal["fine", "look", "bad", "unknown"]
# From the one to read first.
VERDICTS: tuple[Verdict, ...] = ("bad", "look", "unknown", "fine")


@dataclass(frozen=True)
class Plate:
    """Pictures in rows, to be looked at. columns: what each place of a row shows; rows: uint8 [C,H,W] each."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Tensor]]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One answer.

    key: its name in `report.json`. title: the question. values: numbers, and words that belong to them. result: the
    answer in a sentence. what_to_try: steps, the best first; keys as they are typed.
    """

    key: str
    title: str
    verdict: Verdict
    result: str
    values: Mapping[str, float | int | str | None]
    what_it_means: str
    what_to_try: Sequence[str] = ()
    plates: Sequence[Plate] = ()

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"a verdict is one of {', '.join(VERDICTS)}, got {self.verdict!r}")


@dataclass(frozen=True)
class Report:
    """findings: in the order of the page. about: what was looked at, as in {"real pictures": 500}. notes: what a
    reader must know before all findings."""

    findings: Sequence[Finding]
    about: Mapping[str, float | int | str | None] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of all; "fine" where the others are "unknown"."""
        said = {finding.verdict for finding in self.findings}
        return next((verdict for verdict in ("bad", "look", "fine") if verdict in said), "unknown")

    def __getitem__(self, key: str) -> Finding:
        """The finding of that key. Raises: KeyError."""
        return {finding.key: finding for finding in self.findings}[key]


def percent(share: float) -> str:
    """0.123 → "12 %"."""
    return f"{100 * share:.0f} %"
