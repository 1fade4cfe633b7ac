"""What an answer is worth where fakes were not drawn, or pictures not chosen, as in training."""

from dataclasses import replace

from stylegan.report.evidence import Evidence
from stylegan.report.findings import Finding
from stylegan.report.origin import note

# Key of a finding that truncation changes by itself → how it does below 1.
_TRUNCATED = {
    "repeats": "makes fakes more alike",
    "diversity": "makes fakes more alike",
    "smoothness": "makes fakes more alike, and walks between them shorter",
    "orientation": "leaves out what is unusual",
    "colour": "leaves out what is unusual, and moves colours to their mean",
}
_COMPARED = ("repeats", "diversity", "orientation", "colour")


def truncated(evidence: Evidence) -> bool:
    """Whether fakes were drawn with another psi than 1."""
    return evidence.truncation is not None and evidence.truncation != 1


def truncation_note(evidence: Evidence) -> str:
    """One line for the head of the page; "" for psi = 1, or an unknown one."""
    if not truncated(evidence):
        return ""
    return (
        f"The fakes were drawn with truncation {evidence.truncation:g}. What that changes by itself is not judged "
        "here; truncation=1 shows what the network has learned."
    )


def with_caveats(finding: Finding, evidence: Evidence) -> Finding:
    """The finding, or what is left of it: unknown where truncation decides about it, no alarm about other pictures."""
    if truncated(evidence) and finding.key in _TRUNCATED:
        # Psi above 1 drives fakes apart instead.
        effect = (
            _TRUNCATED[finding.key] if abs(evidence.truncation) < 1 else "spoils fakes, and drives them apart"
        )
        return replace(
            finding,
            verdict="unknown",
            result=f"It cannot be told: the fakes were drawn with truncation {evidence.truncation:g}, which by itself "
            f"{effect}.",
            what_to_try=("Make the report with truncation=1.",),
        )
    if truncated(evidence) and finding.key == "copies" and finding.verdict == "fine":
        more = (
            f"This is about fakes of truncation {evidence.truncation:g}; at truncation=1 there may be copies."
        )
        return replace(finding, what_it_means=f"{finding.what_it_means} {more}")
    if evidence.origin == "other" and finding.key in _COMPARED:
        verdict = "look" if finding.verdict == "bad" else finding.verdict
        return replace(
            finding, verdict=verdict, what_it_means=f"{finding.what_it_means} {note(evidence.origin)}"
        )
    return finding
