"""Findings: what a report says. Each answers one question, with a verdict, what it means and what to try."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from torch import Tensor

Value = float | int | str | None
Verdict = Literal["fine", "look", "bad", "unknown"]
# From the one to read first.
VERDICTS: tuple[Verdict, ...] = ("bad", "look", "unknown", "fine")
# What a reader reads, on the page and on the terminal.
WORDS: dict[Verdict, str] = {
    "bad": "act on this",
    "look": "look at this",
    "fine": "fine",
    "unknown": "cannot tell",
}
_HEADS: dict[Verdict, str] = {
    "bad": "Something is wrong.",
    "look": "Something needs a look.",
    "fine": "Nothing wrong was found.",
    "unknown": "Too little was given for an answer.",
}
_FINE_BUT_OPEN = "Nothing wrong was found, but some questions are open."
_TOO_EARLY = "Too early to tell: the fakes are still softer or coarser than your pictures."
# Different pictures, and fakes: with fewer most questions have no answer, and what is left is no acquittal.
FEWEST_IMAGES = 20
_TOO_FEW = {
    "pictures": f"Too few pictures to tell: most questions need {FEWEST_IMAGES} different ones.",
    "fakes": f"Too few fakes to tell: most questions need {FEWEST_IMAGES}.",
}
_WHEN_EARLY = (
    "Train longer, and make the report again. If they looked better before, the training has gone wrong: go back to an "
    "earlier checkpoint, and raise loss.r1_gamma."
)


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
        files: groups of names of files, exact repeats of one image; the first of each is the one to keep.
        twins: groups of names of files of images that are alike, and no repeats.
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
    files: Sequence[Sequence[str]] = ()
    twins: Sequence[Sequence[str]] = ()

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
        is_early: whether the fakes do not look like the images of the training yet.
        too_few: of which there are fewer than `FEWEST_IMAGES`; None = there are enough of both.
    """

    findings: Sequence[Finding]
    about: Mapping[str, Value] = field(default_factory=dict)
    notes: Sequence[str] = ()
    is_early: bool = False
    too_few: Literal["pictures", "fakes"] | None = None

    @property
    def head(self) -> str:
        """The whole in a sentence."""
        if self.is_early:
            return _TOO_EARLY
        if self.too_few and self.verdict == "unknown":
            return _TOO_FEW[self.too_few]
        is_open = any(finding.verdict == "unknown" for finding in self.findings)
        return _FINE_BUT_OPEN if self.verdict == "fine" and is_open else _HEADS[self.verdict]

    @property
    def advice(self) -> str:
        """What to do about the whole; "" where the findings say it."""
        return _WHEN_EARLY if self.is_early else ""

    @property
    def verdict(self) -> Verdict:
        """The worst of all; "fine" where the others are "unknown". Of a report that comes too early, "unknown", and of
        too few images, where nothing is "bad" or "look".
        """
        if self.is_early:
            return "unknown"
        given = {finding.verdict for finding in self.findings}
        worst = next((verdict for verdict in ("bad", "look", "fine") if verdict in given), "unknown")
        return "unknown" if self.too_few and worst == "fine" else worst

    def __getitem__(self, key: str) -> Finding:
        """The finding of that key.  Raises: KeyError."""
        return {finding.key: finding for finding in self.findings}[key]


def percent(share: float) -> str:
    """0.123 → "12 %"."""
    return f"{100 * share:.0f} %"
